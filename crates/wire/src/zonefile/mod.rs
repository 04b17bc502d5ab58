//! Zone files (RFC 1035 §5): reading them record by record with the place of each error, and
//! writing them.
//!
//! The reader goes over the octets of a file once and copies nothing but the owner and the data
//! of the record at hand, into buffers that it uses again. `$INCLUDE` is followed, `$GENERATE`
//! expanded.

mod coded;
mod generate;
mod library;
mod load;
mod location;
mod name;
mod prefixes;
mod rdata;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use generate::GENERATED_RECORDS_MAX;
pub(crate) use write::fields_text;
pub use write::write;

use crate::canonical::CanonicalKey;
use crate::name::Name;
use crate::record::{Class, Record, RecordType};
use std::io;
use std::path::{Path, PathBuf};

/// How deep `$INCLUDE` may nest, so that a file that includes itself ends.
pub const INCLUDE_DEPTH_MAX: usize = 8;

/// A zone file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneFileError {
    /// The file cannot be read.
    #[error("{}: cannot read the zone file: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the file, or in one that it includes, is wrong.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters; a tab is one.
        column: usize,
        /// What was found, and what was expected.
        reason: String,
    },
}

/// A record of class IN, as it lies in the reader's buffers.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    owner: &'a [u8],
    /// Whether the owner is, octet for octet, that of the record before. Where this is false the
    /// names may be equal all the same; where it is true nothing has to be looked up again.
    pub owner_repeats: bool,
    /// Type.
    pub rtype: RecordType,
    /// Time to live in seconds, of 31 bits (RFC 2181 §8).
    pub ttl: u32,
    /// Record data in uncompressed wire form, sound for its type.
    pub rdata: &'a [u8],
}

impl RecordRef<'_> {
    /// Owner in wire form, in the case it was written in.
    pub fn owner_wire(&self) -> &[u8] {
        self.owner
    }

    /// Owner.
    pub fn owner(&self) -> Name {
        Name::from_valid_wire(self.owner)
    }

    /// The owner's key, by which records that are not side by side can be grouped without making
    /// a [`Name`] of each.
    pub fn owner_key(&self) -> CanonicalKey {
        CanonicalKey::from_valid_wire(self.owner)
    }

    /// A copy that owns its parts.
    pub fn to_record(&self) -> Record {
        Record {
            owner: self.owner(),
            rtype: self.rtype,
            class: Class::IN,
            ttl: self.ttl,
            rdata: self.rdata.into(),
        }
    }
}

/// Reads the zone file at `path` for the zone `origin`, following `$INCLUDE` relative to the
/// including file. `read` supplies the octets of a file.
///
/// Records outside the zone and records of another class than IN are errors.
///
/// # Errors
/// [`ZoneFileError`], naming file, line and column.
pub fn load(
    path: &Path,
    origin: &Name,
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<Record>, ZoneFileError> {
    let mut records = Vec::new();
    load_with(path, origin, read, &mut |record| {
        records.push(record.to_record());
        Ok(())
    })?;
    Ok(records)
}

/// As [`load`], but hands each record to `take` as soon as it is read, in the order of the file,
/// and keeps none. `take` may refuse one with a reason, which ends the reading with an error at
/// that record.
///
/// # Errors
/// [`ZoneFileError`], naming file, line and column.
pub fn load_with(
    path: &Path,
    origin: &Name,
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    take: &mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
) -> Result<(), ZoneFileError> {
    load::Loader::new(origin, read, take).start(path)
}
