//! Reading zone files.

use super::split::{Line, split};
use crate::codec::{Decode, Format, Options, Whole};
use crate::codes::{FaultCode, LossCode, QuirkCode};
use crate::item::{Between, Item, Sink, Source};
use crate::lines::{quarantined, quirk};
use crate::record::{Address, Field, Fields, HostId, Key, Kind, Place, Raw, Record};
use crate::text::Text;
use einhorn_wire::rdata::{Presentation, soa_numbers, target};
use einhorn_wire::zonefile::ZoneFileError;
use einhorn_wire::{Name, Record as DnsRecord, RecordType, zonefile};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;

const FORMAT: Format = Format::Zone;
const HINFO: RecordType = RecordType(13);

/// A decoder.
pub fn decoder(options: &Options) -> Box<dyn Decode> {
    let (source, origin) = (options.source.clone(), options.origin.clone());
    Box::new(Whole::new(move |octets: &[u8], sink: &mut dyn Sink| {
        Ok(decode(&source, &origin, octets, sink))
    }))
}

/// A piece of the file.
struct Piece {
    place: Place,
    range: Range<usize>,
    what: What,
}

enum What {
    Between,
    /// An entry that says something of another piece's record, or of the records that follow.
    Taken,
    Fault(String),
    Host {
        owner: Name,
        nicknames: Vec<Name>,
        records: Vec<DnsRecord>,
    },
}

/// What one entry leaves for the next.
struct State {
    zone: Name,
    origin: Name,
    ttl_default: Option<u32>,
    ttl_last: Option<u32>,
}

fn decode(source: &str, zone: &Name, octets: &[u8], sink: &mut dyn Sink) -> Source {
    let mut pieces = pieces(zone, octets);
    take_nicknames(&mut pieces);
    let (mut serial, mut seen) = (None, std::collections::HashSet::new());
    for Piece { place, range, what } in pieces {
        let text = &octets[range];
        match what {
            What::Between | What::Taken => sink.item(Item::Between(Between {
                format: FORMAT,
                place,
                octets: text.into(),
                is_part_of_record: matches!(what, What::Taken),
            })),
            What::Fault(reason) => {
                sink.item(quarantined(FORMAT, place, text, FaultCode::BadRecord, reason));
            }
            What::Host { owner, nicknames, records } => {
                let soa = records.iter().find(|record| record.rtype == RecordType::SOA);
                serial = serial.or(soa.and_then(|soa| soa_numbers(&soa.rdata)).map(|n| n.serial));
                if !seen.insert(owner.clone()) {
                    sink.quirk(quirk(QuirkCode::DuplicateName, place, text));
                }
                let (kind, fields) = fields(&records, &nicknames);
                let key = Key { kind, name: shown(&owner) };
                let id = HostId::first_seen(source, &key);
                let raw = Raw::new(FORMAT, text.into());
                sink.item(Item::Record(Box::new(Record::read(id, key, place, fields, raw))));
            }
        }
    }
    Source { generation: serial.map(u64::from), layout_sha256: None }
}

/// A name as text without the last dot, but for the root's.
fn shown(name: &Name) -> Text {
    let text = name.to_string();
    match text.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest.into(),
        _ => Text::from(text),
    }
}

fn pieces(zone: &Name, octets: &[u8]) -> Vec<Piece> {
    let lines = split(octets);
    let mut state =
        State { zone: zone.clone(), origin: zone.clone(), ttl_default: None, ttl_last: None };
    let (mut pieces, mut at, mut place) = (Vec::new(), 0, Place { line: 1, offset: 0 });
    while let Some((range, line)) = lines.get(at) {
        let (count, what) = match line {
            Line::Blank => (1, What::Between),
            Line::Directive(words) => (1, state.directive(words)),
            Line::SameOwner => (1, What::Fault("no record with an owner comes before".to_owned())),
            Line::Owner(owner) => {
                let count = run(&lines[at..], owner);
                let range = range.start..lines[at + count - 1].0.end;
                (count, state.host(&octets[range]))
            }
        };
        let range = range.start..lines[at + count - 1].0.end;
        let begins = place;
        place.line += octets[range.clone()].iter().filter(|octet| **octet == b'\n').count() as u64;
        place.offset = range.end as u64;
        pieces.push(Piece { place: begins, range, what });
        at += count;
    }
    pieces
}

/// How many lines belong to the owner of the first, comments between them included.
fn run(lines: &[(Range<usize>, Line<'_>)], owner: &[u8]) -> usize {
    let mut count = 1;
    for (n, (_, line)) in lines.iter().enumerate() {
        match line {
            Line::Blank => {}
            Line::SameOwner => count = n + 1,
            Line::Owner(other) if *other == owner => count = n + 1,
            Line::Owner(_) | Line::Directive(_) => break,
        }
    }
    count
}

impl State {
    fn directive(&mut self, words: &[&[u8]]) -> What {
        let [directive, rest @ ..] = words else { return What::Between };
        let argument = rest.first().and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("");
        if directive.eq_ignore_ascii_case(b"$ORIGIN") {
            match Name::parse_relative(argument, &self.origin) {
                Ok(origin) => self.origin = origin,
                Err(error) => return What::Fault(format!("{argument}: {error}")),
            }
            return What::Taken;
        }
        if directive.eq_ignore_ascii_case(b"$TTL") {
            // The reader knows how a TTL is written; a record without one shows what it read.
            let text = format!("$TTL {argument}\n. IN TXT x\n");
            match self.load(text.as_bytes(), &Name::root()) {
                Ok(records) => self.ttl_default = records.first().map(|record| record.ttl),
                Err(reason) => return What::Fault(reason),
            }
            return What::Taken;
        }
        let directive = String::from_utf8_lossy(directive);
        What::Fault(format!("{directive} is not followed: one file is converted, entry by entry"))
    }

    fn load(&self, text: &[u8], zone: &Name) -> Result<Vec<DnsRecord>, String> {
        let path = Path::new("entry");
        let read = &mut |asked: &Path| match asked == path {
            true => Ok(text.to_vec()),
            false => Err(io::ErrorKind::NotFound.into()),
        };
        zonefile::load(path, zone, read).map_err(|error| match error {
            // Its place is that in the piece; the report has that in the file.
            ZoneFileError::Content { reason, .. } => reason,
            error @ ZoneFileError::Read { .. } => error.to_string(),
        })
    }

    /// Reads the records of one owner.
    fn host(&mut self, text: &[u8]) -> What {
        let mut whole = format!("$ORIGIN {}\n", self.origin).into_bytes();
        if let Some(ttl) = self.ttl_default.or(self.ttl_last) {
            whole.extend_from_slice(format!("$TTL {ttl}\n").as_bytes());
        }
        whole.extend_from_slice(text);
        let records = match self.load(&whole, &self.zone) {
            Ok(records) => records,
            Err(reason) => return What::Fault(reason),
        };
        let Some(last) = records.last() else { return What::Between };
        self.ttl_last = Some(last.ttl);
        let owner = last.owner.clone();
        What::Host { owner, nicknames: Vec::new(), records }
    }
}

/// Whether the records are one alias and nothing else; of what.
fn alias(records: &[DnsRecord]) -> Option<Name> {
    match records {
        [only] if only.rtype == RecordType::CNAME => target(only.rtype, &only.rdata),
        _ => None,
    }
}

/// Gives aliases to the hosts that they are of.
fn take_nicknames(pieces: &mut [Piece]) {
    let mut hosts = HashMap::new();
    for (at, piece) in pieces.iter().enumerate() {
        if let What::Host { owner, records, .. } = &piece.what
            && records.iter().any(|record| is_address(record.rtype))
        {
            hosts.entry(owner.clone()).or_insert(at);
        }
    }
    for at in 0..pieces.len() {
        let What::Host { owner, records, .. } = &pieces[at].what else { continue };
        let Some(&host) = alias(records).and_then(|target| hosts.get(&target)) else { continue };
        let nickname = owner.clone();
        let alias = std::mem::replace(&mut pieces[at].what, What::Taken);
        let What::Host { records: aliases, .. } = alias else { continue };
        if let What::Host { nicknames, records, .. } = &mut pieces[host].what {
            nicknames.push(nickname);
            // For its TTL.
            records.extend(aliases);
        }
    }
}

fn is_address(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}

fn fields(records: &[DnsRecord], nicknames: &[Name]) -> (Kind, Fields) {
    let (mut kind, mut addresses, mut others) = (Kind::Host, Vec::new(), Vec::new());
    let mut fields = Fields::default();
    let mut ttls = Vec::new();
    for record in records {
        let is_nickname = record.rtype == RecordType::CNAME && nicknames.contains(&record.owner);
        let address = address(record);
        let network = network(record).filter(|_| records.len() == 1);
        if record.rtype == HINFO && fields.machine.is_unset() && fields.system.is_unset() {
            (fields.machine, fields.system) = machine_and_system(&record.rdata);
        } else if let Some(network) = network {
            kind = Kind::Net;
            addresses.push(network);
        } else if let Some(address) = address {
            addresses.push(address);
        } else if !is_nickname {
            let DnsRecord { rtype, ttl, rdata, .. } = record;
            let data = Presentation { rtype: *rtype, rdata };
            others.push(Text::from(format!("{ttl} {rtype} {data}")));
            continue;
        }
        ttls.push(record.ttl);
    }
    fields.ttl_seconds = match ttls.first() {
        None => Field::Unset,
        Some(ttl) if ttls.iter().all(|other| other == ttl) => Field::Value(*ttl),
        Some(_) => Field::Unrepresentable(LossCode::ValueNotHeld),
    };
    fields.addresses = Field::list(addresses);
    fields.nicknames = Field::list(nicknames.iter().map(shown).collect());
    fields.others = Field::list(others);
    (kind, fields)
}

fn address(record: &DnsRecord) -> Option<Address> {
    match record.rtype {
        RecordType::A => {
            let octets: [u8; 4] = record.rdata[..].try_into().ok()?;
            Some(Address::V4(Ipv4Addr::from(octets)))
        }
        RecordType::AAAA => {
            let octets: [u8; 16] = record.rdata[..].try_into().ok()?;
            Some(Address::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    }
}

/// The network that a name stands for: it points to `0.0.0.10.in-addr.arpa` (RFC 1101 §3.1).
fn network(record: &DnsRecord) -> Option<Address> {
    let target = target(record.rtype, &record.rdata).filter(|_| record.rtype == RecordType::PTR)?;
    let text = target.to_string().to_ascii_lowercase();
    let reversed = text.strip_suffix(".in-addr.arpa.")?;
    let address: Ipv4Addr = reversed.parse().ok()?;
    let [a, b, c, d] = address.octets();
    Some(Address::V4(Ipv4Addr::new(d, c, b, a)))
}

/// The two strings of an `HINFO`; an empty one is unset.
fn machine_and_system(rdata: &[u8]) -> (Field<Text>, Field<Text>) {
    let string = |rdata: &[u8]| {
        let length = usize::from(*rdata.first()?);
        Some((Field::text(rdata.get(1..1 + length)?), 1 + length))
    };
    let Some((machine, at)) = string(rdata) else { return Default::default() };
    let system = rdata.get(at..).and_then(string).map(|(system, _)| system).unwrap_or_default();
    (machine, system)
}
