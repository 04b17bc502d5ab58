//! From a request and the state to the change it makes, or to a refusal. Pure.

use crate::agent::{Advice, Agent, Observation, Path, Rules};
use crate::model::entry::{Cause, Change, NameChange};
use crate::model::request::{Action, Request};
use crate::model::{NameRecord, Position, RrSet, State, Zone};
use crate::rules::update::{Refusal, Touched, apply, changed_types, prerequisites_hold};
use einhorn_wire::Name;
use einhorn_wire::message::Rcode;

/// The change that `request` makes now.
///
/// # Errors
/// [`Refusal`] when it is not to be done.
pub(super) fn change(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &Request,
) -> Result<Change, Refusal> {
    let zone = state.zones.get(&request.zone);
    let missing =
        || Refusal::new(Rcode::NOTAUTH, format!("zone {} is not served here", request.zone));
    match &request.action {
        Action::Update { prerequisites, operations } => {
            let zone = zone.ok_or_else(missing)?;
            prerequisites_hold(zone, prerequisites)?;
            let touched = apply(zone, operations);
            let known: Vec<_> = touched.iter().filter_map(|name| name.before.as_ref()).collect();
            let advice =
                agent.advise(Observation { writer: request.who.tag(), now_ms, names: &known });
            let names = touched.into_iter().map(|name| name_change(state, name)).collect();
            Ok(assemble(request, advice, Cause::Update, names))
        }
        Action::LoadZone { names, source } => {
            if zone.is_some() {
                return Err(Refusal::new(
                    Rcode::YXDOMAIN,
                    format!("zone {} exists already", request.zone),
                ));
            }
            let new = |(owner, after): &(Name, Vec<RrSet>)| {
                let touched = Touched { owner: owner.clone(), before: None, after: after.clone() };
                name_change(state, touched)
            };
            let names = names.iter().map(new).collect();
            Ok(assemble(request, Rules::operator(), Cause::ZoneLoad { source: *source }, names))
        }
        Action::Rollback { target_index, names } => {
            rollback(state, now_ms, request, zone.ok_or_else(missing)?, *target_index, names)
        }
    }
}

fn rollback(
    state: &State,
    now_ms: u64,
    request: &Request,
    zone: &Zone,
    target_index: u64,
    names: &[(Name, u64, Vec<RrSet>)],
) -> Result<Change, Refusal> {
    let mut changes = Vec::with_capacity(names.len());
    for (owner, version, after) in names {
        let before = zone.name(owner).filter(|record| record.history().version == *version);
        let Some(before) = before else {
            let reason = format!("{owner} has changed since the rollback was planned; plan again");
            return Err(Refusal::new(Rcode::NXRRSET, reason));
        };
        let touched =
            Touched { owner: owner.clone(), before: Some(before.clone()), after: after.clone() };
        changes.push(name_change(state, touched));
    }
    let root_before = zone.state_root();
    let cause = Cause::Rollback { target_index, root_before, root_after: root_before };
    let mut change = assemble(request, Rules::operator(), cause, changes);
    let mut after = zone.clone();
    let last = Position { origin: state.origin, index: state.next_index };
    if let Err(error) = after.fold(&change, last, now_ms) {
        unreachable!("a change does not follow from the state it was made from: {error}");
    }
    change.cause = Cause::Rollback { target_index, root_before, root_after: after.state_root() };
    Ok(change)
}

fn name_change(state: &State, name: Touched) -> NameChange {
    let old = name.before.as_ref().map(NameRecord::history);
    NameChange {
        home: state.origin.site,
        epoch: old.map_or(1, |old| old.epoch),
        version: old.map_or(0, |old| old.version) + 1,
        sequence: old.map_or(0, |old| old.sequence) + 1,
        previous: old.map(|old| old.last),
        before: changed_types(name.rrsets_before(), &name.after),
        owner: name.owner,
        after: name.after,
    }
}

/// With one site every name is at home here, so the fast path is taken whatever was advised.
fn assemble(request: &Request, advice: Advice, cause: Cause, names: Vec<NameChange>) -> Change {
    Change {
        zone: request.zone.clone(),
        request: request.id,
        remember_until_seconds: request.remember_until_seconds,
        who: request.who.clone(),
        entered_site: request.entered_site,
        audit_commitment: request.audit_commitment,
        advice,
        path: Path::Fast,
        cause,
        names,
    }
}
