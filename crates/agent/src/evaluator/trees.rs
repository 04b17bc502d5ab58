//! Boosted trees. Every tree is complete and of the same depth, so that evaluating takes no
//! branches: each step is one comparison of two octets.

use crate::features::{COUNT, Features};

/// Comparisons from the root to a leaf.
pub const DEPTH: usize = 4;
/// Comparisons in a tree.
pub const INNER_NODES: usize = (1 << DEPTH) - 1;
/// Leaves of a tree.
pub const LEAVES: usize = 1 << DEPTH;
/// Trees in a model, at most.
pub const TREES_MAX: usize = 64;

/// One tree. Node 0 is the root; the children of `n` are `2n + 1` and `2n + 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Which feature each node looks at.
    pub features: [u8; INNER_NODES],
    /// Features above this go right.
    pub thresholds: [u8; INNER_NODES],
    /// What each leaf adds to the margin.
    pub leaves: [i16; LEAVES],
}

impl Tree {
    /// A tree that always goes left, to leaves that add nothing.
    pub const EMPTY: Tree =
        Tree { features: [0; INNER_NODES], thresholds: [255; INNER_NODES], leaves: [0; LEAVES] };

    /// Which leaf a row comes to.
    pub fn leaf(&self, row: &Features) -> usize {
        self.leaf_of_padded(&padded(row))
    }

    /// Every octet is a place in a padded row, so that nothing has to be checked on the way.
    fn leaf_of_padded(&self, row: &[u8; 256]) -> usize {
        let mut node = 0;
        for _ in 0..DEPTH {
            let right = row[usize::from(self.features[node])] > self.thresholds[node];
            node = 2 * node + 1 + usize::from(right);
        }
        node - INNER_NODES
    }
}

/// A row with a zero for every feature that is not known.
fn padded(row: &Features) -> [u8; 256] {
    let mut padded = [0; 256];
    padded[..COUNT].copy_from_slice(row);
    padded
}

/// A sum of trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trees {
    /// The margin before any tree.
    pub bias: i32,
    /// At most [`TREES_MAX`].
    pub trees: Vec<Tree>,
}

impl Trees {
    /// The margin of a row.
    pub fn margin(&self, row: &Features) -> i32 {
        let row = padded(row);
        let added = |tree: &Tree| i32::from(tree.leaves[tree.leaf_of_padded(&row)]);
        self.bias.saturating_add(self.trees.iter().map(added).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_finds_its_leaf() {
        let mut tree = Tree::EMPTY;
        (tree.features[0], tree.thresholds[0]) = (3, 10);
        (tree.features[2], tree.thresholds[2]) = (4, 0);
        let row = |third, fourth| {
            let mut row = [0; COUNT];
            (row[3], row[4]) = (third, fourth);
            row
        };
        assert_eq!(tree.leaf(&row(10, 9)), 0);
        assert_eq!(tree.leaf(&row(11, 0)), 8);
        assert_eq!(tree.leaf(&row(11, 1)), 12);
        tree.leaves[12] = -7;
        assert_eq!(Trees { bias: 3, trees: vec![tree; 2] }.margin(&row(11, 1)), -11);
    }
}
