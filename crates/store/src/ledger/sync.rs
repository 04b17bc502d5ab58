//! Making full tiles and bundles durable, in groups at the caller's rhythm.
//!
//! Also removes partial files that have had their time: those of a tile that was full and durable
//! at the previous call already. So a reader who fetched a checkpoint still finds every path it
//! names for at least one interval between two calls, and the full tile after that.

use std::collections::BTreeMap;

use einhorn_core::ledger::tile::encode_tile;
use einhorn_core::ledger::tree::subtree_root;
use einhorn_core::ledger::{Bundle, Checkpoint, Frontier, Hash, Tile};

use super::seal::{LogKey, Writer};
use super::{SYNCED, SealError};

/// What of the full tiles still has to reach the disk. Owned by the sealer.
#[derive(Debug, Default)]
pub(super) struct SyncState {
    /// Full tiles not known to be durable. A tile of level 0 stands for its bundle too.
    unsynced: Vec<Tile>,
    /// Their contents may never reach the disk by another sync alone: they were found after a
    /// restart, or a sync failed, and the system may have forgotten that they are unwritten.
    must_rewrite: bool,
    /// Full tiles whose partial files go with the next sync.
    retired: Vec<Tile>,
    /// Entries in durable full bundles, as returned by the last sync or found at opening.
    durable: u64,
    /// The tree of the last sync, whose size is written down by the next one, after the removal
    /// of its partial files. So opening the ledger finds again what was not removed.
    next_mark: Option<Checkpoint>,
}

impl SyncState {
    /// The state after opening: durable up to a size, and full tiles found after it.
    pub(super) fn found(durable: u64, unsynced: Vec<Tile>) -> SyncState {
        let must_rewrite = !unsynced.is_empty();
        SyncState { unsynced, must_rewrite, durable, ..SyncState::default() }
    }

    /// Full tiles that may not be durable yet.
    pub(super) fn unsynced(&self) -> &[Tile] {
        &self.unsynced
    }

    /// Forgets the tiles of entries from `size` on, which do not count any more.
    pub(super) fn cut_back(&mut self, size: u64) {
        self.unsynced.retain(|tile| {
            Tile::in_tree(tile.level, tile.index, size).is_some_and(|left| left.is_full())
        });
    }

    /// A full tile was written.
    pub(super) fn wrote(&mut self, tile: Tile) {
        self.unsynced.push(tile);
    }
}

impl<K: LogKey> Writer<K> {
    /// Entries below this index lie in full bundles that are durable and were read again after.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.sync.durable
    }

    /// Makes all full tiles and bundles durable, reads them again from the disk and rehashes them.
    /// Returns [`Self::durable`], which rests while files are built anew below
    /// [`Self::signed_size`] or after a failed seal, until the next checkpoint. The caller decides
    /// how often; seconds apart is a good rhythm.
    ///
    /// # Errors
    /// `Io`: call again, the files are then written anew first. `Damaged`: open the ledger again.
    pub fn sync_full(&mut self) -> Result<u64, SealError> {
        // A watermark above the checkpoint on disk would not outlast a restart.
        if !self.announced || self.sealed() != self.signed_size() {
            return Ok(self.sync.durable);
        }
        if self.sync.must_rewrite {
            self.rewrite_unsynced()?;
        }
        self.sync.must_rewrite = true;
        let paths: Vec<String> = self.sync.unsynced.iter().flat_map(|t| tile_files(*t)).collect();
        let error = |source| SealError::Io { path: "tile".to_owned(), source };
        self.files.0.sync(&paths).map_err(error)?;
        let complete = self.frontier.at_full_bundles();
        for tile in &self.sync.unsynced {
            self.check_full(*tile)?;
        }
        self.sync.must_rewrite = false;

        for tile in &self.sync.retired {
            let path = format!("{}.p", tile.path());
            let error = |source| SealError::Io { path: path.clone(), source };
            self.files.0.remove_folder(&path).map_err(error)?;
            if tile.level == 0 {
                let path = format!("{}.p", Bundle::full(tile.index).path());
                let error = |source| SealError::Io { path: path.clone(), source };
                self.files.0.remove_folder(&path).map_err(error)?;
            }
        }
        self.sync_removals()?;
        if let Some(mark) = &self.sync.next_mark {
            self.files.write_durable(SYNCED, mark.body().as_bytes())?;
        }
        self.sync.retired = std::mem::take(&mut self.sync.unsynced);
        self.sync.next_mark = (self.sync.durable != complete.size()).then(|| self.mark(&complete));
        self.sync.durable = complete.size();
        Ok(self.sync.durable)
    }

    /// Makes the removal of partial files durable: below the mark nobody looks for them again, and
    /// one that came back after a power cut could be torn. A full tile stands for its folder.
    fn sync_removals(&self) -> Result<(), SealError> {
        let files = self.sync.retired.iter().flat_map(|tile| tile_files(*tile));
        let in_folder =
            |path: String| (path.rsplit_once('/').map(|(folder, _)| folder.to_owned()), path);
        let folders: BTreeMap<_, _> = files.map(in_folder).collect();
        let paths: Vec<String> = folders.into_values().collect();
        let error = |source| SealError::Io { path: "tile".to_owned(), source };
        self.files.0.sync(&paths).map_err(error)
    }

    fn mark(&self, tree: &Frontier) -> Checkpoint {
        let origin = self.origin().to_owned();
        Checkpoint { origin, size: tree.size(), root: tree.root() }
    }

    /// Reads a full tile, and the bundle of one of level 0, and checks them against each other
    /// and against the tile above, which may still be the frontier's.
    pub(super) fn check_full(&self, tile: Tile) -> Result<(Vec<Hash>, Option<Vec<u8>>), SealError> {
        let hashes = self.files.read_tile(tile)?;
        let bundle = match tile.level {
            0 => Some(self.files.check_bundle(Bundle::full(tile.index), &hashes)?),
            _ => None,
        };
        let (level, slot) = (tile.level + 1, (tile.index % 256) as usize);
        let edge = self.frontier.partial_tiles().find(|(t, _)| t.level == level);
        let covering = match edge {
            Some((above, hashes)) if above.index == tile.index / 256 => hashes.get(slot).copied(),
            _ => self.files.read_tile(Tile::full(level, tile.index / 256))?.get(slot).copied(),
        };
        if covering != Some(subtree_root(&hashes)) {
            let problem = "its hash is not the one in the tile above";
            return Err(SealError::Damaged { path: tile.path(), problem });
        }
        Ok((hashes, bundle))
    }

    fn rewrite_unsynced(&self) -> Result<(), SealError> {
        for tile in &self.sync.unsynced {
            let (hashes, bundle) = self.check_full(*tile)?;
            self.files.write(&tile.path(), &encode_tile(&hashes))?;
            if let Some(bytes) = bundle {
                self.files.write(&Bundle::full(tile.index).path(), &bytes)?;
            }
        }
        Ok(())
    }
}

/// The files that a full tile stands for.
fn tile_files(tile: Tile) -> impl Iterator<Item = String> {
    let bundle = (tile.level == 0).then(|| Bundle::full(tile.index).path());
    std::iter::once(tile.path()).chain(bundle)
}
