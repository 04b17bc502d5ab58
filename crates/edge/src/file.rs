//! The queue's file: records appended one by one. What the system was given survives the death of this
//! program; what was synced, the loss of power too.

use crate::record::{Kept, Record};
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file in the data folder.
const FILE: &str = "queue";
/// While it is written anew.
const NEW_FILE: &str = "queue.new";
/// What could not be read.
const DAMAGED_FILE: &str = "queue.damaged";
/// Holds off a second edge with the same data.
const LOCK_FILE: &str = "lock";
/// Octets from which the file is written anew, if most of it is settled.
const OCTETS_MIN: u64 = 4 << 20;

/// Why the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process has it.
    #[error("{}: another edge uses this folder", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The file, open for this process alone.
pub(crate) struct QueueFile {
    folder: PathBuf,
    file: Arc<File>,
    octets: u64,
    /// Octets when it was written anew last.
    octets_then: u64,
    scratch: Vec<u8>,
    _lock: File,
}

impl QueueFile {
    /// Opens the file in `folder`, which is made if it does not exist, and reads it. What cannot be read
    /// behind the last whole record is put aside.
    ///
    /// # Errors
    /// [`QueueError`].
    pub(crate) fn open(folder: &Path) -> Result<(QueueFile, Kept), QueueError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| QueueError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let path = folder.join(LOCK_FILE);
        let lock = File::create(&path).map_err(at(&path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(QueueError::Locked { path }),
            Err(error) => return Err(at(&path)(error.into())),
        }
        let path = folder.join(FILE);
        let mut octets = Vec::new();
        match File::open(&path) {
            Ok(mut file) => drop(file.read_to_end(&mut octets).map_err(at(&path))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
        let (kept, used) = Kept::read(&octets);
        if used < octets.len() {
            let aside = folder.join(DAMAGED_FILE);
            let lost = octets.len() - used;
            tracing::error!(lost, aside = %aside.display(), "the end of the queue cannot be read; it was put aside");
            std::fs::write(&aside, &octets[used..]).map_err(at(&aside))?;
        }
        let (file, octets) = write_anew(folder, &kept).map_err(at(&path))?;
        let file = Arc::new(file);
        let folder = folder.to_owned();
        let scratch = Vec::new();
        Ok((QueueFile { folder, file, octets, octets_then: octets, scratch, _lock: lock }, kept))
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Of the file system; the file then ends in what may be half a record.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.scratch.clear();
        record.write(&mut self.scratch);
        (&*self.file).write_all(&self.scratch)?;
        self.octets += self.scratch.len() as u64;
        Ok(())
    }

    /// The file, to sync it elsewhere.
    pub(crate) fn handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Whether it is time to write it anew.
    pub(crate) fn is_long(&self) -> bool {
        self.octets > OCTETS_MIN && self.octets > 2 * self.octets_then
    }

    /// Writes it anew, with this alone; durable when it returns.
    ///
    /// # Errors
    /// Of the file system; the old file is still there then.
    pub(crate) fn shorten(&mut self, kept: &Kept) -> io::Result<()> {
        let (file, octets) = write_anew(&self.folder, kept)?;
        (self.octets, self.octets_then) = (octets, octets);
        self.file = Arc::new(file);
        Ok(())
    }
}

fn write_anew(folder: &Path, kept: &Kept) -> io::Result<(File, u64)> {
    let mut octets = Vec::new();
    kept.write(&mut octets);
    let path = folder.join(NEW_FILE);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
    file.write_all(&octets)?;
    file.sync_all()?;
    std::fs::rename(&path, folder.join(FILE))?;
    File::open(folder)?.sync_all()?;
    Ok((file, octets.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(sequence: u64) -> Record {
        Record::Last { sequence }
    }

    #[test]
    fn a_torn_end_is_put_aside_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut queue, kept) = QueueFile::open(folder.path()).expect("a queue");
        assert_eq!(kept, Kept::default());
        queue.append(&last(7)).expect("room");
        queue.append(&last(9)).expect("room");
        drop(queue);
        let path = folder.path().join(FILE);
        let octets = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &octets[..octets.len() - 1]).expect("the file");
        let (mut queue, kept) = QueueFile::open(folder.path()).expect("a queue");
        assert_eq!(kept.last, 7);
        assert!(folder.path().join(DAMAGED_FILE).exists());
        queue.append(&last(8)).expect("room");
        drop(queue);
        assert_eq!(QueueFile::open(folder.path()).expect("a queue").1.last, 8);
    }

    #[test]
    fn a_folder_has_one_edge() {
        let folder = tempfile::tempdir().expect("a folder");
        let _queue = QueueFile::open(folder.path()).expect("a queue");
        let second = QueueFile::open(folder.path());
        assert!(matches!(second, Err(QueueError::Locked { .. })));
    }
}
