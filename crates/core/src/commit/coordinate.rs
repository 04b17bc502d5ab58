//! Changes of names with different homes, or that are to be careful, at the site where they enter: asks
//! each home for its part, and waits for what the anchor decides.
//!
//! Nothing here is remembered over a restart, and nothing depends on it: once the homes have their
//! parts they need this site no more. An attempt that fails because a name is part of another change
//! is made again a moment later; after two, the zone's home coordinates, so that those who want the
//! same names stand in one queue.

use super::clock::back;
use super::forward::Asker;
use super::prepare::{NoIntent, Prepare};
use super::route::{Route, names, route};
use super::{Commit, Output, Waiting};
use crate::agent::Rules;
use crate::link::Message;
use crate::model::request::{Action, Outcome, Request, RequestId};
use crate::model::settings::{Level, Reverse};
use crate::model::{Origin, Position, State, Transaction, TransactionId};
use crate::rules::reverse::derived;
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
#[derive(Clone)]
pub(super) struct Part {
    /// What was seen of its names by the site that asks.
    pub(super) seen: Vec<Position>,
    /// Whether they must be as they were seen: what is derived from them rests on that.
    pub(super) is_exact: bool,
    /// Which settings of each request's zone were known where the parts were made: what is derived
    /// from a request rests on them.
    pub(super) settings: Vec<u64>,
    /// What is to be done, by zone.
    pub(super) requests: Vec<Request>,
}

impl Part {
    /// The last entries of the names that these requests read or write.
    pub(super) fn seen_of<'r>(state: &State, requests: &'r [Request]) -> Vec<Position> {
        let of_zone = |request: &'r Request| {
            let zone = state.zones.get(&request.zone);
            names(request).filter_map(move |name| zone?.name(name))
        };
        requests.iter().flat_map(of_zone).map(|record| record.history().last).collect()
    }

    /// The versions of the settings of these requests' zones.
    pub(super) fn settings_of(state: &State, requests: &[Request]) -> Vec<u64> {
        let version = |request: &Request| {
            state.zones.get(&request.zone).map_or(0, |zone| zone.settings_version)
        };
        requests.iter().map(version).collect()
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        self.requests.iter().flat_map(names)
    }

    /// The message that asks its home.
    fn to_prepare(&self, transaction: &Transaction) -> Vec<u8> {
        let (transaction, seen) = (transaction.clone(), self.seen.clone());
        let (is_exact, settings) = (self.is_exact, self.settings.clone());
        let requests = self.requests.clone();
        Message::Prepare { transaction, seen, is_exact, settings, requests }.encode()
    }
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
    /// When it came, in milliseconds since 1970.
    since_ms: u64,
    /// How far it must come before it is acknowledged.
    level: Level,
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

    /// The clock was set back. The deadlines of transactions stay: those of a site never go back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        for coordinated in self.requests.values_mut() {
            coordinated.askers.iter_mut().for_each(|asker| asker.set_back(by_ms));
            if let Phase::Rests { until_ms } = &mut coordinated.phase {
                back(until_ms, by_ms);
            }
            back(&mut coordinated.since_ms, by_ms);
        }
    }

    /// Whether it is under way.
    pub(super) fn has(&self, id: &RequestId) -> bool {
        self.requests.contains_key(id)
    }

    fn is_busy<'n>(&self, mut names: impl Iterator<Item = &'n Name>) -> bool {
        let first = RequestId([0; 32]);
        names.any(|name| {
            let next = self.busy.range((name.clone(), first)..).next();
            next.is_some_and(|(busy, _)| busy == name)
        })
    }

    /// Takes the request out whose homes were asked.
    fn rest(&mut self, id: RequestId, until_ms: u64) -> Option<Phase> {
        let coordinated = self.requests.get_mut(&id)?;
        let phase = std::mem::replace(&mut coordinated.phase, Phase::Rests { until_ms });
        if let Phase::Asked { transaction, parts, .. } = &phase {
            self.asked.remove(&transaction.id);
            let names = parts.values().flat_map(Part::names);
            names.for_each(|name| _ = self.busy.remove(&(name.clone(), id)));
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
            return Self::tell(asker, Outcome::servfail(reason), None, out);
        }
        let id = request.id;
        let (askers, phase) = (vec![asker], Phase::Rests { until_ms: now_ms });
        let level = self.level_of(&request.zone);
        let since_ms = now_ms;
        let new = Coordinated { request, askers, hops, attempts: 0, since_ms, level, phase };
        self.coordination.requests.insert(id, new);
        self.attempt(now_ms, id, out);
    }

    /// Asks the homes, if they are still several, and no other request here has the names.
    fn attempt(&mut self, now_ms: u64, id: RequestId, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.requests.get(&id) else { return };
        let request = &coordinated.request;
        let derived = derived(&self.state, request);
        let mut homes = match route(&self.state, request, &derived) {
            Route::Several(homes) => homes,
            Route::To(home, _) if self.is_careful(request, home) => vec![home],
            Route::To(..) => return self.take_again(now_ms, id, out),
        };
        if self.state.done(&id).is_some() {
            return self.take_again(now_ms, id, out);
        }
        let own = self.state.origin;
        let zone = self.state.zones.get(&request.zone);
        let home = zone.map_or(Origin::NONE, |zone| self.state.home_of_zone(zone));
        if coordinated.attempts >= ATTEMPTS_HERE && home.site != own.site {
            return self.hand_over(now_ms, id, home, out);
        }
        let is_away =
            |home: &&Origin| home.site != own.site && self.peers.is_away(home.site, now_ms);
        if let Some(away) = homes.iter().find(is_away) {
            let name = self.state.registry.name_of(away.site);
            let reason = format!(
                "site {name}, which decides on a part of this, cannot be reached from here"
            );
            return self.end(id, &Outcome::servfail(reason), out);
        }
        let Some(parts) = parts(&self.state, request, &derived, &homes) else {
            let homes: Vec<_> =
                homes.iter().map(|home| self.state.registry.name_of(home.site)).collect();
            let reason =
                format!("names that this concerns have different homes ({})", homes.join(", "));
            return self.end(id, &Outcome::servfail(reason), out);
        };
        if self.coordination.is_busy(parts.values().flat_map(Part::names)) {
            self.coordination.rest(id, now_ms + REST_MS_SPREAD);
            return;
        }
        homes.sort_unstable();
        let deadlines = coordinated.askers.iter().map(Asker::deadline_ms);
        // Also where the clock was set back.
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
        for (home, part) in &parts {
            if *home == own {
                let (transaction, until_ms) = (transaction.clone(), now_ms + self.deadline_ms);
                let part = part.clone();
                here = Some(Prepare { from: own.site, transaction, part, until_ms });
            } else {
                out.push(Output::Send(home.site, part.to_prepare(&transaction)));
            }
        }
        let level = self.level_of_all(parts.values().flat_map(|part| &part.requests));
        let coordination = &mut self.coordination;
        let Some(coordinated) = coordination.requests.get_mut(&id) else { return };
        coordinated.attempts = coordinated.attempts.saturating_add(1);
        coordination.asked.insert(transaction.id, id);
        coordinated.level = level;
        let names = parts.values().flat_map(Part::names);
        coordination.busy.extend(names.map(|name| (name.clone(), id)));
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
            let since_ms = self.coordination.requests.get(&request).map(|known| known.since_ms);
            if let (Some(advisor), Some(since_ms)) = (&mut self.advisor, since_ms) {
                advisor.prepared(now_ms.saturating_sub(since_ms));
            }
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
        self.attempt_waiting(now_ms, true, out);
    }

    /// Tries again what has rested, and, where names may have become free, what was never tried.
    fn attempt_waiting(&mut self, now_ms: u64, are_names_free: bool, out: &mut Vec<Output<R>>) {
        let is_due = |coordinated: &Coordinated<R>| match coordinated.phase {
            Phase::Rests { until_ms } => {
                until_ms <= now_ms || (are_names_free && coordinated.attempts == 0)
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
            Self::tell(asker, Outcome::servfail(reason), None, out);
            if is_last {
                self.coordination.remove(id);
            }
        }
        self.attempt_waiting(now_ms, false, out);
    }

    /// Asks a site again that has been connected anew.
    pub(super) fn ask_again(&mut self, site: u16, out: &mut Vec<Output<R>>) {
        for coordinated in self.coordination.requests.values() {
            let Phase::Asked { transaction, parts, .. } = &coordinated.phase else { continue };
            for (_, part) in parts.iter().filter(|(home, _)| home.site == site) {
                out.push(Output::Send(site, part.to_prepare(transaction)));
            }
        }
    }

    /// Answers all who asked, when what they are told is durable.
    fn end(&mut self, id: RequestId, outcome: &Outcome, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.remove(id) else { return };
        let level = coordinated.level;
        let advised = coordinated.request.decision.as_ref().map(|decision| decision.advice());
        let advice = advised.unwrap_or_else(Rules::several_homes);
        for asker in coordinated.askers {
            let (outcome, advice) = (outcome.clone(), Some(advice));
            self.answer_when_durable(Waiting { asker, outcome, advice, level }, out);
        }
    }

    /// Gives a request back that this site need not coordinate any more: it was done, or one site
    /// decides on it now.
    fn take_again(&mut self, now_ms: u64, id: RequestId, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.remove(id) else { return };
        let Coordinated { request, askers, hops, .. } = coordinated;
        for asker in askers {
            self.take(now_ms, request.clone(), asker, hops, out);
        }
    }

    /// Has the zone's home coordinate a request.
    fn hand_over(&mut self, now_ms: u64, id: RequestId, home: Origin, out: &mut Vec<Output<R>>) {
        let Some(coordinated) = self.coordination.remove(id) else { return };
        let Coordinated { request, askers, hops, .. } = coordinated;
        for asker in askers {
            self.forward(now_ms, request.clone(), (home, Vec::new()), hops, asker, out);
        }
    }
}

/// Each home's part of a request and of what is derived from it; `None` if it cannot be divided.
fn parts(
    state: &State,
    request: &Request,
    derived: &[Request],
    homes: &[Origin],
) -> Option<BTreeMap<Origin, Part>> {
    let zone = state.zones.get(&request.zone)?;
    let is_exact = request.is_careful() || zone.settings.reverse == Reverse::Auto;
    let part = |own: Origin| {
        let all = std::iter::once(request).chain(derived);
        let mut requests: Vec<Request> =
            all.map(|request| part_of(state, request, own)).collect::<Option<_>>()?;
        requests.retain(|part| names(part).next().is_some());
        let seen = Part::seen_of(state, &requests);
        let settings = Part::settings_of(state, &requests);
        Some((own, Part { seen, is_exact, settings, requests }))
    };
    homes.iter().map(|home| part(*home)).collect()
}

/// What `own` is home to of a request; `None` if it cannot be divided.
fn part_of(state: &State, request: &Request, own: Origin) -> Option<Request> {
    let zone = state.zones.get(&request.zone)?;
    let is_own = |name: &Name| state.home_of(zone, zone.name(name)) == own;
    let action = match &request.action {
        Action::Update { prerequisites, operations, lease } => Action::Update {
            prerequisites: of_home(prerequisites, |one| is_own(one.name())),
            operations: of_home(operations, |one| is_own(one.owner())),
            lease: *lease,
        },
        Action::Replace { reason, names } if reason.is_divisible() => {
            let names = of_home(names, |planned| is_own(&planned.owner));
            Action::Replace { reason: reason.clone(), names }
        }
        _ => return None,
    };
    let decision = request.decision.clone();
    Some(Request { decision, ..request.part(request.zone.clone(), action) })
}

fn of_home<T: Clone>(all: &[T], is_there: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| is_there(one)).cloned().collect()
}
