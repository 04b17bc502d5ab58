//! The simulated sites: the real commit of each, links and disks that take their time and lose nothing,
//! and what is asked of them.
//!
//! It only carries what a commit says to where it says; it never decides anything itself.

use crate::people::{Act, Plan, Script, Wish};
use crate::policy::{Knowledge, Policy};
use crate::random::Random;
use crate::setup::{self, Logs, ZONE, name};
use einhorn_core::commit::{Append, Commit, Output, STATE_INTERVAL_MS};
use einhorn_core::link::{Message, entries_frame};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, Request, RequestId,
};
use einhorn_core::model::{Origin, Publication, StepKind};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One way between two sites, in milliseconds: a city, a country, an ocean.
const WAYS_MS: [u64; 3] = [10, 30, 80];
/// How long an append takes, in milliseconds.
const APPEND_MS: [u64; 2] = [1, 3];
/// How soon a client asks again that was told to, in milliseconds, and how often.
const AGAIN_MS: u64 = 250;
const AGAIN_MAX: u32 = 20;
/// Stored entries in one frame of a stream.
const STREAMED: usize = 64;
/// So long after the last wish that is not answered yet nothing is left to be done but to say "I am
/// here", in milliseconds: that is left out until somebody wants something again.
const BUSY_MS: u64 = 700;
/// What is under way at the end comes to its end within this, in milliseconds.
const REST_MS: u64 = 60_000;
/// TTL of every record, in seconds.
const TTL_SECONDS: u32 = 60;

/// Why a simulation ends early: an error in the product or in this crate.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Sites could not be made.
    #[error("the simulated sites cannot be made: {0}")]
    Setup(String),
    /// A commit wanted what should never be necessary here.
    #[error("site {site} of seed {seed}: {reason}")]
    Site {
        /// The seed.
        seed: u64,
        /// The site.
        site: u16,
        /// What happened.
        reason: String,
    },
}

/// What became of an act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// When it was answered for good, in milliseconds since 1970; 0 if never.
    pub answered_ms: u64,
    /// Whether it was done.
    pub is_done: bool,
    /// How often the client was told to ask again.
    pub again: u32,
    /// For each name: the version that its site showed when it was first asked.
    pub seen: Vec<u64>,
}

/// When a site showed which version of a name: both grow.
pub type Shown = Vec<(u64, u64)>;

/// All that is known at the end.
pub struct Told {
    /// Of each act.
    pub fates: Vec<Fate>,
    /// Each site's own log.
    pub logs: Vec<Vec<Arc<[u8]>>>,
    /// By site and number of a name.
    pub shown: Vec<HashMap<u16, Shown>>,
    /// Frames between sites.
    pub frames: u64,
}

enum Event {
    Act(usize),
    Up(u16, u16),
    Wake(u16),
    Written(u16, Arc<Append>),
    Frame(u16, u16, Vec<u8>),
    Streamed(u16, u16, Origin, u64),
}

struct SimulatedSite {
    commit: Commit<u64>,
    logs: Logs,
    wake_at: Option<u64>,
}

struct World<'w> {
    plan: &'w Plan,
    script: &'w Script,
    policy: Policy,
    known: &'w Knowledge,
    now: u64,
    random: Random,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    sites: Vec<SimulatedSite>,
    names: Vec<Name>,
    numbers: HashMap<Name, u16>,
    /// The first wish that has not come yet, and those that are not answered.
    next_act: usize,
    unanswered: u64,
    busy_until_ms: u64,
    apex: Name,
    told: Told,
}

/// Lets everything happen that a script wants, by one policy.
///
/// # Errors
/// [`WorldError`].
pub fn run(
    plan: &Plan,
    script: &Script,
    policy: Policy,
    known: &Knowledge,
) -> Result<Told, WorldError> {
    let begin_ms = script.acts.first().map_or(0, |act| act.at_ms).saturating_sub(REST_MS);
    let first = setup::first_log(plan.sites, begin_ms)?;
    let mut sites = Vec::new();
    for number in 1..=plan.sites {
        let (commit, logs) = setup::site(number, &first, policy.advisor(known))?;
        sites.push(SimulatedSite { commit, logs, wake_at: None });
    }
    let count = crate::people::PHONES + crate::people::HOSTS;
    let names = (0..count).map(|number| name(&format!("n{number}.{ZONE}")));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let numbers = names.iter().cloned().zip(0..).collect();
    let told = Told {
        fates: vec![Fate::default(); script.acts.len()],
        logs: Vec::new(),
        shown: vec![HashMap::new(); plan.sites.into()],
        frames: 0,
    };
    let mut world = World {
        plan,
        script,
        policy,
        known,
        now: begin_ms,
        random: Random::new(plan.seed ^ 0x776f_726c_6400_0000),
        queue: BTreeMap::new(),
        sequence: 0,
        sites,
        names,
        numbers,
        next_act: 0,
        unanswered: 0,
        busy_until_ms: begin_ms + BUSY_MS,
        apex: name(ZONE)?,
        told,
    };
    world.run()?;
    Ok(world.end())
}

impl World<'_> {
    fn at(&mut self, time_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((time_ms.max(self.now), self.sequence), event);
    }

    fn run(&mut self) -> Result<(), WorldError> {
        for one in 1..=self.plan.sites {
            self.site(one).wake_at = Some(self.now);
            self.at(self.now, Event::Wake(one));
            for other in (1..=self.plan.sites).filter(|other| *other != one) {
                self.at(self.now + 1, Event::Up(one, other));
            }
        }
        for (number, act) in self.script.acts.iter().enumerate() {
            self.at(act.at_ms, Event::Act(number));
        }
        let end_ms = self.script.acts.last().map_or(0, |act| act.at_ms) + REST_MS;
        while let Some(((time_ms, _), event)) = self.queue.pop_first()
            && time_ms <= end_ms
        {
            self.now = time_ms;
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), WorldError> {
        match event {
            Event::Act(number) => self.ask(number),
            Event::Up(site, peer) => {
                self.with(site, |commit, now, out| commit.peer_up(now, peer, out))
            }
            Event::Wake(site) => {
                let now = self.now;
                // Else an earlier one has taken its place.
                if self.site(site).wake_at.take_if(|at| *at == now).is_none() {
                    return Ok(());
                }
                self.with(site, |commit, now, out| commit.tick(now, out))
            }
            Event::Written(site, append) => {
                let logs = &mut self.site(site).logs;
                let own = (!append.own.is_empty()).then_some((append.origin, &append.own));
                let copies = append.copies.iter().map(|(origin, batch)| (*origin, batch));
                for (origin, batch) in own.into_iter().chain(copies) {
                    let entries = batch.entries().map(|(entry, _)| Arc::from(entry));
                    logs.entry(origin).or_default().extend(entries);
                }
                self.with(site, |commit, now, out| commit.appended(now, out))
            }
            Event::Frame(from, to, frame) => {
                let message =
                    Message::decode(&frame).map_err(|error| self.wrong(to, error.to_string()))?;
                self.told.frames += u64::from(!matches!(message, Message::State { .. }));
                self.with(to, |commit, now, out| commit.message(now, from, message, out))
            }
            Event::Streamed(site, to, origin, from) => {
                let log = self.site(site).logs.entry(origin).or_default();
                let entries: Vec<_> =
                    log.iter().skip(from as usize).take(STREAMED).cloned().collect();
                let next = from + entries.len() as u64;
                let frame = entries_frame(origin, from, entries.iter().map(|entry| &**entry));
                self.send(site, to, frame);
                self.with(site, |commit, _, out| commit.streamed(to, origin, next, out))
            }
        }
    }

    fn site(&mut self, number: u16) -> &mut SimulatedSite {
        &mut self.sites[usize::from(number) - 1]
    }

    fn wrong(&self, site: u16, reason: String) -> WorldError {
        WorldError::Site { seed: self.plan.seed, site, reason }
    }

    fn with(
        &mut self,
        number: u16,
        act: impl FnOnce(&mut Commit<u64>, u64, &mut Vec<Output<u64>>),
    ) -> Result<(), WorldError> {
        let (now, mut out) = (self.now, Vec::new());
        let site = self.site(number);
        act(&mut site.commit, now, &mut out);
        site.commit.flush(now, &mut out);
        for output in out {
            self.obey(number, output)?;
        }
        let is_busy = self.unanswered > 0 || now < self.busy_until_ms;
        let next_ms = self.script.acts.get(self.next_act).map_or(u64::MAX, |act| act.at_ms);
        let earliest_ms = if is_busy { now + 1 } else { next_ms.max(now + 1) };
        let site = self.site(number);
        if let Some(wanted) = site.commit.next_wake_ms().map(|at| at.max(earliest_ms))
            && site.wake_at.is_none_or(|at| at > wanted)
        {
            site.wake_at = Some(wanted);
            self.at(wanted, Event::Wake(number));
        }
        Ok(())
    }

    fn obey(&mut self, number: u16, output: Output<u64>) -> Result<(), WorldError> {
        match output {
            Output::Append(append) => {
                let [low, high] = APPEND_MS;
                let took = self.random.between(low, high);
                self.at(self.now + took, Event::Written(number, append));
            }
            Output::Publish(publication) => self.publish(number, &publication),
            Output::Answer(act, outcome, _) => self.answer(act as usize, &outcome),
            Output::Send(to, frame) => self.send(number, to, frame),
            Output::Stream { to, origin, from } => {
                self.at(self.now, Event::Streamed(number, to, origin, from));
            }
            // Nothing is sealed here.
            Output::Checkpoint(..) | Output::Cosignature(_) | Output::Sites(_) => {}
            Output::Rebuild(reason) => return Err(self.wrong(number, reason)),
        }
        Ok(())
    }

    fn send(&mut self, from: u16, to: u16, frame: Vec<u8>) {
        self.at(self.now + way_ms(from, to), Event::Frame(from, to, frame));
    }

    fn publish(&mut self, number: u16, publication: &Publication) {
        let Some(zone) = publication.zones.get(&self.apex) else { return };
        for step in &publication.steps {
            let StepKind::Changed { changes, .. } = &step.kind else { continue };
            for changed in changes {
                let Some(name) = self.numbers.get(&changed.owner) else { continue };
                let shown = self.told.shown[usize::from(number) - 1].entry(*name).or_default();
                if let Some(record) = zone.name(&changed.owner) {
                    shown.push((self.now, record.history().version));
                }
            }
        }
    }

    /// Somebody asks, for the first time or again.
    fn ask(&mut self, number: usize) -> Result<(), WorldError> {
        let (script, policy, known) = (self.script, self.policy, self.known);
        let act = &script.acts[number];
        self.busy_until_ms = self.now + BUSY_MS;
        if number == self.next_act {
            self.next_act += 1;
            self.unanswered += 1;
        }
        let (owners, apex) = (&self.names, &self.apex);
        if self.told.fates[number].seen.is_empty() {
            let zones = &self.sites[usize::from(act.site) - 1].commit.state().zones;
            let version = |name: u16| {
                let record = zones.get(apex)?.name(&owners[usize::from(name)])?;
                Some(record.history().version)
            };
            let seen = act.wanted.iter().map(|(name, _)| version(*name).unwrap_or(0));
            self.told.fates[number].seen = seen.collect();
        }
        let mut operations = Vec::new();
        for (name, wish) in &act.wanted {
            operations.extend(operations_of(&owners[usize::from(*name)], *wish));
        }
        let request = Request {
            id: id_of(number),
            remember_until_seconds: act.at_ms / 1000 + 600,
            who: Identity::Key(name(&act.who.key())?),
            zone: apex.clone(),
            action: Action::Update { prerequisites: Vec::new(), operations, lease: None },
            entered_site: act.site,
            audit_commitment: Commitment([0; 32]),
            decision: policy.fixed(number, self.under_way_since(act), known),
            audit: Vec::new(),
        };
        self.with(act.site, |commit, now, out| commit.request(now, request, number as u64, out))
    }

    /// From when on a site may not have seen what others did to the names of an act.
    fn under_way_since(&self, act: &Act) -> u64 {
        let state = self.sites[usize::from(act.site) - 1].commit.state();
        let Some(zone) = state.zones.get(&self.apex) else { return self.now };
        let owners = act.wanted.iter().map(|(name, _)| &self.names[usize::from(*name)]);
        let homes = owners.map(|owner| state.home_of(zone, zone.name(owner)).site);
        let away = homes.filter(|home| *home != act.site).map(|home| way_ms(act.site, home));
        self.now - away.max().unwrap_or(0)
    }

    fn answer(&mut self, act: usize, outcome: &Outcome) {
        // What was answered has not come everywhere yet.
        self.busy_until_ms = self.now + BUSY_MS;
        let (now, fate) = (self.now, &mut self.told.fates[act]);
        match outcome {
            Outcome::Refused { rcode: Rcode::SERVFAIL, .. } if fate.again < AGAIN_MAX => {
                fate.again += 1;
                self.at(now + AGAIN_MS, Event::Act(act));
            }
            outcome => {
                self.unanswered -= 1;
                fate.answered_ms = now;
                fate.is_done = matches!(outcome, Outcome::Done { .. });
            }
        }
    }

    fn end(mut self) -> Told {
        for site in &mut self.sites {
            let origin = site.commit.state().origin;
            self.told.logs.push(site.logs.remove(&origin).unwrap_or_default());
        }
        // What was left out: each site tells each other one.
        let [first, last] = [self.script.acts.first(), self.script.acts.last()];
        let took_ms = last.zip(first).map_or(0, |(last, first)| last.at_ms - first.at_ms);
        let pairs = u64::from(self.plan.sites) * u64::from(self.plan.sites - 1);
        self.told.frames += took_ms / STATE_INTERVAL_MS * pairs;
        self.told
    }
}

/// What an update says that wants this.
fn operations_of(owner: &Name, wish: Wish) -> Vec<Operation> {
    let (rtype, rdata) = match wish {
        Wish::Address(address) => (RecordType::A, Some(address.to_be_bytes().to_vec())),
        Wish::NoAddress => (RecordType::A, None),
        Wish::Network(low) => {
            let high = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];
            (RecordType::AAAA, Some([&high[..], &low.to_be_bytes()].concat()))
        }
        Wish::Note(word) => {
            let word = format!("{word:08x}");
            (RecordType::TXT, Some([&[word.len() as u8], word.as_bytes()].concat()))
        }
    };
    let mut operations = vec![Operation::DeleteRrSet(owner.clone(), rtype)];
    operations.extend(rdata.map(|rdata| Operation::Add {
        owner: owner.clone(),
        rtype,
        ttl: TTL_SECONDS,
        rdata: rdata.into(),
    }));
    operations
}

/// The id of an act's request.
fn id_of(act: usize) -> RequestId {
    let mut random = Random::new(act as u64 + 1);
    let mut id = [0; 32];
    id.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&random.next().to_be_bytes()));
    RequestId(id)
}

/// The act of each request.
pub(crate) fn acts_by_id(acts: usize) -> HashMap<RequestId, usize> {
    (0..acts).map(|act| (id_of(act), act)).collect()
}

/// How long it takes from one site to another, in milliseconds.
pub fn way_ms(one: u16, other: u16) -> u64 {
    WAYS_MS[usize::from(one + other) % WAYS_MS.len()]
}

/// A name's number, if it is one of the world's.
pub(crate) fn number_of(owner: &Name) -> Option<u16> {
    let text = owner.to_string();
    text.strip_prefix('n')?.split('.').next()?.parse().ok()
}
