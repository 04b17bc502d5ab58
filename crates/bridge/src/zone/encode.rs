//! Writing zone files.

use crate::codec::{Encode, Format, Refusal};
use crate::codes::LossCode;
use crate::held::{declare_unheld, is_host, pass_through};
use crate::item::{Item, Output};
use crate::record::{Address, Field, FieldName, Kind, Record};
use crate::text::Text;
use einhorn_wire::{Class, Name, Record as DnsRecord, RecordType, zonefile};
use std::collections::HashSet;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// The TTL of records that have none, in seconds.
const TTL_SECONDS: u32 = 86_400;
const HINFO: RecordType = RecordType(13);
/// Octets of a string in record data (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;

/// Writes a zone file: what was read from one as it was, then everything else. A zone that is made
/// from something else gets an SOA and an NS record of its own.
///
/// It keeps what it cannot write before all names are known.
pub struct Encoder {
    origin: Name,
    has_passed: bool,
    records: Vec<Record>,
}

impl Encoder {
    /// An encoder; names without a dot at the end are relative to `origin`, unless they are in it.
    pub fn new(origin: &Name) -> Encoder {
        Encoder { origin: origin.clone(), has_passed: false, records: Vec::new() }
    }

    fn name(&self, text: &Text) -> Option<Name> {
        let mut escaped = String::new();
        for octet in text.octets() {
            let written = match octet {
                b'!'..=b'~' => write!(escaped, "{}", char::from(*octet)),
                _ => write!(escaped, "\\{octet:03}"),
            };
            written.ok()?;
        }
        let absolute: Name = escaped.parse().ok()?;
        if absolute.is_at_or_below(&self.origin) {
            return Some(absolute);
        }
        Name::parse_relative(&escaped, &self.origin).ok()
    }

    /// The zone's own records; the name of its server is one that nobody in `taken` has.
    fn apex(&self, taken: &mut HashSet<Name>) -> Vec<DnsRecord> {
        let apex = Text::from(self.origin.to_string());
        let soa = |record: &Record| {
            let others = record.fields().others.elements();
            others.iter().any(|other| other.lossy().split(' ').nth(1) == Some("SOA"))
        };
        if self.has_passed || self.records.is_empty() || self.records.iter().any(soa) {
            return Vec::new();
        }
        // The server's name needs an address if it is within the zone, and must be no alias there
        // (RFC 1912 §2.4, §2.8).
        let is_free = |name: &Name| !name.is_at_or_below(&self.origin) || !taken.contains(name);
        let servers = std::iter::once("localhost.".to_owned())
            .chain((1..).map(|number| format!("ns{number}.localhost.")));
        let Some(server) = servers.filter_map(|name| name.parse().ok()).find(is_free) else {
            return Vec::new();
        };
        let soa = format!("SOA {server} nobody.invalid. 1 86400 7200 3600000 {TTL_SECONDS}");
        let mut texts = vec![(&apex, soa), (&apex, format!("NS {server}"))];
        let owner = Text::from(server.to_string());
        if server.is_at_or_below(&self.origin) {
            texts.push((&owner, "A 127.0.0.1".to_owned()));
            taken.insert(server);
        }
        let texts = texts.into_iter();
        texts.filter_map(|(owner, data)| self.other(owner, &with_ttl(&data))).collect()
    }

    /// A record whose data is given as text.
    pub(crate) fn other(&self, owner: &Text, text: &Text) -> Option<DnsRecord> {
        let owner = self.name(owner)?;
        let text = std::str::from_utf8(text.octets()).ok()?;
        let (ttl, data) = text.split_once(' ')?;
        let line = format!("{owner} {ttl} IN {data}\n");
        let path = Path::new("record");
        let read = &mut |asked: &Path| match asked == path {
            true => Ok(line.clone().into_bytes()),
            false => Err(io::ErrorKind::NotFound.into()),
        };
        let mut records = zonefile::load(path, &self.origin, read).ok()?;
        if records.len() == 1 { records.pop() } else { None }
    }
}

/// Data of a record that says no TTL, with one.
fn with_ttl(data: &str) -> Text {
    format!("{TTL_SECONDS} {data}").into()
}

/// One record, and what it becomes.
struct Host<'h> {
    record: &'h Record,
    owner: Name,
    ttl: u32,
    written: Vec<DnsRecord>,
}

impl Host<'_> {
    fn add(&mut self, owner: Name, rtype: RecordType, rdata: Vec<u8>) {
        let (class, ttl) = (Class::IN, self.ttl);
        let record = DnsRecord { owner, rtype, class, ttl, rdata: rdata.into() };
        if !self.written.contains(&record) {
            self.written.push(record);
        }
    }

    fn lose(
        &self,
        code: LossCode,
        field: FieldName,
        value: impl std::fmt::Display,
        to: &mut Output,
    ) {
        to.lose(code, &self.record.key.name, field, value);
    }

    fn addresses(&mut self, out: &mut Output) {
        for address in self.record.fields().addresses.elements() {
            let owner = self.owner.clone();
            match (address, self.record.key.kind) {
                (Address::V4(v4), Kind::Net) => {
                    let [a, b, c, d] = v4.octets();
                    let target: Result<Name, _> = format!("{d}.{c}.{b}.{a}.in-addr.arpa.").parse();
                    if let Ok(target) = target {
                        self.add(owner, RecordType::PTR, target.as_wire().to_vec());
                    }
                }
                (Address::V4(v4), _) => self.add(owner, RecordType::A, v4.octets().to_vec()),
                (Address::V6(v6), Kind::Host | Kind::Gateway) => {
                    self.add(owner, RecordType::AAAA, v6.octets().to_vec());
                }
                _ => self.lose(LossCode::AddressNotHeld, FieldName::Addresses, address, out),
            }
        }
    }

    fn machine_and_system(&mut self, out: &mut Output) {
        let fields = self.record.fields();
        let mut string = |field: &Field<Text>, name| match field.value() {
            Some(text) if text.octets().len() > STRING_OCTETS_MAX => {
                self.lose(LossCode::ValueNotHeld, name, text, out);
                Vec::new()
            }
            text => text.map(|text| text.octets().to_vec()).unwrap_or_default(),
        };
        let machine = string(&fields.machine, FieldName::Machine);
        let system = string(&fields.system, FieldName::System);
        if machine.is_empty() && system.is_empty() {
            return;
        }
        let mut rdata = vec![machine.len() as u8];
        rdata.extend(&machine);
        rdata.push(system.len() as u8);
        rdata.extend(&system);
        self.add(self.owner.clone(), HINFO, rdata);
    }

    fn nicknames(&mut self, zone: &Encoder, taken: &mut HashSet<Name>, out: &mut Output) {
        for nickname in self.record.fields().nicknames.elements() {
            match zone.name(nickname) {
                None => self.lose(LossCode::ValueNotHeld, FieldName::Nicknames, nickname, out),
                Some(name) if taken.insert(name.clone()) => {
                    let target = self.owner.as_wire().to_vec();
                    self.add(name, RecordType::CNAME, target);
                }
                // A name with a CNAME has nothing beside it (RFC 1034 §3.6.2).
                Some(_) => self.lose(LossCode::NameCollides, FieldName::Nicknames, nickname, out),
            }
        }
    }
}

impl Encode for Encoder {
    fn push(&mut self, item: Item, out: &mut Output) -> Result<(), Refusal> {
        let before = out.octets.len();
        if let Some(record) = pass_through(Format::Zone, item, out) {
            self.records.push(*record);
        }
        self.has_passed |= out.octets.len() > before;
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Refusal> {
        if self.records.is_empty() {
            return Ok(());
        }
        let names = self.records.iter().filter_map(|record| self.name(&record.key.name));
        let mut taken: HashSet<Name> = names.collect();
        taken.insert(self.origin.clone());
        let mut all = self.apex(&mut taken);
        let records = std::mem::take(&mut self.records);
        for record in &records {
            all.extend(self.host(record, &mut taken, out));
        }
        zonefile::write(&mut out.octets, &self.origin, all.iter()).map_err(|_| Refusal::Write {
            format: Format::Zone.name(),
            reason: "the records cannot be put into octets",
        })
    }
}

impl Encoder {
    fn host(&self, record: &Record, taken: &mut HashSet<Name>, out: &mut Output) -> Vec<DnsRecord> {
        let (name, fields) = (&record.key.name, record.fields());
        if record.key.kind != Kind::Net && !is_host(Format::Zone, record, out) {
            return Vec::new();
        }
        let Some(owner) = self.name(name) else {
            out.lose(LossCode::NameNotHeld, name, FieldName::Name, name);
            return Vec::new();
        };
        declare_unheld(Format::Zone, record, out);
        let ttl = fields.ttl_seconds.value().copied().unwrap_or(TTL_SECONDS);
        let mut host = Host { record, owner, ttl, written: Vec::new() };
        host.addresses(out);
        host.machine_and_system(out);
        for other in fields.others.elements() {
            match self.other(name, other) {
                Some(record) => host.written.push(record),
                None => host.lose(LossCode::ValueNotHeld, FieldName::Others, other, out),
            }
        }
        host.nicknames(self, taken, out);
        if host.written.is_empty() {
            host.lose(LossCode::NoAddress, FieldName::Name, name, out);
        } else {
            out.records_written += 1;
        }
        host.written
    }
}
