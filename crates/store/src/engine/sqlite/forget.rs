//! Removing a log: hidden at once in one transaction, its room freed in bounded steps.
//!
//! It must never free a page that a damaged row claims: that page may be another log's.

use super::super::{EngineError, LogId};
use super::format::PAGE_BYTES;
use super::row::{self, Table};
use super::state::State;
use super::{SqliteEngine, TRANSACTION_PAGES, snapshot};

/// The bytes of rows that one step frees: bounds how long the next append waits.
const FREED_BYTES: usize = 4 << 20;

/// The rows that one step frees.
const FREED_ROWS: usize = 1000;

impl SqliteEngine {
    /// Makes a log one that was never seen; its rows stay in a slot that no log gets.
    pub(super) fn hide_log(&mut self, log: LogId) -> Result<(), EngineError> {
        let Some(state) = self.state.without(log) else { return Ok(()) };
        self.transaction("forget a log", |connection| {
            snapshot::drop_all(connection)?;
            state.replace(&self.state, connection)
        })?;
        self.state = state;
        self.wal_pages += TRANSACTION_PAGES;
        Ok(())
    }

    /// Frees some rows of a forgotten log, and its slot with the last of them.
    ///
    /// Each row is checked before, since SQLite frees the pages that a row points to, unseen. A
    /// damaged one leaves the room of the log unused, which harms nobody.
    pub(super) fn free_some(&mut self) -> Result<(), EngineError> {
        const DOING: &str = "free the room of a forgotten log";
        let Some(slot) = self.state.forgotten.last().copied() else { return Ok(()) };
        if self.is_freeing_stopped {
            return Ok(());
        }
        let freed = [Table::Audit, Table::Log].into_iter().find_map(|table| {
            let (mut bytes, mut rows, mut last) = (0, 0, None);
            let seen = row::each(&self.connection, table, slot, 0, |row| {
                last = Some(row.first);
                bytes += row.bytes.len();
                rows += 1;
                rows < FREED_ROWS && bytes < FREED_BYTES
            });
            match (seen, last) {
                (_, Some(last)) => Some(Ok((table, last, bytes))),
                (Err(error), None) => Some(Err(error)),
                (Ok(()), None) => None,
            }
        });
        match freed {
            Some(Ok((table, last, bytes))) => {
                self.transaction(DOING, |connection| {
                    row::remove(connection, table, slot, (0, last))
                })?;
                self.wal_pages += bytes as u64 / PAGE_BYTES + TRANSACTION_PAGES;
            }
            Some(Err(error)) => match self.failed(error, DOING) {
                EngineError::Corrupt { what, .. } => {
                    tracing::warn!(log = %slot.log, %what, "room of a forgotten log stays unused");
                    self.is_freeing_stopped = true;
                }
                error => return Err(error),
            },
            None => {
                let mut state: State = self.state.clone();
                state.forgotten.pop();
                self.transaction(DOING, |connection| state.replace(&self.state, connection))?;
                self.state = state;
                self.wal_pages += TRANSACTION_PAGES;
            }
        }
        Ok(())
    }
}
