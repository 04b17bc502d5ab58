//! The state that ledger entries fold into: zones with their names, the sites, and the requests
//! already done. Folding is the only way state changes, for the leader, a follower and a restart
//! alike.
//!
//! A site folds its own log and its copies of the other sites' logs, each in order, but mixed as
//! they come. What comes out does not depend on the mixture: a name takes an after-image only if it
//! ranks higher than what it has, zones have incarnations, the sites a version.

use super::edge::EdgeRequest;
use super::entry::{Body, Cause, Change, Entry, SourceChange};
use super::fold_error::FoldError;
use super::points::Point;
use super::request::RequestId;
use super::requests::Requests;
use super::review::{Review, Reviews};
use super::source::Sources;
use super::transaction::{TransactionId, Transactions};
use super::{NameRecord, Origin, Position, Registry, Step, StepKind, Zone, Zones};
use crate::commit::bug::{Bug, has};
use einhorn_wire::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A log, as far as it is folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Its name in its checkpoints; empty until its genesis entry.
    pub name: String,
    /// Index of its next entry, from 0, counting parts.
    pub next_index: u64,
    /// Time of its last entry, in milliseconds since 1970; entries never go back in time.
    pub last_time_ms: u64,
    /// Set when another log went on for it.
    pub closed: Option<Closed>,
    /// Its last map root.
    pub map_root: Option<MapRootLogged>,
}

/// A map root, as its log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapRootLogged {
    /// Entries that it covers.
    pub at: u64,
    /// Names that they touched.
    pub names: u64,
    /// The root.
    pub root: [u8; 32],
    /// When it was logged, in milliseconds since 1970.
    pub time_ms: u64,
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Entries that count.
    pub end: u64,
    /// The log that went on.
    pub successor: Origin,
}

/// That a site believes a log lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endorsed {
    /// Who may go on for it.
    pub successor: Origin,
    /// Which of the successor's proposals that answers.
    pub round: u32,
    /// Entries of the lost log that the endorser holds.
    pub held: u64,
    /// Where the endorsement is in the endorser's log.
    pub index: u64,
}

/// What folding brought about that others want to know.
#[derive(Default)]
pub struct Effects {
    /// What happened to zones, in order.
    pub steps: Vec<Step>,
    /// Zones that have something unpublished now and had nothing before.
    pub unpublished: Vec<Name>,
    /// Transactions of which something was folded.
    pub transactions: Vec<TransactionId>,
}

/// Everything a site knows.
#[derive(Clone)]
pub struct State {
    /// The log that this site appends to; [`Origin::NONE`] until it has one.
    pub origin: Origin,
    /// Every log of which anything is known.
    pub(super) logs: BTreeMap<Origin, Log>,
    /// The sites.
    pub registry: Arc<Registry>,
    /// The zones.
    pub zones: Zones,
    /// The last incarnation of zones that were removed.
    pub(super) removed: BTreeMap<Name, u32>,
    pub(super) requests: Requests,
    /// Changes of names with different homes that are under way.
    pub transactions: Transactions,
    /// Changes that wait for a person.
    pub reviews: Reviews,
    /// What the sources of the legacy bridge said last.
    pub sources: Sources,
    /// By lost log and endorser.
    pub(super) endorsements: BTreeMap<(Origin, Origin), Endorsed>,
    /// The last round that was given up, by lost log and successor.
    pub(super) withdrawn: BTreeMap<(Origin, Origin), u32>,
    /// Entries that keep what a lost log had and nobody else.
    pub(super) leftovers: Vec<Position>,
    /// Zones whose next point waits for an entry.
    pub(super) waiting: BTreeMap<(Origin, u64), Vec<Name>>,
}

impl State {
    /// The state before any entry, of a site that will append to `origin`.
    pub fn empty(origin: Origin) -> State {
        State {
            origin,
            logs: BTreeMap::new(),
            registry: Arc::default(),
            zones: Zones::default(),
            removed: BTreeMap::new(),
            requests: Requests::default(),
            transactions: Transactions::default(),
            reviews: Reviews::default(),
            sources: Sources::default(),
            endorsements: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            leftovers: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// A log, if anything of it is known.
    pub fn log(&self, origin: Origin) -> Option<&Log> {
        self.logs.get(&origin)
    }

    /// All logs of which anything is known.
    pub fn logs(&self) -> impl Iterator<Item = (Origin, &Log)> {
        self.logs.iter().map(|(origin, log)| (*origin, log))
    }

    /// Index of the next entry of a log.
    pub fn next_of(&self, origin: Origin) -> u64 {
        self.logs.get(&origin).map_or(0, |log| log.next_index)
    }

    /// Index of the next entry of this site's log.
    pub fn next_index(&self) -> u64 {
        self.next_of(self.origin)
    }

    /// Entries folded, of all logs together. Only ever grows.
    pub fn entries(&self) -> u64 {
        self.logs.values().map(|log| log.next_index).sum()
    }

    /// Time of the last entry of this site's log, in milliseconds since 1970.
    pub fn last_time_ms(&self) -> u64 {
        self.logs.get(&self.origin).map_or(0, |log| log.last_time_ms)
    }

    /// Whether the entry there is folded.
    pub fn has(&self, at: Position) -> bool {
        self.next_of(at.origin) > at.index
    }

    /// Whether the entry there is folded, or does not count.
    pub fn has_seen(&self, at: Position) -> bool {
        let closed = self.logs.get(&at.origin).and_then(|log| log.closed);
        self.has(at) || closed.is_some_and(|closed| at.index >= closed.end)
    }

    /// The last entry of each log.
    pub fn positions(&self) -> Vec<Position> {
        let last = |(origin, log): (&Origin, &Log)| {
            log.next_index.checked_sub(1).map(|index| Position { origin: *origin, index })
        };
        self.logs.iter().filter_map(last).collect()
    }

    /// The log that does now what `origin` did: itself, or whichever went on for it.
    pub fn in_charge(&self, origin: Origin) -> Origin {
        let mut now = origin;
        // Each log is closed once, by one that was open then: there are no circles. The bound is
        // for a state that was made up.
        for _ in 0..self.logs.len() {
            match self.logs.get(&now).and_then(|log| log.closed) {
                Some(closed) => now = closed.successor,
                None => break,
            }
        }
        now
    }

    /// The log that orders what belongs to a zone as a whole.
    pub fn home_of_zone(&self, zone: &Zone) -> Origin {
        self.in_charge(zone.home)
    }

    /// The log that orders the changes of a name; that is its zone's for one never seen.
    pub fn home_of(&self, zone: &Zone, record: Option<&NameRecord>) -> Origin {
        self.in_charge(record.map_or(zone.home, |record| record.history().home))
    }

    /// The log that orders which sites there are.
    pub fn home_of_registry(&self) -> Origin {
        self.registry.home.map_or(self.origin, |home| self.in_charge(home))
    }

    /// The log that a site appends to now, as far as is known.
    pub fn log_of_site(&self, site: u16) -> Option<Origin> {
        let generation = *self.registry.sites.get(&site)?.logs.keys().next_back()?;
        Some(Origin { site, generation })
    }

    /// The entry in which this request was done, if it is remembered.
    pub fn done(&self, id: &RequestId) -> Option<Position> {
        self.requests.get(id)
    }

    /// Whether a request that could be repeated until then would still be remembered, had it been
    /// done. A copy that waited too long, or a clock set back, brings requests that would not.
    pub fn would_remember(&self, until_seconds: u64) -> bool {
        until_seconds > self.requests.forgotten_until_seconds
    }

    /// Whether it is a late copy of what its edge will not send again.
    pub fn is_settled(&self, id: &RequestId) -> bool {
        EdgeRequest::of(id).is_some_and(|request| self.requests.edges.is_settled(&request))
    }

    /// Number of requests remembered.
    pub fn remembered(&self) -> usize {
        self.requests.len()
    }

    /// Forgets requests whose copies would be refused by now anyway.
    pub fn forget_before(&mut self, now_seconds: u64) {
        self.requests.forget_before(now_seconds);
    }

    /// The incarnation that a zone gets which is made now.
    pub fn next_incarnation(&self, apex: &Name) -> u32 {
        let removed = self.removed.get(apex).copied().unwrap_or(0);
        self.zones.get(apex).map_or(removed + 1, |zone| zone.incarnation.max(1))
    }

    /// Who endorsed what for a lost log: the endorser's log, the successor, entries held.
    pub fn endorsements(&self, lost: Origin) -> impl Iterator<Item = (Origin, Endorsed)> {
        let of_log = move |(key, endorsed): (&(Origin, Origin), &Endorsed)| {
            (key.0 == lost).then_some((key.1, *endorsed))
        };
        self.endorsements.iter().filter_map(of_log)
    }

    /// The logs that somebody endorsed this successor for, each with the round.
    pub fn endorsed_for(&self, successor: Origin) -> impl Iterator<Item = (Origin, u32)> {
        let is_for = move |(key, endorsed): (&(Origin, Origin), &Endorsed)| {
            (endorsed.successor == successor).then_some((key.0, endorsed.round))
        };
        self.endorsements.iter().filter_map(is_for)
    }

    /// The last round in which `successor` gave up going on for `lost`; 0 if it never did.
    pub fn withdrawn(&self, lost: Origin, successor: Origin) -> u32 {
        self.withdrawn.get(&(lost, successor)).copied().unwrap_or(0)
    }

    /// Whether an endorsement still holds: its successor has not given up that round, nor was
    /// itself taken over without having gone on for `lost`.
    pub fn binds(&self, lost: Origin, endorsed: Endorsed) -> bool {
        let is_closed = |origin| self.logs.get(&origin).is_some_and(|log| log.closed.is_some());
        // Only with all of a log that has ended is it known what it did not do.
        let is_over = self.logs.get(&endorsed.successor).is_some_and(|log| {
            log.closed.is_some_and(|closed| log.next_index >= closed.end) && !is_closed(lost)
        });
        endorsed.round > self.withdrawn(lost, endorsed.successor) && !is_over
    }

    /// Entries that keep what a lost log had and nobody else.
    pub fn leftovers(&self) -> &[Position] {
        &self.leftovers
    }

    /// Says that a log has ended, before anything of it is folded that does not count.
    ///
    /// # Errors
    /// [`FoldError::Overtaken`] if that is too late.
    pub fn close(&mut self, lost: Origin, closed: Closed) -> Result<(), FoldError> {
        let log = self.logs.entry(lost).or_default();
        if log.next_index > closed.end {
            let folded = log.next_index;
            return Err(FoldError::Overtaken { lost, end: closed.end, folded });
        }
        log.closed = Some(closed);
        Ok(())
    }

    /// Says that there is such a log, before anything of it is folded: entries of other logs may
    /// then rest on what is not folded yet.
    pub fn expect(&mut self, origin: Origin) {
        self.logs.entry(origin).or_default();
    }

    /// Folds the next entry of a log, stored in `parts` parts. Entries that come after the log's
    /// takeover do not count and change nothing.
    ///
    /// # Errors
    /// [`FoldError`]; the state is then not to be used any more.
    pub fn fold(
        &mut self,
        origin: Origin,
        entry: &Entry,
        parts: u64,
        effects: &mut Effects,
    ) -> Result<(), FoldError> {
        let log = self.logs.entry(origin).or_default();
        if log.closed.is_some_and(|closed| log.next_index + parts > closed.end) {
            return Ok(());
        }
        let index = log.next_index + parts - 1;
        if (log.next_index == 0) != matches!(entry.body, Body::Genesis { .. }) {
            return Err(FoldError::Genesis { index });
        }
        log.next_index = index + 1;
        log.last_time_ms = entry.time_ms;
        let at = Position { origin, index };
        match &entry.body {
            Body::Genesis { name, .. } => log.name.clone_from(name),
            Body::MapRoot { at, names, root } => {
                let (at, names, root, time_ms) = (*at, *names, *root, entry.time_ms);
                log.map_root = Some(MapRootLogged { at, names, root, time_ms });
            }
            Body::Change(change) => self.fold_change(change, entry.time_ms, at, effects)?,
            Body::Changes(changes) => {
                for change in changes {
                    self.fold_change(change, entry.time_ms, at, effects)?;
                }
            }
            Body::Review(review) => self.fold_review(at, entry.time_ms, review),
            Body::Source(source) => self.fold_source(source, entry.time_ms, at, effects)?,
            Body::Publication { zone, incarnation, serial, covers } => {
                let point = Point { at, serial: *serial, covers: covers.clone() };
                self.fold_point(zone, *incarnation, point, effects)?;
            }
            Body::Sites(sites) => {
                if sites.registry.version > self.registry.version {
                    self.registry = Arc::new(sites.registry.clone());
                }
                self.requests.note(&sites.request, sites.remember_until_seconds, at);
            }
            Body::Endorsement { lost, successor, round, held } => {
                let (successor, round, held) = (*successor, *round, *held);
                let endorsed = Endorsed { successor, round, held, index };
                self.endorsements.insert((*lost, origin), endorsed);
            }
            Body::Withdrawal { lost, round } => {
                let known = self.withdrawn.entry((*lost, origin)).or_default();
                *known = (*known).max(*round);
            }
            Body::Takeover { lost, end, .. } => {
                self.close(*lost, Closed { end: *end, successor: origin })?;
                self.rehome_zones();
                self.reach_points_waiting_for(*lost, u64::MAX, effects);
            }
            Body::Leftover { .. } => self.leftovers.push(at),
            Body::Intent { .. } | Body::Decision { .. } | Body::Finish { .. } => {
                self.fold_transaction(&entry.body, entry.time_ms, at, effects)?;
            }
        }
        self.reach_points_waiting_for(origin, self.next_of(origin), effects);
        Ok(())
    }

    fn fold_source(
        &mut self,
        source: &SourceChange,
        time_ms: u64,
        at: Position,
        effects: &mut Effects,
    ) -> Result<(), FoldError> {
        self.requests.note(&source.request, source.remember_until_seconds, at);
        self.sources.fold(at.origin, &source.advance, &mut self.reviews);
        let mut changes = source.changes.iter();
        changes.try_for_each(|change| self.fold_change(change, time_ms, at, effects))
    }

    fn fold_review(&mut self, at: Position, time_ms: u64, review: &Review) {
        if let Some(decided) = self.reviews.fold_opened(at, time_ms, review) {
            self.sources.settle(&decided);
        } else if let Some(legacy) = &review.legacy
            && self.sources.is_over(legacy)
        {
            self.reviews.close_record(&legacy.source, &legacy.key, u64::MAX);
        }
    }

    /// A zone that is known is gone, if this one has been made anew since.
    pub(super) fn note_made_anew(&self, apex: &Name, incarnation: u32, effects: &mut Effects) {
        let known = self.zones.get(apex).map_or(0, |zone| zone.incarnation);
        if 0 < known && known < incarnation {
            effects.steps.push(Step { zone: apex.clone(), kind: StepKind::Removed });
        }
    }

    pub(super) fn fold_change(
        &mut self,
        change: &Change,
        time_ms: u64,
        at: Position,
        effects: &mut Effects,
    ) -> Result<(), FoldError> {
        if at.origin == self.origin || !has(Bug::DoneElsewhereForgotten) {
            self.requests.note(&change.request, change.remember_until_seconds, at);
        }
        for (request, until_seconds) in &change.stands_for {
            self.requests.note(request, *until_seconds, at);
        }
        if let Some(decided) = self.reviews.fold_cause(&change.cause) {
            self.sources.settle(&decided);
        }
        if self.removed.get(&change.zone).is_some_and(|removed| change.incarnation <= *removed) {
            return Ok(());
        }
        let key = change.zone.canonical_key();
        let key = key.as_ref();
        if self.zones.0.get(key).is_none() {
            let is_made = matches!(change.cause, Cause::ZoneLoad { .. } | Cause::Settings { .. });
            // What another site did may be heard of before the zone itself is.
            if !is_made && self.logs.len() == 1 {
                return Err(FoldError::NoZone { index: at.index, zone: change.zone.clone() });
            }
            self.zones.0.insert(key, Arc::new(Zone::empty(change.zone.clone())));
        }
        self.note_made_anew(&change.zone, change.incarnation, effects);
        let known = self.zones.0.get(key).map_or(0, |zone| zone.incarnation);
        let is_removal = matches!(change.cause, Cause::ZoneRemoval { .. });
        if is_removal {
            self.removed.insert(change.zone.clone(), change.incarnation);
            self.reviews.remove_zone(&change.zone);
            // Another log may have brought something of the zone that was made anew before this
            // one brings that the old one was removed.
            if known == change.incarnation || known == 0 {
                self.zones.0.remove(key);
                effects.steps.push(Step { zone: change.zone.clone(), kind: StepKind::Removed });
            } else if known < change.incarnation {
                self.zones.0.remove(key);
            }
            return Ok(());
        }
        let folded = self.zones.0.modify(key, |zone| {
            let zone = Arc::make_mut(zone);
            zone.begin_incarnation(change.incarnation);
            if change.incarnation < zone.incarnation {
                return Ok(());
            }
            let was_unpublished = zone.is_unpublished();
            zone.fold(change, at, time_ms)?;
            if zone.is_unpublished() && !was_unpublished {
                effects.unpublished.push(zone.apex.clone());
            }
            Ok(())
        });
        folded.unwrap_or(Ok(()))?;
        let is_made = matches!(change.cause, Cause::ZoneLoad { .. } | Cause::Settings { .. });
        if is_made && self.in_charge(at.origin) != at.origin {
            self.rehome_zones();
        }
        if let Cause::Settings { .. } = change.cause {
            effects.steps.push(Step { zone: change.zone.clone(), kind: StepKind::Configured });
        }
        Ok(())
    }

    /// Gives zones whose home was taken over to whoever does now what it did, so that readers of
    /// zones need not know of takeovers.
    fn rehome_zones(&mut self) {
        let moved: Vec<(Name, Origin)> = (self.zones.iter())
            .map(|zone| (zone.apex.clone(), self.in_charge(zone.home), zone.home))
            .filter(|(_, now, before)| now != before)
            .map(|(apex, now, _)| (apex, now))
            .collect();
        for (apex, home) in moved {
            let key = apex.canonical_key();
            self.zones.0.modify(key.as_ref(), |zone| Arc::make_mut(zone).home = home);
        }
    }
}
