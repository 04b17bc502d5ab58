//! What an agent has lived through, and when another model should be trained from it.
//!
//! Decisions of all sites are in the ledger with all that they were made from, so that each site has
//! them, and has them again after a restart. It trains nothing: that takes seconds, and is for others.

use einhorn_agent::train::Lived;
use std::collections::VecDeque;

/// Decisions remembered, of those that were settled last; about 100 octets each.
const LIVED_MAX: usize = 32_768;
/// Nothing is learnt from fewer decisions, nor again before so many more ...
const MORE_MIN: u64 = 64;
/// ... and before so many parts of a hundred of all that were lived through are new.
const MORE_PERCENT: u64 = 20;

/// How learning goes, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// It goes on.
    UnderWay,
    /// Too few decisions met the hazard to learn anything.
    TooLittle,
    /// What was learnt does not decide better: the model stays.
    NotBetter,
    /// A better model took the old one's place.
    Better,
    /// A better model could not be stored, so that the old one stays.
    NotStored,
}

impl std::fmt::Display for Lesson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Lesson::UnderWay => "another model is being trained from what was decided here",
            Lesson::TooLittle => "too little met another's change yet to train another model from",
            Lesson::NotBetter => "a model trained from what was decided here did not decide better",
            Lesson::Better => {
                "a model trained from what was decided here decides better and took over"
            }
            Lesson::NotStored => "a better model could not be stored: see the log",
        })
    }
}

/// The decisions of late, and how learning from them went.
#[derive(Default)]
pub(super) struct Learning {
    lived: VecDeque<Lived>,
    /// Ever, and when the last lesson began.
    count: u64,
    count_then: u64,
    lesson: Option<Lesson>,
}

impl Learning {
    /// A decision is settled.
    pub(super) fn live_through(&mut self, one: Lived) {
        if self.lived.len() >= LIVED_MAX {
            self.lived.pop_front();
        }
        self.lived.push_back(one);
        self.count += 1;
    }

    /// What to learn from, if nobody learns and there is enough that is new.
    pub(super) fn begin(&mut self) -> Option<Vec<Lived>> {
        let new = self.count - self.count_then;
        let is_enough = new >= MORE_MIN && new * 100 >= self.count * MORE_PERCENT;
        if self.lesson == Some(Lesson::UnderWay) || !is_enough {
            return None;
        }
        self.count_then = self.count;
        self.lesson = Some(Lesson::UnderWay);
        Some(self.lived.iter().copied().collect())
    }

    /// The lesson is over.
    pub(super) fn end(&mut self, lesson: Lesson) {
        self.lesson = Some(lesson);
    }

    /// How learning goes, or ended last.
    pub(super) fn lesson(&self) -> Option<Lesson> {
        self.lesson
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_agent::decision::{Case, Homes, Situation};
    use einhorn_agent::features::COUNT;

    #[test]
    fn one_lesson_at_a_time_and_none_without_anything_new() {
        let case = Case { situation: Situation::usual([0; COUNT], Homes::Here), met: false };
        let mut learning = Learning::default();
        let live = |learning: &mut Learning, count: u64| {
            for at in 0..count {
                learning.live_through(Lived { case, began_ms: at as i64, over_ms: 0 });
            }
        };
        live(&mut learning, MORE_MIN - 1);
        assert_eq!(learning.begin(), None);
        live(&mut learning, 1);
        assert_eq!(learning.begin().map(|lived| lived.len()), Some(MORE_MIN as usize));
        live(&mut learning, 1_000);
        assert_eq!(learning.begin(), None, "a lesson is under way");
        learning.end(Lesson::NotBetter);
        assert!(learning.begin().is_some());
        learning.end(Lesson::NotBetter);
        live(&mut learning, MORE_MIN);
        assert_eq!(learning.begin(), None, "64 of 1,128 are not a fifth");
        live(&mut learning, LIVED_MAX as u64);
        assert_eq!(learning.begin().map(|lived| lived.len()), Some(LIVED_MAX));
    }
}
