//! The database's format: its marks, its tables, and what may be opened.
//!
//! It must never open a file for writing before it knows that the file is ours and not newer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::EngineError;
use super::Place;
use super::state::State;

/// The format that this version writes, and the only one that it reads (`PRAGMA user_version`).
/// Format 1 held a single log; no release wrote it.
pub(super) const FORMAT: i64 = 2;

/// Marks the file as ours (`PRAGMA application_id`): "Enhn".
const APPLICATION_ID: i64 = 0x456e_686e;

/// The database's page size in bytes. Measured: 8 and 16 KiB are no faster in large batches and
/// slower in single appends, which write a few pages each.
pub(super) const PAGE_BYTES: u64 = 4096;

/// The length in bytes at which the write-ahead log is kept: what grows beyond is cut off again.
/// Twice what is due for copying, so that it rarely grows.
pub(super) const WAL_KEPT_BYTES: u64 = 2 * super::CHECKPOINT_DUE_PAGES * PAGE_BYTES;

/// The page cache of a connection in KiB: the log is read in order, so that only inner nodes are
/// read twice.
const CACHE_KIB: i64 = 4096;

/// How long to wait for another connection's lock; readers never take one for long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The file of the log in its folder.
const DATABASE_FILE: &str = "log.db";

/// The statements that a connection keeps prepared: a few for all logs, and three for each log
/// while there are not too many.
const STATEMENTS_KEPT: usize = 256;

/// The tables that are there from the start; see [`super::row`] for those of each log.
const TABLES: &str = "
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    epoch INTEGER NOT NULL,
    ends BLOB NOT NULL,
    forgotten BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshot (
    tag INTEGER PRIMARY KEY,
    first_part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    length INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshot_part (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;";

pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join(DATABASE_FILE)
}

pub(super) fn corrupt(path: &Path, place: &str, what: &str) -> EngineError {
    EngineError::Corrupt { path: path.to_owned(), place: place.to_owned(), what: what.to_owned() }
}

fn open(place: &Place, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    // One connection belongs to one thread at a time, so SQLite's own mutexes are not needed.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &place.vfs {
        None => Connection::open_with_flags(&place.database, flags)?,
        Some(vfs) => Connection::open_with_flags_and_vfs(&place.database, flags, vfs.as_str())?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Without this, the last connection to close would delete the preallocated log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB};"
    ))?;
    Ok(connection)
}

/// Opens the log for reading.
pub(super) fn open_reader(place: &Place) -> Result<Connection, EngineError> {
    let path = &place.database;
    let connection =
        open(place, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| not_opened(error, path))?;
    if !is_ours(&connection, path)? {
        return Err(EngineError::NotALog { path: path.clone(), what: "it is empty".to_owned() });
    }
    Ok(connection)
}

/// Opens the log for writing, creating it if there is none, and checks that each log
/// ends where it says.
pub(super) fn open_writer(place: &Place) -> Result<(Connection, State), EngineError> {
    let path = &place.database;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = open(place, flags).map_err(|error| not_opened(error, path))?;
    let exists = is_ours(&connection, path)?;
    configure(&connection, path)?;
    if !exists {
        initialise(&connection).map_err(|error| not_opened(error, path))?;
    }
    let state = State::read(&connection, path)?;
    state.check(&connection, path)?;
    Ok((connection, state))
}

fn not_opened(error: rusqlite::Error, path: &Path) -> EngineError {
    if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        let what = "it is no database".to_owned();
        return EngineError::NotALog { path: path.to_owned(), what };
    }
    EngineError::from_sqlite(error, "open the log", path)
}

/// Whether the file is a log that this version reads; false if it is empty, an error if it is
/// anything else.
fn is_ours(connection: &Connection, path: &Path) -> Result<bool, EngineError> {
    let get = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let marks = get("SELECT count(*) FROM sqlite_schema").and_then(|tables| {
        Ok((get("PRAGMA application_id")?, get("PRAGMA user_version")?, tables))
    });
    let not_ours = |what: String| EngineError::NotALog { path: path.to_owned(), what };
    match marks {
        Err(error) => Err(not_opened(error, path)),
        Ok((0, 0, 0)) => Ok(false),
        Ok((APPLICATION_ID, found, _)) if found > FORMAT => {
            Err(EngineError::NewerFormat { path: path.to_owned(), found, supported: FORMAT })
        }
        Ok((APPLICATION_ID, found @ 1..FORMAT, _)) => {
            Err(EngineError::OlderFormat { path: path.to_owned(), found, supported: FORMAT })
        }
        Ok((APPLICATION_ID, FORMAT, _)) => Ok(true),
        Ok((id, version, _)) => Err(not_ours(format!("application {id:#x}, format {version}"))),
    }
}

fn configure(connection: &Connection, path: &Path) -> Result<(), EngineError> {
    let configured = connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {WAL_KEPT_BYTES};"
    ));
    let mode: String = configured
        .and_then(|()| enter_wal_mode(connection))
        .map_err(|error| not_opened(error, path))?;
    if mode != "wal" {
        let what = format!("its journal mode stays {mode}");
        return Err(EngineError::NotALog { path: path.to_owned(), what });
    }
    Ok(())
}

/// Changes to WAL mode; returns the mode that is in force. The statement is run to its end: it
/// commits there, after it gave its answer, and a failure would otherwise go unseen.
fn enter_wal_mode(connection: &Connection) -> Result<String, rusqlite::Error> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}

/// Creates the tables and the marks in one transaction, so that a crash leaves an empty database
/// or a whole one.
fn initialise(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES}"))?;
    State::default().insert(connection)?;
    connection.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
    ))
}

/// Writes the format's mark again, durably. SQLite writes its page even if nothing differs.
pub(super) fn write_mark(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!("PRAGMA user_version = {FORMAT};"))
}

pub(super) fn set_secure_delete(connection: &Connection, on: bool) -> Result<(), rusqlite::Error> {
    let sql = if on { "PRAGMA secure_delete = ON" } else { "PRAGMA secure_delete = OFF" };
    connection.query_row(sql, [], |_| Ok(()))
}
