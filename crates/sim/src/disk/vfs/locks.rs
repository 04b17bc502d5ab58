//! The locks and the shared memory that SQLite's connections of one process share per file.
//!
//! It must never let memory of before a crash reach a connection of after it: the table is keyed
//! by the file as opened, and a crash makes every file a new one.

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr;
use std::sync::{Arc, Mutex, Weak};

use rusqlite::ffi::{
    SQLITE_LOCK_EXCLUSIVE, SQLITE_LOCK_NONE, SQLITE_LOCK_PENDING, SQLITE_LOCK_RESERVED,
    SQLITE_LOCK_SHARED, SQLITE_SHM_NLOCK,
};

use super::lock;
use crate::disk::FileId;

const SHM_SLOTS: usize = SQLITE_SHM_NLOCK as usize;

/// One region of shared memory. SQLite reads and writes it through raw pointers and keeps its
/// own order there; cells of 8 bytes give it the alignment it asks for.
type Region = Box<[UnsafeCell<u64>]>;

#[derive(Default)]
struct Node {
    shared: u32,
    /// RESERVED, PENDING or EXCLUSIVE is held by one connection at most.
    writer: bool,
    /// PENDING or EXCLUSIVE: no new SHARED lock.
    closing: bool,
    shm_users: u32,
    shm_regions: Vec<Region>,
    shm_shared: [u32; SHM_SLOTS],
    shm_exclusive: [bool; SHM_SLOTS],
}

/// A file as it was last opened, and its locks while anybody holds it open.
type Opened = (FileId, Weak<Mutex<Node>>);

/// Every file with an open connection.
#[derive(Default)]
pub(super) struct LockTable {
    nodes: Mutex<BTreeMap<String, Opened>>,
}

impl LockTable {
    pub(super) fn attach(&self, path: &str, id: FileId) -> FileLocks {
        let mut nodes = lock(&self.nodes);
        let known = nodes.get(path).filter(|(known, _)| *known == id);
        let node = known.and_then(|(_, node)| node.upgrade()).unwrap_or_default();
        nodes.insert(path.to_owned(), (id, Arc::downgrade(&node)));
        FileLocks {
            node,
            level: SQLITE_LOCK_NONE,
            shm_used: false,
            shm_shared: [false; SHM_SLOTS],
            shm_exclusive: [false; SHM_SLOTS],
        }
    }
}

/// What one connection holds of a file.
pub(super) struct FileLocks {
    node: Arc<Mutex<Node>>,
    level: i32,
    shm_used: bool,
    shm_shared: [bool; SHM_SLOTS],
    shm_exclusive: [bool; SHM_SLOTS],
}

impl FileLocks {
    /// Raises the lock to `level`; false where another connection is in the way.
    pub(super) fn lock(&mut self, level: i32) -> bool {
        if level <= self.level {
            return true;
        }
        let mut node = lock(&self.node);
        match level {
            SQLITE_LOCK_SHARED => {
                if node.closing {
                    return false;
                }
                node.shared += 1;
            }
            SQLITE_LOCK_RESERVED => {
                if node.writer {
                    return false;
                }
                node.writer = true;
            }
            _ => {
                if self.level < SQLITE_LOCK_RESERVED && node.writer {
                    return false;
                }
                node.writer = true;
                node.closing = true;
                if node.shared > 1 {
                    self.level = SQLITE_LOCK_PENDING;
                    return false;
                }
                self.level = SQLITE_LOCK_EXCLUSIVE;
                return true;
            }
        }
        self.level = level;
        true
    }

    /// Lowers the lock to `level` (SHARED or NONE).
    pub(super) fn unlock(&mut self, level: i32) {
        if level >= self.level {
            return;
        }
        let mut node = lock(&self.node);
        if self.level >= SQLITE_LOCK_RESERVED {
            node.writer = false;
            node.closing = false;
        }
        if level == SQLITE_LOCK_NONE && self.level >= SQLITE_LOCK_SHARED {
            node.shared -= 1;
        }
        self.level = level;
    }

    pub(super) fn is_reserved(&self) -> bool {
        lock(&self.node).writer
    }

    /// The address of a region of shared memory, or null if there is none and `extend` is false.
    pub(super) fn shm_region(&mut self, index: usize, bytes: usize, extend: bool) -> *mut u64 {
        let mut node = lock(&self.node);
        if !self.shm_used {
            self.shm_used = true;
            node.shm_users += 1;
        }
        while extend && node.shm_regions.len() <= index {
            let cells = bytes / size_of::<u64>();
            node.shm_regions.push((0..cells).map(|_| UnsafeCell::new(0)).collect());
        }
        node.shm_regions
            .get(index)
            .map_or(ptr::null_mut(), |region| UnsafeCell::raw_get(region.as_ptr()))
    }

    pub(super) fn shm_lock(&mut self, slots: Range<usize>, exclusive: bool) -> bool {
        let mut node = lock(&self.node);
        let free = slots.clone().all(|slot| {
            let others = node.shm_shared[slot] - u32::from(self.shm_shared[slot]);
            let taken = node.shm_exclusive[slot] && !self.shm_exclusive[slot];
            !(taken || exclusive && others > 0)
        });
        if !free {
            return false;
        }
        for slot in slots {
            if exclusive {
                node.shm_exclusive[slot] = true;
                self.shm_exclusive[slot] = true;
            } else if !self.shm_shared[slot] {
                node.shm_shared[slot] += 1;
                self.shm_shared[slot] = true;
            }
        }
        true
    }

    pub(super) fn shm_unlock(&mut self, slots: Range<usize>, exclusive: bool) {
        let mut node = lock(&self.node);
        for slot in slots {
            if exclusive && self.shm_exclusive[slot] {
                node.shm_exclusive[slot] = false;
                self.shm_exclusive[slot] = false;
            } else if !exclusive && self.shm_shared[slot] {
                node.shm_shared[slot] -= 1;
                self.shm_shared[slot] = false;
            }
        }
    }

    /// Leaves the shared memory. Without users it is forgotten, as after the end of a process:
    /// the next connection recovers it from the log.
    pub(super) fn shm_unmap(&mut self) {
        self.shm_unlock(0..SHM_SLOTS, true);
        self.shm_unlock(0..SHM_SLOTS, false);
        if std::mem::take(&mut self.shm_used) {
            let mut node = lock(&self.node);
            node.shm_users -= 1;
            if node.shm_users == 0 {
                node.shm_regions.clear();
            }
        }
    }
}

impl Drop for FileLocks {
    fn drop(&mut self) {
        self.shm_unmap();
        self.unlock(SQLITE_LOCK_NONE);
    }
}
