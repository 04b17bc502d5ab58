//! Keys and signatures of the simulated sites. Half of the time would go into signing and checking, so
//! most runs use marks instead: hashes over the key's text and what is signed. They say the same of
//! every note that the sites make, and nobody in the world tries to forge one. Where a seed is run
//! twice the second run signs, and both must go the same way.

use crate::keys::{log_key, log_name, mirror_key};
use einhorn_core::commit::{Keys, Signatures};
use einhorn_core::ledger::{Checkpoint, SignedCheckpoint, SignerKey, leaf_hash};
use einhorn_core::model::Origin;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one world knows of keys and signatures, so that each is made and checked once.
#[derive(Default)]
struct Known {
    is_real: bool,
    logs: BTreeMap<Origin, (SignerKey, String)>,
    mirrors: BTreeMap<u16, (SignerKey, String)>,
    keys: Keys,
    checkpoints: HashMap<(String, String), Option<SignedCheckpoint>>,
    cosigned: HashMap<(String, String), bool>,
}

/// A share in what is known.
#[derive(Clone, Default)]
pub(crate) struct Signing(Arc<Mutex<Known>>);

/// Stands for a signature.
fn mark(key: &str, text: &str) -> String {
    let hash = leaf_hash(format!("{key}\n{text}").as_bytes());
    format!("— {} {hash}\n", key.split('+').next().unwrap_or_default())
}

fn cosigned_mark(key: &str, body: &str, time_seconds: u64) -> String {
    format!("{time_seconds} {}", mark(key, &format!("{time_seconds}\n{body}")))
}

/// The text of a note and what follows it.
fn divided(note: &str) -> Option<(&str, &str)> {
    let end = note.find("\n\n")?;
    Some((&note[..=end], &note[end + 2..]))
}

fn marked_checkpoint(note: &str, key: &str) -> Option<SignedCheckpoint> {
    let (body, line) = divided(note)?;
    let checkpoint = Checkpoint::parse_body(body).ok()?;
    let is_right = line == mark(key, body) && key.split('+').next() == Some(&checkpoint.origin);
    is_right.then(|| SignedCheckpoint { checkpoint, note: note.to_owned() })
}

fn is_marked(note: &str, key: &str) -> bool {
    let found = divided(note).and_then(|(body, line)| {
        let time_seconds = line.split(' ').next()?.parse().ok()?;
        Some(line == cosigned_mark(key, body, time_seconds))
    });
    found.unwrap_or(false)
}

fn with_text(key: SignerKey) -> (SignerKey, String) {
    let text = key.verifier().to_string();
    (key, text)
}

impl Signing {
    /// With signatures instead of marks, or without.
    pub(crate) fn new(is_real: bool) -> Signing {
        Signing(Arc::new(Mutex::new(Known { is_real, ..Known::default() })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a log's checkpoints; and its public half as text.
    pub(crate) fn log_key(&self, origin: Origin) -> (SignerKey, String) {
        let mut known = self.known();
        known.logs.entry(origin).or_insert_with(|| with_text(log_key(origin))).clone()
    }

    /// Signs what a site holds of other logs; and its public half as text.
    pub(crate) fn mirror_key(&self, site: u16) -> (SignerKey, String) {
        let mut known = self.known();
        known.mirrors.entry(site).or_insert_with(|| with_text(mirror_key(site))).clone()
    }

    /// Signs a checkpoint of a log.
    pub(crate) fn sign(&self, origin: Origin, checkpoint: Checkpoint) -> Option<SignedCheckpoint> {
        debug_assert_eq!(checkpoint.origin, log_name(origin));
        let (key, text) = self.log_key(origin);
        if self.known().is_real {
            return checkpoint.sign(&key).ok();
        }
        let body = checkpoint.body();
        Some(SignedCheckpoint { checkpoint, note: format!("{body}\n{}", mark(&text, &body)) })
    }
}

impl Signatures for Signing {
    fn checkpoint(&mut self, note: &str, key: &str) -> Option<SignedCheckpoint> {
        let mut known = self.known();
        let Known { is_real, keys, checkpoints, .. } = &mut *known;
        if !*is_real {
            return marked_checkpoint(note, key);
        }
        let of = (note.to_owned(), key.to_owned());
        checkpoints.entry(of).or_insert_with(|| keys.checkpoint(note, key)).clone()
    }

    fn is_cosigned(&mut self, note: &str, key: &str) -> bool {
        let mut known = self.known();
        let Known { is_real, keys, cosigned, .. } = &mut *known;
        if !*is_real {
            return is_marked(note, key);
        }
        let of = (note.to_owned(), key.to_owned());
        *cosigned.entry(of).or_insert_with(|| keys.is_cosigned(note, key))
    }

    fn cosign(&mut self, key: &SignerKey, body: &str, time_seconds: u64) -> Option<String> {
        if self.known().is_real {
            return key.cosign(body, time_seconds).ok();
        }
        Some(cosigned_mark(&key.verifier().to_string(), body, time_seconds))
    }

    fn forget_keys(&mut self) {}
}
