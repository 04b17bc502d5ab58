//! The text form of a name's history with its proof: `.einhorn-history` files.
//!
//! A file has one form only; all lines end in a newline, words are separated by one space, hashes
//! and entries are in standard base64 with padding.
//!
//! ```text
//! einhorn-history v1
//! zone ZONE
//! name OWNER
//! checkpoint LINES       for each log; then so many lines: its note, cosignatures included
//! entry INDEX ENTRY      its genesis entry, which says whose log it is,
//! path HASH...           with its inclusion proof against the checkpoint
//! map INDEX ENTRY        unless there is none: the map root,
//! path HASH...
//! tree HASH              what the map says of the name: one leaf or those beside it,
//! leaf POSITION KEY LAST SEQUENCE COUNT
//! path HASH...
//! tree HASH              and in the same form of the zone as a whole
//! change INDEX ENTRY     each entry that touched the name or removed the zone, oldest first;
//! path HASH...           of a change in parts all parts
//! tail FROM HASH...      unless left out: the complete subtrees of the entries below FROM,
//! next ENTRY             and all entries from there to the checkpoint
//! ```
//!
//! This module reads and writes it. What it says means nothing until it is verified
//! ([`super::verify_history`]).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use einhorn_wire::Name;
use thiserror::Error;

use super::super::hash::Hash;
use super::super::parse_decimal;
use super::compact::CompactRange;
use super::proof::{Found, LEAVES_MAX, parse_path, write_path};
use super::{Leaf, MapKey, MapProof};

const HEADER: &str = "einhorn-history v1";
/// Longest file in bytes: a change of a zone with a million names is in the history of each.
pub const HISTORY_BYTES_MAX: usize = 256 << 20;
/// Most logs in a file.
const LOGS_MAX: usize = 1000;

/// An entry with its inclusion proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Its index.
    pub index: u64,
    /// Its octets; not empty.
    pub octets: Vec<u8>,
    /// The proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
}

/// A map root that a log has, and what that map says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapPart {
    /// The entry.
    pub entry: Included,
    /// What the map says of the name.
    pub name: MapProof,
    /// What the map says of the zone as a whole.
    pub zone: MapProof,
}

/// The end of a log, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The tree of the entries before.
    pub before: CompactRange,
    /// All entries from there to the checkpoint; none is empty.
    pub entries: Vec<Vec<u8>>,
}

/// What one log has of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHistory {
    /// The checkpoint's note, with cosignatures.
    pub checkpoint: String,
    /// The log's first entry.
    pub genesis: Included,
    /// The map, if the log has one.
    pub map: Option<MapPart>,
    /// The parts of the entries below the map's size that touched the name, in order.
    pub changes: Vec<Included>,
    /// What came after the map, unless it was left out.
    pub tail: Option<Tail>,
}

/// A history file, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Apex of the zone.
    pub zone: Name,
    /// The name.
    pub owner: Name,
    /// What each log has of it.
    pub logs: Vec<LogHistory>,
}

/// Why text is no history file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// Not UTF-8, or longer than [`HISTORY_BYTES_MAX`].
    #[error("history is not text or too large")]
    NotText,
    /// The line is not what belongs there.
    #[error("line {line} of the history is malformed")]
    Malformed {
        /// Line in the file, from 1.
        line: usize,
    },
}

impl History {
    /// Parses a history file strictly.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn parse(bytes: &[u8]) -> Result<History, HistoryError> {
        if bytes.len() > HISTORY_BYTES_MAX {
            return Err(HistoryError::NotText);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| HistoryError::NotText)?;
        let mut lines = Lines { rest: text, number: 1 };
        if lines.take() != Some(HEADER) {
            return Err(HistoryError::Malformed { line: 1 });
        }
        let history = lines.history();
        history.ok_or(HistoryError::Malformed { line: lines.number })
    }
}

/// The lines of a text. Each method takes one or more and leaves `number` at the line it did not
/// like, counted from 1.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    /// Takes a line if `read` makes something of it.
    fn take_as<T>(&mut self, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let (line, rest) = self.rest.split_once('\n')?;
        let value = read(line)?;
        self.rest = rest;
        self.number += 1;
        Some(value)
    }

    /// What follows a keyword in the next line, which it takes.
    fn after<T>(&mut self, keyword: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        self.take_as(|line| read(line.strip_prefix(keyword)?.strip_prefix(' ')?))
    }

    fn begins_with(&self, keyword: &str) -> bool {
        self.rest.strip_prefix(keyword).is_some_and(|rest| rest.starts_with(' '))
    }

    fn history(&mut self) -> Option<History> {
        let zone = self.after("zone", name)?;
        let owner = self.after("name", name)?;
        let mut logs = Vec::new();
        while logs.is_empty() || !self.rest.is_empty() {
            logs.push(self.log().filter(|_| logs.len() < LOGS_MAX)?);
        }
        Some(History { zone, owner, logs })
    }

    fn log(&mut self) -> Option<LogHistory> {
        let count = self.after("checkpoint", parse_decimal)?;
        let whole = self.rest;
        for _ in 0..count {
            self.take()?;
        }
        let checkpoint = whole[..whole.len() - self.rest.len()].to_owned();
        let genesis = self.included("entry")?;
        let map = if self.begins_with("map") { Some(self.map()?) } else { None };
        let mut changes = Vec::new();
        while self.begins_with("change") {
            changes.push(self.included("change")?);
        }
        let tail = if self.begins_with("tail") { Some(self.tail()?) } else { None };
        Some(LogHistory { checkpoint, genesis, map, changes, tail })
    }

    fn map(&mut self) -> Option<MapPart> {
        let entry = self.included("map")?;
        Some(MapPart { entry, name: self.map_proof()?, zone: self.map_proof()? })
    }

    fn included(&mut self, keyword: &str) -> Option<Included> {
        let (index, octets) = self.after(keyword, |rest| {
            let (index, octets) = rest.split_once(' ')?;
            Some((parse_decimal(index)?, entry(octets)?))
        })?;
        Some(Included { index, octets, hashes: self.path()? })
    }

    fn path(&mut self) -> Option<Vec<Hash>> {
        self.take_as(|line| parse_path(line, "path"))
    }

    fn map_proof(&mut self) -> Option<MapProof> {
        let tree = self.after("tree", Hash::from_base64)?;
        let mut leaves = Vec::new();
        while leaves.len() < LEAVES_MAX && self.begins_with("leaf") {
            let (position, leaf) = self.after("leaf", leaf)?;
            leaves.push(Found { position, leaf, hashes: self.path()? });
        }
        Some(MapProof { tree, leaves })
    }

    fn tail(&mut self) -> Option<Tail> {
        let before = self.after("tail", |rest| {
            let (from, _) = rest.split_once(' ').unwrap_or((rest, ""));
            CompactRange::new(parse_decimal(from)?, parse_path(rest, from)?)
        })?;
        let mut entries = Vec::new();
        while self.begins_with("next") {
            entries.push(self.after("next", entry)?);
        }
        Some(Tail { before, entries })
    }
}

/// A name in the one form that is written.
fn name(text: &str) -> Option<Name> {
    text.parse().ok().filter(|name: &Name| name.to_string() == text)
}

fn entry(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|octets| !octets.is_empty())
}

/// A leaf and its position.
fn leaf(text: &str) -> Option<(u64, Leaf)> {
    let mut words = text.split(' ');
    let position = parse_decimal(words.next()?)?;
    let key = MapKey(Hash::from_base64(words.next()?)?);
    let mut number = || parse_decimal(words.next()?);
    let leaf = Leaf { key, last: number()?, sequence: number()?, count: number()? };
    words.next().is_none().then_some((position, leaf))
}

/// The file's text.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\nzone {}\nname {}\n", self.zone, self.owner)?;
        self.logs.iter().try_for_each(|log| write!(f, "{log}"))
    }
}

impl fmt::Display for LogHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.checkpoint.matches('\n').count();
        write!(f, "checkpoint {lines}\n{}", self.checkpoint)?;
        write_included(f, "entry", &self.genesis)?;
        if let Some(MapPart { entry, name, zone }) = &self.map {
            write_included(f, "map", entry)?;
            write!(f, "{name}{zone}")?;
        }
        self.changes.iter().try_for_each(|change| write_included(f, "change", change))?;
        if let Some(Tail { before, entries }) = &self.tail {
            write_path(f, &format!("tail {}", before.size()), before.hashes())?;
            for entry in entries {
                writeln!(f, "next {}", STANDARD.encode(entry))?;
            }
        }
        Ok(())
    }
}

fn write_included(f: &mut fmt::Formatter<'_>, keyword: &str, included: &Included) -> fmt::Result {
    let Included { index, octets, hashes } = included;
    writeln!(f, "{keyword} {index} {}", STANDARD.encode(octets))?;
    write_path(f, "path", hashes)
}
