//! The engine: append-only logs of opaque entries, with snapshots of the state they fold into.
//!
//! One engine holds a site's own log and its copies of other sites' logs, so that what a moment
//! brings to several of them becomes durable together. An engine makes an append durable, whole or
//! not at all, and gives back exactly what it made durable, in order. It must never interpret an
//! entry or a log's number, return bytes that fail their checksum, renumber or leave out an index,
//! or claim durability again after a write that failed.
//!
//! # A write that failed is not a write that did not happen
//! When an append fails, its parts may still be found durable, all of them, after reopening: the power
//! may fail after the commit record reached the disk and before the sync returned. So after a
//! failure the caller must drop the engine, open it anew, and compare [`Engine::next_index`] of each
//! log with what it expected. Until then the engine is *poisoned*: it refuses every write and repeats the
//! cause, because a sync that failed cannot be repeated (the operating system has forgotten what
//! it should have written). Readers go on where the disk lets them.

mod batch;
mod ends;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod sqlite;

use std::fmt;
use std::ops::Range;

pub use batch::{BATCH_BYTES_MAX, Batch, BatchError, ENTRY_BYTES_MAX};
pub use error::EngineError;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdEngine, EtcdPlace, EtcdReader};
pub use sqlite::{SqliteEngine, SqliteReader};

/// What [`EngineReader::read`] calls per entry: its index, the epoch it was appended in, and its
/// bytes.
pub type Visit<'a> = dyn FnMut(u64, u64, &[u8]) + 'a;

/// The number of a log within an engine, chosen by the caller; it means nothing to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u32);

impl fmt::Display for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What one append adds to one log.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The log. One that nothing was appended to yet begins with its first entry.
    pub log: LogId,
    /// The index that the first entry shall get.
    pub expected_next: u64,
    /// The entries.
    pub batch: &'a Batch,
}

/// The writing side of the logs; there is one per engine.
pub trait Engine: Send {
    /// The logs that hold an entry, by number.
    fn logs(&self) -> Vec<LogId>;

    /// The index that the next entry of a log gets; indices are dense from 0, where a log begins
    /// that was never seen.
    fn next_index(&self, log: LogId) -> u64;

    /// The highest epoch that anything was appended in, to whichever log; 0 at first.
    fn epoch(&self) -> u64;

    /// Appends to several logs with one transaction and one sync. `Ok` means durable; all entries
    /// of all parts are, or none. Parts of the same log follow one another.
    ///
    /// Without any entry, a higher `epoch` becomes durable, which fences writers of lower ones.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if `epoch` is below the engine's, and [`EngineError::Conflict`] if
    /// an `expected_next` is not its log's next index: nothing was written, the engine goes on.
    /// Any other error poisons the engine; whether the parts are durable is known after reopening.
    fn append(&mut self, epoch: u64, parts: &[Part<'_>]) -> Result<(), EngineError>;

    /// Saves a fold of all logs. `tag` is the caller's mark of how far the fold goes, such as the
    /// sum of all next indices, and higher with each snapshot. Of the snapshots, those with the
    /// two highest tags are kept; one of the same tag is replaced.
    ///
    /// # Errors
    /// [`EngineError::SnapshotPastEnd`] if `tag` exceeds the number of entries in all logs, so
    /// that it can mark no fold of them; any other error poisons the engine.
    fn save_snapshot(&mut self, tag: u64, bytes: &[u8]) -> Result<(), EngineError>;

    /// Drops all snapshots, durably: for a caller that found that the fold must begin anew.
    ///
    /// # Errors
    /// Any error poisons the engine.
    fn drop_snapshots(&mut self) -> Result<(), EngineError>;

    /// Removes a log, durably, and with it all snapshots, since they fold it; the next append to
    /// it begins at index 0. It is for a copy of another site's log that turned out to be wrong
    /// and is fetched anew, and must never be called for the site's own log, whose entries others
    /// were promised.
    ///
    /// The room of its entries is freed bit by bit by [`Engine::maintain`]. Until that room is
    /// used again, their bytes may stay in the file: what must not, an audit value, has to be
    /// [erased](Engine::erase_audit) before. A reader of the log meets its end.
    ///
    /// # Errors
    /// Any error poisons the engine.
    fn forget_log(&mut self, log: LogId) -> Result<(), EngineError>;

    /// Erases the audit values of a log's entries in `indices`; returns how many there were. When
    /// it returns, no file of the engine holds them.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if a reader still holds on to old pages: call again. Any other error
    /// poisons the engine.
    fn erase_audit(&mut self, log: LogId, indices: Range<u64>) -> Result<u64, EngineError>;

    /// Does housekeeping that is due, in bounded steps, and nothing if none is. To be called when
    /// nobody waits, as after a batch is acknowledged; an append does what can no longer be put
    /// off itself.
    ///
    /// # Errors
    /// Any error poisons the engine; everything acknowledged so far is durable.
    fn maintain(&mut self) -> Result<(), EngineError>;

    /// A reader with a connection of its own, for another thread.
    ///
    /// # Errors
    /// [`EngineError::Io`] and the like if the database cannot be opened once more.
    fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError>;
}

/// A reading side of the logs. It sees durable entries only, and never holds up the writer.
pub trait EngineReader: Send {
    /// The durable ends of all logs at one moment, by number: each is the index after the last
    /// entry.
    ///
    /// # Errors
    /// If the logs cannot be read or are corrupt.
    fn ends(&mut self) -> Result<Vec<(LogId, u64)>, EngineError>;

    /// The logs that hold an entry, by number.
    ///
    /// # Errors
    /// As [`EngineReader::ends`].
    fn logs(&mut self) -> Result<Vec<LogId>, EngineError> {
        Ok(self.ends()?.into_iter().map(|(log, _)| log).collect())
    }

    /// The durable end of a log: the index after the last entry, 0 if it was never seen.
    ///
    /// # Errors
    /// As [`EngineReader::ends`].
    fn next_index(&mut self, log: LogId) -> Result<u64, EngineError>;

    /// Visits entries of a log from index `from` on, in order: at least one if there is one, and
    /// about `max_bytes` bytes of them at most. Returns the index to go on from. Nothing is locked
    /// while `visit` runs.
    ///
    /// # Errors
    /// [`EngineError::PastEnd`] if `from` lies behind the end, [`EngineError::Corrupt`] where the
    /// next entry is damaged or missing. All entries visited before are sound.
    fn read(
        &mut self,
        log: LogId,
        from: u64,
        max_bytes: usize,
        visit: &mut Visit<'_>,
    ) -> Result<u64, EngineError>;

    /// Shows `visit` the newest snapshot that is whole, piece by piece in order, and returns its
    /// tag. A damaged one is logged and skipped.
    ///
    /// # Errors
    /// If snapshots cannot be read at all; `visit` may have seen a part of one then.
    fn latest_snapshot(&mut self, visit: &mut dyn FnMut(&[u8]))
    -> Result<Option<u64>, EngineError>;

    /// The audit value kept beside an entry of a log, unless there was none or it was erased.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] if it is damaged.
    fn audit(&mut self, log: LogId, index: u64) -> Result<Option<Vec<u8>>, EngineError>;
}
