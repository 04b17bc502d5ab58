//! The folder of a log on the system's disk: its lock, and room for its write-ahead log.
//!
//! It must never touch the bytes of the database: that is SQLite's.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::super::EngineError;
use super::format::WAL_KEPT_BYTES;

/// The file whose lock stands for the folder. It holds the owner's process number as text.
const LOCK_FILE: &str = "lock";

/// The most bytes of the lock file to read: a process number has fewer.
const PID_BYTES_MAX: u64 = 20;

/// Zeros are written in chunks of this many bytes.
const ZERO_CHUNK_BYTES: usize = 1 << 16;

/// Creates the folder durably, if there is none.
pub(super) fn create(folder: &Path) -> Result<(), EngineError> {
    if folder.is_dir() {
        return Ok(());
    }
    let failed = |error| EngineError::io(error, "create the log's folder", folder);
    fs::create_dir_all(folder).map_err(failed)?;
    for above in folder.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        File::open(above).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Makes the names in the folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), EngineError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| EngineError::io(error, "sync the log's folder", folder))
}

/// Extends the write-ahead log with zeros to the length it is kept at, so that an append syncs
/// data only, and not a new file length (which costs the file system a second write).
///
/// SQLite takes the first frame that is not valid for the end, and zeros are not. Nothing else
/// writes meanwhile: the caller owns the only writing connection.
pub(super) fn preallocate_wal(database: &Path) -> Result<(), EngineError> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = PathBuf::from(path);
    let extend = || {
        let mut file = OpenOptions::new().append(true).open(&path)?;
        let before = file.seek(SeekFrom::End(0))?;
        if before >= WAL_KEPT_BYTES {
            return Ok(());
        }
        // What was written so far would be the last room that others have.
        fill_with_zeros(&mut file, WAL_KEPT_BYTES - before)
            .inspect_err(|_| _ = file.set_len(before))
    };
    match extend() {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            // Only speed is lost; a node must be able to start on a disk that is nearly full.
            tracing::warn!(log = %path.display(), "the disk is too full to reserve the log's room");
            Ok(())
        }
        result => result
            .map_err(|error| EngineError::io(error, "make room for the write-ahead log", &path)),
    }
}

/// Appends zeros. Written, not reserved: turning reserved blocks into data would cost what it saves.
fn fill_with_zeros(file: &mut File, mut missing: u64) -> std::io::Result<()> {
    let zeros = [0; ZERO_CHUNK_BYTES];
    while missing > 0 {
        let chunk = missing.min(ZERO_CHUNK_BYTES as u64);
        file.write_all(&zeros[..chunk as usize])?;
        missing -= chunk;
    }
    file.sync_all()
}

/// Holds the folder until dropped, or until the process ends.
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(super) fn acquire(folder: &Path) -> Result<Self, EngineError> {
        let path = folder.join(LOCK_FILE);
        let failed = |error| EngineError::io(error, "lock the log's folder", &path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(EngineError::Locked { folder: folder.to_owned(), by: owner(file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // The number only helps whoever is refused; a full disk must not keep a node from
        // starting, since it may start in order to free space.
        let write = |file: &mut File| {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        match write(&mut file) {
            Err(error) if error.kind() != ErrorKind::StorageFull => Err(failed(error)),
            _ => Ok(Self { _file: file }),
        }
    }
}

/// The process that holds the lock, as far as it says.
fn owner(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
