//! A model takes another's place only if it decides better on what has already happened.
//!
//! Whatever path was taken, whether the hazard was met is seen; hence what any path would have cost
//! can be told for every logged decision, and two models are compared on the same ones.

use super::{Knobs, Path, Predictor, Situation, decide};
use crate::evaluator::PROBABILITY_ONE;

/// A decision that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What was known.
    pub situation: Situation,
    /// Whether the hazard was met.
    pub met: bool,
}

/// How a comparison came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contest {
    /// What the champion's decisions cost, in microseconds.
    pub champion_us: u64,
    /// What the challenger's would have.
    pub challenger_us: u64,
    /// The mean saving for one decision, in microseconds.
    pub saved_us: f64,
    /// Its standard error.
    pub error_us: f64,
    /// Whether the challenger should take over: it saves more than two standard errors.
    pub promote: bool,
}

/// Lets two models decide the same cases, without exploring.
pub fn contest(
    champion: &dyn Predictor,
    challenger: &dyn Predictor,
    knobs: &Knobs,
    cases: &[Case],
) -> Contest {
    let knobs = Knobs { exploration: 0, ..*knobs };
    let cost = |predictor: &dyn Predictor, case: &Case| {
        let path = decide(predictor, true, &knobs, &case.situation, 0).path;
        what_it_cost(case, path, &knobs)
    };
    let (mut sum, mut squares) = (0.0, 0.0);
    let (mut champion_us, mut challenger_us) = (0u64, 0u64);
    for case in cases {
        let (old, new) = (cost(champion, case), cost(challenger, case));
        champion_us = champion_us.saturating_add(old);
        challenger_us = challenger_us.saturating_add(new);
        let saved = old as f64 - new as f64;
        sum += saved;
        squares += saved * saved;
    }
    let count = cases.len().max(1) as f64;
    let saved_us = sum / count;
    let error_us = ((squares / count - saved_us * saved_us).max(0.0) / count).sqrt();
    let promote = challenger_us < champion_us && saved_us > 2.0 * error_us;
    Contest { champion_us, challenger_us, saved_us, error_us, promote }
}

/// What a path costs once it is known whether the hazard was met.
fn what_it_cost(case: &Case, path: Path, knobs: &Knobs) -> u64 {
    let certain = if case.met { PROBABILITY_ONE } else { 0 };
    super::expected(&case.situation, certain, knobs)[path as usize - 1].unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Homes;
    use crate::decision::tests::situation;
    use crate::features::Features;

    struct By(fn(&Features) -> u32);

    impl Predictor for By {
        fn hazard(&self, features: &Features) -> Option<u32> {
            Some((self.0)(features))
        }
    }

    #[test]
    fn only_who_decides_better_is_promoted() {
        let case = |at: u8| {
            let mut situation = Situation { homes: Homes::Elsewhere, ..situation() };
            situation.features[0] = at;
            Case { situation, met: at.is_multiple_of(10) }
        };
        let cases: Vec<_> = (0..250).map(case).collect();
        let blind = By(|_| 0);
        let seeing = By(|features| if features[0] % 10 == 0 { 900_000_000 } else { 0 });
        let found = contest(&blind, &seeing, &Knobs::default(), &cases);
        assert!(found.promote, "{found:?}");
        assert!(!contest(&seeing, &blind, &Knobs::default(), &cases).promote);
        assert!(!contest(&seeing, &seeing, &Knobs::default(), &cases).promote);
        assert!(!contest(&seeing, &blind, &Knobs::default(), &[]).promote);
    }
}
