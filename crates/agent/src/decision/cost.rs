//! What each path is expected to cost, and which paths guardrails bar.

use super::{Homes, Knobs, PATHS, Path, Situation};
use crate::evaluator::PROBABILITY_ONE;

/// What the paths take, as a site measures it, and the price of an intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// A local commit, in microseconds.
    pub fast_us: u32,
    /// A commit at the one site that is the names' home.
    pub forward_us: u32,
    /// A commit prepared and decided across sites; in a situation with the price of preparing.
    pub multi_phase_us: u32,
    /// What moving a home takes beyond that.
    pub move_us: u32,
    /// What a conflict costs that a person has to settle.
    pub intervention_us: u64,
}

impl Default for Costs {
    /// Usual figures; a site puts in what it measures.
    fn default() -> Self {
        Costs {
            fast_us: 2_000,
            forward_us: 40_000,
            multi_phase_us: 45_000,
            move_us: 20_000,
            intervention_us: 10_000_000,
        }
    }
}

/// What is left of the hazard on a path, in thousandths. A change at home is made on what is there, as is
/// a prepared one, which is made only if its names are as its site saw them: what legacy systems do
/// outside remains. A forwarded one may meet what its site has not seen yet.
fn residual_thousandths(path: Path) -> u64 {
    match path {
        Path::Forward => 1000,
        Path::Fast | Path::Coalesce | Path::MultiPhase | Path::Move => 20,
    }
}

/// The expected cost of each path, in microseconds; none where a guardrail bars it.
///
/// - An identity that the names do not belong to is never committed on one site's word alone.
/// - While a legacy batch holds a name, only the careful path is open.
/// - What is at home elsewhere is not committed here.
pub fn expected(
    situation: &Situation,
    probability: u32,
    knobs: &Knobs,
) -> [Option<u64>; PATHS.len()] {
    PATHS.map(|path| is_open(path, situation).then(|| cost(path, situation, probability, knobs)))
}

fn is_open(path: Path, situation: &Situation) -> bool {
    let Situation { homes, identity_matches, legacy_batch_open, flapping_ms, .. } = situation;
    match path {
        Path::MultiPhase => true,
        _ if *legacy_batch_open => false,
        Path::Fast => *homes == Homes::Here && *identity_matches,
        Path::Coalesce => *homes == Homes::Here && *identity_matches && flapping_ms.is_some(),
        Path::Forward => *homes == Homes::Elsewhere,
        Path::Move => *homes != Homes::Here,
    }
}

fn cost(path: Path, situation: &Situation, probability: u32, knobs: &Knobs) -> u64 {
    let costs = &situation.costs;
    let price = costs.intervention_us.saturating_mul(u64::from(knobs.caution_percent)) / 100;
    let at_stake = price.min(1 << 40) / 1000 * residual_thousandths(path);
    let hazard = u128::from(at_stake) * u128::from(probability) / u128::from(PROBABILITY_ONE);
    let takes = match path {
        Path::Fast => u64::from(costs.fast_us),
        Path::Forward => u64::from(costs.forward_us),
        Path::MultiPhase => u64::from(costs.multi_phase_us),
        Path::Move => move_cost(situation, knobs),
        Path::Coalesce => coalesce_cost(situation, knobs),
    };
    takes.saturating_add(hazard as u64)
}

/// A move pays later: each further use here saves the way to the old home. As many uses are
/// expected as there were beyond the hysteresis.
fn move_cost(situation: &Situation, knobs: &Knobs) -> u64 {
    let costs = &situation.costs;
    let once = u64::from(costs.multi_phase_us) + u64::from(costs.move_us);
    let expected_uses = u64::from(situation.used_here.saturating_sub(knobs.move_after));
    let saved = u64::from(costs.forward_us.saturating_sub(costs.fast_us));
    once.saturating_sub(expected_uses.min(10) * saved)
}

/// Waiting is not the device's time: it costs a tenth. The likelier the next change comes within
/// the window, the more a commit is saved.
fn coalesce_cost(situation: &Situation, knobs: &Knobs) -> u64 {
    let fast_us = u64::from(situation.costs.fast_us);
    let window_us = u64::from(knobs.coalesce_ms) * 1000;
    let since_ms = u64::from(situation.flapping_ms.unwrap_or(u16::MAX));
    let likely_percent =
        100 * u64::from(knobs.coalesce_ms) / (since_ms + u64::from(knobs.coalesce_ms)).max(1);
    // A flapping device's address is superseded at once: a commit of it is worth nothing, and
    // costs the signing, the copies and the notifications too.
    const COMMITS_SAVED: u64 = 10;
    let saved = fast_us * COMMITS_SAVED * likely_percent / 100;
    (fast_us + window_us / 10).saturating_sub(saved)
}
