//! Snapshots of the state that all logs fold into, in parts, newest two kept.
//!
//! It must never let a snapshot be seen before all of its parts are durable, nor drop an older
//! one before.

use rusqlite::{Connection, Error, OptionalExtension, params};

use super::super::EngineError;
use super::format::PAGE_BYTES;
use super::reader::SqliteReader;
use super::{SqliteEngine, TRANSACTION_PAGES};

/// How many snapshots are kept: should the newest be damaged, there is another.
pub const SNAPSHOTS_KEPT: usize = 2;

/// The bytes of one part. Each part is a transaction of its own, so that the write-ahead log
/// stays small.
const PART_BYTES: usize = 1 << 20;

/// Drops all snapshots.
pub(super) fn drop_all(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM snapshot", [])?;
    connection.execute("DELETE FROM snapshot_part", [])?;
    Ok(())
}

/// A checksum that still wants the snapshot's bytes.
fn begin_checksum(tag: u64, parts: usize) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tag.to_le_bytes());
    hasher.update(&(parts as u64).to_le_bytes());
    hasher
}

/// The row that makes a snapshot visible.
struct Header {
    tag: u64,
    first_part: i64,
    parts: usize,
    length: usize,
    checksum: u32,
}

impl SqliteEngine {
    /// Writes all parts, then the header; a crash between leaves parts that the next snapshot
    /// removes.
    pub(super) fn write_snapshot(&mut self, tag: u64, bytes: &[u8]) -> Result<(), EngineError> {
        const DOING: &str = "save a snapshot";
        let last: i64 = self
            .connection
            .query_row("SELECT coalesce(max(id), 0) FROM snapshot_part", [], |row| row.get(0))
            .map_err(|error| self.failed(error, DOING))?;
        let parts = bytes.len().div_ceil(PART_BYTES);
        for (id, part) in (last + 1..).zip(bytes.chunks(PART_BYTES)) {
            self.transaction(DOING, |connection| {
                connection
                    .prepare_cached("INSERT INTO snapshot_part (id, bytes) VALUES (?1, ?2)")?
                    .execute(params![id, part])
            })?;
            self.wal_pages += part.len() as u64 / PAGE_BYTES + TRANSACTION_PAGES;
            if self.wal_pages >= super::CHECKPOINT_DUE_PAGES {
                self.checkpoint()?;
            }
        }
        let mut checksum = begin_checksum(tag, parts);
        checksum.update(bytes);
        let header = Header {
            tag,
            first_part: last + 1,
            parts,
            length: bytes.len(),
            checksum: checksum.finalize(),
        };
        self.transaction(DOING, |connection| header.write(connection))?;
        self.checkpoint()
    }
}

impl Header {
    /// Makes the snapshot visible and drops the oldest, with parts that belong to none.
    fn write(&self, connection: &Connection) -> Result<(), Error> {
        connection.execute(
            "INSERT OR REPLACE INTO snapshot (tag, first_part, parts, length, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                self.tag.cast_signed(),
                self.first_part,
                self.parts as i64,
                self.length as i64,
                self.checksum
            ],
        )?;
        connection.execute(
            "DELETE FROM snapshot WHERE tag NOT IN
             (SELECT tag FROM snapshot ORDER BY tag DESC LIMIT ?1)",
            params![SNAPSHOTS_KEPT as i64],
        )?;
        connection.execute(
            "DELETE FROM snapshot_part WHERE NOT EXISTS (SELECT 1 FROM snapshot
             WHERE id >= first_part AND id < first_part + parts)",
            [],
        )?;
        Ok(())
    }

    /// The newest header below `below`.
    fn read_below(connection: &Connection, below: i64) -> Result<Option<Self>, Error> {
        connection
            .query_row(
                "SELECT tag, first_part, parts, length, checksum FROM snapshot
                 WHERE tag < ?1 ORDER BY tag DESC LIMIT 1",
                params![below],
                |row| {
                    Ok(Self {
                        tag: row.get::<_, i64>(0)?.cast_unsigned(),
                        first_part: row.get(1)?,
                        parts: row.get::<_, i64>(2)?.max(0) as usize,
                        length: row.get::<_, i64>(3)?.max(0) as usize,
                        checksum: row.get(4)?,
                    })
                },
            )
            .optional()
    }

    /// Shows the parts that are there, in order; returns how many.
    fn parts(&self, connection: &Connection, visit: &mut dyn FnMut(&[u8])) -> Result<usize, Error> {
        let mut query = connection
            .prepare("SELECT bytes FROM snapshot_part WHERE id >= ?1 ORDER BY id LIMIT ?2")?;
        let mut rows = query.query(params![self.first_part, self.parts as i64])?;
        let mut parts = 0;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(0)?.as_blob()?);
            parts += 1;
        }
        Ok(parts)
    }

    /// Whether the bytes are what was saved.
    fn is_whole(&self, connection: &Connection) -> Result<bool, Error> {
        let mut checksum = begin_checksum(self.tag, self.parts);
        let mut length = 0;
        let parts = self.parts(connection, &mut |bytes| {
            checksum.update(bytes);
            length += bytes.len();
        })?;
        Ok(parts == self.parts && length == self.length && checksum.finalize() == self.checksum)
    }
}

impl SqliteReader {
    /// Reads it twice: nothing is shown of a snapshot that turns out to be damaged.
    pub(super) fn visit_latest_snapshot(
        &mut self,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<u64>, EngineError> {
        const DOING: &str = "read a snapshot";
        let failed = |error| EngineError::from_sqlite(error, DOING, &self.path);
        let view = self.connection.unchecked_transaction().map_err(failed)?;
        let mut below = i64::MAX;
        while let Some(header) = Header::read_below(&view, below).map_err(failed)? {
            let reason = match header.is_whole(&view) {
                Ok(true) => {
                    header.parts(&view, visit).map_err(failed)?;
                    return Ok(Some(header.tag));
                }
                Ok(false) => "its checksum does not hold".to_owned(),
                Err(error) => match failed(error) {
                    EngineError::Corrupt { what, .. } => what,
                    other => return Err(other),
                },
            };
            tracing::error!(
                log = %self.path.display(), tag = header.tag, %reason,
                "a snapshot is damaged and skipped"
            );
            below = header.tag.cast_signed();
        }
        Ok(None)
    }
}
