//! What the agent reads: models, histories of changes, three-way cases, records of decisions.

use einhorn_agent::decision::Record;
use einhorn_agent::evaluator::PROBABILITY_ONE;
use einhorn_agent::features::{self, COUNT};
use einhorn_agent::merge::{self, Outcome};
use einhorn_agent::model::Model;
use einhorn_agent::trace;
use einhorn_agent::train::Samples;

/// A model that is read is the same octets again, and predicts something.
pub(crate) fn model(octets: &[u8]) {
    let Ok(model) = Model::from_octets(octets) else { return };
    assert_eq!(model.to_octets(), octets);
    for level in [0, 1, 127, 255] {
        let row = [level; COUNT];
        assert!(model.probability(&row) <= PROBABILITY_ONE);
        let reasons = model.reasons::<3>(&row);
        assert!(reasons.iter().all(|(feature, _)| *feature < COUNT), "{reasons:?}");
    }
}

/// A history that is read has features and an outcome for each change, in the order of time.
pub(crate) fn trace(octets: &[u8]) {
    let Ok(trace) = trace::read(octets) else { return };
    let samples = Samples::of(&trace);
    assert_eq!(samples.len(), trace.changes.len());
    assert!(samples.started_ms.is_sorted(), "{:?}", samples.started_ms);
    assert!(samples.known_ms.iter().zip(&samples.started_ms).all(|(known, began)| known >= began));
    assert_eq!(features::of_trace(&trace).len(), trace.changes.len());
}

/// Whatever a case says, no merge drops an intent.
pub(crate) fn cases(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(cases) = merge::read_cases(text) else { return };
    for case in cases {
        let verdict = merge::judge(&case);
        assert_eq!(verdict.dropped, [0usize; 0], "{case:?}");
        let escalated = verdict.outcomes.iter().any(|one| matches!(one, Outcome::Escalated(_)));
        assert_eq!(verdict.needs_person(), escalated);
    }
}

/// A record that is read is the same octets again.
pub(crate) fn decision(octets: &[u8]) {
    let Ok(record) = Record::from_octets(octets) else { return };
    assert_eq!(record.to_octets(), octets);
}
