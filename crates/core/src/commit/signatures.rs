//! What the commit believes of other sites: signatures that are right. Checking one is a pure function
//! of its text and the key's, and by far the dearest thing that the commit does, so whoever drives it
//! may say how that is done: the simulated sites remember between them what was found.

use crate::ledger::{Note, SignedCheckpoint, SignerKey, VerifierKey, checkpoint};
use std::collections::HashMap;

/// Checks signatures.
pub trait Signatures: Send {
    /// The checkpoint that a note says, if the key with this text signed it.
    fn checkpoint(&mut self, note: &str, key: &str) -> Option<SignedCheckpoint>;

    /// Whether the key with this text cosigned a note.
    fn is_cosigned(&mut self, note: &str, key: &str) -> bool;

    /// The line of a cosignature of a checkpoint's text at that time, in seconds since 1970.
    fn cosign(&mut self, key: &SignerKey, body: &str, time_seconds: u64) -> Option<String> {
        key.cosign(body, time_seconds).ok()
    }

    /// The sites are others now, and so may their keys be.
    fn forget_keys(&mut self);
}

/// Verifier keys by their text: to read one costs about as much as a signature.
#[derive(Default)]
pub struct Keys(HashMap<String, VerifierKey>);

impl Keys {
    /// The key that a text says; none if it says none.
    fn get(&mut self, text: &str) -> Option<&VerifierKey> {
        if !self.0.contains_key(text) {
            self.0.insert(text.to_owned(), VerifierKey::parse(text).ok()?);
        }
        self.0.get(text)
    }
}

impl Signatures for Keys {
    fn checkpoint(&mut self, note: &str, key: &str) -> Option<SignedCheckpoint> {
        checkpoint::verify_note(note.as_bytes(), self.get(key)?).ok()
    }

    fn is_cosigned(&mut self, note: &str, key: &str) -> bool {
        let Some(key) = self.get(key) else { return false };
        Note::parse(note.as_bytes()).is_ok_and(|note| note.cosigned_at(key).is_ok())
    }

    fn forget_keys(&mut self) {
        self.0.clear();
    }
}
