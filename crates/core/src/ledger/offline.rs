//! Proofs that can be checked without the log (C2SP tlog-proof v1, `.tlog-proof` files).
//!
//! Such a file carries an entry's index, its inclusion proof and the signed checkpoint, but not
//! the entry. It must never be trusted for anything but what [`TlogProof::verify`] returns; its
//! extra data is not covered by any signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::hash::{Hash, leaf_hash};
use super::note::{NOTE_BYTES_MAX, VerifierKey};
use super::parse_decimal;
use super::tree::{PROOF_HASHES_MAX, ProofError, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Longest proof file in bytes.
pub const PROOF_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

/// The contents of a `.tlog-proof` file, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Data for the application; unauthenticated.
    pub extra: Option<Vec<u8>>,
    /// The entry's index in the log, from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up; at most [`PROOF_HASHES_MAX`] hashes.
    pub hashes: Vec<Hash>,
    /// The checkpoint's note as the log published it, cosignatures included.
    pub checkpoint: String,
}

/// Why a proof file does not prove anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OfflineError {
    /// The file is not in the format; the line is counted from 1.
    #[error("line {line} of the proof is malformed")]
    Malformed {
        /// Line in the file, from 1.
        line: usize,
    },
    /// Not UTF-8, or longer than [`PROOF_BYTES_MAX`].
    #[error("proof is not text or too large")]
    NotText,
    /// The checkpoint is not one of the log with this key.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in the log at this index.
    #[error("{0}")]
    Proof(#[from] ProofError),
}

impl TlogProof {
    /// Parses a proof file strictly. The checkpoint's note is only delimited here, not read.
    ///
    /// # Errors
    /// `NotText` or `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<TlogProof, OfflineError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(OfflineError::NotText);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| OfflineError::NotText)?;
        let mut lines = Lines { rest: text, number: 0 };
        if lines.next()? != HEADER {
            return Err(lines.malformed());
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(STANDARD.decode(encoded).map_err(|_| lines.malformed())?);
            line = lines.next()?;
        }
        let index = line.strip_prefix("index ").and_then(parse_decimal);
        let index = index.ok_or_else(|| lines.malformed())?;
        let mut hashes = Vec::new();
        loop {
            let line = lines.next()?;
            if line.is_empty() {
                break;
            }
            let hash = Hash::from_base64(line).filter(|_| hashes.len() < PROOF_HASHES_MAX);
            hashes.push(hash.ok_or_else(|| lines.malformed())?);
        }
        Ok(TlogProof { extra, index, hashes, checkpoint: lines.rest.to_owned() })
    }

    /// Checks that `entry` is entry [`Self::index`] of the log with this key, and returns the
    /// checkpoint that says so.
    ///
    /// # Errors
    /// `Checkpoint` or `Proof`.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, OfflineError> {
        let checkpoint = checkpoint::verify(self.checkpoint.as_bytes(), key)?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        verify_inclusion(leaf_hash(entry), self.index, size, root, &self.hashes)?;
        Ok(checkpoint)
    }
}

/// The file's text.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The lines of a text, each of which must end in a newline.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, OfflineError> {
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(line)
    }

    fn malformed(&self) -> OfflineError {
        OfflineError::Malformed { line: self.number }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::node_hash;
    use super::super::note::{Algorithm, SignerKey};
    use super::*;
    use proptest::prelude::*;

    fn example() -> (TlogProof, VerifierKey) {
        let signer =
            SignerKey::from_seed("example.com/fancylog", Algorithm::Ed25519, &[5; 32]).unwrap();
        let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
        let root = node_hash(&left, &right);
        let checkpoint = Checkpoint { origin: "example.com/fancylog".into(), size: 2, root };
        let checkpoint = checkpoint.sign(&signer).unwrap().note;
        let proof = TlogProof { extra: None, index: 1, hashes: vec![left], checkpoint };
        (proof, signer.verifier().clone())
    }

    #[test]
    fn a_file_has_the_form_of_the_specification() {
        let (mut proof, key) = example();
        let (hash, checkpoint) = (proof.hashes[0], proof.checkpoint.clone());
        let text = format!("c2sp.org/tlog-proof@v1\nindex 1\n{hash}\n\n{checkpoint}");
        assert_eq!(proof.to_string(), text);
        proof.extra = Some(b"some data".to_vec());
        assert_eq!(proof.to_string(), text.replace("index", "extra c29tZSBkYXRh\nindex"));
        let parsed = TlogProof::parse(proof.to_string().as_bytes()).unwrap();
        assert_eq!(parsed, proof);
        assert_eq!(parsed.verify(b"right", &key).unwrap().size, 2);
    }

    #[test]
    fn other_entries_indices_and_keys_are_refused() {
        let (proof, key) = example();
        assert_eq!(proof.verify(b"left", &key), Err(OfflineError::Proof(ProofError::Root)));
        for (index, error) in [(0, ProofError::Root), (2, ProofError::Range)] {
            let moved = TlogProof { index, ..proof.clone() };
            assert_eq!(moved.verify(b"right", &key), Err(OfflineError::Proof(error)));
        }
        let other =
            SignerKey::from_seed("example.com/fancylog", Algorithm::Ed25519, &[6; 32]).unwrap();
        assert!(matches!(
            proof.verify(b"right", other.verifier()),
            Err(OfflineError::Checkpoint(CheckpointError::Note(_)))
        ));
    }

    #[test]
    fn malformed_files_are_refused_with_their_line() {
        let text = example().0.to_string();
        for (bad, line) in [
            (String::new(), 1),
            (text.replace("@v1", "@v2"), 1),
            (text.replace("index 1", "index 01"), 2),
            (text.replace("index 1", "index"), 2),
            (text.replace("index 1", "extra ?\nindex 1"), 2),
            (text.replace("index 1", "extra AAAA\nextra AAAA\nindex 1"), 3),
            (text.replace("=\n\n", "\n\n"), 3),
            (
                text.replace(
                    "index 1\n",
                    &format!("index 1\n{}", format!("{}\n", leaf_hash(b"")).repeat(63)),
                ),
                66,
            ),
            (text.lines().take(3).map(|l| format!("{l}\n")).collect(), 4),
        ] {
            assert_eq!(
                TlogProof::parse(bad.as_bytes()),
                Err(OfflineError::Malformed { line }),
                "{bad}"
            );
        }
        assert_eq!(TlogProof::parse(b"\xff"), Err(OfflineError::NotText));
    }

    proptest! {
        #[test]
        fn one_flipped_bit_never_proves(at: prop::sample::Index, bit in 0u8..8) {
            let (proof, key) = example();
            let mut bytes = proof.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(TlogProof::parse(&bytes).and_then(|p| p.verify(b"right", &key)).is_err());
        }

        #[test]
        fn what_parses_prints_the_same(extra: Option<Vec<u8>>, index: u64, count in 0usize..63, checkpoint: String) {
            let proof = TlogProof { extra, index, hashes: vec![leaf_hash(b""); count], checkpoint };
            prop_assert_eq!(TlogProof::parse(proof.to_string().as_bytes()), Ok(proof));
        }

        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = TlogProof::parse(&bytes);
        }
    }
}
