//! Rows of the logs and of their audit values: a run of framed values under one checksum.
//!
//! The rows of a log lie in a *slot*: two tables of their own, whose number the state gives. So
//! every log is appended to at the end of a tree, which fills its pages. Measured with three logs
//! in one append, a table for all of them, keyed by slot and index in one integer, takes 1.2 times
//! as long for single entries and 1.1 times for 256 (leaves in the middle are split and evened
//! out); keyed by two columns 1.25 and 1.6 times. With one log, all are alike but the last.
//!
//! It must never hand out bytes whose checksum does not hold.

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Row as SqlRow, params};
use thiserror::Error as ThisError;

use super::super::LogId;

/// Where the rows of a log lie. The log is under each row's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) log: LogId,
    pub(super) number: u32,
}

/// The tables of a slot. Each statement is prepared once per connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    /// The entries.
    Log,
    /// The audit values, aligned with the rows of the entries; a row without values is left out.
    Audit,
}

impl Table {
    /// The table's name but for the slot's number.
    const fn name(self) -> &'static str {
        match self {
            Self::Log => "log_",
            Self::Audit => "audit_",
        }
    }
}

/// Creates the tables of a slot, if it never had them.
pub(super) fn create_tables(connection: &Connection, slot: Slot) -> Result<(), Error> {
    for table in [Table::Log, Table::Audit] {
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {}{} (
                 first INTEGER PRIMARY KEY,
                 count INTEGER NOT NULL,
                 epoch INTEGER NOT NULL,
                 checksum INTEGER NOT NULL,
                 bytes BLOB NOT NULL
             ) STRICT;",
            table.name(),
            slot.number
        ))?;
    }
    Ok(())
}

/// A row that is damaged.
#[derive(Debug, ThisError)]
#[error("the row of log {log} that begins at index {first} fails its checksum")]
pub(super) struct Damaged {
    pub(super) log: LogId,
    pub(super) first: u64,
}

/// A row whose checksum holds.
pub(super) struct Row<B> {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) epoch: u64,
    pub(super) bytes: B,
}

impl<B> Row<B> {
    /// The index after the row's last entry.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }
}

/// CRC-32 over a row. It finds every error of up to 32 neighbouring bits, and others but for one
/// in 4 billion, at a fraction of the cost of a cryptographic hash; against forgery the ledger's
/// tree guards, not the engine.
fn checksum(log: LogId, first: u64, count: u32, epoch: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&log.0.to_le_bytes());
    hasher.update(&first.to_le_bytes());
    hasher.update(&count.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

pub(super) fn insert(
    connection: &Connection,
    table: Table,
    slot: Slot,
    row: Row<&[u8]>,
) -> Result<(), Error> {
    let Row { first, count, epoch, bytes } = row;
    assert!(count > 0 && count <= super::ROW_ENTRIES_MAX as u32, "a row holds {count} entries");
    connection
        .prepare_cached(&format!(
            "INSERT INTO {}{} (first, count, epoch, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            table.name(),
            slot.number
        ))?
        .execute(params![
            first.cast_signed(),
            count,
            epoch.cast_signed(),
            checksum(slot.log, first, count, epoch, bytes),
            bytes
        ])?;
    Ok(())
}

/// Removes the rows that begin in a range of indices, its last one included.
pub(super) fn remove(
    connection: &Connection,
    table: Table,
    slot: Slot,
    (first, last): (u64, u64),
) -> Result<(), Error> {
    connection
        .prepare_cached(&format!(
            "DELETE FROM {}{} WHERE first BETWEEN ?1 AND ?2",
            table.name(),
            slot.number
        ))?
        .execute([first.cast_signed(), last.cast_signed()])?;
    Ok(())
}

/// The index after the last entry in a slot; 0 if there is none.
pub(super) fn end_of(connection: &Connection, slot: u32) -> Result<u64, Error> {
    let log = Table::Log.name();
    let last = connection
        .query_row(
            &format!("SELECT first, count FROM {log}{slot} ORDER BY first DESC LIMIT 1"),
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)),
        )
        .optional()?;
    Ok(last.map_or(0, |(first, count)| first.cast_unsigned().saturating_add(u64::from(count))))
}

/// The numbers of all slots that have tables.
pub(super) fn slots(connection: &Connection) -> Result<Vec<u32>, Error> {
    let log = Table::Log.name();
    let mut query = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = query.query_map([], |row| row.get::<_, String>(0))?;
    let number = |name: String| name.strip_prefix(log)?.parse().ok();
    names.filter_map(|name| name.map(number).transpose()).collect()
}

/// Visits the rows of a slot from the one that holds index `from` on, while `visit` returns true.
pub(super) fn each(
    connection: &Connection,
    table: Table,
    slot: Slot,
    from: u64,
    mut visit: impl FnMut(Row<&[u8]>) -> bool,
) -> Result<(), Error> {
    let table = table.name();
    let number = slot.number;
    // Begins with the row that holds the index, or with the one after it.
    let mut query = connection.prepare_cached(&format!(
        "SELECT first, count, epoch, checksum, bytes FROM {table}{number} WHERE first >=
         coalesce((SELECT max(first) FROM {table}{number} WHERE first <= ?1), 0) ORDER BY first"
    ))?;
    let mut rows = query.query([from.cast_signed()])?;
    while let Some(row) = rows.next()? {
        if !visit(sound(row, slot.log)?) {
            break;
        }
    }
    Ok(())
}

/// Loads up to `most` rows.
pub(super) fn load(
    connection: &Connection,
    table: Table,
    slot: Slot,
    from: u64,
    most: usize,
) -> Result<Vec<Row<Vec<u8>>>, Error> {
    let mut loaded = Vec::new();
    each(connection, table, slot, from, |row| {
        let bytes = row.bytes.to_vec();
        loaded.push(Row { first: row.first, count: row.count, epoch: row.epoch, bytes });
        loaded.len() < most
    })?;
    Ok(loaded)
}

fn sound<'a>(row: &'a SqlRow<'_>, log: LogId) -> Result<Row<&'a [u8]>, Error> {
    let first = row.get::<_, i64>(0)?.cast_unsigned();
    let damaged =
        || Error::FromSqlConversionFailure(4, Type::Blob, Box::new(Damaged { log, first }));
    let count = row.get::<_, u32>(1).map_err(|_| damaged())?;
    let epoch = row.get::<_, i64>(2).map_err(|_| damaged())?.cast_unsigned();
    let stored = row.get::<_, u32>(3).map_err(|_| damaged())?;
    let bytes = row.get_ref(4)?.as_blob().map_err(|_| damaged())?;
    if stored != checksum(log, first, count, epoch, bytes) {
        return Err(damaged());
    }
    Ok(Row { first, count, epoch, bytes })
}

/// The row that an error is about, if it is about a row.
pub(super) fn damaged_at(error: &Error) -> Option<&Damaged> {
    match error {
        Error::FromSqlConversionFailure(_, _, source) => source.downcast_ref(),
        _ => None,
    }
}
