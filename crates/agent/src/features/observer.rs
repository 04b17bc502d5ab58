//! What a site remembers of the changes that it has seen committed.
//!
//! Integers only: what fades, fades by halves with straight lines between, so that every machine
//! remembers the same.

use super::target::Target;
use super::{COUNT, Features, level};
use crate::recent::Recent;
use std::collections::HashMap;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const MONTH_MS: i64 = 30 * DAY_MS;
/// A request with this many changes is a batch.
const BATCH_CHANGES: u32 = 20;
const NEVER: u8 = 255;
/// Writers remembered of one name; the one that was away longest is forgotten for another.
const WRITERS_MAX: usize = 256;
/// Record types remembered of one name.
const TYPES_MAX: usize = 64;

/// A change of the records of one name and type, as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// When it begins, in milliseconds since 1970.
    pub started_ms: i64,
    /// What it is about.
    pub target: Target,
    /// Stands for its record type.
    pub record_type: u32,
    /// What kind of record type that is: see [`super::kind_of`].
    pub kind: u8,
    /// Stands for its writer.
    pub actor: u64,
    /// Whether it removes records.
    pub deletes: bool,
    /// Changes in the request that it comes with.
    pub request_changes: u32,
}

/// Something that fades by half in a while; in 1/65536.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    amount: u64,
    at_ms: i64,
}

impl Fading {
    const ONE: u64 = 1 << 16;

    fn now(self, now_ms: i64, half_ms: i64) -> u64 {
        let age_ms = (now_ms - self.at_ms).max(0);
        let halvings = age_ms / half_ms;
        if halvings >= 48 {
            return 0;
        }
        let amount = self.amount >> halvings;
        let part = u128::from(amount) * (age_ms % half_ms) as u128 / (2 * half_ms as u128);
        amount - part as u64
    }

    fn add(&mut self, now_ms: i64, half_ms: i64) {
        self.amount = self.now(now_ms, half_ms) + Self::ONE;
        self.at_ms = now_ms.max(self.at_ms);
    }

    /// On a scale that tells a sixteenth of one from nothing.
    fn level(self, now_ms: i64, half_ms: i64) -> u8 {
        level(self.now(now_ms, half_ms) >> 12)
    }
}

/// A fading average of levels, in 1/256.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    level: Option<u32>,
}

impl Average {
    fn add(&mut self, sample: u8, weight_shift: u32) {
        let sample = u32::from(sample) << 8;
        let last = self.level.unwrap_or(sample);
        self.level = Some(last - (last >> weight_shift) + (sample >> weight_shift));
    }

    fn told(self) -> u8 {
        self.level.map_or(NEVER, |level| (level >> 8).min(254) as u8)
    }
}

#[derive(Debug, Clone, Copy)]
struct WriterOfName {
    actor: u64,
    last_ms: i64,
    changes: u32,
    batch_ms: Option<i64>,
}

#[derive(Debug, Clone, Default)]
struct OfName {
    writers: Vec<WriterOfName>,
    last: Option<(i64, u64)>,
    first_actor: Option<u64>,
    changes: u32,
    hazards: u32,
    duration: u8,
    day: Fading,
    month: Fading,
    types: Vec<u32>,
}

/// An intent in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    actor: u64,
    since_ms: i64,
}

#[derive(Debug, Clone, Default)]
struct OfGroup {
    /// The last change, and the last one by anybody else than that writer.
    last: Option<(i64, u64)>,
    before: Option<i64>,
    changes: u32,
    day: Fading,
}

#[derive(Debug, Clone, Default)]
struct OfActor {
    changes: u32,
    names: u32,
    hazards: u32,
    last_ms: Option<i64>,
    duration: Average,
}

/// The memory of one site.
#[derive(Debug, Clone)]
pub struct Observer {
    names: Recent<OfName>,
    groups: Recent<OfGroup>,
    actors: Recent<OfActor>,
    /// By name, by group and in all: a name may be forgotten while something of it is open.
    open_names: HashMap<u64, Vec<Open>>,
    open_groups: HashMap<u64, Vec<Open>>,
    open: u64,
    hour: Fading,
    day: Fading,
    duration: Average,
    batch_ms: Option<i64>,
}

impl Observer {
    /// Nothing seen yet. At least the last `names` names that were changed will be remembered, with
    /// their groups and writers, and never more than twice as many; about 500 octets each.
    pub fn new(names: usize) -> Observer {
        Observer {
            names: Recent::new(names),
            groups: Recent::new(names),
            actors: Recent::new(names),
            open_names: HashMap::new(),
            open_groups: HashMap::new(),
            open: 0,
            hour: Fading::default(),
            day: Fading::default(),
            duration: Average::default(),
            batch_ms: None,
        }
    }

    /// How many names are remembered.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// Takes an intent into view.
    pub fn begun(&mut self, intent: &Intent) {
        let open = Open { actor: intent.actor, since_ms: intent.started_ms };
        self.open_names.entry(intent.target.name).or_default().push(open);
        self.open_groups.entry(intent.target.group).or_default().push(open);
        self.open += 1;
    }

    /// Takes an intent out of view, if it is in it: it was committed, or given up.
    pub fn ended(&mut self, intent: &Intent) {
        let open = Open { actor: intent.actor, since_ms: intent.started_ms };
        if remove(&mut self.open_names, intent.target.name, open) {
            remove(&mut self.open_groups, intent.target.group, open);
            self.open -= 1;
        }
    }

    /// Remembers a change that was committed.
    pub fn committed(&mut self, change: &Intent, committed_ms: i64) {
        self.ended(change);
        let Intent { actor, target, .. } = *change;
        let now_ms = committed_ms;
        let is_batch = change.request_changes >= BATCH_CHANGES;
        let duration = level((now_ms - change.started_ms).max(0) as u64);
        let name = self.names.change(target.name);
        let others = |writer: &&WriterOfName| writer.actor != actor;
        let met =
            name.writers.iter().filter(others).any(|other| other.last_ms >= change.started_ms);
        name.hazards += u32::from(met);
        let is_new = name.wrote(actor, now_ms, is_batch);
        name.last = Some((now_ms, actor));
        name.first_actor.get_or_insert(actor);
        name.changes += 1;
        name.duration = duration;
        name.day.add(now_ms, DAY_MS);
        name.month.add(now_ms, MONTH_MS);
        name.types.retain(|kind| *kind != change.record_type);
        if !change.deletes && name.types.len() < TYPES_MAX {
            name.types.push(change.record_type);
        }
        self.groups.change(target.group).wrote(actor, now_ms);
        let of_actor = self.actors.change(actor);
        of_actor.names += u32::from(is_new);
        of_actor.hazards += u32::from(met);
        of_actor.changes += 1;
        of_actor.last_ms = Some(now_ms);
        of_actor.duration.add(duration, 2);
        self.duration.add(duration, 5);
        self.hour.add(now_ms, HOUR_MS);
        self.day.add(now_ms, DAY_MS);
        if is_batch {
            self.batch_ms = Some(now_ms);
        }
    }

    /// What is known of a change that begins now. [`super::SCHEMA`] says what stands where.
    pub fn features(&self, intent: &Intent) -> Features {
        let mut row = [0; COUNT];
        self.of_name(intent, &mut row);
        self.of_group_and_actor(intent, &mut row);
        self.of_open(intent, &mut row);
        let now_ms = intent.started_ms;
        row[23] = self.hour.level(now_ms, HOUR_MS);
        row[24] = self.day.level(now_ms, DAY_MS);
        row[25] = self.duration.told();
        row[26] = age(now_ms, self.batch_ms);
        row[28] = level(u64::from(intent.request_changes));
        row[29] = intent.kind;
        row[30] = u8::from(intent.deletes);
        row[31] = intent.target.shape;
        row
    }

    fn of_name(&self, intent: &Intent, row: &mut Features) {
        let nothing = OfName::default();
        let name = self.names.get(intent.target.name).unwrap_or(&nothing);
        let now_ms = intent.started_ms;
        let own = name.writers.iter().find(|writer| writer.actor == intent.actor);
        let others = || name.writers.iter().filter(|writer| writer.actor != intent.actor);
        let whose = |actor: Option<u64>| match actor {
            None => 0,
            Some(actor) if actor == intent.actor => 1,
            Some(_) => 2,
        };
        row[0] = age(now_ms, name.last.map(|(at_ms, _)| at_ms));
        row[1] = age(now_ms, others().map(|other| other.last_ms).max());
        row[2] = age(now_ms, own.map(|own| own.last_ms));
        row[3] = level(u64::from(name.changes));
        row[4] = level(name.writers.len() as u64);
        row[5] = level(others().map(|other| u64::from(other.changes)).sum());
        row[6] = whose(name.last.map(|(_, actor)| actor));
        row[7] = whose(name.first_actor);
        row[8] = name.day.level(now_ms, DAY_MS);
        row[9] = name.month.level(now_ms, MONTH_MS);
        row[10] = level(name.types.len() as u64);
        row[11] = u8::from(name.types.contains(&intent.record_type));
        row[12] = level(u64::from(name.hazards));
        row[13] = if name.last.is_some() { name.duration } else { NEVER };
        row[22] = match name.last {
            Some((_, actor)) => {
                level(self.actors.get(actor).map_or(0, |actor| u64::from(actor.names)))
            }
            None => NEVER,
        };
        row[27] = age(now_ms, others().filter_map(|other| other.batch_ms).max());
    }

    fn of_group_and_actor(&self, intent: &Intent, row: &mut Features) {
        let (no_group, no_actor) = (OfGroup::default(), OfActor::default());
        let group = self.groups.get(intent.target.group).unwrap_or(&no_group);
        let actor = self.actors.get(intent.actor).unwrap_or(&no_actor);
        let now_ms = intent.started_ms;
        let other = match group.last {
            Some((at_ms, last)) if last != intent.actor => Some(at_ms),
            _ => group.before,
        };
        row[14] = age(now_ms, other);
        row[15] = level(u64::from(group.changes));
        row[16] = group.day.level(now_ms, DAY_MS);
        row[17] = level(u64::from(actor.changes));
        row[18] = age(now_ms, actor.last_ms);
        row[19] = level(u64::from(actor.names));
        row[20] = actor.duration.told();
        row[21] = level(u64::from(actor.hazards));
    }

    fn of_open(&self, intent: &Intent, row: &mut Features) {
        let now_ms = intent.started_ms;
        let of_name = self.open_names.get(&intent.target.name).map_or(&[][..], Vec::as_slice);
        let of_group = self.open_groups.get(&intent.target.group).map_or(&[][..], Vec::as_slice);
        let is_other = |open: &&Open| open.actor != intent.actor;
        let others = || of_name.iter().filter(is_other);
        row[32] = level(others().count() as u64);
        row[33] = age(now_ms, others().map(|open| open.since_ms).max());
        row[34] = age(now_ms, others().map(|open| open.since_ms).min());
        row[35] = level((of_name.len() - others().count()) as u64);
        row[36] = level(of_group.iter().filter(is_other).count() as u64);
        row[37] = level(self.open);
    }
}

impl OfName {
    /// Notes who wrote; whether that one never wrote here before, as far as is remembered.
    fn wrote(&mut self, actor: u64, now_ms: i64, is_batch: bool) -> bool {
        let batch_ms = is_batch.then_some(now_ms);
        if let Some(writer) = self.writers.iter_mut().find(|writer| writer.actor == actor) {
            writer.last_ms = now_ms;
            writer.changes += 1;
            writer.batch_ms = batch_ms.or(writer.batch_ms);
            return false;
        }
        if self.writers.len() >= WRITERS_MAX {
            let oldest = self.writers.iter().enumerate().min_by_key(|(_, writer)| writer.last_ms);
            let oldest = oldest.map_or(0, |(at, _)| at);
            self.writers.swap_remove(oldest);
        }
        self.writers.push(WriterOfName { actor, last_ms: now_ms, changes: 1, batch_ms });
        true
    }
}

impl OfGroup {
    fn wrote(&mut self, actor: u64, now_ms: i64) {
        if let Some((at_ms, last)) = self.last
            && last != actor
        {
            self.before = Some(at_ms);
        }
        self.last = Some((now_ms, actor));
        self.changes += 1;
        self.day.add(now_ms, DAY_MS);
    }
}

/// Takes one out of what is open; whether it was there.
fn remove(all: &mut HashMap<u64, Vec<Open>>, key: u64, open: Open) -> bool {
    let Some(list) = all.get_mut(&key) else { return false };
    let Some(at) = list.iter().position(|one| *one == open) else { return false };
    list.swap_remove(at);
    if list.is_empty() {
        all.remove(&key);
    }
    true
}

fn age(now_ms: i64, at_ms: Option<i64>) -> u8 {
    at_ms.map_or(NEVER, |at_ms| level((now_ms - at_ms).max(0) as u64))
}
