//! A model whose predictions no longer come true learns from what was decided since, and must win to
//! be believed: on decisions that neither model has learnt from.

use super::{HELD_OUT, Learnt, Options, Samples, adapt};
use crate::decision::{Case, Contest, Knobs, contest};
use crate::model::Model;

/// What a ledger's own decisions are called in the provenance of models.
pub const LEDGER: &str = "ledger";

/// A decision that is over, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lived {
    /// What was known, and whether the hazard was met.
    pub case: Case,
    /// When the change began, in milliseconds since 1970.
    pub began_ms: i64,
    /// When it was committed.
    pub over_ms: i64,
}

/// A model that has learnt, and how it did.
pub struct Challenger {
    /// The model.
    pub model: Model,
    /// Whether it is better on the last quarter of the decisions, which it has not seen.
    pub contest: Contest,
    /// Decisions that it was judged by.
    pub judged: usize,
}

/// Lets a model learn from all but the last quarter of what was lived through, and decide the rest
/// beside the model as it was. None if too little met the hazard to learn anything.
pub fn anew(
    champion: &Model,
    mut lived: Vec<Lived>,
    knobs: &Knobs,
    options: &Options,
) -> Option<Challenger> {
    lived.sort_by_key(|one| one.began_ms);
    let at = (lived.len() as f64 * (1.0 - HELD_OUT)) as usize;
    let split_ms = lived.get(at)?.began_ms;
    let earlier = lived.iter().filter(|one| one.over_ms < split_ms);
    let later = lived.iter().filter(|one| one.began_ms >= split_ms);
    let cases: Vec<_> = later.map(|one| one.case).collect();
    let (model, learnt) =
        adapt(champion.clone(), LEDGER, &samples(earlier), options, &mut |_, _| ());
    if learnt == Learnt::Nothing {
        return None;
    }
    let contest = contest(champion, &model, knobs, &cases);
    Some(Challenger { model, contest, judged: cases.len() })
}

fn samples<'a>(lived: impl Iterator<Item = &'a Lived>) -> Samples {
    let mut samples = Samples::default();
    for one in lived {
        samples.rows.push(one.case.situation.features);
        samples.outcomes.push(one.case.met);
        samples.started_ms.push(one.began_ms);
        samples.known_ms.push(one.over_ms);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DEFAULT_MODEL;
    use crate::decision::{Homes, Situation};
    use crate::evaluator::Calibration;
    use crate::features::COUNT;

    /// Log-odds, in 1/1024.
    const NEVER: i32 = -12 << 10;
    const ALWAYS: i32 = 12 << 10;

    /// One in five meets the hazard; `told` is whether a feature says which.
    fn lived(count: u32, told: bool) -> Vec<Lived> {
        let one = |number: u32| {
            let met = number.is_multiple_of(5);
            let mut features = [0; COUNT];
            features[3] = if told && met { 200 } else { 20 };
            let case = Case { situation: Situation::usual(features, Homes::Elsewhere), met };
            let began_ms = i64::from(number) * 1_000;
            Lived { case, began_ms, over_ms: began_ms + 500 }
        };
        (0..count).map(one).collect()
    }

    /// A model that is never worried, or always, learns.
    fn anew_from(offset: i32, lived: &[Lived]) -> Option<Challenger> {
        let shipped = Model::from_octets(DEFAULT_MODEL).expect("the shipped model");
        let calibration = Calibration { slope: 0, offset };
        let Model { trees, logistic, table, reference, provenance, .. } = shipped;
        let champion = Model::new(trees, calibration, logistic, table, reference, provenance);
        let learn = || anew(&champion, lived.to_vec(), &Knobs::default(), &Options::default());
        let (challenger, again) = (learn(), learn());
        let hash = |challenger: &Option<Challenger>| challenger.as_ref().map(|c| c.model.hash());
        assert_eq!(hash(&challenger), hash(&again), "the same from the same");
        challenger
    }

    #[test]
    fn what_is_learnt_wins_only_if_it_helps() {
        let found = anew_from(NEVER, &lived(1_000, true)).expect("enough was met");
        assert!(found.contest.promote, "{:?}", found.contest);
        assert_eq!(found.judged, 250);
        let found = anew_from(ALWAYS, &lived(8_000, true)).expect("enough was met");
        assert!(found.contest.promote, "{:?}", found.contest);
        assert!(anew_from(NEVER, &lived(40, true)).is_none(), "six is too little to learn from");
        assert!(anew_from(NEVER, &[]).is_none());
        // What it learnt is over by then: it would be careful for nothing.
        let mut over = lived(1_000, true);
        over[750..].iter_mut().for_each(|one| one.case.met = false);
        let found = anew_from(NEVER, &over).expect("enough was met");
        assert!(!found.contest.promote, "{:?}", found.contest);
    }
}
