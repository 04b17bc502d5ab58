//! What computes a prediction from a row of features: whole numbers only, so that it is the same
//! to the last bit everywhere. Three kinds: boosted trees, logistic regression as their shadow and
//! fallback, and a table of 256 cells as what both have to beat.
//!
//! All say a **margin**: the logarithm of the odds, in 1/1024.

mod logistic;
mod table;
mod trees;

pub use logistic::Logistic;
pub use table::{CELLS, Table};
pub use trees::{DEPTH, INNER_NODES, LEAVES, TREES_MAX, Tree, Trees};

/// Margins are told in parts of this.
pub const MARGIN_ONE: i32 = 1024;
/// Probabilities are told in billionths.
pub const PROBABILITY_ONE: u32 = 1_000_000_000;

/// Margins beyond this many units of log-odds are as good as certain.
const REACH: i32 = 16;
const STEPS_PER_UNIT: i32 = 64;

/// Turns margins into probabilities by looking them up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probabilities {
    steps: Vec<u32>,
}

impl Default for Probabilities {
    fn default() -> Self {
        let steps = -REACH * STEPS_PER_UNIT..=REACH * STEPS_PER_UNIT;
        let probability = |step: i32| {
            let margin = f64::from(step) / f64::from(STEPS_PER_UNIT);
            (crate::numeric::sigmoid(margin) * f64::from(PROBABILITY_ONE)) as u32
        };
        Probabilities { steps: steps.map(probability).collect() }
    }
}

impl Probabilities {
    /// The probability of a margin, in billionths.
    pub fn of(&self, margin: i32) -> u32 {
        let width = MARGIN_ONE / STEPS_PER_UNIT;
        let reach = REACH * MARGIN_ONE;
        let from_left = margin.clamp(-reach, reach) + reach;
        let (step, rest) = ((from_left / width) as usize, (from_left % width) as u64);
        let left = u64::from(self.steps[step]);
        let right = u64::from(self.steps[(step + 1).min(self.steps.len() - 1)]);
        (left + (right - left) * rest / width as u64) as u32
    }
}

/// Slope and offset that make margins tell true odds (Platt's scaling).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// In 1/65536.
    pub slope: i32,
    /// In 1/1024 of log-odds.
    pub offset: i32,
}

impl Calibration {
    /// The slope that changes nothing.
    pub const SLOPE_ONE: i32 = 1 << 16;
    /// Changes nothing.
    pub const NONE: Calibration = Calibration { slope: Self::SLOPE_ONE, offset: 0 };

    /// The margin that tells true odds.
    pub fn of(self, margin: i32) -> i32 {
        let scaled = (i64::from(margin) * i64::from(self.slope)) >> 16;
        scaled.clamp(-1 << 24, 1 << 24) as i32 + self.offset.clamp(-1 << 24, 1 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_follow_the_logistic_curve() {
        let table = Probabilities::default();
        for margin in (-20_000..20_000).step_by(7) {
            let exact = 1e9 / (1.0 + (-f64::from(margin) / 1024.0).exp());
            let found = f64::from(table.of(margin));
            assert!((found - exact).abs() < 20_000.0, "{margin}: {found} for {exact}");
        }
        assert!(table.of(i32::MIN) < table.of(0) && table.of(i32::MAX) > table.of(0));
        let calibration = Calibration { slope: i32::MAX, offset: i32::MIN };
        assert!(calibration.of(i32::MAX) >= calibration.of(i32::MIN));
    }
}
