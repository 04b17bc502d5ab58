//! Proofs of what a map says of a key: its leaf, or that it has none.
//!
//! A proof carries the map's tree hash, which with the number of leaves must give the root, and
//! one or two leaves with their paths. One leaf with the key itself proves that leaf; two
//! neighbours with the key between them, the first leaf above the key, or the last one below it,
//! prove that it is absent; no leaf at all proves it of an empty map. A proof must never be
//! believed for more than what [`MapProof::check`] returns.

use std::fmt;

use thiserror::Error;

use super::super::hash::{EMPTY_ROOT, Hash};
use super::super::tile::Tile;
use super::super::tree::{
    BuildError, PROOF_HASHES_MAX, ProofError, inclusion_proof, verify_inclusion,
};
use super::{Leaf, MapKey, MapRoot, root_hash};

/// Most leaves in a proof.
pub(super) const LEAVES_MAX: usize = 2;

/// One leaf of a map with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which leaf it is, from 0.
    pub position: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// Its path in the map's tree, from the sibling up; at most [`PROOF_HASHES_MAX`] hashes.
    pub hashes: Vec<Hash>,
}

/// The proof of what a map says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProof {
    /// The map's tree hash.
    pub tree: Hash,
    /// The key's leaf, or those beside where it would be.
    pub leaves: Vec<Found>,
}

/// Why a proof says nothing of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MapProofError {
    /// The tree hash and the number of leaves are not those of the root.
    #[error("the proof is of another map")]
    Root,
    /// A leaf's path does not lead to the tree hash.
    #[error("a leaf of the map: {0}")]
    Path(#[from] ProofError),
    /// The leaves are neither the key's nor neighbours around it.
    #[error("the leaves shown leave room for this name")]
    Gap,
    /// The leaf cannot be one of the map at its size.
    #[error("the leaf cannot be in this map")]
    Leaf,
}

impl MapProof {
    /// Checks what the map with this root says of a key: its leaf, or `None` that it has none.
    ///
    /// # Errors
    /// [`MapProofError`].
    pub fn check(&self, root: &MapRoot, key: MapKey) -> Result<Option<Leaf>, MapProofError> {
        if root_hash(root.names, &self.tree) != root.root {
            return Err(MapProofError::Root);
        }
        for found in &self.leaves {
            let (leaf, names) = (&found.leaf, root.names);
            verify_inclusion(leaf.hash(), found.position, names, self.tree, &found.hashes)?;
        }
        match &self.leaves[..] {
            [] if root.names == 0 && self.tree == EMPTY_ROOT => Ok(None),
            [only] if only.leaf.key == key => {
                // Whoever recomputes the map sees that; whoever has nothing but the proof, here.
                if only.leaf.last >= root.at || only.leaf.count == 0 {
                    return Err(MapProofError::Leaf);
                }
                Ok(Some(only.leaf))
            }
            [only] => {
                let above = only.position == 0 && key < only.leaf.key;
                let below = only.position + 1 == root.names && only.leaf.key < key;
                if above || below { Ok(None) } else { Err(MapProofError::Gap) }
            }
            [left, right] => {
                let beside = left.position + 1 == right.position;
                let around = left.leaf.key < key && key < right.leaf.key;
                if beside && around { Ok(None) } else { Err(MapProofError::Gap) }
            }
            _ => Err(MapProofError::Gap),
        }
    }
}

/// Makes the proof for a key from a map of `names` leaves, sorted. `leaf` reads one of them,
/// `tile` a tile of their hashes (`width` of them at its level and index, as in the log's tree).
///
/// # Errors
/// [`BuildError`].
pub fn prove<E>(
    names: u64,
    key: MapKey,
    mut leaf: impl FnMut(u64) -> Result<Leaf, E>,
    mut tile: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<MapProof, BuildError<E>> {
    let tree = super::super::tree::prefix_root(names, names, &mut tile)?;
    // The first leaf that is not below the key.
    let (mut low, mut high) = (0, names);
    while low < high {
        let middle = low + (high - low) / 2;
        if leaf(middle).map_err(BuildError::Read)?.key < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mut found = |position: u64| {
        let leaf = leaf(position).map_err(BuildError::Read)?;
        let hashes = inclusion_proof(names, position, &mut tile)?;
        Ok(Found { position, leaf, hashes })
    };
    let mut leaves = Vec::with_capacity(LEAVES_MAX);
    let at = (low < names).then(|| found(low)).transpose()?;
    if at.as_ref().is_none_or(|at| at.leaf.key != key) && low > 0 {
        leaves.push(found(low - 1)?);
    }
    leaves.extend(at);
    Ok(MapProof { tree, leaves })
}

/// The lines of a history file: `tree HASH`, then for each leaf
/// `leaf POSITION KEY LAST SEQUENCE COUNT` and `path HASH...`.
impl fmt::Display for MapProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tree {}", self.tree)?;
        for Found { position, leaf, hashes } in &self.leaves {
            let Leaf { key, last, sequence, count } = leaf;
            writeln!(f, "leaf {position} {} {last} {sequence} {count}", key.0)?;
            write_path(f, "path", hashes)?;
        }
        Ok(())
    }
}

/// Writes a line of hashes.
pub(super) fn write_path(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    hashes: &[Hash],
) -> fmt::Result {
    write!(f, "{keyword}")?;
    hashes.iter().try_for_each(|hash| write!(f, " {hash}"))?;
    writeln!(f)
}

/// Reads the hashes behind a keyword; `None` for anything else, or too many.
pub(super) fn parse_path(line: &str, keyword: &str) -> Option<Vec<Hash>> {
    let mut words = line.split(' ');
    if words.next() != Some(keyword) {
        return None;
    }
    let hashes: Vec<Hash> =
        words.take(PROOF_HASHES_MAX + 1).map(Hash::from_base64).collect::<Option<_>>()?;
    (hashes.len() <= PROOF_HASHES_MAX).then_some(hashes)
}
