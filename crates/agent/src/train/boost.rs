//! Gradient boosting over histograms. Each tree is fitted to what the sum of those before it leaves
//! unexplained of the log-likelihood, level by level; leaves are rounded before the next tree sees
//! them, so that the trainer works on exactly what will be evaluated later.

use super::random::Random;
use crate::evaluator::{DEPTH, INNER_NODES, LEAVES, MARGIN_ONE, Tree};
use crate::features::{COUNT, Features};
use crate::numeric::sigmoid;

/// How trees are grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// How many trees.
    pub trees: usize,
    /// Levels of comparisons, at most [`DEPTH`].
    pub depth: usize,
    /// How much of its best step each tree takes.
    pub rate: f64,
    /// What is added to the curvature of each leaf; larger is more careful.
    pub ridge: f64,
    /// The least curvature on either side of a comparison.
    pub curvature_min: f64,
    /// Share of the rows that each tree sees, in 1/65536.
    pub rows: u32,
    /// Share of the features that each tree sees, in 1/65536.
    pub features: u32,
}

/// Rows with what happened, and the margins that are already explained.
pub(super) struct Lesson<'a> {
    /// The rows.
    pub(super) rows: &'a [Features],
    /// Whether each met the hazard.
    pub(super) outcomes: &'a [bool],
    /// What each row counts.
    pub(super) weights: &'a [f64],
}

#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    curvature: f64,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.gradient += other.gradient;
        self.curvature += other.curvature;
    }

    fn score(self, ridge: f64) -> f64 {
        self.gradient * self.gradient / (self.curvature + ridge)
    }
}

/// Grows trees from these margins, which it moves along.
pub(super) fn grow(
    lesson: &Lesson<'_>,
    margins: &mut [i32],
    growth: &Growth,
    random: &mut Random,
    progress: &mut dyn FnMut(usize),
) -> Vec<Tree> {
    let mut trees = Vec::new();
    for at in 0..growth.trees {
        let tree = grow_one(lesson, margins, growth, random);
        for (margin, row) in margins.iter_mut().zip(lesson.rows) {
            *margin += i32::from(tree.leaves[tree.leaf(row)]);
        }
        trees.push(tree);
        progress(at + 1);
    }
    trees
}

fn grow_one(lesson: &Lesson<'_>, margins: &[i32], growth: &Growth, random: &mut Random) -> Tree {
    let sums: Vec<_> = (margins.iter().zip(lesson.outcomes).zip(lesson.weights))
        .map(|((margin, outcome), weight)| {
            let p = sigmoid(f64::from(*margin) / f64::from(MARGIN_ONE));
            let gradient = (f64::from(u8::from(*outcome)) - p) * weight;
            Sums { gradient, curvature: p * (1.0 - p) * weight }
        })
        .collect();
    let seen: Vec<_> = (0..lesson.rows.len()).filter(|_| random.happens(growth.rows)).collect();
    let features: Vec<_> = (0..COUNT).filter(|_| random.happens(growth.features)).collect();
    let mut tree = Tree::EMPTY;
    let mut nodes = vec![0usize; lesson.rows.len()];
    for depth in 0..growth.depth.min(DEPTH) {
        let first = (1 << depth) - 1;
        let mut histograms = vec![Sums::default(); (1 << depth) * COUNT * 256];
        for row in &seen {
            let slot = (nodes[*row] - first) * COUNT;
            for feature in &features {
                let level = usize::from(lesson.rows[*row][*feature]);
                histograms[(slot + feature) * 256 + level].add(sums[*row]);
            }
        }
        for node in 0..1 << depth {
            let of_node = &histograms[node * COUNT * 256..(node + 1) * COUNT * 256];
            if let Some((feature, threshold)) = best_split(of_node, &features, growth) {
                tree.features[first + node] = feature as u8;
                tree.thresholds[first + node] = threshold as u8;
            }
        }
        for row in &seen {
            let node = nodes[*row];
            let right = lesson.rows[*row][tree.features[node] as usize] > tree.thresholds[node];
            nodes[*row] = 2 * node + 1 + usize::from(right);
        }
    }
    set_leaves(&mut tree, lesson, &seen, &sums, growth);
    tree
}

fn best_split(histograms: &[Sums], features: &[usize], growth: &Growth) -> Option<(usize, usize)> {
    // Less than this is rounding.
    let mut best = (1e-6, None);
    for feature in features {
        let histogram = &histograms[feature * 256..(feature + 1) * 256];
        let mut total = Sums::default();
        histogram.iter().for_each(|sums| total.add(*sums));
        let mut left = Sums::default();
        for (threshold, sums) in histogram[..255].iter().enumerate() {
            left.add(*sums);
            if sums.curvature == 0.0 {
                continue;
            }
            let right = Sums {
                gradient: total.gradient - left.gradient,
                curvature: total.curvature - left.curvature,
            };
            if left.curvature < growth.curvature_min || right.curvature < growth.curvature_min {
                continue;
            }
            let gain =
                left.score(growth.ridge) + right.score(growth.ridge) - total.score(growth.ridge);
            if gain > best.0 {
                best = (gain, Some((*feature, threshold)));
            }
        }
    }
    best.1
}

fn set_leaves(
    tree: &mut Tree,
    lesson: &Lesson<'_>,
    seen: &[usize],
    sums: &[Sums],
    growth: &Growth,
) {
    const STEP_MAX: f64 = 4.0;
    let mut totals = [Sums::default(); LEAVES];
    for row in seen {
        totals[tree.leaf(&lesson.rows[*row])].add(sums[*row]);
    }
    for (leaf, total) in tree.leaves.iter_mut().zip(totals) {
        let step = total.gradient / (total.curvature + growth.ridge);
        let margin = step.clamp(-STEP_MAX, STEP_MAX) * growth.rate * f64::from(MARGIN_ONE);
        *leaf = margin.round() as i16;
    }
    debug_assert_eq!(tree.features.len(), INNER_NODES);
}
