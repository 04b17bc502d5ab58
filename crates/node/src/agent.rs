//! The model that a node's agent predicts with: the shipped one, or one that took its place.
//!
//! It reads and writes files in the data folder; it never decides which model is better.

use crate::files::FolderError;
use crate::recover::{self, LogError, log_id};
use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Alarm, Knobs, PATHS};
use einhorn_agent::model::{Model, hexadecimal};
use einhorn_core::agent::{Advisor, AdvisorReport};
use einhorn_core::model::State;
use einhorn_ingress::control::{AgentLine, KnobsLine};
use einhorn_store::engine::EngineReader;
use einhorn_store::ledger::{Files, OsFiles};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The model in force, in the data folder; if it is not there, the shipped one is.
pub const MODEL_FILE: &str = "agent.model";

/// Where a model stays by its hash, so that what it once decided can be decided again.
fn kept_file(hash: [u8; 8]) -> String {
    format!("agent-{}.model", hexadecimal(&hash))
}

/// The model that a node with this data folder predicts with from its next start on.
///
/// # Errors
/// The file cannot be read, or is no model for this program: train one, or remove it.
pub fn current_model(data: &Path) -> Result<Model, FolderError> {
    read(&data.join(MODEL_FILE))?.map_or_else(|| shipped(data), Ok)
}

/// The model with this hash, if it is the shipped one or was ever put in force here.
///
/// # Errors
/// The file cannot be read, or is no model for this program.
pub fn model_of(data: &Path, hash: [u8; 8]) -> Result<Option<Model>, FolderError> {
    let shipped = shipped(data)?;
    if shipped.hash() == hash {
        return Ok(Some(shipped));
    }
    read(&data.join(kept_file(hash)))
}

/// Puts a model in force, from the node's next start on.
///
/// # Errors
/// The data folder cannot be written.
pub fn put_in_force(data: &Path, model: &Model) -> Result<(), FolderError> {
    let octets = model.to_octets();
    let unusable = |source| FolderError::Unusable { path: data.into(), source };
    let files = OsFiles::open(data).map_err(unusable)?;
    for name in [kept_file(model.hash()), MODEL_FILE.to_owned()] {
        files.write_durable(&name, &octets).map_err(unusable)?;
    }
    Ok(())
}

/// The agent of a node that starts.
pub(crate) fn advisor(data: &Path) -> Result<Box<Advisor>, FolderError> {
    let model = current_model(data)?;
    Ok(Box::new(Advisor::new(Box::new(model), Knobs::default()).tuned()))
}

/// Shows an agent what was changed of late, as all logs have it, so that it does not begin with
/// nothing after each restart. A site that is alone has an agent that is never asked.
pub(crate) fn remind(
    advisor: &mut Advisor,
    state: &State,
    reader: &mut dyn EngineReader,
) -> Result<(), LogError> {
    if state.registry.is_alone() {
        return Ok(());
    }
    let mut entries = Vec::new();
    for (origin, log) in state.logs() {
        let end = log.closed.map_or(u64::MAX, |closed| closed.end);
        recover::last_entries(reader, log_id(origin), &mut |index, entry| {
            if index < end && !entry.body.changes().is_empty() {
                entries.push((entry.time_ms, origin, index, entry));
            }
        })?;
    }
    entries.sort_unstable_by_key(|(time_ms, origin, index, _)| (*time_ms, *origin, *index));
    entries.iter().for_each(|(time_ms, .., entry)| advisor.folded(*time_ms, entry));
    Ok(())
}

/// What an agent says of itself, as text.
pub(crate) fn line(agent: &AdvisorReport) -> AgentLine {
    let paths = PATHS.iter().zip(agent.paths);
    let speakers = ["model", "guardrails", "rules", "exploration"].into_iter().zip(agent.speakers);
    AgentLine {
        model: hexadecimal(&agent.model),
        alarm: agent.alarm.map(|alarm| match alarm {
            Alarm::TooLow => "hazards are more frequent than predicted".to_owned(),
            Alarm::TooHigh => "hazards are rarer than predicted".to_owned(),
        }),
        moved: agent.moved.as_ref().map(|(whose, moved)| {
            format!(
                "{whose}: from {} to {} (UTC)",
                time_of_day(moved.from_ms),
                time_of_day(moved.to_ms)
            )
        }),
        knobs: KnobsLine {
            caution_percent: agent.knobs.caution_percent,
            coalesce_ms: agent.knobs.coalesce_ms,
            move_after: agent.knobs.move_after,
        },
        paths: paths.map(|(path, count)| (path.to_string(), count)).collect(),
        speakers: speakers.map(|(speaker, count)| (speaker.to_owned(), count)).collect(),
        names: agent.names,
        pending: agent.pending,
        settled: agent.settled.0,
        met: agent.settled.1,
        forward_us: agent.costs.forward_us,
        multi_phase_us: agent.costs.multi_phase_us,
    }
}

/// Hours and minutes of milliseconds since midnight.
fn time_of_day(ms: u32) -> String {
    let minutes = ms / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn shipped(data: &Path) -> Result<Model, FolderError> {
    Model::from_octets(DEFAULT_MODEL).map_err(|error| FolderError::Key {
        path: data.into(),
        reason: format!("the shipped model: {error}"),
    })
}

fn read(path: &Path) -> Result<Option<Model>, FolderError> {
    let octets = match fs::read(path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FolderError::Unusable { path: path.into(), source }),
    };
    let wrong = |error| FolderError::Key { path: path.into(), reason: format!("{error}") };
    Model::from_octets(&octets).map(Some).map_err(wrong)
}
