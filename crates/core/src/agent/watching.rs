//! Whether what was predicted came true, told from the ledger's entries.
//!
//! A change meets the hazard if another identity's change of one of its names was under way at some
//! moment while it was: [`overlap`], the same as what models are trained on. What a site sees of that
//! it sees a while after the commit, so that outcomes are settled late, and in order.

use einhorn_agent::decision::{Alarm, Situation, Watch};
use einhorn_agent::label::{Window, overlap};
use std::collections::{HashMap, VecDeque};

/// An outcome is settled so long after the commit was seen here, in milliseconds: no request is
/// under way for longer than this, and its entry has come by then.
const SETTLE_MS: u64 = 8_000;
/// Windows are remembered for so long, in milliseconds: beyond what settling looks at.
const WINDOWS_MS: u64 = 2 * SETTLE_MS;
/// Windows remembered at most, and outcomes that wait: with more, the oldest windows are forgotten,
/// and the newest outcomes not waited for.
const WINDOWS_MAX: usize = 262_144;

/// A change that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    /// Whose it is.
    pub(super) actor: u64,
    /// When it was under way.
    pub(super) window: Window,
    /// Whether it was prepared.
    pub(super) is_prepared: bool,
    /// What an agent decided from, wherever it entered, if one was asked.
    pub(super) situation: Option<Situation>,
    /// If it entered here: what was predicted, in billionths, and with which knobs that was decided on.
    pub(super) predicted: Option<(u32, usize)>,
}

/// A change whose outcome is not known yet.
struct Unsettled {
    due_ms: u64,
    names: Vec<u64>,
    made: Made,
}

/// What became of a change that an agent decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The change.
    pub(super) made: Made,
    /// Whether it met another identity's.
    pub(super) is_met: bool,
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

    /// Predictions under way are another model's from now on: they say nothing of the next.
    pub(super) fn begin_anew(&mut self) {
        self.watch = Watch::default();
        self.unsettled.iter_mut().for_each(|one| one.made.predicted = None);
    }

    /// A change of these names was committed.
    pub(super) fn committed(
        &mut self,
        now_ms: u64,
        names: impl Iterator<Item = u64> + Clone,
        made: Made,
    ) {
        for name in names.clone() {
            self.of_name.entry(name).or_default().push_back((made.actor, made.window));
            self.windows.push_back((now_ms + WINDOWS_MS, name));
        }
        let is_wanted = made.situation.is_some() || made.predicted.is_some();
        if is_wanted && self.unsettled.len() < WINDOWS_MAX {
            let (names, due_ms) = (names.collect(), now_ms + SETTLE_MS);
            self.unsettled.push_back(Unsettled { due_ms, names, made });
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
            && let Some(Unsettled { names, made, .. }) = self.unsettled.pop_front()
        {
            let is_met = names.iter().any(|name| self.is_met(*name, made.actor, made.window));
            if let Some((probability, _)) = made.predicted {
                self.settled += 1;
                self.met += u64::from(is_met);
                self.watch.learn(probability, is_met);
            }
            outcomes.push(Outcome { made, is_met });
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

    fn made(actor: u64, window: Window, predicted: Option<u32>) -> Made {
        let predicted = predicted.map(|probability| (probability, 0));
        Made { actor, window, is_prepared: false, situation: None, predicted }
    }

    #[test]
    fn only_another_identity_at_the_same_time_is_met() {
        let mut watching = Watching::default();
        let one = |name: u64| std::iter::once(name);
        let says = Some(1_000_000);
        let late = made(7, (150, 210), says);
        watching.committed(200, one(1), made(7, (100, 200), says));
        watching.committed(210, one(1), late);
        watching.committed(300, one(1), made(8, (201, 300), says));
        watching.committed(310, one(2), made(8, (100, 310), says));
        let outcomes = watching.tick(300 + SETTLE_MS - 1);
        assert_eq!(watching.settled(), (2, 1), "only the second was under way at 201");
        assert_eq!(outcomes.last(), Some(&Outcome { made: late, is_met: true }));
        watching.tick(310 + SETTLE_MS);
        assert_eq!(watching.settled(), (4, 2));
        watching.tick(310 + WINDOWS_MS);
        assert!(watching.of_name.is_empty() && watching.windows.is_empty());
    }

    #[test]
    fn predictions_that_do_not_come_true_raise_the_alarm_until_another_model_predicts() {
        let mut watching = Watching::default();
        let collide = |watching: &mut Watching, from: u64| {
            for at in from..from + 100 {
                let (name, ms) = (std::iter::once(at), at as i64);
                watching.committed(at, name.clone(), made(1, (ms, ms + 5), Some(0)));
                watching.committed(at, name, made(2, (ms + 5, ms + 9), None));
            }
        };
        collide(&mut watching, 0);
        assert_eq!(watching.alarm(), None);
        watching.tick(1_000_000);
        assert_eq!(watching.alarm(), Some(Alarm::TooLow));
        // What the old model said of these is not held against the new one.
        collide(&mut watching, 1_000_000);
        watching.begin_anew();
        watching.tick(2_000_000);
        assert_eq!(watching.alarm(), None);
        assert_eq!(watching.settled(), (100, 100));
    }
}
