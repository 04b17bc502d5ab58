//! What the decision leaves open: how cautious, how long to hold a flapping device's change, when
//! to move a home, how long leases are. Learnt as a bandit with logged propensities.

use crate::evaluator::PROBABILITY_ONE;

/// The settings in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knobs {
    /// How much of an intervention's price counts, in percent.
    pub caution_percent: u16,
    /// How long the change of a flapping device is held, in milliseconds.
    pub coalesce_ms: u16,
    /// A home does not move before so many changes in a row from elsewhere.
    pub move_after: u8,
    /// How long a lease lasts, in seconds. The decision itself does not read it.
    pub lease_s: u16,
    /// The share of decisions that try a safe path, in billionths; at most 0.5 % is used.
    pub exploration: u32,
}

impl Default for Knobs {
    fn default() -> Self {
        let exploration = PROBABILITY_ONE / 250;
        Knobs { caution_percent: 100, coalesce_ms: 50, move_after: 2, lease_s: 30, exploration }
    }
}

/// The settings that are tried: every one of them is safe, they differ in cost alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arms(Vec<Knobs>);

impl Arms {
    /// A setting and its neighbours: each knob at half and at double.
    pub fn around(knobs: Knobs) -> Arms {
        let mut arms = vec![knobs];
        let double = |value: u16| value.saturating_mul(2);
        for (caution_percent, coalesce_ms, move_after, lease_s) in [
            (knobs.caution_percent / 2, knobs.coalesce_ms, knobs.move_after, knobs.lease_s),
            (double(knobs.caution_percent), knobs.coalesce_ms, knobs.move_after, knobs.lease_s),
            (knobs.caution_percent, knobs.coalesce_ms / 2, knobs.move_after, knobs.lease_s),
            (knobs.caution_percent, double(knobs.coalesce_ms), knobs.move_after, knobs.lease_s),
            (knobs.caution_percent, knobs.coalesce_ms, knobs.move_after / 2, knobs.lease_s),
            (
                knobs.caution_percent,
                knobs.coalesce_ms,
                knobs.move_after.saturating_mul(2),
                knobs.lease_s,
            ),
            (knobs.caution_percent, knobs.coalesce_ms, knobs.move_after, knobs.lease_s / 2),
            (knobs.caution_percent, knobs.coalesce_ms, knobs.move_after, double(knobs.lease_s)),
        ] {
            arms.push(Knobs { caution_percent, coalesce_ms, move_after, lease_s, ..knobs });
        }
        Arms(arms)
    }

    /// All of them; the first is the one in force.
    pub fn all(&self) -> &[Knobs] {
        &self.0
    }
}

/// Learns which arm is cheapest from costs and the propensities they were chosen with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuner {
    arms: Arms,
    /// For each arm: the weight of what was seen, and the weighted cost in microseconds.
    seen: Vec<(u128, u128)>,
}

impl Tuner {
    /// Nothing learnt yet.
    pub fn new(arms: Arms) -> Tuner {
        let seen = vec![(0, 0); arms.0.len()];
        Tuner { arms, seen }
    }

    /// The arm for a decision, and how likely it was picked, in billionths. The one in force is
    /// taken but for the share that is explored.
    pub fn choose(&self, seed: u64) -> (usize, u32) {
        let others = self.arms.0.len() as u32 - 1;
        let share = self.arms.0[0].exploration.min(super::EXPLORATION_MAX);
        let each = share.checked_div(others).unwrap_or(0);
        let draw = ((super::mixed(seed) >> 32) * u64::from(PROBABILITY_ONE)) >> 32;
        match draw.checked_div(u64::from(each)) {
            Some(at) if at < u64::from(others) => (at as usize + 1, each),
            _ => (0, PROBABILITY_ONE - each * others),
        }
    }

    /// Takes in what a decision with an arm cost, weighted by how unlikely the arm was.
    pub fn learn(&mut self, arm: usize, propensity: u32, cost_us: u64) {
        if let Some((weight, cost)) = self.seen.get_mut(arm) {
            let share = u128::from(PROBABILITY_ONE / propensity.max(1));
            *weight = weight.saturating_add(share);
            *cost = cost.saturating_add(share * u128::from(cost_us));
        }
    }

    /// The arm that was cheapest on average among those with this much weight, in decisions.
    pub fn best(&self, weight_min: u64) -> Knobs {
        let mean = |(weight, cost): &(u128, u128)| cost / (*weight).max(1);
        let enough = self
            .seen
            .iter()
            .enumerate()
            .filter(|(_, (weight, _))| *weight >= u128::from(weight_min));
        let best = enough.min_by_key(|(at, seen)| (mean(seen), *at));
        self.arms.0[best.map_or(0, |(at, _)| at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_arm_is_found() {
        let arms = Arms::around(Knobs::default());
        let mut tuner = Tuner::new(arms.clone());
        assert_eq!(tuner.best(1), Knobs::default());
        for seed in 0..200_000 {
            let (arm, propensity) = tuner.choose(seed);
            assert!(arm == 0 || propensity <= super::super::EXPLORATION_MAX);
            tuner.learn(arm, propensity, if arm == 4 { 10 } else { 100 + arm as u64 });
        }
        assert_eq!(tuner.best(1000), arms.all()[4]);
    }
}
