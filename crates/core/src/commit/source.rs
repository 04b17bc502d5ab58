//! Steps of a source of the legacy bridge: which of its units are made here and now, in one entry with
//! the advance of the base.
//!
//! A unit is made as a whole if every name that belongs to it, reverse records included, is at home in
//! this log, is no part of another change under way, and is as the bridge saw it. Others are left out,
//! for whoever asked to send on their own or to merge anew: one name that a device changed never holds
//! up the others.

use super::decide;
use super::route::{Route, names, route};
use crate::agent::{Advice, Agent, Path, Rules};
use crate::model::entry::{Body, Change, SourceChange};
use crate::model::request::{Action, PlannedName, ReplaceReason, Request, SourceStep, SourceUnit};
use crate::model::review::{Reason, Review};
use crate::model::source::{Advance, LegacyRecord, SOURCE_NAME_OCTETS_MAX};
use crate::model::{NameRecord, Origin, State};
use crate::rules::reverse::derived;
use crate::rules::update::Refusal;
use einhorn_wire::Name;
use einhorn_wire::message::Rcode;
use std::collections::HashSet;

/// The log that advances a source: the one that did last, or this one.
pub(super) fn home(state: &State, source: &str) -> Origin {
    state.sources.get(source).map_or(state.origin, |source| state.in_charge(source.home))
}

/// Whether a planned name is still as it was seen.
pub(super) fn is_as_planned(before: Option<&NameRecord>, planned: &PlannedName) -> bool {
    let history = before.map(NameRecord::history);
    let version = history.map_or(0, |history| history.version);
    let epoch = history.map_or(0, |history| history.epoch);
    version == planned.version && planned.epoch.is_none_or(|seen| seen == epoch)
}

/// The entry that a step makes.
///
/// # Errors
/// [`Refusal`] when the source has moved on, or nothing of the step can be made here.
pub(super) fn advance(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &Request,
    step: SourceStep,
) -> Result<(Body, Advice), Refusal> {
    let SourceStep { source, revision, apply, head, units } = step;
    if source.is_empty() || source.len() > SOURCE_NAME_OCTETS_MAX {
        return Err(Refusal::new(Rcode::REFUSED, "a source has a name of 1 to 63 octets"));
    }
    let known = state.sources.get(&source);
    if known.map_or(0, |known| known.revision) != revision {
        let reason = format!("source {source} has moved on since revision {revision}");
        return Err(Refusal::new(Rcode::NXRRSET, reason));
    }
    if let Some(other) = known.filter(|known| known.head.zone != head.zone) {
        let reason = format!("source {source} belongs to zone {}", other.head.zone);
        return Err(Refusal::new(Rcode::REFUSED, reason));
    }
    let reason = ReplaceReason::Source { apply };
    let asked = units.len();
    let mut seen = HashSet::new();
    let here: Vec<SourceUnit> = units
        .into_iter()
        .filter(|unit| {
            let is_first = unit.names.iter().all(|name| seen.insert(name.owner.clone()));
            is_first && is_made_here(state, request, &reason, unit)
        })
        .collect();
    let is_same_head = known.is_some_and(|known| known.head == head);
    if here.is_empty() && (asked > 0 || is_same_head) {
        return Err(Refusal::new(Rcode::NXRRSET, "nothing of it is as it was planned"));
    }
    let (items, names): (Vec<_>, Vec<_>) =
        here.into_iter().map(|unit| (unit.items, unit.names)).unzip();
    let names = names.into_iter().flatten().collect();
    let changes = changes(state, agent, now_ms, request, reason, names)?;
    let items = items.into_iter().flatten().collect();
    let advance = Advance { source, revision: revision + 1, head, items };
    let (id, remember_until_seconds) = (request.id, request.remember_until_seconds);
    let body = SourceChange { request: id, remember_until_seconds, advance, changes };
    Ok((Body::Source(body), Rules::operator()))
}

/// What the names become, with their reverse records.
fn changes(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &Request,
    reason: ReplaceReason,
    names: Vec<PlannedName>,
) -> Result<Vec<Change>, Refusal> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut whole = request.part(request.zone.clone(), Action::Replace { reason, names });
    let derived = derived(state, &whole);
    let mut changes = vec![decide::change(state, agent, now_ms, &mut whole)?];
    for mut derived in derived {
        changes.push(decide::change(state, agent, now_ms, &mut derived)?);
    }
    Ok(changes)
}

fn is_made_here(
    state: &State,
    request: &Request,
    reason: &ReplaceReason,
    unit: &SourceUnit,
) -> bool {
    let Some(zone) = state.zones.get(&request.zone) else { return unit.names.is_empty() };
    let is_unchanged = |planned: &PlannedName| is_as_planned(zone.name(&planned.owner), planned);
    if unit.names.is_empty() {
        return true;
    }
    let action = Action::Replace { reason: reason.clone(), names: unit.names.clone() };
    let whole = request.part(request.zone.clone(), action);
    let derived = derived(state, &whole);
    let is_free = |name: &Name| !state.transactions.blocks(name.canonical_key().as_ref());
    let is_home =
        matches!(route(state, &whole, &derived), Route::To(home, _) if home == state.origin);
    is_home
        && unit.names.iter().all(is_unchanged)
        && std::iter::once(&whole).chain(&derived).all(|one| names(one).all(is_free))
}

/// The review that a record of a source waits in.
///
/// # Errors
/// [`Refusal`] when its names are not as they were planned.
pub(super) fn freeze(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &Request,
    legacy: LegacyRecord,
    names: Vec<PlannedName>,
) -> Result<(Body, Advice), Refusal> {
    if state.sources.is_over(&legacy) {
        return Err(Refusal::new(Rcode::NXRRSET, "the source has moved on since"));
    }
    let replaces = state.reviews.of_record(&legacy.source, &legacy.key);
    let reason = ReplaceReason::Source { apply: request.id.0 };
    let mut whole = request.part(request.zone.clone(), Action::Replace { reason, names });
    let change = decide::change(state, agent, now_ms, &mut whole)?;
    let change = Change { path: Path::Review, ..change };
    let (reason, legacy) = (Reason::Legacy, Some(legacy));
    let review = Box::new(Review { reason, change, replaces, legacy });
    Ok((Body::Review(*review), Rules::operator()))
}
