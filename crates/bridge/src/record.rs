//! The data model: what a host record of any source holds.

use crate::codec::Format;
use crate::codes::LossCode;
use crate::names::with_upper_case;
use crate::text::Text;
use siphasher::sip128::SipHasher24;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a record is about (RFC 952).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A network.
    Net,
    /// A gateway between networks.
    Gateway,
    /// A host.
    Host,
    /// A domain.
    Domain,
}

impl Kind {
    /// All of them, in the order of host tables.
    pub const ALL: [Kind; 4] = [Kind::Net, Kind::Gateway, Kind::Host, Kind::Domain];

    /// The keyword of host tables.
    pub fn keyword(self) -> &'static str {
        match self {
            Kind::Net => "NET",
            Kind::Gateway => "GATEWAY",
            Kind::Host => "HOST",
            Kind::Domain => "DOMAIN",
        }
    }

    /// The kind with this keyword, in any case.
    pub fn from_keyword(keyword: &[u8]) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| keyword.eq_ignore_ascii_case(kind.keyword().as_bytes()))
    }
}

/// An address of some network.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An Internet address.
    V4(Ipv4Addr),
    /// An Internet address of 128 bits.
    V6(Ipv6Addr),
    /// An address of another network, such as `CHAOS 177002`.
    Foreign(Box<Foreign>),
}

/// An address that is not an Internet address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Foreign {
    /// The network's name, as written.
    pub network: Text,
    /// The address in the network's own form, as written.
    pub address: Text,
}

impl Address {
    /// The Internet address of an ARPANET host number of 1970 to 1971: two bits host, six bits
    /// IMP, which became `10.host.0.imp`.
    pub fn of_arpanet_number(number: u8) -> Address {
        Address::V4(Ipv4Addr::new(10, number >> 6, 0, number & 0x3f))
    }

    /// The ARPANET host number of eight bits, if there is one.
    pub fn arpanet_number(&self) -> Option<u8> {
        match self {
            Address::V4(address) => match address.octets() {
                [10, host @ 0..=3, 0, imp @ 0..=63] => Some(host << 6 | imp),
                _ => None,
            },
            _ => None,
        }
    }

    /// An address of another network.
    pub fn foreign(network: &[u8], address: &[u8]) -> Address {
        Address::Foreign(Box::new(Foreign { network: network.into(), address: address.into() }))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::V4(address) => address.fmt(f),
            Address::V6(address) => address.fmt(f),
            Address::Foreign(foreign) => write!(f, "{} {}", foreign.network, foreign.address),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A field of a record. Unset is neither zero nor blank nor an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Field<T> {
    /// The source says nothing.
    #[default]
    Unset,
    /// The source says this.
    Value(T),
    /// The source says something that cannot be held here.
    Unrepresentable(LossCode),
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Field::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the source says nothing.
    pub fn is_unset(&self) -> bool {
        matches!(self, Field::Unset)
    }
}

impl<T> Field<Vec<T>> {
    /// The elements; none if there is no value.
    pub fn elements(&self) -> &[T] {
        self.value().map_or(&[], Vec::as_slice)
    }

    /// A list, which is unset when it is empty.
    pub fn list(elements: Vec<T>) -> Field<Vec<T>> {
        if elements.is_empty() { Field::Unset } else { Field::Value(elements) }
    }
}

impl Field<Text> {
    /// Text, which is unset when it is empty.
    pub fn text(octets: &[u8]) -> Field<Text> {
        if octets.is_empty() { Field::Unset } else { Field::Value(octets.into()) }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Seconds since 1970-01-01 00:00 UTC.
    At(i64),
    /// Never.
    Never,
}

/// The fields' names, as reports and rules of ownership write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldName {
    /// The record itself, or its name.
    Name,
    /// [`Fields::addresses`].
    Addresses,
    /// [`Fields::nicknames`].
    Nicknames,
    /// [`Fields::protocols`].
    Protocols,
    /// [`Fields::machine`].
    Machine,
    /// [`Fields::system`].
    System,
    /// [`Fields::status`].
    Status,
    /// [`Fields::hardware`].
    Hardware,
    /// [`Fields::ttl_seconds`].
    Ttl,
    /// [`Fields::changed`].
    Changed,
    /// [`Fields::expires`].
    Expires,
    /// [`Fields::remark`].
    Remark,
    /// [`Fields::others`].
    Others,
    /// [`Record::sidecar`].
    Sidecar,
}

impl FieldName {
    /// All of them.
    pub const ALL: [FieldName; 14] = [
        FieldName::Name,
        FieldName::Addresses,
        FieldName::Nicknames,
        FieldName::Protocols,
        FieldName::Machine,
        FieldName::System,
        FieldName::Status,
        FieldName::Hardware,
        FieldName::Ttl,
        FieldName::Changed,
        FieldName::Expires,
        FieldName::Remark,
        FieldName::Others,
        FieldName::Sidecar,
    ];

    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            FieldName::Name => "name",
            FieldName::Addresses => "addresses",
            FieldName::Nicknames => "nicknames",
            FieldName::Protocols => "protocols",
            FieldName::Machine => "machine",
            FieldName::System => "system",
            FieldName::Status => "status",
            FieldName::Hardware => "hardware",
            FieldName::Ttl => "ttl",
            FieldName::Changed => "changed",
            FieldName::Expires => "expires",
            FieldName::Remark => "remark",
            FieldName::Others => "others",
            FieldName::Sidecar => "sidecar",
        }
    }
}

/// What a record says of its host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fields {
    /// Addresses, the preferred one first.
    pub addresses: Field<Vec<Address>>,
    /// Other names of the host.
    pub nicknames: Field<Vec<Text>>,
    /// Services, such as `TCP/TELNET`.
    pub protocols: Field<Vec<Text>>,
    /// Machine type, such as `VAX-11/780`.
    pub machine: Field<Text>,
    /// Operating system.
    pub system: Field<Text>,
    /// `SERVER`, `USER`, `TIP`; of a lease, its binding state.
    pub status: Field<Text>,
    /// Hardware address, such as `ethernet 00:11:22:33:44:55`.
    pub hardware: Field<Text>,
    /// Time to live, in seconds.
    pub ttl_seconds: Field<u32>,
    /// When the record was changed or began.
    pub changed: Field<Moment>,
    /// When it ends.
    pub expires: Field<Moment>,
    /// A remark for people.
    pub remark: Field<Text>,
    /// DNS records that no other field holds: `TTL TYPE DATA` in presentation form.
    pub others: Field<Vec<Text>>,
}

/// By what a source names a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Official name, in the case it was written in.
    pub name: Text,
}

/// Identifies a host through changes of its name: made from the name it was first seen with, and
/// then kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HostId(pub u128);

impl HostId {
    /// The id of a host that is seen for the first time, in source `source`.
    pub fn first_seen(source: &str, key: &Key) -> HostId {
        let before = [source.as_bytes(), &[0, key.kind as u8]];
        with_upper_case(&before, key.name.octets(), |octets| {
            HostId(SipHasher24::new().hash(octets).as_u128())
        })
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The octets an entry was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The format that can read them.
    pub format: Format,
    /// The layout that reads them so, for formats that have one: the first eight octets of
    /// [`crate::item::Source::layout_sha256`].
    pub layout: Option<u64>,
    /// The entry as it stood in the file, line ends included.
    pub octets: Text,
}

impl Raw {
    /// Octets of a format without layouts, or of an unknown layout.
    pub fn new(format: Format, octets: Text) -> Raw {
        Raw { format, layout: None, octets }
    }
}

/// Where in a file an entry begins. The file's SHA-256, its generation and the hash of its layout
/// are the same for all its records and stand in [`crate::item::Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// From 1; for files without lines, the number of the record.
    pub line: u64,
    /// From the beginning of the file, in octets.
    pub offset: u64,
}

/// One entry of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Stable id.
    pub id: HostId,
    /// What the source calls it.
    pub key: Key,
    /// Where it was read.
    pub place: Place,
    /// Parts of the entry that only its own format knows: name and value.
    pub sidecar: Vec<(Text, Text)>,
    fields: Fields,
    raw: Option<Raw>,
}

impl Record {
    /// A record as it was read: `raw` says the same as `key`, `fields` and `sidecar`.
    pub fn read(id: HostId, key: Key, place: Place, fields: Fields, raw: Raw) -> Record {
        Record { id, key, place, sidecar: Vec::new(), fields, raw: Some(raw) }
    }

    /// A record that no file has yet.
    pub fn new(id: HostId, key: Key, fields: Fields) -> Record {
        Record { id, key, place: Place::default(), sidecar: Vec::new(), fields, raw: None }
    }

    /// What it says.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Gives it other fields; the raw octets go when they would no longer say the same.
    pub fn set_fields(&mut self, fields: Fields) {
        if self.fields != fields {
            self.fields = fields;
            self.raw = None;
        }
    }

    /// Gives it another name; the raw octets go with the old one.
    pub fn rename(&mut self, key: Key) {
        if self.key != key {
            self.key = key;
            self.raw = None;
        }
    }

    /// The octets it was read from, if it still says the same as they do.
    pub fn raw(&self) -> Option<&Raw> {
        self.raw.as_ref()
    }

    /// The octets, if `format` can write them as they are.
    pub fn raw_for(&self, format: Format) -> Option<&[u8]> {
        let raw = self.raw.as_ref()?;
        (raw.format == format).then(|| raw.octets.octets())
    }

    /// Gives it the octets that say the same as it does.
    pub(crate) fn set_raw(&mut self, raw: Raw) {
        self.raw = Some(raw);
    }

    /// Kind, name, fields and sidecar, for a decoder that fills them in where they are.
    pub(crate) fn parts_mut(&mut self) -> (&mut Key, &mut Fields, &mut Vec<(Text, Text)>) {
        (&mut self.key, &mut self.fields, &mut self.sidecar)
    }

    /// The octets alone.
    pub(crate) fn into_raw(self) -> Option<Raw> {
        self.raw
    }

    /// The key and the fields alone.
    pub fn into_parts(self) -> (Key, Fields) {
        (self.key, self.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arpanet_numbers_have_two_bits_host_and_six_bits_imp() {
        // BBN-TENEX was host 1 of IMP 5, number 69; SRI-ARC host 0 of IMP 2.
        let address = |text: &str| Address::V4(text.parse().expect("an address"));
        assert_eq!(Address::of_arpanet_number(69), address("10.1.0.5"));
        assert_eq!(Address::of_arpanet_number(2), address("10.0.0.2"));
        for number in 0..=255 {
            assert_eq!(Address::of_arpanet_number(number).arpanet_number(), Some(number));
        }
        assert_eq!(address("10.4.0.5").arpanet_number(), None);
        assert_eq!(address("26.1.0.5").arpanet_number(), None);
    }

    #[test]
    fn raw_octets_go_with_the_first_change() {
        let key = Key { kind: Kind::Host, name: "A".into() };
        let raw = Raw::new(Format::HostsTxt, "HOST : 1.2.3.4 : A :::\n".into());
        let id = HostId::first_seen("t", &key);
        let mut record = Record::read(id, key, Place::default(), Fields::default(), raw);
        record.set_fields(Fields::default());
        assert!(record.raw_for(Format::HostsTxt).is_some());
        assert!(record.raw_for(Format::EtcHosts).is_none());
        record.set_fields(Fields { machine: Field::text(b"VAX"), ..Fields::default() });
        assert_eq!(record.raw(), None);
    }

    #[test]
    fn ids_know_no_case_but_the_source() {
        let key = |name: &str| Key { kind: Kind::Host, name: name.into() };
        let id = HostId::first_seen("nic", &key("SRI-NIC"));
        assert_eq!(id, HostId::first_seen("nic", &key("sri-nic")));
        assert_ne!(id, HostId::first_seen("mit", &key("SRI-NIC")));
        // Ids are kept: they must stay what they are, however long the name.
        let long = "A-NAME-OF-MANY-LETTERS".repeat(8);
        for name in ["SRI-NIC", &*long] {
            let mut hasher = SipHasher24::new();
            for part in [&b"nic"[..], &[0, Kind::Host as u8], name.as_bytes()] {
                std::hash::Hasher::write(&mut hasher, part);
            }
            let parts = siphasher::sip128::Hasher128::finish128(&hasher).as_u128();
            assert_eq!(HostId::first_seen("nic", &key(name)), HostId(parts));
        }
    }
}
