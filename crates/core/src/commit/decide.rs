//! From a request and the state to the change it makes, or to a refusal. Pure.

use super::bug::{Bug, has};
use super::{sites, source};
use crate::agent::{Advice, Agent, Observation, Path, Rules, is_others};
use crate::model::entry::{Body, Cause, Change, NameChange, SitesChange};
use crate::model::request::{Action, Identity, PlannedName, ReplaceReason, Request};
use crate::model::review::{Reason, Review};
use crate::model::settings::Contested;
use crate::model::tree::Live;
use crate::model::{
    NameRecord, Origin, Position, RrSet, State, Zone, borrowed, changed_types, find,
};
use crate::rules::update::{Granted, Refusal, Touched, apply, prerequisites_hold, updatable};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};

/// The entry that `request` makes now, and with it what is derived from it. Takes the names of a large
/// one out of it.
///
/// # Errors
/// [`Refusal`] when it is not to be done.
pub(super) fn body(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &mut Request,
    derived: Vec<Request>,
) -> Result<(Body, Advice), Refusal> {
    if let Action::Sites(change) = &request.action {
        let registry =
            sites::after(state, change).map_err(|reason| Refusal::new(Rcode::REFUSED, reason))?;
        let sites = SitesChange {
            request: request.id,
            remember_until_seconds: request.remember_until_seconds,
            who: request.who.clone(),
            registry,
        };
        return Ok((Body::Sites(sites), Rules::operator()));
    }
    match std::mem::replace(&mut request.action, Action::RemoveZone) {
        Action::Advance(step) => return source::advance(state, agent, now_ms, request, *step),
        Action::Freeze(legacy, names) => {
            return source::freeze(state, agent, now_ms, request, *legacy, names);
        }
        action => request.action = action,
    }
    let change = change(state, agent, now_ms, request)?;
    let advice = change.advice;
    let change = match reviewed(state, now_ms, change) {
        Ok(change) => change,
        Err(review) => return Ok((Body::Review(*review), advice)),
    };
    if derived.is_empty() {
        return Ok((Body::Change(change), advice));
    }
    let mut changes = vec![change];
    for mut derived in derived {
        changes.push(self::change(state, agent, now_ms, &mut derived)?);
    }
    Ok((Body::Changes(changes), advice))
}

/// The change, if it may be made; else what waits for a person in its place, where the zone wants that
/// of contested names.
pub(super) fn reviewed(state: &State, now_ms: u64, change: Change) -> Result<Change, Box<Review>> {
    let zone = state.zones.get(&change.zone);
    let zone = zone.filter(|zone| zone.settings.contested == Contested::Review);
    let is_device = matches!(change.who, Identity::Key(_)) && change.cause == Cause::Update;
    let Some(zone) = zone.filter(|_| is_device) else { return Ok(change) };
    let is_contested = |name: &NameChange| {
        let record = zone.name(&name.owner).filter(|record| record.is_live());
        let history = record.map(NameRecord::history);
        // What an operator put there is there to be changed.
        let history = history.filter(|history| history.writer != Identity::Operator.tag());
        history.is_some_and(|history| is_others(&history, change.who.tag(), now_ms))
    };
    if !change.names.iter().any(is_contested) {
        return Ok(change);
    }
    let replaces = state.reviews.like(&change);
    let change = Change { path: Path::Review, ..change };
    Err(Box::new(Review { reason: Reason::Contested, change, replaces, legacy: None }))
}

/// The change that `request` makes now. Takes the names of a large one out of it.
///
/// # Errors
/// [`Refusal`] when it is not to be done.
pub(super) fn change(
    state: &State,
    agent: &dyn Agent,
    now_ms: u64,
    request: &mut Request,
) -> Result<Change, Refusal> {
    let zone = state.zones.get(&request.zone);
    let missing =
        || Refusal::new(Rcode::NOTAUTH, format!("zone {} is not served here", request.zone));
    match &mut request.action {
        Action::Update { prerequisites, operations, lease } => {
            let zone = zone.ok_or_else(missing)?;
            updatable(zone)?;
            prerequisites_hold(zone, prerequisites)?;
            let granted = lease.map(|lease| Granted { lease, now_ms });
            let touched = apply(zone, operations, granted);
            let known: Vec<_> = touched.iter().filter_map(|name| name.before.as_ref()).collect();
            let by_rules = || {
                agent.advise(Observation {
                    writer: request.who.tag(),
                    now_ms,
                    site: state.origin.site,
                    entered_site: request.entered_site,
                    contested: zone.settings.contested,
                    is_held: touched.iter().any(|name| state.sources.hold(&name.owner, now_ms)),
                    names: &known,
                })
            };
            let advice = request.decision.as_ref().map_or_else(by_rules, |one| one.advice());
            let homes = Homes { state, zone, entered_site: request.entered_site, advice };
            let names = touched.into_iter().map(|name| homes.name_change(name)).collect();
            Ok(assemble(state, request, advice, Cause::Update, names))
        }
        Action::LoadZone { names, source } => {
            if zone.is_some_and(|zone| zone.soa().is_some()) {
                return Err(Refusal::new(
                    Rcode::YXDOMAIN,
                    format!("zone {} exists already", request.zone),
                ));
            }
            let source = *source;
            let new = |(owner, after): (Name, Vec<RrSet>)| {
                name_change(state, state.origin, Touched::replaced(owner, None, after))
            };
            let names = std::mem::take(names).into_iter().map(new).collect();
            Ok(assemble(state, request, Rules::operator(), Cause::ZoneLoad { source }, names))
        }
        Action::Replace { reason, names } => {
            let zone = zone.ok_or_else(missing)?;
            let (reason, names) = (reason.clone(), std::mem::take(names));
            replace(state, now_ms, request, zone, &reason, names)
        }
        Action::RemoveZone => {
            let zone = zone.ok_or_else(missing)?;
            let names = zone.names.live_count() as u64;
            let cause = Cause::ZoneRemoval { names, root: zone.state_root() };
            Ok(assemble(state, request, Rules::operator(), cause, Vec::new()))
        }
        Action::Configure(settings) => {
            let version = zone.map_or(0, |zone| zone.settings_version) + 1;
            let cause = Cause::Settings { version, settings: Box::new(settings.clone()) };
            Ok(assemble(state, request, Rules::operator(), cause, Vec::new()))
        }
        Action::Sites(_) | Action::Advance(_) | Action::Freeze(..) => {
            unreachable!("entries of their own kinds")
        }
    }
}

/// Where names are at home after a change.
struct Homes<'s> {
    state: &'s State,
    zone: &'s Zone,
    entered_site: u16,
    advice: Advice,
}

impl Homes<'_> {
    fn name_change(&self, name: Touched) -> NameChange {
        let home = self.home(&name);
        name_change(self.state, home, name)
    }

    /// A name that is registered is at home where that was asked for; one that is used from
    /// another site moves there if the agent says so. What belongs to the zone as a whole, and
    /// what is deleted, stays.
    fn home(&self, name: &Touched) -> Origin {
        let own = self.state.origin;
        if self.state.registry.is_alone() {
            return own;
        }
        let delegates = |rtype| find(&name.after, rtype).is_some();
        if name.owner == self.zone.apex || delegates(RecordType::NS) || delegates(RecordType::DNAME)
        {
            return self.state.home_of_zone(self.zone);
        }
        let is_new = !name.before.as_ref().is_some_and(Live::is_live);
        let goes = !name.after.is_empty() && (is_new || self.advice.path == Path::Move);
        let there = self.state.log_of_site(self.entered_site);
        there
            .filter(|there| goes && self.state.in_charge(*there) == *there)
            .filter(|there| {
                self.state.registry.sites.get(&there.site).is_some_and(|site| !site.is_suspended)
            })
            .unwrap_or(own)
    }
}

/// Moves between two takeovers that a takeover outranks. What a lost site had logged and nobody else
/// has may have moved a name: whoever goes on for it must outrank that, without having seen it.
const MOVES_MAX: u32 = 65_536;

/// Whether the zone's content may be changed for this reason.
fn may_replace(zone: &Zone, reason: &ReplaceReason) -> Result<(), Refusal> {
    let (is_followed, is_empty) = (zone.settings.is_followed(), zone.soa().is_none());
    let refuse =
        |rcode, reason: &str| Err(Refusal::new(rcode, format!("zone {} {reason}", zone.apex)));
    match reason {
        ReplaceReason::Transfer { .. } if !is_followed => refuse(Rcode::REFUSED, "is not followed"),
        ReplaceReason::Transfer { from, .. } if *from != (!is_empty).then_some(zone.serial) => {
            refuse(Rcode::NXRRSET, "has got another serial meanwhile")
        }
        ReplaceReason::Transfer { .. } => Ok(()),
        _ if is_followed => refuse(Rcode::REFUSED, "is followed: change it at its primary"),
        _ if is_empty => refuse(Rcode::SERVFAIL, "has no content yet"),
        _ => Ok(()),
    }
}

fn replace(
    state: &State,
    now_ms: u64,
    request: &Request,
    zone: &Zone,
    reason: &ReplaceReason,
    names: Vec<PlannedName>,
) -> Result<Change, Refusal> {
    may_replace(zone, reason)?;
    let mut changes = Vec::with_capacity(names.len());
    for planned in names {
        let before = zone.name(&planned.owner);
        let is_as_planned = source::is_as_planned(before, &planned);
        let is_passed_over = has(Bug::RenewalOverlooked) && *reason == ReplaceReason::Expiry;
        let PlannedName { owner, after, .. } = planned;
        if !is_as_planned && !is_passed_over {
            let reason = format!("{owner} has changed since this was planned; plan again");
            return Err(Refusal::new(Rcode::NXRRSET, reason));
        }
        let mut touched = Touched::replaced(owner, before.cloned(), after);
        if let ReplaceReason::Review { review, .. } = reason {
            let asked = state.reviews.get(*review).map(|open| &open.review.change.names);
            let asked = asked.into_iter().flatten().find(|name| name.owner == touched.owner);
            touched.lease_as(asked.map_or(&[], |name| &name.leases));
        }
        changes.push(name_change(state, state.origin, touched));
    }
    let cause = match reason {
        ReplaceReason::Review { review, choice } => {
            let (review, choice) = (*review, *choice);
            let Some(open) = state.reviews.get(review) else {
                return Err(Refusal::new(Rcode::NXRRSET, format!("no review {review} is open")));
            };
            Cause::Review { review, choice, asker: open.review.change.who.clone() }
        }
        ReplaceReason::Expiry => Cause::Expiry,
        ReplaceReason::Reload { source } => Cause::ZoneReload { source: *source },
        ReplaceReason::Source { apply } => Cause::Source { apply: *apply },
        ReplaceReason::Transfer { to, .. } => Cause::Transfer { serial: *to },
        ReplaceReason::Rollback { target_index } => {
            let target_index = *target_index;
            let root_before = zone.state_root();
            let cause = Cause::Rollback { target_index, root_before, root_after: root_before };
            let mut change = assemble(state, request, Rules::operator(), cause, changes);
            let root_after = root_after(state, now_ms, zone, &change);
            change.cause = Cause::Rollback { target_index, root_before, root_after };
            return Ok(change);
        }
    };
    Ok(assemble(state, request, Rules::operator(), cause, changes))
}

/// The state root that the zone will have.
fn root_after(state: &State, now_ms: u64, zone: &Zone, change: &Change) -> [u8; 32] {
    let mut after = zone.clone();
    let last = Position { origin: state.origin, index: state.next_index() };
    if let Err(error) = after.fold(change, last, now_ms) {
        unreachable!("a change does not follow from the state it was made from: {error}");
    }
    after.state_root()
}

fn name_change(state: &State, home: Origin, name: Touched) -> NameChange {
    let old = name.before.as_ref().map(NameRecord::history);
    let epoch = old.as_ref().map_or(1, |old| match old.home == home {
        true => old.epoch,
        false if state.in_charge(old.home) == old.home => old.epoch.saturating_add(1),
        false => (old.epoch / MOVES_MAX + 1).saturating_mul(MOVES_MAX),
    });
    NameChange {
        home,
        epoch,
        version: old.map_or(0, |old| old.version) + 1,
        sequence: old.map_or(0, |old| old.sequence) + 1,
        previous: old.map(|old| old.last),
        before: changed_types(name.rrsets_before(), borrowed(&name.after)),
        owner: name.owner,
        after: name.after,
        leases: name.leases,
    }
}

/// The name goes on at another home with what it has.
pub(super) fn moved(state: &State, record: &NameRecord, home: Origin) -> NameChange {
    let after = record.owned_rrsets();
    name_change(
        state,
        home,
        Touched::replaced(record.owner().to_name(), Some(record.clone()), after),
    )
}

fn assemble(
    state: &State,
    request: &Request,
    advice: Advice,
    cause: Cause,
    names: Vec<NameChange>,
) -> Change {
    let own = state.origin;
    let path = if names.iter().any(|name| name.home != own && name.previous.is_some()) {
        Path::Move
    } else if request.entered_site != own.site {
        Path::Forward
    } else {
        Path::Fast
    };
    Change {
        zone: request.zone.clone(),
        incarnation: state.next_incarnation(&request.zone),
        request: request.id,
        remember_until_seconds: request.remember_until_seconds,
        who: request.who.clone(),
        entered_site: request.entered_site,
        audit_commitment: request.audit_commitment,
        decision: request.decision.clone(),
        stands_for: Vec::new(),
        advice,
        path,
        cause,
        names,
    }
}
