//! Changes of names with different homes, at the homes: intents, the decision, and what is over.
//!
//! A site that takes part logs an intent with what would become of its names. That is its vote: the
//! others read it in its log. When the anchor has folded the intents of all participants it logs the
//! decision, which carries all changes and makes them, here and wherever it is folded. A transaction
//! that a participant refuses, or whose time is over, is decided against by the anchor alone; nobody
//! else gives up an intent. Nothing is waited for with a name in hand: whoever finds it blocked
//! refuses at once.

use super::bug::{Bug, has};
use super::clock::back;
use super::coordinate::Part;
use super::route::names;
use super::{Commit, Output, decide};
use crate::agent::{Path, Rules};
use crate::link::Message;
use crate::model::entry::{Body, Change};
use crate::model::request::Request;
use crate::model::review::Review;
use crate::model::settings::Level;
use crate::model::transaction::Intent;
use crate::model::{Origin, Position, Transaction, TransactionId};
use crate::rules::update::Refusal;
use einhorn_wire::message::Rcode;

/// How often the anchor is asked again to decide on a transaction whose time is over, in
/// milliseconds.
const RESOLVE_INTERVAL_MS: u64 = 500;
/// Prepares that wait until more has been seen here; more are refused.
const WAITING_MAX: usize = 65_536;

/// A part of a change that this site is asked to do.
pub(super) struct Prepare {
    /// The site that asks.
    pub(super) from: u16,
    pub(super) transaction: Transaction,
    pub(super) part: Part,
    /// How long it may wait here, in milliseconds since 1970.
    pub(super) until_ms: u64,
}

/// Why there is no intent.
pub(super) struct NoIntent {
    pub(super) refusal: Refusal,
    /// Another attempt would come to the same.
    pub(super) is_final: bool,
    /// A person is to decide on this part.
    pub(super) review: Option<Box<Review>>,
}

/// What the asker of a change is told that waits for a person.
pub(super) fn held_for_review(at: Position) -> Refusal {
    Refusal::new(
        Rcode::REFUSED,
        format!("held for review {at}: another identity changed the name not long ago"),
    )
}

impl NoIntent {
    /// One that says nothing of another attempt.
    fn for_now(reason: &str) -> NoIntent {
        let refusal = Refusal::new(Rcode::SERVFAIL, reason);
        NoIntent { refusal, is_final: false, review: None }
    }

    /// One that holds for every attempt.
    pub(super) fn for_good(refusal: Refusal) -> NoIntent {
        NoIntent { refusal, is_final: true, review: None }
    }
}

/// What waits here to be prepared.
#[derive(Default)]
pub(super) struct Preparing {
    waiting: Vec<Prepare>,
    /// When the anchors were last asked.
    resolved_ms: u64,
}

impl Preparing {
    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        back(&mut self.resolved_ms, by_ms);
        self.waiting.iter_mut().for_each(|prepare| back(&mut prepare.until_ms, by_ms));
    }
}

impl<R> Commit<R> {
    /// Logs an intent, waits, or refuses.
    pub(super) fn prepare(&mut self, now_ms: u64, prepare: Prepare, out: &mut Vec<Output<R>>) {
        let id = prepare.transaction.id;
        let transactions = &self.state.transactions;
        let own = self.state.origin;
        // Also where the decision that it had finished turned out not to count.
        let is_known = transactions.intent(id, own).is_some() || transactions.has_finished(id, own);
        if is_known || transactions.decided(id).is_some() {
            return;
        }
        let has_seen = prepare.part.seen.iter().all(|at| self.state.has_seen(*at));
        let is_ready = has_seen && self.may_append();
        if !is_ready && now_ms < prepare.until_ms {
            if self.preparing.waiting.len() < WAITING_MAX {
                self.preparing.waiting.push(prepare);
            }
            return;
        }
        let Prepare { from, transaction, mut part, .. } = prepare;
        part.requests.iter().for_each(|request| self.release_before(now_ms, request, out));
        let intended = match is_ready {
            true => self.intended(now_ms, &transaction, &mut part),
            false => Err(NoIntent::for_now("a site has not heard enough of the others in time")),
        };
        let audit = part.requests.first().map_or(&[][..], |request| &request.audit);
        match intended {
            Ok(changes) => {
                self.open.is_urgent |= self.level_of_all(part.requests.iter()) > Level::Local;
                self.stage(now_ms, Body::Intent { transaction, changes }, audit);
            }
            Err(NoIntent { review: Some(review), .. }) => {
                let index = self.stage(now_ms, Body::Review(*review), audit);
                let at = Position { origin: self.state.origin, index };
                let no_intent = NoIntent::for_good(held_for_review(at));
                self.tell_refusal(now_ms, from, transaction.id, no_intent, out);
            }
            Err(no_intent) => self.tell_refusal(now_ms, from, transaction.id, no_intent, out),
        }
    }

    /// Looks again at what waited for something to be seen.
    pub(super) fn prepare_waiting(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let waiting = std::mem::take(&mut self.preparing.waiting);
        waiting.into_iter().for_each(|prepare| self.prepare(now_ms, prepare, out));
    }

    /// What becomes of the names of this site, if the change is made.
    fn intended(
        &self,
        now_ms: u64,
        transaction: &Transaction,
        part: &mut Part,
    ) -> Result<Vec<Change>, NoIntent> {
        let own = self.state.origin;
        if self.state.transactions.may_be_forgotten(transaction) {
            return Err(NoIntent::for_now("its time was over when it was to be prepared"));
        }
        if !transaction.participants.contains(&own) {
            return Err(NoIntent::for_now("this site does not take part"));
        }
        if Part::settings_of(&self.state, &part.requests) != part.settings {
            return Err(NoIntent::for_now("the settings of a zone have changed meanwhile"));
        }
        if part.is_exact && Part::seen_of(&self.state, &part.requests) != part.seen {
            return Err(NoIntent::for_now("a name has changed meanwhile"));
        }
        let now_ms = now_ms.max(self.state.last_time_ms());
        let intended = part.requests.iter_mut().map(|request| self.intended_in(now_ms, request));
        intended.collect()
    }

    /// What becomes of the names in one zone.
    fn intended_in(&self, now_ms: u64, request: &mut Request) -> Result<Change, NoIntent> {
        if self.state.done(&request.id).is_some() && !has(Bug::DoneUnchecked) {
            return Err(NoIntent::for_now("it was done already"));
        }
        self.recognises_copies_of(request)
            .map_err(|refusal| NoIntent { is_final: false, ..NoIntent::for_good(refusal) })?;
        let zone = self.state.zones.get(&request.zone);
        let own = self.state.origin;
        let is_home =
            |name| zone.is_some_and(|zone| self.state.home_of(zone, zone.name(name)) == own);
        if !names(request).all(is_home) {
            return Err(NoIntent::for_now("a name has moved to another site"));
        }
        if self.is_blocked(request) {
            return Err(NoIntent::for_now("a name is part of another change under way"));
        }
        let change = decide::change(&self.state, &*self.agent, now_ms, request);
        let change = change.map_err(NoIntent::for_good)?;
        let change = decide::reviewed(&self.state, now_ms, change).map_err(|review| NoIntent {
            review: Some(review),
            ..NoIntent::for_now("contested")
        })?;
        // A change of nothing blocks no name that would keep another attempt away.
        let mut open = self.state.transactions.intents().flat_map(|intent| &intent.changes);
        if change.names.is_empty() && open.any(|other| other.request == change.request) {
            return Err(NoIntent::for_now("an earlier attempt is under way"));
        }
        Ok(Change { path: Path::MultiPhase, ..change })
    }

    /// Whether a name that the request concerns is part of a change under way.
    pub(super) fn is_blocked(&self, request: &Request) -> bool {
        let transactions = &self.state.transactions;
        let is_elsewhere = request.entered_site != self.state.origin.site;
        if has(Bug::IgnoredIntent) || (has(Bug::MoveUnderIntent) && is_elsewhere) {
            return false;
        }
        !transactions.is_empty()
            && names(request).any(|name| transactions.blocks(name.canonical_key().as_ref()))
    }

    fn tell_refusal(
        &mut self,
        now_ms: u64,
        to: u16,
        id: TransactionId,
        no_intent: NoIntent,
        out: &mut Vec<Output<R>>,
    ) {
        if to == self.state.origin.site {
            return self.refused(now_ms, id, no_intent, out);
        }
        let NoIntent { refusal: Refusal { rcode, reason }, is_final, .. } = no_intent;
        out.push(Output::Send(to, Message::Refuse { id, is_final, rcode, reason }.encode()));
    }

    /// Does what the transactions of which something was folded call for now.
    pub(super) fn advance_transactions(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let mut has_finished = false;
        // What is staged here folds more of them.
        while let Some(id) = self.open.effects.transactions.pop() {
            if self.may_append() {
                has_finished |= self.advance_transaction(now_ms, id);
            }
            self.coordinated_folded(now_ms, id, out);
        }
        if has_finished {
            self.unpark(now_ms, out);
        }
    }

    /// Decides on a transaction, or finishes it; whether it has finished it.
    fn advance_transaction(&mut self, now_ms: u64, id: TransactionId) -> bool {
        let own = self.state.origin;
        let transactions = &self.state.transactions;
        if let Some(decided) = transactions.decided(id) {
            let due: Vec<Origin> = (decided.transaction.participants.iter())
                .filter(|origin| self.state.in_charge(**origin) == own)
                .filter(|origin| !transactions.has_finished(id, **origin))
                .copied()
                .collect();
            for participant in &due {
                let participant = *participant;
                let had_intent = self.state.transactions.intent(id, participant).is_some();
                self.stage(now_ms, Body::Finish { id, participant, had_intent }, &[]);
            }
            return !due.is_empty();
        }
        if let Some(body) = self.commitment(id) {
            let levels = body.changes().iter().map(|change| self.level_of(&change.zone));
            self.open.is_urgent |= levels.max() > Some(Level::Local);
            self.stage(now_ms, body, &[]);
        }
        false
    }

    /// The decision to make a change, if that is to be decided here and everybody has voted for it.
    fn commitment(&self, id: TransactionId) -> Option<Body> {
        let transactions = &self.state.transactions;
        let any = transactions.intents_of(id).next()?;
        let transaction = &any.transaction;
        // Who took the anchor over decides against what it left undecided: others may have heard a
        // decision of it that does not count.
        if transaction.anchor() != self.state.origin {
            return None;
        }
        let intents: Vec<&Intent> = (transaction.participants.iter())
            .map(|origin| transactions.intent(id, *origin))
            .filter(|intent| intent.is_some() || !has(Bug::EarlyCommit))
            .collect::<Option<_>>()?;
        Some(Body::Decision {
            transaction: transaction.clone(),
            is_commit: true,
            intents: intents.iter().map(|intent| intent.at).collect(),
            changes: joined(intents.iter().flat_map(|intent| &intent.changes)),
        })
    }

    /// Somebody wants a transaction decided that cannot be, or whose time is over.
    pub(super) fn resolve(&mut self, now_ms: u64, transaction: Transaction) {
        let (id, transactions) = (transaction.id, &self.state.transactions);
        // Of one that is forgotten nobody has an intent any more.
        let is_over = transactions.may_be_forgotten(&transaction)
            && transactions.intents_of(id).next().is_none();
        let is_mine = self.state.in_charge(transaction.anchor()) == self.state.origin
            || has(Bug::UnilateralAbort);
        if !is_mine || !self.may_append() || transactions.decided(id).is_some() || is_over {
            return;
        }
        let (intents, changes) = (Vec::new(), Vec::new());
        let body = Body::Decision { transaction, is_commit: false, intents, changes };
        self.stage(now_ms, body, &[]);
    }

    /// Has the anchor decide against a transaction, unless it has decided.
    pub(super) fn ask_to_resolve(
        &mut self,
        now_ms: u64,
        transaction: Transaction,
        out: &mut Vec<Output<R>>,
    ) {
        let anchor = self.state.in_charge(transaction.anchor());
        if anchor == self.state.origin || has(Bug::UnilateralAbort) {
            self.resolve(now_ms, transaction);
        } else {
            out.push(Output::Send(anchor.site, Message::Resolve { transaction }.encode()));
        }
    }

    /// Looks again at everything that is under way: after a start or a takeover it may be this site's
    /// to go on with, and the time of an intent may be over.
    pub(super) fn recover_transactions(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        self.prepare_waiting(now_ms, out);
        if self.state.transactions.is_empty() {
            return;
        }
        let transactions = &self.state.transactions;
        let intents = transactions.intents().map(|intent| intent.transaction.id);
        let decided = transactions.all_decided().map(|decided| decided.transaction.id);
        self.open.effects.transactions.extend(intents.chain(decided));
        if now_ms < self.preparing.resolved_ms + RESOLVE_INTERVAL_MS {
            return;
        }
        self.preparing.resolved_ms = now_ms;
        let is_orphan = |intent: &&Intent| {
            let id = intent.transaction.id;
            // The coordinator's clock may be wrong: by this site's the time is over too, in the end.
            let over_ms = intent.time_ms + self.deadline_ms;
            intent.transaction.deadline_ms.min(over_ms) <= now_ms
                && self.state.in_charge(intent.at.origin) == self.state.origin
                && self.state.transactions.decided(id).is_none()
        };
        let orphans = self.state.transactions.intents().filter(is_orphan);
        let orphans: Vec<_> = orphans.map(|intent| intent.transaction.clone()).collect();
        orphans.into_iter().for_each(|transaction| self.ask_to_resolve(now_ms, transaction, out));
    }
}

/// Changes of several homes as one for each zone.
fn joined<'c>(changes: impl Iterator<Item = &'c Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        let same = |other: &&mut Change| {
            other.zone == change.zone && other.incarnation == change.incarnation
        };
        match joined.iter_mut().find(same) {
            Some(first) => first.names.extend(change.names.iter().cloned()),
            None if change.decision.is_some() => joined.push(change.clone()),
            None => joined.push(Change { advice: Rules::several_homes(), ..change.clone() }),
        }
    }
    joined
}
