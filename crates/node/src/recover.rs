//! From what the disk holds to the state: the newest snapshot, then the log's entries after it.
//!
//! Where the engine's copy of the log is damaged, the ledger's files are a second copy, which is
//! believed as far as its signed checkpoint proves it. A node that had to do that serves what it
//! found and acknowledges nothing.

use crate::files::FolderError;
use crate::start::FIRST_SITE;
use einhorn_core::ledger::note::VerifierKey;
use einhorn_core::model::entry::{self, Assembler, Body, Cause, Change, Entry, part_number};
use einhorn_core::model::{Closed, Effects, Origin, Retrace, State, Step, snapshot};
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

/// Puts the entries of one log together and folds them.
pub(crate) struct Folder {
    origin: Origin,
    pub(crate) assembler: Assembler,
    /// Parts of an entry that is not whole yet.
    pub(crate) parts: u64,
    effects: Effects,
}

impl Folder {
    pub(crate) fn new(origin: Origin) -> Folder {
        Folder { origin, assembler: Assembler::default(), parts: 0, effects: Effects::default() }
    }

    /// Takes the stored entry at `index`.
    pub(crate) fn next(
        &mut self,
        state: &mut State,
        index: u64,
        octets: &[u8],
    ) -> Result<(), LogError> {
        let bad = |reason: String| LogError::Entry { index, reason };
        self.parts += 1;
        if let Some(entry) = self.assembler.next(octets).map_err(|error| bad(error.to_string()))? {
            state
                .fold(self.origin, &entry, self.parts, &mut self.effects)
                .map_err(|error| bad(error.to_string()))?;
            self.parts = 0;
            // Steps are for those who follow zones, of whom there are none yet.
            self.effects = Effects::default();
        }
        Ok(())
    }
}

/// The number of a log in the engine.
pub(crate) fn log_id(origin: Origin) -> LogId {
    LogId(u32::from(origin.site) << 16 | u32::from(origin.generation))
}

fn origin_of(log: LogId) -> Origin {
    Origin { site: (log.0 >> 16) as u16, generation: log.0 as u16 }
}

/// What was folded.
pub(crate) struct Folded {
    pub(crate) state: State,
    /// Entries folded after the snapshot.
    pub(crate) entries: u64,
    /// The half entry at the end of each copy, if any.
    pub(crate) folders: BTreeMap<Origin, Folder>,
}

impl Folded {
    /// What there is without an engine.
    pub(crate) fn nothing(own: Origin) -> Folded {
        Folded { state: State::empty(own), entries: 0, folders: BTreeMap::new() }
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

fn fold_all(
    reader: &mut dyn EngineReader,
    own: Origin,
    folded: &mut Folded,
) -> Result<(), LogError> {
    let ends = reader.ends()?;
    if let Some(state) = latest_snapshot(reader, own)? {
        folded.state = state;
    }
    // Takeovers first: what came after the end of a lost log must not be folded at all.
    if !close_lost_logs(reader, &ends, &mut folded.state)? {
        tracing::warn!(
            "a log was taken over before where it was folded to; folding everything anew"
        );
        folded.state = State::empty(own);
        close_lost_logs(reader, &ends, &mut folded.state)?;
    }
    for (log, _) in &ends {
        folded.state.expect(origin_of(*log));
    }
    for (log, _) in ends {
        let origin = origin_of(log);
        let mut folder = Folder::new(origin);
        let before = folded.state.next_of(origin);
        let outcome = read_entries(reader, log, before, &mut |index, octets| {
            folder.next(&mut folded.state, index, octets)
        });
        folded.entries += folded.state.next_of(origin) - before;
        folded.folders.insert(origin, folder);
        outcome?;
    }
    Ok(())
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

/// Tells the state of every takeover in the logs that it does not know yet. False if it has folded
/// more of a lost log than counts.
fn close_lost_logs(
    reader: &mut dyn EngineReader,
    ends: &[(LogId, u64)],
    state: &mut State,
) -> Result<bool, LogError> {
    let mut is_sound = true;
    for (log, _) in ends {
        let successor = origin_of(*log);
        let first = state.next_of(successor);
        read_entries(reader, *log, first, &mut |index, octets| {
            if let Some((lost, end)) = entry::takeover(octets) {
                tracing::debug!(index, %lost, end, %successor, "a takeover");
                is_sound &= state.close(lost, Closed { end, successor }).is_ok();
            }
            Ok(())
        })?;
    }
    Ok(is_sound)
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
        if let Some(entry) = entry {
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

/// Goes on from `state` with the entries of its own log in the ledger's files, if all of them are
/// as signed.
pub(crate) fn from_ledger(files: &dyn TileSource, key: &VerifierKey, state: State) -> State {
    let first = state.next_index();
    let origin = match state.origin {
        // Nothing could be read of the engine: the files are those of the first log.
        Origin::NONE => Origin { site: FIRST_SITE, generation: 1 },
        origin => origin,
    };
    // A damaged engine may have folded half a change; entries are taken from whole changes on.
    let mut folder = Folder::new(origin);
    let mut further = state.clone();
    further.origin = origin;
    let mut outcome = Ok(());
    let report = verify(files, key, Options::default(), &mut |index, octets| {
        if index >= first && outcome.is_ok() {
            outcome = folder.next(&mut further, index, octets);
        }
    });
    if let (true, Ok(())) = (report.is_sound(), outcome) { further } else { state }
}
