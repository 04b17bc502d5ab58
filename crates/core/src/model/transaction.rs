//! Changes of names with different homes: intents, decisions, and which names they block.
//!
//! Each home that takes part logs an **intent** with the after-images of its names, and changes none
//! of them while it is open. The **decision** in the anchor's log carries all images, and all become
//! visible where it is folded. Each participant then logs that it has **finished**, which closes its
//! intent. Logs may be folded in any mixture: a finish before its decision, and in a log that was
//! taken over even an intent after its finish.

use super::codec::{Malformed, Put, Take};
use super::entry::{Body, Change};
use super::{Effects, FoldError, Origin, Position, State};
use crate::commit::bug::{Bug, has};
use std::collections::{BTreeMap, BTreeSet};

/// Identifies one attempt of a request that concerns several homes: a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 16]);

impl std::fmt::Display for TransactionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl std::fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for TransactionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<TransactionId, Malformed> {
        let wrong = Malformed("a transaction is named by 32 hexadecimal digits");
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong);
        }
        let mut id = [0; 16];
        for (octet, at) in id.iter_mut().zip((0..32).step_by(2)) {
            *octet = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong)?;
        }
        Ok(TransactionId(id))
    }
}

/// One attempt to change names with different homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// The log of the site that asked the homes.
    pub coordinator: Origin,
    /// The homes of all its names, in order. The first is the anchor, whose log holds the decision.
    pub participants: Vec<Origin>,
    /// After this time, in milliseconds since 1970 by the coordinator's clock, whoever meets an open
    /// intent has it decided. Those of one coordinator never go back.
    pub deadline_ms: u64,
}

impl Transaction {
    /// The log that holds the decision, unless another one has taken it over.
    pub fn anchor(&self) -> Origin {
        self.participants.first().copied().unwrap_or(Origin::NONE)
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.bytes(&self.id.0);
        put.origin(self.coordinator);
        put.count(self.participants.len());
        self.participants.iter().for_each(|origin| put.origin(*origin));
        put.u64(self.deadline_ms);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Transaction, Malformed> {
        let (id, coordinator) = (TransactionId(take.array()?), take.origin()?);
        let participants = take.list(4, Take::origin)?;
        if participants.is_empty() || !participants.is_sorted_by(|a, b| a < b) {
            return Err(Malformed("participants of a transaction: none, or not in order"));
        }
        Ok(Transaction { id, coordinator, participants, deadline_ms: take.u64()? })
    }
}

/// An intent that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What it belongs to.
    pub transaction: Transaction,
    /// Where it stands.
    pub at: Position,
    /// When it was logged, in milliseconds since 1970 by its own site's clock.
    pub time_ms: u64,
    /// What becomes of the names at home there.
    pub changes: Vec<Change>,
}

/// How long a decision is kept after its deadline at least, in milliseconds: whoever answers for it
/// must know the intents that it rests on, and sites whose clocks differ call the same moment by other
/// names.
pub(super) const KEPT_MS: u64 = 10_000;

/// A decision, until all participants have finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where it stands.
    pub at: Position,
    /// Whether the change was made.
    pub is_commit: bool,
    /// The participants.
    pub transaction: Transaction,
    /// The intents that it rests on.
    pub intents: Vec<Position>,
}

/// Intents and decisions that are not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transactions {
    /// By transaction and participant.
    intents: BTreeMap<(TransactionId, Origin), Intent>,
    decided: BTreeMap<TransactionId, Decided>,
    by_place: BTreeMap<Position, TransactionId>,
    /// Participants that have finished, of transactions that are not forgotten.
    finished: BTreeSet<(TransactionId, Origin)>,
    /// Intents, closed before they were folded here.
    closed_early: BTreeSet<(TransactionId, Origin)>,
    /// Transactions that all have finished, by deadline.
    over: BTreeSet<(u64, TransactionId)>,
    /// By coordinator: every transaction that was forgotten had its deadline then or before, in
    /// milliseconds. Deadlines are compared with those by the same clock alone.
    forgotten_until_ms: BTreeMap<Origin, u64>,
    /// Canonical keys of the names of open intents.
    blocked: BTreeSet<(Box<[u8]>, TransactionId, Origin)>,
}

impl Transactions {
    /// An open intent.
    pub fn intent(&self, id: TransactionId, participant: Origin) -> Option<&Intent> {
        self.intents.get(&(id, participant))
    }

    /// All open intents.
    pub fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.intents.values()
    }

    /// The open intents of a transaction.
    pub fn intents_of(&self, id: TransactionId) -> impl Iterator<Item = &Intent> {
        let last = Origin { site: u16::MAX, generation: u16::MAX };
        self.intents.range((id, Origin::NONE)..=(id, last)).map(|(_, intent)| intent)
    }

    /// A decision that is not forgotten.
    pub fn decided(&self, id: TransactionId) -> Option<&Decided> {
        self.decided.get(&id)
    }

    /// Decisions that are not forgotten.
    pub fn all_decided(&self) -> impl Iterator<Item = &Decided> {
        self.decided.values()
    }

    /// The intents that the decision there rests on; none if there is no decision there that is
    /// remembered.
    pub fn rests_on(&self, at: Position) -> &[Position] {
        let decided = self.by_place.get(&at).and_then(|id| self.decided.get(id));
        decided.map_or(&[], |decided| &decided.intents)
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty() && self.decided.is_empty()
    }

    /// Whether a participant has finished a transaction that is not forgotten.
    pub fn has_finished(&self, id: TransactionId, participant: Origin) -> bool {
        self.finished.contains(&(id, participant))
    }

    /// Whether a transaction may have been over and forgotten, going by its deadline.
    pub fn may_be_forgotten(&self, transaction: &Transaction) -> bool {
        transaction.deadline_ms <= self.forgotten_until_ms(transaction.coordinator)
    }

    /// The latest deadline of a coordinator's transactions that were forgotten, in milliseconds since
    /// 1970 by its clock: those that it begins have later ones.
    pub fn forgotten_until_ms(&self, coordinator: Origin) -> u64 {
        self.forgotten_until_ms.get(&coordinator).copied().unwrap_or(0)
    }

    /// Whether the name with this canonical key is not to be changed now.
    pub fn blocks(&self, key: &[u8]) -> bool {
        let from = (Box::from(key), TransactionId([0; 16]), Origin::NONE);
        self.blocked.range(from..).next().is_some_and(|(blocked, ..)| **blocked == *key)
    }

    pub(super) fn fold_intent(
        &mut self,
        at: Position,
        time_ms: u64,
        transaction: &Transaction,
        changes: &[Change],
    ) {
        let key = (transaction.id, at.origin);
        // In a log that was taken over, its successor's word may have come first.
        let is_early = self.closed_early.remove(&key);
        let is_undecided =
            self.finished.contains(&key) && !self.decided.contains_key(&transaction.id);
        if !is_early || is_undecided {
            let (transaction, changes) = (transaction.clone(), changes.to_vec());
            self.insert_intent(Intent { transaction, at, time_ms, changes });
        }
    }

    fn insert_intent(&mut self, intent: Intent) {
        let (id, origin) = (intent.transaction.id, intent.at.origin);
        self.blocked.extend(blocked_by(&intent));
        self.intents.insert((id, origin), intent);
    }

    pub(super) fn fold_decision(&mut self, decided: Decided) {
        let id = decided.transaction.id;
        // The first counts: there is a second only where the first turned out not to count.
        let decided = self.decided.entry(id).or_insert(decided);
        self.by_place.insert(decided.at, id);
        for participant in decided.transaction.participants.clone() {
            if self.has_finished(id, participant) {
                self.close_intent(id, participant);
            }
        }
        self.note_over(id);
    }

    pub(super) fn fold_finish(
        &mut self,
        id: TransactionId,
        participant: Origin,
        had_intent: bool,
        time_ms: u64,
    ) {
        if had_intent && self.intent(id, participant).is_none() {
            self.closed_early.insert((id, participant));
        }
        self.finished.insert((id, participant));
        // Names are free where it is known what became of them: who has only this, and not the
        // decision, would go on from what they were before it.
        if self.decided.contains_key(&id) {
            self.close_intent(id, participant);
        }
        self.note_over(id);
        self.forget(time_ms);
    }

    fn close_intent(&mut self, id: TransactionId, participant: Origin) {
        if let Some(intent) = self.intents.remove(&(id, participant)) {
            blocked_by(&intent).for_each(|blocked| _ = self.blocked.remove(&blocked));
        }
    }

    fn note_over(&mut self, id: TransactionId) {
        let Some(Decided { transaction, .. }) = self.decided.get(&id) else { return };
        if transaction.participants.iter().all(|origin| self.has_finished(id, *origin)) {
            self.over.insert((transaction.deadline_ms, id));
        }
    }

    /// Forgets transactions that all participants have finished and whose time is over for a while.
    /// What arrives of them later is too late by its deadline.
    fn forget(&mut self, time_ms: u64) {
        let kept_ms = if has(Bug::ForgottenEarly) { 0 } else { KEPT_MS };
        while let Some((deadline_ms, id)) = self.over.first().copied()
            && deadline_ms.saturating_add(kept_ms) < time_ms
        {
            self.over.pop_first();
            let Some(decided) = self.decided.remove(&id) else { continue };
            let until_ms =
                self.forgotten_until_ms.entry(decided.transaction.coordinator).or_default();
            *until_ms = (*until_ms).max(deadline_ms);
            self.by_place.remove(&decided.at);
            for origin in decided.transaction.participants {
                self.finished.remove(&(id, origin));
            }
        }
    }

    /// Writes it into a snapshot.
    pub(super) fn put(&self, put: &mut Put<'_>) {
        put.count(self.intents.len());
        for intent in self.intents.values() {
            intent.transaction.put(put);
            put.position(intent.at);
            put.u64(intent.time_ms);
            put.count(intent.changes.len());
            intent.changes.iter().for_each(|change| change.put(put));
        }
        put.count(self.decided.len());
        for decided in self.decided.values() {
            decided.transaction.put(put);
            put.position(decided.at);
            put.flag(decided.is_commit);
            put.count(decided.intents.len());
            decided.intents.iter().for_each(|at| put.position(*at));
        }
        for set in [&self.finished, &self.closed_early] {
            put.count(set.len());
            for (id, origin) in set {
                put.bytes(&id.0);
                put.origin(*origin);
            }
        }
        put.count(self.forgotten_until_ms.len());
        for (coordinator, until_ms) in &self.forgotten_until_ms {
            put.origin(*coordinator);
            put.u64(*until_ms);
        }
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Transactions, Malformed> {
        let mut all = Transactions::default();
        let intents = take.list(24, |take| {
            let (transaction, at) = (Transaction::take(take)?, take.position()?);
            let time_ms = take.u64()?;
            Ok(Intent { transaction, at, time_ms, changes: take.list(64, Change::take)? })
        })?;
        let decided = take.list(24, |take| {
            let (transaction, at) = (Transaction::take(take)?, take.position()?);
            let is_commit = take.flag()?;
            Ok(Decided { at, is_commit, transaction, intents: take.list(12, Take::position)? })
        })?;
        let ids = |take: &mut Take<'_>| Ok((TransactionId(take.array()?), take.origin()?));
        all.finished = take.list(20, ids)?.into_iter().collect();
        all.closed_early = take.list(20, ids)?.into_iter().collect();
        let until = take.list(12, |take| Ok((take.origin()?, take.u64()?)))?;
        all.forgotten_until_ms = until.into_iter().collect();
        intents.into_iter().for_each(|intent| all.insert_intent(intent));
        decided.into_iter().for_each(|decided| all.fold_decision(decided));
        Ok(all)
    }
}

impl State {
    /// Folds what is logged of changes with several homes.
    pub(super) fn fold_transaction(
        &mut self,
        body: &Body,
        time_ms: u64,
        at: Position,
        effects: &mut Effects,
    ) -> Result<(), FoldError> {
        let id = match body {
            Body::Intent { transaction, changes } => {
                self.transactions.fold_intent(at, time_ms, transaction, changes);
                for change in changes.iter().filter(|_| has(Bug::IntentShown)) {
                    self.fold_change(change, time_ms, at, effects)?;
                }
                transaction.id
            }
            Body::Decision { transaction, is_commit, intents, changes } => {
                let (transaction, is_commit) = (transaction.clone(), *is_commit);
                let (id, intents) = (transaction.id, intents.clone());
                self.transactions.fold_decision(Decided { at, is_commit, transaction, intents });
                for change in changes {
                    self.fold_change(change, time_ms, at, effects)?;
                }
                id
            }
            Body::Finish { id, participant, had_intent } => {
                self.transactions.fold_finish(*id, *participant, *had_intent, time_ms);
                *id
            }
            _ => return Ok(()),
        };
        effects.transactions.push(id);
        Ok(())
    }
}

/// What an intent adds to the blocked names.
fn blocked_by(intent: &Intent) -> impl Iterator<Item = (Box<[u8]>, TransactionId, Origin)> {
    let (id, origin) = (intent.transaction.id, intent.at.origin);
    let names = intent.changes.iter().flat_map(|change| &change.names);
    names.map(move |name| (name.owner.canonical_key().as_ref().into(), id, origin))
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
