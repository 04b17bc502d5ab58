//! What must hold at the end, when all sites have been left in peace: nothing acknowledged is lost,
//! each name has one history, and every site has the same.

use crate::clients::owner_text;
use crate::disk::{Stored, entries, entry_at};
use crate::operators::{PASSING, ZONES, name};
use crate::world::World;
use einhorn_core::commit::start::{ended, find_takeover};
use einhorn_core::model::entry::{Body, Cause, Change, Entry, NameChange};
use einhorn_core::model::request::RequestId;
use einhorn_core::model::settings::Level;
use einhorn_core::model::{Lease, Origin, Position, RrSet};
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeMap;

/// How much later than its end a lease may be there, in milliseconds: after a time of grace, and by the
/// clock of another site.
const OVERDUE_MS: u64 = 3_000;

/// What the logs say that counts.
#[derive(Default)]
struct Counted {
    /// The entries of each request: one in each incarnation of its zone at most, as a zone that is made
    /// anew is another zone.
    requests: BTreeMap<RequestId, BTreeMap<(Name, u32), Position>>,
    /// Changes of each name in each incarnation of its zone, by epoch and version.
    names: BTreeMap<(String, u32), BTreeMap<(u32, u64), Changed>>,
    leftovers: Vec<Position>,
}

struct Changed {
    at: Position,
    time_ms: u64,
    request: RequestId,
    is_expiry: bool,
    change: NameChange,
}

impl World {
    pub(crate) fn check_all(&mut self) -> Result<(), String> {
        let logs = self.same_logs()?;
        let counted = self.counted(&logs)?;
        self.check_kept(&counted)?;
        self.check_names(&counted)?;
        self.check_order(&counted)?;
        if self.has_forked_as_it_must() {
            self.count("forks after all was put back");
            return Ok(());
        }
        self.check_converged()
    }

    /// The longest copy of each log; all others must begin as it does.
    fn same_logs(&self) -> Result<BTreeMap<Origin, Vec<Stored>>, String> {
        let mut logs: BTreeMap<Origin, Vec<Stored>> = BTreeMap::new();
        for site in &self.sites {
            for (origin, log) in &site.disk.logs {
                let longest = logs.entry(*origin).or_default();
                if let Some(at) = longest.iter().zip(log).position(|(one, other)| one != other) {
                    return Err(format!(
                        "s{} has another entry {origin}:{at} than a site before it",
                        site.number
                    ));
                }
                if log.len() > longest.len() {
                    longest.clone_from(log);
                }
            }
        }
        Ok(logs)
    }

    fn counted(&mut self, logs: &BTreeMap<Origin, Vec<Stored>>) -> Result<Counted, String> {
        let found: Vec<_> = logs
            .iter()
            .flat_map(|(origin, log)| {
                (0..).zip(log).map(|(index, entry)| (Position { origin: *origin, index }, entry))
            })
            .filter_map(|(at, entry)| find_takeover(at, entry))
            .collect();
        let closed = ended(&found);
        let mut counted = Counted::default();
        for (origin, log) in logs {
            let origin = *origin;
            let end = closed.get(&origin).map_or(u64::MAX, |closed| closed.end);
            let mut next = 0;
            for (index, entry) in entries(log).into_iter().filter(|(index, _)| *index < end) {
                let at = Position { origin, index };
                self.count_entry(&entry, index + 1 - next);
                next = index + 1;
                let clocks = clocks(&entry, logs);
                match entry.body {
                    Body::Change(change) => counted.add(at, &clocks, change)?,
                    Body::Changes(changes) | Body::Decision { changes, .. } => {
                        let mut changes = changes.into_iter();
                        changes.try_for_each(|change| counted.add(at, &clocks, change))?;
                    }
                    Body::Leftover { position, .. } => counted.leftovers.push(position),
                    _ => {}
                }
            }
        }
        Ok(counted)
    }

    /// Nothing acknowledged is lost, as far as was promised.
    fn check_kept(&self, counted: &Counted) -> Result<(), String> {
        for (number, operation) in self.operations.iter().enumerate() {
            let level = self.plan.levels[operation.zone];
            for (_, site, at) in &operation.done {
                // An operator's word may cut off what only the sites that are away had.
                let was_vouched = self.counts.get("takeovers attested of three sites") > 0;
                let entries = counted.requests.get(&operation.request.id);
                let stands = entries.is_some_and(|entries| entries.values().any(|of| of == at));
                let set_back = self.set_back.get(&at.origin);
                let may_be_lost = set_back.is_some_and(|length| at.index >= *length);
                let is_left_over =
                    (level == Level::Local || was_vouched) && counted.leftovers.contains(at);
                // All that had it were put back to before it.
                let is_forgotten =
                    self.forgotten.get(&at.origin).is_some_and(|end| at.index >= *end);
                let is_excepted =
                    is_left_over || is_forgotten || (may_be_lost && level == Level::Local);
                if !stands && !is_excepted {
                    return Err(format!(
                        "operation {number}, acknowledged by s{site} as {at} at level {level}, is lost"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Each change of a name follows from the one before it.
    fn check_names(&self, counted: &Counted) -> Result<(), String> {
        if self.has_lost_tails() {
            return Ok(());
        }
        for ((owner, _), changes) in &counted.names {
            let mut content: BTreeMap<RecordType, RrSet> = BTreeMap::new();
            let mut leases: &[Lease] = &[];
            for (rank, changed) in changes {
                let time_ms = changed.time_ms;
                let may_go = |lease: &Lease, rtype, rdata: &[u8]| {
                    lease.until_ms <= time_ms && lease.is_of(rtype, rdata)
                };
                for set in content.values().filter(|_| changed.is_expiry) {
                    let after = changed.change.after.iter().find(|after| after.rtype == set.rtype);
                    let mut gone = set
                        .rdatas()
                        .filter(|rdata| after.is_none_or(|after| !after.contains(rdata)));
                    if gone.any(|rdata| !leases.iter().any(|one| may_go(one, set.rtype, rdata))) {
                        return Err(format!(
                            "{owner} at {rank:?}, entry {}: a record goes before its time, {time_ms}: {leases:?}",
                            changed.at
                        ));
                    }
                }
                leases = &changed.change.leases;
                for (rtype, before) in &changed.change.before {
                    let had = content.get(rtype).filter(|_| *rtype != RecordType::SOA);
                    if *rtype != RecordType::SOA && had != before.as_ref() {
                        return Err(format!(
                            "{owner} at {rank:?}, entry {}: it had {had:?}, the entry says {before:?}",
                            changed.at
                        ));
                    }
                }
                content = changed.change.after.iter().map(|s| (s.rtype, s.clone())).collect();
            }
        }
        Ok(())
    }

    /// What was acknowledged before another request was sent comes before it.
    fn check_order(&self, counted: &Counted) -> Result<(), String> {
        let mut by_request = BTreeMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            by_request.insert(operation.request.id, number);
        }
        for ((owner, _), changes) in &counted.names {
            // The latest sending of any change so far: none later may have been acknowledged before.
            let mut latest: Option<(u64, usize)> = None;
            for (rank, changed) in changes {
                let Some(number) = by_request.get(&changed.request).copied() else { continue };
                let operation = &self.operations[number];
                // What was acknowledged as another entry has been lost with its log's tail since: that
                // it may be is checked elsewhere.
                let stands = operation.done.iter().filter(|(_, _, at)| *at == changed.at);
                let acknowledged = stands.map(|done| done.0).min();
                if let (Some(acknowledged), Some((sent_at, before))) = (acknowledged, latest)
                    && acknowledged < sent_at
                {
                    return Err(format!(
                        "{owner}: operation {number} at {rank:?} was acknowledged before operation {before} was sent, which comes before it"
                    ));
                }
                if latest.is_none_or(|(sent_at, _)| operation.sent_at > sent_at) {
                    latest = Some((operation.sent_at, number));
                }
            }
        }
        Ok(())
    }

    /// Whether a site holds a checkpoint of entries that no disk has any more: its log has gone on from
    /// an older copy, and a person must say which history is the true one.
    fn has_forked_as_it_must(&self) -> bool {
        let commits = self
            .sites
            .iter()
            .filter_map(|site| Some((site.commit.as_ref()?, site.clock(self.now))));
        let mut copies = commits.flat_map(|(commit, now)| commit.report(now).copies);
        copies.any(|copy| copy.fork.is_some() && self.forgotten.contains_key(&copy.origin))
    }

    /// All sites have the same, and nobody waits.
    fn check_converged(&mut self) -> Result<(), String> {
        let (situation, quiet_ms) = (self.situation(), self.plan.quiet_ms());
        let wrong = |what: String| Err(format!("{what}, after {quiet_ms} ms in peace{situation}"));
        let now = self.now;
        let mut first: Option<(u16, Vec<String>)> = None;
        let earliest = self.sites.iter().map(|site| site.clock(now)).min().unwrap_or(now);
        for site in &self.sites {
            let number = site.number;
            let Some(commit) = &site.commit else { return wrong(format!("s{number} is down")) };
            let report = commit.report(site.clock(now));
            if report.waiting > 0 || report.failure.is_some() || report.is_waiting_for.is_some() {
                return wrong(format!("s{number} waits"));
            }
            if let Some(copy) = report.copies.iter().find(|copy| copy.fork.is_some()) {
                return wrong(format!("s{number} sees a fork of {}", copy.origin));
            }
            let state = commit.state();
            if let Some(intent) = state.transactions.intents().next() {
                return wrong(format!("s{number} has an open intent at {}", intent.at));
            }
            let mut facts = vec![format!("registry {:?}", state.registry)];
            facts.extend(state.reviews.iter().map(|(at, _)| format!("review {at}")));
            let ends = state.logs().filter(|(_, log)| log.next_index > 0);
            facts.extend(ends.map(|(origin, log)| format!("log {origin} {}", log.next_index)));
            for apex in ZONES {
                let Some(zone) = site.zones.get(&name(apex)) else {
                    if apex == ZONES[PASSING] {
                        facts.push(format!("{apex} is not there"));
                        continue;
                    }
                    return wrong(format!("s{number} does not serve {apex}"));
                };
                let (newest, at_serial) = (zone.state_root(), zone.at_serial().state_root());
                if newest != at_serial {
                    return wrong(format!("{apex} at s{number} has something unpublished"));
                }
                facts.push(format!("{apex} serial {} root {newest:02x?}", zone.serial));
                for record in zone.names.iter() {
                    let history = record.history();
                    if record.leases().iter().any(|lease| lease.until_ms + OVERDUE_MS < earliest) {
                        return wrong(format!(
                            "s{number} still has {}, whose lease is over",
                            record.owner()
                        ));
                    }
                    facts.push(format!(
                        "{} home {} rank {:?}",
                        record.owner(),
                        state.in_charge(history.home),
                        history.rank()
                    ));
                }
            }
            match &first {
                None => first = Some((number, facts)),
                Some((other, known)) => {
                    let differ = known.iter().zip(&facts).find(|(one, other)| one != other);
                    if let Some((one, two)) = differ {
                        return wrong(format!("s{other} has {one}, s{number} has {two}"));
                    }
                    if known.len() != facts.len() {
                        return wrong(format!("s{other} and s{number} have other things"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What the clocks of the homes showed that take part in a change.
struct Clocks {
    entry_ms: u64,
    intents: Vec<(Origin, u64)>,
}

impl Clocks {
    fn of(&self, home: Origin) -> u64 {
        let intent = self.intents.iter().find(|(origin, _)| *origin == home);
        let any = self.intents.iter().map(|(_, time_ms)| *time_ms).max();
        intent.map(|(_, time_ms)| *time_ms).or(any).unwrap_or(self.entry_ms)
    }
}

fn clocks(entry: &Entry, logs: &BTreeMap<Origin, Vec<Stored>>) -> Clocks {
    let intents = match &entry.body {
        Body::Decision { intents, .. } => &intents[..],
        _ => &[],
    };
    let time = |at: &Position| {
        let intent = logs.get(&at.origin).and_then(|log| entry_at(log, at.index));
        intent.map(|intent| (at.origin, intent.time_ms))
    };
    Clocks { entry_ms: entry.time_ms, intents: intents.iter().filter_map(time).collect() }
}

impl Counted {
    fn add(&mut self, at: Position, clocks: &Clocks, change: Change) -> Result<(), String> {
        let zone = (change.zone.clone(), change.incarnation);
        let earlier = change.stands_for.iter().map(|(request, _)| *request);
        for request in earlier.chain([change.request]) {
            let entries = self.requests.entry(request).or_default();
            if let Some(before) = entries.insert(zone.clone(), at) {
                return Err(format!("request {request:?} is done in {before} and in {at}"));
            }
        }
        let is_expiry = change.cause == Cause::Expiry;
        for name in change.names {
            let rank = (name.epoch, name.version);
            let owner = owner_text(&name.owner);
            let names = self.names.entry((owner.clone(), change.incarnation)).or_default();
            let (request, time_ms) = (change.request, clocks.of(name.home));
            let changed = Changed { at, time_ms, request, is_expiry, change: name };
            if let Some(other) = names.insert(rank, changed) {
                return Err(format!("{owner} has two changes {rank:?}: {} and {at}", other.at));
            }
        }
        Ok(())
    }
}
