//! When publication points are logged: at once by a site that is alone, else a moment after a
//! change, so that many share one.

use super::Commit;
use super::bug::{Bug, has};
use crate::model::entry::Body;

/// How long after a change the home of its zone logs a publication point, in milliseconds, when
/// there are other sites: many changes share one.
const POINT_DELAY_MS: u64 = 20;

impl<R> Commit<R> {
    /// Notes which zones need a publication point, and when.
    pub(super) fn note_unpublished(&mut self, now_ms: u64) {
        let due_ms = now_ms + POINT_DELAY_MS;
        let zones = self.open.effects.unpublished.drain(..);
        self.unpublished.extend(zones.map(|zone| (zone, due_ms)));
    }

    /// Notes every zone that something is unpublished of, whoever noted it before: it may have
    /// come from before a restart, or be at home here only now.
    pub(super) fn note_all_unpublished(&mut self, due_ms: u64) {
        let zones = self.state.zones.iter().filter(|zone| zone.is_unpublished());
        let new = zones.filter(|zone| self.unpublished.iter().all(|(apex, _)| *apex != zone.apex));
        let new: Vec<_> = new.map(|zone| (zone.apex.clone(), due_ms)).collect();
        self.unpublished.extend(new);
    }

    /// Logs a publication point for each zone at home here that needs one by now.
    pub(super) fn stage_points(&mut self, now_ms: u64) {
        if self.unpublished.is_empty() || !self.may_append() {
            return;
        }
        let is_alone = self.state.registry.is_alone();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unpublished)
            .into_iter()
            .partition(|(_, due_ms)| is_alone || *due_ms <= now_ms);
        self.unpublished = rest;
        for (apex, _) in due {
            let Some(zone) = self.state.zones.get(&apex) else { continue };
            let is_home = self.state.home_of_zone(zone) == self.state.origin;
            if !is_home || !zone.is_unpublished() || zone.soa().is_none() {
                continue;
            }
            let (serial, incarnation) = (zone.next_serial(), zone.incarnation);
            let mut covers = zone.covers_after(self.state.positions());
            covers.retain(|at| at.origin == self.state.origin || !has(Bug::PointWithoutVector));
            self.stage(now_ms, Body::Publication { zone: apex, incarnation, serial, covers }, &[]);
        }
    }
}
