//! Rows of the log and of its audit values: a run of framed values under one checksum.
//!
//! It must never hand out bytes whose checksum does not hold.

use rusqlite::types::Type;
use rusqlite::{Connection, Error, Row as SqlRow, params};
use thiserror::Error as ThisError;

/// A table of rows, with its statements: each is prepared once per connection.
#[derive(Clone, Copy)]
pub(super) struct Table {
    insert: &'static str,
    remove: &'static str,
    select: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (first, count, epoch, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            remove: concat!("DELETE FROM ", $name, " WHERE first = ?1"),
            // Begins with the row that holds the index, or with the one after it.
            select: concat!(
                "SELECT first, count, epoch, checksum, bytes FROM ",
                $name,
                " WHERE first >= coalesce((SELECT max(first) FROM ",
                $name,
                " WHERE first <= ?1), 0) ORDER BY first"
            ),
        }
    };
}

/// The entries.
pub(super) const LOG: Table = table!("log");

/// The audit values, aligned with the rows of [`LOG`]; a row without values is left out.
pub(super) const AUDIT: Table = table!("audit");

/// A row that is damaged.
#[derive(Debug, ThisError)]
#[error("the row that begins at index {first} fails its checksum")]
pub(super) struct Damaged {
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
pub(super) fn checksum(first: u64, count: u32, epoch: u64, bytes: &[u8]) -> u32 {
    let mut hasher = begin_checksum(first, count, epoch);
    hasher.update(bytes);
    hasher.finalize()
}

/// A [`checksum`] that still wants the bytes.
pub(super) fn begin_checksum(first: u64, count: u32, epoch: u64) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first.to_le_bytes());
    hasher.update(&count.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    hasher
}

pub(super) fn insert(
    connection: &Connection,
    table: Table,
    first: u64,
    count: usize,
    epoch: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    assert!(count > 0 && count <= super::ROW_ENTRIES_MAX, "a row holds {count} entries");
    let checksum = checksum(first, count as u32, epoch, bytes);
    connection.prepare_cached(table.insert)?.execute(params![
        first.cast_signed(),
        count as u32,
        epoch.cast_signed(),
        checksum,
        bytes
    ])?;
    Ok(())
}

pub(super) fn remove(connection: &Connection, table: Table, first: u64) -> Result<(), Error> {
    connection.prepare_cached(table.remove)?.execute(params![first.cast_signed()])?;
    Ok(())
}

/// Visits the rows from the one that holds index `from` on, while `visit` returns true.
pub(super) fn each(
    connection: &Connection,
    table: Table,
    from: u64,
    mut visit: impl FnMut(Row<&[u8]>) -> bool,
) -> Result<(), Error> {
    let mut query = connection.prepare_cached(table.select)?;
    let mut rows = query.query(params![from.cast_signed()])?;
    while let Some(row) = rows.next()? {
        if !visit(sound(row)?) {
            break;
        }
    }
    Ok(())
}

/// Loads up to `most` rows.
pub(super) fn load(
    connection: &Connection,
    table: Table,
    from: u64,
    most: usize,
) -> Result<Vec<Row<Vec<u8>>>, Error> {
    let mut loaded = Vec::new();
    each(connection, table, from, |row| {
        let bytes = row.bytes.to_vec();
        loaded.push(Row { first: row.first, count: row.count, epoch: row.epoch, bytes });
        loaded.len() < most
    })?;
    Ok(loaded)
}

fn sound<'a>(row: &'a SqlRow<'_>) -> Result<Row<&'a [u8]>, Error> {
    let first = row.get::<_, i64>(0)?.cast_unsigned();
    let damaged = || Error::FromSqlConversionFailure(4, Type::Blob, Box::new(Damaged { first }));
    let count = row.get::<_, u32>(1).map_err(|_| damaged())?;
    let epoch = row.get::<_, i64>(2).map_err(|_| damaged())?.cast_unsigned();
    let stored = row.get::<_, u32>(3).map_err(|_| damaged())?;
    let bytes = row.get_ref(4)?.as_blob().map_err(|_| damaged())?;
    if stored != checksum(first, count, epoch, bytes) {
        return Err(damaged());
    }
    Ok(Row { first, count, epoch, bytes })
}

/// The first index of the row that an error is about, if it is about a row.
pub(super) fn damaged_at(error: &Error) -> Option<u64> {
    match error {
        Error::FromSqlConversionFailure(_, _, source) => {
            source.downcast_ref::<Damaged>().map(|damaged| damaged.first)
        }
        _ => None,
    }
}
