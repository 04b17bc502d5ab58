//! Which site decides on a request: the home of all the names that it reads or writes.

use super::source;
use crate::model::request::{Action, Operation, Prerequisite, ReplaceReason, Request};
use crate::model::{Origin, Position, State, Zone};
use einhorn_wire::Name;

/// Where a request is decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// In this log; what this site knows says so as of these entries.
    To(Origin, Vec<Position>),
    /// Its names have several homes.
    Several(Vec<Origin>),
}

/// Where `request` is decided on, and with it what is derived from it, as far as is known here.
pub(super) fn route(state: &State, request: &Request, derived: &[Request]) -> Route {
    let zone = match &request.action {
        Action::Sites(_) => return Route::To(state.home_of_registry(), Vec::new()),
        Action::Advance(step) => {
            return Route::To(source::home(state, &step.source), Vec::new());
        }
        Action::Freeze(legacy, _) => {
            return Route::To(source::home(state, &legacy.source), Vec::new());
        }
        _ => state.zones.get(&request.zone),
    };
    // A zone that does not exist is made, or refused, where the sites are decided on.
    let Some(zone) = zone.filter(|zone| zone.home != Origin::NONE) else {
        return Route::To(state.home_of_registry(), Vec::new());
    };
    if state.registry.is_alone() {
        return Route::To(state.home_of_zone(zone), Vec::new());
    }
    let mut homes = Homes { state, homes: Vec::new(), seen: Vec::new() };
    homes.of(request, zone);
    for derived in derived {
        let zone = state.zones.get(&derived.zone);
        zone.into_iter().for_each(|zone| homes.of(derived, zone));
    }

    let Homes { mut homes, seen, .. } = homes;
    match (homes.pop(), homes.is_empty()) {
        (None, _) => Route::To(state.home_of_zone(zone), seen),
        (Some(home), true) => Route::To(home, seen),
        (Some(last), false) => {
            homes.push(last);
            Route::Several(homes)
        }
    }
}

/// The names that a request reads or writes, as far as it says them.
pub(super) fn names(request: &Request) -> impl Iterator<Item = &Name> {
    let (prerequisites, operations, planned) = match &request.action {
        Action::Update { prerequisites, operations, .. } => {
            (&prerequisites[..], &operations[..], &[][..])
        }
        Action::Replace { names, .. } => (&[][..], &[][..], &names[..]),
        _ => (&[][..], &[][..], &[][..]),
    };
    let read = prerequisites.iter().map(Prerequisite::name);
    let written = operations.iter().map(Operation::owner);
    read.chain(written).chain(planned.iter().map(|planned| &planned.owner))
}

struct Homes<'s> {
    state: &'s State,
    /// Each once.
    homes: Vec<Origin>,
    seen: Vec<Position>,
}

impl Homes<'_> {
    /// Those of the names that a request reads or writes.
    fn of(&mut self, request: &Request, zone: &Zone) {
        match &request.action {
            Action::Update { prerequisites, operations, .. } => {
                operations.iter().map(Operation::owner).for_each(|name| self.name(zone, name));
                let read = prerequisites.iter().map(Prerequisite::name);
                read.for_each(|name| self.name(zone, name));
            }
            Action::Replace { reason, names } => {
                // A content as a whole is decided on by the zone's home; names that live elsewhere
                // make it a matter of several.
                match reason {
                    // The names stay as they are where nothing of it is taken.
                    ReplaceReason::Review { review, .. } if names.is_empty() => {
                        self.add(self.state.in_charge(review.origin));
                    }
                    ReplaceReason::Review { .. }
                    | ReplaceReason::Expiry
                    | ReplaceReason::Source { .. } => {}
                    _ => self.add(self.state.home_of_zone(zone)),
                }
                if !matches!(reason, ReplaceReason::Transfer { .. }) {
                    names.iter().for_each(|planned| self.name(zone, &planned.owner));
                }
            }
            Action::LoadZone { .. }
            | Action::RemoveZone
            | Action::Configure(_)
            | Action::Sites(_)
            | Action::Advance(_)
            | Action::Freeze(..) => {}
        }
    }

    fn add(&mut self, home: Origin) {
        if !self.homes.contains(&home) {
            self.homes.push(home);
        }
    }

    fn name(&mut self, zone: &Zone, name: &Name) {
        let record = zone.name(name);
        self.seen.extend(record.map(|record| record.history().last));
        self.add(self.state.home_of(zone, record));
    }
}
