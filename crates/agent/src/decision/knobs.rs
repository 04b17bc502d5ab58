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

/// Learns which arm is cheapest. An arm is drawn without looking at what is to be decided, so that
/// what decisions with it cost on average can be compared as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuner {
    arms: Arms,
    seen: Vec<Seen>,
}

/// What decisions with one arm cost: how many, the sum, and the sum of squares, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    count: u128,
    sum: u128,
    squares: u128,
}

/// No decision costs more, in microseconds: an hour.
const COST_US_MAX: u64 = 3_600_000_000;

impl Seen {
    fn mean(self) -> u128 {
        self.sum / self.count.max(1)
    }

    fn variance(self) -> u128 {
        (self.squares / self.count.max(1)).saturating_sub(self.mean().pow(2))
    }

    /// Whether it is cheaper than `other`, which was seen more often, by more than three times what
    /// chance would do. What is rare and costs much may not have happened to the one yet: both are
    /// taken to vary as the other does.
    fn is_cheaper(self, other: Seen) -> bool {
        let saved = other.mean().saturating_sub(self.mean());
        let variance = self.variance().max(other.variance());
        saved.pow(2) > 9 * (variance / self.count.max(1) + variance / other.count.max(1))
    }
}

impl Tuner {
    /// Nothing learnt yet.
    pub fn new(arms: Arms) -> Tuner {
        let seen = vec![Seen::default(); arms.0.len()];
        Tuner { arms, seen }
    }

    /// The settings of an arm; those in force for one that is not there.
    pub fn knobs(&self, arm: usize) -> Knobs {
        self.arms.0[if arm < self.arms.0.len() { arm } else { 0 }]
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

    /// Takes in what a decision with an arm cost.
    pub fn learn(&mut self, arm: usize, cost_us: u64) {
        if let Some(seen) = self.seen.get_mut(arm) {
            let cost = u128::from(cost_us.min(COST_US_MAX));
            seen.count += 1;
            seen.sum += cost;
            seen.squares += cost * cost;
        }
    }

    /// The arm that was cheapest, of those that were tried so often and that beat the one in force by
    /// more than chance would; else that one.
    pub fn best(&self, tried_min: u64) -> Knobs {
        let in_force = self.seen[0];
        let better =
            self.seen.iter().enumerate().filter(|(_, seen)| {
                seen.count >= u128::from(tried_min) && seen.is_cheaper(in_force)
            });
        let best = better.min_by_key(|(at, seen)| (seen.mean(), *at));
        self.knobs(best.map_or(0, |(at, _)| at))
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
            tuner.learn(arm, if arm == 4 { 10 } else { 100 + arm as u64 });
        }
        assert_eq!(tuner.best(50), arms.all()[4]);
        assert_eq!(tuner.best(200_000), arms.all()[0], "none was tried so often");
    }

    #[test]
    fn luck_is_not_enough() {
        let mut tuner = Tuner::new(Arms::around(Knobs::default()));
        // All arms cost the same on average, and much is chance.
        for seed in 0..400_000u64 {
            let (arm, _) = tuner.choose(seed);
            let cost_us =
                if seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57 == 0 { 1_000_000 } else { 0 };
            tuner.learn(arm, cost_us);
        }
        assert_eq!(tuner.best(50), Knobs::default());
    }
}
