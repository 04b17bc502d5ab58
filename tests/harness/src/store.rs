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

/// The number by which the engine knows the first log of the first site.
const OWN_LOG: u32 = 1 << 16 | 1;

/// The table of a node's own log. A table's name ends with the log's slot, which stands in the row
/// of where the logs end: for each log u32 number, u32 slot, u64 end, little-endian.
fn own_table(log: &Connection, table: &str) -> String {
    let select = "SELECT ends FROM state";
    let ends: Vec<u8> = log.query_row(select, [], |row| row.get(0)).expect("the logs' ends");
    let ends = ends.as_chunks::<4>().0.as_chunks::<4>().0;
    let own = ends.iter().find(|end| u32::from_le_bytes(end[0]) == OWN_LOG);
    format!("{table}_{}", u32::from_le_bytes(own.expect("the node's own log")[1]))
}

/// The rows of a table (`log`, `audit`) of a stopped node's own log, by the index of their first
/// value.
///
/// # Panics
/// When there is no such table.
pub fn rows(data: &Path, table: &str) -> Vec<i64> {
    let log = Connection::open(data.join("log.db")).expect("a log");
    let table = own_table(&log, table);
    let mut query = log.prepare(&format!("SELECT first FROM {table}")).expect("a table");
    let rows = query.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|first| first.expect("a number")).collect()
}

/// Flips a bit in the middle of a row's values, as a disk could: its checksum stays.
///
/// # Panics
/// When there is no such row.
pub fn flip_bit_in_row(data: &Path, table: &str, first: i64) {
    let log = Connection::open(data.join("log.db")).expect("a log");
    let table = own_table(&log, table);
    let select = format!("SELECT bytes FROM {table} WHERE first = ?1");
    let mut octets: Vec<u8> = log.query_row(&select, [first], |row| row.get(0)).expect("a row");
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    let update = format!("UPDATE {table} SET bytes = ?2 WHERE first = ?1");
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
