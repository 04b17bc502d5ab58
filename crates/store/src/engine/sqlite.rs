//! The embedded engine: logs in one SQLite database, in WAL mode with `synchronous=FULL`.
//!
//! One row holds a run of entries with a checksum of its own, since SQLite has none per page. A
//! row of the log is never rewritten or moved; only audit values (in rows beside it) can be
//! erased. It must never answer `Ok` before SQLite has synced the commit, and never write again
//! after a failure: see the parent module.
//!
//! # A hole that is known
//! Linux forgets what a failed sync should have written but still shows it to readers. If a sync
//! fails, the engine is reopened without a restart of the machine, and the power fails while the
//! recovered write-ahead log is copied into the database, the copy can be torn without a log to
//! repair it. Opening copies the whole log at once, so that the gap is milliseconds; damage in it
//! is found by the checksums and repaired from a peer.
//!
//! The same holds for a damaged *last* transaction of the write-ahead log: SQLite takes it for
//! one that was never committed, so the logs end before it. Whoever has signed or been promised
//! more than [`Engine::next_index`] (checkpoints, cosignatures) must compare it at start.

mod erase;
mod folder;
mod forget;
mod format;
mod reader;
mod row;
mod snapshot;
mod state;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

pub use self::reader::SqliteReader;
pub use self::snapshot::SNAPSHOTS_KEPT;

use self::folder::FolderLock;
use self::format::PAGE_BYTES;
use self::row::{Row, Table};
use self::state::State;
use super::ends::Ends as _;
use super::{Engine, EngineError, EngineReader, LogId, Part};

/// The most entry bytes of one row: bounds what a reader loads, and what one bad bit can cost.
const ROW_BYTES_MAX: usize = 1 << 20;

/// The most entries of one row.
const ROW_ENTRIES_MAX: usize = 4096;

/// Pages in the write-ahead log from which [`Engine::maintain`] copies them into the database.
const CHECKPOINT_DUE_PAGES: u64 = 1000;

/// Pages in the write-ahead log from which an append copies them itself.
const CHECKPOINT_FORCED_PAGES: u64 = 4000;

/// Pages that a transaction writes beside its rows' bytes: the state, and leaves and inner nodes
/// of one log's tables.
const TRANSACTION_PAGES: u64 = 4;

/// Leaves and inner nodes that a transaction writes for each further log.
const LOG_PAGES: u64 = 3;

/// Where the logs lie: a database file, on the system's disk or on another SQLite VFS.
#[derive(Clone, Debug)]
struct Place {
    database: PathBuf,
    vfs: Option<String>,
}

/// The writing side of the logs in SQLite.
pub struct SqliteEngine {
    // Before the lock, so that it is closed before another process may come in.
    connection: Connection,
    place: Place,
    state: State,
    /// The first failed write.
    poison: Option<Arc<EngineError>>,
    /// Pages that the write-ahead log holds beyond the database, estimated from above.
    wal_pages: u64,
    /// Whether the room of forgotten logs is left alone, since a row there is damaged.
    is_freeing_stopped: bool,
    _lock: Option<FolderLock>,
}

impl SqliteEngine {
    /// Opens the logs in `folder`, creating both if need be, and locks the folder.
    ///
    /// # Errors
    /// [`EngineError::Locked`] if another process has it, [`EngineError::NewerFormat`],
    /// [`EngineError::OlderFormat`], [`EngineError::NotALog`], [`EngineError::Corrupt`], or the disk's failures.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        folder::create(folder)?;
        let lock = FolderLock::acquire(folder)?;
        let place = Place { database: format::database_in(folder), vfs: None };
        let engine = Self::open_place(place, Some(lock))?;
        folder::sync(folder)?;
        folder::preallocate_wal(&engine.place.database)?;
        Ok(engine)
    }

    /// Opens the logs in `folder` of another SQLite VFS, such as a simulated disk. Such a folder
    /// is not locked: it belongs to one process anyway.
    ///
    /// # Errors
    /// As [`SqliteEngine::open`].
    pub fn open_on(vfs: &str, folder: &Path) -> Result<Self, EngineError> {
        let database = format::database_in(folder);
        Self::open_place(Place { database, vfs: Some(vfs.to_owned()) }, None)
    }

    fn open_place(place: Place, lock: Option<FolderLock>) -> Result<Self, EngineError> {
        let (connection, state) = format::open_writer(&place)?;
        let mut engine = Self {
            connection,
            place,
            state,
            poison: None,
            wal_pages: 0,
            is_freeing_stopped: false,
            _lock: lock,
        };
        // What an earlier process wrote without a sync that succeeded becomes durable here.
        engine.checkpoint()?;
        engine.start_wal_over()?;
        Ok(engine)
    }

    /// Runs one write; a failure poisons the engine.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if let Some(cause) = &self.poison {
            return Err(EngineError::Poisoned { cause: Arc::clone(cause) });
        }
        write(self).map_err(|error| self.poison_with(error))
    }

    /// Poisons the engine; returns the same failure to report now.
    fn poison_with(&mut self, error: EngineError) -> EngineError {
        tracing::error!(log = %self.place.database.display(), %error, "the log takes no more writes");
        self.poison = Some(Arc::new(error.clone()));
        error
    }

    /// Runs `body` in one transaction and makes it durable.
    fn transaction<T>(
        &self,
        doing: &'static str,
        body: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, EngineError> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]);
        let result = run("BEGIN IMMEDIATE")
            .and_then(|_| body(&self.connection))
            .and_then(|value| run("COMMIT").map(|_| value));
        result.map_err(|error| {
            // The engine writes no more, so what a failed rollback leaves behind stays unseen.
            if !self.connection.is_autocommit() && run("ROLLBACK").is_err() {
                tracing::warn!("the failed transaction could not be rolled back");
            }
            EngineError::from_sqlite(error, doing, &self.place.database)
        })
    }

    fn append_rows(&mut self, state: State, parts: &[Part<'_>]) -> Result<(), EngineError> {
        let mut bytes = 0;
        self.transaction("append", |connection| {
            for part in parts {
                bytes += append_part(connection, &self.state, &state, part)?;
            }
            state.replace(&self.state, connection)
        })?;
        self.state = state;
        self.wal_pages +=
            bytes as u64 / PAGE_BYTES + TRANSACTION_PAGES + LOG_PAGES * parts.len() as u64;
        Ok(())
    }

    /// Copies the write-ahead log into the database, without waiting for readers. Once all of it
    /// is copied, the next write starts it over.
    fn checkpoint(&mut self) -> Result<(), EngineError> {
        let (logged, copied) = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
            .and_then(|mut pragma| pragma.query_row([], |row| Ok((row.get(1)?, row.get(2)?))))
            .map(|(logged, copied): (i64, i64)| (logged.max(0), copied.max(0)))
            .map_err(|error| self.failed(error, "copy the write-ahead log"))?;
        self.wal_pages = logged.saturating_sub(copied).unsigned_abs();
        Ok(())
    }

    /// Makes the write-ahead log begin anew on disk, by writing the format's mark again. Until then
    /// what lies there still counts: frames that a failed sync kept from the disk would be missing
    /// from it after a power cut, and older ones before them would hide what was copied.
    fn start_wal_over(&mut self) -> Result<(), EngineError> {
        format::write_mark(&self.connection)
            .map_err(|error| self.failed(error, "start the write-ahead log over"))?;
        self.wal_pages += TRANSACTION_PAGES;
        Ok(())
    }

    fn failed(&self, error: rusqlite::Error, doing: &'static str) -> EngineError {
        EngineError::from_sqlite(error, doing, &self.place.database)
    }
}

/// Inserts the rows of one part; returns their bytes.
fn append_part(
    connection: &Connection,
    before: &State,
    after: &State,
    part: &Part<'_>,
) -> Result<usize, rusqlite::Error> {
    // Without entries, the log may not have begun.
    let Some(end) = after.end(part.log) else { return Ok(0) };
    if before.end(part.log).is_none() {
        row::create_tables(connection, end.slot)?;
    }
    let (mut first, mut bytes) = (part.expected_next, 0);
    for run in part.batch.runs(ROW_BYTES_MAX, ROW_ENTRIES_MAX) {
        let row = |bytes| Row { first, count: run.count as u32, epoch: after.epoch, bytes };
        row::insert(connection, Table::Log, end.slot, row(run.entries))?;
        if !run.audit.is_empty() {
            row::insert(connection, Table::Audit, end.slot, row(run.audit))?;
        }
        first += run.count as u64;
        bytes += run.entries.len() + run.audit.len();
    }
    assert_eq!(first, part.expected_next + part.batch.len() as u64, "its rows cover a batch");
    Ok(bytes)
}

impl Engine for SqliteEngine {
    fn logs(&self) -> Vec<LogId> {
        self.state.ends().iter().map(|end| end.slot.log).collect()
    }

    fn next_index(&self, log: LogId) -> u64 {
        self.state.next_index(log)
    }

    fn epoch(&self) -> u64 {
        self.state.epoch
    }

    fn append(&mut self, epoch: u64, parts: &[Part<'_>]) -> Result<(), EngineError> {
        let state = self.state.after(epoch, parts)?;
        self.write(|engine| {
            if state == engine.state {
                return Ok(());
            }
            engine.append_rows(state, parts)
        })?;
        if self.wal_pages >= CHECKPOINT_FORCED_PAGES {
            // The parts are durable whatever comes of this; a failure shows at the next write.
            if let Err(error) = self.checkpoint() {
                self.poison_with(error);
            }
        }
        Ok(())
    }

    fn save_snapshot(&mut self, tag: u64, bytes: &[u8]) -> Result<(), EngineError> {
        let entries = self.state.entries();
        if tag > entries {
            return Err(EngineError::SnapshotPastEnd { tag, entries });
        }
        self.write(|engine| engine.write_snapshot(tag, bytes))
    }

    fn drop_snapshots(&mut self) -> Result<(), EngineError> {
        self.write(|engine| {
            engine.transaction("drop the snapshots", snapshot::drop_all)?;
            engine.checkpoint()
        })
    }

    fn forget_log(&mut self, log: LogId) -> Result<(), EngineError> {
        self.write(|engine| engine.hide_log(log))
    }

    fn erase_audit(&mut self, log: LogId, indices: Range<u64>) -> Result<u64, EngineError> {
        let values = self.write(|engine| engine.erase_values(log, indices))?;
        match self.clear_wal() {
            Err(error @ EngineError::Busy { .. }) => Err(error),
            Err(error) => Err(self.poison_with(error)),
            Ok(()) => Ok(values),
        }
    }

    fn maintain(&mut self) -> Result<(), EngineError> {
        self.write(|engine| {
            if engine.wal_pages >= CHECKPOINT_DUE_PAGES {
                engine.checkpoint()?;
            }
            engine.free_some()
        })
    }

    fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError> {
        Ok(Box::new(SqliteReader::open_place(&self.place)?))
    }
}
