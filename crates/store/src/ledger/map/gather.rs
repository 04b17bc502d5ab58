//! Collects what one published log has of a name, for a history file.
//!
//! The log is verified on the way, and so are its map roots; what comes out proves itself
//! nonetheless and should be verified by whoever writes it to a file.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use einhorn_core::ledger::VerifierKey;
use einhorn_core::ledger::map::{
    CompactRange, HISTORY_BYTES_MAX, Included, LogHistory, MapKey, MapPart, Tail, touches,
};
use thiserror::Error;

use super::super::{
    CHECKPOINT, Options, ReadError, Report, TileSource, prove_inclusion, prove_prefix,
    read_entries, read_entry, verify,
};
use super::{MapChecker, MapError, MapFile};

/// Most octets of entries after the map that are worth carrying in a file.
const TAIL_OCTETS_MAX: usize = 1 << 20;
/// The same for a log without a map, of which nothing could be said otherwise. Text takes a third
/// more.
const LOG_OCTETS_MAX: usize = HISTORY_BYTES_MAX / 8 * 5;

/// Why a log's part of a history could not be collected.
#[derive(Debug, Error)]
pub enum GatherError {
    /// The log could not be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The log is damaged.
    #[error("the ledger is not sound")]
    Unsound(Report),
    /// Its map could not be built, or is not the one that it says.
    #[error("{0}")]
    Map(#[from] MapError),
    /// A map root in it is wrong; the text names the entry.
    #[error("{0}")]
    MapRoot(String),
    /// It has no map root yet, and too many entries to carry all of them.
    #[error("the log has no map root yet, and is too long to be shown whole")]
    NoMap,
}

/// The source, with the checkpoint that it had first.
struct Pinned<'a> {
    source: &'a dyn TileSource,
    checkpoint: Vec<u8>,
}

impl TileSource for Pinned<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if path == CHECKPOINT {
            return Ok(Some(self.checkpoint.clone()));
        }
        self.source.read(path)
    }
}

/// What the log with this key has of a name and its zone, whose keys in the map are `keys`, up to
/// its checkpoint. `scratch` is an empty folder for the maps, about 60 octets a name.
///
/// # Errors
/// [`GatherError`].
pub fn gather(
    source: &dyn TileSource,
    key: &VerifierKey,
    keys: [MapKey; 2],
    scratch: &Path,
) -> Result<LogHistory, GatherError> {
    let io = |source| ReadError::Io { path: CHECKPOINT.to_owned(), source };
    let checkpoint = source.read(CHECKPOINT).map_err(io)?;
    let missing = || ReadError::Missing { path: CHECKPOINT.to_owned() };
    let source = Pinned { source, checkpoint: checkpoint.ok_or_else(missing)? };
    let mut checker = MapChecker::new(scratch, key.name())?;
    let mut found: Vec<RangeInclusive<u64>> = Vec::new();
    let report = verify(&source, key, Options::default(), &mut |index, octets| {
        let Some((first, entry)) = checker.next(index, octets) else { return };
        let mut is_wanted = false;
        touches(index, &entry, |touch| is_wanted |= keys.contains(&touch.key));
        found.extend(is_wanted.then_some(first..=index));
    });
    let size = match &report.checkpoint {
        Some(checkpoint) if report.is_sound() => checkpoint.size,
        _ => return Err(GatherError::Unsound(report)),
    };
    if let Some(problem) = checker.problem() {
        return Err(GatherError::MapRoot(problem.to_owned()));
    }
    let map = checker.last()?;
    let (at, resume) = map.as_ref().map_or((0, 0), |(_, map)| (map.root().at, map.resume()));
    let log = Log { source: &source, size };
    let mut changes = Vec::new();
    for index in found.into_iter().filter(|range| *range.end() < at).flatten() {
        changes.push(log.included(index)?);
    }
    let tail = log.tail(resume, if at == 0 { LOG_OCTETS_MAX } else { TAIL_OCTETS_MAX })?;
    if at == 0 && tail.is_none() {
        return Err(GatherError::NoMap);
    }
    let map = map.map(|(index, file)| log.map(index, &file, keys)).transpose()?;
    let genesis = log.included(0)?;
    let checkpoint = String::from_utf8_lossy(&source.checkpoint).into_owned();
    Ok(LogHistory { checkpoint, genesis, map, changes, tail })
}

/// A log that was verified up to a size.
struct Log<'a> {
    source: &'a dyn TileSource,
    size: u64,
}

impl Log<'_> {
    fn included(&self, index: u64) -> Result<Included, ReadError> {
        let octets = read_entry(self.source, self.size, index)?;
        Ok(Included { index, octets, hashes: prove_inclusion(self.source, self.size, index)? })
    }

    fn map(&self, index: u64, file: &MapFile, keys: [MapKey; 2]) -> Result<MapPart, GatherError> {
        let entry = self.included(index)?;
        let [name, zone] = keys;
        Ok(MapPart { entry, name: file.prove(name)?, zone: file.prove(zone)? })
    }

    /// All entries from an index on, unless they have too many octets.
    fn tail(&self, from: u64, octets_max: usize) -> Result<Option<Tail>, ReadError> {
        // An entry takes a line of its own, however short it is.
        const LINE_OCTETS: usize = 8;
        let (mut entries, mut octets) = (Vec::new(), 0);
        read_entries(self.source, self.size, from..self.size, &mut |_, entry| {
            octets += entry.len() + LINE_OCTETS;
            entries.push(entry.to_vec());
            octets <= octets_max
        })?;
        if octets > octets_max {
            return Ok(None);
        }
        let before = CompactRange::new(from, prove_prefix(self.source, self.size, from)?);
        Ok(before.map(|before| Tail { before, entries }))
    }
}
