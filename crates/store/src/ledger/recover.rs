//! Opening a ledger: what was signed, what of it is on disk, and from where the rest must be
//! built again.
//!
//! Trusts nothing that it has not rehashed: the tree up to the last sync through its full tiles,
//! everything after it entry by entry, and all of it against the root signed last.

use std::sync::Arc;

use einhorn_core::ledger::checkpoint;
use einhorn_core::ledger::tile::{encode_tile, parse_bundle, parse_tile};
use einhorn_core::ledger::{
    Bundle, Checkpoint, EMPTY_ROOT, Frontier, Hash, SignedCheckpoint, SignerKey, Tile, VerifierKey,
    leaf_hash,
};

use super::seal::{FilesHandle, LogKey, Sealer, Writer, edge_bundle};
use super::sync::SyncState;
use super::{CHECKPOINT, Files, SIGNED, SYNCED, SealError};

/// What was found intact on disk.
struct Intact {
    frontier: Frontier,
    tail: Vec<u8>,
    /// Full tiles after the last sync.
    unsynced: Vec<Tile>,
}

impl Sealer {
    /// Opens the log whose key this is; its origin is the key's name. An empty folder is an empty
    /// log.
    ///
    /// Reads the full tiles that the right edge covers (at most 255 per level) and all entries
    /// since the last [`Sealer::sync_full`] but one. If something of that is missing or wrong, as
    /// it may be after a power cut, [`Sealer::sealed`] is where the caller's entries must be
    /// sealed from again, a multiple of 256. If the entries on disk agree with each other but not
    /// with the checkpoint signed last, that is from 0.
    ///
    /// # Errors
    /// `Io`; `Checkpoint` if the log's checkpoint is not signed by this key or damaged;
    /// `Contradiction` or `RolledBack` if the folder was tampered with.
    pub fn open(files: Arc<dyn Files>, signer: SignerKey) -> Result<Sealer, SealError> {
        Writer::open_with(files, signer)
    }
}

impl<K: LogKey> Writer<K> {
    /// As [`Sealer::open`], for any key.
    pub(super) fn open_with(files: Arc<dyn Files>, key: K) -> Result<Writer<K>, SealError> {
        let files = FilesHandle(files);
        let signed = last_signed(&files, key.verifier())?;
        let size = signed.as_ref().map_or(0, |signed| signed.checkpoint.size);
        let (start, mark_is_good) = last_synced(&files, size)?;
        let mut durable = start.size();
        let mut intact = scan(&files, start, size)?;
        let mut matches = true;
        if let Some(signed) = &signed
            && intact.frontier.size() == size
            && intact.frontier.root() != signed.checkpoint.root
        {
            matches = false;
            durable = 0;
            intact = Intact { frontier: Frontier::new(), tail: Vec::new(), unsynced: Vec::new() };
        }
        let cosignatures = files.cosignatures(key.verifier().name())?;
        let mut writer = Writer {
            files,
            key,
            edge_written: false,
            announced: false,
            sync: SyncState::found(durable, intact.unsynced),
            frontier: intact.frontier,
            tail: intact.tail,
            signed,
            cosignatures,
            cosigners: Vec::new(),
        };
        if !(mark_is_good && matches) {
            writer.clear_mark()?;
        }
        writer.restore_partials(size)?;
        if writer.sealed() == size {
            writer.restore_edge()?;
        }
        Ok(writer)
    }

    /// Files below the mark are about to be written again: it must not vouch for them.
    pub(super) fn clear_mark(&self) -> Result<(), SealError> {
        let origin = self.origin().to_owned();
        let mark = Checkpoint { origin, size: 0, root: EMPTY_ROOT };
        self.files.write_durable(SYNCED, mark.body().as_bytes())
    }

    /// Repairs the partial files of full tiles since the last sync; those before it are gone.
    fn restore_partials(&self, covered: u64) -> Result<(), SealError> {
        for tile in self.sync.unsynced() {
            let bundle = Bundle::full(tile.index).path();
            if self.files.partial_files(&tile.path())?.is_empty()
                && (tile.level > 0 || self.files.partial_files(&bundle)?.is_empty())
            {
                continue;
            }
            let (hashes, bytes) = self.check_full(*tile)?;
            self.files.repair_partials(*tile, &hashes, bytes.as_deref(), covered)?;
        }
        Ok(())
    }

    /// Writes what is missing of the edge and of the announcement of an intact tree.
    fn restore_edge(&mut self) -> Result<(), SealError> {
        for (tile, hashes) in self.frontier.partial_tiles() {
            let (path, bytes) = (tile.path(), encode_tile(hashes));
            if self.files.read(&path)?.as_ref() != Some(&bytes) {
                self.files.write(&path, &bytes)?;
                self.files.must_hold(&path, &bytes)?;
            }
            let bundle = (tile.level == 0).then_some(self.tail.as_slice());
            self.files.repair_partials(tile, hashes, bundle, self.signed_size())?;
        }
        self.edge_written = true;
        if let Some(signed) = &self.signed {
            let shown = self.files.read(CHECKPOINT)?;
            if shown.as_deref() != Some(self.with_cosignatures(signed).as_bytes()) {
                self.show(signed)?;
            }
            self.announced = true;
        }
        Ok(())
    }
}

/// The largest checkpoint that was signed. `checkpoint.signed` is written durably before
/// `checkpoint`, so only the latter may be torn.
fn last_signed(
    files: &FilesHandle,
    key: &VerifierKey,
) -> Result<Option<SignedCheckpoint>, SealError> {
    let read = |path: &'static str| match files.read(path)? {
        None => Ok(None),
        Some(bytes) => checkpoint::verify_own(&bytes, key)
            .map(Some)
            .map_err(|error| SealError::Checkpoint { path, error }),
    };
    let signed = read(SIGNED)?;
    let shown = read(CHECKPOINT);
    let Some(signed) = signed else { return shown };
    match shown {
        Err(SealError::Checkpoint { .. }) | Ok(None) => Ok(Some(signed)),
        Err(error) => Err(error),
        Ok(Some(shown)) => {
            if shown.checkpoint.size == signed.checkpoint.size {
                super::seal::same_root(&signed.checkpoint, shown.checkpoint.root)?;
            }
            let larger = shown.checkpoint.size > signed.checkpoint.size;
            Ok(Some(if larger { shown } else { signed }))
        }
    }
}

/// The tree of the last sync, rebuilt from its full tiles, and whether the mark on disk may stay.
/// Without a usable mark everything is checked from the first entry on.
fn last_synced(files: &FilesHandle, signed: u64) -> Result<(Frontier, bool), SealError> {
    let Some(bytes) = files.read(SYNCED)? else { return Ok((Frontier::new(), true)) };
    let text = String::from_utf8(bytes).unwrap_or_default();
    let Ok(mark) = Checkpoint::parse_body(&text) else { return Ok((Frontier::new(), false)) };
    let read = |tile: Tile| files.read_tile(tile);
    match Frontier::from_full_tiles(mark.size, read) {
        Ok(tree) if tree.root() == mark.root => {
            if mark.size > signed {
                return Err(SealError::RolledBack { signed, synced: mark.size });
            }
            Ok((tree, true))
        }
        _ => Ok((Frontier::new(), false)),
    }
}

/// Reads on from `start` to `size`, bundle by bundle, as far as everything is there and agrees.
fn scan(files: &FilesHandle, start: Frontier, size: u64) -> Result<Intact, SealError> {
    let mut intact = Intact { frontier: start, tail: Vec::new(), unsynced: Vec::new() };
    while intact.frontier.size() + 256 <= size {
        let bundle = Bundle::full(intact.frontier.size() / 256);
        let Some((_, leaves)) = read_agreeing(files, bundle)? else { return Ok(intact) };
        let mut frontier = intact.frontier.clone();
        let mut full = Vec::new();
        for leaf in leaves {
            frontier.push(leaf, |tile, hashes| full.push((tile, encode_tile(hashes))));
        }
        for (tile, bytes) in &full {
            if tile.level > 0 && files.read(&tile.path())?.as_ref() != Some(bytes) {
                return Ok(intact);
            }
        }
        intact.frontier = frontier;
        intact.unsynced.extend(full.into_iter().map(|(tile, _)| tile));
    }
    if let Some(bundle) = edge_bundle(size)
        && let Some((bytes, leaves)) = read_agreeing(files, bundle)?
    {
        intact.tail = bytes;
        for leaf in leaves {
            intact.frontier.push(leaf, |_, _| {});
        }
    }
    Ok(intact)
}

/// A bundle's bytes and leaf hashes.
type ReadBundle = (Vec<u8>, Vec<Hash>);

/// A bundle's bytes and leaf hashes, if bundle and tile are there and agree.
fn read_agreeing(files: &FilesHandle, bundle: Bundle) -> Result<Option<ReadBundle>, SealError> {
    let tile = Tile { level: 0, index: bundle.index, width: bundle.width };
    let (Some(bytes), Some(hashes)) = (files.read(&bundle.path())?, files.read(&tile.path())?)
    else {
        return Ok(None);
    };
    let (Ok(entries), Ok(hashes)) =
        (parse_bundle(&bytes, bundle.width), parse_tile(&hashes, tile.width))
    else {
        return Ok(None);
    };
    let leaves: Vec<Hash> = entries.into_iter().map(leaf_hash).collect();
    Ok((leaves == hashes).then_some((bytes, leaves)))
}
