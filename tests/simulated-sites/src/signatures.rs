//! Signatures are checked once for all sites, and for both runs of a seed: four fifths of the time would
//! go there, and what a check says depends on nothing but its text and its key.

use einhorn_core::commit::{Keys, Signatures};
use einhorn_core::ledger::SignedCheckpoint;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What was found, by note and key.
#[derive(Default)]
struct Found {
    keys: Keys,
    checkpoints: HashMap<(String, String), Option<SignedCheckpoint>>,
    cosigned: HashMap<(String, String), bool>,
}

/// A share in what was found.
#[derive(Clone, Default)]
pub(crate) struct Remembered(Arc<Mutex<Found>>);

impl Signatures for Remembered {
    fn checkpoint(&mut self, note: &str, key: &str) -> Option<SignedCheckpoint> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Found { keys, checkpoints, .. } = &mut *found;
        let of = (note.to_owned(), key.to_owned());
        checkpoints.entry(of).or_insert_with(|| keys.checkpoint(note, key)).clone()
    }

    fn is_cosigned(&mut self, note: &str, key: &str) -> bool {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Found { keys, cosigned, .. } = &mut *found;
        let of = (note.to_owned(), key.to_owned());
        *cosigned.entry(of).or_insert_with(|| keys.is_cosigned(note, key))
    }

    fn forget_keys(&mut self) {}
}
