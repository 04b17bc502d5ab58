//! The commit: a state machine per site that validates requests in order, decides, and says what
//! to append, what to publish, what to tell the other sites and whom to answer.
//!
//! Inputs go in by method calls; outputs come out as [`Output`] values, in the order in which
//! they must happen. The machine owns the site's state and is its only writer. It never answers
//! anything that depends on a batch before that batch is durable, and after a failed append it
//! never acknowledges anything again: what is on disk then is unknown until a restart.
//!
//! A site alone needs [`request`](Commit::request), [`flush`](Commit::flush) and
//! [`appended`](Commit::appended). What other sites add is in the modules below: [`route`] says
//! which site decides on a request, [`forward`] sends it there, [`coordinate`] and [`prepare`] are for
//! names with different homes or a hazard that [`advising`] sees, [`coalesce`] joins
//! changes of a flapping name, [`copies`] follow the other logs and cosign them, [`level`] waits for cosignatures, [`proof`] and [`takeover`] keep one log per site
//! the only one.

mod advising;
mod batch;
pub mod bug;
mod causal;
mod clock;
mod coalesce;
mod coordinate;
mod copies;
mod decide;
mod endings;
mod followers;
mod forward;
mod leases;
mod level;
mod open;
mod output;
mod peers;
mod points;
mod prepare;
mod proof;
mod rebuild;
mod report;
mod route;
mod setup;
mod signatures;
mod sites;
mod source;
pub mod start;
mod takeover;
mod tombstones;

pub use batch::{Append, Batch};
pub use copies::CopyStart;
pub use output::{Cosignature, Output};
pub use peers::STATE_INTERVAL_MS;
pub use report::{CopyReport, PeerReport, Report, ReviewReport, SourceReport};
pub use setup::{DEADLINE_MS, Setup, Waits};
pub use signatures::{Keys, Signatures};
pub use start::Begin;

use crate::agent::{Advice, Advisor, Agent};
use crate::ledger::SignedCheckpoint;
use crate::ledger::note::SignerKey;
use crate::model::entry::{Body, Entry, Previous};
use crate::model::request::{Outcome, Request, RequestId};
use crate::model::settings::Level;
use crate::model::{Origin, Position, Publication, Registry, State};
use crate::rules::update::Refusal;
use batch::OCTETS_KEPT_MAX;
use bug::{Bug, has};
use coordinate::Coordination;
use einhorn_wire::Name;
use einhorn_wire::message::Rcode;
use forward::{Asker, Forwarding};
use open::{InFlight, Open, Waiting};
use prepare::{Preparing, held_for_review};
use rebuild::Rebuild;
use std::sync::Arc;

/// Requests remembered at most, so that their copies are recognised; about 60 octets each. When
/// the table is full new requests get SERVFAIL: nothing is forgotten early.
pub const REQUESTS_REMEMBERED_MAX: usize = 16_000_000;

/// The commit of one site. One batch may be on its way to the disk while the next one fills.
pub struct Commit<R> {
    /// Includes both batches. Written here alone.
    state: State,
    agent: Box<dyn Agent>,
    /// Looks at what enters here; none at a site without an agent of its own.
    advisor: Option<Box<Advisor>>,
    /// Why nothing is acknowledged any more.
    failure: Option<String>,
    /// What is still to be made durable before the state is folded anew.
    rebuild: Option<Rebuild>,
    in_flight: Option<InFlight<R>>,
    open: Open<R>,
    /// Zones that need a publication point, with when at the latest, in milliseconds.
    unpublished: Vec<(Name, u64)>,
    /// The log that is to be begun before anything else is appended.
    begin: Option<Begin>,
    /// Entries of this site's log that are durable.
    durable: u64,
    /// The registry that was last said outside.
    registry: Arc<Registry>,
    scratch: Vec<u8>,
    deadline_ms: u64,
    mirror: Option<SignerKey>,
    /// The newest checkpoint of the own log.
    checkpoint: Option<SignedCheckpoint>,
    peers: peers::Peers,
    copies: copies::Copies,
    signatures: Box<dyn Signatures>,
    followers: followers::Followers,
    forwarding: Forwarding<R>,
    coordination: Coordination<R>,
    preparing: Preparing,
    held: coalesce::Held<R>,
    /// What the clock showed last, in milliseconds since 1970.
    clock_ms: u64,
    levels: level::Levels<R>,
    proof: proof::Proof,
    takeovers: takeover::Takeovers,
    endings: endings::Endings,
    leases: leases::Leases,
    tombstones: tombstones::Tombstones,
}

impl<R> Commit<R> {
    /// A commit of a site that is alone, which goes on from `state`.
    pub fn new(state: State, agent: Box<dyn Agent>) -> Commit<R> {
        Commit::with_sites(state, agent, Setup::default())
    }

    /// A commit that goes on from `state`, among other sites.
    pub fn with_sites(state: State, agent: Box<dyn Agent>, setup: Setup) -> Commit<R> {
        // Where no other site was ever heard of there is nobody to ask.
        let must_prove = setup.must_prove && !state.registry.is_alone();
        let mut commit = Commit {
            open: Open::new(Batch::starting_at(state.next_index())),
            durable: state.next_index(),
            endings: endings::Endings::new(&state),
            leases: leases::Leases::new(setup.waits.lease_grace_ms, &state),
            registry: Arc::clone(&state.registry),
            state,
            agent,
            advisor: setup.advisor,
            failure: None,
            rebuild: None,
            in_flight: None,
            unpublished: Vec::new(),
            begin: setup.begin,
            scratch: Vec::new(),
            deadline_ms: setup.deadline_ms,
            mirror: setup.mirror,
            checkpoint: setup.checkpoint,
            peers: peers::Peers::default(),
            copies: copies::Copies::new(setup.copies),
            signatures: setup.signatures,
            followers: followers::Followers::default(),
            forwarding: Forwarding::default(),
            coordination: Coordination::default(),
            preparing: Preparing::default(),
            held: coalesce::Held::default(),
            clock_ms: 0,
            levels: level::Levels::new(setup.cosigned),
            proof: proof::Proof::new(must_prove),
            takeovers: takeover::Takeovers::wanting(setup.take_over),
            tombstones: tombstones::Tombstones::new(setup.waits),
        };
        commit.note_all_unpublished(0);
        commit
    }

    /// A commit that refuses every change for `reason`, while queries see `state`.
    pub fn read_only(state: State, agent: Box<dyn Agent>, reason: String) -> Commit<R> {
        Commit { failure: Some(reason), ..Commit::new(state, agent) }
    }

    /// The state, the open batch included.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why nothing is acknowledged any more, if so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Refuses every change from now on: something outside found that an acknowledgement could
    /// not be kept. The first reason stays. A batch on its way to the disk is still answered for.
    pub fn refuse_from_now_on(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        if self.failure.is_none() {
            self.failure = Some(reason.to_owned());
            let open = std::mem::replace(&mut self.open, Open::new(Batch::default()));
            self.refuse(open.answers, reason, out);
            self.refuse_all_waiting(reason, out);
        }
    }

    /// The open batch.
    pub fn batch(&self) -> &Batch {
        &self.open.batch
    }

    /// Octets that wait for the next append, copies of other logs included.
    pub fn open_octets(&self) -> usize {
        self.open.batch.octets() + self.open.copies.values().map(Batch::octets).sum::<usize>()
    }

    /// Number of requests whose answers wait for the open batch.
    pub fn waiting(&self) -> usize {
        self.open.answers.len()
    }

    /// Whether a batch is on its way to the disk.
    pub fn is_appending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Begins a log: its first entry. A site's second log goes on from its first.
    pub fn begin_log(
        &mut self,
        now_ms: u64,
        origin: Origin,
        name: String,
        previous: Option<Previous>,
    ) {
        assert!(self.state.next_of(origin) == 0, "a log begins once");
        self.state.origin = origin;
        self.open.batch = Batch::starting_at(0);
        self.durable = 0;
        self.stage(now_ms, Body::Genesis { origin, name, previous }, &[]);
    }

    /// Cosigns other logs with this key from now on.
    pub fn set_mirror(&mut self, mirror: SignerKey) {
        self.mirror = Some(mirror);
    }

    /// Logs what all names that this log touched so far come to: the map of its first `at` entries.
    /// Does nothing if the log has another map root behind that, or is not to be added to.
    pub fn log_map_root(&mut self, now_ms: u64, at: u64, names: u64, root: [u8; 32]) {
        let log = self.state.log(self.state.origin);
        let last = log.and_then(|log| log.map_root).map_or(0, |last| last.at);
        if self.failure.is_none() && self.may_append() && at >= last && at <= self.durable {
            self.stage(now_ms, Body::MapRoot { at, names, root }, &[]);
        }
    }

    /// Begins the log that was said at the start, if nobody has anything of it.
    fn begin_if_proven(&mut self, now_ms: u64) {
        if !self.proof.is_given() {
            return;
        }
        let Some(Begin { name, previous, leftovers }) = self.begin.take() else { return };
        if self.state.next_index() == 0 {
            self.begin_log(now_ms, self.state.origin, name, previous);
            for (position, octets) in leftovers.into_iter().filter(|_| !has(Bug::LeftoversDropped))
            {
                self.keep_leftover(now_ms, position, octets);
            }
        }
    }

    /// Takes a request into the open batch, sends it to the site that decides, or answers it at
    /// once.
    pub fn request(&mut self, now_ms: u64, request: Request, reply: R, out: &mut Vec<Output<R>>) {
        self.begin_if_proven(now_ms);
        let deadline_ms = now_ms + self.deadline_ms;
        self.take(now_ms, request, Asker::Here { reply, deadline_ms }, 0, out);
    }

    /// Decides on a request that this site is to decide on.
    fn decide_here(
        &mut self,
        now_ms: u64,
        request: Request,
        derived: Vec<Request>,
        asker: Asker<R>,
        out: &mut Vec<Output<R>>,
    ) {
        let level = self.level_of_all(std::iter::once(&request).chain(&derived));
        let (outcome, advice) = match self.decide(now_ms, request, derived, Vec::new()) {
            Ok((at, advice)) => (Outcome::Done { at }, Some(advice)),
            Err(Refusal { rcode, reason }) => (Outcome::Refused { rcode, reason }, None),
        };
        self.open.is_urgent |= level > Level::Local;
        self.answer_when_durable(Waiting { asker, outcome, advice, level }, out);
    }

    /// What was seen may rest on a batch that is not durable yet, so the answer waits for it.
    fn answer_when_durable(&mut self, waiting: Waiting<R>, out: &mut Vec<Output<R>>) {
        if has(Bug::AcknowledgedEarly) {
            return Self::tell(waiting.asker, waiting.outcome, waiting.advice, out);
        }
        match &mut self.in_flight {
            _ if !self.open.is_empty() => self.open.answers.push(waiting),
            Some(in_flight) => in_flight.answers.push(waiting),
            None => self.settle(waiting, out),
        }
    }

    /// Validates a request, with what is derived from it, and stages the entry; gives its place. The
    /// entry stands for these earlier requests too.
    fn decide(
        &mut self,
        now_ms: u64,
        mut request: Request,
        derived: Vec<Request>,
        stands_for: Vec<(RequestId, u64)>,
    ) -> Result<(Position, Advice), Refusal> {
        let now_ms = now_ms.max(self.state.last_time_ms());
        self.recognises_copies_of(&request)?;
        let (mut body, advice) =
            decide::body(&self.state, &*self.agent, now_ms, &mut request, derived)?;
        if !stands_for.is_empty() {
            body.stand_for(stands_for);
        }
        let is_review = matches!(body, Body::Review(_));
        let index = self.stage(now_ms, body, &request.audit);
        let at = Position { origin: self.state.origin, index };
        if is_review { Err(held_for_review(at)) } else { Ok((at, advice)) }
    }

    /// Whether copies of a request will be recognised, once it is done.
    fn recognises_copies_of(&self, request: &Request) -> Result<(), Refusal> {
        let refuse = |reason: &str| Err(Refusal::new(Rcode::SERVFAIL, reason));
        if self.state.remembered() >= REQUESTS_REMEMBERED_MAX {
            return refuse("too many requests to remember; try again later");
        }
        if self.state.is_settled(&request.id) {
            return refuse("its edge has settled this already");
        }
        if !self.state.would_remember(request.remember_until_seconds) {
            return refuse("too old to tell whether it was done before; sign it anew");
        }
        Ok(())
    }

    /// Adds an entry to the open batch and folds it; gives its index.
    fn stage(&mut self, now_ms: u64, body: Body, audit: &[u8]) -> u64 {
        let entry = Entry { time_ms: now_ms.max(self.state.last_time_ms()), body };
        let batch = &mut self.open.batch;
        batch.reserve(entry.octets_about());
        let mut audit = audit;
        let parts = entry.encode(&mut self.scratch, |part| {
            batch.push(part, audit);
            audit = &[];
        });
        self.scratch.shrink_to(OCTETS_KEPT_MAX);
        let origin = self.state.origin;
        if let Err(error) = self.state.fold(origin, &entry, parts, &mut self.open.effects) {
            // The entry was made from this very state.
            unreachable!("an entry does not follow from the state it was made from: {error}");
        }
        self.note_leases(&entry);
        self.note_for_agent(now_ms, &entry);
        self.note_unpublished(now_ms);
        self.state.next_index() - 1
    }

    /// Closes the open batch, with the publication points that are due. Does nothing while
    /// another batch is on its way, or when there is nothing to append.
    pub fn flush(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if self.in_flight.is_some() {
            return;
        }
        if self.failure.is_some() {
            return self.keep_before_rebuild(out);
        }
        self.advance_transactions(now_ms, out);
        self.stage_points(now_ms);
        if self.open.is_empty() {
            return;
        }
        // The next batch will be about as large as this one.
        let next = Batch::with_room_for(&self.open.batch, self.open.batch.end());
        let open = std::mem::replace(&mut self.open, Open::new(next));
        let publication =
            Publication { zones: self.state.zones.clone(), steps: open.effects.steps };
        let append = Arc::new(Append {
            origin: self.state.origin,
            own: open.batch,
            copies: open.copies.into_iter().collect(),
            is_urgent: open.is_urgent,
        });
        if has(Bug::SentEarly) {
            self.send_to_followers(&append, out);
        }
        out.push(Output::Append(Arc::clone(&append)));
        self.in_flight = Some(InFlight { append, publication, answers: open.answers });
    }

    /// The batch is durable: publishes it, tells the other sites, and answers.
    pub fn appended(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let Some(InFlight { append, publication, answers }) = self.in_flight.take() else {
            unreachable!("no batch was being written")
        };
        if let Some(rebuild) = self.rebuild.take_if(|rebuild| rebuild.is_appending) {
            return out.push(Output::Rebuild(rebuild.reason));
        }
        out.push(Output::Publish(publication));
        if !append.own.is_empty() {
            self.durable = append.own.end();
        }
        answers.into_iter().for_each(|waiting| self.settle(waiting, out));
        if !self.is_alone() {
            self.copies_are_durable(now_ms, &append, out);
            self.send_to_followers(&append, out);
            self.release_levels(out);
        }
        if !Arc::ptr_eq(&self.registry, &self.state.registry) {
            self.registry = Arc::clone(&self.state.registry);
            self.peers_changed(out);
            out.push(Output::Sites(Arc::clone(&self.registry)));
        }
    }

    /// The batch may or may not be on disk: nothing of it is published, nobody is told it was
    /// done, and no later change is accepted, neither those that wait in the open batch.
    pub fn append_failed(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        let Some(in_flight) = self.in_flight.take() else {
            unreachable!("no batch was being written")
        };
        // Nor is anything kept for folding anew: only a restart finds out what it would follow.
        self.rebuild = None;
        self.refuse(in_flight.answers, reason, out);
        self.refuse_from_now_on(reason, out);
    }

    /// Answers SERVFAIL, whatever was found before.
    fn refuse(
        &mut self,
        waiting: impl IntoIterator<Item = Waiting<R>>,
        reason: &str,
        out: &mut Vec<Output<R>>,
    ) {
        for Waiting { asker, advice, .. } in waiting {
            let outcome = Outcome::servfail(reason);
            Self::tell(asker, outcome, advice, out);
        }
    }

    /// Whether nothing has ever been heard of another site.
    fn is_alone(&self) -> bool {
        self.state.registry.is_alone() && self.peers.is_empty()
    }

    /// Whether this site may add to its log now.
    fn may_append(&self) -> bool {
        self.state.origin != Origin::NONE
            && self.proof.is_given()
            && self.begin.is_none()
            && self.state.log(self.state.origin).is_none_or(|log| log.closed.is_none())
    }

    /// How far what all of these change must come.
    fn level_of_all<'r>(&self, requests: impl Iterator<Item = &'r Request>) -> Level {
        requests.map(|request| self.level_of(&request.zone)).max().unwrap_or_default()
    }

    /// How far changes of this zone must come before they are acknowledged. Of one site all have
    /// what it has.
    fn level_of(&self, zone: &Name) -> Level {
        if self.is_alone() {
            return Level::Local;
        }
        let level = self.state.zones.get(zone).map_or(Level::Local, |zone| zone.settings.level);
        self.takeovers.level_at_least(level)
    }
}

#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod zone_tests;
