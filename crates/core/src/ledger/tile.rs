//! Tiles and entry bundles: the files in which a log is published (C2SP tlog-tiles v0.1.0).
//!
//! A tile holds up to 256 consecutive hashes of one height; a bundle holds the entries under one
//! tile of level 0. This module names them, says which of them a tree has, and turns them into
//! bytes and back. It must never hash anything.

use std::fmt;

use thiserror::Error;

use super::hash::Hash;
use super::parse_decimal;

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = TILE_WIDTH as usize * Hash::LENGTH;
/// Largest entry in bytes: its length is written as a 16-bit number.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Highest level the path format allows.
pub const LEVEL_MAX: u8 = 63;
/// Levels that a tree whose size fits 64 bits can fill: 256^8 = 2^64.
pub(super) const LEVELS: u8 = 8;

/// A tile of hashes: `tile/<level>/<index>[.p/<width>]`.
///
/// Hash `i` of it is the Merkle tree hash of the 256^level entries that start at
/// (index × 256 + i) × 256^level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 for leaf hashes; one hash of level L + 1 covers a full tile of level L. At most 63.
    pub level: u8,
    /// Position among the tiles of its level, from 0.
    pub index: u64,
    /// Hashes it holds, 1 to 256; 256 is a full tile.
    pub width: u16,
}

/// A run of entries: `tile/entries/<index>[.p/<width>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    /// Position among the bundles, from 0; its first entry is index × 256.
    pub index: u64,
    /// Entries it holds, 1 to 256; 256 is a full bundle.
    pub width: u16,
}

/// Any file of a published log, by its path below the log's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// `checkpoint`
    Checkpoint,
    /// `tile/<level>/<index>[.p/<width>]`
    Tile(Tile),
    /// `tile/entries/<index>[.p/<width>]`
    Bundle(Bundle),
}

/// The text is not the path of any file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the path of a checkpoint, tile or entry bundle")]
pub struct PathError;

/// Why the bytes of a tile or a bundle are not what its path promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TileError {
    /// A tile of this width has another length in bytes.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes that a tile of this width has.
        expected: usize,
    },
    /// The bundle ends inside the entry at this position (from 0) of the bundle.
    #[error("ends inside entry {position} of the bundle")]
    Truncated {
        /// Position in the bundle, from 0.
        position: u16,
    },
    /// Bytes follow the last entry that the width allows.
    #[error("bytes follow the last entry of the bundle")]
    Trailing,
}

/// The entry is longer than [`ENTRY_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("entry of {bytes} bytes, at most {ENTRY_BYTES_MAX} are possible")]
pub struct EntryTooLong {
    /// Its length in bytes.
    pub bytes: usize,
}

impl Tile {
    /// The full tile at this place.
    #[must_use]
    pub fn full(level: u8, index: u64) -> Tile {
        Tile { level, index, width: TILE_WIDTH as u16 }
    }

    /// Whether it holds all 256 hashes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        Path::Tile(*self).to_string()
    }

    /// The tile at (level, index) as a tree of `size` entries has it: full, partial, or `None` if
    /// the tree has no hash there.
    #[must_use]
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Tile> {
        let hashes = hashes_at(level, size);
        let width = hashes.saturating_sub(index.checked_mul(TILE_WIDTH)?).min(TILE_WIDTH);
        (width > 0).then_some(Tile { level, index, width: width as u16 })
    }

    /// All tiles of a tree of `size` entries, level by level from 0, left to right.
    pub fn all(size: u64) -> impl Iterator<Item = Tile> {
        (0..LEVELS).flat_map(move |level| {
            (0..hashes_at(level, size).div_ceil(TILE_WIDTH))
                .filter_map(move |index| Tile::in_tree(level, index, size))
        })
    }

    /// The partial tiles of a tree of `size` entries: its right edge, from level 0 up.
    pub fn edge(size: u64) -> impl Iterator<Item = Tile> {
        (0..LEVELS).filter_map(move |level| {
            let hashes = hashes_at(level, size);
            Tile::in_tree(level, hashes / TILE_WIDTH, size)
        })
    }
}

impl Bundle {
    /// The full bundle at this place.
    #[must_use]
    pub fn full(index: u64) -> Bundle {
        Bundle { index, width: TILE_WIDTH as u16 }
    }

    /// The path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        Path::Bundle(*self).to_string()
    }

    /// The bundle at `index` as a tree of `size` entries has it, if it has an entry there.
    #[must_use]
    pub fn in_tree(index: u64, size: u64) -> Option<Bundle> {
        Tile::in_tree(0, index, size).map(|tile| Bundle { index, width: tile.width })
    }

    /// All bundles of a tree of `size` entries, left to right.
    pub fn all(size: u64) -> impl Iterator<Item = Bundle> {
        (0..size.div_ceil(TILE_WIDTH)).filter_map(move |index| Bundle::in_tree(index, size))
    }
}

/// How many hashes a level has in a tree of `size` entries: floor(size / 256^level).
pub(super) fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

// ---------------------------------------------------------------------------------------------
// Paths

impl Path {
    /// Parses a path exactly as C2SP tlog-tiles writes it: no leading slash, no other spelling of
    /// the same number.
    ///
    /// # Errors
    /// [`PathError`] for anything else.
    pub fn parse(text: &[u8]) -> Result<Path, PathError> {
        let text = std::str::from_utf8(text).map_err(|_| PathError)?;
        if text == "checkpoint" {
            return Ok(Path::Checkpoint);
        }
        let rest = text.strip_prefix("tile/").ok_or(PathError)?;
        let (kind, place) = rest.split_once('/').ok_or(PathError)?;
        let (index, width) = parse_place(place).ok_or(PathError)?;
        if kind == "entries" {
            return Ok(Path::Bundle(Bundle { index, width }));
        }
        match parse_decimal(kind) {
            Some(level) if level <= u64::from(LEVEL_MAX) => {
                Ok(Path::Tile(Tile { level: level as u8, index, width }))
            }
            _ => Err(PathError),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Path::Checkpoint => return f.write_str("checkpoint"),
            Path::Tile(tile) => {
                write!(f, "tile/{}/", tile.level)?;
                (tile.index, tile.width)
            }
            Path::Bundle(bundle) => {
                f.write_str("tile/entries/")?;
                (bundle.index, bundle.width)
            }
        };
        let mut divisor = 1;
        while index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", index % 1000)?;
        if u64::from(width) < TILE_WIDTH {
            write!(f, ".p/{width}")?;
        }
        Ok(())
    }
}

/// Parses `<N>[.p/<W>]` to an index and a width.
fn parse_place(text: &str) -> Option<(u64, u16)> {
    let (index, width) = match text.split_once(".p/") {
        None => (text, TILE_WIDTH),
        Some((index, width)) => (index, parse_decimal(width).filter(|w| (1..256).contains(w))?),
    };
    let mut value: u64 = 0;
    let mut groups = index.split('/').peekable();
    let mut first = true;
    while let Some(group) = groups.next() {
        let is_last = groups.peek().is_none();
        let digits = if is_last { group } else { group.strip_prefix('x')? };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // An all-zero first group would be a second spelling of a smaller number.
        if first && !is_last && digits == "000" {
            return None;
        }
        first = false;
        value = value.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((value, width as u16))
}

// ---------------------------------------------------------------------------------------------
// Contents

/// A tile's bytes: its hashes one after the other.
#[must_use]
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * Hash::LENGTH);
    for hash in hashes {
        bytes.extend_from_slice(&hash.0);
    }
    bytes
}

/// Reads the hashes of a tile of `width`.
///
/// # Errors
/// [`TileError::Length`] unless there are exactly 32 × width bytes.
pub fn parse_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let expected = usize::from(width) * Hash::LENGTH;
    let (hashes, _) = bytes.as_chunks::<{ Hash::LENGTH }>();
    if bytes.len() != expected {
        return Err(TileError::Length { found: bytes.len(), expected });
    }
    Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// Appends one entry to a bundle: its length as a 16-bit big-endian number, then its bytes.
///
/// # Errors
/// [`EntryTooLong`]; the bundle is unchanged then.
pub fn append_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_| EntryTooLong { bytes: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Reads a bundle of `width` entries without copying them. Yields the entries in order; stops
/// after the first error.
///
/// Its items' errors are [`TileError::Truncated`] and [`TileError::Trailing`].
#[must_use]
pub fn entries(bytes: &[u8], width: u16) -> Entries<'_> {
    Entries { rest: bytes, position: 0, width }
}

/// The iterator of [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    position: u16,
    width: u16,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], TileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position == self.width {
            let trailing = !std::mem::take(&mut self.rest).is_empty();
            return trailing.then_some(Err(TileError::Trailing));
        }
        let entry = self.rest.split_first_chunk::<2>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        match entry {
            Some((entry, rest)) => {
                self.position += 1;
                self.rest = rest;
                Some(Ok(entry))
            }
            None => {
                let position = self.position;
                *self = Entries { rest: &[], position: self.width, width: self.width };
                Some(Err(TileError::Truncated { position }))
            }
        }
    }
}

/// Reads a whole bundle of `width` entries.
///
/// # Errors
/// [`TileError::Truncated`] and [`TileError::Trailing`].
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    entries(bytes, width).collect()
}

#[cfg(test)]
#[path = "tile_tests.rs"]
mod tests;
