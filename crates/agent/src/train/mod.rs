//! Makes models from histories: deterministic to the last bit for the same input and seed.

mod anew;
mod boost;
mod linear;
mod random;

pub use anew::{Challenger, LEDGER, Lived, anew};
pub use boost::Growth;

use crate::evaluator::{Calibration, MARGIN_ONE, TREES_MAX, Trees};
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
    /// When each began, milliseconds since 1970. Never falls.
    pub started_ms: Vec<i64>,
    /// When the outcome of each is known.
    pub known_ms: Vec<i64>,
}

impl Samples {
    /// The samples of a history.
    pub fn of(trace: &Trace) -> Samples {
        let rows = features::of_trace(trace);
        let fates = label::in_flight(trace);
        let mut order: Vec<_> = (0..rows.len()).collect();
        order.sort_by_key(|at| trace.changes[*at].started_ms);
        Samples {
            rows: order.iter().map(|at| rows[*at]).collect(),
            outcomes: order.iter().map(|at| fates[*at].met).collect(),
            started_ms: order.iter().map(|at| trace.changes[*at].started_ms).collect(),
            known_ms: order.iter().map(|at| fates[*at].known_ms).collect(),
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
            if wanted(self.started_ms[at], self.known_ms[at]) {
                picked.rows.push(self.rows[at]);
                picked.outcomes.push(self.outcomes[at]);
                picked.started_ms.push(self.started_ms[at]);
                picked.known_ms.push(self.known_ms[at]);
            }
        }
        picked
    }

    /// When the change began that has this share of all before it.
    pub fn time_of_share(&self, share: f64) -> Option<i64> {
        let at = (self.len() as f64 * share) as usize;
        self.started_ms.get(at.min(self.len().checked_sub(1)?)).copied()
    }

    fn append(&mut self, other: Samples) {
        self.rows.extend(other.rows);
        self.outcomes.extend(other.outcomes);
        self.started_ms.extend(other.started_ms);
        self.known_ms.extend(other.known_ms);
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
/// Changes that met the hazard needed to train a challenger on a site's own history.
const CHALLENGER_POSITIVES_MIN: usize = 40;
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
            "known_until_ms": samples.known_ms.iter().max(),
        })
    };
    let sources: Vec<_> = histories.iter().map(source).collect();
    serde_json::json!({"seed": seed, "sources": sources}).to_string()
}

/// Trains a model on histories, each with its name. `progress` hears how many of how many trees are
/// grown.
pub fn train(
    histories: &[(String, Samples)],
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Model, TrainError> {
    let (mut fit, mut held_out) = (Samples::default(), Samples::default());
    for (_, history) in histories {
        let Some(cut_ms) = history.time_of_share(1.0 - HELD_OUT) else { continue };
        fit.append(history.pick(|_, known_ms| known_ms < cut_ms));
        held_out.append(history.pick(|started_ms, _| started_ms >= cut_ms));
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

/// What a model has learnt from a site's own history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// Too little happened.
    Nothing,
    /// Its margins were calibrated anew.
    Calibration,
    /// A model trained on that history alone predicted its last quarter better, and took its place.
    Model,
}

/// Lets a model learn from a history that it has not seen: its calibration always, and all of it if
/// a challenger trained there predicts better what neither has seen.
pub fn adapt(
    model: Model,
    source: &str,
    own: &Samples,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> (Model, Learnt) {
    let cut_ms = own.time_of_share(1.0 - HELD_OUT);
    let Some(cut_ms) = cut_ms.filter(|_| own.positives() >= POSITIVES_MIN) else {
        return (model, Learnt::Nothing);
    };
    let fit = own.pick(|_, known_ms| known_ms < cut_ms);
    let held_out = own.pick(|started_ms, _| started_ms >= cut_ms);
    let champion = recalibrated(&model, &fit);
    if fit.positives() >= CHALLENGER_POSITIVES_MIN && held_out.positives() > 0 {
        let named = |samples: &Samples| [(source.to_owned(), samples.clone())];
        let challenger = train(&named(&fit), options, progress);
        if challenger.is_ok_and(|one| loss(&one, &held_out) < loss(&champion, &held_out))
            && let Ok(whole) = train(&named(own), options, progress)
        {
            return (whole, Learnt::Model);
        }
    }
    (recalibrated(&model, own), Learnt::Calibration)
}

/// The same model, its margins told as a history says.
fn recalibrated(model: &Model, samples: &Samples) -> Model {
    let margins: Vec<_> = samples.rows.iter().map(|row| model.trees.margin(row)).collect();
    let calibration = linear::calibrate(&margins, &samples.outcomes);
    Model::new(
        model.trees.clone(),
        calibration,
        model.logistic,
        model.table.clone(),
        model.reference,
        model.provenance.clone(),
    )
}

fn loss(model: &Model, samples: &Samples) -> f64 {
    let probability = |row| f64::from(model.probability(row)) / 1e9;
    let probabilities: Vec<_> = samples.rows.iter().map(probability).collect();
    log_loss(&probabilities, &samples.outcomes)
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

/// How many trees predict what was held out best, and their calibration.
fn tune(trees: &Trees, held_out: &Samples) -> (usize, Calibration) {
    let mut margins = vec![trees.bias; held_out.len()];
    let mut best = (f64::INFINITY, (0, Calibration::NONE));
    for (at, tree) in trees.trees.iter().enumerate() {
        for (margin, row) in margins.iter_mut().zip(&held_out.rows) {
            *margin += i32::from(tree.leaves[tree.leaf(row)]);
        }
        if (at + 1) % 4 != 0 {
            continue;
        }
        let calibration = linear::calibrate(&margins, &held_out.outcomes);
        let probability =
            |margin: &i32| sigmoid(f64::from(calibration.of(*margin)) / f64::from(MARGIN_ONE));
        let probabilities: Vec<_> = margins.iter().map(probability).collect();
        let loss = log_loss(&probabilities, &held_out.outcomes);
        if loss < best.0 {
            best = (loss, (at + 1, calibration));
        }
    }
    best.1
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
