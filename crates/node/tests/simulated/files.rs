//! The ledger's files on the simulated disk, written step by step as [`OsFiles`] writes them on a
//! real one, so that a power cut or a failed sync falls between the same steps.
//!
//! [`OsFiles`]: einhorn_store::ledger::OsFiles

use einhorn_sim::disk::{DiskError, FileId, SimDisk};
use einhorn_store::ledger::{Files, TileSource};
use std::io;
use std::sync::Mutex;

/// A folder of the simulated disk.
pub(super) struct SimFiles {
    disk: SimDisk,
    root: &'static str,
    /// Folders removed whose parents were not synced since. The disk knows only files: when the
    /// parent is synced, the folder is gone for good, and all files in it.
    removed: Mutex<Vec<String>>,
}

fn system(error: DiskError) -> io::Error {
    match error {
        DiskError::Io => io::Error::other(error),
        DiskError::NoSpace => io::Error::new(io::ErrorKind::StorageFull, error),
        DiskError::NotFound => io::Error::new(io::ErrorKind::NotFound, error),
    }
}

impl SimFiles {
    pub(super) fn new(disk: &SimDisk, root: &'static str) -> SimFiles {
        SimFiles { disk: disk.clone(), root, removed: Mutex::default() }
    }

    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    fn fill(&self, path: &str, bytes: &[u8]) -> Result<FileId, DiskError> {
        let file = self.disk.open(path, true)?;
        self.disk.set_len(file, 0)?;
        self.disk.write(file, 0, bytes)?;
        Ok(file)
    }

    fn replace(&self, path: &str, bytes: &[u8], durable: bool) -> Result<(), DiskError> {
        let temporary = self.path("temporary");
        let file = self.fill(&temporary, bytes)?;
        if durable {
            self.disk.sync(file)?;
        }
        self.disk.rename(&temporary, &self.path(path))?;
        if durable { self.sync_folders(path) } else { Ok(()) }
    }

    /// Syncs the folders from the file's up to the root.
    fn sync_folders(&self, path: &str) -> Result<(), DiskError> {
        let mut folder = self.path(path);
        while let Some((above, _)) = folder.rsplit_once('/').filter(|_| folder != self.root) {
            folder = above.to_owned();
            self.disk.sync_folder(&folder)?;
            let mut removed = self.removed.lock().expect("no panic holds it");
            for gone in
                removed.extract_if(.., |gone| gone.rsplit_once('/').unwrap_or_default().0 == folder)
            {
                self.disk.sync_folder(&gone)?;
            }
        }
        Ok(())
    }

    fn sync_all(&self, paths: &[String]) -> Result<(), DiskError> {
        for path in paths {
            let file = self.disk.open(&self.path(path), false)?;
            self.disk.sync(file)?;
            self.sync_folders(path)?;
        }
        Ok(())
    }
}

impl TileSource for SimFiles {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let read = || {
            let file = self.disk.open(&self.path(path), false)?;
            let mut bytes = vec![0; self.disk.len(file)?];
            let length = self.disk.read(file, 0, &mut bytes)?;
            bytes.truncate(length);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(DiskError::NotFound) => Ok(None),
            Err(error) => Err(system(error)),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = self.path(&format!("{folder}/"));
        let names = self.disk.list(&prefix);
        Ok(names
            .iter()
            .filter_map(|path| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }
}

impl Files for SimFiles {
    fn write_atomic(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, false).map_err(system)
    }

    fn write_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        if self.disk.exists(&self.path(path)) {
            return self.write_atomic(path, bytes);
        }
        self.fill(&self.path(path), bytes).map(drop).map_err(system)
    }

    fn write_durable(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes, true).map_err(system)
    }

    fn sync(&self, paths: &[String]) -> io::Result<()> {
        self.sync_all(paths).map_err(system)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match self.disk.remove(&self.path(path)) {
            Ok(()) | Err(DiskError::NotFound) => Ok(()),
            Err(error) => Err(system(error)),
        }
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        for name in self.disk.list(&self.path(&format!("{path}/"))) {
            self.disk.remove(&name).map_err(system)?;
        }
        self.removed.lock().expect("no panic holds it").push(self.path(path));
        Ok(())
    }
}
