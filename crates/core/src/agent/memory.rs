//! What a site remembers of changes for its agent: who changed what, and what is under way.
//!
//! All comes from entries of the ledger, and from requests that entered here. It is bounded: a node that
//! starts shows it the last entries again, and what was before them is forgotten.

use super::watching::{Outcome, Watching};
use crate::model::WriterTag;
use crate::model::entry::{Cause, Change, Entry, NameChange};
use crate::model::request::{Operation, RequestId};
use einhorn_agent::decision::{Moved, Rhythm};
use einhorn_agent::features::{Features, Intent, Observer, Target, kind_of};
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Names remembered at least, of those that were changed last; about 500 octets each.
const NAMES_REMEMBERED: usize = 65_536;
/// Writers whose habits are remembered at least.
const WRITERS_REMEMBERED: usize = 4_096;
/// Requests that entered here and are under way; more are not remembered.
const PENDING_MAX: usize = 65_536;
/// Changes of one request that are looked at, one for each name and type.
const LOOKED_AT_MAX: usize = 16;
/// A request that entered here is given up so long after it did, in milliseconds: whoever asked
/// has been answered, and what still comes of it shows as an entry.
const PENDING_MS: u64 = 10_000;

/// A request that entered here.
struct Pending {
    intents: Vec<Intent>,
    /// What was predicted, in billionths, and with which knobs that was decided on.
    predicted: Option<(u32, usize)>,
}

/// The memory.
pub(super) struct Memory {
    observer: Observer,
    pending: BTreeMap<RequestId, Pending>,
    /// When each of them is given up, in order.
    given_up: VecDeque<(u64, RequestId)>,
    pub(super) watching: Watching,
    rhythm: Rhythm,
    /// The last batch that began at another time than it used to, and whose it is.
    moved: Option<(String, Moved)>,
}

impl Memory {
    pub(super) fn new() -> Memory {
        Memory {
            observer: Observer::new(NAMES_REMEMBERED),
            pending: BTreeMap::new(),
            given_up: VecDeque::new(),
            watching: Watching::default(),
            rhythm: Rhythm::new(WRITERS_REMEMBERED),
            moved: None,
        }
    }

    /// Names that something is remembered of.
    pub(super) fn names(&self) -> usize {
        self.observer.names()
    }

    /// The last batch that began at another time than it used to, and whose it is.
    pub(super) fn moved(&self) -> Option<&(String, Moved)> {
        self.moved.as_ref()
    }

    /// Requests under way that entered here.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A row for each change that operations make.
    pub(super) fn rows(&self, intents: &[Intent]) -> impl Iterator<Item = Features> {
        intents.iter().map(|intent| self.observer.features(intent))
    }

    /// A request is under way from now on.
    pub(super) fn begun(
        &mut self,
        now_ms: u64,
        id: RequestId,
        intents: Vec<Intent>,
        predicted: Option<(u32, usize)>,
    ) {
        if self.pending.len() >= PENDING_MAX || self.pending.contains_key(&id) {
            return;
        }
        intents.iter().for_each(|intent| self.observer.begun(intent));
        self.pending.insert(id, Pending { intents, predicted });
        self.given_up.push_back((now_ms + PENDING_MS, id));
    }

    /// An entry was folded.
    pub(super) fn folded(&mut self, now_ms: u64, entry: &Entry) {
        for change in entry.body.changes().iter().filter(|change| is_somebodys(change)) {
            self.committed(now_ms, entry.time_ms, change);
        }
    }

    fn committed(&mut self, now_ms: u64, time_ms: u64, change: &Change) {
        for (earlier, _) in &change.stands_for {
            self.ended(earlier);
        }
        let pending = self.ended(&change.request);
        let window = window_of(change, time_ms);
        let actor = change.writer().0;
        let request_changes = change.names.len() as u32;
        let targets: Vec<Target> = change.names.iter().map(|name| target(&name.owner)).collect();
        for (name, target) in change.names.iter().zip(&targets) {
            for (rtype, deletes) in changed(name) {
                let (record_type, kind) = numbers(rtype);
                let intent = Intent {
                    started_ms: window.0,
                    target: *target,
                    record_type,
                    kind,
                    actor,
                    deletes,
                    request_changes,
                };
                self.observer.committed(&intent, window.1);
            }
        }
        for target in &targets {
            if let Some(moved) = self.rhythm.changed(actor, target.name, window.1) {
                self.moved = Some((change.who.to_string(), moved));
            }
        }
        let names = targets.iter().map(|target| target.name);
        let predicted = pending.and_then(|pending| pending.predicted);
        let outcome_of = (actor, window, change.path.is_prepared());
        self.watching.committed(now_ms, names, outcome_of, predicted);
    }

    /// Gives up what was under way for too long, and settles what is known now.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<Outcome> {
        while self.given_up.front().is_some_and(|(at_ms, _)| *at_ms <= now_ms)
            && let Some((_, id)) = self.given_up.pop_front()
        {
            self.ended(&id);
        }
        self.watching.tick(now_ms)
    }

    /// A request is under way no more.
    fn ended(&mut self, id: &RequestId) -> Option<Pending> {
        let pending = self.pending.remove(id)?;
        pending.intents.iter().for_each(|intent| self.observer.ended(intent));
        Some(pending)
    }
}

/// From when a change was under way to when it was committed. Of what no agent looked at nothing
/// else is known than the latter.
pub fn window_of(change: &Change, time_ms: u64) -> (i64, i64) {
    let began_ms = change.decision.as_ref().map_or(time_ms, |decision| decision.began_ms);
    (began_ms.min(time_ms) as i64, time_ms as i64)
}

/// Whether somebody wanted this change: what loads a zone or ends a lease meets nobody.
pub fn is_somebodys(change: &Change) -> bool {
    use Cause::{Review, Rollback, Source, Update};
    matches!(change.cause, Update | Source { .. } | Review { .. } | Rollback { .. })
}

/// The types of a name that changed, and whether nothing is left of each.
pub fn changed(name: &NameChange) -> impl Iterator<Item = (RecordType, bool)> {
    let is_left = |rtype| name.after.iter().any(|set| set.rtype == rtype);
    name.before.iter().map(move |(rtype, _)| (*rtype, !is_left(*rtype)))
}

fn target(name: &Name) -> Target {
    Target::of(&name.to_string())
}

/// What stands for a type, and its kind.
fn numbers(rtype: RecordType) -> (u32, u8) {
    (u32::from(rtype.0), kind_of(&rtype.to_string()))
}

/// The changes that operations are about to make, as the agent sees them; not all of very many.
pub(super) fn intents(now_ms: u64, writer: WriterTag, operations: &[Operation]) -> Vec<Intent> {
    let mut intents: Vec<Intent> = Vec::new();
    for operation in operations {
        let target = target(operation.owner());
        let (record_type, kind) = operation.rtype().map_or((0, 0), numbers);
        let deletes = !matches!(operation, Operation::Add { .. });
        let is_same = |intent: &Intent| {
            intent.target == target && (intent.record_type == record_type || record_type == 0)
        };
        if let Some(known) = intents.iter_mut().find(|intent| is_same(intent)) {
            known.deletes &= deletes;
        } else if intents.len() < LOOKED_AT_MAX {
            intents.push(Intent {
                started_ms: now_ms as i64,
                target,
                record_type,
                kind,
                actor: writer.0,
                deletes,
                request_changes: 0,
            });
        }
    }
    let names: BTreeSet<u64> = intents.iter().map(|intent| intent.target.name).collect();
    let request_changes = names.len() as u32;
    intents.iter_mut().for_each(|intent| intent.request_changes = request_changes);
    intents
}
