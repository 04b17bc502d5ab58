//! What a witness answers (C2SP tlog-witness v1.0.0, `add-checkpoint`), and what a log asks one.
//!
//! A witness remembers for each log the largest tree that it has cosigned, and cosigns only trees
//! that contain it. Here are the texts and the judgement; whoever uses it must make the new tree
//! durable before the cosignature leaves, and must judge and store one request of a log at a time.

use thiserror::Error;

use super::checkpoint::Checkpoint;
use super::hash::{EMPTY_ROOT, Hash};
use super::note::{NOTE_BYTES_MAX, Note, VerifierKey};
use super::parse_decimal;
use super::tree::{PROOF_HASHES_MAX, verify_consistency};

/// Longest body of a request in octets: proof and checkpoint with many cosignatures fit in.
pub const REQUEST_OCTETS_MAX: usize = 64 << 10;
const _: () = assert!(REQUEST_OCTETS_MAX <= NOTE_BYTES_MAX);

/// Content type of the size in an answer with status 409.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// A request to cosign a checkpoint. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Size of the tree that the log believes was cosigned last.
    pub old_size: u64,
    /// The proof that the new tree contains the old one.
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub note: &'a str,
}

/// The tree that was cosigned last; the empty one at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Entries in it.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl Default for Head {
    fn default() -> Head {
        Head { size: 0, root: EMPTY_ROOT }
    }
}

/// A checkpoint that may be cosigned, once its tree is durable as the new [`Head`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The tree.
    pub checkpoint: Checkpoint,
    /// The note's text, which is what is cosigned.
    pub text: &'a str,
}

/// Why a checkpoint is not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The request is not in the form of the standard.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// The old tree would be larger than the new one.
    #[error("the old size is larger than the checkpoint's")]
    OldTooLarge,
    /// Nobody asked this witness to follow that log.
    #[error("this log is not witnessed here")]
    UnknownOrigin,
    /// No signature by a key of the log.
    #[error("the checkpoint is not signed by a key of its log")]
    BadSignature,
    /// Another tree was cosigned last: of another size, or of the same with another root.
    #[error("the checkpoint cosigned last has {size} entries")]
    Conflict {
        /// Its size.
        size: u64,
    },
    /// The new tree does not contain the one cosigned last, as far as the proof goes.
    #[error("the proof of consistency does not hold")]
    Proof,
}

impl Refusal {
    /// The status in HTTP.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Refusal::Malformed(_) | Refusal::OldTooLarge => 400,
            Refusal::BadSignature => 403,
            Refusal::UnknownOrigin => 404,
            Refusal::Conflict { .. } => 409,
            Refusal::Proof => 422,
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the body of a request strictly.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(body: &'a [u8]) -> Result<Request<'a>, Refusal> {
        let malformed = Refusal::Malformed;
        if body.len() > REQUEST_OCTETS_MAX {
            return Err(malformed("too long"));
        }
        let body = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
        let (head, note) = body.split_once("\n\n").ok_or(malformed("no empty line"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| parse_decimal(line.strip_prefix("old ")?))
            .ok_or(malformed("the first line is not `old` and a size"))?;
        let proof = lines
            .map(Hash::from_base64)
            .collect::<Option<Vec<Hash>>>()
            .ok_or(malformed("a line of the proof is not a hash"))?;
        if proof.len() > PROOF_HASHES_MAX {
            return Err(malformed("the proof has more than 63 hashes"));
        }
        Ok(Request { old_size, proof, note })
    }

    /// The body of this request.
    #[must_use]
    pub fn encode(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!("old {}\n{proof}\n{}", self.old_size, self.note)
    }

    /// The log that the request says it is from: tells whose keys and head [`Self::judge`] needs.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn origin(&self) -> Result<String, Refusal> {
        Ok(self.checkpoint()?.1.origin)
    }

    /// Whether the checkpoint may be cosigned, given the log's keys, of which there may be
    /// several, and the tree cosigned last. The caller has looked both up by [`Self::origin`].
    ///
    /// # Errors
    /// [`Refusal`]; `UnknownOrigin` without keys.
    pub fn judge(&self, keys: &[VerifierKey], last: Head) -> Result<Accepted<'a>, Refusal> {
        let (note, checkpoint) = self.checkpoint()?;
        if keys.is_empty() {
            return Err(Refusal::UnknownOrigin);
        }
        if !keys.iter().any(|key| note.verify(key).is_ok()) {
            return Err(Refusal::BadSignature);
        }
        if self.old_size > checkpoint.size {
            return Err(Refusal::OldTooLarge);
        }
        let same_size = checkpoint.size == last.size;
        if self.old_size != last.size || (same_size && checkpoint.root != last.root) {
            return Err(Refusal::Conflict { size: last.size });
        }
        verify_consistency(last.size, last.root, checkpoint.size, checkpoint.root, &self.proof)
            .map_err(|_| Refusal::Proof)?;
        Ok(Accepted { checkpoint, text: note.text })
    }

    fn checkpoint(&self) -> Result<(Note<'a>, Checkpoint), Refusal> {
        let note = Note::parse(self.note.as_bytes())
            .map_err(|_| Refusal::Malformed("the checkpoint is not a signed note"))?;
        let checkpoint = Checkpoint::parse_extended(note.text)
            .map_err(|_| Refusal::Malformed("the note is not a checkpoint"))?;
        Ok((note, checkpoint))
    }
}

/// The size in an answer with status 409.
#[must_use]
pub fn parse_size(body: &[u8]) -> Option<u64> {
    parse_decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// The witness's line for the checkpoint with this text among those of its answer, with its
/// newline; `None` if there is none that verifies. Lines by other keys are ignored.
#[must_use]
pub fn find_cosignature(text: &str, answer: &str, key: &VerifierKey) -> Option<String> {
    let verified = |line: &&str| {
        let note = format!("{text}\n{line}\n");
        Note::parse(note.as_bytes()).is_ok_and(|note| note.cosigned_at(key).is_ok())
    };
    answer.lines().take(super::note::SIGNATURES_MAX).find(verified).map(|line| format!("{line}\n"))
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
