//! Fits what is not a tree: logistic regression, the table, and Platt's scaling.

use super::boost::Lesson;
use crate::evaluator::{CELLS, Calibration, Logistic, MARGIN_ONE, Table};
use crate::features::COUNT;
use crate::numeric::{logit, sigmoid};

const STEPS: usize = 300;

/// Fits weights by gradient descent with momentum on standardised features, and a ridge.
pub(super) fn logistic(lesson: &Lesson<'_>) -> Logistic {
    let total: f64 = lesson.weights.iter().sum::<f64>().max(1.0);
    let mut means = [0.0; COUNT];
    let mut spreads = [0.0; COUNT];
    let scaled = |level: u8| f64::from(level) / 256.0;
    for (row, weight) in lesson.rows.iter().zip(lesson.weights) {
        for (feature, level) in row.iter().enumerate() {
            means[feature] += scaled(*level) * weight / total;
            spreads[feature] += scaled(*level) * scaled(*level) * weight / total;
        }
    }
    for (spread, mean) in spreads.iter_mut().zip(means) {
        *spread = (*spread - mean * mean).max(1e-6).sqrt();
    }
    let positives: f64 = weighted_positives(lesson);
    let mut bias = logit((positives + 0.5) / (total + 1.0));
    let (mut weights, mut momentum, mut bias_momentum) = ([0.0; COUNT], [0.0; COUNT], 0.0);
    // Gradients are as small as positives are rare.
    let rate = 0.2 * total / (positives + 1.0);
    for _ in 0..STEPS {
        let (mut gradient, mut bias_gradient) = ([0.0; COUNT], 0.0);
        for ((row, outcome), weight) in lesson.rows.iter().zip(lesson.outcomes).zip(lesson.weights)
        {
            let at = |feature: usize| (scaled(row[feature]) - means[feature]) / spreads[feature];
            let margin: f64 = (0..COUNT).map(|feature| weights[feature] * at(feature)).sum();
            let error = (f64::from(u8::from(*outcome)) - sigmoid(margin + bias)) * weight / total;
            bias_gradient += error;
            for (feature, gradient) in gradient.iter_mut().enumerate() {
                *gradient += error * at(feature);
            }
        }
        bias_momentum = 0.8 * bias_momentum + 0.2 * bias_gradient;
        bias += rate * bias_momentum;
        for feature in 0..COUNT {
            let pull = gradient[feature] - 0.01 * weights[feature] * positives / total;
            momentum[feature] = 0.8 * momentum[feature] + 0.2 * pull;
            weights[feature] = (weights[feature] + rate * momentum[feature] * 0.2).clamp(-4.0, 4.0);
        }
        bias = bias.clamp(-15.0, 15.0);
    }
    let mut fitted = Logistic { bias: 0, weights: [0; COUNT] };
    for feature in 0..COUNT {
        let weight = weights[feature] / spreads[feature];
        bias -= weight * means[feature];
        fitted.weights[feature] = (weight * f64::from(MARGIN_ONE)).round() as i32;
    }
    fitted.bias = (bias * f64::from(MARGIN_ONE)).round() as i32;
    fitted
}

fn weighted_positives(lesson: &Lesson<'_>) -> f64 {
    let hits = lesson.outcomes.iter().zip(lesson.weights).filter(|(outcome, _)| **outcome);
    hits.map(|(_, weight)| weight).sum()
}

/// Counts outcomes in each cell; cells with little are drawn to the whole.
pub(super) fn table(lesson: &Lesson<'_>) -> Table {
    const DRAW: f64 = 50.0;
    let (mut positives, mut totals) = ([0.0; CELLS], [0.0; CELLS]);
    for ((row, outcome), weight) in lesson.rows.iter().zip(lesson.outcomes).zip(lesson.weights) {
        let cell = Table::cell(row);
        totals[cell] += weight;
        positives[cell] += if *outcome { *weight } else { 0.0 };
    }
    let all: f64 = totals.iter().sum();
    let rate = (positives.iter().sum::<f64>() + 0.5) / (all + 1.0);
    let margin = |(hits, total): (f64, f64)| {
        let p = (hits + rate * DRAW) / (total + DRAW);
        (logit(p) * f64::from(MARGIN_ONE)).round().clamp(-32_000.0, 32_000.0) as i16
    };
    Table { margins: positives.into_iter().zip(totals).map(margin).collect() }
}

/// Fits slope and offset to what happened, by Newton's method, drawn towards changing nothing:
/// the fewer positives there are, the more.
pub(super) fn calibrate(margins: &[i32], outcomes: &[bool]) -> Calibration {
    const DRAW_SLOPE: f64 = 8.0;
    const DRAW_OFFSET: f64 = 1.0;
    let (mut slope, mut offset) = (1.0f64, 0.0f64);
    for _ in 0..25 {
        let (mut by_slope, mut by_offset) = (DRAW_SLOPE * (1.0 - slope), -DRAW_OFFSET * offset);
        let (mut ss, mut so, mut oo) = (DRAW_SLOPE, 0.0, DRAW_OFFSET);
        for (margin, outcome) in margins.iter().zip(outcomes) {
            let x = f64::from(*margin) / f64::from(MARGIN_ONE);
            let p = sigmoid(slope * x + offset);
            let (error, curvature) = (f64::from(u8::from(*outcome)) - p, p * (1.0 - p));
            by_slope += error * x;
            by_offset += error;
            ss += curvature * x * x;
            so += curvature * x;
            oo += curvature;
        }
        let determinant = ss * oo - so * so;
        slope += (by_slope * oo - by_offset * so) / determinant;
        offset += (by_offset * ss - by_slope * so) / determinant;
        slope = slope.clamp(0.1, 3.0);
        offset = offset.clamp(-6.0, 6.0);
    }
    Calibration {
        slope: (slope * f64::from(Calibration::SLOPE_ONE)).round() as i32,
        offset: (offset * f64::from(MARGIN_ONE)).round() as i32,
    }
}
