//! A table of 256 cells: the age of the last change by another identity, in 16 steps, against how
//! much this identity has changed so far, in 16 steps.

use crate::features::{ACTOR_CHANGES, Features, OTHER_AGE};

/// How many cells there are.
pub const CELLS: usize = 256;

/// A margin for each cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// In the order of [`Table::cell`].
    pub margins: Vec<i16>,
}

impl Table {
    /// The cell of a row.
    pub fn cell(row: &Features) -> usize {
        // Ages of more than 8 years and counts above 32,000 share the last step.
        let age = match row[OTHER_AGE] {
            255 => 15,
            level => usize::from(level / 8).min(14),
        };
        let changes = usize::from(row[ACTOR_CHANGES] / 4).min(15);
        age * 16 + changes
    }

    /// The margin of a row; 0 if the table is too short, which a model file cannot make it.
    pub fn margin(&self, row: &Features) -> i32 {
        self.margins.get(Self::cell(row)).copied().map_or(0, i32::from)
    }
}
