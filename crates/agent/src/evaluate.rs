//! How well hazards would have been predicted in a history that is already over.
//!
//! The later part is predicted, from its first change to its last, with what was known then. The
//! model is the one that is given, after it has learnt from the earlier part ([`adapt`]): this is
//! what an operator has who starts with the shipped model and lets it learn. What
//! becomes known while the later part goes by moves the model's offset alone ([`Offset`]), as it
//! does in operation.

use crate::features::one_line_rule;
use crate::metrics::{auc, brier_skill, calibration_error_by_rank, expected_calibration_error};
use crate::model::Model;
use crate::numeric::ln;
use crate::train::{Learnt, Options, Samples, adapt};

/// The share of the changes that is known before the rest is predicted.
pub const EARLIER: f64 = 0.7;
/// What was still under way so shortly before the split is not learnt from, in milliseconds.
pub const EMBARGO_MS: i64 = 7 * 86_400_000;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// When the later part begins, in milliseconds since 1970.
    pub split_ms: i64,
    /// Changes that were learnt from, or could have been.
    pub earlier: usize,
    /// Those among them that met the hazard.
    pub earlier_positives: usize,
    /// Changes that were predicted.
    pub later: usize,
    /// Those among them that met the hazard.
    pub later_positives: usize,
    /// What was learnt from the earlier part.
    pub learnt: Learnt,
    /// Of the model; None if the later part has no positives, or nothing else.
    pub auc: Option<f64>,
    /// Of the rule of one line.
    pub auc_rule: Option<f64>,
    /// Of logistic regression, as it is in the model.
    pub auc_logistic: Option<f64>,
    /// Of the table, as it is in the model.
    pub auc_table: Option<f64>,
    /// Expected calibration error, ten bins of equal width.
    pub ece: f64,
    /// The same, ten bins of equal size.
    pub ece_by_rank: f64,
    /// The share of the later changes that met the hazard.
    pub base_rate: f64,
    /// Against always saying the base rate of the later part, which nobody could know.
    pub brier_skill: Option<f64>,
}

/// Evaluates a model on a history. None if that has no changes. `learns_as`: the history's name, if
/// the model may learn from its earlier part.
pub fn evaluate(
    model: Model,
    samples: &Samples,
    learns_as: Option<&str>,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Option<Figures> {
    let split_ms = samples.time_of_share(EARLIER)?;
    let earlier = earlier_part(samples, split_ms);
    let later = samples.pick(|started_ms, _| started_ms >= split_ms);
    let (used, learnt) = match learns_as {
        Some(source) => adapt(model, source, &earlier, options, progress),
        None => (model, Learnt::Nothing),
    };
    let probabilities = with_offset(&used, &later);
    let scores = |of: &dyn Fn(&crate::features::Features) -> f64| {
        let scores: Vec<_> = later.rows.iter().map(of).collect();
        auc(&scores, &later.outcomes)
    };
    let base_rate = later.positives() as f64 / later.len().max(1) as f64;
    Some(Figures {
        split_ms,
        earlier: earlier.len(),
        earlier_positives: earlier.positives(),
        later: later.len(),
        later_positives: later.positives(),
        learnt,
        auc: scores(&|row| f64::from(used.margin(row))),
        auc_rule: scores(&|row| f64::from(one_line_rule(row))),
        auc_logistic: scores(&|row| f64::from(used.logistic.margin(row))),
        auc_table: scores(&|row| f64::from(used.table.margin(row))),
        ece: expected_calibration_error(&probabilities, &later.outcomes),
        ece_by_rank: calibration_error_by_rank(&probabilities, &later.outcomes),
        base_rate,
        brier_skill: brier_skill(&probabilities, &later.outcomes, base_rate),
    })
}

/// What a model may learn from that predicts from `split_ms` on.
pub fn earlier_part(samples: &Samples, split_ms: i64) -> Samples {
    samples.pick(|_, known_ms| known_ms < split_ms - EMBARGO_MS)
}

/// Keeps a model's odds true while the share of hazards drifts.
///
/// It counts what was predicted and what happened, both fading, and moves the margin by the
/// logarithm of their ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    predicted: f64,
    happened: f64,
}

impl Default for Offset {
    fn default() -> Self {
        Offset { predicted: Self::DRAW, happened: Self::DRAW }
    }
}

impl Offset {
    /// How many hazards of evidence the model itself counts for.
    const DRAW: f64 = 3.0;
    /// What each outcome leaves of those before: half after about 3,500.
    const KEPT: f64 = 0.9998;

    /// Takes an outcome in, and the probability that the model alone gave it.
    pub fn learn(&mut self, probability: f64, outcome: bool) {
        let fade = |sum: f64| Self::DRAW + (sum - Self::DRAW) * Self::KEPT;
        self.predicted = fade(self.predicted) + probability;
        self.happened = fade(self.happened) + f64::from(u8::from(outcome));
    }

    /// What to add to margins, in 1/1024.
    pub fn margin(&self) -> i32 {
        let ratio = ln(self.happened / self.predicted).clamp(-3.0, 3.0);
        (ratio * f64::from(crate::evaluator::MARGIN_ONE)).round() as i32
    }
}

/// Predicts the later changes in the order in which they began, each with the offset from what was
/// known then.
fn with_offset(model: &Model, later: &Samples) -> Vec<f64> {
    let plain = |row| f64::from(model.probability(row)) / 1e9;
    let mut offset = Offset::default();
    let mut by_known: Vec<_> = (0..later.len()).collect();
    by_known.sort_by_key(|at| later.known_ms[*at]);
    let mut known = by_known.into_iter().peekable();
    let mut probabilities = Vec::with_capacity(later.len());
    for at in 0..later.len() {
        while let Some(one) = known.next_if(|one| later.known_ms[*one] < later.started_ms[at]) {
            offset.learn(plain(&later.rows[one]), later.outcomes[one]);
        }
        let margin = model.margin(&later.rows[at]).saturating_add(offset.margin());
        probabilities.push(f64::from(model.probability_of(margin)) / 1e9);
    }
    probabilities
}
