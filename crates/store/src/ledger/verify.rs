//! Verification of a whole published log: every entry, every tile, the root, the signature.
//!
//! Hashes are computed from the entries upwards and compared with every tile on the way. Where two
//! files disagree, the hash that covers both, in the tile above or finally in the signed root,
//! tells which of them is wrong; so a finding names the file that is damaged, not one that merely
//! noticed. Reads each file once and keeps one tile per level in memory. It must never change or
//! repair anything.

use std::io;

use einhorn_core::ledger::tile::{entries, parse_tile};
use einhorn_core::ledger::tree::{edge_root, prefix_root, subtree_root};
use einhorn_core::ledger::{
    Bundle, Checkpoint, CheckpointError, Hash, Path, Tile, TileError, VerifierKey, checkpoint,
    leaf_hash,
};
use thiserror::Error;

use super::{CHECKPOINT, SIGNED, SYNCED, TileSource};

/// How to verify.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most findings to list; further ones are only counted.
    pub findings_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { findings_max: 100 }
    }
}

/// One thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file below the log's prefix.
    pub path: String,
    /// Where in the file: for a bundle the entry's index in the log, for a tile the position of
    /// the hash in the tile, from 0. `None` for the file as a whole.
    pub index: Option<u64>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// It is not there.
    #[error("missing")]
    Missing,
    /// The source failed; the text is its message.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is not what its path promises.
    #[error("{0}")]
    Malformed(TileError),
    /// Its contents are not those that the hashes above cover.
    #[error("contents are not those that the log has signed")]
    Altered,
    /// It disagrees with another file, and nothing tells which of the two is wrong.
    #[error("disagrees with {0}")]
    Disagrees(String),
    /// The checkpoint is not one of the log with this key.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    /// The signed root is not that of the entries and tiles found.
    #[error("the signed root is not that of the entries and tiles")]
    Root,
}

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint verified against; `None` if there is none, or none by this key.
    pub checkpoint: Option<Checkpoint>,
    /// Entries that were read and passed to the visitor.
    pub entries: u64,
    /// What is wrong, at most [`Options::findings_max`] of it.
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub findings_omitted: u64,
}

impl Report {
    /// Whether the log is exactly what its key has signed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.checkpoint.is_some() && self.findings.is_empty() && self.findings_omitted == 0
    }
}

/// Verifies the published log against its key, whose name is the log's origin. Calls `visit` with
/// the index and bytes of every entry that can be read, in order, before it is known to be good.
///
/// Also checks files that the checkpoint does not name but a source can list: partial files of
/// earlier checkpoints, and the writer's own records.
pub fn verify(
    source: &dyn TileSource,
    key: &VerifierKey,
    options: Options,
    visit: &mut dyn FnMut(u64, &[u8]),
) -> Report {
    let report = Report { checkpoint: None, entries: 0, findings: Vec::new(), findings_omitted: 0 };
    let mut run = Run { source, options, visit, report, size: 0 };
    if let Some(checkpoint) = run.signed_checkpoint(key) {
        run.size = checkpoint.size;
        run.report.checkpoint = Some(checkpoint.clone());
        run.tree(&checkpoint);
        run.records(key, &checkpoint);
    }
    run.report
}

struct Run<'a> {
    source: &'a dyn TileSource,
    options: Options,
    visit: &'a mut dyn FnMut(u64, &[u8]),
    report: Report,
    size: u64,
}

/// A tile as its file has it and as it follows from the files below; the hashes are `None` where
/// there is nothing to take them from.
struct Views {
    tile: Tile,
    file: Option<Vec<Hash>>,
    below: Option<Vec<Hash>>,
    bundle: Option<Vec<u8>>,
}

impl Run<'_> {
    // -----------------------------------------------------------------------------------------
    // The tree

    /// Verifies all tiles and entries. Partial tiles have none above them: the root decides.
    fn tree(&mut self, checkpoint: &Checkpoint) {
        let mut tiles: Vec<Tile> = Tile::edge(checkpoint.size).collect();
        // The highest one covers the first entries.
        tiles.reverse();
        let mut edge: Vec<Views> = tiles.into_iter().map(|tile| self.views(tile)).collect();
        edge.reverse();
        let Some(choice) = matching_choice(&edge, checkpoint.root) else {
            for views in &edge {
                self.undecided(views);
            }
            return self.found(CHECKPOINT.to_owned(), None, Problem::Root);
        };
        for (views, from_file) in edge.iter().zip(choice) {
            self.decided(views, from_file);
        }
    }

    /// Verifies a full tile and all below it, given its hash in the tile above. Returns the hash
    /// that it has as far as can be told.
    fn full_tile(&mut self, tile: Tile, covering: Option<Hash>) -> Option<Hash> {
        let views = self.views(tile);
        let below = views.below.as_deref().map(subtree_root);
        if views.file == views.below {
            self.decided(&views, true);
            return below;
        }
        let file = views.file.as_deref().map(subtree_root);
        if below.is_some() && below == covering {
            self.decided(&views, false);
            below
        } else if file.is_some() && file == covering {
            self.decided(&views, true);
            file
        } else {
            self.undecided(&views);
            below.or(file)
        }
    }

    /// Reads a tile and what lies below it.
    fn views(&mut self, tile: Tile) -> Views {
        let file = self.read_tile(tile);
        if tile.level == 0 {
            let (bundle, below) = self.read_bundle(Bundle { index: tile.index, width: tile.width });
            return Views { tile, file, below, bundle };
        }
        let mut below = Vec::with_capacity(usize::from(tile.width));
        for position in 0..tile.width {
            let covering = file.as_ref().map(|hashes| hashes[usize::from(position)]);
            let child = Tile::full(tile.level - 1, tile.index * 256 + u64::from(position));
            below.extend(self.full_tile(child, covering));
        }
        let below = (below.len() == usize::from(tile.width)).then_some(below);
        Views { tile, file, below, bundle: None }
    }

    /// It is known which view of a tile is right: names what differs in the other one.
    fn decided(&mut self, views: &Views, from_file: bool) {
        let (right, other) =
            if from_file { (&views.file, &views.below) } else { (&views.below, &views.file) };
        let Some(right) = right else { return };
        for position in differing(right, other.as_deref()) {
            match (from_file, views.tile.level) {
                (false, _) => self.found(views.tile.path(), Some(position), Problem::Altered),
                (true, 0) => {
                    let bundle = bundle_of(views.tile);
                    self.found(
                        bundle.path(),
                        Some(bundle.index * 256 + position),
                        Problem::Altered,
                    );
                }
                // A file and all below it agree with each other, but not with what covers them.
                (true, level) => {
                    let child = Tile::full(level - 1, views.tile.index * 256 + position);
                    self.found(child.path(), None, Problem::Altered);
                }
            }
        }
        self.older_partials(views, right);
    }

    /// Nothing tells which view of a tile is right.
    fn undecided(&mut self, views: &Views) {
        let (Some(file), Some(below)) = (&views.file, &views.below) else { return };
        for position in differing(file, Some(below)) {
            let (path, index) = match views.tile.level {
                0 => (bundle_of(views.tile).path(), views.tile.index * 256 + position),
                level => {
                    let child = Tile::full(level - 1, views.tile.index * 256 + position);
                    (child.path(), position)
                }
            };
            let index = (views.tile.level == 0).then_some(index);
            let problem = Problem::Disagrees(path.clone());
            self.found(views.tile.path(), Some(position), problem);
            self.found(path, index, Problem::Disagrees(views.tile.path()));
        }
    }

    // -----------------------------------------------------------------------------------------
    // Files besides those the checkpoint names

    /// Partial files of a tile, and of its bundle, must be beginnings of it.
    fn older_partials(&mut self, views: &Views, hashes: &[Hash]) {
        let whole = Tile::full(views.tile.level, views.tile.index);
        for path in self.partials(&whole.path(), views.tile.width) {
            let Ok(Path::Tile(tile)) = Path::parse(path.as_bytes()) else { continue };
            // The writer of a ledger in use takes them away once the tile is full.
            let bytes = self.read(&path);
            if let Some(found) = bytes.and_then(|bytes| self.parse_tile(tile, &bytes)) {
                for position in differing(hashes, Some(&found)) {
                    self.found(path.clone(), Some(position), Problem::Altered);
                }
            }
        }
        if views.tile.level > 0 {
            return;
        }
        for path in self.partials(&Bundle::full(views.tile.index).path(), views.tile.width) {
            let Ok(Path::Bundle(bundle)) = Path::parse(path.as_bytes()) else { continue };
            let Some(bytes) = self.read(&path) else { continue };
            if views.bundle.as_ref().is_some_and(|whole| whole.starts_with(&bytes))
                && entries(&bytes, bundle.width).all(|entry| entry.is_ok())
            {
                continue;
            }
            let mut list = Vec::new();
            for (position, entry) in entries(&bytes, bundle.width).enumerate() {
                match entry {
                    Ok(entry) => list.push(leaf_hash(entry)),
                    Err(error) => {
                        let index = bundle.index * 256 + position as u64;
                        self.found(path.clone(), Some(index), Problem::Malformed(error));
                    }
                }
            }
            for position in differing(hashes, Some(&list)) {
                let index = bundle.index * 256 + position;
                self.found(path.clone(), Some(index), Problem::Altered);
            }
        }
    }

    /// The paths of a tile's partial files narrower than `width`.
    fn partials(&mut self, whole: &str, width: u16) -> Vec<String> {
        let folder = format!("{whole}.p");
        match self.source.list(&folder) {
            Ok(names) => names
                .into_iter()
                .filter(|name| name.parse().is_ok_and(|found: u16| found < width))
                .map(|name| format!("{folder}/{name}"))
                .collect(),
            Err(error) => {
                self.found(folder, None, Problem::Unreadable(error.to_string()));
                Vec::new()
            }
        }
    }

    /// The writer's own records, where the source has them, must fit the tree.
    fn records(&mut self, key: &VerifierKey, published: &Checkpoint) {
        if let Some(bytes) = self.read(SIGNED) {
            match checkpoint::verify(&bytes, key) {
                Ok(signed) => self.record(SIGNED, &signed, published),
                Err(error) => self.found(SIGNED.to_owned(), None, Problem::Checkpoint(error)),
            }
        }
        if let Some(bytes) = self.read(SYNCED) {
            let text = String::from_utf8(bytes).unwrap_or_default();
            match Checkpoint::parse_body(&text) {
                Ok(mark) if mark.origin == key.name() => self.record(SYNCED, &mark, published),
                Ok(_) => self.found(SYNCED.to_owned(), None, Problem::Altered),
                Err(error) => self.found(SYNCED.to_owned(), None, Problem::Checkpoint(error)),
            }
        }
    }

    fn record(&mut self, path: &str, record: &Checkpoint, published: &Checkpoint) {
        // A larger one was about to be published; its tree cannot be told from these files.
        if path == SIGNED && record.size > published.size {
            return;
        }
        if record.size == published.size {
            if record.root != published.root {
                self.found(path.to_owned(), None, Problem::Altered);
            }
            return;
        }
        // With damaged tiles nobody could tell which of the two is wrong.
        if !self.report.findings.is_empty() {
            return;
        }
        let read = |tile: Tile| {
            let bytes = self.source.read(&tile.path()).ok().flatten().ok_or(())?;
            parse_tile(&bytes, tile.width).map_err(|_| ())
        };
        if prefix_root(published.size, record.size, read) != Ok(record.root) {
            self.found(path.to_owned(), None, Problem::Altered);
        }
    }

    // -----------------------------------------------------------------------------------------
    // Reading

    fn signed_checkpoint(&mut self, key: &VerifierKey) -> Option<Checkpoint> {
        let bytes = self.must_read(CHECKPOINT)?;
        match checkpoint::verify(&bytes, key) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                self.found(CHECKPOINT.to_owned(), None, Problem::Checkpoint(error));
                None
            }
        }
    }

    fn read_tile(&mut self, tile: Tile) -> Option<Vec<Hash>> {
        let bytes = self.must_read(&tile.path())?;
        self.parse_tile(tile, &bytes)
    }

    fn parse_tile(&mut self, tile: Tile, bytes: &[u8]) -> Option<Vec<Hash>> {
        match parse_tile(bytes, tile.width) {
            Ok(hashes) => Some(hashes),
            Err(error) => {
                self.found(tile.path(), None, Problem::Malformed(error));
                None
            }
        }
    }

    /// A bundle's bytes and leaf hashes, if it can be read to its end.
    fn read_bundle(&mut self, bundle: Bundle) -> (Option<Vec<u8>>, Option<Vec<Hash>>) {
        let path = bundle.path();
        let Some(bytes) = self.must_read(&path) else { return (None, None) };
        let mut leaves = Vec::with_capacity(usize::from(bundle.width));
        for (index, entry) in (bundle.index * 256..).zip(entries(&bytes, bundle.width)) {
            match entry {
                Ok(entry) => {
                    leaves.push(leaf_hash(entry));
                    self.report.entries += 1;
                    (self.visit)(index, entry);
                }
                Err(error) => {
                    self.found(path, Some(index), Problem::Malformed(error));
                    return (None, None);
                }
            }
        }
        (Some(bytes), Some(leaves))
    }

    fn must_read(&mut self, path: &str) -> Option<Vec<u8>> {
        let result = self.source.read(path);
        self.note_unreadable(path, result, true)
    }

    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        let result = self.source.read(path);
        self.note_unreadable(path, result, false)
    }

    fn note_unreadable(
        &mut self,
        path: &str,
        result: io::Result<Option<Vec<u8>>>,
        required: bool,
    ) -> Option<Vec<u8>> {
        let problem = match result {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) if !required => return None,
            Ok(None) => Problem::Missing,
            Err(error) => Problem::Unreadable(error.to_string()),
        };
        self.found(path.to_owned(), None, problem);
        None
    }

    fn found(&mut self, path: String, index: Option<u64>, problem: Problem) {
        if self.report.findings.len() < self.options.findings_max {
            self.report.findings.push(Finding { path, index, problem });
        } else {
            self.report.findings_omitted += 1;
        }
    }
}

fn bundle_of(tile: Tile) -> Bundle {
    Bundle { index: tile.index, width: tile.width }
}

/// Positions at which two runs of hashes differ, as far as both go.
fn differing(right: &[Hash], other: Option<&[Hash]>) -> Vec<u64> {
    let pairs = right.iter().zip(other.unwrap_or_default());
    (0..).zip(pairs).filter(|(_, (a, b))| a != b).map(|(position, _)| position).collect()
}

/// Which view of each partial tile (true: its file) leads to the signed root. At most 2^8
/// combinations, one per level whose views differ; the files' own views are tried first.
fn matching_choice(edge: &[Views], root: Hash) -> Option<Vec<bool>> {
    (0..1u32 << edge.len()).find_map(|mask| {
        let choice: Vec<bool> = (0..edge.len()).map(|level| mask >> level & 1 == 0).collect();
        let chosen: Option<Vec<&[Hash]>> = edge
            .iter()
            .zip(&choice)
            .map(|(views, file)| {
                // Views that agree need to be tried only once.
                let same = views.file == views.below;
                let view = if *file { &views.file } else { &views.below };
                view.as_deref().filter(|_| *file || !same)
            })
            .collect();
        (edge_root(chosen?.into_iter()) == root).then_some(choice)
    })
}
