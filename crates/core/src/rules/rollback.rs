//! Planning a rollback: which names must change, and to what, so that a zone's content becomes
//! what it was after an earlier entry.
//!
//! A plan is built from the entries since then, which carry what was before each change. It
//! decides nothing: the commit checks that every name is still at the version the plan saw.

use crate::model::entry::{Body, Cause, Change, Entry};
use crate::model::request::{Action, PlannedName, ReplaceReason};
use crate::model::{RrSet, Zone, borrowed, same_rrsets};
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeMap;

/// Where to roll back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The publication of this serial; the last one if it came around twice.
    Serial(u32),
    /// The last entry not later than this, in milliseconds since 1970.
    TimeMs(u64),
}

/// A target that cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    /// The zone never had that serial, or did not exist at that time.
    #[error("zone {zone} had no such state: {target}")]
    NoSuchState {
        /// Apex.
        zone: Name,
        /// The target as text.
        target: String,
    },
}

/// What a rollback would do to one name.
#[derive(Debug, Clone)]
pub struct NameRollback {
    /// Owner name.
    pub owner: Name,
    /// The version the name has now.
    pub version: u64,
    /// RRsets now.
    pub now: Vec<RrSet>,
    /// RRsets then.
    pub then: Vec<RrSet>,
}

/// A rollback that could be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The entry after which the zone was as it should become.
    pub target_index: u64,
    /// The names that differ, in canonical order.
    pub names: Vec<NameRollback>,
}

/// Builds a [`Plan`] from the log, entry by entry.
pub struct Planner {
    zone: Name,
    target: Target,
    /// The last entry that fits the target.
    target_index: Option<u64>,
    created: bool,
    /// What each name changed after the target was at the target.
    at_target: BTreeMap<Name, Vec<RrSet>>,
}

impl Planner {
    /// A planner for one zone.
    pub fn new(zone: Name, target: Target) -> Planner {
        Planner { zone, target, target_index: None, created: false, at_target: BTreeMap::new() }
    }

    /// Shows the planner the next entry of the log, from its beginning; `index` is that of its
    /// last part.
    pub fn next(&mut self, index: u64, entry: &Entry) {
        let zone = self.zone.clone();
        for change in entry.body.changes().iter().filter(|change| change.zone == zone) {
            match change.cause {
                Cause::ZoneLoad { .. } | Cause::Transfer { .. } => self.created = true,
                // What was before belongs to another zone of the same name.
                Cause::ZoneRemoval { .. } => *self = Planner::new(zone.clone(), self.target),
                _ => {}
            }
            self.change(change);
        }
        let fits = match (self.target, &entry.body) {
            (Target::Serial(wanted), Body::Publication { zone, serial, .. }) => {
                *zone == self.zone && *serial == wanted
            }
            (Target::Serial(_), _) => false,
            (Target::TimeMs(time_ms), _) => self.created && entry.time_ms <= time_ms,
        };
        if fits {
            self.target_index = Some(index);
            self.at_target.clear();
        }
    }

    fn change(&mut self, change: &Change) {
        // Before the first fitting entry everything would be cleared again anyway.
        if self.target_index.is_some() {
            for name in &change.names {
                self.at_target.entry(name.owner.clone()).or_insert_with(|| name.all_before());
            }
        }
    }

    /// The plan against the zone as it is now, for all names or only `name`.
    ///
    /// # Errors
    /// [`RollbackError::NoSuchState`].
    pub fn plan(self, now: &Zone, only: Option<&Name>) -> Result<Plan, RollbackError> {
        let target_index = self.target_index.ok_or_else(|| RollbackError::NoSuchState {
            zone: self.zone.clone(),
            target: match self.target {
                Target::Serial(serial) => format!("serial {serial} was never published here"),
                Target::TimeMs(_) => "it did not exist at that time".to_owned(),
            },
        })?;
        let wanted =
            self.at_target.into_iter().filter(|(owner, _)| only.is_none_or(|only| only == owner));
        let names = wanted.filter_map(|(owner, then)| {
            let record = now.name(&owner)?;
            let now = record.owned_rrsets();
            let then = with_serials_of(&now, then);
            let version = record.history().version;
            let same = same_rrsets(borrowed(&now), borrowed(&then));
            (!same).then_some(NameRollback { owner, version, now, then })
        });
        Ok(Plan { target_index, names: names.collect() })
    }
}

/// A rollback restores content, not serials: an old SOA comes back with today's serial, which
/// the next publication then raises.
fn with_serials_of(now: &[RrSet], mut then: Vec<RrSet>) -> Vec<RrSet> {
    use crate::model::find;
    use einhorn_wire::rdata::{soa_numbers, with_serial};
    let serial =
        find(now, RecordType::SOA).and_then(|set| Some(soa_numbers(set.rdatas().next()?)?.serial));
    if let (Some(serial), Some(set)) =
        (serial, then.iter_mut().find(|set| set.rtype == RecordType::SOA))
    {
        let datas: Vec<_> = set.rdatas().map(|data| with_serial(data, serial)).collect();
        if let Some(new) = RrSet::new(set.rtype, set.ttl, datas.iter().map(|data| &**data)) {
            *set = new;
        }
    }
    then
}

impl Plan {
    /// The request's action that does it.
    pub fn into_action(self) -> Action {
        let planned = |name: NameRollback| PlannedName {
            owner: name.owner,
            version: name.version,
            epoch: None,
            after: name.then,
        };
        Action::Replace {
            reason: ReplaceReason::Rollback { target_index: self.target_index },
            names: self.names.into_iter().map(planned).collect(),
        }
    }
}
