//! Changes of the simulated disk's name space, kept in order until a folder sync.
//!
//! It must never reorder them: a journalling file system replays them as they came.

use std::collections::BTreeMap;

/// A change of the name space that no folder sync has made durable yet.
#[derive(Debug)]
pub(super) enum NameChange {
    Link { path: String, number: u64 },
    Unlink { path: String },
    Rename { from: String, to: String, number: u64 },
}

impl NameChange {
    pub(super) fn touches(&self, folder: &str) -> bool {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } => parent(path) == folder,
            Self::Rename { from, to, .. } => parent(from) == folder || parent(to) == folder,
        }
    }

    /// The names it is about.
    pub(super) fn paths(&self) -> [&str; 2] {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } => [path, path],
            Self::Rename { from, to, .. } => [from, to],
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link { path, number } => {
                names.insert(path.clone(), *number);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::Rename { from, to, number } => {
                names.remove(from);
                names.insert(to.clone(), *number);
            }
        }
    }
}

/// The folder part of a path.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
