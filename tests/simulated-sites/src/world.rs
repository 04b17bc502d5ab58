//! The world: true time, everything that is going to happen, and the sites it happens to.

use crate::clients::{Attempt, Client, Operation};
use crate::counts::Counts;
use crate::faults::Fault;
use crate::links::{Connection, Split};
use crate::operators::Desk;
use crate::plan::Plan;
use crate::predictors::Predicts;
use crate::signatures::Signing;
use crate::site::Site;
use einhorn_core::commit::{Append, Output};
use einhorn_core::ledger::Hash;
use einhorn_core::link::Message;
use einhorn_core::model::{Origin, Position};
use einhorn_sim::random::Random;
use einhorn_wire::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// When the world begins, in milliseconds since 1970.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

/// Something that is going to happen.
pub(crate) enum Event {
    Wake { site: u16, life: u64 },
    Written { site: u16, life: u64, append: Arc<Append> },
    Seal { site: u16, life: u64 },
    Streamed { site: u16, life: u64, to: u16, origin: Origin, from: u64 },
    Start { site: u16, life: u64 },
    Connect { a: u16, b: u16 },
    Up { connection: usize, site: u16, peer: u16 },
    Break { connection: usize },
    Down { connection: usize, site: u16, peer: u16 },
    Frame { connection: usize, from: u16, to: u16, frame: Vec<u8>, has_arrived: bool },
    Register { site: u16, life: u64 },
    Desk,
    Client(usize),
    Overdue(u64),
    Fault,
    Act(Fault),
    Stop { site: u16, life: u64 },
}

/// Everything.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    /// True time, in milliseconds.
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub(crate) sites: Vec<Site>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) splits: BTreeMap<(u16, u16), Split>,
    pub(crate) clients: Vec<Client>,
    pub(crate) operations: Vec<Operation>,
    /// Attempts that are not answered, by number.
    pub(crate) attempts: BTreeMap<u64, Attempt>,
    /// The number of the last attempt.
    pub(crate) tokens: u64,
    pub(crate) desk: Desk,
    /// Whether faults and new requests go on.
    pub(crate) is_chaos: bool,
    /// State root and the publishing site by zone, incarnation and serial.
    pub(crate) published: BTreeMap<(String, u32, u32), ([u8; 32], u16)>,
    /// Roots that were cosigned.
    pub(crate) cosigned: BTreeMap<(Origin, u64), Hash>,
    /// Where a disk was set back to: what its log had beyond may be lost.
    pub(crate) set_back: BTreeMap<Origin, u64>,
    /// How long logs were whose disks were set back just now: their sites had signed that.
    pub(crate) signed: BTreeSet<(Origin, u64)>,
    /// Where the entries of logs begin that were once signed, and that no disk holds any more.
    pub(crate) forgotten: BTreeMap<Origin, u64>,
    pub(crate) counts: Counts,
    pub(crate) hash: u64,
    watch: Watch,
    pub(crate) trace: Vec<String>,
    pub(crate) signing: Signing,
    /// The names that an entry changed, if several: zone, incarnation, name, epoch and version.
    pub(crate) joint: HashMap<Position, Arc<[Joint]>>,
}

/// One of several names that an entry changed: zone, incarnation, name, epoch and version.
pub(crate) type Joint = (Name, u32, Name, (u32, u64));

/// How closely it is looked at what happens.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watch {
    /// Everything that happens is kept as text.
    pub(crate) is_traced: bool,
    /// Everything that happens goes into a hash, and each message must read back as it was.
    pub(crate) is_hashed: bool,
    /// Sites sign with their keys, instead of what stands for that.
    pub(crate) is_signed: bool,
    /// What the sites' agents predict with, instead of what the seed says.
    pub(crate) predicts: Option<Predicts>,
}

impl World {
    pub(crate) fn new(seed: u64, watch: Watch) -> World {
        let signing = Signing::new(watch.is_signed);
        let mut random = Random::new(seed ^ 0x5157_e5e5_0000_0000);
        let mut plan = Plan::new(seed, &mut random);
        plan.predicts = watch.predicts.unwrap_or(plan.predicts);
        let sites = (1..=plan.sites)
            .map(|number| {
                let skew_ms = random.below(4_000) as i64 - 2_000;
                let must_prove = plan.restores || random.one_in(3);
                Site::new(number, skew_ms, must_prove, plan.waits(), plan.predicts, signing.clone())
            })
            .collect();
        World {
            plan,
            random,
            now: BEGIN_MS,
            queue: BTreeMap::new(),
            sequence: 0,
            sites,
            connections: Vec::new(),
            splits: BTreeMap::new(),
            clients: Vec::new(),
            operations: Vec::new(),
            attempts: BTreeMap::new(),
            tokens: 0,
            desk: Desk::default(),
            is_chaos: false,
            published: BTreeMap::new(),
            cosigned: BTreeMap::new(),
            set_back: BTreeMap::new(),
            signed: BTreeSet::new(),
            forgotten: BTreeMap::new(),
            counts: Counts::default(),
            hash: 0xcbf2_9ce4_8422_2325,
            watch,
            trace: Vec::new(),
            signing,
            joint: HashMap::new(),
        }
    }

    /// Whether anybody looks closely.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.is_hashed || self.watch.is_traced
    }

    /// Notes that something happened.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if !self.is_watched() {
            return;
        }
        let line = line();
        let time = self.now - BEGIN_MS;
        for octet in line.bytes().chain(time.to_le_bytes()) {
            self.hash = (self.hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3);
        }
        if self.watch.is_traced {
            self.trace.push(format!("{:>7}.{:03} {line}", time / 1000, time % 1000));
        }
    }

    /// Lets something happen after so many milliseconds.
    pub(crate) fn later(&mut self, after_ms: u64, event: Event) {
        self.at(self.now + after_ms, event);
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((time.max(self.now), self.sequence), event);
    }

    /// The next thing that happens until then.
    pub(crate) fn next_until(&mut self, end: u64) -> Option<Event> {
        let (time, _) = *self.queue.keys().next()?;
        if time > end {
            self.now = end;
            return None;
        }
        self.now = time;
        self.queue.pop_first().map(|(_, event)| event)
    }

    /// Between `low` and `high`, each included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.random.below(high - low + 1)
    }

    pub(crate) fn site(&mut self, number: u16) -> &mut Site {
        &mut self.sites[usize::from(number) - 1]
    }

    pub(crate) fn is_running(&self, number: u16) -> bool {
        self.sites[usize::from(number) - 1].commit.is_some()
    }

    /// Lets a running site do something, and does what it says.
    pub(crate) fn with<T: Default>(
        &mut self,
        number: u16,
        act: impl FnOnce(&mut einhorn_core::commit::Commit<u64>, u64, &mut Vec<Output<u64>>) -> T,
    ) -> Result<T, String> {
        let now = self.now;
        let flushes_at_once = !self.random.one_in(3);
        let site = self.site(number);
        let clock = site.clock(now);
        let Some(commit) = &mut site.commit else { return Ok(T::default()) };
        let mut out = Vec::new();
        let result = act(commit, clock, &mut out);
        if flushes_at_once {
            commit.flush(clock, &mut out);
        }
        self.obey(number, out)?;
        self.wake_in_time(number, flushes_at_once);
        Ok(result)
    }

    /// Sees to it that a site is woken when it wants to be.
    fn wake_in_time(&mut self, number: u16, is_flushed: bool) {
        let (now, soon) = (self.now, self.now + self.random.below(4) + 1);
        let site = self.site(number);
        let Some(commit) = &site.commit else { return };
        let wanted = commit.next_wake_ms().map(|at| at.saturating_add_signed(-site.skew_ms));
        let due = if is_flushed { wanted } else { Some(soon.min(wanted.unwrap_or(soon))) };
        let Some(due) = due.map(|due| due.max(now + 1)) else { return };
        if site.wake_at.is_none_or(|at| at > due || at <= now) {
            site.wake_at = Some(due);
            let life = site.life;
            self.at(due, Event::Wake { site: number, life });
        }
    }

    /// Does what a site says should happen, in order.
    fn obey(&mut self, number: u16, out: Vec<Output<u64>>) -> Result<(), String> {
        for output in out {
            let life = self.site(number).life;
            match output {
                Output::Append(append) => {
                    if self.site(number).writing.is_some() {
                        return Err(format!("s{number} appends while it appends"));
                    }
                    self.site(number).writing = Some(Arc::clone(&append));
                    let slow = if self.random.one_in(40) { 120 } else { 6 };
                    let after = self.between(1, slow);
                    self.later(after, Event::Written { site: number, life, append });
                }
                Output::Publish(publication) => self.publish(number, publication)?,
                Output::Answer(token, outcome, _) => self.answer(number, token, outcome)?,
                Output::Send(to, frame) => {
                    self.note(|| match Message::decode(&frame) {
                        Ok(Message::State { .. }) => format!("s{number} -> s{to} state"),
                        Ok(message) => format!("s{number} -> s{to} {}", brief(&message)),
                        Err(error) => format!("s{number} -> s{to} {error}"),
                    });
                    self.send(number, to, frame);
                }
                Output::Stream { to, origin, from } => {
                    let after = self.between(0, 5);
                    self.later(after, Event::Streamed { site: number, life, to, origin, from });
                }
                Output::Checkpoint(origin, signed) => {
                    self.site(number).disk.checkpoints.insert(origin, signed);
                }
                Output::Cosignature(cosignature) => self.cosignature(number, &cosignature)?,
                Output::Sites(_) => {
                    self.note(|| format!("s{number} has a new registry"));
                    self.later(1, Event::Register { site: number, life });
                }
                Output::Rebuild(reason) => {
                    self.count("rebuilds");
                    self.note(|| format!("s{number} rebuilds: {reason}"));
                    if reason.contains("is wrong") {
                        return Err(format!("s{number}: {reason}"));
                    }
                    self.crash(number, 5)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A message in one line.
fn brief(message: &Message) -> String {
    match message {
        Message::Entries { origin, first, entries } => {
            format!("entries {origin}:{first}+{}", entries.len())
        }
        Message::Checkpoint { origin, note } => {
            format!("checkpoint {origin} {}", note.lines().nth(1).unwrap_or_default())
        }
        Message::Cosignature { origin, size, .. } => format!("cosignature {origin} {size}"),
        Message::Forward { ticket, hops, seen, request, .. } => {
            let seen: Vec<_> = seen.iter().map(ToString::to_string).collect();
            format!("forward {ticket} hop {hops} {:?} seen {seen:?}", request.id)
        }
        other => format!("{other:?}"),
    }
}
