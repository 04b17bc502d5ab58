//! The embedded engine: a log in one SQLite database, in WAL mode with `synchronous=FULL`.
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
//! one that was never committed, so the log ends before it. Whoever has signed or been promised
//! more than [`Engine::next_index`] (checkpoints, cosignatures) must compare it at start.

mod folder;
mod format;
mod reader;
mod row;
mod snapshot;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

pub use self::reader::SqliteReader;
pub use self::snapshot::SNAPSHOTS_KEPT;

use self::folder::FolderLock;
use self::format::{PAGE_BYTES, State};
use super::batch::{Frames, push_frame};
use super::{Batch, Engine, EngineError, EngineReader};

/// The most entry bytes of one row: bounds what a reader loads, and what one bad bit can cost.
const ROW_BYTES_MAX: usize = 1 << 20;

/// The most entries of one row.
const ROW_ENTRIES_MAX: usize = 4096;

/// Pages in the write-ahead log from which [`Engine::maintain`] copies them into the database.
const CHECKPOINT_DUE_PAGES: u64 = 1000;

/// Pages in the write-ahead log from which an append copies them itself.
const CHECKPOINT_FORCED_PAGES: u64 = 4000;

/// Pages that a transaction writes beside its rows' bytes: the state, and leaves and inner nodes
/// of the tables.
const TRANSACTION_PAGES: u64 = 4;

/// Rows of audit values that one transaction erases: bounds its size.
const ERASED_ROWS_PER_TRANSACTION: usize = 64;

/// Where a log lies: a database file, on the system's disk or on another SQLite VFS.
#[derive(Clone, Debug)]
struct Place {
    database: PathBuf,
    vfs: Option<String>,
}

/// The writing side of a log in SQLite.
pub struct SqliteEngine {
    // Before the lock, so that it is closed before another process may come in.
    connection: Connection,
    place: Place,
    state: State,
    /// The first failed write.
    poison: Option<Arc<EngineError>>,
    /// Pages that the write-ahead log holds beyond the database, estimated from above.
    wal_pages: u64,
    _lock: Option<FolderLock>,
}

impl SqliteEngine {
    /// Opens the log in `folder`, creating both if need be, and locks the folder.
    ///
    /// # Errors
    /// [`EngineError::Locked`] if another process has it, [`EngineError::NewerFormat`],
    /// [`EngineError::NotALog`], [`EngineError::Corrupt`], or the disk's failures.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        folder::create(folder)?;
        let lock = FolderLock::acquire(folder)?;
        let place = Place { database: format::database_in(folder), vfs: None };
        let engine = Self::open_place(place, Some(lock))?;
        folder::sync(folder)?;
        folder::preallocate_wal(&engine.place.database)?;
        Ok(engine)
    }

    /// Opens the log in `folder` of another SQLite VFS, such as a simulated disk. Such a folder
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
        let mut engine = Self { connection, place, state, poison: None, wal_pages: 0, _lock: lock };
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

    fn append_rows(&mut self, epoch: u64, batch: &Batch) -> Result<(), EngineError> {
        let next = self.state.next + batch.len() as u64;
        let state = State { next, epoch };
        let mut bytes = 0;
        self.transaction("append", |connection| {
            let mut first = self.state.next;
            for run in batch.runs(ROW_BYTES_MAX, ROW_ENTRIES_MAX) {
                row::insert(connection, row::LOG, first, run.count, epoch, run.entries)?;
                if !run.audit.is_empty() {
                    row::insert(connection, row::AUDIT, first, run.count, epoch, run.audit)?;
                }
                first += run.count as u64;
                bytes += run.entries.len() + run.audit.len();
            }
            assert_eq!(first, next, "the rows of a batch cover it");
            state.replace(&self.state, connection)
        })?;
        self.state = state;
        self.wal_pages += bytes as u64 / PAGE_BYTES + TRANSACTION_PAGES;
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

    /// Empties the write-ahead log, so that no erased value stays in it.
    fn clear_wal(&mut self) -> Result<(), EngineError> {
        const DOING: &str = "clear the write-ahead log of erased values";
        let blocked: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| self.failed(error, DOING))?;
        if blocked != 0 {
            return Err(EngineError::Busy { doing: DOING, path: self.place.database.clone() });
        }
        self.wal_pages = 0;
        if self.place.vfs.is_none() {
            folder::preallocate_wal(&self.place.database)?;
        }
        Ok(())
    }

    fn failed(&self, error: rusqlite::Error, doing: &'static str) -> EngineError {
        EngineError::from_sqlite(error, doing, &self.place.database)
    }

    /// Erases the audit values of up to [`ERASED_ROWS_PER_TRANSACTION`] rows from index `from`
    /// on; returns how many values, and where to go on.
    fn erase_rows(&mut self, from: u64, end: u64) -> Result<(u64, Option<u64>), EngineError> {
        let erased = self.transaction("erase audit values", |connection| {
            let rows = row::load(connection, row::AUDIT, from, ERASED_ROWS_PER_TRANSACTION)?;
            let mut values = 0;
            for row in rows.iter().filter(|row| row.first < end && row.end() > from) {
                values += erase_row(connection, row, from..end)?;
            }
            let is_more = rows.len() == ERASED_ROWS_PER_TRANSACTION;
            let reached = rows.last().map_or(end, row::Row::end);
            Ok((values, (is_more && reached < end).then_some(reached)))
        })?;
        self.checkpoint()?;
        Ok(erased)
    }
}

/// Rewrites a row of audit values without those in `erased`; returns how many there were.
fn erase_row(
    connection: &Connection,
    row: &row::Row<Vec<u8>>,
    erased: Range<u64>,
) -> Result<u64, rusqlite::Error> {
    let mut kept = Vec::with_capacity(row.bytes.len());
    let (mut values_erased, mut values_kept) = (0, 0);
    for (index, value) in (row.first..).zip(Frames::new(&row.bytes)) {
        let is_erased = erased.contains(&index);
        let count = if is_erased { &mut values_erased } else { &mut values_kept };
        *count += u64::from(!value.is_empty());
        push_frame(&mut kept, if is_erased { &[] } else { value });
    }
    row::remove(connection, row::AUDIT, row.first)?;
    if values_kept > 0 {
        row::insert(connection, row::AUDIT, row.first, row.count as usize, row.epoch, &kept)?;
    }
    Ok(values_erased)
}

impl Engine for SqliteEngine {
    fn next_index(&self) -> u64 {
        self.state.next
    }

    fn epoch(&self) -> u64 {
        self.state.epoch
    }

    fn append(&mut self, expected_next: u64, epoch: u64, batch: &Batch) -> Result<(), EngineError> {
        if epoch < self.state.epoch {
            return Err(EngineError::Fenced { offered: epoch, stored: self.state.epoch });
        }
        if expected_next != self.state.next {
            return Err(EngineError::Conflict { expected: expected_next, actual: self.state.next });
        }
        self.write(|engine| {
            if batch.is_empty() && epoch == engine.state.epoch {
                return Ok(());
            }
            engine.append_rows(epoch, batch)
        })?;
        if self.wal_pages >= CHECKPOINT_FORCED_PAGES {
            // The batch is durable whatever comes of this; a failure shows at the next write.
            if let Err(error) = self.checkpoint() {
                self.poison_with(error);
            }
        }
        Ok(())
    }

    fn save_snapshot(&mut self, at_index: u64, bytes: &[u8]) -> Result<(), EngineError> {
        if at_index > self.state.next {
            return Err(EngineError::PastEnd { asked: at_index, next: self.state.next });
        }
        self.write(|engine| engine.write_snapshot(at_index, bytes))
    }

    fn erase_audit(&mut self, indices: Range<u64>) -> Result<u64, EngineError> {
        let result = self.write(|engine| {
            // Overwrites what is deleted; off otherwise, since dropping a snapshot needs none.
            format::set_secure_delete(&engine.connection, true)
                .map_err(|error| engine.failed(error, "erase audit values"))?;
            let (mut values, mut from) = (0, Some(indices.start));
            while let Some(start) = from {
                let (some, next) = engine.erase_rows(start, indices.end)?;
                values += some;
                from = next;
            }
            format::set_secure_delete(&engine.connection, false)
                .map_err(|error| engine.failed(error, "erase audit values"))?;
            Ok(values)
        })?;
        match self.clear_wal() {
            Err(error @ EngineError::Busy { .. }) => Err(error),
            Err(error) => Err(self.poison_with(error)),
            Ok(()) => Ok(result),
        }
    }

    fn maintain(&mut self) -> Result<(), EngineError> {
        self.write(|engine| {
            if engine.wal_pages < CHECKPOINT_DUE_PAGES {
                return Ok(());
            }
            engine.checkpoint()
        })
    }

    fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError> {
        Ok(Box::new(SqliteReader::open_place(&self.place)?))
    }
}
