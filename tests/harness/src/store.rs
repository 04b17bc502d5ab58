//! Hands on the files of a data folder: what a disk, or another version, could do to them.

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the log of a stopped node look like one of another format.
///
/// # Panics
/// When there is no log.
pub fn set_format(data: &Path, format: u32) {
    let log = Connection::open(data.join("log.db")).expect("a log");
    log.pragma_update(None, "user_version", format).expect("the mark is written");
}

/// The rows of a table (`log`, `audit`) of a stopped node's own log, which is the first that its
/// engine ever got, by the index of their first value.
///
/// # Panics
/// When there is no such table.
pub fn rows(data: &Path, table: &str) -> Vec<i64> {
    let log = Connection::open(data.join("log.db")).expect("a log");
    let mut query = log.prepare(&format!("SELECT first FROM {table}_0")).expect("a table");
    let rows = query.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|first| first.expect("a number")).collect()
}

/// Flips a bit in the middle of a row's values, as a disk could: its checksum stays.
///
/// # Panics
/// When there is no such row.
pub fn flip_bit_in_row(data: &Path, table: &str, first: i64) {
    let log = Connection::open(data.join("log.db")).expect("a log");
    let select = format!("SELECT bytes FROM {table}_0 WHERE first = ?1");
    let mut octets: Vec<u8> = log.query_row(&select, [first], |row| row.get(0)).expect("a row");
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    let update = format!("UPDATE {table}_0 SET bytes = ?2 WHERE first = ?1");
    log.execute(&update, rusqlite::params![first, octets]).expect("it is written");
}

/// Flips the lowest bit of the octet at `place`.
///
/// # Panics
/// When the file has no such octet.
pub fn flip_bit(file: &Path, place: usize) {
    let mut octets = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    octets[place] ^= 1;
    fs::write(file, octets).expect("the file is written back");
}

/// All files below a folder, in order.
///
/// # Panics
/// When it cannot be read.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
