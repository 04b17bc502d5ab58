//! A verified copy of another log: the same tree and the same files as the log itself has, under
//! checkpoints that the log has signed.
//!
//! Nothing here signs. A checkpoint is believed only when the entries held make up its tree; one
//! that contradicts what is held changes nothing, and is the caller's evidence.

use std::sync::Arc;

use einhorn_core::ledger::{Frontier, SignedCheckpoint, VerifierKey, checkpoint};

use super::seal::{LogKey, Writer, same_root};
use super::sync::SyncState;
use super::{CHECKPOINT, Files, SealError};

/// The writer of the files of a copy.
pub type Mirror = Writer<Copied>;

/// What a copy knows of its log.
#[derive(Debug)]
pub struct Copied {
    key: VerifierKey,
    /// The tree and the unfinished bundle that were covered by a checkpoint last: where to go back
    /// to when entries turn out not to be the log's.
    proven: (Frontier, Vec<u8>),
    /// They are, and not merely what opening found below a larger checkpoint, whose other files
    /// are lost.
    is_proven: bool,
}

impl LogKey for Copied {
    fn verifier(&self) -> &VerifierKey {
        &self.key
    }
}

impl Mirror {
    /// Opens the copy of the log whose key this is; its origin is the key's name. An empty folder
    /// is an empty copy. Reads as much as [`super::Sealer::open`] does.
    ///
    /// # Errors
    /// As [`super::Sealer::open`].
    pub fn open(files: Arc<dyn Files>, key: VerifierKey) -> Result<Mirror, SealError> {
        let copied = Copied { key, proven: (Frontier::new(), Vec::new()), is_proven: false };
        let mut mirror = Writer::open_with(files, copied)?;
        mirror.key.proven = (mirror.frontier.clone(), mirror.tail.clone());
        mirror.key.is_proven = mirror.sealed() == mirror.signed_size();
        Ok(mirror)
    }

    /// Entries that are held and covered by a checkpoint. Below [`Self::signed_size`] only after
    /// damage.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.key.proven.0.size()
    }

    /// The tree of these entries.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.key.proven.0
    }

    /// Takes the entries that start at `first_index`, which must be [`Self::sealed`]. Those that
    /// reach the checkpoint's size make it believed: it is returned, durable and published, with
    /// the cosignatures in its note that are by one of the keys of [`Self::trust`]. Fewer entries
    /// are written too, and give `None`; so a long copy comes in parts. A restart forgets those
    /// that no checkpoint covers yet.
    ///
    /// Given no entries and a checkpoint of the same tree as the last one, its cosignatures are
    /// taken in.
    ///
    /// On `Contradiction` [`Self::sealed`] falls back to [`Self::size`]; or to 0 while damaged files
    /// are built anew, and then it may be the files rather than the entries that are wrong: only
    /// with [`Self::size`] at [`Self::signed_size`] is it evidence against the sender. On other errors nothing has changed for the caller, as with
    /// [`super::Sealer::seal`].
    ///
    /// # Errors
    /// [`SealError`]: besides those of sealing, `Checkpoint`, `Older`, and `NotCovered`.
    pub fn seal<E: AsRef<[u8]>>(
        &mut self,
        first_index: u64,
        entries: &[E],
        given: &SignedCheckpoint,
    ) -> Result<Option<SignedCheckpoint>, SealError> {
        let signed = checkpoint::verify_own(given.note.as_bytes(), &self.key.key)
            .map_err(|error| SealError::Checkpoint { path: CHECKPOINT, error })?;
        let covered = signed.checkpoint.size;
        self.must_follow(first_index)?;
        if let Some(held) = self.signed() {
            let held = &held.checkpoint;
            if covered < held.size {
                return Err(SealError::Older { held: held.size, given: covered });
            }
            if covered == held.size {
                same_root(held, signed.checkpoint.root)?;
            }
        }
        let end = first_index + entries.len() as u64;
        if end > covered {
            return Err(SealError::NotCovered { covered, end });
        }
        let is_held = self.announced && self.signed_size() == covered;
        if !(entries.is_empty() && is_held) {
            if let Err(error) = self.extend(entries, &signed) {
                if matches!(error, SealError::Contradiction { .. }) {
                    self.fall_back()?;
                }
                return Err(error);
            }
            if end < covered {
                return Ok(None);
            }
        }
        if !self.cosigners.is_empty() {
            let (_, lines) = given.note.rsplit_once("\n\n").unwrap_or_default();
            self.add_cosignatures(&signed.checkpoint, lines)?;
        }
        Ok(Some(signed))
    }

    fn extend<E: AsRef<[u8]>>(
        &mut self,
        entries: &[E],
        signed: &SignedCheckpoint,
    ) -> Result<(), SealError> {
        let grown = self.grow(entries)?;
        if grown.frontier.size() < signed.checkpoint.size {
            self.accept(grown);
            return Ok(());
        }
        same_root(&signed.checkpoint, grown.frontier.root())?;
        self.publish(signed.clone())?;
        self.accept(grown);
        self.key.proven = (self.frontier.clone(), self.tail.clone());
        self.key.is_proven = true;
        Ok(())
    }

    /// Forgets the entries that led to another tree than the log's.
    fn fall_back(&mut self) -> Result<(), SealError> {
        self.edge_written = false;
        if !self.key.is_proven {
            // It may as well be what was found on disk that is wrong.
            self.clear_mark()?;
            self.sync = SyncState::found(0, Vec::new());
            self.key.proven = (Frontier::new(), Vec::new());
        }
        (self.frontier, self.tail) = self.key.proven.clone();
        self.sync.cut_back(self.size());
        Ok(())
    }
}
