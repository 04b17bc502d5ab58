//! The file of one map, `<size>`: a header, the leaves, and the hashes that proofs need.
//!
//! All integers are big-endian. Header, 140 octets: `einhorn map 1\n\0\0`; SHA-256 of the log's
//! name; u64 size of the log, u64 number of leaves, 32 octets root; u64 index to read entries on
//! from, the size itself unless a change in parts lies across it; 32 zero octets; CRC-32 of all
//! before. Then the leaves of 56 octets in order, then the hash of each 256 leaves.
//!
//! The leaves have no checksum of their own: whoever reads all of them recomputes the root, and a
//! proof made from some is verified before anybody sees it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use einhorn_core::ledger::map::{LEAF_OCTETS, Leaf, MapKey, MapProof, MapRoot, prove, root_hash};
use einhorn_core::ledger::tree::subtree_root;
use einhorn_core::ledger::{BuildError, EMPTY_ROOT, Hash, Tile, leaf_hash};

use super::{MapError, io_at};

const MAGIC: &[u8; 16] = b"einhorn map 1\n\0\0";
/// Octets of the header.
pub(super) const HEADER_OCTETS: usize = 140;
/// Leaves whose hash the file has.
const TILE_LEAVES: u64 = 256;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Hash of the log's name.
    log: [u8; 32],
    pub(super) root: MapRoot,
    /// Where to read entries on from.
    pub(super) resume: u64,
}

impl Header {
    /// That of the map of no entries, which has no file.
    pub(super) fn empty(origin: &str) -> Header {
        let root = MapRoot { at: 0, names: 0, root: root_hash(0, &EMPTY_ROOT) };
        Header { log: leaf_hash(origin.as_bytes()).0, root, resume: 0 }
    }

    /// That of a later map of the same log.
    pub(super) fn later(self, root: MapRoot, resume: u64) -> Header {
        Header { root, resume, ..self }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_OCTETS] {
        let mut octets = [0; HEADER_OCTETS];
        octets[..16].copy_from_slice(MAGIC);
        octets[16..48].copy_from_slice(&self.log);
        octets[48..56].copy_from_slice(&self.root.at.to_be_bytes());
        octets[56..64].copy_from_slice(&self.root.names.to_be_bytes());
        octets[64..96].copy_from_slice(&self.root.root.0);
        octets[96..104].copy_from_slice(&self.resume.to_be_bytes());
        let checksum = crc32fast::hash(&octets[..136]);
        octets[136..].copy_from_slice(&checksum.to_be_bytes());
        octets
    }

    /// Reads a header of a map of the log with this name; `None` for anything else.
    fn decode(octets: &[u8; HEADER_OCTETS], origin: &str) -> Option<Header> {
        let number = |at: usize| {
            octets[at..at + 8].iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
        };
        let mut root = [0; 32];
        root.copy_from_slice(&octets[64..96]);
        let root = MapRoot { at: number(48), names: number(56), root: Hash(root) };
        let header = Header::empty(origin).later(root, number(96));
        // One form only: what is not written is not read either.
        (header.encode() == *octets).then_some(header)
    }

    /// Octets of the file.
    fn length(&self) -> Option<u64> {
        let leaves = self.root.names.checked_mul(LEAF_OCTETS as u64)?;
        leaves.checked_add(HEADER_OCTETS as u64 + self.root.names / TILE_LEAVES * 32)
    }
}

/// Where the map of a size lies.
pub(super) fn path(folder: &Path, at: u64) -> PathBuf {
    folder.join(at.to_string())
}

/// Opens the file of a map; `None` if it is not there.
pub(super) fn open(
    folder: &Path,
    origin: &str,
    at: u64,
) -> Result<Option<(File, Header)>, MapError> {
    let path = path(folder, at);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io_at(&path))?,
    };
    let length = file.metadata().map_err(io_at(&path))?.len();
    let mut octets = [0; HEADER_OCTETS];
    if length < HEADER_OCTETS as u64 {
        return Err(MapError::Damaged(path));
    }
    file.read_exact(&mut octets).map_err(io_at(&path))?;
    let header = Header::decode(&octets, origin)
        .filter(|header| header.root.at == at && header.length() == Some(length));
    match header {
        Some(header) => Ok(Some((file, header))),
        None => Err(MapError::Damaged(path)),
    }
}

/// Removes all but the newest good maps from a folder; gives the newest.
pub(super) fn tidy(folder: &Path, origin: &str, keep: usize) -> Result<Option<Header>, MapError> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_at(folder))? {
        let entry = entry.map_err(io_at(folder))?;
        let size: Option<u64> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        sizes.extend(size.filter(|size| path(folder, *size) == entry.path()));
    }
    sizes.sort_unstable();
    let mut newest = None;
    let mut kept = 0;
    for at in sizes.into_iter().rev() {
        let good = match open(folder, origin, at) {
            Ok(found) => found.map(|(_, header)| header),
            Err(MapError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        if good.is_some() && kept < keep {
            newest = newest.or(good);
            kept += 1;
            continue;
        }
        let path = path(folder, at);
        std::fs::remove_file(&path).map_err(io_at(&path))?;
    }
    Ok(newest)
}

/// A map on disk, to make proofs from.
#[derive(Debug)]
pub struct MapFile {
    file: File,
    path: PathBuf,
    header: Header,
    /// For each level of the map's tree above the leaves the hashes of its full tiles.
    levels: Vec<Vec<Hash>>,
}

impl MapFile {
    /// Opens the map of the log with this name at a size.
    ///
    /// # Errors
    /// `Io`, also if there is no such file; `Damaged`.
    pub fn open(folder: &Path, origin: &str, at: u64) -> Result<MapFile, MapError> {
        let path = path(folder, at);
        let missing = || io_at(&path)(ErrorKind::NotFound.into());
        let (file, header) = open(folder, origin, at)?.ok_or_else(missing)?;
        let tiles = header.root.names / TILE_LEAVES;
        let mut octets = vec![0; tiles as usize * Hash::LENGTH];
        let behind = HEADER_OCTETS as u64 + header.root.names * LEAF_OCTETS as u64;
        file.read_exact_at(&mut octets, behind).map_err(io_at(&path))?;
        let (hashes, _) = octets.as_chunks::<{ Hash::LENGTH }>();
        let mut levels = vec![hashes.iter().map(|hash| Hash(*hash)).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|hashes| hashes.len() >= 256) {
            let above = below.chunks_exact(256).map(subtree_root).collect();
            levels.push(above);
        }
        Ok(MapFile { file, path, header, levels })
    }

    /// What the map's log should say of it.
    #[must_use]
    pub fn root(&self) -> MapRoot {
        self.header.root
    }

    /// The index of the entry that the first change not in this map begins at: its size, unless a
    /// change in parts lies across it.
    #[must_use]
    pub fn resume(&self) -> u64 {
        self.header.resume
    }

    /// The proof of what the map says of a key, verified.
    ///
    /// # Errors
    /// `Io` or `Damaged`.
    pub fn prove(&self, key: MapKey) -> Result<MapProof, MapError> {
        let root = self.header.root;
        let leaf = |position| Ok(self.leaves(position, 1)?[0]);
        let proof = prove(root.names, key, leaf, |tile| self.tile(tile));
        let damaged = || MapError::Damaged(self.path.clone());
        let proof = proof.map_err(|error| match error {
            BuildError::Read(error) => error,
            BuildError::Width { .. } | BuildError::Range => damaged(),
        })?;
        proof.check(&root, key).map_err(|_| damaged())?;
        Ok(proof)
    }

    fn leaves(&self, first: u64, count: usize) -> Result<Vec<Leaf>, MapError> {
        let mut octets = vec![0; count * LEAF_OCTETS];
        let at = HEADER_OCTETS as u64 + first * LEAF_OCTETS as u64;
        self.file.read_exact_at(&mut octets, at).map_err(io_at(&self.path))?;
        let (leaves, _) = octets.as_chunks::<LEAF_OCTETS>();
        Ok(leaves.iter().map(Leaf::decode).collect())
    }

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, MapError> {
        let (first, width) = (tile.index * TILE_LEAVES, usize::from(tile.width));
        if tile.level == 0 {
            return Ok(self.leaves(first, width)?.iter().map(Leaf::hash).collect());
        }
        let level = self.levels.get(usize::from(tile.level) - 1);
        let hashes = level.and_then(|level| level.get(first as usize..first as usize + width));
        hashes.map(<[Hash]>::to_vec).ok_or_else(|| MapError::Damaged(self.path.clone()))
    }
}
