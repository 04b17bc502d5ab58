//! The Merkle tree of RFC 6962, section 2.1: growing it, and proofs about it.
//!
//! A tree is grown with a [`Frontier`], which keeps only the unfinished tiles of its right edge
//! and hands out each tile as it fills, so an entry costs the same at any size. Proofs are built
//! from tiles alone, which the caller reads, and checked against roots alone. This module never
//! stores a tree and never decides whom to trust.

use std::collections::HashMap;

use thiserror::Error;

use super::hash::{EMPTY_ROOT, Hash, node_hash};
use super::tile::{LEVELS, TILE_WIDTH, Tile, hashes_at};

/// Largest tree, in entries: sizes fit a signed 64-bit number, as other tools of the field expect.
pub const SIZE_MAX: u64 = i64::MAX as u64;
/// Most hashes in an inclusion or consistency proof of any possible tree.
pub const PROOF_HASHES_MAX: usize = 63;

// ---------------------------------------------------------------------------------------------
// Growing

/// The right edge of a tree: its size and, for each tile level, the hashes of the unfinished tile.
///
/// Holds at most 8 × 255 hashes. Whoever appends to a log owns one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// `edge[level]` has (size / 256^level) mod 256 hashes.
    edge: Vec<Vec<Hash>>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// The tree of `size` entries, a multiple of 256, from its full tiles, which `read` returns.
    /// Reads at most 255 tiles per level, so a growing log stays quick to open.
    ///
    /// # Errors
    /// [`BuildError`]; `Range` if `size` is not a multiple of 256.
    pub fn from_full_tiles<E>(
        size: u64,
        mut read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
    ) -> Result<Frontier, BuildError<E>> {
        if !size.is_multiple_of(TILE_WIDTH) || size > SIZE_MAX {
            return Err(BuildError::Range);
        }
        let mut edge = vec![Vec::new()];
        for level in 1..LEVELS {
            let hashes = hashes_at(level, size);
            let mut tile_hashes = Vec::with_capacity(TILE_WIDTH as usize);
            for child in hashes / TILE_WIDTH * TILE_WIDTH..hashes {
                tile_hashes
                    .push(subtree_root(&read_checked(&mut read, Tile::full(level - 1, child))?));
            }
            edge.push(tile_hashes);
        }
        Ok(Frontier { size, edge })
    }

    /// Entries in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash and hands each tile that became full, lowest level first, to `on_full`.
    pub fn push(&mut self, leaf: Hash, mut on_full: impl FnMut(Tile, &[Hash])) {
        assert!(self.size < SIZE_MAX, "a tree holds at most 2^63 - 1 entries");
        self.size += 1;
        let mut hash = leaf;
        for level in 0..LEVELS {
            let slot = usize::from(level);
            if self.edge.len() == slot {
                self.edge.push(Vec::with_capacity(TILE_WIDTH as usize));
            }
            let hashes = &mut self.edge[slot];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH as usize {
                return;
            }
            on_full(Tile::full(level, hashes_at(level + 1, self.size) - 1), hashes);
            hash = subtree_root(hashes);
            hashes.clear();
        }
    }

    /// The partial tiles of the right edge with their hashes, lowest level first.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        (0u8..).zip(&self.edge).filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            let index = hashes_at(level, self.size) / TILE_WIDTH;
            (Tile { level, index, width: hashes.len() as u16 }, hashes.as_slice())
        })
    }

    /// The tree hash of all entries (`MTH` in RFC 6962).
    #[must_use]
    pub fn root(&self) -> Hash {
        edge_root(self.partial_tiles().map(|(_, hashes)| hashes))
    }

    /// The same tree cut back to its last full bundle.
    #[must_use]
    pub fn at_full_bundles(&self) -> Frontier {
        let mut cut = self.clone();
        cut.size -= self.size % TILE_WIDTH;
        if let Some(leaves) = cut.edge.first_mut() {
            leaves.clear();
        }
        cut
    }
}

/// The root of a tree from the hashes of its partial tiles, lowest level first.
///
/// Everything to the right of a level's hashes is one smaller subtree, so it takes the place of
/// one more hash at that level: the largest power of two below `w` + a remainder is the same as
/// that below `w` + 1.
pub fn edge_root<'a>(tiles: impl Iterator<Item = &'a [Hash]>) -> Hash {
    let mut right: Option<Hash> = None;
    for hashes in tiles {
        let mut list = hashes.to_vec();
        list.extend(right);
        right = Some(fold(list));
    }
    right.unwrap_or(EMPTY_ROOT)
}

/// The tree hash over a run of subtrees of equal height, such as the hashes of a full tile.
#[must_use]
pub fn subtree_root(hashes: &[Hash]) -> Hash {
    fold(hashes.to_vec())
}

/// Hashes neighbours together until one is left; a last one without a neighbour moves up as it
/// is. This is the tree of RFC 6962, whose left subtrees are always complete.
fn fold(mut hashes: Vec<Hash>) -> Hash {
    if hashes.is_empty() {
        return EMPTY_ROOT;
    }
    let mut count = hashes.len();
    while count > 1 {
        for pair in 0..count / 2 {
            hashes[pair] = node_hash(&hashes[2 * pair], &hashes[2 * pair + 1]);
        }
        if count % 2 == 1 {
            hashes[count / 2] = hashes[count - 1];
        }
        count = count.div_ceil(2);
    }
    hashes[0]
}

// ---------------------------------------------------------------------------------------------
// Building proofs from tiles

/// Why a proof or root could not be built from tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError<E> {
    /// The caller's reader failed.
    #[error("{0}")]
    Read(E),
    /// The reader returned another number of hashes than the tile's width.
    #[error("{path} has {found} hashes", path = .tile.path())]
    Width {
        /// The tile asked for.
        tile: Tile,
        /// Hashes returned.
        found: usize,
    },
    /// The index or the size lies outside of the tree.
    #[error("index or size outside of the tree")]
    Range,
}

fn read_checked<E>(
    read: &mut impl FnMut(Tile) -> Result<Vec<Hash>, E>,
    tile: Tile,
) -> Result<Vec<Hash>, BuildError<E>> {
    let hashes = read(tile).map_err(BuildError::Read)?;
    if hashes.len() != usize::from(tile.width) {
        return Err(BuildError::Width { tile, found: hashes.len() });
    }
    Ok(hashes)
}

/// The tiles of one tree, each read once.
struct TileCache<R> {
    size: u64,
    read: R,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<R, E> TileCache<R>
where
    R: FnMut(Tile) -> Result<Vec<Hash>, E>,
{
    fn new(size: u64, read: R) -> Self {
        TileCache { size, read, tiles: HashMap::new() }
    }

    /// The root of the complete subtree of 2^height entries that starts at `start`.
    fn complete(&mut self, start: u64, height: u32) -> Result<Hash, BuildError<E>> {
        let level = (height / 8) as u8;
        let first = start >> (8 * u32::from(level));
        let place = (level, first / TILE_WIDTH);
        if !self.tiles.contains_key(&place) {
            let tile = Tile::in_tree(place.0, place.1, self.size).ok_or(BuildError::Range)?;
            self.tiles.insert(place, read_checked(&mut self.read, tile)?);
        }
        let offset = (first % TILE_WIDTH) as usize;
        let hashes =
            self.tiles.get(&place).and_then(|t| t.get(offset..offset + (1 << (height % 8))));
        hashes.map(subtree_root).ok_or(BuildError::Range)
    }

    /// The complete subtrees of such a range, the largest first.
    fn pieces(&mut self, start: u64, end: u64) -> Result<Vec<Hash>, BuildError<E>> {
        let mut pieces = Vec::new();
        let mut at = start;
        while at < end {
            let height = (end - at).ilog2();
            pieces.push(self.complete(at, height)?);
            at += 1 << height;
        }
        Ok(pieces)
    }

    /// The tree hash of the entries `start..end`, where `start` is 0 or a split point of the tree.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, BuildError<E>> {
        let mut pieces = self.pieces(start, end)?.into_iter().rev();
        let Some(last) = pieces.next() else { return Ok(EMPTY_ROOT) };
        Ok(pieces.fold(last, |right, left| node_hash(&left, &right)))
    }
}

/// The root that a tree of `size` entries had when it was `prefix` entries long.
///
/// `read` returns the hashes of a tile of the tree of `size` entries; each is read at most once.
///
/// # Errors
/// [`BuildError`]; `Range` if `prefix` > `size`.
pub fn prefix_root<E>(
    size: u64,
    prefix: u64,
    read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Hash, BuildError<E>> {
    if prefix > size || size > SIZE_MAX {
        return Err(BuildError::Range);
    }
    TileCache::new(size, read).range(0, prefix)
}

/// The complete subtrees that the first `prefix` entries of a tree of `size` entries consist of,
/// the largest first.
///
/// # Errors
/// [`BuildError`]; `Range` if `prefix` > `size`.
pub fn complete_subtrees<E>(
    size: u64,
    prefix: u64,
    read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if prefix > size || size > SIZE_MAX {
        return Err(BuildError::Range);
    }
    TileCache::new(size, read).pieces(0, prefix)
}

/// The audit path of entry `index` in the tree of `size` entries, from the leaf's sibling up
/// (`PATH` in RFC 6962, section 2.1.1). At most [`PROOF_HASHES_MAX`] hashes.
///
/// # Errors
/// [`BuildError`]; `Range` if `index` >= `size`.
pub fn inclusion_proof<E>(
    size: u64,
    index: u64,
    read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if index >= size || size > SIZE_MAX {
        return Err(BuildError::Range);
    }
    let mut tiles = TileCache::new(size, read);
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let split = start + split_point(end - start);
        if index < split {
            proof.push(tiles.range(split, end)?);
            end = split;
        } else {
            proof.push(tiles.range(start, split)?);
            start = split;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `old_size` entries is a prefix of the tree of `size` entries
/// (`PROOF` in RFC 6962, section 2.1.2). Empty if the old tree is empty or the same.
///
/// # Errors
/// [`BuildError`]; `Range` if `old_size` > `size`.
pub fn consistency_proof<E>(
    old_size: u64,
    size: u64,
    read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if old_size > size || size > SIZE_MAX {
        return Err(BuildError::Range);
    }
    if old_size == 0 {
        return Ok(Vec::new());
    }
    let mut tiles = TileCache::new(size, read);
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while old_size != end {
        let split = start + split_point(end - start);
        if old_size <= split {
            proof.push(tiles.range(split, end)?);
            end = split;
        } else {
            proof.push(tiles.range(start, split)?);
            start = split;
        }
    }
    // The verifier knows the old root itself; any other complete subtree it must be told.
    if start != 0 {
        proof.push(tiles.range(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two smaller than `count`, which is at least 2.
fn split_point(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

// ---------------------------------------------------------------------------------------------
// Checking proofs

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The index or the old size lies outside of the tree.
    #[error("index or old size outside of the tree")]
    Range,
    /// Too few or too many hashes for a tree of this size.
    #[error("wrong number of hashes for this tree size")]
    Length,
    /// The hashes do not lead to the root: entry, index, proof or root is not the right one.
    #[error("the hashes do not lead to the root")]
    Root,
}

/// Checks that the entry with this leaf hash is entry `index` of the tree (RFC 9162, section
/// 2.1.3.2, which is the same tree).
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree (`old_size`, `old_root`) is a prefix of the tree (`size`, `root`)
/// (RFC 9162, section 2.1.4.2). The empty tree is a prefix of every tree, with an empty proof.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    old_root: Hash,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > size {
        return Err(ProofError::Range);
    }
    if old_size == 0 || old_size == size {
        let expected = if old_size == 0 { EMPTY_ROOT } else { root };
        return match (proof.is_empty(), old_root == expected) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
            (false, _) => Err(ProofError::Length),
        };
    }
    // The old root itself is left out of the proof where it is a complete subtree of the new one.
    let start = old_size.is_power_of_two().then_some(&old_root);
    let mut hashes = start.into_iter().chain(proof);
    let first = *hashes.next().ok_or(ProofError::Length)?;
    let shift = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> shift, (size - 1) >> shift);
    let (mut old_hash, mut hash) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, old_hash == old_root && hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
