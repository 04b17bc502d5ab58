//! Zones in order: whole ones for transfers (AXFR, RFC 5936) and zone files, differences for
//! incremental transfers (IXFR, RFC 1995).

use einhorn_core::model::{RrSet, RrSetRef, Step, StepKind, Zone};
use einhorn_wire::message::{Opcode, Question};
use einhorn_wire::rdata::{serial_greater, with_serial};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Name, NameRef, Record, RecordType, rdata};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets of a transfer's messages. Pointers reach 16 KiB, so longer ones compress worse.
const MESSAGE_OCTETS_MAX: usize = 16_384;

/// All RRsets of the zone: the SOA first, then canonical order.
pub fn rrsets(zone: &Zone) -> impl Iterator<Item = (NameRef<'_>, RrSetRef<'_>)> {
    let all = zone.names.iter().flat_map(|record| record.rrsets().map(|set| (record.owner(), set)));
    let soa = zone.soa().map(|soa| (zone.apex.borrowed(), soa));
    soa.into_iter().chain(all.filter(|(_, set)| set.rtype != RecordType::SOA))
}

/// All records of the zone: the SOA first, then canonical order.
pub fn records(zone: &Zone) -> impl Iterator<Item = Record> {
    rrsets(zone).flat_map(|(owner, set)| {
        set.rdatas().map(move |rdata| Record {
            owner: owner.to_name(),
            rtype: set.rtype,
            class: Class::IN,
            ttl: set.ttl,
            rdata: rdata.into(),
        })
    })
}

/// What a transfer sends.
pub enum Content {
    /// The whole zone between two SOAs (RFC 5936 §2.2).
    Whole,
    /// The client's copy is as new as ours: one SOA (RFC 1995 §2).
    UpToDate,
    /// What changed since the client's serial (RFC 1995 §4).
    Difference(Difference),
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Whole => f.write_str("whole zone"),
            Content::UpToDate => f.write_str("nothing new"),
            Content::Difference(difference) => write!(f, "{} records", difference.count()),
        }
    }
}

/// What lies between two serials of a zone, as one difference: a record that came and went
/// again meanwhile is not in it.
pub struct Difference {
    /// The SOA with the earlier serial.
    from: RrSet,
    /// RRsets of what is gone, in canonical order.
    deleted: Vec<(Name, RrSet)>,
    /// RRsets of what is new, in canonical order.
    added: Vec<(Name, RrSet)>,
}

/// Chooses what a client that has `serial` gets. `steps` looks for the steps since that serial.
pub fn incremental(
    zone: &Zone,
    serial: u32,
    steps: impl FnOnce() -> Option<Vec<Arc<Step>>>,
) -> Content {
    if !serial_greater(zone.serial, serial) {
        return Content::UpToDate;
    }
    match steps().and_then(|steps| difference(zone, serial, &steps)) {
        Some(difference) if !is_smaller(zone, difference.octets()) => {
            Content::Difference(difference)
        }
        _ => Content::Whole,
    }
}

/// Whether the whole zone has fewer octets than this.
fn is_smaller(zone: &Zone, octets: usize) -> bool {
    let sum = |sum: usize, (owner, set): (NameRef<'_>, RrSetRef<'_>)| {
        let sum = sum + octets_of(owner, set);
        if sum < octets { Some(sum) } else { None }
    };
    rrsets(zone).try_fold(0, sum).is_some()
}

fn octets_of(owner: NameRef<'_>, set: RrSetRef<'_>) -> usize {
    set.packed().len() + set.count() * (owner.as_wire().len() + 8)
}

/// Types of a name with the RRsets that they had.
type Before<'s> = Vec<(RecordType, Option<RrSetRef<'s>>)>;

/// What the steps from serial `from` on made of the zone; `None` if they say nothing.
fn difference(zone: &Zone, from: u32, steps: &[Arc<Step>]) -> Option<Difference> {
    let mut names: BTreeMap<Box<[u8]>, (&Name, Before<'_>)> = BTreeMap::new();
    for step in steps {
        let StepKind::Changed { changes, .. } = &step.kind else { return None };
        for change in changes {
            let key = change.owner.canonical_key().as_ref().into();
            let (_, before) = names.entry(key).or_insert_with(|| (&change.owner, Vec::new()));
            for (rtype, set) in &change.before {
                // What was first is what was there at the beginning.
                if !before.iter().any(|(known, _)| known == rtype) {
                    before.push((*rtype, set.as_ref().map(RrSet::borrowed)));
                }
            }
        }
    }
    let mut soa = zone.soa()?;
    let (mut deleted, mut added) = (Vec::new(), Vec::new());
    for (owner, sets) in names.into_values() {
        for (rtype, before) in sets {
            if rtype == RecordType::SOA && *owner == zone.apex {
                soa = before.unwrap_or(soa);
                continue;
            }
            let now = zone.rrset(owner, rtype);
            let only_in = |one: Option<RrSetRef<'_>>, other: Option<RrSetRef<'_>>| {
                records_only_in(one?, other).map(|set| (owner.clone(), set))
            };
            deleted.extend(only_in(before, now));
            added.extend(only_in(now, before));
        }
    }
    let soa_rdata = with_serial(soa.rdatas().next()?, from);
    let from = RrSet::new(RecordType::SOA, soa.ttl, [&*soa_rdata])?;
    Some(Difference { from, deleted, added })
}

/// The records of `one` that `other` does not have with the same TTL.
fn records_only_in(one: RrSetRef<'_>, other: Option<RrSetRef<'_>>) -> Option<RrSet> {
    let other = other.filter(|other| other.ttl == one.ttl);
    let in_other = |data: &[u8]| {
        other.is_some_and(|other| other.rdatas().any(|o| rdata::same(one.rtype, data, o)))
    };
    RrSet::new(one.rtype, one.ttl, one.rdatas().filter(|data| !in_other(data)))
}

impl Difference {
    fn octets(&self) -> usize {
        borrowed(&self.deleted)
            .chain(borrowed(&self.added))
            .map(|(owner, set)| octets_of(owner, set))
            .sum()
    }

    /// Records that it deletes and adds.
    pub fn count(&self) -> usize {
        self.deleted.iter().chain(&self.added).map(|(_, set)| set.count()).sum()
    }
}

/// Writes the messages of a transfer of `zone`. `send` gets each message behind two octets for its
/// length, and may add a signature of up to `reserve_octets`; a `false` from it ends the transfer.
pub fn messages(
    zone: &Zone,
    content: &Content,
    id: u16,
    question: &Question,
    reserve_octets: usize,
    send: impl FnMut(Vec<u8>) -> bool,
) {
    let Some(soa) = zone.soa() else { return };
    let soa = std::iter::once((zone.apex.borrowed(), soa));
    let mut stream = Stream { id, question, reserve_octets, send };
    match content {
        Content::Whole => stream.send_all(rrsets(zone).chain(soa)),
        Content::UpToDate => stream.send_all(soa),
        Content::Difference(difference) => {
            let all = soa.clone().chain([(zone.apex.borrowed(), difference.from.borrowed())]);
            let all = all.chain(borrowed(&difference.deleted)).chain(soa.clone());
            stream.send_all(all.chain(borrowed(&difference.added)).chain(soa));
        }
    }
}

fn borrowed(sets: &[(Name, RrSet)]) -> impl Iterator<Item = (NameRef<'_>, RrSetRef<'_>)> {
    sets.iter().map(|(owner, set)| (owner.borrowed(), set.borrowed()))
}

struct Stream<'q, S> {
    id: u16,
    question: &'q Question,
    reserve_octets: usize,
    send: S,
}

impl<S: FnMut(Vec<u8>) -> bool> Stream<'_, S> {
    fn send_all<'z>(&mut self, sets: impl Iterator<Item = (NameRef<'z>, RrSetRef<'z>)>) {
        let all = sets.flat_map(|(owner, set)| set.rdatas().map(move |rdata| (owner, set, rdata)));
        let mut all = all.peekable();
        let mut first = true;
        while all.peek().is_some() {
            // A record that alone is longer than our usual message gets one for itself.
            let longest =
                all.peek().map_or(0, |(owner, _, rdata)| owner.as_wire().len() + rdata.len() + 300);
            let mut message = Vec::with_capacity(MESSAGE_OCTETS_MAX + 300);
            message.extend_from_slice(&[0, 0]);
            let limit = MESSAGE_OCTETS_MAX.max(longest + self.reserve_octets);
            let mut writer = Writer::new(&mut message, self.id, limit.min(usize::from(u16::MAX)));
            writer.reserve(self.reserve_octets);
            writer.set_response(Opcode::QUERY, false);
            writer.set_authoritative();
            let Question { name, rtype, class } = self.question;
            if first && writer.question(name.as_slice(), *rtype, *class).is_err() {
                return;
            }
            first = false;
            let mut written = 0;
            while let Some((owner, set, rdata)) = all.peek() {
                let (section, owner) = (Section::Answer, owner.as_wire());
                if writer.ordered_record(section, owner, set.rtype, set.ttl, rdata).is_err() {
                    break;
                }
                written += 1;
                all.next();
            }
            // Records that fit no message are refused when they come in.
            if written == 0 || !(self.send)(message) {
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
