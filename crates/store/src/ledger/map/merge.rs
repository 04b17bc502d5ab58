//! Touches of names gathered in sorted runs, and one pass that merges them with the last map.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use einhorn_core::ledger::Hash;
use einhorn_core::ledger::map::{LEAF_OCTETS, Leaf, MapKey, RootBuilder, Touch};

use super::file::{self, HEADER_OCTETS, Header};
use super::{MapError, io_at};

/// Touches kept in memory, 48 octets each.
const TOUCHES_MAX: usize = 1 << 20;
/// Octets of a touch in a run: key, index, sequence.
const TOUCH_OCTETS: usize = 48;
/// Octets read or written at once.
const BUFFER_OCTETS: usize = 1 << 16;

/// Touches since the last map.
pub(super) struct Runs {
    folder: PathBuf,
    /// The newest ones.
    memory: Vec<Touch>,
    /// Sorted runs without names, which are gone when they are closed, with their lengths.
    spilled: Vec<(File, u64)>,
    touches_max: usize,
}

impl Runs {
    pub(super) fn new(folder: &Path) -> Runs {
        let folder = folder.to_owned();
        Runs { folder, memory: Vec::new(), spilled: Vec::new(), touches_max: TOUCHES_MAX }
    }

    /// Makes it spill sooner.
    #[cfg(test)]
    pub(super) fn set_limit(&mut self, touches_max: usize) {
        self.touches_max = touches_max;
    }

    pub(super) fn push(&mut self, touch: Touch) -> Result<(), MapError> {
        if self.memory.len() >= self.touches_max {
            self.spill()?;
        }
        self.memory.push(touch);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), MapError> {
        self.memory.sort_unstable();
        let path = self.folder.join("run");
        let error = io_at(&path);
        let options = File::options().read(true).write(true).create(true).truncate(true).to_owned();
        let file = options.open(&path).map_err(&error)?;
        std::fs::remove_file(&path).map_err(&error)?;
        let mut writer = BufWriter::with_capacity(BUFFER_OCTETS, file);
        for Touch { key, index, sequence } in self.memory.drain(..) {
            let mut octets = [0; TOUCH_OCTETS];
            octets[..32].copy_from_slice(&key.0.0);
            octets[32..40].copy_from_slice(&index.to_be_bytes());
            octets[40..].copy_from_slice(&sequence.to_be_bytes());
            writer.write_all(&octets).map_err(&error)?;
        }
        let mut file = writer.into_inner().map_err(|failed| error(failed.into_error()))?;
        let length = file.stream_position().map_err(&error)? / TOUCH_OCTETS as u64;
        self.spilled.push((file, length));
        Ok(())
    }

    /// All touches in order; none is left behind.
    fn drain(&mut self) -> Result<Sorted, MapError> {
        self.memory.sort_unstable();
        let path = self.folder.join("run");
        let mut sorted = Sorted {
            path,
            memory: std::mem::take(&mut self.memory).into_iter(),
            readers: Vec::new(),
            heads: BinaryHeap::new(),
        };
        for (mut file, length) in self.spilled.drain(..) {
            file.seek(SeekFrom::Start(0)).map_err(io_at(&sorted.path))?;
            sorted.readers.push((BufReader::with_capacity(BUFFER_OCTETS, file), length));
        }
        for source in 0..=sorted.readers.len() {
            sorted.refill(source)?;
        }
        Ok(sorted)
    }
}

/// The touches of several runs, in order.
struct Sorted {
    path: PathBuf,
    memory: std::vec::IntoIter<Touch>,
    /// Runs with the number of touches left.
    readers: Vec<(BufReader<File>, u64)>,
    /// The next touch of each run.
    heads: BinaryHeap<Reverse<(Touch, usize)>>,
}

impl Sorted {
    fn refill(&mut self, source: usize) -> Result<(), MapError> {
        let touch = match self.readers.get_mut(source) {
            None => self.memory.next(),
            Some((_, 0)) => None,
            Some((reader, left)) => {
                *left -= 1;
                let mut octets = [0; TOUCH_OCTETS];
                reader.read_exact(&mut octets).map_err(io_at(&self.path))?;
                // A touch is a leaf without its count.
                let mut leaf = [0; LEAF_OCTETS];
                leaf[..TOUCH_OCTETS].copy_from_slice(&octets);
                let Leaf { key, last: index, sequence, .. } = Leaf::decode(&leaf);
                Some(Touch { key, index, sequence })
            }
        };
        self.heads.extend(touch.map(|touch| Reverse((touch, source))));
        Ok(())
    }

    fn peek(&self) -> Option<Touch> {
        self.heads.peek().map(|Reverse((touch, _))| *touch)
    }

    fn take(&mut self) -> Result<Option<Touch>, MapError> {
        let Some(Reverse((touch, source))) = self.heads.pop() else { return Ok(None) };
        self.refill(source)?;
        Ok(Some(touch))
    }
}

/// The map to begin with.
pub(super) struct Base<'a> {
    pub(super) folder: &'a Path,
    pub(super) header: Header,
}

/// The leaves of a map's file in order. Recomputes the root.
struct OldLeaves {
    path: PathBuf,
    header: Header,
    reader: Option<BufReader<File>>,
    left: u64,
    built: RootBuilder,
    in_order: bool,
}

impl OldLeaves {
    fn open(base: &Base<'_>) -> Result<OldLeaves, MapError> {
        let header = base.header;
        let path = file::path(base.folder, header.root.at);
        let reader = if header.root.at == 0 {
            None
        } else {
            let mut file = File::open(&path).map_err(io_at(&path))?;
            file.seek(SeekFrom::Start(HEADER_OCTETS as u64)).map_err(io_at(&path))?;
            Some(BufReader::with_capacity(BUFFER_OCTETS, file))
        };
        let left = header.root.names;
        Ok(OldLeaves { path, header, reader, left, built: RootBuilder::default(), in_order: true })
    }

    /// The next leaf with its hash.
    fn next(&mut self) -> Result<Option<(Leaf, Hash)>, MapError> {
        let Some(reader) = self.reader.as_mut().filter(|_| self.left > 0) else { return Ok(None) };
        self.left -= 1;
        let mut octets = [0; LEAF_OCTETS];
        reader.read_exact(&mut octets).map_err(io_at(&self.path))?;
        let leaf = Leaf::decode(&octets);
        let hash = leaf.hash();
        self.in_order &= self.built.push(leaf.key, hash, |_, _| {});
        Ok(Some((leaf, hash)))
    }

    /// Whether the leaves were those of the root.
    fn finish(self) -> Result<(), MapError> {
        let root = self.header.root;
        if self.in_order && self.built.root(root.at) == root {
            Ok(())
        } else {
            Err(MapError::Damaged(self.path))
        }
    }
}

/// The file of the next map.
struct NewLeaves {
    path: PathBuf,
    writer: BufWriter<File>,
    built: RootBuilder,
    /// The hash of each 256 leaves.
    tiles: Vec<Hash>,
}

impl NewLeaves {
    fn create(folder: &Path) -> Result<NewLeaves, MapError> {
        let path = folder.join("next");
        let file = File::create(&path).map_err(io_at(&path))?;
        let mut writer = BufWriter::with_capacity(BUFFER_OCTETS, file);
        // The header is known last.
        writer.write_all(&[0; HEADER_OCTETS]).map_err(io_at(&path))?;
        Ok(NewLeaves { path, writer, built: RootBuilder::default(), tiles: Vec::new() })
    }

    fn push(&mut self, leaf: &Leaf, hash: Hash) -> Result<(), MapError> {
        let tiles = &mut self.tiles;
        let in_order = self.built.push(leaf.key, hash, |tile, hashes| {
            if tile.level == 1 {
                tiles.extend(hashes);
            }
        });
        // Old leaves out of order; the old map is damaged, and will be found to be.
        if in_order {
            self.writer.write_all(&leaf.encode()).map_err(io_at(&self.path))?;
        }
        Ok(())
    }

    fn finish(
        mut self,
        folder: &Path,
        old: Header,
        resume: u64,
        at: u64,
    ) -> Result<Header, MapError> {
        let error = io_at(&self.path);
        self.tiles.extend(self.built.edge(1));
        for hash in &self.tiles {
            self.writer.write_all(&hash.0).map_err(&error)?;
        }
        let header = old.later(self.built.root(at), resume);
        let mut file = self.writer.into_inner().map_err(|failed| error(failed.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(&error)?;
        file.write_all(&header.encode()).map_err(&error)?;
        drop(file);
        std::fs::rename(&self.path, file::path(folder, at)).map_err(&error)?;
        Ok(header)
    }
}

/// Writes the map at size `at` from the one before and the touches of entries below `at`; the
/// others are left in `runs`.
///
/// # Errors
/// `Io`; `Damaged` if the map before is.
pub(super) fn merge(
    base: &Base<'_>,
    runs: &mut Runs,
    at: u64,
    resume: u64,
) -> Result<Header, MapError> {
    let mut touches = runs.drain()?;
    let mut old = OldLeaves::open(base)?;
    let mut new = NewLeaves::create(base.folder)?;
    let mut next_old = old.next()?;
    loop {
        let (key, before) = match (&next_old, touches.peek()) {
            (None, None) => break,
            (Some((leaf, _)), touch) if touch.is_none_or(|touch| leaf.key <= touch.key) => {
                (leaf.key, next_old.take())
            }
            (_, Some(touch)) => (touch.key, None),
            (Some((leaf, _)), None) => (leaf.key, next_old.take()),
        };
        if before.is_some() {
            next_old = old.next()?;
        }
        let after = touched(key, before, &mut touches, at, runs)?;
        if let Some((leaf, hash)) = after {
            new.push(&leaf, hash)?;
        }
    }
    old.finish()?;
    new.finish(base.folder, base.header, resume, at)
}

/// A key's leaf after its touches below `at`.
fn touched(
    key: MapKey,
    before: Option<(Leaf, Hash)>,
    touches: &mut Sorted,
    at: u64,
    later: &mut Runs,
) -> Result<Option<(Leaf, Hash)>, MapError> {
    let mut leaf = before.map(|(leaf, _)| leaf);
    while touches.peek().is_some_and(|touch| touch.key == key) {
        let Some(touch) = touches.take()? else { break };
        if touch.index < at {
            leaf = Some(Leaf::touched(leaf, &touch));
        } else {
            later.push(touch)?;
        }
    }
    let unchanged = before.filter(|(before, _)| leaf == Some(*before));
    Ok(unchanged.or_else(|| leaf.map(|leaf| (leaf, leaf.hash()))))
}
