//! Makes models from histories: deterministic to the last bit for the same input and seed.

mod boost;
mod linear;
mod random;

pub use boost::Growth;

use crate::evaluator::{MARGIN_ONE, TREES_MAX, Trees};
use crate::features::{self, COUNT, Features};
use crate::label;
use crate::metrics::log_loss;
use crate::model::Model;
use crate::numeric::{logit, sigmoid};
use crate::trace::Trace;
use boost::Lesson;
use random::Random;
use thiserror::Error;

/// The changes of a history as a trainer sees them, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Features.
    pub rows: Vec<Features>,
    /// Whether each met the hazard.
    pub outcomes: Vec<bool>,
    /// When each began, seconds since 1970. Never falls.
    pub started_s: Vec<i64>,
    /// When the outcome of each is known.
    pub known_s: Vec<i64>,
}

impl Samples {
    /// The samples of a history.
    pub fn of(trace: &Trace) -> Samples {
        let rows = features::of_trace(trace);
        let fates = label::in_flight(trace);
        let mut order: Vec<_> = (0..rows.len()).collect();
        order.sort_by_key(|at| trace.changes[*at].started_s);
        Samples {
            rows: order.iter().map(|at| rows[*at]).collect(),
            outcomes: order.iter().map(|at| fates[*at].met).collect(),
            started_s: order.iter().map(|at| trace.changes[*at].started_s).collect(),
            known_s: order.iter().map(|at| fates[*at].known_s).collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many met the hazard.
    pub fn positives(&self) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome).count()
    }

    /// Those that a condition on when they began and when they were known picks.
    pub fn pick(&self, wanted: impl Fn(i64, i64) -> bool) -> Samples {
        let mut picked = Samples::default();
        for at in 0..self.len() {
            if wanted(self.started_s[at], self.known_s[at]) {
                picked.rows.push(self.rows[at]);
                picked.outcomes.push(self.outcomes[at]);
                picked.started_s.push(self.started_s[at]);
                picked.known_s.push(self.known_s[at]);
            }
        }
        picked
    }

    /// When the change began that has this share of all before it.
    pub fn time_of_share(&self, share: f64) -> Option<i64> {
        let at = (self.len() as f64 * share) as usize;
        self.started_s.get(at.min(self.len().checked_sub(1)?)).copied()
    }

    fn append(&mut self, other: Samples) {
        self.rows.extend(other.rows);
        self.outcomes.extend(other.outcomes);
        self.started_s.extend(other.started_s);
        self.known_s.extend(other.known_s);
    }
}

/// Why no model was made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TrainError {
    /// Too little happened to learn from.
    #[error(
        "{changes} changes, of which {positives} met another's: at least {CHANGES_MIN} and \
         {POSITIVES_MIN} are needed"
    )]
    TooLittle {
        /// Changes that could be used.
        changes: usize,
        /// Those that met the hazard.
        positives: usize,
    },
}

/// Changes needed to train.
pub const CHANGES_MIN: usize = 200;
/// Changes that met the hazard needed to train.
pub const POSITIVES_MIN: usize = 10;
/// The part of the training time that margins are calibrated on, and the number of trees chosen.
const HELD_OUT: f64 = 0.25;

/// How a model is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Same input and seed, same model.
    pub seed: u64,
    /// How trees grow.
    pub growth: Growth,
}

impl Default for Options {
    fn default() -> Self {
        let growth = Growth {
            trees: TREES_MAX,
            depth: 4,
            rate: 0.1,
            ridge: 10.0,
            curvature_min: 0.5,
            rows: 52_000,
            features: 33_000,
        };
        Options { seed: 1, growth }
    }
}

/// One line of JSON for a model file: the seed, and what of which histories was learnt from.
pub fn provenance(seed: u64, histories: &[(String, Samples)]) -> String {
    let source = |(source, samples): &(String, Samples)| {
        serde_json::json!({
            "source": source,
            "changes": samples.len(),
            "positives": samples.positives(),
            "known_until_s": samples.known_s.iter().max(),
        })
    };
    let sources: Vec<_> = histories.iter().map(source).collect();
    serde_json::json!({"seed": seed, "sources": sources}).to_string()
}

/// Trains a model on histories, each with its name. `progress` hears how many of how many trees are grown.
pub fn train(
    histories: &[(String, Samples)],
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Model, TrainError> {
    let (mut fit, mut held_out) = (Samples::default(), Samples::default());
    for (_, history) in histories {
        let Some(cut_s) = history.time_of_share(1.0 - HELD_OUT) else { continue };
        fit.append(history.pick(|_, known_s| known_s < cut_s));
        held_out.append(history.pick(|started_s, _| started_s >= cut_s));
    }
    let mut all = Samples::default();
    histories.iter().for_each(|(_, history)| all.append(history.clone()));
    if all.len() < CHANGES_MIN || all.positives() < POSITIVES_MIN {
        return Err(TrainError::TooLittle { changes: all.len(), positives: all.positives() });
    }
    let total = 2 * options.growth.trees;
    let first = fit_trees(&fit, options, &mut |at| progress(at, total));
    let (count, calibration) = tune(&first, &held_out);
    let growth = Growth { trees: count, ..options.growth };
    let trees = fit_trees(&all, &Options { growth, ..*options }, &mut |at| {
        progress(options.growth.trees + at, total);
    });
    let weights = vec![1.0; all.len()];
    let lesson = Lesson { rows: &all.rows, outcomes: &all.outcomes, weights: &weights };
    let (logistic, table) = (linear::logistic(&lesson), linear::table(&lesson));
    progress(total, total);
    let provenance = provenance(options.seed, histories);
    Ok(Model::new(trees, calibration, logistic, table, usual(&all.rows), provenance))
}

/// Grows further trees on top of a model, for a site's own history. None if too little happened.
pub fn adapt(
    model: &Model,
    own: &Samples,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Option<Model> {
    let room = TREES_MAX - model.trees.trees.len();
    if own.len() < CHANGES_MIN || own.positives() < POSITIVES_MIN || room == 0 {
        return None;
    }
    let cut_s = own.time_of_share(1.0 - HELD_OUT)?;
    let fit = own.pick(|_, known_s| known_s < cut_s);
    let held_out = own.pick(|started_s, _| started_s >= cut_s);
    let trees = options.growth.trees.min(room);
    let mut from = model.trees.clone();
    from.bias = model.calibration.of(from.bias);
    let grown = |samples: &Samples, trees: usize, progress: &mut dyn FnMut(usize)| {
        let mut margins: Vec<_> = samples.rows.iter().map(|row| model.trees.margin(row)).collect();
        let weights = vec![1.0; samples.len()];
        let lesson = Lesson { rows: &samples.rows, outcomes: &samples.outcomes, weights: &weights };
        let growth = Growth { trees, ..options.growth };
        let mut random = Random(options.seed);
        let added = boost::grow(&lesson, &mut margins, &growth, &mut random, progress);
        let mut all = model.trees.clone();
        all.trees.extend(added);
        all
    };
    let first = grown(&fit, trees, &mut |at| progress(at, 2 * trees));
    let kept = model.trees.trees.len();
    let (count, calibration) = tune_from(&first, &held_out, kept);
    let last = grown(own, count - kept, &mut |at| progress(trees + at, 2 * trees));
    progress(2 * trees, 2 * trees);
    let (logistic, table) = (model.logistic, model.table.clone());
    let provenance = model.provenance.clone();
    Some(Model::new(last, calibration, logistic, table, usual(&own.rows), provenance))
}

fn fit_trees(samples: &Samples, options: &Options, progress: &mut dyn FnMut(usize)) -> Trees {
    let rate = (samples.positives() as f64 + 0.5) / (samples.len() as f64 + 1.0);
    let bias = (logit(rate) * f64::from(MARGIN_ONE)).round() as i32;
    let mut margins = vec![bias; samples.len()];
    let weights = vec![1.0; samples.len()];
    let lesson = Lesson { rows: &samples.rows, outcomes: &samples.outcomes, weights: &weights };
    let mut random = Random(options.seed);
    let trees = boost::grow(&lesson, &mut margins, &options.growth, &mut random, progress);
    Trees { bias, trees }
}

fn tune(trees: &Trees, held_out: &Samples) -> (usize, crate::evaluator::Calibration) {
    tune_from(trees, held_out, 0)
}

/// How many trees, at least `kept`, predict what was held out best, and their calibration.
fn tune_from(
    trees: &Trees,
    held_out: &Samples,
    kept: usize,
) -> (usize, crate::evaluator::Calibration) {
    let mut some = Trees { bias: trees.bias, trees: trees.trees[..kept].to_vec() };
    let mut margins: Vec<_> = held_out.rows.iter().map(|row| some.margin(row)).collect();
    let mut best = None;
    for count in kept..=trees.trees.len() {
        if count > kept {
            let tree = trees.trees[count - 1];
            some.trees.push(tree);
            for (margin, row) in margins.iter_mut().zip(&held_out.rows) {
                *margin += i32::from(tree.leaves[tree.leaf(row)]);
            }
        }
        if count % 4 != 0 && count != kept && count != trees.trees.len() {
            continue;
        }
        let calibration = linear::calibrate(&margins, &held_out.outcomes);
        let probability =
            |margin: &i32| sigmoid(f64::from(calibration.of(*margin)) / f64::from(MARGIN_ONE));
        let probabilities: Vec<_> = margins.iter().map(probability).collect();
        let loss = log_loss(&probabilities, &held_out.outcomes);
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, (count, calibration)));
        }
    }
    best.map_or((kept, crate::evaluator::Calibration::NONE), |(_, found)| found)
}

/// The middle level of each feature.
fn usual(rows: &[Features]) -> Features {
    std::array::from_fn(|feature| {
        let mut counts = [0usize; 256];
        rows.iter().for_each(|row| counts[usize::from(row[feature])] += 1);
        let mut below = 0;
        let middle = counts.iter().position(|count| {
            below += count;
            2 * below >= rows.len()
        });
        middle.unwrap_or(0) as u8
    })
}

const _: () = assert!(COUNT <= 256);
