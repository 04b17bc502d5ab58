//! Sealing: entries become bundles, tiles and a signed checkpoint.
//!
//! The order is what matters. Everything is written, read back and rehashed; the root is computed
//! from what was read; only then is the checkpoint signed, made durable, and published (the last two
//! a moment later where others wait for the signature). A failure
//! leaves the sealer where it was, so that the same entries can be sealed again; a checkpoint that
//! may have been signed is remembered even then, and nothing that contradicts it is ever signed.
//!
//! Reading back catches what goes wrong in memory and in the file system; the copy read is usually
//! still in memory. [`Sealer::sync_full`] reads full tiles again after they reached the disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use einhorn_core::ledger::tile::{
    EntryTooLong, append_entry, encode_tile, entries as bundle_entries, parse_tile,
};
use einhorn_core::ledger::tree::{prefix_root, subtree_root};
use einhorn_core::ledger::{
    BuildError, Bundle, Checkpoint, Cosignatures, Frontier, Hash, SignedCheckpoint, SignerKey,
    Tile, VerifierKey, leaf_hash,
};

use super::{CHECKPOINT, Files, SIGNED, SealError};

/// The key that a log's files stand under, secret or public.
pub trait LogKey {
    /// The public half; its name is the log's origin.
    fn verifier(&self) -> &VerifierKey;
}

impl LogKey for SignerKey {
    fn verifier(&self) -> &VerifierKey {
        SignerKey::verifier(self)
    }
}

/// The writer of the files of this site's own log, which signs its checkpoints.
pub type Sealer = Writer<SignerKey>;

/// The writer of one log's files. Owns the log's right edge; where checkpoints come from depends
/// on the key: [`Sealer`] signs them, [`super::Mirror`] is given them.
#[derive(Debug)]
pub struct Writer<K> {
    pub(super) files: FilesHandle,
    pub(super) key: K,
    pub(super) frontier: Frontier,
    /// Bytes of the unfinished bundle.
    pub(super) tail: Vec<u8>,
    /// The files of the right edge are known to be on disk as the frontier says.
    pub(super) edge_written: bool,
    /// The largest checkpoint that may ever have been signed, without cosignatures.
    pub(super) signed: Option<SignedCheckpoint>,
    /// `checkpoint` on disk shows `signed`.
    pub(super) announced: bool,
    pub(super) sync: super::sync::SyncState,
    /// As they are on disk.
    pub(super) cosignatures: Cosignatures,
    /// Whose cosignatures are kept.
    pub(super) cosigners: Vec<VerifierKey>,
}

/// Shared so that others may read the same files.
#[derive(Clone)]
pub(super) struct FilesHandle(pub(super) Arc<dyn Files>);

impl std::fmt::Debug for FilesHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

/// What a batch made of the log, before it counts.
pub(super) struct Grown {
    pub(super) frontier: Frontier,
    tail: Vec<u8>,
    /// Tiles that became full, each level's in order.
    full: Vec<Tile>,
    /// Bundles that became full, by index. Their entries are the ones hashed.
    bundles: HashMap<u64, Vec<u8>>,
}

type ReadTiles = HashMap<(u8, u64), Vec<Hash>>;

impl Sealer {
    /// Seals the entries that start at `first_index`, which must be [`Self::sealed`], and returns
    /// the checkpoint that covers them; it is durable and published. The checkpoint of an empty
    /// log is signed by sealing no entries.
    ///
    /// `None` while files are built anew below [`Self::signed_size`]: larger checkpoints have been
    /// signed already. On any error nothing has changed for the caller, who may seal the same
    /// entries again; after `Damaged` only once the ledger was opened again.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal<E: AsRef<[u8]>>(
        &mut self,
        first_index: u64,
        entries: &[E],
    ) -> Result<Option<SignedCheckpoint>, SealError> {
        self.must_follow(first_index)?;
        if entries.is_empty() && self.announced {
            return Ok(self.signed.clone());
        }
        let grown = self.grow(entries)?;
        let signed = self.sign(&grown)?;
        if let Some(signed) = &signed {
            self.publish(signed.clone())?;
        }
        self.accept(grown);
        Ok(signed)
    }

    /// As [`Self::seal`], but leaves it to [`Self::announce`] to make the checkpoint durable and to
    /// publish it: for those who wait for it at other sites, to whom it may be shown at once. The
    /// entries must be durable already, and those who are shown it must be sent them first. A
    /// crash before the announcement has the same entries sealed again, which signs the same tree.
    ///
    /// # Errors
    /// [`SealError`], as [`Self::seal`].
    pub fn seal_unannounced<E: AsRef<[u8]>>(
        &mut self,
        first_index: u64,
        entries: &[E],
    ) -> Result<Option<SignedCheckpoint>, SealError> {
        self.must_follow(first_index)?;
        let grown = self.grow(entries)?;
        let signed = self.sign(&grown)?;
        if signed.is_some() {
            self.signed.clone_from(&signed);
            self.announced = false;
        }
        self.accept(grown);
        Ok(signed)
    }

    /// Makes the last checkpoint durable and publishes it, unless that was done.
    ///
    /// # Errors
    /// `Io` and `Damaged`, after which the same may be called again.
    pub fn announce(&mut self) -> Result<(), SealError> {
        match self.signed.clone() {
            Some(signed) if !self.announced && signed.checkpoint.size == self.sealed() => {
                self.publish(signed)
            }
            _ => Ok(()),
        }
    }

    /// Signs the tree, unless this very one was signed already; `None` where larger ones were.
    fn sign(&self, grown: &Grown) -> Result<Option<SignedCheckpoint>, SealError> {
        let (size, root) = (grown.frontier.size(), grown.frontier.root());
        match &self.signed {
            Some(signed) if signed.checkpoint.size > size => Ok(None),
            Some(signed) if signed.checkpoint.size == size => {
                same_root(&signed.checkpoint, root)?;
                Ok(Some(signed.clone()))
            }
            _ => {
                let origin = self.origin().to_owned();
                let signed = Checkpoint { origin, size, root }.sign(&self.key);
                signed.map(Some).map_err(|error| SealError::Checkpoint { path: SIGNED, error })
            }
        }
    }
}

impl<K: LogKey> Writer<K> {
    /// Index of the next entry to seal. Below [`Self::signed_size`] only after damage: the entries
    /// from here on must be sealed again, as they were.
    #[must_use]
    pub fn sealed(&self) -> u64 {
        self.frontier.size()
    }

    /// Size of the largest checkpoint signed so far, 0 if none. A caller that has fewer entries
    /// has lost some and must not append to this log.
    #[must_use]
    pub fn signed_size(&self) -> u64 {
        self.signed.as_ref().map_or(0, |signed| signed.checkpoint.size)
    }

    /// The largest checkpoint signed so far, without cosignatures.
    #[must_use]
    pub fn signed(&self) -> Option<&SignedCheckpoint> {
        self.signed.as_ref()
    }

    pub(super) fn origin(&self) -> &str {
        self.key.verifier().name()
    }

    pub(super) fn must_follow(&self, first_index: u64) -> Result<(), SealError> {
        let expected = self.sealed();
        if first_index == expected {
            return Ok(());
        }
        Err(SealError::WrongIndex { expected, found: first_index })
    }

    /// Writes what the entries make of the files and checks it. Nothing counts yet.
    pub(super) fn grow<E: AsRef<[u8]>>(&self, entries: &[E]) -> Result<Grown, SealError> {
        self.check_edge()?;
        let grown = self.integrate(entries)?;
        self.check_written(&grown)?;
        Ok(grown)
    }

    /// What was written counts from here on.
    pub(super) fn accept(&mut self, grown: Grown) {
        for tile in &grown.full {
            self.sync.wrote(*tile);
        }
        self.frontier = grown.frontier;
        self.tail = grown.tail;
        self.edge_written = true;
    }

    /// The unfinished tiles and bundle on disk must still be what was verified last time.
    fn check_edge(&self) -> Result<(), SealError> {
        if !self.edge_written {
            return Ok(());
        }
        for (tile, hashes) in self.frontier.partial_tiles() {
            self.files.must_hold(&tile.path(), &encode_tile(hashes))?;
        }
        match edge_bundle(self.sealed()) {
            Some(bundle) => self.files.must_hold(&bundle.path(), &self.tail),
            None => Ok(()),
        }
    }

    /// Adds the entries to a copy of the edge and writes every file that this completes or
    /// changes. Files at these paths that no checkpoint covers yet mean nothing to anyone.
    fn integrate<E: AsRef<[u8]>>(&self, entries: &[E]) -> Result<Grown, SealError> {
        let mut grown = Grown {
            frontier: self.frontier.clone(),
            tail: self.tail.clone(),
            full: Vec::new(),
            bundles: HashMap::new(),
        };
        let mut filled: Vec<(Tile, Vec<u8>)> = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            append_entry(&mut grown.tail, entry).map_err(|EntryTooLong { bytes }| {
                SealError::EntryTooLong { index: grown.frontier.size(), bytes }
            })?;
            grown.frontier.push(leaf_hash(entry), |tile, hashes| {
                filled.push((tile, encode_tile(hashes)));
            });
            // A bundle is full exactly when its tile of level 0, the first in the list, is.
            if let Some((leaves, _)) = filled.first() {
                self.files.write_new(&Bundle::full(leaves.index).path(), &grown.tail)?;
                grown.bundles.insert(leaves.index, std::mem::take(&mut grown.tail));
            }
            for (tile, bytes) in filled.drain(..) {
                self.files.write_new(&tile.path(), &bytes)?;
                grown.full.push(tile);
            }
            self.check_signed_root(&grown.frontier)?;
        }
        for (tile, hashes) in grown.frontier.partial_tiles() {
            let unchanged = self.edge_written && Tile::edge(self.sealed()).any(|old| old == tile);
            if !unchanged {
                self.files.write_new(&tile.path(), &encode_tile(hashes))?;
            }
        }
        if let Some(bundle) = edge_bundle(grown.frontier.size()) {
            self.files.write_new(&bundle.path(), &grown.tail)?;
        }
        Ok(grown)
    }

    /// At the size signed last, the root must be the one signed.
    fn check_signed_root(&self, frontier: &Frontier) -> Result<(), SealError> {
        match &self.signed {
            Some(signed) if signed.checkpoint.size == frontier.size() => {
                same_root(&signed.checkpoint, frontier.root())
            }
            _ => Ok(()),
        }
    }

    /// Reads back what was written and the edge it joins, and computes every hash again from it.
    fn check_written(&self, grown: &Grown) -> Result<(), SealError> {
        let size = grown.frontier.size();
        let rebuilds = self.sealed() < self.signed_size();
        let mut tiles = ReadTiles::new();
        for tile in grown.full.iter().copied().chain(Tile::edge(size)) {
            tiles.insert((tile.level, tile.index), self.files.read_tile(tile)?);
        }
        for tile in grown.full.iter().copied().chain(Tile::edge(size)) {
            let hashes = &tiles[&(tile.level, tile.index)];
            let bundle = match tile.level {
                0 => Some(self.check_bundle(tile, hashes, grown)?),
                _ => None,
            };
            let is_new = Tile::in_tree(tile.level, tile.index, self.sealed()).is_none();
            // Where this process has not written before, a crash may have left partial files.
            if !self.edge_written || rebuilds || is_new {
                let covered = size.max(self.signed_size());
                self.files.repair_partials(tile, hashes, bundle.as_deref(), covered)?;
            }
            if tile.is_full() {
                let parent = tiles.get(&(tile.level + 1, tile.index / 256));
                let covering = parent.and_then(|hashes| hashes.get((tile.index % 256) as usize));
                if covering != Some(&subtree_root(hashes)) {
                    let problem = "its hash is not the one in the tile above";
                    return Err(SealError::Damaged { path: tile.path(), problem });
                }
            }
        }
        let read = |tile: Tile| tiles.get(&(tile.level, tile.index)).cloned().ok_or(());
        let computed = prefix_root(size, size, read).map_err(not_rebuilt)?;
        if computed != grown.frontier.root() {
            let problem = "the tiles lead to another root than the entries";
            return Err(SealError::Damaged { path: "tile".to_owned(), problem });
        }
        match &self.signed {
            Some(signed) if (self.sealed()..=size).contains(&signed.checkpoint.size) => {
                let signed = &signed.checkpoint;
                same_root(signed, prefix_root(size, signed.size, read).map_err(not_rebuilt)?)
            }
            _ => Ok(()),
        }
    }

    /// The bundle of a tile of level 0, as it lies on disk. Octets that are those hashed a moment
    /// ago need no hashing again; all others do.
    fn check_bundle<'g>(
        &self,
        tile: Tile,
        leaves: &[Hash],
        grown: &'g Grown,
    ) -> Result<Cow<'g, [u8]>, SealError> {
        let bundle = Bundle { index: tile.index, width: tile.width };
        match grown.bundles.get(&tile.index) {
            Some(bytes) if tile.is_full() => {
                self.files.must_hold(&bundle.path(), bytes)?;
                Ok(Cow::Borrowed(bytes))
            }
            _ => self.files.check_bundle(bundle, leaves).map(Cow::Owned),
        }
    }

    /// Makes a checkpoint that covers all that is written durable, and shows it.
    pub(super) fn publish(&mut self, signed: SignedCheckpoint) -> Result<(), SealError> {
        // Remembered before it is written: a write that fails may have reached the disk.
        self.signed = Some(signed.clone());
        self.announced = false;
        let files = &self.files;
        files.write_durable(SIGNED, signed.note.as_bytes())?;
        files.must_hold(SIGNED, signed.note.as_bytes())?;
        self.show(&signed)?;
        self.announced = true;
        Ok(())
    }

    /// Writes the file that readers look for.
    pub(super) fn show(&self, signed: &SignedCheckpoint) -> Result<(), SealError> {
        let note = self.with_cosignatures(signed);
        self.files.write(CHECKPOINT, note.as_bytes())?;
        self.files.must_hold(CHECKPOINT, note.as_bytes())
    }
}

/// The unfinished bundle of a tree of `size` entries.
pub(super) fn edge_bundle(size: u64) -> Option<Bundle> {
    Bundle::in_tree(size / 256, size)
}

pub(super) fn same_root(signed: &Checkpoint, computed: Hash) -> Result<(), SealError> {
    if signed.root == computed {
        return Ok(());
    }
    Err(SealError::Contradiction { size: signed.size, signed: signed.root, computed })
}

fn not_rebuilt(_: BuildError<()>) -> SealError {
    SealError::Damaged { path: "tile".to_owned(), problem: "tiles do not make up the tree" }
}

// ---------------------------------------------------------------------------------------------
// Reading back

impl FilesHandle {
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        let error = |source| SealError::Io { path: path.to_owned(), source };
        self.0.write_atomic(path, bytes).map_err(error)
    }

    pub(super) fn write_durable(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        let error = |source| SealError::Io { path: path.to_owned(), source };
        self.0.write_durable(path, bytes).map_err(error)
    }

    fn write_new(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        let error = |source| SealError::Io { path: path.to_owned(), source };
        self.0.write_new(path, bytes).map_err(error)
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SealError> {
        let error = |source| SealError::Io { path: path.to_owned(), source };
        self.0.read(path).map_err(error)
    }

    /// Reads a file that must be there.
    pub(super) fn must_read(&self, path: &str) -> Result<Vec<u8>, SealError> {
        let damaged = || SealError::Damaged { path: path.to_owned(), problem: "missing" };
        self.read(path)?.ok_or_else(damaged)
    }

    pub(super) fn must_hold(&self, path: &str, bytes: &[u8]) -> Result<(), SealError> {
        if self.must_read(path)? == bytes {
            return Ok(());
        }
        let problem = "not what was written there";
        Err(SealError::Damaged { path: path.to_owned(), problem })
    }

    pub(super) fn read_tile(&self, tile: Tile) -> Result<Vec<Hash>, SealError> {
        let path = tile.path();
        let problem = "of another length than written";
        parse_tile(&self.must_read(&path)?, tile.width)
            .map_err(|_| SealError::Damaged { path, problem })
    }

    /// Reads a bundle and checks that its entries have these leaf hashes. Returns its bytes.
    pub(super) fn check_bundle(
        &self,
        bundle: Bundle,
        leaves: &[Hash],
    ) -> Result<Vec<u8>, SealError> {
        let path = bundle.path();
        let bytes = self.must_read(&path)?;
        let mut entries = bundle_entries(&bytes, bundle.width);
        let all = leaves.iter().all(|leaf| {
            entries.next().is_some_and(|e| e.is_ok_and(|entry| leaf_hash(entry) == *leaf))
        });
        if all && entries.next().is_none() {
            return Ok(bytes);
        }
        Err(SealError::Damaged { path, problem: "its entries do not have the hashes of its tile" })
    }
}
