//! How good predictions were: ranking (AUC), calibration (ECE) and sharpness (Brier skill).

/// The probability that a change that met the hazard scored higher than one that did not; half
/// for ties. None unless there are both kinds.
pub fn auc(scores: &[f64], outcomes: &[bool]) -> Option<f64> {
    let mut order: Vec<_> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let positives = outcomes.iter().filter(|outcome| **outcome).count() as f64;
    let negatives = outcomes.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut below, mut won, mut at) = (0.0, 0.0, 0);
    while at < order.len() {
        let tied = order[at..]
            .iter()
            .take_while(|other| scores[**other] == scores[order[at]])
            .count()
            .max(1);
        let hits = order[at..at + tied].iter().filter(|one| outcomes[**one]).count() as f64;
        let misses = tied as f64 - hits;
        won += hits * (below + misses / 2.0);
        below += misses;
        at += tied;
    }
    Some(won / (positives * negatives))
}

const BINS: usize = 10;

/// Expected calibration error: predictions in ten bins of equal width, and the distance between what
/// each bin predicted and what happened, weighted by its size (Naeini, Cooper and Hauskrecht 2015).
/// 0 for nothing.
pub fn expected_calibration_error(probabilities: &[f64], outcomes: &[bool]) -> f64 {
    let mut bins = [0.0; BINS];
    for (probability, outcome) in probabilities.iter().zip(outcomes) {
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        bins[bin] += probability - f64::from(u8::from(*outcome));
    }
    bins.iter().map(|distance| distance.abs()).sum::<f64>() / probabilities.len().max(1) as f64
}

/// The same with ten bins of equal size by rank. It tells more of rare events, which otherwise share
/// the first bin, and with few of them is mostly chance.
pub fn calibration_error_by_rank(probabilities: &[f64], outcomes: &[bool]) -> f64 {
    let mut order: Vec<_> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let count = order.len();
    let distance = |bin: usize| {
        let members = &order[bin * count / BINS..(bin + 1) * count / BINS];
        let predicted: f64 = members.iter().map(|one| probabilities[*one]).sum();
        let happened = members.iter().filter(|one| outcomes[**one]).count() as f64;
        (predicted - happened).abs()
    };
    match count {
        0 => 0.0,
        _ => (0..BINS).map(distance).sum::<f64>() / count as f64,
    }
}

/// How much smaller the mean squared error is than that of always saying `base_rate`: 1 is
/// perfect, 0 no better. None if the base rate alone makes no error, or nothing is there.
pub fn brier_skill(probabilities: &[f64], outcomes: &[bool], base_rate: f64) -> Option<f64> {
    let error = |probability: f64, outcome: &bool| {
        let distance = probability - f64::from(u8::from(*outcome));
        distance * distance
    };
    let model: f64 = probabilities.iter().zip(outcomes).map(|(p, y)| error(*p, y)).sum();
    let constant: f64 = outcomes.iter().map(|outcome| error(base_rate, outcome)).sum();
    (constant > 0.0).then(|| 1.0 - model / constant)
}

/// Mean negative log-likelihood.
pub fn log_loss(probabilities: &[f64], outcomes: &[bool]) -> f64 {
    let loss = |(p, outcome): (&f64, &bool)| {
        let p = p.clamp(1e-9, 1.0 - 1e-9);
        -crate::numeric::ln(if *outcome { p } else { 1.0 - p })
    };
    let sum: f64 = probabilities.iter().zip(outcomes).map(loss).sum();
    sum / probabilities.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_they_are_by_hand() {
        let outcomes = [false, true, false, true];
        assert_eq!(auc(&[0.1, 0.4, 0.35, 0.8], &outcomes), Some(1.0));
        assert_eq!(auc(&[0.5, 0.4, 0.35, 0.8], &outcomes), Some(0.75));
        assert_eq!(auc(&[0.5; 4], &outcomes), Some(0.5));
        assert_eq!(auc(&[0.5; 2], &[false, false]), None);
        assert_eq!(auc(&[f64::NAN; 4], &outcomes).map(|auc| auc.is_finite()), Some(true));
        assert_eq!(brier_skill(&[0.0, 1.0, 0.0, 1.0], &outcomes, 0.5), Some(1.0));
        assert_eq!(brier_skill(&[0.5; 4], &outcomes, 0.5), Some(0.0));
        assert_eq!(brier_skill(&[0.0; 4], &[false; 4], 0.0), None);
        let ones: Vec<f64> = (0..20).map(|at| f64::from(at / 10)).collect();
        let happened: Vec<bool> = (0..20).map(|at| at >= 15).collect();
        assert!((expected_calibration_error(&ones, &happened) - 0.25).abs() < 1e-12);
        assert!((calibration_error_by_rank(&ones, &happened) - 0.25).abs() < 1e-12);
        let half = [0.5; 20];
        assert!((expected_calibration_error(&half, &happened) - 0.25).abs() < 1e-12);
    }
}
