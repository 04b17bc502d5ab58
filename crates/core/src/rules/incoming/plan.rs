//! From what a transfer says, and the zone that is here, to the names that must change.

use super::{Content, Difference};
use crate::model::request::{Action, ReplaceReason};
use crate::model::{NameRecord, RrSet, RrSetRef, Zone};
use crate::rules::replace::{self, Overwrite, Plan};
use crate::rules::zone::{ZoneError, check_name, names_of_zone};
use einhorn_wire::rdata::{self, SoaNumbers, soa_numbers};
use einhorn_wire::{Name, Record, RecordType};
use std::collections::BTreeMap;

/// A transfer that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// What it would make is no zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The differences do not begin where the zone here is.
    #[error("the differences begin at serial {found}, the zone here has {expected}")]
    From {
        /// The zone's serial.
        expected: u32,
        /// Where they begin.
        found: u32,
    },
    /// The differences delete what is not here, or add what is: the copies differ, and only a
    /// whole transfer makes them the same.
    #[error("the differences do not fit the zone here: {0}")]
    Mismatch(String),
}

/// What a transfer changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned {
    /// The SOA's numbers after.
    pub soa: SoaNumbers,
    /// What to ask of the commit; `None` when everything is as it is to be.
    pub action: Option<Action>,
}

/// Plans to make `zone` what `content` says; `None` for [`Content::UpToDate`].
///
/// # Errors
/// [`PlanError`].
pub fn plan(zone: &Zone, content: Content) -> Result<Option<Planned>, PlanError> {
    let (plan, soa) = match content {
        Content::UpToDate => return Ok(None),
        Content::Whole(records) => {
            let soa = records.first().and_then(|record| soa_numbers(&record.rdata));
            let names = names_of_zone(&zone.apex, records)?;
            (replace::whole(zone, names, Overwrite::All), soa)
        }
        Content::Differences(differences) => {
            let last = differences.last().and_then(|last| soa_numbers(&last.soa.rdata));
            (of_differences(zone, differences)?, last)
        }
    };
    let soa = soa.ok_or_else(|| ZoneError::Soa(zone.apex.clone(), 0))?;
    let from = zone.soa().is_some().then_some(zone.serial);
    let reason = ReplaceReason::Transfer { from, to: soa.serial };
    let action = (!plan.names.is_empty()).then_some(Action::Replace { reason, names: plan.names });
    Ok(Some(Planned { soa, action }))
}

/// One RRset while it changes.
struct Set {
    rtype: RecordType,
    ttl: u32,
    datas: Vec<Box<[u8]>>,
}

/// A name while it changes.
struct Working<'z> {
    owner: Name,
    before: Option<&'z NameRecord>,
    sets: Vec<Set>,
}

fn of_differences(zone: &Zone, differences: Vec<Difference>) -> Result<Plan, PlanError> {
    let mut names: BTreeMap<Box<[u8]>, Working<'_>> = BTreeMap::new();
    let mut serial = zone.serial;
    for Difference { from, soa, deleted, added } in differences {
        if from != serial {
            return Err(PlanError::From { expected: serial, found: from });
        }
        serial = soa_numbers(&soa.rdata).map_or(serial, |soa| soa.serial);
        deleted.iter().try_for_each(|record| working(&mut names, zone, record).delete(record))?;
        added.into_iter().try_for_each(|record| working(&mut names, zone, &record).add(record))?;
        let apex = working(&mut names, zone, &soa);
        apex.sets.retain(|set| set.rtype != RecordType::SOA);
        apex.add(soa)?;
    }
    let mut plan = Plan::default();
    for Working { owner, before, sets } in names.into_values() {
        let sets: Vec<RrSet> = sets.iter().filter_map(Set::to_rrset).collect();
        check_name(&zone.apex, &owner, &sets)?;
        if owner == zone.apex && !sets.iter().any(|set| set.rtype == RecordType::NS) {
            return Err(ZoneError::NoNs(owner).into());
        }
        plan.name(before, owner, sets, Overwrite::All);
    }
    Ok(plan)
}

fn working<'n, 'z>(
    names: &'n mut BTreeMap<Box<[u8]>, Working<'z>>,
    zone: &'z Zone,
    record: &Record,
) -> &'n mut Working<'z> {
    let key: Box<[u8]> = record.owner.canonical_key().as_ref().into();
    names.entry(key).or_insert_with(|| {
        let before = zone.name(&record.owner);
        let sets = before.into_iter().flat_map(NameRecord::rrsets).map(Set::of).collect();
        Working { owner: record.owner.clone(), before, sets }
    })
}

impl Set {
    fn of(set: RrSetRef<'_>) -> Set {
        Set { rtype: set.rtype, ttl: set.ttl, datas: set.rdatas().map(Into::into).collect() }
    }

    fn to_rrset(&self) -> Option<RrSet> {
        RrSet::new(self.rtype, self.ttl, self.datas.iter().map(|data| &**data))
    }

    fn place(&self, data: &[u8]) -> Option<usize> {
        self.datas.iter().position(|ours| rdata::same(self.rtype, ours, data))
    }
}

impl Working<'_> {
    fn delete(&mut self, record: &Record) -> Result<(), PlanError> {
        let set = self.sets.iter_mut().find(|set| set.rtype == record.rtype);
        let place = set.and_then(|set| Some((set.place(&record.rdata)?, set)));
        let Some((place, set)) = place else {
            return Err(PlanError::Mismatch(format!("there is no {record}")));
        };
        set.datas.remove(place);
        Ok(())
    }

    fn add(&mut self, record: Record) -> Result<(), PlanError> {
        let Some(set) = self.sets.iter_mut().find(|set| set.rtype == record.rtype) else {
            let Record { rtype, ttl, rdata, .. } = record;
            self.sets.push(Set { rtype, ttl, datas: vec![rdata] });
            return Ok(());
        };
        if set.place(&record.rdata).is_some() {
            return Err(PlanError::Mismatch(format!("there is {record} already")));
        }
        // All records of an RRset have one TTL (RFC 2181 §5.2): the newest one's.
        set.ttl = record.ttl;
        set.datas.push(record.rdata);
        Ok(())
    }
}
