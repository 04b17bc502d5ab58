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

/// Moves all that the write-ahead log of a stopped node holds into the database, and leaves
/// nothing there that is no longer in use: then every octet of an entry found in it counts.
///
/// # Panics
/// When there is no log.
pub fn compact_log(data: &Path) {
    let log = Connection::open(data.join("log.db")).expect("a log");
    log.execute_batch("VACUUM").expect("it is rewritten");
    log.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("it is moved");
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
