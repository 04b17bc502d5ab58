//! Verification of a name's history: that it is real, that its links hold, and that nothing of
//! the name is missing, in any of the logs shown.
//!
//! For each log the count in the map's leaf says how many entries below the map's size touched
//! the name, and as many different ones must be shown, each with its inclusion proof; the end of
//! the log after the map is shown whole or not at all. Across logs each entry names the one
//! before it and its number. A log that is not shown may have more, unless an entry shown
//! leads there; so the outcome says which logs it speaks of, and up to which entry.
//!
//! The map root itself is trusted as far as the log is: everybody who has the log's entries can
//! recompute it, and those who cosign do.

use std::collections::HashMap;

use einhorn_wire::Name;
use thiserror::Error;

use super::super::checkpoint::{self, Checkpoint, CheckpointError};
use super::super::hash::leaf_hash;
use super::super::note::{Algorithm, Note, NoteError, VerifierKey};
use super::super::tree::{ProofError, verify_inclusion};
use super::history::{History, HistoryError, Included, LogHistory, MapPart, Tail};
use super::{Leaf, MapKey, MapProofError, MapRoot};
use crate::model::entry::{Assembler, Body, Cause, Change, Entry, NameChange, part_number};
use crate::model::{Origin, Position};

/// What a verified history proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// Apex of the zone.
    pub zone: Name,
    /// The name.
    pub owner: Name,
    /// The logs that it speaks of.
    pub logs: Vec<CompleteLog>,
    /// All that these logs have of the name, oldest first.
    pub events: Vec<Event>,
    /// Entries of these logs that one of the events follows, but beyond what is shown of their
    /// log: what they changed is not known.
    pub beyond: Vec<Position>,
    /// The site that the name moved to last, if none of the logs is that site's.
    pub home_elsewhere: Option<Origin>,
}

/// How far the history is complete in one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteLog {
    /// The site's number, and which of its logs it is.
    pub origin: Origin,
    /// What the log signed.
    pub checkpoint: Checkpoint,
    /// Each cosigner whose key was given, with the time in seconds since 1970.
    pub cosigned: Vec<(String, u64)>,
    /// Size of the map, if the log has one.
    pub map_at: Option<u64>,
    /// Nothing of the name is missing below this index.
    pub complete_to: u64,
}

/// An entry that changed the name, or removed its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it stands.
    pub position: Position,
    /// The entry, without what it says of other names.
    pub entry: Entry,
}

impl Event {
    /// What happened to the name; `None` where its zone was removed.
    #[must_use]
    pub fn change(&self) -> Option<&NameChange> {
        self.entry.body.names().next()
    }

    /// Whether the zone was removed, with all its names.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        let mut changes = self.entry.body.changes().iter();
        changes.any(|change| matches!(change.cause, Cause::ZoneRemoval { .. }))
    }
}

/// Why a history proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompleteError {
    /// The file is not in the format.
    #[error("{0}")]
    History(#[from] HistoryError),
    /// A log whose key was not given.
    #[error("there is no key of the log {0:?}")]
    NoKey(String),
    /// What the file has of one log does not hold.
    #[error("log {log}: {problem}")]
    Log {
        /// Name of the log.
        log: String,
        /// What does not hold.
        problem: LogProblem,
    },
    /// Two parts of the file are of one log.
    #[error("log {} of site {} is there twice", .0.generation, .0.site)]
    Twice(Origin),
    /// An entry's predecessor is not in the file.
    #[error("{at} follows {previous}, which is not in the file")]
    Missing {
        /// The entry.
        at: Place,
        /// The one before it.
        previous: Place,
    },
    /// An entry has a number that does not follow from the one before it.
    #[error("{0} is not the change that is due after the one before it")]
    Sequence(Place),
    /// Two entries follow one and the same, or the name begins twice without an end between.
    #[error("{0} contradicts another change of the name with the same number")]
    Fork(Place),
}

/// A position in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub Position);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Position { origin: Origin { site, generation }, index } = self.0;
        write!(f, "entry {index} of site {site}")?;
        if generation > 1 { write!(f, "/{generation}") } else { Ok(()) }
    }
}

/// What does not hold in one log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogProblem {
    /// The checkpoint is not one of the log with this key.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// A cosignature does not verify.
    #[error("cosignature: {0}")]
    Cosignature(#[from] NoteError),
    /// The first entry is not the genesis entry of a log with this name.
    #[error("its first entry is not that of a log of this name")]
    Genesis,
    /// An entry is not in the log.
    #[error("entry {0}: {1}")]
    Inclusion(u64, ProofError),
    /// Octets that are no entry.
    #[error("entry {0}: {1}")]
    Entry(u64, String),
    /// It is no map root, or one of a later size than its own index.
    #[error("entry {0} is no map root")]
    NoMapRoot(u64),
    /// The map's proof does not hold.
    #[error("{0}")]
    Map(#[from] MapProofError),
    /// An entry has nothing to do with the name, is out of order, or is behind the map.
    #[error("entry {0} does not belong here")]
    Stray(u64),
    /// The map knows other entries than those shown.
    #[error("{shown} entries are shown, but the map counts {counted}")]
    Count {
        /// Entries in the file.
        shown: u64,
        /// Entries that the map counts.
        counted: u64,
    },
    /// The last entry shown is not the last that the map knows.
    #[error("the last entry shown is not the last that the map knows")]
    Last,
    /// The end of the log does not lead to the checkpoint, or leaves a gap behind the map.
    #[error("the entries after the map are not those up to the checkpoint")]
    Tail,
}

/// Reads and verifies a history file. `keys` are those of all logs in it, and of the cosigners to
/// look for; others are not needed.
///
/// # Errors
/// [`CompleteError`].
pub fn verify_history(bytes: &[u8], keys: &[VerifierKey]) -> Result<Complete, CompleteError> {
    verify_parsed(&History::parse(bytes)?, keys)
}

/// Verifies a history as [`verify_history`] does.
///
/// # Errors
/// [`CompleteError`].
pub fn verify_parsed(history: &History, keys: &[VerifierKey]) -> Result<Complete, CompleteError> {
    let (mut logs, mut events) = (Vec::new(), Vec::new());
    for log in &history.logs {
        let origin = log.checkpoint.lines().next().unwrap_or_default();
        let key = keys.iter().find(|k| k.algorithm() == Algorithm::Ed25519 && k.name() == origin);
        let key = key.ok_or_else(|| CompleteError::NoKey(origin.to_owned()))?;
        let shown = verify_log(history, log, key, keys);
        let (log, shown) =
            shown.map_err(|problem| CompleteError::Log { log: key.name().to_owned(), problem })?;
        if logs.iter().any(|other: &CompleteLog| other.origin == log.origin) {
            return Err(CompleteError::Twice(log.origin));
        }
        events.extend(shown);
        logs.push(log);
    }
    let (events, beyond) = in_order(events, &logs)?;
    let last = events.iter().rev().find_map(|event| Some((event.position, event.change()?)));
    let home_elsewhere = last.map(|(_, change)| change.home);
    let home_elsewhere = home_elsewhere.filter(|home| logs.iter().all(|log| log.origin != *home));
    let (zone, owner) = (history.zone.clone(), history.owner.clone());
    Ok(Complete { zone, owner, logs, events, beyond, home_elsewhere })
}

// ---------------------------------------------------------------------------------------------
// One log

/// What is shown of one log.
struct Shown<'a> {
    zone: &'a Name,
    owner: &'a Name,
    origin: Origin,
    checkpoint: Checkpoint,
    events: Vec<Event>,
}

fn verify_log(
    history: &History,
    log: &LogHistory,
    key: &VerifierKey,
    keys: &[VerifierKey],
) -> Result<(CompleteLog, Vec<Event>), LogProblem> {
    let note = log.checkpoint.as_bytes();
    let checkpoint = checkpoint::verify(note, key)?;
    let cosigned = cosigned(note, keys)?;
    let origin = genesis(&log.genesis, &checkpoint)?;
    let (zone, owner) = (&history.zone, &history.owner);
    let mut shown = Shown { zone, owner, origin, checkpoint, events: Vec::new() };
    let (root, name, of_zone) = match &log.map {
        Some(map) => shown.map(map)?,
        None => (None, None, None),
    };
    let at = root.map_or(0, |root| root.at);
    shown.changes(&log.changes, at)?;
    shown.counts(name, of_zone)?;
    let complete_to = match &log.tail {
        Some(tail) => shown.tail(tail, at)?,
        None => at,
    };
    let Shown { origin, checkpoint, events, .. } = shown;
    let map_at = root.map(|root| root.at);
    Ok((CompleteLog { origin, checkpoint, cosigned, map_at, complete_to }, events))
}

/// Who of those whose keys are known cosigned.
fn cosigned(note: &[u8], keys: &[VerifierKey]) -> Result<Vec<(String, u64)>, LogProblem> {
    let note = Note::parse(note)?;
    let mut found = Vec::new();
    for key in keys.iter().filter(|key| key.algorithm() == Algorithm::CosignatureV1) {
        match note.cosigned_at(key) {
            Ok(time) => found.push((key.name().to_owned(), time)),
            Err(NoteError::NotSigned) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Whose log it is.
fn genesis(first: &Included, checkpoint: &Checkpoint) -> Result<Origin, LogProblem> {
    match whole(first, checkpoint)?.body {
        Body::Genesis { origin, name, .. } if first.index == 0 && name == checkpoint.origin => {
            Ok(origin)
        }
        _ => Err(LogProblem::Genesis),
    }
}

/// An entry of one part that is in the log.
fn whole(included: &Included, checkpoint: &Checkpoint) -> Result<Entry, LogProblem> {
    is_included(included, checkpoint)?;
    let entry = assembled(&mut Assembler::default(), included.index, &included.octets)?;
    entry.ok_or_else(|| LogProblem::Entry(included.index, "it is a part of a change".to_owned()))
}

fn is_included(included: &Included, checkpoint: &Checkpoint) -> Result<(), LogProblem> {
    let Included { index, octets, hashes } = included;
    verify_inclusion(leaf_hash(octets), *index, checkpoint.size, checkpoint.root, hashes)
        .map_err(|error| LogProblem::Inclusion(*index, error))
}

fn assembled(
    assembler: &mut Assembler,
    index: u64,
    octets: &[u8],
) -> Result<Option<Entry>, LogProblem> {
    assembler.next(octets).map_err(|error| LogProblem::Entry(index, error.to_string()))
}

/// A root, and its leaves of the name and of the zone.
type MapSays = (Option<MapRoot>, Option<Leaf>, Option<Leaf>);

impl Shown<'_> {
    fn map(&self, map: &MapPart) -> Result<MapSays, LogProblem> {
        let index = map.entry.index;
        let root = MapRoot::of_body(&whole(&map.entry, &self.checkpoint)?.body);
        let root = root.filter(|root| root.at <= index).ok_or(LogProblem::NoMapRoot(index))?;
        let name = map.name.check(&root, MapKey::of_name(self.zone, self.owner))?;
        let zone = map.zone.check(&root, MapKey::of_zone(self.zone))?;
        Ok((Some(root), name, zone))
    }

    /// The entry as an event, if it has to do with the name.
    fn event(&self, index: u64, mut entry: Entry) -> Result<Option<Event>, LogProblem> {
        let is_of = |change: &Change, name: &NameChange| {
            change.zone == *self.zone && name.owner == *self.owner
        };
        entry.body.keep_names(is_of);
        if entry.body.names().count() > 1 {
            return Err(LogProblem::Stray(index));
        }
        let mut changes = entry.body.changes().iter();
        let is_removal = changes.any(|change| {
            change.zone == *self.zone && matches!(change.cause, Cause::ZoneRemoval { .. })
        });
        let touches = is_removal || entry.body.names().next().is_some();
        let position = Position { origin: self.origin, index };
        Ok(touches.then_some(Event { position, entry }))
    }

    fn changes(&mut self, changes: &[Included], at: u64) -> Result<(), LogProblem> {
        let (mut assembler, mut next) = (Assembler::default(), 0);
        for part in changes {
            let index = part.index;
            let in_order = if assembler.is_empty() { index >= next } else { index == next };
            if !in_order || index >= at {
                return Err(LogProblem::Stray(index));
            }
            is_included(part, &self.checkpoint)?;
            next = index + 1;
            if let Some(entry) = assembled(&mut assembler, index, &part.octets)? {
                let event = self.event(index, entry)?.ok_or(LogProblem::Stray(index))?;
                self.events.push(event);
            }
        }
        if assembler.is_empty() { Ok(()) } else { Err(LogProblem::Stray(next - 1)) }
    }

    /// The events below the map's size are all that the map knows.
    fn counts(&self, name: Option<Leaf>, zone: Option<Leaf>) -> Result<(), LogProblem> {
        let names = self.events.iter().filter(|event| event.change().is_some());
        let last = names.clone().next_back();
        let last = last.map(|e| (e.position.index, e.change().map_or(0, |name| name.sequence)));
        agrees(name, names.count(), last)?;
        let removals = self.events.iter().filter(|event| event.is_removal());
        let last = removals.clone().next_back().map(|event| (event.position.index, 0));
        agrees(zone, removals.count(), last)
    }

    /// Verifies the end of the log; gives the size up to which it goes.
    fn tail(&mut self, tail: &Tail, at: u64) -> Result<u64, LogProblem> {
        let mut tree = tail.before.clone();
        let begins_within = tail.entries.first().is_some_and(|entry| part_number(entry) > Some(0));
        if tree.size() > at || begins_within {
            return Err(LogProblem::Tail);
        }
        let mut assembler = Assembler::default();
        for octets in &tail.entries {
            let index = tree.size();
            if index >= self.checkpoint.size {
                return Err(LogProblem::Tail);
            }
            tree.push(leaf_hash(octets));
            let entry = assembled(&mut assembler, index, octets)?;
            // What the map covers has been counted already.
            if let Some(entry) = entry.filter(|_| index >= at) {
                self.events.extend(self.event(index, entry)?);
            }
        }
        let Checkpoint { size, root, .. } = self.checkpoint;
        if (tree.size(), tree.root()) == (size, root) { Ok(size) } else { Err(LogProblem::Tail) }
    }
}

fn agrees(leaf: Option<Leaf>, shown: usize, last: Option<(u64, u64)>) -> Result<(), LogProblem> {
    let (shown, counted) = (shown as u64, leaf.map_or(0, |leaf| leaf.count));
    if shown != counted {
        return Err(LogProblem::Count { shown, counted });
    }
    if leaf.map(|leaf| (leaf.last, leaf.sequence)) == last { Ok(()) } else { Err(LogProblem::Last) }
}

// ---------------------------------------------------------------------------------------------
// Across logs

/// Follows each change to the one before it. Gives all events, oldest first, and the entries
/// beyond what is shown of the logs.
fn in_order(
    mut events: Vec<Event>,
    logs: &[CompleteLog],
) -> Result<(Vec<Event>, Vec<Position>), CompleteError> {
    // A log that was read later than another may follow entries that the other did not have yet.
    let is_beyond = |place: &Position| {
        logs.iter().any(|log| log.origin == place.origin && place.index >= log.complete_to)
    };
    let mut beyond = Vec::new();
    let changes = || events.iter().filter_map(|event| Some((event.position, event.change()?)));
    let by_position: HashMap<Position, &NameChange> = changes().collect();
    let mut followers: HashMap<Position, Position> = HashMap::new();
    let (mut beginnings, mut starts) = (Vec::new(), Vec::new());
    for (position, change) in changes() {
        let Some(previous) = change.previous else {
            if change.sequence != 1 {
                return Err(CompleteError::Sequence(Place(position)));
            }
            beginnings.push(position);
            continue;
        };
        if is_beyond(&previous) {
            beyond.push(previous);
            starts.push(position);
            continue;
        }
        let before = by_position
            .get(&previous)
            .ok_or(CompleteError::Missing { at: Place(position), previous: Place(previous) })?;
        let backwards = previous.origin == position.origin && previous.index >= position.index;
        if before.sequence.checked_add(1) != Some(change.sequence) || backwards {
            return Err(CompleteError::Sequence(Place(position)));
        }
        if followers.insert(previous, position).is_some() {
            return Err(CompleteError::Fork(Place(position)));
        }
    }
    // A name begins anew only after its zone was removed.
    let removals = events.iter().filter(|event| event.is_removal()).count();
    if let Some(more) = beginnings.get(removals + 1) {
        return Err(CompleteError::Fork(Place(*more)));
    }
    let time_of: HashMap<Position, u64> =
        events.iter().map(|event| (event.position, event.entry.time_ms)).collect();
    starts.extend(beginnings);
    starts.sort_by_key(|position| (time_of.get(position).copied(), position.index));
    let mut ranks: HashMap<Position, (usize, u64)> = HashMap::new();
    for (life, beginning) in starts.iter().enumerate() {
        let mut at = Some(*beginning);
        while let Some(position) = at {
            let sequence = by_position.get(&position).map_or(0, |change| change.sequence);
            ranks.insert(position, (life, sequence));
            at = followers.get(&position).copied();
        }
    }
    events.sort_by_cached_key(|event| rank(event, &ranks));
    Ok((events, beyond))
}

/// Where an event belongs: in which life of the name, and which change there. A removal ends the
/// last life that has a change before it in the same log.
fn rank(event: &Event, ranks: &HashMap<Position, (usize, u64)>) -> (usize, u64, u64) {
    let Position { origin, index } = event.position;
    if let Some((life, sequence)) = ranks.get(&event.position) {
        return (*life, *sequence, index);
    }
    let before = ranks.iter().filter(|(at, _)| at.origin == origin && at.index < index);
    before.map(|(_, (life, _))| *life).max().map_or((0, 0, index), |life| (life, u64::MAX, index))
}
