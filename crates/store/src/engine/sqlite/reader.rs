//! The reading side of the logs in SQLite, also for a verifier in another process.
//!
//! It must never hold a read transaction while its caller works: that would keep the write-ahead
//! log from being started over.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::super::batch::{FRAME_BYTES, Frames};
use super::super::ends::Ends as _;
use super::super::{EngineError, EngineReader, LogId, Visit};
use super::Place;
use super::format::{self, corrupt};
use super::row::{self, Slot, Table};
use super::state::State;

/// Rows of audit values checked in one read transaction.
const AUDIT_ROWS_AT_ONCE: usize = 256;

/// A reader with its own read-only connection.
pub struct SqliteReader {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// The rows of the present read; kept for its memory.
    rows: Vec<LoadedRow>,
    bytes: Vec<u8>,
}

struct LoadedRow {
    first: u64,
    epoch: u64,
    /// Where its values end in the buffer.
    end: usize,
}

impl SqliteReader {
    /// Opens the logs in `folder` for reading, beside a node that may run on it.
    ///
    /// # Errors
    /// [`EngineError::Io`] if there is none, [`EngineError::NewerFormat`],
    /// [`EngineError::OlderFormat`], [`EngineError::NotALog`], [`EngineError::Corrupt`], or the disk's failures.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        Self::open_place(&Place { database: format::database_in(folder), vfs: None })
    }

    /// Checks the audit values of all logs, which no fold and no answer ever reads.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] where one is damaged.
    pub fn check_audit(&mut self) -> Result<(), EngineError> {
        let state = State::read(&self.connection, &self.path)?;
        state.ends().iter().try_for_each(|end| self.check_audit_in(end.slot))
    }

    fn check_audit_in(&self, slot: Slot) -> Result<(), EngineError> {
        let mut from = 0;
        loop {
            let (mut end, mut left) = (from, AUDIT_ROWS_AT_ONCE);
            row::each(&self.connection, Table::Audit, slot, from, |row| {
                end = row.end();
                left -= 1;
                left > 0
            })
            .map_err(|error| self.failed(error, "read the audit values"))?;
            if end == from {
                return Ok(());
            }
            from = end;
        }
    }

    pub(super) fn open_place(place: &Place) -> Result<Self, EngineError> {
        Ok(Self {
            connection: format::open_reader(place)?,
            path: place.database.clone(),
            rows: Vec::new(),
            bytes: Vec::new(),
        })
    }

    pub(super) fn failed(&self, error: rusqlite::Error, doing: &'static str) -> EngineError {
        match row::damaged_at(&error) {
            Some(row::Damaged { log, first }) => corrupt(
                &self.path,
                &format!("the row of log {log} that begins at index {first}"),
                "its checksum does not hold",
            ),
            None => EngineError::from_sqlite(error, doing, &self.path),
        }
    }

    /// Loads sound rows of a log from the one that holds `from` on, about `max_bytes` of them. A damaged
    /// or missing row is an error only if nothing comes before it.
    fn load(&mut self, log: LogId, from: u64, max_bytes: usize) -> Result<(), EngineError> {
        const DOING: &str = "read the log";
        self.rows.clear();
        self.bytes.clear();
        let snapshot =
            self.connection.unchecked_transaction().map_err(|error| self.failed(error, DOING))?;
        let (slot, next) = match State::read(&snapshot, &self.path)?.end(log) {
            Some(end) if from < end.next => (end.slot, end.next),
            end => {
                let next = end.map_or(0, |end| end.next);
                let past_end = EngineError::PastEnd { log, asked: from, next };
                return if from == next { Ok(()) } else { Err(past_end) };
            }
        };
        // The index that the next row must begin with, once the first one is known.
        let mut reached = None;
        let (rows, bytes) = (&mut self.rows, &mut self.bytes);
        let result = row::each(&snapshot, Table::Log, slot, from, |row| {
            let end = row.end();
            let fits = match reached {
                None => row.first <= from && from < end,
                Some(reached) => row.first == reached,
            };
            if !fits || end > next {
                return false;
            }
            bytes.extend_from_slice(row.bytes);
            rows.push(LoadedRow { first: row.first, epoch: row.epoch, end: bytes.len() });
            reached = Some(end);
            bytes.len() < max_bytes
        });
        drop(snapshot);
        match (result, reached) {
            (_, Some(_)) => Ok(()),
            (Err(error), None) => Err(self.failed(error, DOING)),
            (Ok(()), None) => {
                let place = format!("index {from} of log {log}");
                let what = format!("no row holds it, although the log goes on to {next}");
                Err(corrupt(&self.path, &place, &what))
            }
        }
    }
}

impl EngineReader for SqliteReader {
    fn ends(&mut self) -> Result<Vec<(LogId, u64)>, EngineError> {
        let state = State::read(&self.connection, &self.path)?;
        Ok(state.ends().iter().map(|end| (end.slot.log, end.next)).collect())
    }

    fn next_index(&mut self, log: LogId) -> Result<u64, EngineError> {
        Ok(State::read(&self.connection, &self.path)?.next_index(log))
    }

    fn read(
        &mut self,
        log: LogId,
        from: u64,
        max_bytes: usize,
        visit: &mut Visit<'_>,
    ) -> Result<u64, EngineError> {
        self.load(log, from, max_bytes)?;
        let (mut next, mut begin, mut visited) = (from, 0, 0);
        for row in &self.rows {
            let mut frames = Frames::new(&self.bytes[begin..row.end]);
            for (index, entry) in (row.first..).zip(&mut frames) {
                if index < from {
                    continue;
                }
                if visited > 0 && visited + entry.len() > max_bytes {
                    return Ok(next);
                }
                visit(index, row.epoch, entry);
                visited += entry.len() + FRAME_BYTES;
                next = index + 1;
            }
            debug_assert!(frames.is_done(), "a row whose checksum holds is well framed");
            begin = row.end;
        }
        Ok(next)
    }

    fn latest_snapshot(
        &mut self,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<u64>, EngineError> {
        self.visit_latest_snapshot(visit)
    }

    fn audit(&mut self, log: LogId, index: u64) -> Result<Option<Vec<u8>>, EngineError> {
        const DOING: &str = "read an audit value";
        let view =
            self.connection.unchecked_transaction().map_err(|error| self.failed(error, DOING))?;
        let end = State::read(&view, &self.path)?.end(log).filter(|end| index < end.next);
        let Some(end) = end else { return Ok(None) };
        let rows = row::load(&view, Table::Audit, end.slot, index, 1)
            .map_err(|error| self.failed(error, DOING))?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Frames::audit_value(&row.bytes, row.first, index))
    }
}
