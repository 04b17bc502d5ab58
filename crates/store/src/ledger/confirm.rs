//! Checking the cosignatures of a log against its entries: what each cosigner has confirmed.
//!
//! Roots are computed from the entries alone, as a verification of the log reads them, so that a
//! cosignature of another tree than the log's is found whatever the tiles say.

use std::collections::BTreeMap;

use einhorn_core::ledger::{
    Checkpoint, Cosignature, Cosignatures, CosignaturesError, Frontier, Hash, Note, NoteError,
    VerifierKey, leaf_hash,
};
use thiserror::Error;

use super::{CHECKPOINT, COSIGNATURES, TileSource};

/// What is wrong with a cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Doubt {
    /// It does not verify.
    #[error("{0}")]
    Signature(NoteError),
    /// It is of a tree that this log never had.
    #[error("it is of another tree of that size than the log's")]
    Root,
}

/// What is known of one cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cosigner has confirmed the first `size` entries.
    Confirmed,
    /// Nobody gave a key for this cosigner. The tree is the log's.
    Unverified,
    /// It is of a larger tree than that of the checkpoint read: published since.
    Newer,
    /// It is wrong.
    Wrong(Doubt),
}

/// One cosignature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Where it was found.
    pub path: &'static str,
    /// The cosignature.
    pub cosignature: Cosignature,
    /// What is known of it.
    pub standing: Standing,
}

/// The cosignatures that lie beside a log, while its entries are read.
#[derive(Debug)]
pub struct Confirmations {
    origin: String,
    found: Vec<(&'static str, Cosignature)>,
    /// Roots at the sizes that were cosigned, as far as entries were read.
    roots: BTreeMap<u64, Option<Hash>>,
    frontier: Frontier,
}

impl Confirmations {
    /// Reads what lies beside the log with this key. No file is no cosignature; so is a checkpoint
    /// that cannot be read, which a verification of the log finds.
    ///
    /// # Errors
    /// If the file of cosignatures is damaged.
    pub fn read(
        source: &dyn TileSource,
        key: &VerifierKey,
    ) -> Result<Confirmations, CosignaturesError> {
        let origin = key.name().to_owned();
        let mut found = Vec::new();
        // The checkpoint first: on a running log the other file may be newer, never older.
        if let Ok(Some(bytes)) = source.read(CHECKPOINT)
            && let Ok(note) = Note::parse(&bytes)
            && let Ok(checkpoint) = Checkpoint::parse_body(note.text)
        {
            let others = note.signatures.iter().filter(|signature| !signature.names(key));
            let read = others.filter_map(|other| Cosignature::read(&checkpoint, &other.line()));
            found.extend(read.map(|one| (CHECKPOINT, one)));
        }
        if let Ok(Some(bytes)) = source.read(COSIGNATURES) {
            let stored = Cosignatures::parse(&bytes)?;
            if stored.origin() != origin {
                return Err(CosignaturesError::Line { line: 2 });
            }
            found.extend(stored.newest().iter().map(|one| (COSIGNATURES, one.clone())));
        }
        let mut roots: BTreeMap<u64, Option<Hash>> =
            found.iter().map(|(_, one)| (one.size, None)).collect();
        let frontier = Frontier::new();
        roots.entry(0).and_modify(|root| *root = Some(frontier.root()));
        Ok(Confirmations { origin, found, roots, frontier })
    }

    /// Takes the next entry. Those out of order are not counted, nor any after them.
    pub fn next(&mut self, index: u64, entry: &[u8]) {
        if self.found.is_empty() || index != self.frontier.size() {
            return;
        }
        self.frontier.push(leaf_hash(entry), |_, _| {});
        if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
            *root = Some(self.frontier.root());
        }
    }

    /// What each cosignature is worth, after all entries of the log.
    #[must_use]
    pub fn finish(self, keys: &[VerifierKey]) -> Vec<Confirmation> {
        let standing = |one: &Cosignature| {
            let mut by = keys.iter().filter(|key| one.names(key)).peekable();
            let is_known = by.peek().is_some();
            let verified = by.map(|key| one.verify(&self.origin, key));
            match verified.reduce(|found, next| found.or(next)) {
                Some(Err(error)) => Standing::Wrong(Doubt::Signature(error)),
                _ => match self.roots.get(&one.size).copied().flatten() {
                    None => Standing::Newer,
                    Some(root) if root != one.root => Standing::Wrong(Doubt::Root),
                    Some(_) if is_known => Standing::Confirmed,
                    Some(_) => Standing::Unverified,
                },
            }
        };
        let judged = self.found.iter().map(|(path, one)| Confirmation {
            path,
            standing: standing(one),
            cosignature: one.clone(),
        });
        judged.collect()
    }
}
