//! What the agent does for a change, again and again: for counting its instructions.

use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Homes, Knobs, Situation, decide};
use einhorn_agent::features::{COUNT, Features, Intent, Observer, Target, kind_of};
use einhorn_agent::model::Model;
use std::hint::black_box;

/// Names that the site remembers.
const NAMES: u64 = 4_096;
/// Writers among them.
const WRITERS: u64 = 1_000;

/// What is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A row of features, from what is remembered.
    Features,
    /// A prediction from a row.
    Prediction,
    /// A prediction, and from that the path.
    Decision,
}

impl Step {
    /// All of them.
    pub(crate) const ALL: [Step; 3] = [Step::Features, Step::Prediction, Step::Decision];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Features => "features",
            Step::Prediction => "prediction",
            Step::Decision => "decision",
        }
    }
}

/// The change with this number, a second after the one before.
fn intent(at: u64) -> Intent {
    Intent {
        started_ms: 1_700_000_000_000 + at as i64 * 1000,
        target: Target::of(&format!("n{:07}.fleet.example", at * 7919 % NAMES)),
        record_type: 1,
        kind: kind_of("A"),
        actor: at * at % WRITERS,
        deletes: false,
        request_changes: 1,
    }
}

/// Does a step so many times.
pub(crate) fn repeat(step: Step, count: u32) -> Result<(), String> {
    let model =
        Model::from_octets(DEFAULT_MODEL).map_err(|error| format!("the shipped model: {error}"))?;
    let mut observer = Observer::new(NAMES as usize);
    let intents: Vec<Intent> = (0..4 * NAMES).map(intent).collect();
    for intent in &intents {
        observer.committed(intent, intent.started_ms + 20);
    }
    let rows: Vec<Features> = intents.iter().map(|intent| observer.features(intent)).collect();
    let knobs = Knobs::default();
    for at in 0..count as usize {
        let row = &rows[at % rows.len()];
        match step {
            Step::Features => {
                black_box(observer.features(black_box(&intents[at % intents.len()])));
            }
            Step::Prediction => {
                black_box(model.probability(black_box(row)));
            }
            Step::Decision => {
                let homes = [Homes::Here, Homes::Elsewhere, Homes::Several][at % 3];
                let situation = Situation { used_here: 3, ..Situation::usual(*row, homes) };
                black_box(decide(&model, true, &knobs, black_box(&situation), at as u64));
            }
        }
    }
    let differ = rows.iter().any(|row| row != &rows[0]) && rows[0].len() == COUNT;
    if differ { Ok(()) } else { Err("the rows are all the same".to_owned()) }
}
