//! Partial files that a crash left behind.
//!
//! A power cut can tear partial files of checkpoints that readers may still hold, and leave ones
//! that no checkpoint ever covered. They are looked for where this process has not written before,
//! and written again from the verified tile. It must never remove a file that a signed checkpoint
//! needs.

use einhorn_core::ledger::tile::{encode_tile, entries};
use einhorn_core::ledger::{Bundle, Hash, Tile};

use super::SealError;
use super::seal::FilesHandle;

impl FilesHandle {
    /// Makes the partial files of a tile, and of its bundle, beginnings of what is verified: the
    /// tile's `hashes` and, for level 0, the bundle's bytes. `covered` is the largest tree of
    /// which readers may know; files of larger trees are removed.
    pub(super) fn repair_partials(
        &self,
        tile: Tile,
        hashes: &[Hash],
        bundle: Option<&[u8]>,
        covered: u64,
    ) -> Result<(), SealError> {
        let is_known = |width: u16| {
            let hash = u128::from(tile.index) * 256 + u128::from(width);
            hash << (8 * u32::from(tile.level)) <= u128::from(covered)
        };
        let whole = Tile::full(tile.level, tile.index).path();
        for (width, path) in self.partial_files(&whole)? {
            if width <= tile.width {
                self.put(&path, &encode_tile(&hashes[..usize::from(width)]))?;
            } else if !is_known(width) {
                self.remove(&path)?;
            }
        }
        let Some(bytes) = bundle else { return Ok(()) };
        for (width, path) in self.partial_files(&Bundle::full(tile.index).path())? {
            if width <= tile.width {
                let list = entries(bytes, tile.width).take(usize::from(width)).flatten();
                let length = list.map(|entry| 2 + entry.len()).sum();
                self.put(&path, &bytes[..length])?;
            } else if !is_known(width) {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Widths and paths of the partial files of a tile or bundle.
    pub(super) fn partial_files(&self, whole: &str) -> Result<Vec<(u16, String)>, SealError> {
        let folder = format!("{whole}.p");
        let error = |source| SealError::Io { path: folder.clone(), source };
        let names = self.0.list(&folder).map_err(error)?;
        let widths = names.into_iter().filter_map(|name| {
            let width = name.parse().ok().filter(|width| (1..256).contains(width))?;
            Some((width, format!("{folder}/{name}")))
        });
        Ok(widths.collect())
    }

    /// Writes a file unless it has these contents already.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        if self.read(path)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        self.write(path, bytes)?;
        self.must_hold(path, bytes)
    }

    fn remove(&self, path: &str) -> Result<(), SealError> {
        let error = |source| SealError::Io { path: path.to_owned(), source };
        self.0.remove(path).map_err(error)
    }
}
