//! Requests that another site decides on, and requests of other sites that this one decides on.
//!
//! A request that was sent on stays here until its answer or its deadline; when the link breaks it
//! is sent again, which is safe, since its home recognises it. Who receives a request must have
//! seen what the sender saw, else two sites could each believe the other one to be its home.

use super::clock::back;
use super::prepare::held_for_review;
use super::route::{Route, route};
use super::{Commit, Output, Waiting};
use crate::agent::Advice;
use crate::link::Message;
use crate::model::request::{Outcome, Request, RequestId};
use crate::model::settings::Level;
use crate::model::{Origin, Position};
use crate::rules::reverse::derived;
use crate::rules::update::Refusal;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Requests that may wait here for other sites; more are answered SERVFAIL at once.
const FORWARDED_MAX: usize = 65_536;
/// How often a request is sent on before it is given back: names that move while it is under way
/// make it take more than one hop.
const HOPS_MAX: u8 = 4;

/// Whom to tell what became of a request.
pub(super) enum Asker<R> {
    /// Somebody who asked here.
    Here {
        /// The way back.
        reply: R,
        /// When to give up, in milliseconds since 1970.
        deadline_ms: u64,
    },
    /// Another site.
    There {
        /// Its number.
        site: u16,
        /// Its number for the request.
        ticket: u64,
        /// The request.
        id: RequestId,
        /// When to give up, in milliseconds since 1970.
        deadline_ms: u64,
    },
    /// Nobody: the site acts on its own account.
    Nobody {
        /// When to give up, in milliseconds since 1970.
        deadline_ms: u64,
    },
}

impl<R> Asker<R> {
    pub(super) fn deadline_ms(&self) -> u64 {
        match self {
            Asker::Here { deadline_ms, .. }
            | Asker::There { deadline_ms, .. }
            | Asker::Nobody { deadline_ms } => *deadline_ms,
        }
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        match self {
            Asker::Here { deadline_ms, .. }
            | Asker::There { deadline_ms, .. }
            | Asker::Nobody { deadline_ms } => {
                back(deadline_ms, by_ms);
            }
        }
    }
}

/// A request that another site decides on.
struct Forwarded<R> {
    request: Request,
    /// The log of the site that it was sent to.
    home: Origin,
    seen: Vec<Position>,
    hops: u8,
    /// All who asked for the same.
    askers: Vec<Asker<R>>,
    since_ms: u64,
}

impl<R> Forwarded<R> {
    /// When the first who asked gives up.
    fn deadline_ms(&self) -> u64 {
        self.askers.iter().map(Asker::deadline_ms).min().unwrap_or(0)
    }
}

/// A request that waits until more has been seen here.
struct Parked<R> {
    request: Request,
    seen: Vec<Position>,
    hops: u8,
    asker: Asker<R>,
    since_ms: u64,
}

/// Requests under way between sites.
pub(super) struct Forwarding<R> {
    next_ticket: u64,
    tickets: BTreeMap<u64, Forwarded<R>>,
    by_id: HashMap<RequestId, u64>,
    /// When each ticket's first asker gives up.
    deadlines: BTreeSet<(u64, u64)>,
    parked: Vec<Parked<R>>,
}

impl<R> Default for Forwarding<R> {
    fn default() -> Forwarding<R> {
        Forwarding {
            next_ticket: 1,
            tickets: BTreeMap::new(),
            by_id: HashMap::new(),
            deadlines: BTreeSet::new(),
            parked: Vec::new(),
        }
    }
}

impl<R> Forwarding<R> {
    /// Requests that wait for other sites.
    pub(super) fn count(&self) -> usize {
        self.tickets.len() + self.parked.len()
    }

    /// Since when the oldest of them has waited.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let sent = self.tickets.values().map(|forwarded| forwarded.since_ms);
        sent.chain(self.parked.iter().map(|parked| parked.since_ms)).min()
    }

    fn insert(&mut self, ticket: u64, forwarded: Forwarded<R>) {
        self.by_id.insert(forwarded.request.id, ticket);
        self.deadlines.insert((forwarded.deadline_ms(), ticket));
        self.tickets.insert(ticket, forwarded);
    }

    fn remove(&mut self, ticket: u64) -> Option<Forwarded<R>> {
        let forwarded = self.tickets.remove(&ticket)?;
        self.by_id.remove(&forwarded.request.id);
        self.deadlines.remove(&(forwarded.deadline_ms(), ticket));
        Some(forwarded)
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        for forwarded in self.tickets.values_mut() {
            back(&mut forwarded.since_ms, by_ms);
            forwarded.askers.iter_mut().for_each(|asker| asker.set_back(by_ms));
        }
        let deadlines = std::mem::take(&mut self.deadlines).into_iter();
        self.deadlines = deadlines.map(|(at, ticket)| (at.saturating_sub(by_ms), ticket)).collect();
        for parked in &mut self.parked {
            back(&mut parked.since_ms, by_ms);
            parked.asker.set_back(by_ms);
        }
    }

    /// When the first of them gives up.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        let sent = self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms);
        sent.into_iter().chain(self.parked.iter().map(|parked| parked.asker.deadline_ms())).min()
    }
}

impl<R> Commit<R> {
    /// Decides, sends on, waits or refuses, whichever is right for this request now.
    pub(super) fn take(
        &mut self,
        now_ms: u64,
        mut request: Request,
        asker: Asker<R>,
        hops: u8,
        out: &mut Vec<Output<R>>,
    ) {
        if let Some(reason) = &self.failure {
            Self::tell(asker, Outcome::servfail(reason.clone()), None, out);
            return;
        }
        // A copy of this very request may be held.
        self.release_before(now_ms, &request, out);
        self.state.forget_before(now_ms / 1000);
        if let Some(at) = self.state.done(&request.id) {
            let level = self.level_of(&request.zone);
            let outcome = Outcome::Done { at };
            self.answer_when_durable(Waiting { asker, outcome, advice: None, level }, out);
            return;
        }
        if let Some(at) = self.state.reviews.of_request(&request.id) {
            let Refusal { rcode, reason } = held_for_review(at);
            let (level, outcome) = (Level::Local, Outcome::Refused { rcode, reason });
            self.answer_when_durable(Waiting { asker, outcome, advice: None, level }, out);
            return;
        }
        let derived = derived(&self.state, &request);
        let route = route(&self.state, &request, &derived);
        if matches!(asker, Asker::Here { .. }) {
            self.look(now_ms, &mut request, &route);
        }
        match route {
            Route::To(home, _) if self.is_prepared(&request, home) => {
                self.coordinate(now_ms, request, hops, asker, out);
            }
            Route::To(home, _) if home == self.state.origin && self.may_append() => {
                if self.is_blocked(&request) || derived.iter().any(|part| self.is_blocked(part)) {
                    let seen = Vec::new();
                    self.park(Parked { request, seen, hops, asker, since_ms: now_ms }, out);
                } else if let Some(what) = self.to_hold(now_ms, &request) {
                    self.hold(now_ms, what, request, asker);
                } else {
                    self.decide_here(now_ms, request, derived, asker, out);
                }
            }
            // Not yet known whether the log may go on, or goes on in the site's next one: until
            // then nothing is decided.
            Route::To(home, seen)
                if home.site == self.state.origin.site || home == Origin::NONE =>
            {
                self.park(Parked { request, seen, hops, asker, since_ms: now_ms }, out);
            }
            Route::To(home, seen) => self.forward(now_ms, request, (home, seen), hops, asker, out),
            Route::Several(_) => self.coordinate(now_ms, request, hops, asker, out),
        }
    }

    /// Whether this site decides on a request now, with all that is derived from it.
    pub(super) fn is_decided_here(&self, request: &Request, derived: &[Request]) -> bool {
        let is_home = matches!(
            route(&self.state, request, derived),
            Route::To(home, _) if home == self.state.origin
        );
        let is_blocked = || std::iter::once(request).chain(derived).any(|one| self.is_blocked(one));
        is_home && self.may_append() && !is_blocked()
    }

    pub(super) fn forward(
        &mut self,
        now_ms: u64,
        request: Request,
        (home, seen): (Origin, Vec<Position>),
        hops: u8,
        asker: Asker<R>,
        out: &mut Vec<Output<R>>,
    ) {
        if hops >= HOPS_MAX {
            let reason = "the names moved again and again while this was under way; try again";
            Self::tell(asker, Outcome::servfail(reason), None, out);
            return;
        }
        // A retry joins the wait for the first.
        let ticket = self.forwarding.by_id.get(&request.id).copied();
        if let Some(mut forwarded) = ticket.and_then(|ticket| self.forwarding.remove(ticket)) {
            forwarded.askers.push(asker);
            return self.forwarding.insert(ticket.unwrap_or(0), forwarded);
        }
        let name = self.state.registry.name_of(home.site);
        if self.forwarding.count() >= FORWARDED_MAX {
            let reason = format!("too many requests wait for site {name}; try again later");
            Self::tell(asker, Outcome::servfail(reason), None, out);
            return;
        }
        if self.peers.is_away(home.site, now_ms) {
            let reason = format!("site {name}, which decides on this, cannot be reached from here");
            Self::tell(asker, Outcome::servfail(reason), None, out);
            return;
        }
        let ticket = self.forwarding.next_ticket;
        self.forwarding.next_ticket += 1;
        let askers = vec![asker];
        let forwarded = Forwarded { request, home, seen, hops, askers, since_ms: now_ms };
        if self.peers.is_up(home.site) {
            out.push(send_forward(ticket, &forwarded, now_ms));
        }
        self.forwarding.insert(ticket, forwarded);
    }

    /// Another site sent a request here.
    pub(super) fn forwarded_here(
        &mut self,
        now_ms: u64,
        asker: Asker<R>,
        request: Request,
        seen: Vec<Position>,
        hops: u8,
        out: &mut Vec<Output<R>>,
    ) {
        if seen.iter().all(|at| self.state.has_seen(*at)) {
            self.take(now_ms, request, asker, hops + 1, out);
        } else {
            let hops = hops + 1;
            self.park(Parked { request, seen, hops, asker, since_ms: now_ms }, out);
        }
    }

    fn park(&mut self, parked: Parked<R>, out: &mut Vec<Output<R>>) {
        if self.forwarding.count() >= FORWARDED_MAX {
            Self::tell(
                parked.asker,
                Outcome::servfail("too many requests wait; try again later"),
                None,
                out,
            );
        } else {
            self.forwarding.parked.push(parked);
        }
    }

    /// Looks again at what waited for something to be seen.
    pub(super) fn unpark(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        self.prepare_waiting(now_ms, out);
        if self.forwarding.parked.is_empty() {
            return;
        }
        for parked in std::mem::take(&mut self.forwarding.parked) {
            if !parked.seen.iter().all(|at| self.state.has_seen(*at)) {
                self.forwarding.parked.push(parked);
                continue;
            }
            let Parked { request, asker, hops, .. } = parked;
            self.take(now_ms, request, asker, hops, out);
        }
    }

    /// The site that a request was sent to has answered.
    pub(super) fn answered(
        &mut self,
        now_ms: u64,
        ticket: u64,
        id: RequestId,
        outcome: Outcome,
        out: &mut Vec<Output<R>>,
    ) {
        // After a restart tickets begin anew: an answer may be meant for one from before.
        let is_ours = |forwarded: &Forwarded<R>| forwarded.request.id == id;
        if !self.forwarding.tickets.get(&ticket).is_some_and(is_ours) {
            return;
        }
        let Some(forwarded) = self.forwarding.remove(ticket) else { return };
        if let (Some(advisor), Outcome::Done { .. }) = (&mut self.advisor, &outcome) {
            advisor.forwarded(now_ms.saturating_sub(forwarded.since_ms));
        }
        let level = self.level_of(&forwarded.request.zone);
        for asker in forwarded.askers {
            let outcome = outcome.clone();
            self.settle(Waiting { asker, outcome, advice: None, level }, out);
        }
    }

    /// Sends again what waits for this site.
    pub(super) fn forward_again(&mut self, now_ms: u64, site: u16, out: &mut Vec<Output<R>>) {
        let waiting = self.forwarding.tickets.iter().filter(|(_, f)| f.home.site == site);
        out.extend(waiting.map(|(ticket, forwarded)| send_forward(*ticket, forwarded, now_ms)));
    }

    /// Routes everything anew that waits for a log that another one took over.
    pub(super) fn reroute(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let closed = |home: Origin| self.state.in_charge(home) != home;
        let lost: Vec<u64> = (self.forwarding.tickets.iter())
            .filter(|(_, forwarded)| closed(forwarded.home))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in lost {
            let Some(forwarded) = self.forwarding.remove(ticket) else { continue };
            for asker in forwarded.askers {
                self.take(now_ms, forwarded.request.clone(), asker, forwarded.hops, out);
            }
        }
    }

    /// Gives up on what has waited too long.
    pub(super) fn give_up_forwarded(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        while let Some((deadline_ms, ticket)) = self.forwarding.deadlines.first().copied()
            && deadline_ms <= now_ms
            && let Some(mut forwarded) = self.forwarding.remove(ticket)
        {
            let name = self.state.registry.name_of(forwarded.home.site);
            let reason = format!(
                "site {name} decides on this and has not answered in time; it may still be done, and a retry finds out"
            );
            let (over, rest): (Vec<_>, Vec<_>) =
                forwarded.askers.into_iter().partition(|asker| asker.deadline_ms() <= now_ms);
            for asker in over {
                Self::tell(asker, Outcome::servfail(reason.clone()), None, out);
            }
            forwarded.askers = rest;
            if !forwarded.askers.is_empty() {
                self.forwarding.insert(ticket, forwarded);
            }
        }
        let is_over = |parked: &Parked<R>| parked.asker.deadline_ms() <= now_ms;
        let (over, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.forwarding.parked).into_iter().partition(is_over);
        self.forwarding.parked = rest;
        for parked in over {
            let reason = if self.may_append() {
                "the names were part of another change, or this site has not heard enough of the others in time".to_owned()
            } else {
                self.why_not_append()
            };
            Self::tell(parked.asker, Outcome::servfail(reason), None, out);
        }
    }

    /// Everything that waits is answered SERVFAIL.
    pub(super) fn refuse_all_waiting(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        let forwarding = std::mem::take(&mut self.forwarding);
        let sent = forwarding.tickets.into_values().flat_map(|forwarded| forwarded.askers);
        let parked = forwarding.parked.into_iter().map(|parked| parked.asker);
        let coordinated = self.coordination.drain();
        let held = self.held.drain();
        for asker in sent.chain(parked).chain(coordinated).chain(held) {
            Self::tell(asker, Outcome::servfail(reason), None, out);
        }
        self.refuse_levels(reason, out);
    }

    /// Tells the one who asked.
    pub(super) fn tell(
        asker: Asker<R>,
        outcome: Outcome,
        advice: Option<Advice>,
        out: &mut Vec<Output<R>>,
    ) {
        out.push(match asker {
            Asker::Here { reply, .. } => Output::Answer(reply, outcome, advice),
            Asker::There { site, ticket, id, .. } => {
                Output::Send(site, Message::Answer { ticket, request: id, outcome }.encode())
            }
            Asker::Nobody { .. } => return,
        });
    }
}

fn send_forward<R>(ticket: u64, forwarded: &Forwarded<R>, now_ms: u64) -> Output<R> {
    let message = Message::Forward {
        ticket,
        hops: forwarded.hops,
        seen: forwarded.seen.clone(),
        budget_ms: forwarded.deadline_ms().saturating_sub(now_ms),
        request: Box::new(forwarded.request.clone()),
    };
    Output::Send(forwarded.home.site, message.encode())
}
