//! Changes of names with different homes, at the site where they enter: asks each home for its part,
//! and waits for what the anchor decides.
//!
//! Nothing here is remembered over a restart, and nothing depends on it: once the homes have their
//! parts they need this site no more. An attempt that fails because a name is part of another change
//! is made again a moment later; after two, the zone's home coordinates, so that those who want the
//! same names stand in one queue.

use super::forward::{Asker, servfail};
use super::prepare::{NoIntent, Prepare};
use super::route::{Route, names, route};
use super::{Commit, Output, Waiting};
use crate::agent::Rules;
use crate::link::Message;
use crate::model::request::{Action, Outcome, ReplaceReason, Request, RequestId};
use crate::model::{Origin, Position, State, Transaction, TransactionId};
use crate::rules::update::Refusal;
use einhorn_wire::Name;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Requests coordinated at once; more are answered SERVFAIL at once.
const COORDINATED_MAX: usize = 65_536;
/// Attempts here before the zone's home coordinates.
const ATTEMPTS_HERE: u8 = 2;
/// The pause after a failed attempt is so long at least, in milliseconds …
const REST_MS_MIN: u64 = 10;
/// … and longer by less than so much for each attempt.
const REST_MS_SPREAD: u64 = 40;

/// A home's part of a request.
#[derive(Debug, PartialEq)]
struct Part {
    /// What was seen of its names here.
    seen: Vec<Position>,
    request: Request,
}

/// How far a request is.
enum Phase {
    /// Its homes have been asked.
    Asked {
        transaction: Transaction,
        parts: BTreeMap<Origin, Part>,
        /// Why one of them refused.
        no_intent: Option<NoIntent>,
    },
    /// It is tried again then, in milliseconds since 1970, or when another one is over.
    Rests { until_ms: u64 },
}

/// A request that several homes decide on.
struct Coordinated<R> {
    request: Request,
    askers: Vec<Asker<R>>,
    hops: u8,
    attempts: u8,
    phase: Phase,
}

/// Requests that several homes decide on.
pub(super) struct Coordination<R> {
    requests: BTreeMap<RequestId, Coordinated<R>>,
    /// Those whose homes have been asked.
    asked: BTreeMap<TransactionId, RequestId>,
    /// The names of these.
    busy: BTreeSet<(Name, RequestId)>,
}

impl<R> Default for Coordination<R> {
    fn default() -> Coordination<R> {
        Coordination { requests: BTreeMap::new(), asked: BTreeMap::new(), busy: BTreeSet::new() }
    }
}

impl<R> Coordination<R> {
    /// Requests under way.
    pub(super) fn count(&self) -> usize {
        self.requests.len()
    }

    /// When something is to be done, in milliseconds since 1970.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        let due = |coordinated: &Coordinated<R>| {
            let askers = coordinated.askers.iter().map(Asker::deadline_ms);
            let rests = match coordinated.phase {
                Phase::Rests { until_ms } => Some(until_ms),
                Phase::Asked { .. } => None,
            };
            askers.chain(rests).min()
        };
        self.requests.values().filter_map(due).min()
    }

    fn is_busy(&self, request: &Request) -> bool {
        let first = RequestId([0; 32]);
        names(request).any(|name| {
            let next = self.busy.range((name.clone(), first)..).next();
            next.is_some_and(|(busy, _)| busy == name)
        })
    }

    /// Takes the request out whose homes were asked.
    fn rest(&mut self, id: RequestId, until_ms: u64) -> Option<Phase> {
        let coordinated = self.requests.get_mut(&id)?;
        let phase = std::mem::replace(&mut coordinated.phase, Phase::Rests { until_ms });
        if let Phase::Asked { transaction, .. } = &phase {
            self.asked.remove(&transaction.id);
            names(&coordinated.request).for_each(|name| _ = self.busy.remove(&(name.clone(), id)));
        }
        Some(phase)
    }

    fn remove(&mut self, id: RequestId) -> Option<Coordinated<R>> {
        self.rest(id, 0)?;
        self.requests.remove(&id)
    }

    /// Takes all who wait.
    pub(super) fn drain(&mut self) -> Vec<Asker<R>> {
        let all = std::mem::take(self);
        all.requests.into_values().flat_map(|coordinated| coordinated.askers).collect()
    }
}

impl<R> Commit<R> {
    /// Takes a request that several homes decide on.
    pub(super) fn coordinate(
        &mut self,
        now_ms: u64,
        request: Request,
        hops: u8,
        asker: Asker<R>,
        out: &mut Vec<Output<R>>,
    ) {
        // A retry joins the wait for the first.
        if let Some(known) = self.coordination.requests.get_mut(&request.id) {
            return known.askers.push(asker);
        }
        if self.coordination.count() >= COORDINATED_MAX {
            let reason = "too many changes over several sites wait; try again later";
            return Self::tell(asker, servfail(reason), None, out);
        }
        let id = request.id;
        let (askers, phase) = (vec![asker], Phase::Rests { until_ms: now_ms });
        let new = Coordinated { request, askers, hops, attempts: 0, phase };
        self.coordination.requests.insert(id, new);
        self.attempt(now_ms, id, out);
    }

    /// Asks the homes, if they are still several, and no other request here has the names.
    fn attempt(&mut self, now_ms: u64, id: RequestId, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.requests.get(&id) else { return };
        let request = &coordinated.request;
        let is_done = self.state.done(&id).is_some();
        let Route::Several(mut homes) = route(&self.state, request) else {
            return self.take_again(now_ms, id, out);
        };
        let zone = self.state.zones.get(&request.zone);
        let home = zone.map_or(Origin::NONE, |zone| self.state.home_of_zone(zone));
        let is_elsewhere =
            coordinated.attempts >= ATTEMPTS_HERE && home.site != self.state.origin.site;
        if is_done || is_elsewhere {
            return self.take_again(now_ms, id, out);
        }
        let own = self.state.origin.site;
        let away =
            homes.iter().find(|home| home.site != own && self.peers.is_away(home.site, now_ms));
        if let Some(away) = away {
            let name = self.state.registry.name_of(away.site);
            let reason = format!(
                "site {name}, which decides on a part of this, cannot be reached from here"
            );
            return self.end(id, &servfail(reason), out);
        }
        if self.coordination.is_busy(request) {
            self.coordination.rest(id, now_ms + REST_MS_SPREAD);
            return;
        }
        let Some(parts) = parts(&self.state, request, &homes) else {
            let homes: Vec<_> =
                homes.iter().map(|home| self.state.registry.name_of(home.site)).collect();
            let reason =
                format!("names that this concerns have different homes ({})", homes.join(", "));
            return self.end(id, &servfail(reason), out);
        };
        homes.sort_unstable();
        let deadlines = coordinated.askers.iter().map(Asker::deadline_ms);
        // Also where the clock was set back.
        let own = self.state.origin;
        let later_ms = self.state.transactions.forgotten_until_ms(own) + 1;
        let transaction = Transaction {
            id: self.transaction_id(now_ms, id, coordinated.attempts),
            coordinator: own,
            participants: homes,
            deadline_ms: deadlines.max().unwrap_or(now_ms).max(later_ms),
        };
        self.ask(now_ms, id, transaction, parts, out);
    }

    fn ask(
        &mut self,
        now_ms: u64,
        id: RequestId,
        transaction: Transaction,
        parts: BTreeMap<Origin, Part>,
        out: &mut Vec<Output<R>>,
    ) {
        let own = self.state.origin;
        let mut here = None;
        for (home, Part { seen, request }) in &parts {
            let (transaction, seen) = (transaction.clone(), seen.clone());
            if *home == own {
                let until_ms = now_ms + self.deadline_ms;
                let (from, request) = (own.site, request.clone());
                here = Some(Prepare { from, transaction, seen, request, until_ms });
            } else {
                let request = Box::new(request.clone());
                let message = Message::Prepare { transaction, seen, request };
                out.push(Output::Send(home.site, message.encode()));
            }
        }
        let coordination = &mut self.coordination;
        let Some(coordinated) = coordination.requests.get_mut(&id) else { return };
        coordinated.attempts = coordinated.attempts.saturating_add(1);
        coordination.asked.insert(transaction.id, id);
        coordination.busy.extend(names(&coordinated.request).map(|name| (name.clone(), id)));
        coordinated.phase = Phase::Asked { transaction, parts, no_intent: None };
        if let Some(here) = here {
            self.prepare(now_ms, here, out);
        }
    }

    /// The id of an attempt: no other attempt of any site, before a restart or after, has it.
    fn transaction_id(&self, now_ms: u64, request: RequestId, attempt: u8) -> TransactionId {
        let own = self.state.origin;
        let mut hash = Sha256::new();
        hash.update(b"einhorn transaction\n");
        hash.update(request.0);
        hash.update(own.site.to_be_bytes());
        hash.update(own.generation.to_be_bytes());
        hash.update(now_ms.to_be_bytes());
        hash.update([attempt]);
        let hash: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        TransactionId(id)
    }

    /// A home has refused its part: the anchor is to decide against the whole.
    pub(super) fn refused(
        &mut self,
        now_ms: u64,
        id: TransactionId,
        no_intent: NoIntent,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(request) = self.coordination.asked.get(&id) else { return };
        let Some(Coordinated { phase: Phase::Asked { transaction, no_intent: known, .. }, .. }) =
            self.coordination.requests.get_mut(request)
        else {
            return;
        };
        // One that says that it is of no use to try again is worth more.
        if no_intent.is_final || known.is_none() {
            *known = Some(no_intent);
        }
        let transaction = transaction.clone();
        self.ask_to_resolve(now_ms, transaction, out);
    }

    /// Something of a transaction was folded: perhaps it is decided.
    pub(super) fn coordinated_folded(
        &mut self,
        now_ms: u64,
        id: TransactionId,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(request) = self.coordination.asked.get(&id).copied() else { return };
        let Some(decided) = self.state.transactions.decided(id) else { return };
        if decided.is_commit {
            let outcome = Outcome::Done { at: decided.at };
            self.end(request, &outcome, out);
        } else {
            let spread = REST_MS_SPREAD * u64::from(id.0[0]) / 256;
            let attempts =
                self.coordination.requests.get(&request).map_or(1, |known| known.attempts);
            let until_ms = now_ms + REST_MS_MIN + spread * u64::from(attempts.max(1));
            let phase = self.coordination.rest(request, until_ms);
            if let Some(Phase::Asked { no_intent: Some(no_intent), .. }) = phase
                && no_intent.is_final
            {
                let Refusal { rcode, reason } = no_intent.refusal;
                self.end(request, &Outcome::Refused { rcode, reason }, out);
            }
        }
        self.attempt_waiting(now_ms, u64::MAX, out);
    }

    /// Tries again what rests until then at the latest and was never tried, or is due.
    fn attempt_waiting(&mut self, now_ms: u64, never_tried_ms: u64, out: &mut Vec<Output<R>>) {
        let is_due = |coordinated: &Coordinated<R>| match coordinated.phase {
            Phase::Rests { until_ms } => {
                until_ms <= now_ms || (coordinated.attempts == 0 && until_ms <= never_tried_ms)
            }
            Phase::Asked { .. } => false,
        };
        let due = self.coordination.requests.iter().filter(|(_, coordinated)| is_due(coordinated));
        let due: Vec<RequestId> = due.map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.attempt(now_ms, id, out));
    }

    /// Tries again what has rested, and gives up what has waited too long.
    pub(super) fn watch_coordinated(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let mut over = Vec::new();
        for (id, coordinated) in &mut self.coordination.requests {
            let is_over = |asker: &mut Asker<R>| asker.deadline_ms() <= now_ms;
            over.extend(coordinated.askers.extract_if(.., is_over).map(|asker| (*id, asker)));
        }
        for (id, asker) in over {
            let known = self.coordination.requests.get(&id);
            let why = known.and_then(|known| match &known.phase {
                Phase::Asked { no_intent: Some(no_intent), .. } => Some(&no_intent.refusal.reason),
                _ => None,
            });
            let why = why.map_or("not all sites that decide on this have answered", |why| &**why);
            let reason = format!("{why}; it may still be done, and a retry finds out");
            let is_last = known.is_some_and(|known| known.askers.is_empty());
            Self::tell(asker, servfail(reason), None, out);
            if is_last {
                self.coordination.remove(id);
            }
        }
        self.attempt_waiting(now_ms, 0, out);
    }

    /// Asks a site again that has been connected anew.
    pub(super) fn ask_again(&mut self, site: u16, out: &mut Vec<Output<R>>) {
        for coordinated in self.coordination.requests.values() {
            let Phase::Asked { transaction, parts, .. } = &coordinated.phase else { continue };
            for (_, part) in parts.iter().filter(|(home, _)| home.site == site) {
                let (transaction, seen) = (transaction.clone(), part.seen.clone());
                let request = Box::new(part.request.clone());
                let message = Message::Prepare { transaction, seen, request };
                out.push(Output::Send(site, message.encode()));
            }
        }
    }

    /// Answers all who asked, when what they are told is durable.
    fn end(&mut self, id: RequestId, outcome: &Outcome, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.remove(id) else { return };
        let level = self.level_of(&coordinated.request.zone);
        for asker in coordinated.askers {
            let (outcome, advice) = (outcome.clone(), Some(Rules::several_homes()));
            self.answer_when_durable(Waiting { asker, outcome, advice, level }, out);
        }
    }

    /// Gives a request back that this site need not coordinate any more: it was done, one site
    /// decides on it now, or the zone's home is to coordinate it.
    fn take_again(&mut self, now_ms: u64, id: RequestId, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.remove(id) else { return };
        let Coordinated { request, askers, hops, .. } = coordinated;
        let zone = self.state.zones.get(&request.zone);
        let home = zone.map_or(Origin::NONE, |zone| self.state.home_of_zone(zone));
        let is_several = matches!(route(&self.state, &request), Route::Several(_));
        for asker in askers {
            if is_several && self.state.done(&id).is_none() {
                self.forward(now_ms, request.clone(), (home, Vec::new()), hops, asker, out);
            } else {
                self.take(now_ms, request.clone(), asker, hops, out);
            }
        }
    }
}

/// Each home's part of a request; `None` if it cannot be divided.
fn parts(state: &State, request: &Request, homes: &[Origin]) -> Option<BTreeMap<Origin, Part>> {
    let zone = state.zones.get(&request.zone)?;
    let home = |name: &Name| state.home_of(zone, zone.name(name));
    let part = |own: Origin| {
        let action = match &request.action {
            Action::Update { prerequisites, operations } => Action::Update {
                prerequisites: of_home(prerequisites, |one| home(one.name()) == own),
                operations: of_home(operations, |one| home(one.owner()) == own),
            },
            Action::Replace { reason: reason @ ReplaceReason::Reload { .. }, names } => {
                let names = of_home(names, |planned| home(&planned.owner) == own);
                Action::Replace { reason: reason.clone(), names }
            }
            _ => return None,
        };
        let request = Request { action, ..request.clone() };
        let records = names(&request).filter_map(|name| zone.name(name));
        let seen = records.map(|record| record.history().last).collect();
        Some((own, Part { seen, request }))
    };
    homes.iter().map(|home| part(*home)).collect()
}

fn of_home<T: Clone>(all: &[T], is_there: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| is_there(one)).cloned().collect()
}
