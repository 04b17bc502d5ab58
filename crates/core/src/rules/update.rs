//! Dynamic update (RFC 2136): from the sections of a message to typed prerequisites and
//! operations, and from those and a zone's state to what changes.
//!
//! Refusals are RCODEs with a reason. Nothing here changes state.

use crate::model::request::{Operation, Prerequisite};
use crate::model::tree::Live;
use crate::model::{Lease, NameRecord, RrSet, RrSets, Zone, borrowed, find, same_rrsets};
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::message::Rcode;
use einhorn_wire::rdata::{self, serial_greater, soa_numbers};
use einhorn_wire::{Class, Name, Record, RecordType};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A request that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rcode}: {reason}")]
pub struct Refusal {
    /// What a DNS client is told.
    pub rcode: Rcode,
    /// For people.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(rcode: Rcode, reason: impl Into<String>) -> Refusal {
        Refusal { rcode, reason: reason.into() }
    }
}

fn format_error(record: &Record, what: &str) -> Refusal {
    Refusal::new(
        Rcode::FORMERR,
        format!("{} {} {}: {what}", record.owner, record.class, record.rtype),
    )
}

fn in_zone(record: &Record, zone: &Name) -> Result<(), Refusal> {
    if record.owner.is_at_or_below(zone) {
        return Ok(());
    }
    Err(Refusal::new(Rcode::NOTZONE, format!("{} is not in the zone {zone}", record.owner)))
}

/// The records given for one RRset that must exist as it is.
type WholeRrSet = (Name, RecordType, Vec<Box<[u8]>>);

/// Reads the prerequisite section (RFC 2136 §3.2).
///
/// # Errors
/// FORMERR or NOTZONE.
pub fn prerequisites(zone: &Name, records: Vec<Record>) -> Result<Vec<Prerequisite>, Refusal> {
    let mut out = Vec::with_capacity(records.len());
    let mut equals: Vec<WholeRrSet> = Vec::new();
    for record in records {
        if record.ttl != 0 {
            return Err(format_error(&record, "a prerequisite has TTL 0"));
        }
        in_zone(&record, zone)?;
        let is_any = record.rtype == RecordType::ANY;
        if record.rtype.is_meta() && !is_any {
            return Err(format_error(&record, "not a type that a zone can hold"));
        }
        let empty = record.rdata.is_empty();
        match record.class {
            Class::ANY | Class::NONE if !empty => {
                return Err(format_error(&record, "a prerequisite of this class has no data"));
            }
            Class::ANY if is_any => out.push(Prerequisite::NameInUse(record.owner)),
            Class::ANY => out.push(Prerequisite::RrSetExists(record.owner, record.rtype)),
            Class::NONE if is_any => out.push(Prerequisite::NameNotInUse(record.owner)),
            Class::NONE => out.push(Prerequisite::RrSetAbsent(record.owner, record.rtype)),
            Class::IN if is_any => return Err(format_error(&record, "a whole RRset needs a type")),
            Class::IN => {
                let same = |(owner, rtype, _): &&mut WholeRrSet| {
                    *owner == record.owner && *rtype == record.rtype
                };
                match equals.iter_mut().find(same) {
                    Some((.., datas)) => datas.push(record.rdata),
                    None => equals.push((record.owner, record.rtype, vec![record.rdata])),
                }
            }
            _ => return Err(format_error(&record, "a prerequisite has class IN, ANY or NONE")),
        }
    }
    for (owner, rtype, datas) in equals {
        // An RRset is a set: the same record twice is one record.
        let mut distinct: Vec<&[u8]> = Vec::new();
        for data in &datas {
            if !distinct.iter().any(|other| rdata::same(rtype, other, data)) {
                distinct.push(data);
            }
        }
        out.extend(RrSet::new(rtype, 0, distinct).map(|set| Prerequisite::RrSetEquals(owner, set)));
    }
    Ok(out)
}

/// Reads the update section and checks it (RFC 2136 §3.4.1).
///
/// # Errors
/// FORMERR or NOTZONE.
pub fn operations(zone: &Name, records: Vec<Record>) -> Result<Vec<Operation>, Refusal> {
    records.into_iter().map(|record| operation(zone, record)).collect()
}

fn operation(zone: &Name, record: Record) -> Result<Operation, Refusal> {
    in_zone(&record, zone)?;
    let Record { rtype, class, ttl, .. } = record;
    let is_any = rtype == RecordType::ANY;
    if rtype.is_meta() && !(is_any && class == Class::ANY) {
        return Err(format_error(&record, "not a type that a zone can hold"));
    }
    if class != Class::IN && ttl != 0 {
        return Err(format_error(&record, "a deletion has TTL 0"));
    }
    // A TTL with the highest bit set counts as 0 (RFC 2181 §8).
    let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
    match class {
        Class::IN if record.rdata.is_empty() && rdata::decode(rtype, &[], 0, 0).is_err() => {
            Err(format_error(&record, "the record to add has no data"))
        }
        Class::IN => Ok(Operation::Add { owner: record.owner, rtype, ttl, rdata: record.rdata }),
        Class::ANY if !record.rdata.is_empty() => {
            Err(format_error(&record, "a deletion of this class has no data"))
        }
        Class::ANY if is_any => Ok(Operation::DeleteName(record.owner)),
        Class::ANY => Ok(Operation::DeleteRrSet(record.owner, rtype)),
        Class::NONE => {
            Ok(Operation::DeleteRecord { owner: record.owner, rtype, rdata: record.rdata })
        }
        _ => Err(format_error(&record, "an update has class IN, ANY or NONE")),
    }
}

/// Whether the zone takes updates.
///
/// # Errors
/// REFUSED for a followed zone, SERVFAIL for one without content.
pub fn updatable(zone: &Zone) -> Result<(), Refusal> {
    if zone.settings.is_followed() {
        let reason = format!("zone {} is followed: send updates to its primary", zone.apex);
        return Err(Refusal::new(Rcode::REFUSED, reason));
    }
    if zone.soa().is_none() {
        return Err(Refusal::new(
            Rcode::SERVFAIL,
            format!("zone {} has no content yet", zone.apex),
        ));
    }
    Ok(())
}

/// Checks prerequisites in order (RFC 2136 §3.2.5).
///
/// # Errors
/// NXDOMAIN, YXDOMAIN, NXRRSET or YXRRSET of the first that does not hold.
pub fn prerequisites_hold(zone: &Zone, prerequisites: &[Prerequisite]) -> Result<(), Refusal> {
    let in_use = |name: &Name| zone.name(name).is_some_and(Live::is_live);
    prerequisites.iter().try_for_each(|prerequisite| {
        let (holds, rcode) = match prerequisite {
            Prerequisite::NameInUse(name) => (in_use(name), Rcode::NXDOMAIN),
            Prerequisite::NameNotInUse(name) => (!in_use(name), Rcode::YXDOMAIN),
            Prerequisite::RrSetExists(name, rtype) => {
                (zone.rrset(name, *rtype).is_some(), Rcode::NXRRSET)
            }
            Prerequisite::RrSetAbsent(name, rtype) => {
                (zone.rrset(name, *rtype).is_none(), Rcode::YXRRSET)
            }
            Prerequisite::RrSetEquals(name, set) => {
                let ours = zone.rrset(name, set.rtype);
                (ours.is_some_and(|ours| ours.same_records(set.borrowed())), Rcode::NXRRSET)
            }
        };
        if holds {
            Ok(())
        } else {
            Err(Refusal::new(rcode, format!("prerequisite not met: {prerequisite}")))
        }
    })
}

/// A name as operations leave it.
pub struct Touched {
    /// Owner name.
    pub owner: Name,
    /// Its record before, tombstones included; `None` for a name never seen.
    pub before: Option<NameRecord>,
    /// Its RRsets after.
    pub after: Vec<RrSet>,
    /// Until when those of its records stay that do not stay for good.
    pub leases: Vec<Lease>,
}

impl Touched {
    /// Its RRsets before.
    pub fn rrsets_before(&self) -> RrSets<'_> {
        self.before.as_ref().map(NameRecord::rrsets).unwrap_or_default()
    }

    /// A name that gets another content. Records that stay keep their leases.
    pub fn replaced(owner: Name, before: Option<NameRecord>, after: Vec<RrSet>) -> Touched {
        let leases = before.as_ref().map_or_else(Vec::new, NameRecord::leases);
        let mut name = Touched { owner, before, after, leases };
        name.forget_leases();
        name
    }

    /// Records among these stay no longer than this says.
    pub fn lease_as(&mut self, leases: &[Lease]) {
        self.leases.retain(|own| !leases.iter().any(|lease| own.is_of(lease.rtype, &lease.rdata)));
        self.leases.extend_from_slice(leases);
        self.forget_leases();
    }

    /// Takes away the leases of records that are gone.
    fn forget_leases(&mut self) {
        let Touched { after, leases, .. } = self;
        leases.retain(|lease| lease.is_in(borrowed(after)));
    }

    /// A record was added, for so long or for good.
    fn note_added(&mut self, rtype: RecordType, rdata: &[u8], granted: Option<Granted>) {
        self.leases.retain(|lease| !lease.is_of(rtype, rdata));
        let granted = granted.map(|of| Lease::granted(of.lease, rtype, rdata, of.now_ms));
        self.leases.extend(granted);
    }

    fn is_as_before(&self) -> bool {
        let leases = self.before.as_ref().map_or_else(Vec::new, NameRecord::leases);
        same_rrsets(self.rrsets_before(), borrowed(&self.after)) && leases == self.leases
    }
}

/// For how long records are added, and when that is.
#[derive(Clone, Copy)]
pub struct Granted {
    /// What was asked for.
    pub lease: UpdateLease,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// Does the operations in order on a copy (RFC 2136 §3.4.2); returns the names whose content
/// ends up different, or stays for another time. A SOA among them keeps a serial that is greater than
/// before. What a zone cannot be without stays for good.
pub fn apply(zone: &Zone, operations: &[Operation], granted: Option<Granted>) -> Vec<Touched> {
    let mut working = Working { zone, names: Vec::new(), places: HashMap::default() };
    for operation in operations {
        let is_apex = *operation.owner() == zone.apex;
        let name = working.name(operation.owner());
        let sets = &mut name.after;
        match operation {
            Operation::Add { rtype, ttl, rdata, .. } => {
                add(sets, *rtype, *ttl, rdata);
                let stays = is_apex && matches!(*rtype, RecordType::SOA | RecordType::NS);
                name.note_added(*rtype, rdata, granted.filter(|_| !stays));
            }
            // The apex keeps its SOA and NS (§3.4.2.3).
            Operation::DeleteRrSet(_, RecordType::SOA | RecordType::NS) if is_apex => {}
            Operation::DeleteRrSet(_, rtype) => sets.retain(|set| set.rtype != *rtype),
            Operation::DeleteName(_) => {
                sets.retain(|set| is_apex && matches!(set.rtype, RecordType::SOA | RecordType::NS));
            }
            Operation::DeleteRecord { rtype: RecordType::SOA, .. } => {}
            Operation::DeleteRecord { rtype, rdata, .. } => {
                // The last NS of the apex stays (§3.4.2.4).
                let keep_last = is_apex && *rtype == RecordType::NS;
                delete_record(sets, *rtype, rdata, keep_last);
            }
        }
    }
    working.names.iter_mut().for_each(Touched::forget_leases);
    working.names.retain(|name| !name.is_as_before());
    working.names
}

struct Working<'z> {
    zone: &'z Zone,
    names: Vec<Touched>,
    // A fixed hasher: the same operations do the same work everywhere.
    places: HashMap<Name, usize, BuildHasherDefault<DefaultHasher>>,
}

impl Working<'_> {
    fn name(&mut self, owner: &Name) -> &mut Touched {
        let place = match self.names.last() {
            Some(last) if last.owner == *owner => self.names.len() - 1,
            _ => *self.places.entry(owner.clone()).or_insert_with(|| {
                let before = self.zone.name(owner).cloned();
                let after = before.as_ref().map_or_else(Vec::new, NameRecord::owned_rrsets);
                self.names.push(Touched::replaced(owner.clone(), before, after));
                self.names.len() - 1
            }),
        };
        &mut self.names[place]
    }
}

/// Types that may stand beside a CNAME (RFC 2181 §10.1, RFC 3007, RFC 4034 §2.5).
pub(super) fn may_join_cname(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::RRSIG | RecordType::NSEC | RecordType::KEY)
}

/// Adds a record (RFC 2136 §3.4.2.2).
fn add(sets: &mut Vec<RrSet>, rtype: RecordType, ttl: u32, rdata: &[u8]) {
    let has_cname = find(sets, RecordType::CNAME).is_some();
    let has_other =
        sets.iter().any(|set| set.rtype != RecordType::CNAME && !may_join_cname(set.rtype));
    let crosses_cname = match rtype {
        RecordType::CNAME => has_other,
        _ => has_cname && !may_join_cname(rtype),
    };
    if crosses_cname {
        return;
    }
    let place = sets.iter().position(|set| set.rtype == rtype);
    if rtype == RecordType::SOA {
        let old = place.and_then(|at| soa_numbers(sets[at].rdatas().next()?));
        let newer = matches!((old, soa_numbers(rdata)), (Some(old), Some(new)) if serial_greater(new.serial, old.serial));
        if !newer {
            return;
        }
    }
    let kept: Vec<&[u8]> = place.map_or_else(Vec::new, |at| {
        sets[at].rdatas().filter(|old| !replaces(rtype, rdata, old)).collect()
    });
    // An RRset has one TTL (RFC 2181 §5.2): the one that came last.
    if let Some(set) = RrSet::new(rtype, ttl, kept.into_iter().chain([rdata])) {
        match place {
            // The same record again leaves the order of the others alone.
            Some(at) if sets[at].ttl == ttl && sets[at].same_records(&set) => {}
            Some(at) => sets[at] = set,
            None => sets.push(set),
        }
    }
}

/// Whether `new` takes the place of `old` rather than standing beside it.
fn replaces(rtype: RecordType, new: &[u8], old: &[u8]) -> bool {
    const WKS: RecordType = RecordType(11);
    match rtype {
        RecordType::SOA | RecordType::CNAME | RecordType::DNAME => true,
        // Address and protocol (RFC 2136 §3.4.2.2).
        WKS => new.get(..5) == old.get(..5),
        _ => rdata::same(rtype, new, old),
    }
}

fn delete_record(sets: &mut Vec<RrSet>, rtype: RecordType, rdata: &[u8], keep_last: bool) {
    let Some(at) = sets.iter().position(|set| set.rtype == rtype) else { return };
    let kept: Vec<&[u8]> =
        sets[at].rdatas().filter(|old| !rdata::same(rtype, old, rdata)).collect();
    if kept.is_empty() && keep_last {
        return;
    }
    match RrSet::new(rtype, sets[at].ttl, kept) {
        Some(set) => sets[at] = set,
        None => {
            sets.remove(at);
        }
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
