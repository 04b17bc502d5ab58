//! Writes the corpus of what the agent reads in binary: a model and a decision's record. Run it from
//! the package's folder after a format has changed:
//! `cargo run --release -p einhorn-fuzz --example agent_corpus`.

use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Costs, Homes, Knobs, Record, Situation};
use einhorn_agent::features::COUNT;
use einhorn_agent::model::Model;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    std::fs::write(folder.join("model/shipped"), DEFAULT_MODEL)?;
    let model = Model::from_octets(DEFAULT_MODEL)?;
    let situation = Situation {
        features: [100; COUNT],
        homes: Homes::Elsewhere,
        identity_matches: true,
        legacy_batch_open: false,
        used_here: 2,
        flapping_ms: None,
        costs: Costs::default(),
    };
    let (_, record) = Record::make(&model, true, &Knobs::default(), &situation, 1);
    Ok(std::fs::write(folder.join("decision/elsewhere"), record.to_octets())?)
}
