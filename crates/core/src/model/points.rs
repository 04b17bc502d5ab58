//! Publication points: which content of a zone has which serial, the same at every site.
//!
//! Sites fold each other's entries in whatever order they arrive, so at any moment each may be
//! ahead of the others in something. The zone's home therefore logs points: this serial is the
//! zone as of these positions of these logs. Every site keeps, beside the newest content, the
//! content at the last point that it reached, and moves that on when all positions of the next one
//! are folded. Transfers send only such content.

use super::step::{Changed, STEP_NAMES_MAX, Step};
use super::tree::Tree;
use super::zone::set_soa_serial;
use super::{
    Effects, FoldError, History, NameRecord, Origin, Position, State, StepKind, Zone, changed_types,
};
use crate::commit::bug::{Bug, has};
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Points that wait to be reached; when there are more the oldest are passed over, since a later
/// one says as much.
const POINTS_WAITING_MAX: usize = 4_096;

/// A point that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// Where it is logged.
    pub(super) at: Position,
    pub(super) serial: u32,
    /// For each log, the last entry that counts.
    pub(super) covers: Vec<Position>,
}

impl Point {
    fn covers(&self, at: Position) -> bool {
        self.covers.iter().any(|last| last.origin == at.origin && at.index <= last.index)
    }
}

/// A zone's content at its last point, and what is not in it yet.
#[derive(Clone, Default)]
pub(super) struct Points {
    /// The names at the last point reached.
    pub(super) names: Tree<NameRecord>,
    /// Records folded since, in the order in which they were.
    pub(super) uncovered: Vec<NameRecord>,
    /// Points logged but not reached, in order.
    pub(super) waiting: VecDeque<Point>,
}

impl Points {
    /// Takes a point that was logged. Those of a home that was taken over may come after those of
    /// its successor, which cover them.
    pub(super) fn logged(&mut self, point: Point) {
        if self.waiting.len() >= POINTS_WAITING_MAX {
            self.waiting.pop_front();
        }
        let after = self.waiting.iter().position(|later| later.covers(point.at));
        self.waiting.insert(after.unwrap_or(self.waiting.len()), point);
    }

    /// The serial of the last point that is logged but not reached.
    pub(super) fn last_serial(&self) -> Option<u32> {
        self.waiting.back().map(|point| point.serial)
    }

    /// Whether the last point has something newer of a name than this.
    pub(super) fn has_passed(&self, key: &[u8], history: &History) -> bool {
        self.names.get(key).is_some_and(|record| record.history().rank() >= history.rank())
    }
}

impl Zone {
    /// Whether something changed that is in no point reached here.
    pub fn is_unpublished(&self) -> bool {
        !self.points.uncovered.is_empty()
    }

    /// The positions that the next point wants.
    pub(super) fn wanted(&self) -> Option<&[Position]> {
        self.points.waiting.front().map(|point| &point.covers[..])
    }

    /// What a point logged now covers: all `positions`, and whatever points before it do, so that
    /// content never goes back from one serial to the next.
    pub(crate) fn covers_after(&self, positions: Vec<Position>) -> Vec<Position> {
        let Some(last) = self.points.waiting.back() else { return positions };
        let mut covers: BTreeMap<Origin, u64> = BTreeMap::new();
        for at in positions.iter().chain(&last.covers) {
            let index = covers.entry(at.origin).or_default();
            *index = (*index).max(at.index);
        }
        covers.into_iter().map(|(origin, index)| Position { origin, index }).collect()
    }

    /// The zone as of its serial: what transfers send. The zone itself may be newer.
    pub fn at_serial(&self) -> Zone {
        Zone { names: self.points.names.clone(), points: Points::default(), ..self.clone() }
    }

    /// Goes on to the next point, all of whose positions are folded.
    pub(super) fn reach(&mut self) -> Option<StepKind> {
        let point = self.points.waiting.pop_front()?;
        let before = std::mem::take(&mut self.points.names);
        let uncovered = std::mem::take(&mut self.points.uncovered);
        let (mut covered, mut rest): (Vec<_>, Vec<_>) =
            uncovered.into_iter().partition(|record| point.covers(record.history().last));
        if has(Bug::PublishedApart) && covered.len() > 1 {
            rest.extend(covered.pop());
        }
        let is_all = rest.is_empty();
        self.points.uncovered = rest;
        let mut after = if is_all { self.names.clone() } else { before.clone() };
        if !is_all {
            for record in &covered {
                let key = record.owner().canonical_key();
                let rank = after.get(key.as_ref()).map(|old| old.history().rank());
                if rank.is_none_or(|rank| rank < record.history().rank()) {
                    after.insert(key.as_ref(), record.clone());
                }
            }
        }
        let apex = before.get(&self.key);
        let had_content = apex.is_some_and(|apex| apex.rrset(RecordType::SOA).is_some());
        let kind = if had_content && covered.len() <= STEP_NAMES_MAX {
            let changes = covered.iter().filter_map(|record| changed(&before, &after, record));
            StepKind::Changed { from: self.serial, to: point.serial, changes: changes.collect() }
        } else {
            StepKind::Began(point.serial)
        };
        self.serial = point.serial;
        set_soa_serial(&mut self.names, &self.key, point.serial);
        if is_all {
            after = self.names.clone();
        } else {
            set_soa_serial(&mut after, &self.key, point.serial);
        }
        self.points.names = after;
        Some(kind)
    }
}

impl State {
    pub(super) fn fold_point(
        &mut self,
        apex: &Name,
        incarnation: u32,
        point: Point,
        effects: &mut Effects,
    ) -> Result<(), FoldError> {
        // The zone was removed by now, or in a log that was folded first.
        if self.removed.get(apex).is_some_and(|removed| incarnation <= *removed) {
            return Ok(());
        }
        self.note_made_anew(apex, incarnation, effects);
        let (key, index) = (apex.canonical_key(), point.at.index);
        if self.zones.0.get(key.as_ref()).is_none() {
            if self.logs.len() == 1 {
                return Err(FoldError::NoZone { index, zone: apex.clone() });
            }
            self.zones.0.insert(key.as_ref(), Arc::new(Zone::empty(apex.clone())));
        }
        self.zones.0.modify(key.as_ref(), |zone| {
            let zone = Arc::make_mut(zone);
            zone.begin_incarnation(incarnation);
            if zone.incarnation == incarnation {
                zone.points.logged(point);
            }
        });
        self.reach_points(apex, effects);
        Ok(())
    }

    /// Reaches all points of a zone that can be reached now.
    fn reach_points(&mut self, apex: &Name, effects: &mut Effects) {
        let key = apex.canonical_key();
        loop {
            let Some(zone) = self.zones.0.get(key.as_ref()) else { return };
            let Some(wanted) = zone.wanted() else {
                if zone.is_unpublished() && !effects.unpublished.contains(apex) {
                    effects.unpublished.push(apex.clone());
                }
                return;
            };
            if let Some(missing) = wanted.iter().find(|at| !self.has_seen(**at)) {
                let waiting = self.waiting.entry((missing.origin, missing.index)).or_default();
                if !waiting.contains(apex) {
                    waiting.push(apex.clone());
                }
                return;
            }
            let kind = self.zones.0.modify(key.as_ref(), |zone| Arc::make_mut(zone).reach());
            if let Some(Some(kind)) = kind {
                effects.steps.push(Step { zone: apex.clone(), kind });
            }
        }
    }

    /// Notes what each zone's next point waits for, and reaches those that can be reached now.
    pub(crate) fn wait_for_points(&mut self, effects: &mut Effects) {
        let apexes: Vec<Name> = self.zones.iter().map(|zone| zone.apex.clone()).collect();
        apexes.iter().for_each(|apex| self.reach_points(apex, effects));
    }

    /// Looks again at zones whose next point waits for an entry of a log before that one.
    pub(super) fn reach_points_waiting_for(
        &mut self,
        origin: Origin,
        before: u64,
        effects: &mut Effects,
    ) {
        let due = self.waiting.range((origin, 0)..(origin, before)).map(|(key, _)| *key);
        for key in due.collect::<Vec<_>>() {
            let zones = self.waiting.remove(&key).unwrap_or_default();
            zones.iter().for_each(|zone| self.reach_points(zone, effects));
        }
    }
}

/// How the name of `record` differs.
fn changed(
    before: &Tree<NameRecord>,
    after: &Tree<NameRecord>,
    record: &NameRecord,
) -> Option<Changed> {
    let key = record.owner().canonical_key();
    let sets = |tree: &Tree<NameRecord>| tree.get(key.as_ref()).cloned();
    let (old, new) = (sets(before), sets(after));
    let old = old.as_ref().map(NameRecord::rrsets).unwrap_or_default();
    let new = new.as_ref().map(NameRecord::rrsets).unwrap_or_default();
    let before = changed_types(old, new);
    (!before.is_empty()).then(|| Changed { owner: record.owner().to_name(), before })
}
