//! What a site remembers of the changes that it has seen committed.
//!
//! Integers only: what fades, fades by halves with straight lines between, so that every machine
//! remembers the same.

use super::{COUNT, Features, level};
use crate::trace::{Change, Trace};
use std::collections::HashMap;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
const MONTH_S: i64 = 30 * DAY_S;
/// A request with this many changes is a batch.
const BATCH_CHANGES: u32 = 20;
const NEVER: u8 = 255;

/// A change that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Intent {
    /// Now, in seconds since 1970.
    pub now_s: i64,
    /// The number of its name.
    pub name: u32,
    /// The number of its record type.
    pub record_type: u32,
    /// The number of its writer.
    pub actor: u32,
    /// Whether it removes records.
    pub deletes: bool,
    /// Changes in the request that it comes with.
    pub request_changes: u32,
}

/// Something that fades by half in a while; in 1/65536.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    amount: u64,
    at_s: i64,
}

impl Fading {
    const ONE: u64 = 1 << 16;

    fn now(self, now_s: i64, half_s: i64) -> u64 {
        let age_s = (now_s - self.at_s).max(0);
        let halvings = age_s / half_s;
        if halvings >= 48 {
            return 0;
        }
        let amount = self.amount >> halvings;
        amount - amount * (age_s % half_s) as u64 / (2 * half_s as u64)
    }

    fn add(&mut self, now_s: i64, half_s: i64) {
        self.amount = self.now(now_s, half_s) + Self::ONE;
        self.at_s = now_s;
    }

    /// On a scale that tells a sixteenth of one from nothing.
    fn level(self, now_s: i64, half_s: i64) -> u8 {
        level(self.now(now_s, half_s) >> 12)
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
    actor: u32,
    last_s: i64,
    changes: u32,
    batch_s: Option<i64>,
}

#[derive(Debug, Clone, Default)]
struct OfName {
    writers: Vec<WriterOfName>,
    last: Option<(i64, u32)>,
    first_actor: Option<u32>,
    changes: u32,
    hazards: u32,
    duration: u8,
    day: Fading,
    month: Fading,
    types: Vec<u32>,
    open: Vec<Open>,
}

/// An intent in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    actor: u32,
    since_s: i64,
}

#[derive(Debug, Clone, Default)]
struct OfGroup {
    /// The last change, and the last one by anybody else than that writer.
    last: Option<(i64, u32)>,
    before: Option<i64>,
    changes: u32,
    day: Fading,
    open: Vec<Open>,
}

#[derive(Debug, Clone, Default)]
struct OfActor {
    changes: u32,
    names: u32,
    hazards: u32,
    last_s: Option<i64>,
    duration: Average,
}

/// The memory of one site.
#[derive(Debug, Clone)]
pub struct Observer {
    names: Vec<OfName>,
    groups: Vec<OfGroup>,
    group_of: Vec<u32>,
    shapes: Vec<u8>,
    kinds: Vec<u8>,
    actors: Vec<OfActor>,
    hour: Fading,
    day: Fading,
    duration: Average,
    batch_s: Option<i64>,
    open: u64,
}

impl Observer {
    /// Nothing seen yet, for the names, types and writers that a trace numbers.
    pub fn new(trace: &Trace) -> Observer {
        let mut groups = HashMap::new();
        let group = |name: &String| {
            let next = groups.len() as u32;
            *groups.entry(owner_of(name).to_owned()).or_insert(next)
        };
        let group_of: Vec<_> = trace.names.iter().map(group).collect();
        Observer {
            names: vec![OfName::default(); trace.names.len()],
            groups: vec![OfGroup::default(); groups.len()],
            group_of,
            shapes: trace.names.iter().map(|name| shape(name)).collect(),
            kinds: trace.record_types.iter().map(|kind| kind_of(kind)).collect(),
            actors: vec![OfActor::default(); trace.actors as usize],
            hour: Fading::default(),
            day: Fading::default(),
            duration: Average::default(),
            batch_s: None,
            open: 0,
        }
    }

    /// Takes an intent into view.
    pub fn begun(&mut self, change: &Change) {
        let open = Open { actor: change.actor, since_s: change.started_s };
        self.names[change.name as usize].open.push(open);
        self.groups[self.group_of[change.name as usize] as usize].open.push(open);
        self.open += 1;
    }

    /// Takes an intent out of view, if it is in it.
    fn ended(&mut self, change: &Change) {
        let open = Open { actor: change.actor, since_s: change.started_s };
        let remove = |list: &mut Vec<Open>| {
            let found = list.iter().position(|one| *one == open);
            found.map(|at| list.swap_remove(at)).is_some()
        };
        if remove(&mut self.names[change.name as usize].open) {
            remove(&mut self.groups[self.group_of[change.name as usize] as usize].open);
            self.open -= 1;
        }
    }

    /// Remembers a change that was committed, in a request of so many changes.
    pub fn committed(&mut self, change: &Change, request_changes: u32) {
        self.ended(change);
        let now_s = change.committed_s;
        let is_batch = request_changes >= BATCH_CHANGES;
        let duration = level((now_s - change.started_s) as u64);
        let actor = &mut self.actors[change.actor as usize];
        let name = &mut self.names[change.name as usize];
        let others = |writer: &&WriterOfName| writer.actor != change.actor;
        let met = name.writers.iter().filter(others).any(|other| other.last_s >= change.started_s);
        name.hazards += u32::from(met);
        actor.hazards += u32::from(met);
        match name.writers.iter_mut().find(|writer| writer.actor == change.actor) {
            Some(writer) => {
                writer.last_s = now_s;
                writer.changes += 1;
                writer.batch_s = if is_batch { Some(now_s) } else { writer.batch_s };
            }
            None => {
                actor.names += 1;
                let batch_s = is_batch.then_some(now_s);
                let actor = change.actor;
                name.writers.push(WriterOfName { actor, last_s: now_s, changes: 1, batch_s });
            }
        }
        name.last = Some((now_s, change.actor));
        name.first_actor.get_or_insert(change.actor);
        name.changes += 1;
        name.duration = duration;
        name.day.add(now_s, DAY_S);
        name.month.add(now_s, MONTH_S);
        name.types.retain(|kind| *kind != change.record_type);
        if !change.deletes {
            name.types.push(change.record_type);
        }
        let group = &mut self.groups[self.group_of[change.name as usize] as usize];
        if let Some((at_s, actor)) = group.last
            && actor != change.actor
        {
            group.before = Some(at_s);
        }
        group.last = Some((now_s, change.actor));
        group.changes += 1;
        group.day.add(now_s, DAY_S);
        actor.changes += 1;
        actor.last_s = Some(now_s);
        actor.duration.add(duration, 2);
        self.duration.add(duration, 5);
        self.hour.add(now_s, HOUR_S);
        self.day.add(now_s, DAY_S);
        if is_batch {
            self.batch_s = Some(now_s);
        }
    }

    /// What is known of a change that begins now. [`super::SCHEMA`] says what stands where.
    pub fn features(&self, intent: &Intent) -> Features {
        let mut row = [0; COUNT];
        self.of_name(intent, &mut row);
        self.of_group_and_actor(intent, &mut row);
        let now_s = intent.now_s;
        row[23] = self.hour.level(now_s, HOUR_S);
        row[24] = self.day.level(now_s, DAY_S);
        row[25] = self.duration.told();
        row[26] = age(now_s, self.batch_s);
        row[28] = level(u64::from(intent.request_changes));
        row[29] = self.kinds[intent.record_type as usize];
        row[30] = u8::from(intent.deletes);
        row[31] = self.shapes[intent.name as usize];
        row
    }

    fn of_name(&self, intent: &Intent, row: &mut Features) {
        let name = &self.names[intent.name as usize];
        let now_s = intent.now_s;
        let own = name.writers.iter().find(|writer| writer.actor == intent.actor);
        let others = || name.writers.iter().filter(|writer| writer.actor != intent.actor);
        let whose = |actor: Option<u32>| match actor {
            None => 0,
            Some(actor) if actor == intent.actor => 1,
            Some(_) => 2,
        };
        row[0] = age(now_s, name.last.map(|(at_s, _)| at_s));
        row[1] = age(now_s, others().map(|other| other.last_s).max());
        row[2] = age(now_s, own.map(|own| own.last_s));
        row[3] = level(u64::from(name.changes));
        row[4] = level(name.writers.len() as u64);
        row[5] = level(others().map(|other| u64::from(other.changes)).sum());
        row[6] = whose(name.last.map(|(_, actor)| actor));
        row[7] = whose(name.first_actor);
        row[8] = name.day.level(now_s, DAY_S);
        row[9] = name.month.level(now_s, MONTH_S);
        row[10] = level(name.types.len() as u64);
        row[11] = u8::from(name.types.contains(&intent.record_type));
        row[12] = level(u64::from(name.hazards));
        row[13] = if name.last.is_some() { name.duration } else { NEVER };
        row[22] = match name.last {
            Some((_, actor)) => level(u64::from(self.actors[actor as usize].names)),
            None => NEVER,
        };
        row[27] = age(now_s, others().filter_map(|other| other.batch_s).max());
        let open = || name.open.iter().filter(|open| open.actor != intent.actor);
        row[32] = level(open().count() as u64);
        row[33] = age(now_s, open().map(|open| open.since_s).max());
        row[34] = age(now_s, open().map(|open| open.since_s).min());
        row[35] = level((name.open.len() - open().count()) as u64);
    }

    fn of_group_and_actor(&self, intent: &Intent, row: &mut Features) {
        let group = &self.groups[self.group_of[intent.name as usize] as usize];
        let actor = &self.actors[intent.actor as usize];
        let now_s = intent.now_s;
        let other = match group.last {
            Some((at_s, last)) if last != intent.actor => Some(at_s),
            _ => group.before,
        };
        row[14] = age(now_s, other);
        row[15] = level(u64::from(group.changes));
        row[16] = group.day.level(now_s, DAY_S);
        row[17] = level(u64::from(actor.changes));
        row[18] = age(now_s, actor.last_s);
        row[19] = level(u64::from(actor.names));
        row[20] = actor.duration.told();
        row[21] = level(u64::from(actor.hazards));
        let others = group.open.iter().filter(|open| open.actor != intent.actor).count();
        row[36] = level(others as u64);
        row[37] = level(self.open);
    }
}

fn age(now_s: i64, at_s: Option<i64>) -> u8 {
    at_s.map_or(NEVER, |at_s| level((now_s - at_s).max(0) as u64))
}

/// The name without leading service labels, which belong to the owner of what follows.
fn owner_of(name: &str) -> &str {
    let mut rest = name;
    while let Some((first, parent)) = rest.split_once('.') {
        if !first.starts_with('_') && !matches!(first, "*" | "@" | "www") {
            break;
        }
        rest = parent;
    }
    rest
}

fn shape(name: &str) -> u8 {
    let labels = name.split('.').count().min(127) as u8;
    labels + if name.starts_with('_') { 128 } else { 0 }
}

fn kind_of(record_type: &str) -> u8 {
    match record_type {
        "A" | "AAAA" => 1,
        "CNAME" => 2,
        "TXT" => 3,
        "MX" => 4,
        "NS" => 5,
        _ => 0,
    }
}
