//! Access to the ledger's files, behind traits so that tests can lose, tear and flip what lies
//! below, and so that the same verification runs over HTTP.
//!
//! Paths are relative, with `/` between their parts. Nothing here knows what a file means.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a ledger's files can be read: a folder, or a web server.
pub trait TileSource {
    /// The contents of a file; `None` if there is none.
    ///
    /// # Errors
    /// Whatever kept the source from telling.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names of the files in a folder; empty if there is none, or if the source cannot list.
    ///
    /// # Errors
    /// Whatever kept the source from telling.
    fn list(&self, _folder: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Where a ledger's files are kept. One writer at a time per folder.
pub trait Files: TileSource + Send + Sync {
    /// Replaces a file, so that a reader sees the old contents or the new ones. After a power cut
    /// the file may be old, new, torn, empty or gone until [`Files::sync`] has returned.
    ///
    /// # Errors
    /// I/O errors; the file may be old or new then.
    fn write_atomic(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes a file that nobody looks for yet, so that nobody sees it half written. A file that
    /// is there already is replaced as by [`Files::write_atomic`].
    ///
    /// # Errors
    /// I/O errors; the file may then be there in part.
    fn write_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.write_atomic(path, bytes)
    }

    /// Replaces a file, so that even after a power cut it has the old contents or the new ones,
    /// and the new ones once this has returned.
    ///
    /// # Errors
    /// I/O errors; the file may be old or new then.
    fn write_durable(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes files and their names durable, and lets the next read come from the disk rather than
    /// from memory, as far as the system can.
    ///
    /// # Errors
    /// I/O errors. The files' contents may be lost then: write them again before another sync.
    fn sync(&self, paths: &[String]) -> io::Result<()>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// I/O errors.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a folder with all its files, if there is one.
    ///
    /// # Errors
    /// I/O errors.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
}

/// From more files on it is cheaper to write everything that the file system has, and no less
/// certain: since Linux 5.8 `syncfs` reports what could not be written.
const SYNC_ONE_BY_ONE_MAX: usize = 16;

/// A folder of the operating system.
#[derive(Debug)]
pub struct OsFiles {
    root: PathBuf,
    /// Held while the one temporary file is in use, so that it needs no unique name and none is
    /// left behind by a crash.
    temporary: Mutex<PathBuf>,
}

impl OsFiles {
    /// Opens the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<OsFiles> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        let temporary = Mutex::new(root.join("temporary"));
        Ok(OsFiles { root, temporary })
    }

    fn replace(&self, path: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        let target = self.root.join(path);
        let temporary = self.temporary.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::create(&*temporary)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_all()?;
        }
        drop(file);
        match fs::rename(&*temporary, &target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(target.parent().unwrap_or(&self.root))?;
                fs::rename(&*temporary, &target)?;
            }
            result => result?,
        }
        drop(temporary);
        if durable { self.sync_folders(&target, &mut BTreeSet::new()) } else { Ok(()) }
    }

    /// Syncs the folders from the file's up to the root, except those already done.
    fn sync_folders(&self, file: &Path, done: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        for folder in file.ancestors().skip(1) {
            if !folder.starts_with(&self.root) || !done.insert(folder.to_owned()) {
                break;
            }
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl TileSource for OsFiles {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl Files for OsFiles {
    fn write_atomic(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, false)
    }

    // Without a temporary file and its renaming, which cost more than writing the bytes.
    fn write_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(path);
        let create = || File::options().write(true).create_new(true).open(&target);
        let mut file = match create() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(target.parent().unwrap_or(&self.root))?;
                create()?
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return self.replace(path, bytes, false);
            }
            file => file?,
        };
        file.write_all(bytes)
    }

    fn write_durable(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, true)
    }

    fn sync(&self, paths: &[String]) -> io::Result<()> {
        let mut done = BTreeSet::new();
        let all_at_once = paths.len() > SYNC_ONE_BY_ONE_MAX;
        if all_at_once {
            rustix::fs::syncfs(File::open(&self.root)?)?;
        }
        for path in paths {
            let path = self.root.join(path);
            let file = File::open(&path)?;
            if !all_at_once {
                file.sync_all()?;
            }
            // Drops the pages that are now clean. A file system that keeps them is not an error.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            if !all_at_once {
                self.sync_folders(&path, &mut done)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(path)) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
