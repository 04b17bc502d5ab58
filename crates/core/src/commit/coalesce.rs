//! Changes of flapping names: held for a moment, so that of several values only the last is made.
//!
//! Only what replaces the same RRsets of one name, by the same key and without prerequisites, is
//! joined. One entry stands for all of them, and each is answered when that is durable. Whatever
//! else concerns the name lets go of what is held first: order is kept.

use super::clock::back;
use super::forward::Asker;
use super::route::names;
use super::{Commit, Output, Waiting};
use crate::agent::{Observation, Path};
use crate::model::request::{Action, Identity, Operation, Outcome, Request};
use crate::model::settings::Level;
use crate::rules::reverse::derived;
use crate::rules::update::Refusal;
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, BTreeSet};

/// Names held at once; more are not held.
const HELD_MAX: usize = 4_096;
/// Changes of one name held at once: an entry lists them all.
const JOINED_MAX: usize = 1_024;

/// What a request replaces, if that is all it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    owner: Name,
    /// `None` for the whole name.
    types: Option<BTreeSet<RecordType>>,
}

impl Replacement {
    /// Reads it from a request.
    fn of(request: &Request) -> Option<Replacement> {
        let Action::Update { prerequisites, operations, .. } = &request.action else { return None };
        let owner = operations.first()?.owner();
        if !prerequisites.is_empty() || !matches!(request.who, Identity::Key(_)) {
            return None;
        }
        let mut types = Some(BTreeSet::new());
        for operation in operations {
            if operation.owner() != owner {
                return None;
            }
            match (operation, &mut types) {
                (Operation::DeleteName(_), _) => types = None,
                (Operation::DeleteRrSet(_, rtype), Some(types)) => _ = types.insert(*rtype),
                (Operation::Add { rtype, .. }, Some(types)) if !types.contains(rtype) => {
                    return None;
                }
                (Operation::DeleteRecord { .. }, _) => return None,
                _ => {}
            }
        }
        Some(Replacement { owner: owner.clone(), types })
    }
}

/// Changes of one name that are held.
struct Joined<R> {
    until_ms: u64,
    replacement: Replacement,
    /// In the order in which they came.
    requests: Vec<(Request, Vec<Asker<R>>)>,
}

/// All names that are held.
pub(super) struct Held<R> {
    names: BTreeMap<Name, Joined<R>>,
}

impl<R> Default for Held<R> {
    fn default() -> Held<R> {
        Held { names: BTreeMap::new() }
    }
}

impl<R> Held<R> {
    /// When the first is to be let go, in milliseconds since 1970.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        self.names.values().map(|joined| joined.until_ms).min()
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        for joined in self.names.values_mut() {
            back(&mut joined.until_ms, by_ms);
            let askers = joined.requests.iter_mut().flat_map(|(_, askers)| askers);
            askers.for_each(|asker| asker.set_back(by_ms));
        }
    }

    /// Takes all who wait.
    pub(super) fn drain(&mut self) -> Vec<Asker<R>> {
        let joined = std::mem::take(self).names.into_values();
        joined.flat_map(|joined| joined.requests).flat_map(|(_, askers)| askers).collect()
    }
}

impl<R> Commit<R> {
    /// What a request replaces, and how long it is held, in milliseconds, if it is: joined with others,
    /// or as the first.
    pub(super) fn to_hold(&self, now_ms: u64, request: &Request) -> Option<(Replacement, u64)> {
        let zone = self.state.zones.get(&request.zone)?;
        let window_ms = u64::from(zone.settings.coalesce_ms);
        if window_ms == 0 {
            return None;
        }
        let replacement = Replacement::of(request)?;
        if self.held.names.contains_key(&replacement.owner) {
            // Whatever does not fit has let go of what was held.
            return Some((replacement, window_ms));
        }
        let record = zone.name(&replacement.owner)?;
        let by_rules = || {
            self.agent.advise(Observation {
                writer: request.who.tag(),
                now_ms,
                site: self.state.origin.site,
                entered_site: request.entered_site,
                contested: zone.settings.contested,
                is_held: self.state.sources.hold(&replacement.owner, now_ms),
                names: &[record],
            })
        };
        let advice = request.decision.as_ref().map_or_else(by_rules, |one| one.advice());
        let is_advised = advice.path == Path::Coalesce && self.held.names.len() < HELD_MAX;
        is_advised.then_some((replacement, window_ms))
    }

    /// Holds a request.
    pub(super) fn hold(
        &mut self,
        now_ms: u64,
        (replacement, window_ms): (Replacement, u64),
        request: Request,
        asker: Asker<R>,
    ) {
        let joined = self.held.names.entry(replacement.owner.clone()).or_insert_with(|| Joined {
            until_ms: now_ms + window_ms,
            replacement,
            requests: Vec::new(),
        });
        match joined.requests.iter_mut().find(|(known, _)| known.id == request.id) {
            Some((_, askers)) => askers.push(asker),
            None => joined.requests.push((request, vec![asker])),
        }
    }

    /// Lets go of what is held of the names of a request, unless the request can be joined to it.
    pub(super) fn release_before(
        &mut self,
        now_ms: u64,
        request: &Request,
        out: &mut Vec<Output<R>>,
    ) {
        if self.held.names.is_empty() {
            return;
        }
        let replacement = Replacement::of(request);
        let fits = |joined: &Joined<R>| {
            joined.requests.len() < JOINED_MAX
                && replacement.as_ref() == Some(&joined.replacement)
                && joined.requests.iter().all(|(known, _)| {
                    known.who == request.who && known.entered_site == request.entered_site
                })
        };
        let is_whole = !matches!(request.action, Action::Update { .. });
        let mut due: BTreeSet<Name> = names(request)
            .filter(|name| self.held.names.get(*name).is_some_and(|joined| !fits(joined)))
            .cloned()
            .collect();
        if is_whole {
            let held = self.held.names.keys();
            due.extend(held.filter(|name| name.is_at_or_below(&request.zone)).cloned());
        }
        due.into_iter().for_each(|name| self.release(now_ms, &name, out));
    }

    /// Lets go of what was held long enough.
    pub(super) fn release_due(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let due = self.held.names.iter().filter(|(_, joined)| joined.until_ms <= now_ms);
        let due: Vec<Name> = due.map(|(name, _)| name.clone()).collect();
        due.into_iter().for_each(|name| self.release(now_ms, &name, out));
    }

    fn release(&mut self, now_ms: u64, name: &Name, out: &mut Vec<Output<R>>) {
        let Some(joined) = self.held.names.remove(name) else { return };
        let mut requests = joined.requests;
        let Some((last, askers)) = requests.pop() else { return };
        let derived = derived(&self.state, &last);
        if !self.is_decided_here(&last, &derived) {
            // The name went elsewhere meanwhile: each goes its own way.
            for (request, askers) in requests.into_iter().chain([(last, askers)]) {
                askers.into_iter().for_each(|asker| {
                    self.take(now_ms, request.clone(), asker, 0, out);
                });
            }
            return;
        }
        let level = self.level_of_all(std::iter::once(&last).chain(&derived));
        let stands_for: Vec<_> =
            requests.iter().map(|(one, _)| (one.id, one.remember_until_seconds)).collect();
        let (outcome, advice) = match self.decide(now_ms, last, derived, stands_for) {
            Ok((at, advice)) => (Outcome::Done { at }, Some(advice)),
            Err(Refusal { rcode, reason }) => (Outcome::Refused { rcode, reason }, None),
        };
        self.open.is_urgent |= level > Level::Local;
        for asker in requests.into_iter().flat_map(|(_, askers)| askers).chain(askers) {
            let outcome = outcome.clone();
            self.answer_when_durable(Waiting { asker, outcome, advice, level }, out);
        }
    }
}
