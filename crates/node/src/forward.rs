//! Requests that come to a node which does not lead: sent to the one that does, and answered once
//! what was done shows here.
//!
//! A request is kept until its answer or its deadline, and sent again when another node leads or
//! the connection was lost: that is safe, since the state carries the ids of requests. Pure: no
//! clock, and no socket.

use einhorn_core::commit::DEADLINE_MS;
use einhorn_core::link::Message;
use einhorn_core::model::request::{Outcome, Request, RequestId};
use einhorn_core::model::{Origin, Position};
use einhorn_links::FRAME_OCTETS_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// Requests that may wait; more are answered SERVFAIL at once.
const WAITING_MAX: usize = 65_536;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output<R> {
    /// Send this to the node that leads.
    Send(Vec<u8>),
    /// Tell the one who asked.
    Answer(R, Outcome),
}

struct Waiting<R> {
    request: Request,
    reply: R,
    deadline_ms: u64,
    /// The entry that did it, once that is known.
    done: Option<Position>,
}

/// The requests that wait.
pub(crate) struct Forwarding<R> {
    next_ticket: u64,
    /// By ticket: those that came first are first, and so are their deadlines.
    waiting: BTreeMap<u64, Waiting<R>>,
    /// Tickets of what is done and does not show here yet, by its entry.
    done: BTreeSet<(Origin, u64, u64)>,
    /// The next index of each log that is to be folded here.
    folded: BTreeMap<Origin, u64>,
    is_connected: bool,
}

impl<R> Forwarding<R> {
    /// Nothing waits, and so much is folded.
    pub(crate) fn new(folded: BTreeMap<Origin, u64>) -> Forwarding<R> {
        Forwarding {
            next_ticket: 1,
            waiting: BTreeMap::new(),
            done: BTreeSet::new(),
            folded,
            is_connected: false,
        }
    }

    /// Somebody asks.
    pub(crate) fn request(
        &mut self,
        now_ms: u64,
        request: Request,
        reply: R,
        out: &mut Vec<Output<R>>,
    ) {
        if self.waiting.len() >= WAITING_MAX {
            let reason = "too many requests wait for the node that leads; try again later";
            out.push(Output::Answer(reply, Outcome::servfail(reason)));
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let waiting = Waiting { request, reply, deadline_ms: now_ms + DEADLINE_MS, done: None };
        let frame = encode(ticket, &waiting, now_ms);
        if frame.len() > FRAME_OCTETS_MAX {
            let reason = "this is too large to be sent on; ask the node that leads itself";
            out.push(Output::Answer(waiting.reply, Outcome::servfail(reason)));
            return;
        }
        if self.is_connected {
            out.push(Output::Send(frame));
        }
        self.waiting.insert(ticket, waiting);
    }

    /// The node that leads is connected: it is sent all that is not known to be done.
    pub(crate) fn connected(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        self.is_connected = true;
        let undone = self.waiting.iter().filter(|(_, waiting)| waiting.done.is_none());
        out.extend(undone.map(|(ticket, it)| Output::Send(encode(*ticket, it, now_ms))));
    }

    /// It is connected no longer.
    pub(crate) fn disconnected(&mut self) {
        self.is_connected = false;
    }

    /// It has answered.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        id: RequestId,
        outcome: Outcome,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(waiting) = self.waiting.get_mut(&ticket).filter(|it| it.request.id == id) else {
            return;
        };
        match outcome {
            Outcome::Done { at } if !is_folded(&self.folded, at) => {
                if waiting.done.is_none() {
                    waiting.done = Some(at);
                    self.done.insert((at.origin, at.index, ticket));
                }
            }
            outcome => self.finish(ticket, outcome, out),
        }
    }

    /// So much is folded and published here now.
    pub(crate) fn folded(&mut self, folded: BTreeMap<Origin, u64>, out: &mut Vec<Output<R>>) {
        self.folded = folded;
        let mut shown = Vec::new();
        for (origin, next) in &self.folded {
            let here = (*origin, 0, 0)..(*origin, *next, 0);
            let tickets = self.done.range(here);
            shown.extend(
                tickets.map(|&(origin, index, ticket)| (Position { origin, index }, ticket)),
            );
        }
        for (at, ticket) in shown {
            self.finish(ticket, Outcome::Done { at }, out);
        }
    }

    /// Gives up on what has waited too long.
    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        while let Some((ticket, waiting)) = self.waiting.first_key_value()
            && waiting.deadline_ms <= now_ms
        {
            let reason = match (waiting.done, self.is_connected) {
                (Some(_), _) => "it is done, but does not show at this node yet; a retry finds out",
                (None, true) => {
                    "the node that leads the site has not answered in time; it may still be done, \
                     and a retry finds out"
                }
                (None, false) => {
                    "no node that leads the site can be reached from here; it may have been done, \
                     and a retry finds out"
                }
            };
            self.finish(*ticket, Outcome::servfail(reason), out);
        }
    }

    /// Answers everything that waits with SERVFAIL.
    pub(crate) fn refuse_all(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        self.done.clear();
        let all = std::mem::take(&mut self.waiting).into_values();
        out.extend(all.map(|waiting| Output::Answer(waiting.reply, Outcome::servfail(reason))));
    }

    /// When to call [`Forwarding::tick`], in milliseconds since 1970.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.deadline_ms)
    }

    fn finish(&mut self, ticket: u64, outcome: Outcome, out: &mut Vec<Output<R>>) {
        let Some(waiting) = self.waiting.remove(&ticket) else { return };
        if let Some(at) = waiting.done {
            self.done.remove(&(at.origin, at.index, ticket));
        }
        out.push(Output::Answer(waiting.reply, outcome));
    }
}

fn is_folded(folded: &BTreeMap<Origin, u64>, at: Position) -> bool {
    folded.get(&at.origin).is_some_and(|next| at.index < *next)
}

fn encode<R>(ticket: u64, waiting: &Waiting<R>, now_ms: u64) -> Vec<u8> {
    let message = Message::Forward {
        ticket,
        hops: 0,
        // The node that leads has seen all that any node has.
        seen: Vec::new(),
        budget_ms: waiting.deadline_ms.saturating_sub(now_ms),
        request: Box::new(waiting.request.clone()),
    };
    message.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_core::model::request::{Action, Commitment, Identity};

    const LOG: Origin = Origin { site: 1, generation: 1 };

    fn request(id: u8) -> Request {
        Request {
            id: RequestId([id; 32]),
            remember_until_seconds: 300,
            who: Identity::Operator,
            zone: "fleet.example.".parse().expect("a name"),
            action: Action::RemoveZone,
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        }
    }

    fn done(index: u64) -> Outcome {
        Outcome::Done { at: Position { origin: LOG, index } }
    }

    /// The tickets that are sent, and who is answered what.
    fn split(out: Vec<Output<u8>>) -> (Vec<u64>, Vec<(u8, bool)>) {
        let (mut sent, mut answered) = (Vec::new(), Vec::new());
        for output in out {
            match output {
                Output::Send(frame) => match Message::decode(&frame) {
                    Ok(Message::Forward { ticket, .. }) => sent.push(ticket),
                    other => panic!("{other:?}"),
                },
                Output::Answer(who, outcome) => {
                    answered.push((who, matches!(outcome, Outcome::Done { .. })));
                }
            }
        }
        (sent, answered)
    }

    #[test]
    fn an_answer_waits_until_the_change_shows_here() {
        let mut forwarding = Forwarding::new(BTreeMap::from([(LOG, 5)]));
        let mut out = Vec::new();
        forwarding.connected(0, &mut out);
        for id in 1..=3 {
            forwarding.request(0, request(id), id, &mut out);
        }
        assert_eq!(split(std::mem::take(&mut out)), (vec![1, 2, 3], vec![]));
        forwarding.answered(1, RequestId([1; 32]), done(5), &mut out);
        forwarding.answered(2, RequestId([2; 32]), done(6), &mut out);
        // Nobody's answer.
        forwarding.answered(3, RequestId([9; 32]), done(4), &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![]));
        forwarding.folded(BTreeMap::from([(LOG, 6)]), &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![(1, true)]));
        forwarding.answered(3, RequestId([3; 32]), done(4), &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![(3, true)]), "a retry");
        forwarding.tick(DEADLINE_MS, &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![(2, false)]));
        forwarding.folded(BTreeMap::from([(LOG, 9)]), &mut out);
        assert!(out.is_empty() && forwarding.next_deadline_ms().is_none());
    }

    #[test]
    fn what_is_undecided_goes_to_the_next_node_that_leads() {
        let mut forwarding = Forwarding::new(BTreeMap::new());
        let mut out = Vec::new();
        forwarding.request(0, request(1), 1, &mut out);
        forwarding.request(7, request(2), 2, &mut out);
        assert!(out.is_empty(), "nobody leads");
        forwarding.connected(10, &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![1, 2], vec![]));
        forwarding.answered(1, RequestId([1; 32]), done(0), &mut out);
        forwarding.disconnected();
        forwarding.request(20, request(3), 3, &mut out);
        forwarding.connected(30, &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![2, 3], vec![]), "not what is done");
        forwarding.answered(2, RequestId([2; 32]), Outcome::servfail("no"), &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![(2, false)]));
        forwarding.refuse_all("the end", &mut out);
        assert_eq!(split(std::mem::take(&mut out)), (vec![], vec![(1, false), (3, false)]));
    }
}
