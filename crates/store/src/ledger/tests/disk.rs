//! A disk in memory that can fail, tear, forget and lie, and remembers what was ever written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard};

use super::super::{Files, TileSource};

type Contents = BTreeMap<String, Vec<u8>>;

/// How the operation at which the disk fails ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Failed, and nothing of it happened.
    NotPersisted,
    /// Failed, and yet it happened.
    Persisted,
}

#[derive(Default)]
pub(super) struct State {
    /// What a reader sees.
    pub(super) seen: Contents,
    /// What a power cut leaves for sure.
    durable: Contents,
    /// Files that a failed sync has dropped: further syncs do not write them.
    forgotten: BTreeSet<String>,
    /// Every note ever passed to be written as a checkpoint, in order.
    pub(super) checkpoints: Vec<String>,
    /// Those of them that were ever to be seen on the disk.
    pub(super) seen_checkpoints: Vec<String>,
    /// Changing operations so far.
    pub(super) operations: usize,
    /// The operation that fails, and whether all after it fail too.
    fail_at: Option<(usize, Failure, bool)>,
    /// Changes to bytes as they are written to a path: a lying disk.
    pub(super) flip_in: Option<String>,
}

#[derive(Default)]
pub(super) struct Disk(Mutex<State>);

impl Disk {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Fails the operation after `count` more, and all later ones if `for_good`.
    pub(super) fn fail_after(&self, count: usize, failure: Failure, for_good: bool) {
        let mut state = self.state();
        state.fail_at = Some((state.operations + count, failure, for_good));
    }

    pub(super) fn repair(&self) {
        self.state().fail_at = None;
    }

    pub(super) fn flip(&self, path: &str, bit: usize) {
        let mut state = self.state();
        let bytes = state.seen.get_mut(path).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.state().seen.keys().cloned().collect()
    }

    /// Loses what was not synced, in part: of each such file remains what was durable, what was
    /// written, a part of it, or nothing, as `random` decides.
    pub(super) fn cut_power(&self, mut random: u64) {
        let mut state = self.state();
        let paths: BTreeSet<String> =
            state.seen.keys().chain(state.durable.keys()).cloned().collect();
        let mut after = Contents::new();
        for path in paths {
            let (seen, durable) = (state.seen.get(&path), state.durable.get(&path));
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let torn = |part: usize| seen.map(|bytes| bytes[..bytes.len() * part / 8].to_vec());
            let left = match random >> 60 {
                _ if seen == durable => durable.cloned(),
                0..=4 => durable.cloned(),
                5..=9 => seen.cloned(),
                10..=12 => torn(0),
                part => torn((part - 8) as usize),
            };
            after.extend(left.map(|bytes| (path, bytes)));
        }
        state.seen = after.clone();
        state.durable = after;
        state.forgotten.clear();
        state.fail_at = None;
    }

    fn change(&self, apply: impl FnOnce(&mut State)) -> io::Result<()> {
        self.change_or(apply, |_| ())
    }

    fn change_or(
        &self,
        apply: impl FnOnce(&mut State),
        dropped: impl FnOnce(&mut State),
    ) -> io::Result<()> {
        let mut state = self.state();
        let operation = state.operations;
        state.operations += 1;
        let failure = state.fail_at.and_then(|(at, failure, for_good)| {
            let fails = operation == at || (for_good && operation > at);
            // Only the first failure may have happened; after it the disk is away.
            fails.then_some(if operation == at { failure } else { Failure::NotPersisted })
        });
        match failure {
            None => {
                apply(&mut state);
                return Ok(());
            }
            Some(Failure::Persisted) => apply(&mut state),
            Some(Failure::NotPersisted) => dropped(&mut state),
        }
        Err(io::Error::other("the disk failed"))
    }

    fn put(state: &mut State, path: &str, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if path.starts_with("checkpoint") {
            state.seen_checkpoints.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        if state.flip_in.as_deref() == Some(path) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        state.seen.insert(path.to_owned(), bytes);
        state.forgotten.remove(path);
    }

    fn remember(&self, path: &str, bytes: &[u8]) {
        if path.starts_with("checkpoint") {
            self.state().checkpoints.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
    }
}

impl TileSource for Disk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().seen.get(path).cloned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{folder}/");
        let state = self.state();
        let names = state.seen.keys().filter_map(|path| path.strip_prefix(&prefix));
        Ok(names.map(str::to_owned).collect())
    }
}

impl Files for Disk {
    fn write_atomic(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.remember(path, bytes);
        self.change(|state| Disk::put(state, path, bytes))
    }

    fn write_durable(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.remember(path, bytes);
        self.change(|state| {
            Disk::put(state, path, bytes);
            state.durable.insert(path.to_owned(), bytes.to_vec());
        })
    }

    fn sync(&self, paths: &[String]) -> io::Result<()> {
        let sync = |state: &mut State| {
            for path in paths {
                if !state.forgotten.contains(path) {
                    let bytes = state.seen.get(path).cloned().expect("a file to sync");
                    state.durable.insert(path.clone(), bytes);
                }
            }
        };
        self.change_or(sync, |state| state.forgotten.extend(paths.iter().cloned()))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|state| {
            state.seen.remove(path);
            state.durable.remove(path);
        })
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        let prefix = format!("{path}/");
        self.change(|state| {
            state.seen.retain(|path, _| !path.starts_with(&prefix));
            state.durable.retain(|path, _| !path.starts_with(&prefix));
        })
    }
}
