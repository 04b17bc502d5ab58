//! The one row that says where each log ends, written with every append.
//!
//! Without it, one flipped bit in an inner node could hide the end of a log, and the writer would
//! give indices anew. It is one row, not one per log, so that no log can go missing from it
//! unseen, and so that an append to several logs writes one page for all of them: it takes 16
//! octets for each log, and a second page beyond some 250. It must never be taken for true if its
//! checksum does not hold.

use std::path::Path;

use rusqlite::types::FromSqlResult;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::super::ends::{Ends, append_to};
use super::super::{EngineError, LogId, Part};
use super::format::corrupt;
use super::row::{self, Slot};

/// Octets of a slot in the row: its log, its number.
const SLOT_BYTES: usize = 8;

/// Octets of an end in the row: its slot, and the next index.
const END_BYTES: usize = SLOT_BYTES + 8;

/// Where a log's rows lie, and where they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) slot: Slot,
    /// The index after the last entry; never 0.
    pub(super) next: u64,
}

/// Where each log ends, and the epoch of them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) epoch: u64,
    /// By the log's number.
    ends: Vec<End>,
    /// Slots whose logs were removed and whose rows are still to be freed.
    pub(super) forgotten: Vec<Slot>,
}

impl Ends for State {
    fn next_index(&self, log: LogId) -> u64 {
        self.end(log).map_or(0, |end| end.next)
    }

    fn extend(&mut self, log: LogId, entries: u64) {
        match self.ends.binary_search_by_key(&log, |end| end.slot.log) {
            Ok(place) => self.ends[place].next += entries,
            Err(place) => {
                let slot = Slot { log, number: self.free_slot() };
                self.ends.insert(place, End { slot, next: entries });
            }
        }
    }
}

impl State {
    pub(super) fn ends(&self) -> &[End] {
        &self.ends
    }

    /// The end of a log; `None` if it was never seen.
    pub(super) fn end(&self, log: LogId) -> Option<End> {
        let place = self.ends.binary_search_by_key(&log, |end| end.slot.log).ok()?;
        Some(self.ends[place])
    }

    /// The number of entries in all logs.
    pub(super) fn entries(&self) -> u64 {
        self.ends.iter().map(|end| end.next).sum()
    }

    /// The state after an append, if it may be done.
    pub(super) fn after(&self, epoch: u64, parts: &[Part<'_>]) -> Result<Self, EngineError> {
        let mut state = self.clone();
        append_to(&mut state, self.epoch, epoch, parts)?;
        state.epoch = epoch;
        Ok(state)
    }

    /// The lowest slot that no row lies in.
    fn free_slot(&self) -> u32 {
        let taken = self.slots_taken();
        let gap = (0..).zip(&taken).find(|(free, taken)| free != *taken);
        gap.map_or(taken.len() as u32, |(free, _)| free)
    }

    /// The numbers of the slots that rows may lie in, in order.
    fn slots_taken(&self) -> Vec<u32> {
        let slots = self.ends.iter().map(|end| end.slot).chain(self.forgotten.iter().copied());
        let mut numbers: Vec<_> = slots.map(|slot| slot.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The state without a log; `None` if there is no such log.
    pub(super) fn without(&self, log: LogId) -> Option<Self> {
        let mut state = self.clone();
        let place = state.ends.binary_search_by_key(&log, |end| end.slot.log).ok()?;
        state.forgotten.push(state.ends.remove(place).slot);
        Some(state)
    }

    fn encode(&self) -> Encoded {
        let mut ends = Vec::with_capacity(self.ends.len() * END_BYTES);
        for end in &self.ends {
            push_slot(&mut ends, end.slot);
            ends.extend_from_slice(&end.next.to_le_bytes());
        }
        let mut forgotten = Vec::with_capacity(self.forgotten.len() * SLOT_BYTES);
        self.forgotten.iter().for_each(|slot| push_slot(&mut forgotten, *slot));
        let checksum = checksum(self.epoch, &ends, &forgotten);
        Encoded { ends, forgotten, checksum }
    }

    /// Writes the first state into an empty table.
    pub(super) fn insert(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let new = self.encode();
        connection.execute(
            "INSERT INTO state (id, epoch, ends, forgotten, checksum) VALUES (0, ?1, ?2, ?3, ?4)",
            params![self.epoch.cast_signed(), new.ends, new.forgotten, new.checksum],
        )?;
        Ok(())
    }

    /// Replaces `old`; fails if the database does not hold it, since then somebody else wrote.
    pub(super) fn replace(
        &self,
        old: &Self,
        connection: &Connection,
    ) -> Result<(), rusqlite::Error> {
        let new = self.encode();
        let changed = connection
            .prepare_cached(
                "UPDATE state SET epoch = ?1, ends = ?2, forgotten = ?3, checksum = ?4
                 WHERE id = 0 AND epoch = ?5 AND ends = ?6",
            )?
            .execute(params![
                self.epoch.cast_signed(),
                new.ends,
                new.forgotten,
                new.checksum,
                old.epoch.cast_signed(),
                old.encode().ends
            ])?;
        if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
    }

    /// Reads the state.
    pub(super) fn read(connection: &Connection, path: &Path) -> Result<Self, EngineError> {
        let found = connection
            .prepare_cached("SELECT epoch, ends, forgotten, checksum FROM state WHERE id = 0")
            .and_then(|mut query| query.query_row([], |row| Ok(decode(row)?)).optional())
            .map_err(|error| EngineError::from_sqlite(error, "read where the logs end", path))?;
        match found {
            Some(Some(state)) => Ok(state),
            _ => Err(corrupt(path, "the row that says where the logs end", "it is damaged")),
        }
    }

    /// Checks that the last row of each log ends where the state says, and that no row belongs to
    /// a log that it does not know.
    pub(super) fn check(&self, connection: &Connection, path: &Path) -> Result<(), EngineError> {
        let failed = |error| EngineError::from_sqlite(error, "find the logs' last rows", path);
        for End { slot, next } in &self.ends {
            let end = row::end_of(connection, slot.number).map_err(failed)?;
            if end != *next {
                let place = format!("the end of log {}", slot.log);
                let what = format!("the last row ends at index {end}, not at {next}");
                return Err(corrupt(path, &place, &what));
            }
        }
        let taken = self.slots_taken();
        for number in row::slots(connection).map_err(failed)? {
            if taken.binary_search(&number).is_err()
                && row::end_of(connection, number).map_err(failed)? > 0
            {
                let what = format!("rows lie in slot {number}, which no log has");
                return Err(corrupt(path, "the row that says where the logs end", &what));
            }
        }
        Ok(())
    }
}

/// A state as it is stored.
struct Encoded {
    ends: Vec<u8>,
    forgotten: Vec<u8>,
    checksum: u32,
}

fn push_slot(into: &mut Vec<u8>, slot: Slot) {
    into.extend_from_slice(&slot.log.0.to_le_bytes());
    into.extend_from_slice(&slot.number.to_le_bytes());
}

fn checksum(epoch: u64, ends: &[u8], forgotten: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&epoch.to_le_bytes());
    hasher.update(&(ends.len() as u64).to_le_bytes());
    hasher.update(ends);
    hasher.update(forgotten);
    hasher.finalize()
}

/// The stored state; `None` if its checksum does not hold.
fn decode(row: &SqlRow<'_>) -> FromSqlResult<Option<State>> {
    let blob = |column: usize| row.get_ref(column).map_or(Ok(&[][..]), |value| value.as_blob());
    let number = |column: usize| row.get_ref(column).map_or(Ok(0), |value| value.as_i64());
    let (epoch, ends, forgotten) = (number(0)?.cast_unsigned(), blob(1)?, blob(2)?);
    if number(3)? != i64::from(checksum(epoch, ends, forgotten)) {
        return Ok(None);
    }
    let slot = |octets: &[u8; SLOT_BYTES]| {
        let [a, b, c, d, e, f, g, h] = *octets;
        let (log, number) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        Slot { log: LogId(log), number }
    };
    let ends = ends.as_chunks::<SLOT_BYTES>().0.as_chunks::<2>().0;
    let ends =
        ends.iter().map(|[at, next]| End { slot: slot(at), next: u64::from_le_bytes(*next) });
    let forgotten = forgotten.as_chunks::<SLOT_BYTES>().0.iter().map(slot);
    Ok(Some(State { epoch, ends: ends.collect(), forgotten: forgotten.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Batch;

    fn batch(entries: usize) -> Batch {
        let mut batch = Batch::new();
        (0..entries).for_each(|_| batch.push(b"entry", b"").unwrap());
        batch
    }

    #[test]
    fn logs_get_the_lowest_slots_that_are_free() {
        let (one, two) = (batch(1), batch(2));
        let part = |log, expected_next, batch| Part { log: LogId(log), expected_next, batch };
        let parts = [part(9, 0, &one), part(5, 0, &two), part(9, 1, &two)];
        let state = State::default().after(1, &parts).unwrap();
        let ends: Vec<_> = state.ends.iter().map(|end| (end.slot.number, end.next)).collect();
        assert_eq!(ends, [(1, 2), (0, 3)], "in the order of the logs' numbers");
        let state = state.without(LogId(9)).unwrap();
        let state = state.after(1, &[part(7, 0, &one)]).unwrap();
        assert_eq!(state.end(LogId(7)).unwrap().slot.number, 2, "0 holds rows still");
        assert_eq!(state.slots_taken(), [0, 1, 2]);
        let freed = State { forgotten: Vec::new(), ..state };
        let again = freed.after(1, &[part(9, 0, &one)]).unwrap();
        assert_eq!(again.end(LogId(9)).unwrap().slot.number, 0);
    }
}
