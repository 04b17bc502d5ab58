//! The engine: an append-only log of opaque entries, with snapshots of the state they fold into.
//!
//! An engine makes a batch durable, whole or not at all, and gives back exactly what it made
//! durable, in order. It must never interpret an entry, return bytes that fail their checksum,
//! renumber or leave out an index, or claim durability again after a write that failed.
//!
//! # A write that failed is not a write that did not happen
//! When an append fails, its batch may still be found durable, whole, after reopening: the power
//! may fail after the commit record reached the disk and before the sync returned. So after a
//! failure the caller must drop the engine, open it anew, and compare [`Engine::next_index`] with
//! what it expected. Until then the engine is *poisoned*: it refuses every write and repeats the
//! cause, because a sync that failed cannot be repeated (the operating system has forgotten what
//! it should have written). Readers go on where the disk lets them.

mod batch;
mod error;
pub mod sqlite;

use std::ops::Range;

pub use batch::{BATCH_BYTES_MAX, Batch, BatchError, ENTRY_BYTES_MAX};
pub use error::EngineError;
pub use sqlite::{SqliteEngine, SqliteReader};

/// What [`EngineReader::read`] calls per entry: its index, the epoch it was appended in, and its
/// bytes.
pub type Visit<'a> = dyn FnMut(u64, u64, &[u8]) + 'a;

/// The writing side of a log; there is one per log.
pub trait Engine: Send {
    /// The index that the next entry gets; indices are dense from 0.
    fn next_index(&self) -> u64;

    /// The highest epoch that anything was appended in; 0 in a new log.
    fn epoch(&self) -> u64;

    /// Appends a batch. `Ok` means durable; all of its entries are, or none.
    ///
    /// An empty batch makes a higher `epoch` durable, which fences writers of lower ones.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if `epoch` is below the log's, and [`EngineError::Conflict`] if
    /// `expected_next` is not the next index: nothing was written, the engine goes on.
    /// Any other error poisons the engine; whether the batch is durable is known after reopening.
    fn append(&mut self, expected_next: u64, epoch: u64, batch: &Batch) -> Result<(), EngineError>;

    /// Saves the fold of all entries below `at_index`; the newest two snapshots are kept.
    ///
    /// # Errors
    /// [`EngineError::PastEnd`] if the log is shorter; any other error poisons the engine.
    fn save_snapshot(&mut self, at_index: u64, bytes: &[u8]) -> Result<(), EngineError>;

    /// Erases the audit values of the entries in `indices`; returns how many there were. When it
    /// returns, no file of the engine holds them.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if a reader still holds on to old pages: call again. Any other error
    /// poisons the engine.
    fn erase_audit(&mut self, indices: Range<u64>) -> Result<u64, EngineError>;

    /// Does housekeeping that is due, and nothing if none is. To be called when nobody waits, as
    /// after a batch is acknowledged; an append does it itself when it can no longer be put off.
    ///
    /// # Errors
    /// Any error poisons the engine; everything acknowledged so far is durable.
    fn maintain(&mut self) -> Result<(), EngineError>;

    /// A reader with a connection of its own, for another thread.
    ///
    /// # Errors
    /// [`EngineError::Io`] and the like if the log cannot be opened once more.
    fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError>;
}

/// A reading side of a log. It sees durable entries only, and never holds up the writer.
pub trait EngineReader: Send {
    /// The durable end: the index after the last entry.
    ///
    /// # Errors
    /// If the log cannot be read or is corrupt.
    fn next_index(&mut self) -> Result<u64, EngineError>;

    /// Visits entries from index `from` on, in order: at least one if there is one, and about
    /// `max_bytes` bytes of them at most. Returns the index to go on from. Nothing is locked
    /// while `visit` runs.
    ///
    /// # Errors
    /// [`EngineError::PastEnd`] if `from` lies behind the end, [`EngineError::Corrupt`] where the
    /// next entry is damaged or missing. All entries visited before are sound.
    fn read(
        &mut self,
        from: u64,
        max_bytes: usize,
        visit: &mut Visit<'_>,
    ) -> Result<u64, EngineError>;

    /// Shows `visit` the newest snapshot that is whole, piece by piece in order, and returns the
    /// index it was taken at. A damaged one is logged and skipped.
    ///
    /// # Errors
    /// If the log cannot be read at all; `visit` may have seen a part of a snapshot then.
    fn latest_snapshot(&mut self, visit: &mut dyn FnMut(&[u8]))
    -> Result<Option<u64>, EngineError>;

    /// The audit value kept beside an entry, unless there was none or it was erased.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] if it is damaged.
    fn audit(&mut self, index: u64) -> Result<Option<Vec<u8>>, EngineError>;
}
