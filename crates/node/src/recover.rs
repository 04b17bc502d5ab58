//! From what the disk holds to the state: the newest snapshot, then the log's entries after it.
//!
//! Where the engine's copy of the log is damaged, the ledger's files are a second copy, which is
//! believed as far as its signed checkpoint proves it. A node that had to do that serves what it
//! found and acknowledges nothing.

use crate::files::FolderError;
use einhorn_core::ledger::note::VerifierKey;
use einhorn_core::model::entry::{Assembler, Body, Cause, Change, Entry, part_number};
use einhorn_core::model::{State, Step, Steps, snapshot};
use einhorn_store::engine::{EngineError, EngineReader, LogId};
use einhorn_store::ledger::{Options, TileSource, verify};
use einhorn_wire::Name;
use std::collections::HashMap;

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

/// Puts entries together and folds them.
pub(crate) struct Folder {
    pub(crate) state: State,
    assembler: Assembler,
    parts: u64,
}

impl Folder {
    pub(crate) fn new(state: State) -> Folder {
        Folder { state, assembler: Assembler::default(), parts: 0 }
    }

    /// Takes the stored entry at `index`.
    pub(crate) fn next(&mut self, index: u64, octets: &[u8]) -> Result<(), LogError> {
        let bad = |reason: String| LogError::Entry { index, reason };
        self.parts += 1;
        if let Some(entry) = self.assembler.next(octets).map_err(|error| bad(error.to_string()))? {
            self.state.fold(&entry, self.parts).map_err(|error| bad(error.to_string()))?;
            self.parts = 0;
        }
        Ok(())
    }
}

/// The number of the site's own log in its engine: site 1, generation 1.
pub(crate) const OWN_LOG: LogId = LogId(1 << 16 | 1);

/// The state of the log behind `reader`; with it the number of entries folded.
/// What could be folded before a damage comes back together with the error.
pub(crate) fn from_engine(reader: &mut dyn EngineReader) -> (Folder, u64, Result<(), LogError>) {
    let mut folder = Folder::new(State::empty());
    let outcome = (|| {
        let mut decoder = snapshot::Decoder::default();
        if let Some(index) = reader.latest_snapshot(&mut |octets| decoder.push(octets))? {
            match decoder.finish() {
                Ok(state) if state.next_index == index => folder.state = state,
                Ok(_) => tracing::warn!(
                    index,
                    "a snapshot does not fit its place; folding the whole log"
                ),
                Err(error) => {
                    tracing::warn!(index, %error, "a snapshot is unreadable; folding the whole log")
                }
            }
        }
        fold_from(reader, &mut folder)
    })();
    let (folded, outcome) = match outcome {
        Ok(folded) => (folded, Ok(())),
        Err(error) => (0, Err(error)),
    };
    (folder, folded, outcome)
}

fn fold_from(reader: &mut dyn EngineReader, folder: &mut Folder) -> Result<u64, LogError> {
    let first = folder.state.next_index;
    read_entries(reader, first, &mut |index, octets| folder.next(index, octets))?;
    Ok(folder.state.next_index - first)
}

/// Takes a stored entry and its index.
type VisitStored<'a> = dyn FnMut(u64, &[u8]) -> Result<(), LogError> + 'a;

/// Shows every stored entry from `first` on.
pub(crate) fn read_entries(
    reader: &mut dyn EngineReader,
    first: u64,
    visit: &mut VisitStored<'_>,
) -> Result<(), LogError> {
    let end = reader.next_index(OWN_LOG)?;
    let mut next = first;
    while next < end {
        let mut outcome = Ok(());
        next = reader.read(OWN_LOG, next, READ_OCTETS, &mut |index, _, octets| {
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
    visit: &mut dyn FnMut(u64, &Entry),
) -> Result<(), LogError> {
    let mut assembler = Assembler::default();
    read_entries(reader, 0, &mut |index, octets| {
        let entry = assembler.next(octets);
        let entry = entry.map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
        entry.iter().for_each(|entry| visit(index, entry));
        Ok(())
    })
}

/// Entries at the end of the log that are looked at for steps. They are few hundred octets each,
/// so that a start takes some tenths of a second longer at most.
const STEPS_ENTRIES_MAX: u64 = 131_072;

/// The steps that the end of the log tells of.
pub(crate) fn last_steps(reader: &mut dyn EngineReader) -> Result<Vec<Step>, LogError> {
    let first = reader.next_index(OWN_LOG)?.saturating_sub(STEPS_ENTRIES_MAX);
    let mut assembler = Assembler::default();
    let mut steps = Steps::default();
    let mut serials: HashMap<Name, u32> = HashMap::new();
    read_entries(reader, first, &mut |index, octets| {
        if part_number(octets).is_some() {
            // A change too long for one entry, mostly a zone load: what it means for which zone
            // is not worth the time to find out, so all zones begin anew.
            (steps, serials) = (Steps::default(), HashMap::new());
            return Ok(());
        }
        let entry = assembler.next(octets);
        let entry = entry.map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
        if let Some(entry) = entry {
            let before = match &entry.body {
                Body::Publication { zone, serial, .. } => serials.insert(zone.clone(), *serial),
                Body::Change(Change { zone, cause: Cause::ZoneRemoval { .. }, .. }) => {
                    serials.remove(zone)
                }
                Body::Change(change) => serials.get(&change.zone).copied(),
                Body::Genesis { .. } | Body::MapRoot { .. } => None,
            };
            steps.take_entry(entry, before);
        }
        Ok(())
    })?;
    Ok(steps.take_steps())
}

/// Goes on from `folder` with the entries in the ledger's files, if all of them are as signed.
pub(crate) fn from_ledger(files: &dyn TileSource, key: &VerifierKey, folder: Folder) -> Folder {
    let first = folder.state.next_index;
    // A damaged engine may have folded half a change; entries are taken from whole changes on.
    let mut folder = Folder { assembler: Assembler::default(), parts: 0, ..folder };
    let before = folder.state.clone();
    let mut outcome = Ok(());
    let report = verify(files, key, Options::default(), &mut |index, octets| {
        if index >= first && outcome.is_ok() {
            outcome = folder.next(index, octets);
        }
    });
    if let (true, Ok(())) = (report.is_sound(), outcome) {
        return folder;
    }
    Folder::new(before)
}
