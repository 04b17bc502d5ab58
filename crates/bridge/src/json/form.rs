//! The shapes of the JSON document.

use crate::codec::Format;
use crate::codes::{FaultCode, LossCode};
use crate::item::{self, Between, Quarantined};
use crate::record::{self, Address, Field, HostId, Key, Kind, Moment, Place, Raw, Record};
use crate::text::Text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

/// The document, without what is the same in all.
#[derive(Deserialize)]
pub(super) struct Document {
    #[serde(rename = "format")]
    _format: FormatMark,
    #[serde(rename = "version")]
    _version: VersionMark,
    #[serde(default)]
    pub(super) generation: Option<u64>,
    pub(super) items: Vec<Item>,
}

#[derive(Deserialize)]
enum FormatMark {
    #[serde(rename = "einhorn-bridge")]
    Bridge,
}

struct VersionMark;

impl<'de> Deserialize<'de> for VersionMark {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<VersionMark, D::Error> {
        match u64::deserialize(from)? {
            1 => Ok(VersionMark),
            other => Err(serde::de::Error::custom(format!("version {other}; this reads 1"))),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Item {
    Record {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        kind: String,
        name: Octets,
        #[serde(default)]
        line: u64,
        #[serde(default)]
        offset: u64,
        #[serde(default)]
        fields: Box<Fields>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sidecar: Vec<(Octets, Octets)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<RawForm>,
    },
    Quarantined {
        format: String,
        line: u64,
        offset: u64,
        octets: Octets,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Octets>,
        code: String,
        value: Octets,
    },
    Between {
        format: String,
        line: u64,
        offset: u64,
        octets: Octets,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_part_of_record: bool,
    },
}

/// Octets as text, or as base64 where they are no UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Octets {
    Text(String),
    Base64 { base64: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForm {
    format: String,
    octets: Octets,
    /// SHA-256 of the record without its octets, as written here.
    says: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum AddressForm {
    Internet(std::net::IpAddr),
    Foreign { network: Octets, address: Octets },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum MomentForm {
    At(i64),
    Never(Never),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Never {
    Never,
}

/// A field that is not unset.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Set<T> {
    Unrepresentable { unrepresentable: String },
    Value(T),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Set<Vec<AddressForm>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nicknames: Option<Set<Vec<Octets>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocols: Option<Set<Vec<Octets>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Set<Octets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Set<Octets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Set<Octets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<Set<Octets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Set<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Set<MomentForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Set<MomentForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<Set<Octets>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<Set<Vec<Octets>>>,
}

impl From<&Text> for Octets {
    fn from(text: &Text) -> Octets {
        match std::str::from_utf8(text.octets()) {
            Ok(text) => Octets::Text(text.to_owned()),
            Err(_) => Octets::Base64 { base64: STANDARD.encode(text.octets()) },
        }
    }
}

impl Octets {
    fn read(self) -> Result<Text, String> {
        match self {
            Octets::Text(text) => Ok(text.into()),
            Octets::Base64 { base64 } => {
                let octets = STANDARD.decode(&base64);
                octets.map(Text::from).map_err(|error| format!("{base64}: {error}"))
            }
        }
    }
}

impl From<&Address> for AddressForm {
    fn from(address: &Address) -> AddressForm {
        match address {
            Address::V4(v4) => AddressForm::Internet((*v4).into()),
            Address::V6(v6) => AddressForm::Internet((*v6).into()),
            Address::Foreign(foreign) => AddressForm::Foreign {
                network: (&foreign.network).into(),
                address: (&foreign.address).into(),
            },
        }
    }
}

impl AddressForm {
    fn read(self) -> Result<Address, String> {
        Ok(match self {
            AddressForm::Internet(std::net::IpAddr::V4(v4)) => Address::V4(v4),
            AddressForm::Internet(std::net::IpAddr::V6(v6)) => Address::V6(v6),
            AddressForm::Foreign { network, address } => {
                Address::foreign(network.read()?.octets(), address.read()?.octets())
            }
        })
    }
}

fn form<T, F>(field: &Field<T>, form: impl FnOnce(&T) -> F) -> Option<Set<F>> {
    match field {
        Field::Unset => None,
        Field::Value(value) => Some(Set::Value(form(value))),
        Field::Unrepresentable(code) => {
            Some(Set::Unrepresentable { unrepresentable: code.code().to_owned() })
        }
    }
}

fn field<F, T>(
    form: Option<Set<F>>,
    read: impl FnOnce(F) -> Result<T, String>,
) -> Result<Field<T>, String> {
    match form {
        None => Ok(Field::Unset),
        Some(Set::Value(value)) => read(value).map(Field::Value),
        Some(Set::Unrepresentable { unrepresentable: code }) => LossCode::from_code(&code)
            .map(Field::Unrepresentable)
            .ok_or_else(|| format!("`{code}` is no code of a loss")),
    }
}

impl From<&record::Fields> for Fields {
    fn from(fields: &record::Fields) -> Fields {
        let text = |text: &Text| Octets::from(text);
        let texts = |texts: &Vec<Text>| texts.iter().map(Octets::from).collect();
        let moment = |moment: &Moment| match moment {
            Moment::At(seconds) => MomentForm::At(*seconds),
            Moment::Never => MomentForm::Never(Never::Never),
        };
        Fields {
            addresses: form(&fields.addresses, |all| all.iter().map(AddressForm::from).collect()),
            nicknames: form(&fields.nicknames, texts),
            protocols: form(&fields.protocols, texts),
            machine: form(&fields.machine, text),
            system: form(&fields.system, text),
            status: form(&fields.status, text),
            hardware: form(&fields.hardware, text),
            ttl: form(&fields.ttl_seconds, |ttl| *ttl),
            changed: form(&fields.changed, moment),
            expires: form(&fields.expires, moment),
            remark: form(&fields.remark, text),
            others: form(&fields.others, texts),
        }
    }
}

impl Fields {
    fn read(self) -> Result<record::Fields, String> {
        let texts = |texts: Vec<Octets>| texts.into_iter().map(Octets::read).collect();
        let moment = |form| match form {
            MomentForm::At(seconds) => Ok(Moment::At(seconds)),
            MomentForm::Never(Never::Never) => Ok(Moment::Never),
        };
        Ok(record::Fields {
            addresses: field(self.addresses, |all| {
                all.into_iter().map(AddressForm::read).collect()
            })?,
            nicknames: field(self.nicknames, texts)?,
            protocols: field(self.protocols, texts)?,
            machine: field(self.machine, Octets::read)?,
            system: field(self.system, Octets::read)?,
            status: field(self.status, Octets::read)?,
            hardware: field(self.hardware, Octets::read)?,
            ttl_seconds: field(self.ttl, Ok)?,
            changed: field(self.changed, moment)?,
            expires: field(self.expires, moment)?,
            remark: field(self.remark, Octets::read)?,
            others: field(self.others, texts)?,
        })
    }
}

/// What a record says beside its octets and its place, as SHA-256 in hexadecimal digits.
fn says(record: &Record) -> String {
    let texts = |(a, b): &(Text, Text)| (Octets::from(a), Octets::from(b));
    let sidecar: Vec<_> = record.sidecar.iter().map(texts).collect();
    let (kind, name) = (record.key.kind.keyword(), Octets::from(&record.key.name));
    // Values of these types are always JSON.
    let text = serde_json::to_vec(&(kind, name, Fields::from(record.fields()), sidecar));
    let hash = Sha256::digest(text.unwrap_or_default());
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl From<item::Item> for Item {
    fn from(item: item::Item) -> Item {
        match item {
            item::Item::Record(record) => Item::Record {
                id: Some(format!("{:?}", record.id)),
                kind: record.key.kind.keyword().to_owned(),
                name: (&record.key.name).into(),
                line: record.place.line,
                offset: record.place.offset,
                fields: Box::new(record.fields().into()),
                sidecar: record.sidecar.iter().map(|(a, b)| (a.into(), b.into())).collect(),
                raw: record.raw().map(|raw| RawForm {
                    format: raw.format.name().to_owned(),
                    octets: (&raw.octets).into(),
                    says: says(&record),
                }),
            },
            item::Item::Quarantined(entry) => Item::Quarantined {
                format: entry.format.name().to_owned(),
                line: entry.place.line,
                offset: entry.place.offset,
                octets: (&entry.octets).into(),
                name: entry.name.as_ref().map(Octets::from),
                code: entry.code.code().to_owned(),
                value: (&entry.value).into(),
            },
            item::Item::Between(between) => Item::Between {
                format: between.format.name().to_owned(),
                line: between.place.line,
                offset: between.place.offset,
                octets: (&between.octets).into(),
                is_part_of_record: between.is_part_of_record,
            },
        }
    }
}

/// An item that was read, and whether it is a record that no longer says what its octets say.
pub(super) struct Read {
    pub(super) item: item::Item,
    pub(super) edited: bool,
}

fn format(name: &str) -> Result<Format, String> {
    name.parse().map_err(|error: crate::codec::UnknownFormat| error.to_string())
}

impl Item {
    /// The item; `source` is for ids of records that have none.
    pub(super) fn read(self, source: &str) -> Result<Read, String> {
        let mut edited = false;
        let item = match self {
            Item::Record { id, kind, name, line, offset, fields, sidecar, raw } => {
                let kind = Kind::from_keyword(kind.as_bytes())
                    .ok_or_else(|| format!("`{kind}` is no kind of record"))?;
                let key = Key { kind, name: name.read()? };
                let id = match id {
                    None => HostId::first_seen(source, &key),
                    Some(id) => u128::from_str_radix(&id, 16)
                        .map(HostId)
                        .map_err(|_| format!("`{id}` is no id"))?,
                };
                let mut record = Record::new(id, key, fields.read()?);
                record.place = Place { line, offset };
                let texts = |(a, b): (Octets, Octets)| Ok((a.read()?, b.read()?));
                record.sidecar = sidecar.into_iter().map(texts).collect::<Result<_, String>>()?;
                if let Some(raw) = raw {
                    edited = raw.says != says(&record);
                    if !edited {
                        let octets = raw.octets.read()?;
                        record.set_raw(Raw::new(format(&raw.format)?, octets));
                    }
                }
                item::Item::Record(Box::new(record))
            }
            Item::Quarantined { format: name, line, offset, octets, name: entry, code, value } => {
                item::Item::Quarantined(Box::new(Quarantined {
                    format: format(&name)?,
                    place: Place { line, offset },
                    octets: octets.read()?,
                    name: entry.map(Octets::read).transpose()?,
                    code: FaultCode::from_code(&code)
                        .ok_or_else(|| format!("`{code}` is no code of a fault"))?,
                    value: value.read()?,
                }))
            }
            Item::Between { format: name, line, offset, octets, is_part_of_record } => {
                item::Item::Between(Between {
                    format: format(&name)?,
                    place: Place { line, offset },
                    octets: octets.read()?,
                    is_part_of_record,
                })
            }
        };
        Ok(Read { item, edited })
    }
}
