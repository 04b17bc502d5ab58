//! The last steps of every zone, in memory, for transfers of differences (IXFR, RFC 1995).
//!
//! A cache of the log's end: a restart fills it from there. It is bounded as a whole; what falls
//! out at its old end is answered with a whole zone.

use einhorn_core::model::{Step, StepKind};
use einhorn_wire::Name;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Changes of names kept at most, over all zones; each takes about 300 octets.
pub const CHANGES_KEPT_MAX: usize = 100_000;

/// The last steps of every zone.
#[derive(Default)]
pub struct History {
    /// Steps from one serial to the next, each beginning where the one before it ended.
    zones: HashMap<Name, VecDeque<Arc<Step>>>,
    /// The same steps in the order in which they came. Those of a zone that began anew stay
    /// until their turn.
    order: VecDeque<Arc<Step>>,
    /// Changes in `order`.
    changes: usize,
}

fn weight(step: &Step) -> usize {
    match &step.kind {
        StepKind::Changed { changes, .. } => changes.len().max(1),
        _ => 0,
    }
}

impl History {
    /// Takes the next step.
    pub fn record(&mut self, step: Step) {
        let StepKind::Changed { from, .. } = step.kind else {
            if step.kind != StepKind::Configured {
                self.zones.remove(&step.zone);
            }
            return;
        };
        let step = Arc::new(step);
        let steps = match self.zones.get_mut(&step.zone) {
            Some(steps) => steps,
            None => self.zones.entry(step.zone.clone()).or_default(),
        };
        if steps.back().is_some_and(|last| serial_after(last) != Some(from)) {
            steps.clear();
        }
        steps.push_back(Arc::clone(&step));
        self.changes += weight(&step);
        self.order.push_back(step);
        while self.changes > CHANGES_KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, oldest: &Arc<Step>) {
        self.changes -= weight(oldest);
        if let Some(steps) = self.zones.get_mut(&oldest.zone)
            && steps.front().is_some_and(|first| Arc::ptr_eq(first, oldest))
        {
            steps.pop_front();
            if steps.is_empty() {
                self.zones.remove(&oldest.zone);
            }
        }
    }

    /// The steps of `zone` from one serial to another; `None` if they are not all known.
    pub fn since(&self, zone: &Name, from: u32, to: u32) -> Option<Vec<Arc<Step>>> {
        let steps = self.zones.get(zone)?;
        // Serials may come around, so the last place that fits counts.
        let last = steps.iter().rposition(|step| serial_after(step) == Some(to))?;
        let first =
            steps.iter().take(last + 1).rposition(|step| serial_before(step) == Some(from))?;
        Some(steps.range(first..=last).cloned().collect())
    }
}

fn serial_before(step: &Step) -> Option<u32> {
    if let StepKind::Changed { from, .. } = step.kind { Some(from) } else { None }
}

fn serial_after(step: &Step) -> Option<u32> {
    if let StepKind::Changed { to, .. } = step.kind { Some(to) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn step(apex: &str, from: u32, to: u32) -> Step {
        Step { zone: zone(apex), kind: StepKind::Changed { from, to, changes: Vec::new() } }
    }

    fn serials(history: &History, apex: &str, from: u32, to: u32) -> Option<Vec<u32>> {
        let steps = history.since(&zone(apex), from, to)?;
        Some(steps.iter().filter_map(|step| serial_after(step)).collect())
    }

    #[test]
    fn steps_are_found_between_serials() {
        let mut history = History::default();
        for serial in 1..6 {
            history.record(step("a.", serial, serial + 1));
            history.record(step("b.", serial * 10, serial * 10 + 10));
        }
        assert_eq!(serials(&history, "A.", 3, 5), Some(vec![4, 5]));
        assert_eq!(serials(&history, "a.", 1, 6), Some(vec![2, 3, 4, 5, 6]));
        assert_eq!(serials(&history, "b.", 30, 60), Some(vec![40, 50, 60]));
        for (from, to) in [(0, 6), (3, 7), (5, 3), (6, 6)] {
            assert_eq!(serials(&history, "a.", from, to), None, "{from} {to}");
        }
    }

    #[test]
    fn a_zone_that_begins_anew_has_no_steps_before() {
        let mut history = History::default();
        history.record(step("a.", 1, 2));
        history.record(Step { zone: zone("a."), kind: StepKind::Configured });
        history.record(step("a.", 2, 3));
        assert_eq!(serials(&history, "a.", 1, 3), Some(vec![2, 3]));
        history.record(Step { zone: zone("a."), kind: StepKind::Began(9) });
        history.record(step("a.", 9, 10));
        assert_eq!(serials(&history, "a.", 2, 3), None);
        history.record(step("a.", 11, 12));
        assert_eq!(
            (serials(&history, "a.", 9, 10), serials(&history, "a.", 11, 12)),
            (None, Some(vec![12]))
        );
    }

    #[test]
    fn the_oldest_steps_of_all_zones_go_first() {
        let mut history = History::default();
        history.record(step("a.", 1, 2));
        for serial in 0..CHANGES_KEPT_MAX as u32 - 1 {
            history.record(step("b.", serial, serial + 1));
        }
        assert!(serials(&history, "a.", 1, 2).is_some());
        history.record(step("c.", 1, 2));
        assert!(serials(&history, "a.", 1, 2).is_none());
        assert!(!history.zones.contains_key(&zone("a.")));
        assert!(serials(&history, "b.", 0, 1).is_some());
        assert_eq!(history.order.len(), CHANGES_KEPT_MAX);
    }
}
