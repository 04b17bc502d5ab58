//! From what the disk holds to the state: the newest snapshot, then the log's entries after it.
//!
//! Where the engine's copy of the log is damaged, the ledger's files are a second copy, which is
//! believed as far as its signed checkpoint proves it. A node that had to do that serves what it
//! found and acknowledges nothing.

use crate::files::FolderError;
use crate::start::FIRST_SITE;
use einhorn_core::commit::CopyStart;
use einhorn_core::commit::start::{Folding, FoldingError, Found, ended, find_takeover};
use einhorn_core::ledger::note::VerifierKey;
use einhorn_core::model::entry::{Assembler, Body, Cause, Change, Entry, part_number};
use einhorn_core::model::{Effects, Origin, Position, Retrace, State, Step, snapshot};
use einhorn_store::engine::{EngineError, EngineReader, LogId};
use einhorn_store::ledger::{Options, TileSource, verify};
use einhorn_wire::Name;
use std::collections::{BTreeMap, HashMap};

/// Octets of entries read at once.
const READ_OCTETS: usize = 4 << 20;

/// A log that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The engine cannot read it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An entry makes no sense here.
    #[error("the log is damaged at entry {index}: {reason}")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// Fewer entries than were once signed for.
    #[error(
        "the engine holds {entries} entries, but a checkpoint over {signed} was signed: some were lost; restore the newest copy of the data folder"
    )]
    Short {
        /// Entries in the engine.
        entries: u64,
        /// Entries signed for.
        signed: u64,
    },
    /// The folder itself.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The number of a log in the engine.
pub(crate) fn log_id(origin: Origin) -> LogId {
    LogId(u32::from(origin.site) << 16 | u32::from(origin.generation))
}

pub(crate) fn origin_of(log: LogId) -> Origin {
    Origin { site: (log.0 >> 16) as u16, generation: log.0 as u16 }
}

/// What was folded.
pub(crate) struct Folded {
    pub(crate) state: State,
    /// Entries folded after the snapshot.
    pub(crate) entries: u64,
    /// What is held of each log.
    pub(crate) held: BTreeMap<Origin, CopyStart>,
}

impl Folded {
    /// What there is without an engine.
    pub(crate) fn nothing(own: Origin) -> Folded {
        Folded { state: State::empty(own), entries: 0, held: BTreeMap::new() }
    }
}

/// The state of all logs behind `reader`, of which `own` is the site's.
/// What could be folded before a damage comes back together with the error.
pub(crate) fn from_engine(
    reader: &mut dyn EngineReader,
    own: Origin,
) -> (Folded, Result<(), LogError>) {
    let mut folded = Folded::nothing(own);
    let outcome = fold_all(reader, own, &mut folded);
    (folded, outcome)
}

/// A fold of all logs behind `reader` that has folded the newest snapshot, and goes on where
/// that ends in each log.
#[cfg(feature = "etcd")]
pub(crate) fn begin_following(
    reader: &mut dyn EngineReader,
    own: Origin,
) -> Result<Folding, LogError> {
    let stored: Vec<Origin> = reader.logs()?.into_iter().map(origin_of).collect();
    let mut state = latest_snapshot(reader, own)?.unwrap_or_else(|| State::empty(own));
    begin_folding(reader, own, &stored, &mut state)
}

fn fold_all(
    reader: &mut dyn EngineReader,
    own: Origin,
    folded: &mut Folded,
) -> Result<(), LogError> {
    let stored: Vec<Origin> = reader.logs()?.into_iter().map(origin_of).collect();
    if let Some(state) = latest_snapshot(reader, own)? {
        folded.state = state;
    }
    let mut folding = begin_folding(reader, own, &stored, &mut folded.state)?;
    let before = folding.state().entries();
    let outcome = stored.iter().try_for_each(|origin| fold_log(reader, *origin, &mut folding));
    (folded.state, folded.held) = folding.finish();
    folded.entries = folded.state.entries() - before;
    outcome
}

/// Goes on from `state`, a snapshot or an empty one, or from the beginning if that has folded more
/// of a lost log than counts.
fn begin_folding(
    reader: &mut dyn EngineReader,
    own: Origin,
    stored: &[Origin],
    state: &mut State,
) -> Result<Folding, LogError> {
    // Takeovers first: what came after the end of a lost log must not be folded at all.
    let found = takeovers(reader, stored, state)?;
    let snapshot = std::mem::replace(state, State::empty(own));
    match Folding::new(snapshot, &ended(&found), stored.iter().copied()) {
        Ok(folding) => Ok(folding),
        Err(error) => {
            tracing::warn!(%error, "folding everything anew");
            let found = takeovers(reader, stored, state)?;
            Folding::new(state.clone(), &ended(&found), stored.iter().copied())
                .map_err(|error| LogError::Entry { index: 0, reason: error.to_string() })
        }
    }
}

fn fold_log(
    reader: &mut dyn EngineReader,
    origin: Origin,
    folding: &mut Folding,
) -> Result<(), LogError> {
    let first = folding.state().next_of(origin);
    read_entries(reader, log_id(origin), first, &mut |index, octets| {
        fold_one(folding, origin, index, octets)
    })
}

/// Folds the next stored entry of a log.
fn fold_one(
    folding: &mut Folding,
    origin: Origin,
    index: u64,
    octets: &[u8],
) -> Result<(), LogError> {
    // Steps are for those who follow zones, of whom there are none yet.
    let taken = folding.take(origin, octets, &mut Effects::default());
    taken.map_err(|error| LogError::Entry {
        index,
        reason: match error {
            FoldingError::Malformed { source, .. } => source.to_string(),
            FoldingError::Fold { source, .. } => source.to_string(),
        },
    })
}

/// The newest snapshot, if it can be used.
fn latest_snapshot(reader: &mut dyn EngineReader, own: Origin) -> Result<Option<State>, LogError> {
    let mut decoder = snapshot::Decoder::default();
    let Some(tag) = reader.latest_snapshot(&mut |octets| decoder.push(octets))? else {
        return Ok(None);
    };
    match decoder.finish() {
        Ok(mut state) if state.entries() == tag => {
            state.origin = own;
            Ok(Some(state))
        }
        Ok(_) => {
            tracing::warn!(tag, "a snapshot does not fit its place; folding the whole log");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(tag, %error, "a snapshot is unreadable; folding the whole log");
            Ok(None)
        }
    }
}

/// Every takeover in the logs that `state` does not know yet and that stands where its log counts.
fn takeovers(
    reader: &mut dyn EngineReader,
    stored: &[Origin],
    state: &State,
) -> Result<Vec<Found>, LogError> {
    let mut found = Vec::new();
    // A log never ends itself.
    if stored.len() < 2 {
        return Ok(found);
    }
    for origin in stored {
        let closed = state.log(*origin).and_then(|log| log.closed);
        let end = closed.map_or(u64::MAX, |closed| closed.end);
        read_entries(reader, log_id(*origin), state.next_of(*origin), &mut |index, octets| {
            if index < end {
                found.extend(find_takeover(Position { origin: *origin, index }, octets));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// The logs in the engine that this site began, in order, by the name in their first entry.
pub(crate) fn own_logs(
    reader: &mut dyn EngineReader,
    ledger_name: &str,
) -> Result<Vec<Origin>, LogError> {
    let mut own = Vec::new();
    for log in reader.logs()? {
        let origin = origin_of(log);
        let wanted = log_name(ledger_name, origin.generation);
        let mut is_ours = false;
        reader.read(log, 0, 1, &mut |index, _, octets| {
            if index == 0 {
                is_ours = matches!(
                    Assembler::default().next(octets),
                    Ok(Some(Entry { body: Body::Genesis { name, .. }, .. })) if name == wanted
                );
            }
        })?;
        own.extend(is_ours.then_some(origin));
    }
    own.sort_unstable();
    Ok(own)
}

/// The name of a site's log: its first one has the plain name.
pub(crate) fn log_name(ledger_name: &str, generation: u16) -> String {
    match generation {
        1 => ledger_name.to_owned(),
        generation => format!("{ledger_name}/{generation}"),
    }
}

/// Takes a stored entry and its index.
type VisitStored<'a> = dyn FnMut(u64, &[u8]) -> Result<(), LogError> + 'a;

/// Shows every stored entry from `first` on.
pub(crate) fn read_entries(
    reader: &mut dyn EngineReader,
    log: LogId,
    first: u64,
    visit: &mut VisitStored<'_>,
) -> Result<(), LogError> {
    let end = reader.next_index(log)?;
    let mut next = first;
    while next < end {
        let mut outcome = Ok(());
        next = reader.read(log, next, READ_OCTETS, &mut |index, _, octets| {
            if outcome.is_ok() {
                outcome = visit(index, octets);
            }
        })?;
        outcome?;
    }
    Ok(())
}

/// Shows every whole entry of the log with the index of its last part.
pub(crate) fn read_log(
    reader: &mut dyn EngineReader,
    log: LogId,
    visit: &mut dyn FnMut(u64, &Entry),
) -> Result<(), LogError> {
    let mut assembler = Assembler::default();
    read_entries(reader, log, 0, &mut |index, octets| {
        let entry = assembler.next(octets);
        let entry = entry.map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
        entry.iter().for_each(|entry| visit(index, entry));
        Ok(())
    })
}

/// Entries at the end of each log that an agent is shown at a start: some tenths of a second's work.
const SHOWN_ENTRIES_MAX: u64 = 16_384;

/// Shows the entries at the end of a log but for those of several parts, which are loads of zones and
/// the like, each with its index.
pub(crate) fn last_entries(
    reader: &mut dyn EngineReader,
    log: LogId,
    visit: &mut dyn FnMut(u64, Entry),
) -> Result<(), LogError> {
    let first = reader.next_index(log)?.saturating_sub(SHOWN_ENTRIES_MAX);
    read_entries(reader, log, first, &mut |index, octets| {
        if part_number(octets).is_none() {
            let entry = Assembler::default().next(octets);
            let entry =
                entry.map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
            entry.into_iter().for_each(|entry| visit(index, entry));
        }
        Ok(())
    })
}

/// Entries at the end of the log that are looked at for steps. They are few hundred octets each,
/// so that a start takes some tenths of a second longer at most.
const STEPS_ENTRIES_MAX: u64 = 131_072;

/// The steps that the end of the log tells of.
pub(crate) fn last_steps(reader: &mut dyn EngineReader, log: LogId) -> Result<Vec<Step>, LogError> {
    let first = reader.next_index(log)?.saturating_sub(STEPS_ENTRIES_MAX);
    let mut assembler = Assembler::default();
    let mut steps = Retrace::default();
    let mut serials: HashMap<Name, u32> = HashMap::new();
    read_entries(reader, log, first, &mut |index, octets| {
        if part_number(octets).is_some() {
            // A change too long for one entry, mostly a zone load: what it means for which zone
            // is not worth the time to find out, so all zones begin anew.
            (steps, serials) = (Retrace::default(), HashMap::new());
            return Ok(());
        }
        let entry = assembler.next(octets);
        let entry = entry.map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
        for entry in entry.into_iter().flat_map(single_changes) {
            let before = match &entry.body {
                Body::Publication { zone, serial, .. } => serials.insert(zone.clone(), *serial),
                Body::Change(Change { zone, cause: Cause::ZoneRemoval { .. }, .. }) => {
                    serials.remove(zone)
                }
                Body::Change(change) => serials.get(&change.zone).copied(),
                _ => None,
            };
            steps.take_entry(entry, before);
        }
        Ok(())
    })?;
    Ok(steps.into_steps())
}

/// An entry, with each zone's change on its own.
fn single_changes(entry: Entry) -> Vec<Entry> {
    let time_ms = entry.time_ms;
    match entry.body {
        Body::Changes(changes) | Body::Decision { changes, .. } => {
            let single = |change| Entry { time_ms, body: Body::Change(change) };
            changes.into_iter().map(single).collect()
        }
        Body::Source(source) => {
            let single = |change| Entry { time_ms, body: Body::Change(change) };
            source.changes.into_iter().map(single).collect()
        }
        body => vec![Entry { time_ms, body }],
    }
}

/// Goes on from `state` with the entries of its own log in the ledger's files, if all of them are
/// as signed.
pub(crate) fn from_ledger(files: &dyn TileSource, key: &VerifierKey, state: State) -> State {
    let first = state.next_index();
    let origin = match state.origin {
        // Nothing could be read of the engine: the files are those of the first log.
        Origin::NONE => Origin { site: FIRST_SITE, generation: 1 },
        origin => origin,
    };
    let mut further = state.clone();
    further.origin = origin;
    // A damaged engine may have folded half a change; entries are taken from whole changes on.
    let Ok(mut folding) = Folding::new(further, &BTreeMap::new(), [origin]) else { return state };
    let mut outcome = Ok(());
    let report = verify(files, key, Options::default(), &mut |index, octets| {
        if index >= first && outcome.is_ok() {
            outcome = fold_one(&mut folding, origin, index, octets);
        }
    });
    if let (true, Ok(())) = (report.is_sound(), outcome) { folding.finish().0 } else { state }
}
