//! Keeping the cosignatures of a log: in a file of their own, the newest of each cosigner, and in
//! the published checkpoint those that are for its own tree.
//!
//! They tell how widely an entry is stored, and that nothing was lost: a log whose cosigners have
//! seen a larger tree than it has itself was put back to an older state.

use einhorn_core::ledger::tree::prefix_root;
use einhorn_core::ledger::{
    BuildError, Checkpoint, Cosignatures, SignedCheckpoint, Tile, VerifierKey,
};

use super::seal::{FilesHandle, LogKey, Writer, same_root};
use super::{COSIGNATURES, SealError};

/// How far a cosigner vouches for the log: it has cosigned the tree of its first `size` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The cosigner's name.
    pub key_name: String,
    /// The id of its key.
    pub key_id: [u8; 4],
    /// Entries that it has confirmed.
    pub size: u64,
    /// When, in seconds since 1970, by its own clock.
    pub timestamp_seconds: u64,
}

impl<K: LogKey> Writer<K> {
    /// Sets whose cosignatures are kept from now on. Stored ones that say that they are by one of
    /// these keys and do not verify are dropped; those of other keys stay in the file, but are
    /// not told by [`Self::cosigned`].
    ///
    /// # Errors
    /// `RolledBack` if one of them has cosigned a larger tree than this log has ever signed as far
    /// as its files tell: do not append to it. The keys are set all the same.
    pub fn trust(&mut self, keys: Vec<VerifierKey>) -> Result<(), SealError> {
        self.cosigners = keys;
        let dropped = self.cosignatures.forget_unproven(&self.cosigners);
        if dropped > 0 {
            tracing::warn!(dropped, log = self.origin(), "stored cosignatures do not verify");
        }
        let signed = self.signed_size();
        match self.cosigned().into_iter().map(|one| one.size).max() {
            Some(synced) if synced > signed => Err(SealError::RolledBack { signed, synced }),
            _ => Ok(()),
        }
    }

    /// Takes in the lines that are cosignatures of this checkpoint by one of the keys of
    /// [`Self::trust`] and are newer than what is known of that cosigner; others are ignored.
    /// Returns how many there were; they are durable then, and published if the checkpoint is the
    /// last one.
    ///
    /// # Errors
    /// `Contradiction` if a cosigner has confirmed another tree than the log has; `NotHeld` if it
    /// is larger than what is held; `Io` and `Damaged`, after which the same may be called again.
    pub fn add_cosignatures(
        &mut self,
        checkpoint: &Checkpoint,
        lines: &str,
    ) -> Result<usize, SealError> {
        let mut known = self.cosignatures.clone();
        let is_ours = checkpoint.origin == self.origin();
        let added = if is_ours { known.add(checkpoint, lines, &self.cosigners) } else { 0 };
        if added > 0 {
            self.check_tree(checkpoint)?;
            let text = known.encode();
            self.files.write_durable(COSIGNATURES, text.as_bytes())?;
            self.files.must_hold(COSIGNATURES, text.as_bytes())?;
            self.cosignatures = known;
        }
        if let Some(signed) = self.signed.clone()
            && signed.checkpoint == *checkpoint
            && signed.checkpoint.size == self.sealed()
        {
            if !self.announced {
                // An earlier write failed.
                self.publish(signed)?;
            } else if added > 0 {
                self.announced = false;
                self.show(&signed)?;
                self.announced = true;
            }
        }
        Ok(added)
    }

    /// Up to where each of the cosigners has confirmed the log, by name and key id.
    #[must_use]
    pub fn cosigned(&self) -> Vec<Cosigned> {
        let known = self.cosignatures.newest().iter();
        known
            .filter(|one| self.cosigners.iter().any(|key| one.names(key)))
            .map(|one| Cosigned {
                key_name: one.key_name.clone(),
                key_id: one.key_id,
                size: one.size,
                timestamp_seconds: one.time_seconds,
            })
            .collect()
    }

    /// The last checkpoint as it is published: with all cosignatures known for its tree.
    #[must_use]
    pub fn published(&self) -> Option<SignedCheckpoint> {
        let signed = self.signed.as_ref()?;
        let checkpoint = signed.checkpoint.clone();
        Some(SignedCheckpoint { checkpoint, note: self.with_cosignatures(signed) })
    }

    pub(super) fn with_cosignatures(&self, signed: &SignedCheckpoint) -> String {
        format!("{}{}", signed.note, self.cosignatures.lines_for(&signed.checkpoint))
    }

    /// The tree of a checkpoint must be one that this log had.
    fn check_tree(&self, checkpoint: &Checkpoint) -> Result<(), SealError> {
        let (size, held) = (checkpoint.size, self.sealed().min(self.signed_size()));
        if let Some(signed) = &self.signed
            && signed.checkpoint.size == size
        {
            return same_root(&signed.checkpoint, checkpoint.root);
        }
        if size > held {
            return Err(SealError::NotHeld { size, held });
        }
        let read = |tile: Tile| {
            let edge = self.frontier.partial_tiles().find(|(at, _)| *at == tile);
            edge.map_or_else(|| self.files.read_tile(tile), |(_, hashes)| Ok(hashes.to_vec()))
        };
        let computed = prefix_root(self.sealed(), size, read).map_err(|error| match error {
            BuildError::Read(error) => error,
            _ => SealError::Damaged {
                path: "tile".to_owned(),
                problem: "tiles do not make up the tree",
            },
        })?;
        if computed == checkpoint.root {
            return Ok(());
        }
        Err(SealError::Contradiction { size, signed: checkpoint.root, computed })
    }
}

impl FilesHandle {
    /// The stored cosignatures. Others' promises come again with the next checkpoint, so a damaged
    /// file does not keep a log from being opened.
    pub(super) fn cosignatures(&self, origin: &str) -> Result<Cosignatures, SealError> {
        let Some(bytes) = self.read(COSIGNATURES)? else { return Ok(Cosignatures::new(origin)) };
        match Cosignatures::parse(&bytes) {
            Ok(known) if known.origin() == origin => return Ok(known),
            Ok(_) => tracing::warn!(log = origin, "the stored cosignatures are of another log"),
            Err(error) => tracing::warn!(log = origin, %error, "the stored cosignatures are lost"),
        }
        Ok(Cosignatures::new(origin))
    }
}
