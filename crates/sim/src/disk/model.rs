//! The simulated disk itself: named files, capacity, scheduled faults and power loss.
//!
//! It must never know who uses it (SQLite comes through [`super::SimVfs`], others call it
//! directly), and never choose anything except by its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::{Access, DiskError, Fault, FaultPlan, Outcome};
use super::file::File;
use super::names::NameChange;
use crate::random::Random;

/// An open file. After a crash it is stale: every use of it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    number: u64,
    boot: u64,
}

struct Model {
    seed: u64,
    random: Random,
    /// Counts power losses; files opened before the last one are stale.
    boot: u64,
    files: BTreeMap<u64, File>,
    next_number: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    plan: FaultPlan,
    capacity_bytes: Option<usize>,
    /// Writes and syncs since the beginning.
    mutations: u64,
    /// The world stands still from this mutation on.
    halt_at: Option<u64>,
}

/// A disk; clones are handles to the same one. All its choices follow from its seed.
#[derive(Clone)]
pub struct SimDisk {
    model: Arc<Mutex<Model>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.lock();
        f.debug_struct("SimDisk")
            .field("seed", &model.seed)
            .field("boot", &model.boot)
            .field("mutations", &model.mutations)
            .field("files", &model.names.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk without limit of size.
    pub fn new(seed: u64) -> Self {
        Self {
            model: Arc::new(Mutex::new(Model {
                seed,
                random: Random::new(seed),
                boot: 0,
                files: BTreeMap::new(),
                next_number: 0,
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                name_changes: Vec::new(),
                plan: FaultPlan::default(),
                capacity_bytes: None,
                mutations: 0,
                halt_at: None,
            })),
        }
    }

    /// A test that panicked while it held the model left it whole: every change is one call.
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- What tests order ----

    /// The seed, to be printed by a test that fails.
    pub fn seed(&self) -> u64 {
        self.lock().seed
    }

    /// Schedules a fault.
    pub fn schedule(&self, fault: Fault) {
        self.lock().plan.add(fault);
    }

    /// Forgets every scheduled fault.
    pub fn clear_faults(&self) {
        self.lock().plan.clear();
    }

    /// Lets `count` more writes and syncs succeed; then every operation fails until the crash.
    pub fn halt_after(&self, count: u64) {
        let mut model = self.lock();
        model.halt_at = Some(model.mutations + count);
    }

    /// Limits the sum of all files' lengths; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity_bytes = bytes;
    }

    /// The writes and syncs asked for so far, including those that failed.
    pub fn mutations(&self) -> u64 {
        self.lock().mutations
    }

    /// The sum of all files' lengths in bytes.
    pub fn used_bytes(&self) -> usize {
        self.lock().used_bytes()
    }

    /// Power loss and restart: unsynced data is dropped, or (for half of the crashes, by the
    /// disk's seed) partly kept. Open files are stale afterwards; orders for faults are dropped.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// Flips one bit of a file, on the platter and as programs see it.
    ///
    /// # Panics
    /// If there is no such byte: the test would check nothing.
    pub fn flip_bit(&self, path: &str, offset: usize, bit: u8) {
        let mut model = self.lock();
        let number = model.names.get(path).copied();
        let file = number.and_then(|number| model.files.get_mut(&number));
        let Some(file) = file else { panic!("no file {path} to flip a bit of") };
        file.flip_bit(offset, bit);
    }

    // ---- What programs do ----

    /// Opens a file, creating it if `create`; the creation is durable once its folder is synced.
    pub fn open(&self, path: &str, create: bool) -> Result<FileId, DiskError> {
        let mut model = self.lock();
        model.standing()?;
        let number = match model.names.get(path) {
            Some(number) => *number,
            None if create => model.create(path)?,
            None => return Err(DiskError::NotFound),
        };
        Ok(FileId { number, boot: model.boot })
    }

    /// Whether there is a file of that name.
    pub fn exists(&self, path: &str) -> bool {
        self.lock().names.contains_key(path)
    }

    /// The paths that begin with `prefix`, in order.
    pub fn list(&self, prefix: &str) -> Vec<String> {
        self.lock().names.keys().filter(|path| path.starts_with(prefix)).cloned().collect()
    }

    /// Removes a name; the removal is durable once its folder is synced.
    pub fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut model = self.lock();
        model.mutate(Access::Write, path).map_err(|(error, _)| error)?;
        if !model.names.contains_key(path) {
            return Err(DiskError::NotFound);
        }
        model.change_names(NameChange::Unlink { path: path.to_owned() });
        Ok(())
    }

    /// Renames a file, replacing what `to` named; durable once the folder is synced.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut model = self.lock();
        model.mutate(Access::Write, to).map_err(|(error, _)| error)?;
        let Some(number) = model.names.get(from).copied() else { return Err(DiskError::NotFound) };
        model.change_names(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), number });
        Ok(())
    }

    /// Reads at `offset` (bytes); returns how many bytes there were.
    pub fn read(&self, id: FileId, offset: usize, into: &mut [u8]) -> Result<usize, DiskError> {
        let mut model = self.lock();
        model.standing()?;
        let path = model.path_of(id)?;
        let wanted = match model.plan.hit(Access::Read, &path) {
            Some((_, Outcome::Torn)) => into.len() / 2,
            Some((error, _)) => return Err(error),
            None => into.len(),
        };
        Ok(model.file(id)?.read(offset, &mut into[..wanted]))
    }

    /// Writes at `offset` (bytes), into the cache only.
    pub fn write(&self, id: FileId, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let mut model = self.lock();
        let path = model.path_of(id)?;
        if let Err((error, outcome)) = model.mutate(Access::Write, &path) {
            let done = match outcome {
                Outcome::NotPersisted => 0,
                Outcome::Torn => bytes.len() / 2,
                Outcome::Persisted => bytes.len(),
            };
            model.file(id)?.write(offset, &bytes[..done]);
            return Err(error);
        }
        let room = model.room_for(id, offset + bytes.len())?;
        let fits = bytes.len().min(room.saturating_sub(offset));
        model.file(id)?.write(offset, &bytes[..fits]);
        if fits < bytes.len() { Err(DiskError::NoSpace) } else { Ok(()) }
    }

    /// Cuts or extends a file to `len` bytes, in the cache only.
    pub fn set_len(&self, id: FileId, len: usize) -> Result<(), DiskError> {
        let mut model = self.lock();
        let path = model.path_of(id)?;
        model.mutate(Access::Write, &path).map_err(|(error, _)| error)?;
        if model.room_for(id, len)? < len {
            return Err(DiskError::NoSpace);
        }
        model.file(id)?.set_len(len);
        Ok(())
    }

    /// The length of a file in bytes.
    pub fn len(&self, id: FileId) -> Result<usize, DiskError> {
        let mut model = self.lock();
        model.standing()?;
        Ok(model.file(id)?.len())
    }

    /// Makes the bytes of a file durable (not its name).
    pub fn sync(&self, id: FileId) -> Result<(), DiskError> {
        let mut model = self.lock();
        // Standing still, a sync neither writes nor forgets: the crash decides what survives.
        model.standing()?;
        let path = model.path_of(id)?;
        let result = model.mutate(Access::Sync, &path);
        let mut random = model.random.clone();
        let file = model.file(id)?;
        let Err((error, outcome)) = result else {
            file.sync();
            return Ok(());
        };
        match outcome {
            Outcome::NotPersisted => file.forget_unsynced(),
            Outcome::Persisted => file.sync(),
            Outcome::Torn => {
                file.persist_some(&mut random);
                model.random = random;
            }
        }
        Err(error)
    }

    /// Makes the creations, removals and renames in a folder durable.
    pub fn sync_folder(&self, folder: &str) -> Result<(), DiskError> {
        let mut model = self.lock();
        let folder = folder.trim_end_matches('/');
        match model.mutate(Access::Sync, folder) {
            Ok(()) => model.sync_folder(folder),
            Err((error, outcome)) => {
                if outcome == Outcome::Persisted {
                    model.sync_folder(folder);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Model {
    fn standing(&self) -> Result<(), DiskError> {
        match self.halt_at {
            Some(at) if self.mutations >= at => Err(DiskError::Io),
            _ => Ok(()),
        }
    }

    /// Counts a write or sync; fails where a fault is due or the world stands still.
    fn mutate(&mut self, access: Access, path: &str) -> Result<(), (DiskError, Outcome)> {
        self.standing().map_err(|error| (error, Outcome::NotPersisted))?;
        self.mutations += 1;
        self.plan.hit(access, path).map_or(Ok(()), Err)
    }

    fn file(&mut self, id: FileId) -> Result<&mut File, DiskError> {
        if id.boot != self.boot {
            return Err(DiskError::Io);
        }
        self.files.get_mut(&id.number).ok_or(DiskError::Io)
    }

    /// The present name of an open file; empty where it was removed.
    fn path_of(&self, id: FileId) -> Result<String, DiskError> {
        if id.boot != self.boot {
            return Err(DiskError::Io);
        }
        let name = self.names.iter().find(|(_, number)| **number == id.number);
        Ok(name.map(|(path, _)| path.clone()).unwrap_or_default())
    }

    fn create(&mut self, path: &str) -> Result<u64, DiskError> {
        let number = self.next_number;
        self.next_number += 1;
        self.files.insert(number, File::default());
        self.change_names(NameChange::Link { path: path.to_owned(), number });
        Ok(number)
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn used_bytes(&self) -> usize {
        self.names.values().filter_map(|number| self.files.get(number)).map(File::len).sum()
    }

    /// The length up to which the file may grow, at most `wanted`.
    fn room_for(&mut self, id: FileId, wanted: usize) -> Result<usize, DiskError> {
        let present = self.file(id)?.len();
        let Some(capacity) = self.capacity_bytes else { return Ok(wanted) };
        let free = capacity.saturating_sub(self.used_bytes());
        Ok(wanted.min(present.max(present.saturating_add(free))))
    }

    fn sync_folder(&mut self, folder: &str) {
        // A change brings along the earlier ones of its names: a file that is renamed into the
        // folder was made elsewhere before, and its old name goes with it.
        let mut names = BTreeSet::new();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.name_changes).into_iter().rev() {
            let paths = change.paths().map(str::to_owned);
            if change.touches(folder) || paths.iter().any(|path| names.contains(path)) {
                names.extend(paths);
                now.push(change);
            } else {
                later.push(change);
            }
        }
        self.name_changes = later.into_iter().rev().collect();
        for change in now.into_iter().rev() {
            change.apply(&mut self.durable_names);
        }
    }

    fn crash(&mut self) {
        let mut random = Random::new(self.random.next_u64());
        let torn = random.one_in(2);
        for file in self.files.values_mut() {
            file.crash(torn.then_some(&mut random));
        }
        // Journalling file systems replay name changes in order: some first ones survive.
        let survivors =
            if torn { random.below(self.name_changes.len() as u64 + 1) as usize } else { 0 };
        for change in self.name_changes.drain(..).take(survivors) {
            change.apply(&mut self.durable_names);
        }
        self.names.clone_from(&self.durable_names);
        let live: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|number, _| live.contains(number));
        self.boot += 1;
        self.halt_at = None;
        self.plan.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_only_with_its_folder() {
        let disk = SimDisk::new(2);
        let file = disk.open("/a/x", true).unwrap();
        disk.write(file, 0, b"1").unwrap();
        disk.sync(file).unwrap();
        let survived = |seed| {
            let disk = SimDisk::new(seed);
            disk.open("/a/x", true).unwrap();
            disk.crash();
            disk.exists("/a/x")
        };
        assert!((0..50).any(survived) && (0..50).any(|seed| !survived(seed)));
        disk.sync_folder("/a/").unwrap();
        disk.crash();
        assert_eq!(disk.len(file), Err(DiskError::Io), "open files are stale after a crash");
        let file = disk.open("/a/x", false).unwrap();
        assert_eq!(disk.len(file), Ok(1));
    }

    #[test]
    fn a_rename_is_atomic_across_a_crash() {
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            for (path, byte) in [("/a/old", b"o"), ("/a/new", b"n")] {
                let file = disk.open(path, true).unwrap();
                disk.write(file, 0, byte).unwrap();
                disk.sync(file).unwrap();
            }
            disk.sync_folder("/a").unwrap();
            disk.rename("/a/new", "/a/old").unwrap();
            disk.crash();
            let mut byte = [0];
            disk.read(disk.open("/a/old", false).unwrap(), 0, &mut byte).unwrap();
            assert_eq!(byte[0] == b'n', !disk.exists("/a/new"), "seed {seed}");
        }
    }

    #[test]
    fn faults_fire_by_count_and_capacity_holds() {
        let disk = SimDisk::new(1);
        let file = disk.open("/log", true).unwrap();
        disk.schedule(Fault::next(Access::Write).after(1).outcome(Outcome::Persisted));
        assert_eq!(disk.write(file, 0, b"a"), Ok(()));
        assert_eq!(disk.write(file, 1, b"b"), Err(DiskError::Io));
        assert_eq!(disk.len(file), Ok(2), "failed, but written");
        disk.set_capacity(Some(4));
        assert_eq!(disk.write(file, 2, b"cde"), Err(DiskError::NoSpace));
        assert_eq!(disk.len(file), Ok(4), "what fits is written");
        assert_eq!(disk.write(file, 0, b"zz"), Ok(()), "overwriting needs no room");
    }

    #[test]
    fn a_halted_world_fails_until_the_crash() {
        let disk = SimDisk::new(1);
        let file = disk.open("/log", true).unwrap();
        disk.sync_folder("").unwrap();
        disk.halt_after(1);
        assert_eq!(disk.write(file, 0, b"a"), Ok(()));
        assert_eq!(disk.sync(file), Err(DiskError::Io));
        assert_eq!(disk.read(file, 0, &mut [0]), Err(DiskError::Io));
        disk.crash();
        disk.open("/log", false).unwrap();
    }
}
