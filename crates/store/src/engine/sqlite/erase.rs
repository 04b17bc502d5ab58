//! Erasing audit values, so that no file holds them any more.
//!
//! It must never touch an entry.

use std::ops::Range;

use rusqlite::Connection;

use super::super::batch::{Frames, push_frame};
use super::super::{EngineError, LogId};
use super::row::{self, Row, Slot, Table};
use super::{SqliteEngine, folder, format};

/// Rows of audit values that one transaction erases: bounds its size.
const ERASED_ROWS_PER_TRANSACTION: usize = 64;

impl SqliteEngine {
    /// Erases values from the database; the write-ahead log may still hold them.
    pub(super) fn erase_values(
        &mut self,
        log: LogId,
        indices: Range<u64>,
    ) -> Result<u64, EngineError> {
        let Some(log) = self.state.end(log) else { return Ok(0) };
        let end = indices.end.min(log.next);
        // Overwrites what is deleted; off otherwise, since dropping a snapshot needs none.
        format::set_secure_delete(&self.connection, true)
            .map_err(|error| self.failed(error, "erase audit values"))?;
        let (mut values, mut from) = (0, Some(indices.start).filter(|start| *start < end));
        while let Some(start) = from {
            let (some, next) = self.erase_rows(log.slot, start, end)?;
            values += some;
            from = next;
        }
        format::set_secure_delete(&self.connection, false)
            .map_err(|error| self.failed(error, "erase audit values"))?;
        Ok(values)
    }

    /// Empties the write-ahead log, so that no erased value stays in it.
    pub(super) fn clear_wal(&mut self) -> Result<(), EngineError> {
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

    /// Erases the audit values of up to [`ERASED_ROWS_PER_TRANSACTION`] rows from index `from`
    /// on; returns how many values, and where to go on.
    fn erase_rows(
        &mut self,
        slot: Slot,
        from: u64,
        end: u64,
    ) -> Result<(u64, Option<u64>), EngineError> {
        let erased = self.transaction("erase audit values", |connection| {
            let rows =
                row::load(connection, Table::Audit, slot, from, ERASED_ROWS_PER_TRANSACTION)?;
            let mut values = 0;
            for row in rows.iter().filter(|row| row.first < end && row.end() > from) {
                values += erase_row(connection, slot, row, from..end)?;
            }
            let is_more = rows.len() == ERASED_ROWS_PER_TRANSACTION;
            let reached = rows.last().map_or(end, Row::end);
            Ok((values, (is_more && reached < end).then_some(reached)))
        })?;
        self.checkpoint()?;
        Ok(erased)
    }
}

/// Rewrites a row of audit values without those in `erased`; returns how many there were.
fn erase_row(
    connection: &Connection,
    slot: Slot,
    row: &Row<Vec<u8>>,
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
    row::remove(connection, Table::Audit, slot, (row.first, row.first))?;
    if values_kept > 0 {
        let row = Row { first: row.first, count: row.count, epoch: row.epoch, bytes: &kept[..] };
        row::insert(connection, Table::Audit, slot, row)?;
    }
    Ok(values_erased)
}
