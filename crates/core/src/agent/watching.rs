//! Whether what was predicted came true, told from the ledger's entries.
//!
//! A change meets the hazard if another identity's change of one of its names was under way at some
//! moment while it was: [`overlap`], the same as what models are trained on. What a site sees of that
//! it sees a while after the commit, so that outcomes are settled late, and in order.

use einhorn_agent::decision::{Alarm, Watch};
use einhorn_agent::label::{Window, overlap};
use std::collections::{HashMap, VecDeque};

/// An outcome is settled so long after the commit was seen here, in milliseconds: no request is
/// under way for longer than this, and its entry has come by then.
const SETTLE_MS: u64 = 8_000;
/// Windows are remembered for so long, in milliseconds: beyond what settling looks at.
const WINDOWS_MS: u64 = 2 * SETTLE_MS;
/// Windows remembered at most, and outcomes that wait; with more, the oldest are not waited for.
const WINDOWS_MAX: usize = 262_144;

/// A change whose outcome is not known yet.
struct Unsettled {
    due_ms: u64,
    names: Vec<u64>,
    actor: u64,
    window: Window,
    is_prepared: bool,
    /// In billionths.
    probability: u32,
    arm: usize,
}

/// What became of a change that an agent decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The knobs that it was decided on with.
    pub(super) arm: usize,
    /// Whether it met another identity's.
    pub(super) is_met: bool,
    /// Whether it was prepared.
    pub(super) is_prepared: bool,
    /// From when it entered to its commit, in milliseconds.
    pub(super) took_ms: u64,
}

/// Windows of the changes of late, and the predictions that wait for theirs.
#[derive(Default)]
pub(super) struct Watching {
    of_name: HashMap<u64, VecDeque<(u64, Window)>>,
    /// In the order in which they are forgotten.
    windows: VecDeque<(u64, u64)>,
    unsettled: VecDeque<Unsettled>,
    watch: Watch,
    settled: u64,
    met: u64,
}

impl Watching {
    /// Which way predictions are wrong, if they are.
    pub(super) fn alarm(&self) -> Option<Alarm> {
        self.watch.alarm()
    }

    /// Outcomes settled, and those that met the hazard.
    pub(super) fn settled(&self) -> (u64, u64) {
        (self.settled, self.met)
    }

    /// A change was committed, of this identity, in this time, prepared or not, for which this was
    /// predicted with these knobs, if it entered here.
    pub(super) fn committed(
        &mut self,
        now_ms: u64,
        names: impl Iterator<Item = u64> + Clone,
        (actor, window, is_prepared): (u64, Window, bool),
        predicted: Option<(u32, usize)>,
    ) {
        for name in names.clone() {
            self.of_name.entry(name).or_default().push_back((actor, window));
            self.windows.push_back((now_ms + WINDOWS_MS, name));
        }
        if let Some((probability, arm)) = predicted {
            let (names, due_ms) = (names.collect(), now_ms + SETTLE_MS);
            let change = Unsettled { due_ms, names, actor, window, is_prepared, probability, arm };
            self.unsettled.push_back(change);
        }
        while self.windows.len() > WINDOWS_MAX {
            self.forget_oldest();
        }
    }

    /// Settles what is due, and forgets what nobody looks at any more.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let is_due = |one: &Unsettled| one.due_ms <= now_ms;
        while self.unsettled.front().is_some_and(is_due)
            && let Some(due) = self.unsettled.pop_front()
        {
            let met = due.names.iter().any(|name| self.is_met(*name, due.actor, due.window));
            self.settled += 1;
            self.met += u64::from(met);
            self.watch.learn(due.probability, met);
            let Unsettled { arm, is_prepared, window, .. } = due;
            let took_ms = window.1.abs_diff(window.0);
            outcomes.push(Outcome { arm, is_met: met, is_prepared, took_ms });
        }
        while self.windows.front().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            self.forget_oldest();
        }
        outcomes
    }

    fn is_met(&self, name: u64, actor: u64, window: Window) -> bool {
        let others = self.of_name.get(&name).into_iter().flatten();
        others.filter(|(other, _)| *other != actor).any(|(_, other)| overlap(window, *other))
    }

    fn forget_oldest(&mut self) {
        let Some((_, name)) = self.windows.pop_front() else { return };
        // Those of one name are in the same order.
        if let Some(windows) = self.of_name.get_mut(&name) {
            windows.pop_front();
            if windows.is_empty() {
                self.of_name.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAYS: Option<(u32, usize)> = Some((1_000_000, 0));

    #[test]
    fn only_another_identity_at_the_same_time_is_met() {
        let mut watching = Watching::default();
        let one = |name: u64| std::iter::once(name);
        watching.committed(200, one(1), (7, (100, 200), false), SAYS);
        watching.committed(210, one(1), (7, (150, 210), true), SAYS);
        watching.committed(300, one(1), (8, (201, 300), false), SAYS);
        watching.committed(310, one(2), (8, (100, 310), false), SAYS);
        let outcomes = watching.tick(300 + SETTLE_MS - 1);
        assert_eq!(watching.settled(), (2, 1), "only the second was under way at 201");
        let met = Outcome { arm: 0, is_met: true, is_prepared: true, took_ms: 60 };
        assert_eq!(outcomes.last(), Some(&met));
        watching.tick(310 + SETTLE_MS);
        assert_eq!(watching.settled(), (4, 2));
        watching.tick(310 + WINDOWS_MS);
        assert!(watching.of_name.is_empty() && watching.windows.is_empty());
    }

    #[test]
    fn predictions_that_do_not_come_true_raise_the_alarm() {
        let mut watching = Watching::default();
        for at in 0..100 {
            let name = std::iter::once(at);
            let window = (at as i64, at as i64 + 5);
            watching.committed(at, name.clone(), (1, window, false), Some((0, 0)));
            watching.committed(at, name, (2, (at as i64 + 5, at as i64 + 9), false), None);
        }
        assert_eq!(watching.alarm(), None);
        watching.tick(1_000_000);
        assert_eq!(watching.alarm(), Some(Alarm::TooLow));
    }
}
