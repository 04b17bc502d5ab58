//! Which DNS records a host record becomes: addresses, `HINFO`, a network's `PTR` (RFC 1101), a `CNAME`
//! for each nickname, and what the record's own format says besides.

use crate::codec::Format;
use crate::held::{is_active, is_address};
use crate::merge::{Entry, Shared};
use crate::record::{Address, FieldName, Fields, Kind};
use crate::text::Text;
use crate::zone;
use einhorn_core::model::RrSet;
use einhorn_wire::rdata::target;
use einhorn_wire::{Name, RecordType};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// RFC 1035 §3.3.2.
pub(crate) const HINFO: RecordType = RecordType(13);
/// Octets of a string in record data (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;

/// Where a source's hosts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placing {
    /// The zone.
    pub zone: Name,
    /// The source's format.
    pub format: Format,
    /// TTL of names for which the source says none, in seconds.
    pub ttl_seconds: u32,
}

/// One DNS record of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Data {
    /// Type.
    pub rtype: RecordType,
    /// Uncompressed wire form.
    pub rdata: Box<[u8]>,
    /// TTL in seconds, where the source says one.
    pub ttl: Option<u32>,
}

/// What a host record becomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Its name; `None` for a record that is not in the zone.
    pub owner: Option<Name>,
    /// The records there.
    pub data: Vec<Data>,
    /// The names of its nicknames.
    pub aliases: Vec<Name>,
}

impl Placing {
    /// The name that stands for a name of the source: itself if it is in the zone, else relative to it.
    pub fn owner(&self, text: &Text) -> Option<Name> {
        let text = text.octets();
        let text = text.strip_suffix(b".").unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split(|octet| *octet == b'.') {
            wire.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?);
            wire.extend_from_slice(label);
        }
        let labels = wire.len();
        wire.push(0);
        let absolute = Name::from_wire(&wire).ok();
        if let Some(absolute) = absolute.filter(|name| name.is_at_or_below(&self.zone)) {
            return Some(absolute);
        }
        wire.truncate(labels);
        wire.extend_from_slice(self.zone.as_wire());
        Name::from_wire(&wire).ok()
    }

    /// How the source would write a name of the zone.
    pub fn text(&self, name: &Name) -> Text {
        let zone_labels = self.zone.label_count();
        let count = name.label_count().saturating_sub(zone_labels);
        let labels: Vec<&[u8]> = name.labels().take(count).collect();
        let text = Text::from(labels.join(&b'.'));
        match self.format {
            Format::HostsTxt | Format::Rfc606 | Format::Copybook | Format::Cards => text.to_upper(),
            _ => text,
        }
    }

    /// Whether the source's format has a place for records of any type.
    pub(super) fn holds_others(&self) -> bool {
        matches!(self.format, Format::Zone | Format::Json)
    }

    /// Whether the source's format can say an IPv6 address.
    fn holds_ipv6(&self) -> bool {
        self.holds_others() || self.format == Format::EtcHosts
    }

    /// Whether a record of a name is the source's to change.
    pub(super) fn is_managed(&self, rtype: RecordType, rdata: &[u8]) -> bool {
        match rtype {
            RecordType::A | RecordType::CNAME => true,
            RecordType::AAAA => self.holds_ipv6(),
            HINFO => self.format.holds(FieldName::Machine),
            RecordType::PTR => {
                let has_networks =
                    matches!(self.format, Format::HostsTxt | Format::Zone | Format::Json);
                self.holds_others() || has_networks && network(rdata).is_some()
            }
            _ => self.holds_others(),
        }
    }

    /// The records of a name that are the source's to change.
    pub(super) fn managed(&self, sets: &[RrSet]) -> Vec<Data> {
        let managed = |set: &RrSet| {
            let (rtype, ttl) = (set.rtype, Some(set.ttl));
            let datas = set.rdatas().filter(|rdata| self.is_managed(rtype, rdata));
            datas.map(|rdata| Data { rtype, rdata: rdata.into(), ttl }).collect::<Vec<_>>()
        };
        sets.iter().flat_map(managed).collect()
    }

    /// What a record becomes.
    pub fn image(&self, entry: &Entry) -> Image {
        let (name, fields) = (&entry.key.name, &entry.fields);
        if entry.key.kind == Kind::Domain || !is_active(fields) || is_address(name.octets()) {
            return Image::default();
        }
        // The apex belongs to the zone, not to one of its hosts.
        let Some(owner) = self.owner(name).filter(|owner| *owner != self.zone) else {
            return Image::default();
        };
        let mut data = Vec::new();
        let ttl = match self.format.holds(FieldName::Ttl) {
            true => fields.ttl_seconds.value().copied(),
            false => None,
        };
        let mut add = |rtype, rdata: &[u8]| data.push(Data { rtype, rdata: rdata.into(), ttl });
        for address in fields.addresses.elements() {
            match (address, entry.key.kind) {
                (Address::V4(v4), Kind::Net) => {
                    let [a, b, c, d] = v4.octets();
                    let target: Result<Name, _> = format!("{d}.{c}.{b}.{a}.in-addr.arpa.").parse();
                    target.iter().for_each(|target| add(RecordType::PTR, target.as_wire()));
                }
                (Address::V4(v4), _) => add(RecordType::A, &v4.octets()),
                (Address::V6(v6), Kind::Host | Kind::Gateway) if self.holds_ipv6() => {
                    add(RecordType::AAAA, &v6.octets());
                }
                _ => {}
            }
        }
        hinfo(fields).iter().for_each(|rdata| add(HINFO, rdata));
        if self.holds_others() {
            data.extend(self.others(fields));
        }
        if data.is_empty() {
            return Image::default();
        }
        let mut aliases: Vec<Name> = Vec::new();
        for alias in fields.nicknames.elements().iter().filter_map(|name| self.owner(name)) {
            if alias != owner && alias != self.zone && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        Image { owner: Some(owner), data, aliases }
    }

    /// Records that no field but the last holds.
    pub(super) fn others(&self, fields: &Fields) -> Vec<Data> {
        let encoder = zone::Encoder::new(&self.zone);
        let name = Text::from(self.zone.to_string());
        let read = |text: &Text| {
            let record = encoder.other(&name, text)?;
            Some(Data { rtype: record.rtype, rdata: record.rdata, ttl: Some(record.ttl) })
        };
        fields.others.elements().iter().filter_map(read).collect()
    }
}

/// The two strings of an `HINFO`, if there is one.
pub(super) fn hinfo(fields: &Fields) -> Option<Vec<u8>> {
    let octets = |text: Option<&Text>| {
        let text = text.filter(|text| text.octets().len() <= STRING_OCTETS_MAX);
        text.map(|text| text.octets().to_vec()).unwrap_or_default()
    };
    let (machine, system) = (octets(fields.machine.value()), octets(fields.system.value()));
    if machine.is_empty() && system.is_empty() {
        return None;
    }
    let mut rdata = vec![machine.len() as u8];
    rdata.extend(&machine);
    rdata.push(system.len() as u8);
    rdata.extend(&system);
    Some(rdata)
}

/// The network that a `PTR` points to (RFC 1101 §3.1).
pub(crate) fn network(rdata: &[u8]) -> Option<Address> {
    let text = target(RecordType::PTR, rdata)?.to_string().to_ascii_lowercase();
    let reversed: Ipv4Addr = text.strip_suffix(".in-addr.arpa.")?.parse().ok()?;
    let [a, b, c, d] = reversed.octets();
    Some(Address::V4(Ipv4Addr::new(d, c, b, a)))
}

/// Who says what of which name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Places of the entries whose own name it is, or else of the one whose nickname it is.
    pub(super) by_name: HashMap<Name, Claim>,
}

/// Who says something of a name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Places of the entries whose own name it is.
    pub(super) hosts: Vec<usize>,
    /// Place of the entry whose nickname it is; it counts only where there is no host.
    pub(super) alias_of: Option<usize>,
}

impl Claims {
    /// Those of the names that `wanted` wants.
    pub(super) fn of(images: &[Image], wanted: impl Fn(&Name) -> bool) -> Claims {
        let mut claims = Claims::default();
        for (at, image) in images.iter().enumerate() {
            if let Some(owner) = image.owner.as_ref().filter(|owner| wanted(owner)) {
                claims.by_name.entry(owner.clone()).or_default().hosts.push(at);
            }
        }
        for (at, image) in images.iter().enumerate() {
            for alias in image.aliases.iter().filter(|alias| wanted(alias)) {
                let claim = claims.by_name.entry(alias.clone()).or_default();
                claim.alias_of = claim.alias_of.or(Some(at));
            }
        }
        claims
    }
}

impl Claim {
    /// The records of the name that all of them come to.
    pub(super) fn data(&self, images: &[Image]) -> Vec<Data> {
        if self.hosts.is_empty() {
            let target = self.alias_of.and_then(|at| images[at].owner.as_ref());
            let alias = |target: &Name| Data {
                rtype: RecordType::CNAME,
                rdata: target.as_wire().into(),
                ttl: None,
            };
            return target.map(alias).into_iter().collect();
        }
        let mut all: Vec<Data> = Vec::new();
        for data in self.hosts.iter().flat_map(|at| &images[*at].data) {
            if !all.iter().any(|known| same(known, data)) {
                all.push(data.clone());
            }
        }
        all
    }
}

/// Whether two records are the same, whatever their TTL.
pub(super) fn same(one: &Data, other: &Data) -> bool {
    one.rtype == other.rtype && einhorn_wire::rdata::same(one.rtype, &one.rdata, &other.rdata)
}

/// Whether a name has what was said of it. A TTL counts where the source says one.
pub(super) fn same_data(expected: &[Data], current: &[Data]) -> bool {
    let is_there = |one: &Data| {
        let there = current.iter().find(|other| same(one, other));
        there.is_some_and(|there| one.ttl.is_none_or(|ttl| there.ttl == Some(ttl)))
    };
    expected.len() == current.len() && expected.iter().all(is_there)
}

/// The images of entries, in their order.
pub(super) fn images(placing: &Placing, entries: &[Shared]) -> Vec<Image> {
    entries.iter().map(|entry| placing.image(entry)).collect()
}
