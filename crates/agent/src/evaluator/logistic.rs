//! Logistic regression: the shadow of the trees, and what speaks when they must not.

use crate::features::{COUNT, Features};

/// Weights for features as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logistic {
    /// The margin of a row of zeroes.
    pub bias: i32,
    /// What 256 levels of each feature add to the margin.
    pub weights: [i32; COUNT],
}

impl Logistic {
    /// The margin of a row.
    pub fn margin(&self, row: &Features) -> i32 {
        let added = |(weight, level): (&i32, &u8)| i64::from(*weight) * i64::from(*level);
        let sum: i64 = self.weights.iter().zip(row).map(added).sum();
        (i64::from(self.bias) + (sum >> 8)).clamp(-1 << 24, 1 << 24) as i32
    }
}
