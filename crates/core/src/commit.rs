//! The commit: a state machine per site that validates requests in order, decides, and says what
//! to append, what to publish and whom to answer.
//!
//! Inputs go in by method calls; outputs come out as [`Output`] values, in the order in which
//! they must happen. The machine owns the site's state and is its only writer. It never answers
//! anything that depends on a batch before that batch is durable, and after a failed append it
//! never acknowledges anything again: what is on disk then is unknown until a restart.

mod decide;

use crate::agent::{Advice, Agent};
use crate::model::entry::{Body, Change, Entry};
use crate::model::request::{Outcome, Request};
use crate::model::{Origin, Position, Publication, State, Steps};
use crate::rules::update::Refusal;
use einhorn_wire::Name;
use einhorn_wire::message::Rcode;

/// Requests remembered at most, so that their copies are recognised; about 60 octets each. When
/// the table is full new requests get SERVFAIL: nothing is forgotten early.
pub const REQUESTS_REMEMBERED_MAX: usize = 16_000_000;

/// Octets that a buffer keeps for the next entry or batch: one as large as a zone is rare.
const OCTETS_KEPT_MAX: usize = 8 << 20;

/// A batch of entries to append at once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Index of its first entry.
    pub first_index: u64,
    octets: Vec<u8>,
    audit: Vec<u8>,
    /// Ends of each entry in `octets` and of its audit data in `audit`.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    /// Entries with their audit data, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once((0, 0)).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| (&self.octets[start.0..end.0], &self.audit[start.1..end.1]))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Octets of all entries.
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    fn with_room_for(other: &Batch, first_index: u64) -> Batch {
        Batch {
            first_index,
            octets: Vec::with_capacity(other.octets.len().min(OCTETS_KEPT_MAX)),
            audit: Vec::with_capacity(other.audit.len()),
            ends: Vec::with_capacity(other.ends.len()),
        }
    }

    fn push(&mut self, entry: &[u8], audit: &[u8]) {
        self.octets.extend_from_slice(entry);
        self.audit.extend_from_slice(audit);
        self.ends.push((self.octets.len(), self.audit.len()));
    }
}

/// What should happen next. `R` is whatever the caller needs to reach the one who asked.
pub enum Output<R> {
    /// Make the batch durable, then call [`Commit::appended`] or [`Commit::append_failed`].
    Append(Batch),
    /// Let every query see this.
    Publish(Publication),
    /// Tell the one who asked. The advice is there when the agent was asked.
    Answer(R, Outcome, Option<Advice>),
}

/// An answer that waits for a batch.
type Waiting<R> = (R, Outcome, Option<Advice>);

/// A batch on its way to the disk.
struct InFlight<R> {
    /// What every query may see once it is durable.
    publication: Publication,
    answers: Vec<Waiting<R>>,
}

/// The commit of one site. One batch may be on its way to the disk while the next one fills.
pub struct Commit<R> {
    /// Includes both batches. Written here alone.
    state: State,
    agent: Box<dyn Agent>,
    /// Why nothing is acknowledged any more.
    failure: Option<String>,
    in_flight: Option<InFlight<R>>,
    /// The open batch.
    batch: Batch,
    /// What the open batch changes.
    steps: Steps,
    /// Answers that wait for the open batch.
    answers: Vec<Waiting<R>>,
    scratch: Vec<u8>,
}

impl<R> Commit<R> {
    /// A commit that goes on from `state`.
    pub fn new(state: State, agent: Box<dyn Agent>) -> Commit<R> {
        Commit {
            batch: Batch { first_index: state.next_index, ..Batch::default() },
            state,
            agent,
            failure: None,
            in_flight: None,
            steps: Steps::default(),
            answers: Vec::new(),
            scratch: Vec::new(),
        }
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
            self.batch = Batch::default();
            refuse(self.answers.drain(..), reason, out);
        }
    }

    /// The open batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Number of requests whose answers wait for the open batch.
    pub fn waiting(&self) -> usize {
        self.answers.len()
    }

    /// Whether a batch is on its way to the disk.
    pub fn is_appending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Begins a log: its first entry.
    pub fn begin_log(&mut self, now_ms: u64, origin: Origin, name: String) {
        assert!(self.state.next_index == 0, "a log begins once");
        self.stage(now_ms, Body::Genesis { origin, name }, &[]);
    }

    /// Takes a request into the open batch, or answers it at once.
    pub fn request(&mut self, now_ms: u64, request: Request, reply: R, out: &mut Vec<Output<R>>) {
        let now_ms = now_ms.max(self.state.last_time_ms);
        if let Some(reason) = &self.failure {
            refuse([(reply, (), None)], reason, out);
            return;
        }
        self.state.forget_before(now_ms / 1000);
        let (outcome, advice) = match self.state.done(&request.id) {
            Some(index) => (Outcome::Done { index }, None),
            None => match self.decide(now_ms, request) {
                Ok((index, advice)) => (Outcome::Done { index }, Some(advice)),
                Err(Refusal { rcode, reason }) => (Outcome::Refused { rcode, reason }, None),
            },
        };
        // What was seen may rest on a batch that is not durable yet, so the answer waits for it.
        match &mut self.in_flight {
            _ if !self.batch.is_empty() => self.answers.push((reply, outcome, advice)),
            Some(in_flight) => in_flight.answers.push((reply, outcome, advice)),
            None => out.push(Output::Answer(reply, outcome, advice)),
        }
    }

    /// Validates a request and stages its entry; gives the entry's index.
    fn decide(&mut self, now_ms: u64, mut request: Request) -> Result<(u64, Advice), Refusal> {
        if self.state.remembered() >= REQUESTS_REMEMBERED_MAX {
            return Err(Refusal::new(
                Rcode::SERVFAIL,
                "too many requests to remember; try again later",
            ));
        }
        if !self.state.would_remember(request.remember_until_seconds) {
            let reason = "too old to tell whether it was done before; sign it anew";
            return Err(Refusal::new(Rcode::SERVFAIL, reason));
        }
        let change = decide::change(&self.state, &*self.agent, now_ms, &mut request)?;
        let advice = change.advice;
        let index = self.stage(now_ms, Body::Change(change), &request.audit);
        Ok((index, advice))
    }

    /// Adds an entry to the open batch and folds it; gives its index.
    fn stage(&mut self, now_ms: u64, body: Body, audit: &[u8]) -> u64 {
        let entry = Entry { time_ms: now_ms.max(self.state.last_time_ms), body };
        let zone = match &entry.body {
            Body::Genesis { .. } | Body::MapRoot { .. } => None,
            Body::Change(Change { zone, .. }) | Body::Publication { zone, .. } => {
                self.state.zones.get(zone).filter(|zone| zone.soa().is_some())
            }
        };
        let serial_before = zone.map(|zone| zone.serial);
        let batch = &mut self.batch;
        batch.octets.reserve(entry.octets_about());
        let mut audit = audit;
        let parts = entry.encode(&mut self.scratch, |part| {
            batch.push(part, audit);
            audit = &[];
        });
        self.scratch.shrink_to(OCTETS_KEPT_MAX);
        if let Err(error) = self.state.fold(&entry, parts) {
            // The entry was made from this very state.
            unreachable!("an entry does not follow from the state it was made from: {error}");
        }
        self.steps.take_entry(entry, serial_before);
        self.state.next_index - 1
    }

    /// Closes the open batch, with a publication for each zone it changed. Does nothing while
    /// another batch is on its way, or when there is nothing to append.
    pub fn flush(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if self.batch.is_empty() || self.in_flight.is_some() || self.failure.is_some() {
            return;
        }
        let unpublished: Vec<Name> = self.steps.unpublished().cloned().collect();
        for zone in unpublished {
            let Some(serial) = self.state.zones.get(&zone).map(|zone| zone.next_serial()) else {
                continue;
            };
            let covers =
                vec![Position { origin: self.state.origin, index: self.state.next_index - 1 }];
            self.stage(now_ms, Body::Publication { zone, serial, covers }, &[]);
        }
        let publication =
            Publication { zones: self.state.zones.clone(), steps: self.steps.take_steps() };
        self.in_flight = Some(InFlight { publication, answers: std::mem::take(&mut self.answers) });
        // The next batch will be about as large as this one.
        let next = Batch::with_room_for(&self.batch, self.state.next_index);
        out.push(Output::Append(std::mem::replace(&mut self.batch, next)));
    }

    /// The batch is durable: publishes it and answers.
    pub fn appended(&mut self, out: &mut Vec<Output<R>>) {
        let Some(in_flight) = self.in_flight.take() else {
            unreachable!("no batch was being written")
        };
        out.push(Output::Publish(in_flight.publication));
        out.extend(
            in_flight
                .answers
                .into_iter()
                .map(|(reply, outcome, advice)| Output::Answer(reply, outcome, advice)),
        );
    }

    /// The batch may or may not be on disk: nothing of it is published, nobody is told it was
    /// done, and no later change is accepted, neither those that wait in the open batch.
    pub fn append_failed(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        let Some(in_flight) = self.in_flight.take() else {
            unreachable!("no batch was being written")
        };
        refuse(in_flight.answers, reason, out);
        self.refuse_from_now_on(reason, out);
    }
}

/// Answers SERVFAIL, whatever was found before.
fn refuse<R, O>(
    waiting: impl IntoIterator<Item = (R, O, Option<Advice>)>,
    reason: &str,
    out: &mut Vec<Output<R>>,
) {
    out.extend(waiting.into_iter().map(|(reply, _, advice)| {
        let refused = Outcome::Refused { rcode: Rcode::SERVFAIL, reason: reason.to_owned() };
        Output::Answer(reply, refused, advice)
    }));
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod zone_tests;
