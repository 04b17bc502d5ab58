//! Watches whether predictions still come true (a two-sided CUSUM on calibration; Page 1954).

use crate::evaluator::PROBABILITY_ONE;

/// Which way a model has drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Hazards are more frequent than predicted.
    TooLow,
    /// Hazards are rarer than predicted.
    TooHigh,
}

/// Sums of what happened beyond what was predicted, and the other way round.
///
/// Each outcome adds `happened - 1.5 predicted` to one sum and `0.5 predicted - happened` to the
/// other, neither of which falls below 0: half as many or half as much again as predicted is still
/// in order. An alarm is at [`Watch::LIMIT`] hazards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    more: i64,
    fewer: i64,
}

impl Watch {
    /// Hazards beyond what was predicted at which the alarm is raised.
    pub const LIMIT: i64 = 8;

    /// Takes in an outcome and the probability that was predicted for it, in billionths.
    pub fn learn(&mut self, probability: u32, happened: bool) -> Option<Alarm> {
        let one = i64::from(PROBABILITY_ONE);
        let predicted = i64::from(probability.min(PROBABILITY_ONE));
        let happened = if happened { one } else { 0 };
        self.more = (self.more + happened - predicted * 3 / 2).clamp(0, 1 << 50);
        self.fewer = (self.fewer + predicted / 2 - happened).clamp(0, 1 << 50);
        self.alarm()
    }

    /// Whether there is an alarm now: it is over once predictions have come true again for long enough.
    pub fn alarm(&self) -> Option<Alarm> {
        let limit = Self::LIMIT * i64::from(PROBABILITY_ONE);
        if self.more >= limit {
            Some(Alarm::TooLow)
        } else if self.fewer >= limit {
            Some(Alarm::TooHigh)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outcomes that are exactly as frequent as one in `every`.
    fn after(probability: u32, every: usize, outcomes: usize) -> Option<usize> {
        let mut watch = Watch::default();
        (0..outcomes).find(|at| watch.learn(probability, at % every == every - 1).is_some())
    }

    #[test]
    fn what_comes_true_is_quiet_and_drift_is_not() {
        assert_eq!(after(PROBABILITY_ONE / 100, 100, 1_000_000), None);
        let more = after(PROBABILITY_ONE / 100, 10, 1_000_000);
        assert!(more.is_some_and(|at| at < 100), "{more:?}");
        let fewer = after(PROBABILITY_ONE / 100, usize::MAX, 1_000_000);
        assert!(fewer.is_some_and(|at| at < 1_700), "{fewer:?}");
    }
}
