//! Which path a change takes: the one with the least expected cost, within guardrails.
//!
//! Costs are in microseconds; what a person's intervention costs is told in microseconds too. All
//! is whole numbers and a pure function of the [`Situation`], the model, the knobs and a seed, so
//! that a decision can be made again bit for bit from its [`Record`]. The decision advises: the
//! commit refuses whatever would be unsafe.

mod champion;
mod cost;
mod explain;
mod knobs;
mod record;
mod rhythm;
mod watch;

pub use champion::{Case, Contest, contest};
pub use cost::{Costs, expected};
pub use explain::explain;
pub use knobs::{Arms, Knobs, Tuner};
pub use record::{Record, RecordError};
pub use rhythm::{Moved, Rhythm};
pub use watch::{Alarm, Watch};

use crate::evaluator::PROBABILITY_ONE;
use crate::features::{Features, OPEN_OTHERS, OTHER_AGE, level};
use crate::model::Model;
use std::fmt;

/// How a change may be committed. The numbers stand in ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Path {
    /// One local commit.
    Fast = 1,
    /// Sent to the one site that is home to all its names.
    Forward = 2,
    /// Prepared and decided across sites.
    MultiPhase = 3,
    /// Multi-phase, with the names' home moving here.
    Move = 4,
    /// Held a moment, to be joined with the next change of a flapping device.
    Coalesce = 5,
}

/// All paths.
pub const PATHS: [Path; 5] =
    [Path::Fast, Path::Forward, Path::MultiPhase, Path::Move, Path::Coalesce];

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Path::Fast => "fast",
            Path::Forward => "forward",
            Path::MultiPhase => "multi-phase",
            Path::Move => "multi-phase with a move",
            Path::Coalesce => "coalesce",
        })
    }
}

/// Where the names of a change are at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Homes {
    /// All of them here.
    Here = 0,
    /// All of them at one other site.
    Elsewhere = 1,
    /// At several sites.
    Several = 2,
}

/// What the entry site knows of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The row for the model.
    pub features: Features,
    /// Where the names are at home.
    pub homes: Homes,
    /// Whether the identity is the one that the names belong to.
    pub identity_matches: bool,
    /// Whether a batch of a legacy system holds one of the names.
    pub legacy_batch_open: bool,
    /// Changes of the names in a row that entered at this site while their home was elsewhere.
    pub used_here: u8,
    /// Since the same identity's last change of the names, in milliseconds, if that was lately.
    pub flapping_ms: Option<u16>,
    /// What each path takes, as measured.
    pub costs: Costs,
}

impl Situation {
    /// A change of names that belong to who asks, with usual costs, and nothing under way.
    pub fn usual(features: Features, homes: Homes) -> Situation {
        Situation {
            features,
            homes,
            identity_matches: true,
            legacy_batch_open: false,
            used_here: 0,
            flapping_ms: None,
            costs: Costs::default(),
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Speaker {
    /// The model's prediction, and the least expected cost.
    Model = 1,
    /// A guardrail left one path only.
    Guardrail = 2,
    /// The model is not to be trusted now: fixed rules.
    Rules = 3,
    /// One of the safe paths, to learn what it costs.
    Exploration = 4,
}

/// What was decided, and all that is needed to say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The path.
    pub path: Path,
    /// Who decided.
    pub speaker: Speaker,
    /// The hazard's probability, in billionths; none if there is no model to trust.
    pub probability: Option<u32>,
    /// How likely this policy takes this path here, in billionths.
    pub propensity: u32,
    /// The expected cost of each of [`PATHS`], in microseconds; none if the path is barred.
    pub costs: [Option<u64>; PATHS.len()],
}

/// Something that predicts. None, a broken or foreign predictor: the rules speak.
pub trait Predictor {
    /// The probability that a change meets the hazard, in billionths.
    fn hazard(&self, features: &Features) -> Option<u32>;

    /// Names it in ledgers; zeros for one that no file describes.
    fn hash(&self) -> [u8; 8] {
        [0; 8]
    }

    /// What it says before that becomes a probability, in 1/1024 of log-odds.
    fn margin(&self, _features: &Features) -> i32 {
        0
    }
}

impl Predictor for Model {
    fn hazard(&self, features: &Features) -> Option<u32> {
        Some(self.probability(features))
    }

    fn hash(&self) -> [u8; 8] {
        Model::hash(self)
    }

    fn margin(&self, features: &Features) -> i32 {
        Model::margin(self, features)
    }
}

/// A probability told as a float, as others tell it: none unless it is one.
pub fn probability_of_float(probability: f64) -> Option<u32> {
    let is_one = (0.0..=1.0).contains(&probability);
    is_one.then(|| (probability * f64::from(PROBABILITY_ONE)) as u32)
}

/// The most that may be explored, in billionths: 0.5 %.
pub const EXPLORATION_MAX: u32 = PROBABILITY_ONE / 200;

/// Decides. `trusted` says whether the watch over the model's calibration is quiet.
pub fn decide(
    predictor: &dyn Predictor,
    trusted: bool,
    knobs: &Knobs,
    situation: &Situation,
    seed: u64,
) -> Decision {
    let hazard = predictor.hazard(&situation.features).filter(|p| *p <= PROBABILITY_ONE);
    let probability = if trusted { hazard } else { None };
    let costs = expected(situation, probability.unwrap_or(0), knobs);
    let certain =
        |path, speaker| Decision { path, speaker, probability, propensity: PROBABILITY_ONE, costs };
    let open: Vec<Path> =
        PATHS.into_iter().filter(|path| costs[*path as usize - 1].is_some()).collect();
    if let [only] = open.as_slice() {
        return certain(*only, Speaker::Guardrail);
    }
    if probability.is_none() {
        return certain(by_rules(situation, &open), Speaker::Rules);
    }
    let cost = |path: &&Path| costs[**path as usize - 1].unwrap_or(u64::MAX);
    // A path that is always open stands in where there is nothing to choose from.
    let cheapest = open.iter().min_by_key(cost).copied().unwrap_or(Path::MultiPhase);
    explore(certain(cheapest, Speaker::Model), &open, knobs, seed)
}

/// Now and then takes another one of the safe paths, each equally likely; never in place of one that is
/// cheap because nothing can happen on it.
fn explore(greedy: Decision, open: &[Path], knobs: &Knobs, seed: u64) -> Decision {
    let is_safe = |path: &&Path| matches!(path, Path::Forward | Path::MultiPhase);
    let safe: Vec<Path> = open.iter().filter(is_safe).copied().collect();
    let share = knobs.exploration.min(EXPLORATION_MAX);
    if safe.len() < 2 || !safe.contains(&greedy.path) || share == 0 {
        return greedy;
    }
    let each = share / safe.len() as u32;
    let draw = ((mixed(seed) >> 32) * u64::from(PROBABILITY_ONE)) >> 32;
    let picked =
        (draw < u64::from(each) * safe.len() as u64).then(|| draw / u64::from(each.max(1)));
    let path = picked.map_or(greedy.path, |at| safe[at as usize]);
    let explored = if safe.contains(&path) { each } else { 0 };
    let kept = PROBABILITY_ONE - each * safe.len() as u32;
    let propensity = explored + if path == greedy.path { kept } else { 0 };
    let speaker = if path == greedy.path { greedy.speaker } else { Speaker::Exploration };
    Decision { path, speaker, propensity, ..greedy }
}

/// SplitMix64's last step: any seed gives evenly spread numbers.
fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// Fixed rules, for when no model is to be trusted.
fn by_rules(situation: &Situation, open: &[Path]) -> Path {
    /// Another identity's change so shortly ago may not be the last one, in milliseconds.
    const RECENT_MS: u64 = 10_000;
    const MOVE_CHANGES: u8 = 3;
    let features = &situation.features;
    let hazard = features[OPEN_OTHERS] > 0 || features[OTHER_AGE] < level(RECENT_MS);
    let wanted = match situation.homes {
        _ if hazard => Path::MultiPhase,
        Homes::Here if situation.flapping_ms.is_some() => Path::Coalesce,
        Homes::Here => Path::Fast,
        Homes::Elsewhere if situation.used_here >= MOVE_CHANGES => Path::Move,
        Homes::Elsewhere => Path::Forward,
        Homes::Several => Path::MultiPhase,
    };
    if open.contains(&wanted) { wanted } else { Path::MultiPhase }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::features::COUNT;
    use proptest::prelude::*;

    struct Says(Option<u32>);

    impl Predictor for Says {
        fn hazard(&self, _: &Features) -> Option<u32> {
            self.0
        }
    }

    pub(crate) fn situation() -> Situation {
        let mut features = [255; COUNT];
        features[OPEN_OTHERS] = 0;
        Situation::usual(features, Homes::Here)
    }

    fn path(probability: Option<u32>, situation: &Situation) -> (Path, Speaker) {
        let knobs = Knobs { exploration: 0, ..Knobs::default() };
        let decision = decide(&Says(probability), true, &knobs, situation, 1);
        (decision.path, decision.speaker)
    }

    #[test]
    fn the_likelier_the_hazard_the_more_careful_the_path() {
        let plain = situation();
        assert_eq!(path(Some(0), &plain), (Path::Fast, Speaker::Model));
        // What is made at home is made on what is there.
        assert_eq!(path(Some(PROBABILITY_ONE / 2), &plain), (Path::Fast, Speaker::Model));
        let elsewhere = Situation { homes: Homes::Elsewhere, ..plain };
        assert_eq!(path(Some(PROBABILITY_ONE / 2), &elsewhere), (Path::MultiPhase, Speaker::Model));
        assert_eq!(path(Some(0), &elsewhere), (Path::Forward, Speaker::Model));
        let used = Situation { used_here: 20, ..elsewhere };
        assert_eq!(path(Some(0), &used), (Path::Move, Speaker::Model));
        let flapping = Situation { flapping_ms: Some(100), ..plain };
        assert_eq!(path(Some(0), &flapping), (Path::Coalesce, Speaker::Model));
    }

    #[test]
    fn without_a_model_the_rules_speak_visibly() {
        let plain = situation();
        for broken in [None, Some(u32::MAX), probability_of_float(f64::NAN)] {
            assert_eq!(path(broken, &plain), (Path::Fast, Speaker::Rules));
        }
        let mut open = plain;
        open.features[OPEN_OTHERS] = 1;
        assert_eq!(path(None, &open), (Path::MultiPhase, Speaker::Rules));
        assert_eq!(probability_of_float(0.25), Some(250_000_000));
        assert_eq!(probability_of_float(-0.1), None);
    }

    prop_compose! {
        fn any_situation()(
            features in prop::array::uniform32(any::<u8>()),
            homes in prop::sample::select(vec![Homes::Here, Homes::Elsewhere, Homes::Several]),
            (identity_matches, legacy_batch_open) in any::<(bool, bool)>(),
            used_here in any::<u8>(),
            flapping_ms in any::<Option<u16>>(),
            costs in any::<[u32; 4]>(),
        ) -> Situation {
            let mut all = [0; COUNT];
            all[..32].copy_from_slice(&features);
            let [fast_us, forward_us, multi_phase_us, intervention] = costs;
            Situation {
                features: all, homes, identity_matches, legacy_batch_open, used_here, flapping_ms,
                costs: Costs {
                    fast_us,
                    forward_us,
                    multi_phase_us,
                    intervention_us: u64::from(intervention) << 8,
                    ..Costs::default()
                },
            }
        }
    }

    proptest! {
        #[test]
        fn guardrails_hold_whatever_the_model_says(
            situation in any_situation(),
            probability in any::<Option<u32>>(),
            trusted in any::<bool>(),
            seed in any::<u64>(),
            exploration in any::<u32>(),
        ) {
            let knobs = Knobs { exploration, ..Knobs::default() };
            let decision = decide(&Says(probability), trusted, &knobs, &situation, seed);
            let local = matches!(decision.path, Path::Fast | Path::Coalesce);
            prop_assert!(!local || situation.identity_matches, "{decision:?}");
            prop_assert!(!(local && situation.homes != Homes::Here), "{decision:?}");
            prop_assert!(decision.path == Path::MultiPhase || !situation.legacy_batch_open);
            let safe = matches!(decision.path, Path::Forward | Path::MultiPhase);
            prop_assert!(safe || decision.speaker != Speaker::Exploration);
            prop_assert!(decision.propensity > 0 && decision.propensity <= PROBABILITY_ONE);
            let again = decide(&Says(probability), trusted, &knobs, &situation, seed);
            prop_assert_eq!(decision, again);
        }
    }

    #[test]
    fn exploration_is_as_rare_as_it_says() {
        let knobs = Knobs { exploration: u32::MAX, ..Knobs::default() };
        let explored = |homes| {
            let situation = Situation { homes, ..situation() };
            let decide = |seed: &u64| decide(&Says(Some(0)), true, &knobs, &situation, *seed);
            let is_explored = |seed: &u64| decide(seed).speaker == Speaker::Exploration;
            (0..200_000u64).filter(is_explored).count()
        };
        assert_eq!(explored(Homes::Here), 0);
        let explored = explored(Homes::Elsewhere);
        assert!((300..=650).contains(&explored), "{explored} of 200000");
    }
}
