//! Checkpoints: what a log says its tree is, signed (C2SP tlog-checkpoint v1.0.0).
//!
//! A checkpoint is a promise for ever: whoever signs one must never sign another that contradicts
//! it. This module writes and reads them; the promise is kept by the one who owns the key.

use thiserror::Error;

use super::hash::Hash;
use super::note::{Note, NoteError, SignerKey, VerifierKey};
use super::parse_decimal;
use super::tree::SIZE_MAX;

/// A tree head: origin, size and root. Worth nothing unless it came out of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity, which is also the name of its key.
    pub origin: String,
    /// Entries in the tree, at most [`SIZE_MAX`].
    pub size: u64,
    /// The tree hash of the entries.
    pub root: Hash,
}

/// A checkpoint with the note that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note, as it is published; may carry cosignatures too.
    pub note: String,
}

/// Why bytes are not an acceptable checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by the key.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// The text is not the three lines origin, size and root. Extension lines are refused: no
    /// auditor can check them, and no log of ours writes them.
    #[error("checkpoint is not the three lines origin, size and root")]
    Body,
    /// The origin is not the key's name: a checkpoint of another log.
    #[error("checkpoint is of another origin than the key's")]
    Origin,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, each with a newline.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Parses the text of a checkpoint strictly.
    ///
    /// # Errors
    /// [`CheckpointError::Body`].
    pub fn parse_body(text: &str) -> Result<Checkpoint, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Body)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Body);
        };
        let size = parse_decimal(size).filter(|size| *size <= SIZE_MAX);
        match (size, Hash::from_base64(root)) {
            (Some(size), Some(root)) if !origin.is_empty() => {
                Ok(Checkpoint { origin: origin.to_owned(), size, root })
            }
            _ => Err(CheckpointError::Body),
        }
    }

    /// As [`Self::parse_body`], but further lines may follow, as other logs write them. They mean
    /// nothing here.
    ///
    /// # Errors
    /// [`CheckpointError::Body`].
    pub fn parse_extended(text: &str) -> Result<Checkpoint, CheckpointError> {
        let end = text.match_indices('\n').nth(2).ok_or(CheckpointError::Body)?.0;
        let (body, extensions) = text.split_at(end + 1);
        let mut lines = extensions.split_terminator('\n');
        if lines.any(str::is_empty) || !text.ends_with('\n') {
            return Err(CheckpointError::Body);
        }
        Checkpoint::parse_body(body)
    }

    /// Signs it with the log's key.
    ///
    /// # Errors
    /// `Origin` if the key is not named after the origin; `Note` for a key of another type.
    pub fn sign(self, signer: &SignerKey) -> Result<SignedCheckpoint, CheckpointError> {
        if signer.verifier().name() != self.origin {
            return Err(CheckpointError::Origin);
        }
        let note = signer.sign(&self.body())?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }
}

/// Reads a checkpoint and checks that the log with this key signed it. The origin must be the
/// key's name, so that a checkpoint of one log cannot pass for another's.
///
/// # Errors
/// [`CheckpointError`].
pub fn verify(bytes: &[u8], key: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
    let note = Note::parse(bytes)?;
    note.verify(key)?;
    let checkpoint = Checkpoint::parse_body(note.text)?;
    if checkpoint.origin != key.name() {
        return Err(CheckpointError::Origin);
    }
    Ok(checkpoint)
}

/// As [`verify`], and keeps the note with all its signatures.
///
/// # Errors
/// [`CheckpointError`].
pub fn verify_note(bytes: &[u8], key: &VerifierKey) -> Result<SignedCheckpoint, CheckpointError> {
    let checkpoint = verify(bytes, key)?;
    Ok(SignedCheckpoint { checkpoint, note: String::from_utf8_lossy(bytes).into_owned() })
}

/// As [`verify_note`], and keeps of the signatures only the log's own.
///
/// # Errors
/// [`CheckpointError`].
pub fn verify_own(bytes: &[u8], key: &VerifierKey) -> Result<SignedCheckpoint, CheckpointError> {
    let checkpoint = verify(bytes, key)?;
    let note = Note::parse(bytes)?;
    let lines: String = note.by(key).map(|signature| signature.line()).collect();
    Ok(SignedCheckpoint { note: format!("{}\n{lines}", note.text), checkpoint })
}

#[cfg(test)]
mod tests {
    use super::super::hash::{EMPTY_ROOT, leaf_hash};
    use super::super::note::Algorithm;
    use super::*;
    use proptest::prelude::*;

    fn signer(name: &str) -> SignerKey {
        SignerKey::from_seed(name, Algorithm::Ed25519, &[3; 32]).unwrap()
    }

    #[test]
    fn the_specifications_example_parses() {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse_body(text).unwrap();
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.body(), text);
        let empty = Checkpoint { origin: "o".into(), size: 0, root: EMPTY_ROOT };
        assert_eq!(empty.body(), "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    }

    #[test]
    fn other_texts_are_refused() {
        let root = leaf_hash(b"");
        for text in [
            String::new(),
            format!("o\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n9223372036854775808\n{root}\n"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n1\n{root}\n\n"),
            format!("o\n1\n {root}\n"),
            "o\n1\nAAAA\n".into(),
            "o\n1\n".into(),
        ] {
            assert_eq!(Checkpoint::parse_body(&text), Err(CheckpointError::Body), "{text:?}");
        }
    }

    #[test]
    fn a_checkpoint_verifies_only_under_its_own_origin() {
        let log = signer("berlin.example/log");
        let checkpoint =
            Checkpoint { origin: "berlin.example/log".into(), size: 1, root: leaf_hash(b"") };
        let signed = checkpoint.clone().sign(&log).unwrap();
        assert_eq!(verify(signed.note.as_bytes(), log.verifier()), Ok(checkpoint.clone()));
        assert_eq!(verify_note(signed.note.as_bytes(), log.verifier()), Ok(signed));

        let other = signer("paris.example/log");
        assert_eq!(checkpoint.clone().sign(&other), Err(CheckpointError::Origin));
        let foreign = other.sign(&checkpoint.body()).unwrap();
        assert_eq!(verify(foreign.as_bytes(), other.verifier()), Err(CheckpointError::Origin));
        let extended = log.sign(&format!("{}extension\n", checkpoint.body())).unwrap();
        assert_eq!(verify(extended.as_bytes(), log.verifier()), Err(CheckpointError::Body));
    }

    #[test]
    fn extension_lines_are_read_only_where_asked_for() {
        let body = format!("o\n1\n{EMPTY_ROOT}\n");
        let plain = Checkpoint::parse_body(&body);
        for extension in ["", "more\n", "more\nand more\n"] {
            let found = Checkpoint::parse_extended(&format!("{body}{extension}"));
            assert_eq!(found, plain, "{extension:?}");
        }
        for bad in ["\n", "more", "more\n\n", "\nmore\n"] {
            let found = Checkpoint::parse_extended(&format!("{body}{bad}"));
            assert_eq!(found, Err(CheckpointError::Body), "{bad:?}");
        }
    }

    #[test]
    fn the_logs_own_note_has_no_cosignatures() {
        let log = signer("o");
        let witness = SignerKey::from_seed("w", Algorithm::CosignatureV1, &[4; 32]).unwrap();
        let signed = Checkpoint { origin: "o".into(), size: 0, root: EMPTY_ROOT };
        let signed = signed.sign(&log).unwrap();
        let line = witness.cosign(&signed.checkpoint.body(), 5).unwrap();
        let whole = format!("{}{line}", signed.note);
        assert_eq!(verify_own(whole.as_bytes(), log.verifier()), Ok(signed));
    }

    proptest! {
        #[test]
        fn bodies_round_trip(origin in "[^\\x00-\\x1f]{1,30}", size in 0..=SIZE_MAX, root: [u8; 32]) {
            let checkpoint = Checkpoint { origin, size, root: Hash(root) };
            prop_assert_eq!(Checkpoint::parse_body(&checkpoint.body()), Ok(checkpoint));
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>, text: String) {
            prop_assert!(verify(&bytes, signer("a").verifier()).is_err());
            let _ = Checkpoint::parse_body(&text);
        }
    }
}
