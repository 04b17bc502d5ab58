//! Where the commit asks the agent, and tells it what was seen.
//!
//! A device's request is looked at once, where it enters, if there are other sites: alone there is
//! nothing to choose. What was said goes with the request and decides nothing: a path that is not
//! open is not taken, and a careful one is only more work.

use super::Commit;
use super::route::Route;
use crate::agent::{Advisor, Look};
use crate::model::Origin;
use crate::model::entry::Entry;
use crate::model::request::{Action, Identity, Operation, Request};
use einhorn_agent::decision::Homes;
use std::collections::BTreeSet;

impl<R> Commit<R> {
    /// Asks the agent about a request that enters here.
    pub(super) fn look(&mut self, now_ms: u64, request: &mut Request, route: &Route) {
        let is_new = request.decision.is_none() && !self.coordination.has(&request.id);
        let Some(advisor) = self.advisor.as_mut().filter(|_| is_new) else { return };
        let is_device = matches!(request.who, Identity::Key(_));
        let Action::Update { operations, .. } = &request.action else { return };
        let Some(zone) = self.state.zones.get(&request.zone) else { return };
        if self.state.registry.is_alone() || !is_device || operations.is_empty() {
            return;
        }
        let homes = match route {
            Route::To(home, _) if *home == Origin::NONE => return,
            Route::To(home, _) if home.site == self.state.origin.site => Homes::Here,
            Route::To(..) => Homes::Elsewhere,
            Route::Several(_) => Homes::Several,
        };
        let owners: BTreeSet<_> = operations.iter().map(Operation::owner).collect();
        let names: Vec<_> = owners.iter().filter_map(|owner| zone.name(owner)).collect();
        let is_held = owners.iter().any(|owner| self.state.sources.hold(owner, now_ms));
        let decision = advisor.look(&Look {
            now_ms,
            id: request.id,
            writer: request.who.tag(),
            site: self.state.origin.site,
            operations,
            homes,
            is_held,
            names: &names,
        });
        request.decision = Some(Box::new(decision));
        advisor.tick(now_ms);
    }

    /// Whether a request is prepared, though all its names have this one home, or is already: a retry
    /// may have been looked at otherwise than the first.
    pub(super) fn is_prepared(&self, request: &Request, home: Origin) -> bool {
        self.is_careful(request, home) || self.coordination.has(&request.id)
    }

    /// Whether a request is to be prepared, though all its names have this one home.
    pub(super) fn is_careful(&self, request: &Request, home: Origin) -> bool {
        let is_there = home != Origin::NONE && self.state.zones.get(&request.zone).is_some();
        is_there && request.is_careful()
    }

    /// Lets the agent see an entry that was folded. Alone nobody asks it, and nothing is remembered.
    pub(super) fn note_for_agent(&mut self, now_ms: u64, entry: &Entry) {
        let advisor = self.advisor.as_mut().filter(|_| !self.state.registry.is_alone());
        if let Some(advisor) = advisor {
            advisor.folded(now_ms, entry);
        }
    }

    /// The agent: to train another model from what it lived through, if it says so.
    pub fn advisor(&mut self) -> Option<&mut Advisor> {
        self.advisor.as_deref_mut()
    }
}

#[cfg(test)]
#[path = "advising_tests.rs"]
mod tests;
