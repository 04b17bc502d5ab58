//! Entries and proofs read from a published log, near or far.
//!
//! Nothing read here is trusted: what comes out is either checked against a signed checkpoint, as
//! [`prove_entry`] does, or must be checked by whoever receives it.

use std::io;
use std::ops::Range;

use einhorn_core::ledger::checkpoint;
use einhorn_core::ledger::tile::{entries, parse_tile};
use einhorn_core::ledger::tree::{complete_subtrees, consistency_proof, inclusion_proof};
use einhorn_core::ledger::{
    BuildError, Bundle, CheckpointError, Hash, OfflineError, Tile, TileError, TlogProof,
    VerifierKey,
};
use thiserror::Error;

use super::{CHECKPOINT, TileSource};

/// Why an entry or a proof could not be had.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The source failed.
    #[error("{path}: {source}")]
    Io {
        /// The file below the log's prefix.
        path: String,
        /// What the source said.
        source: io::Error,
    },
    /// The log does not have the file, or no longer.
    #[error("{path} is missing")]
    Missing {
        /// The file below the log's prefix.
        path: String,
    },
    /// The file is not what its path promises.
    #[error("{path}: {error}")]
    Malformed {
        /// The file below the log's prefix.
        path: String,
        /// What is wrong with it.
        error: TileError,
    },
    /// The index or size lies outside of the tree.
    #[error("index or size outside of the tree")]
    Range,
    /// The checkpoint is not one of the log with this key.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Entry, tiles and checkpoint do not fit together: the log is damaged.
    #[error("the log does not prove its own entry: {0}")]
    Unproven(#[from] OfflineError),
}

/// The inclusion proof of entry `index` in the tree of `size` entries, for which the log has
/// published a checkpoint.
///
/// # Errors
/// [`ReadError`].
pub fn prove_inclusion(
    source: &dyn TileSource,
    size: u64,
    index: u64,
) -> Result<Vec<Hash>, ReadError> {
    inclusion_proof(size, index, |tile| read_tile(source, tile)).map_err(flatten)
}

/// The proof that the tree of `old_size` entries is a prefix of that of `size` entries, for which
/// the log has published a checkpoint.
///
/// # Errors
/// [`ReadError`].
pub fn prove_consistency(
    source: &dyn TileSource,
    old_size: u64,
    size: u64,
) -> Result<Vec<Hash>, ReadError> {
    consistency_proof(old_size, size, |tile| read_tile(source, tile)).map_err(flatten)
}

/// Entry `index` of the tree of `size` entries, unverified.
///
/// # Errors
/// [`ReadError`].
pub fn read_entry(source: &dyn TileSource, size: u64, index: u64) -> Result<Vec<u8>, ReadError> {
    let mut found = Vec::new();
    read_entries(source, size, index..index.saturating_add(1), &mut |_, entry| {
        found = entry.to_vec();
        true
    })?;
    Ok(found)
}

/// Shows `visit` entries of the tree of `size` entries in order, unverified, until it returns
/// `false`. Reads each bundle once, and keeps one.
///
/// # Errors
/// [`ReadError`].
pub fn read_entries(
    source: &dyn TileSource,
    size: u64,
    range: Range<u64>,
    visit: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Result<(), ReadError> {
    if range.end > size {
        return Err(ReadError::Range);
    }
    for index in range.start / 256..range.end.div_ceil(256) {
        let bundle = Bundle::in_tree(index, size).ok_or(ReadError::Range)?;
        let full = Bundle::full(index);
        let (bytes, is_full) = read_either(source, &bundle.path(), &full.path())?;
        let bundle = if is_full { full } else { bundle };
        let malformed = |error| ReadError::Malformed { path: bundle.path(), error };
        // All of it is read first, so that a malformed bundle is not half accepted.
        let whole: Vec<&[u8]> =
            entries(&bytes, bundle.width).collect::<Result<_, _>>().map_err(malformed)?;
        for (at, entry) in (index * 256..).zip(whole) {
            if range.contains(&at) && !visit(at, entry) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The complete subtrees of the first `prefix` entries in the tree of `size` entries, for which
/// the log has published a checkpoint; the largest first.
///
/// # Errors
/// [`ReadError`].
pub fn prove_prefix(
    source: &dyn TileSource,
    size: u64,
    prefix: u64,
) -> Result<Vec<Hash>, ReadError> {
    complete_subtrees(size, prefix, |tile| read_tile(source, tile)).map_err(flatten)
}

/// Entry `index` with its proof against the published checkpoint, ready to be written to a
/// `.tlog-proof` file ([`TlogProof`]'s `Display`). The proof was verified.
///
/// # Errors
/// [`ReadError`].
pub fn prove_entry(
    source: &dyn TileSource,
    key: &VerifierKey,
    index: u64,
) -> Result<(Vec<u8>, TlogProof), ReadError> {
    let missing = || ReadError::Missing { path: CHECKPOINT.to_owned() };
    let note = read(source, CHECKPOINT)?.ok_or_else(missing)?;
    let signed = checkpoint::verify_note(&note, key)?;
    let size = signed.checkpoint.size;
    let entry = read_entry(source, size, index)?;
    let hashes = prove_inclusion(source, size, index)?;
    let proof = TlogProof { extra: None, index, hashes, checkpoint: signed.note };
    proof.verify(&entry, key)?;
    Ok((entry, proof))
}

fn read(source: &dyn TileSource, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
    source.read(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })
}

/// Reads a file, or the full one where a partial one was removed since, as C2SP tlog-tiles
/// allows. Tells whether it is the full one.
fn read_either(
    source: &dyn TileSource,
    path: &str,
    full: &str,
) -> Result<(Vec<u8>, bool), ReadError> {
    if let Some(bytes) = read(source, path)? {
        return Ok((bytes, path == full));
    }
    match read(source, full)? {
        Some(bytes) => Ok((bytes, true)),
        None => Err(ReadError::Missing { path: path.to_owned() }),
    }
}

fn read_tile(source: &dyn TileSource, tile: Tile) -> Result<Vec<Hash>, ReadError> {
    let full = Tile::full(tile.level, tile.index);
    let (bytes, is_full) = read_either(source, &tile.path(), &full.path())?;
    let found = if is_full { full } else { tile };
    let mut hashes = parse_tile(&bytes, found.width)
        .map_err(|error| ReadError::Malformed { path: found.path(), error })?;
    hashes.truncate(usize::from(tile.width));
    Ok(hashes)
}

fn flatten(error: BuildError<ReadError>) -> ReadError {
    match error {
        BuildError::Read(error) => error,
        // The reader above always returns as many hashes as the tile is wide.
        BuildError::Width { tile, .. } => ReadError::Missing { path: tile.path() },
        BuildError::Range => ReadError::Range,
    }
}
