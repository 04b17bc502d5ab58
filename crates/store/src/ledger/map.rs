//! Maps of a log ([`einhorn_core::ledger::map`]), built from the map before and the entries since.
//!
//! A map lies in the folder as one sorted file per size ([`file`]). It is a cache: every file can
//! be built again from the entries, none is synced, and the root that a file promises is
//! recomputed while it is merged into the next. Touches of names are gathered in memory, sorted,
//! and spilled to runs when they are many; one pass merges map and runs into the next map. So
//! memory has a limit whatever the size of the log, the greatest single change aside.
//!
//! Builders know nothing of where entries come from; they are given them in order. One builder at
//! a time per folder.

mod check;
mod file;
mod gather;
mod merge;

use std::io;
use std::path::{Path, PathBuf};

use einhorn_core::ledger::map::{MapRoot, Touch, touches};
use einhorn_core::model::entry::{Assembler, Entry};
use thiserror::Error;

pub use check::MapChecker;
pub use file::MapFile;
pub use gather::{GatherError, gather};

use file::Header;
use merge::{Base, Runs};

/// Maps that a builder leaves in its folder: the newest, and the one before it, which may be the
/// last that the log knows of.
const FILES_KEPT: usize = 2;

/// Why a map could not be built or read.
#[derive(Debug, Error)]
pub enum MapError {
    /// The folder failed.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not the map that its name promises.
    #[error("{}: this map is damaged", .0.display())]
    Damaged(PathBuf),
    /// Octets that are no entry.
    #[error("entry {index}: {reason}")]
    Entry {
        /// Index of the entry.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry was given that was not due.
    #[error("entry {given} was given to the map where {due} was due")]
    Order {
        /// The entry given.
        given: u64,
        /// The entry due.
        due: u64,
    },
    /// A map was asked for of a size below the last one, or above the entries given.
    #[error("there is no map of size {at} between {from} and {to}")]
    Size {
        /// The size asked for.
        at: u64,
        /// Size of the last map.
        from: u64,
        /// Entries known.
        to: u64,
    },
    /// The entries could not be read; the text is the reader's message.
    #[error("{0}")]
    Read(String),
}

/// Adds the path to an I/O error.
fn io_at(path: &Path) -> impl Fn(io::Error) -> MapError + '_ {
    |source| MapError::Io { path: path.to_owned(), source }
}

/// Shows a callback the entries of a range, each with its index, in order.
pub type ReadRange<'a> = dyn FnMut(u64, u64, &mut dyn FnMut(u64, &[u8])) -> Result<(), String> + 'a;

/// Builds the maps of one log.
pub struct MapBuilder {
    folder: PathBuf,
    origin: String,
    /// The last map.
    base: Header,
    /// Index of the entry that is due.
    next: u64,
    assembler: Assembler,
    /// Where the change under way began.
    first_part: u64,
    /// First and last part of each change in parts since the last map.
    in_parts: Vec<(u64, u64)>,
    runs: Runs,
}

impl MapBuilder {
    /// Opens the maps of the log with this name in a folder, which is made if it is not there. A
    /// file that is not a map of this log is removed, and so are older ones.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(folder: &Path, origin: &str) -> Result<MapBuilder, MapError> {
        std::fs::create_dir_all(folder).map_err(io_at(folder))?;
        let base = file::tidy(folder, origin, FILES_KEPT)?;
        let base = base.unwrap_or_else(|| Header::empty(origin));
        let next = base.resume;
        Ok(MapBuilder {
            folder: folder.to_owned(),
            origin: origin.to_owned(),
            base,
            next,
            assembler: Assembler::default(),
            first_part: next,
            in_parts: Vec::new(),
            runs: Runs::new(folder),
        })
    }

    /// The last map.
    #[must_use]
    pub fn last(&self) -> MapRoot {
        self.base.root
    }

    /// Index of the entry that [`MapBuilder::push`] wants next.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Takes the next entry. If it was the last part of a change, gives that, with the index of
    /// its first part.
    ///
    /// # Errors
    /// `Order`, `Entry` or `Io`.
    pub fn push(&mut self, index: u64, octets: &[u8]) -> Result<Option<(u64, Entry)>, MapError> {
        if index != self.next {
            return Err(MapError::Order { given: index, due: self.next });
        }
        if self.assembler.is_empty() {
            self.first_part = index;
        }
        let entry = self.assembler.next(octets);
        let entry = entry.map_err(|e| MapError::Entry { index, reason: e.to_string() })?;
        self.next = index + 1;
        let Some(entry) = entry else { return Ok(None) };
        if self.first_part < index {
            self.in_parts.push((self.first_part, index));
        }
        // Of a change that the last map ends within, only the end is new.
        if index >= self.base.root.at {
            let runs = &mut self.runs;
            let mut pushed = Ok(());
            touches(index, &entry, |touch: Touch| {
                if pushed.is_ok() {
                    pushed = runs.push(touch);
                }
            });
            pushed?;
        }
        Ok(Some((self.first_part, entry)))
    }

    /// The map of the entries below `at`, which lies between the last map's size and
    /// [`MapBuilder::next_index`]; writes its file.
    ///
    /// # Errors
    /// `Size`; `Io`; `Damaged` if the last map is: then the builder must be opened again.
    pub fn cut(&mut self, at: u64) -> Result<MapRoot, MapError> {
        let from = self.base.root.at;
        if at < from || at > self.next {
            return Err(MapError::Size { at, from, to: self.next });
        }
        if at == from {
            return Ok(self.base.root);
        }
        let within = |(first, last): &&(u64, u64)| *first < at && at <= *last;
        let unfinished = !self.assembler.is_empty() && self.first_part < at;
        let resume = match self.in_parts.iter().find(within) {
            Some((first, _)) => *first,
            None if unfinished => self.first_part,
            None => at,
        };
        let base = Base { folder: &self.folder, header: self.base };
        let merged = merge::merge(&base, &mut self.runs, at, resume);
        if let Err(MapError::Damaged(path)) = &merged {
            std::fs::remove_file(path).map_err(io_at(path))?;
        }
        self.base = merged?;
        self.in_parts.retain(|(_, last)| *last >= at);
        file::tidy(&self.folder, &self.origin, FILES_KEPT)?;
        Ok(self.base.root)
    }

    /// The map of the entries below `to`, at least the last map's size, reading those that are
    /// not known yet. A map on disk that is damaged is left out, and more is read.
    ///
    /// # Errors
    /// `Read`, `Entry`, `Size` or `Io`.
    pub fn advance(&mut self, to: u64, read: &mut ReadRange<'_>) -> Result<MapRoot, MapError> {
        loop {
            let mut pushed = Ok(());
            if self.next < to {
                read(self.next, to, &mut |index, octets| {
                    if pushed.is_ok() {
                        pushed = self.push(index, octets).map(drop);
                    }
                })
                .map_err(MapError::Read)?;
            }
            pushed?;
            match self.cut(to) {
                // Its file is gone now, so this ends.
                Err(MapError::Damaged(_)) => {
                    *self = MapBuilder::open(&self.folder, &self.origin)?;
                }
                result => return result,
            }
        }
    }

    /// The file of the last map, to make proofs from.
    ///
    /// # Errors
    /// `Io` or `Damaged`.
    pub fn file(&self) -> Result<MapFile, MapError> {
        MapFile::open(&self.folder, &self.origin, self.base.root.at)
    }
}

#[cfg(test)]
mod tests;
