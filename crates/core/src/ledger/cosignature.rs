//! Cosignatures that a log has collected: for each cosigner the newest checkpoint that it has
//! cosigned (C2SP tlog-cosignature v1.0.1), which is how far it vouches for the log.
//!
//! They are kept as text so that an auditor can check them with other tools:
//!
//! ```text
//! einhorn cosignatures 1
//! ORIGIN
//! SIZE ROOT
//! — NAME BASE64
//! ```
//!
//! The last two lines stand once for each cosigner, ordered by name and key id. With the origin,
//! the size and the root make up the three lines of the checkpoint that was cosigned. This module
//! takes in only what verifies under a key that its caller lists; it knows no files and no time.

use thiserror::Error;

use super::checkpoint::Checkpoint;
use super::hash::Hash;
use super::note::{Note, NoteError, SIGNATURES_MAX, VerifierKey};
use super::parse_decimal;
use super::tree::SIZE_MAX;

const HEADER: &str = "einhorn cosignatures 1";

/// Why bytes are not a collection of cosignatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CosignaturesError {
    /// Not the text that this module writes.
    #[error("line {line} is not of a collection of cosignatures")]
    Line {
        /// From 1.
        line: usize,
    },
    /// More cosigners than a note can have signatures.
    #[error("more than {SIGNATURES_MAX} cosigners")]
    TooMany,
}

/// The newest checkpoint that one cosigner has cosigned. Proven only if it was added, or after
/// [`Cosignature::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The key's name.
    pub key_name: String,
    /// The key's id.
    pub key_id: [u8; 4],
    /// Entries of the tree that was cosigned.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When, in seconds since 1970, by the cosigner's clock.
    pub time_seconds: u64,
    /// The signature line with its newline.
    pub line: String,
}

impl Cosignature {
    /// Whether it says that it is by this key; that proves nothing.
    #[must_use]
    pub fn names(&self, key: &VerifierKey) -> bool {
        self.key_name == key.name() && self.key_id == key.id()
    }

    /// Reads a signature line below a checkpoint, unverified; `None` if it has not the form of a
    /// cosignature.
    #[must_use]
    pub fn read(checkpoint: &Checkpoint, line: &str) -> Option<Cosignature> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        read_line(&checkpoint.body(), checkpoint.size, checkpoint.root, line)
    }

    /// Checks that this key has cosigned the checkpoint of the log with this origin.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn verify(&self, origin: &str, key: &VerifierKey) -> Result<(), NoteError> {
        let origin = origin.to_owned();
        let body = Checkpoint { origin, size: self.size, root: self.root }.body();
        Note::parse(format!("{body}\n{}", self.line).as_bytes())?.cosigned_at(key).map(drop)
    }

    fn parse(origin: &str, tree: &str, line: &str) -> Option<Cosignature> {
        let (size, root) = tree.split_once(' ')?;
        let size = parse_decimal(size).filter(|size| *size <= SIZE_MAX)?;
        let root = Hash::from_base64(root)?;
        let body = Checkpoint { origin: origin.to_owned(), size, root }.body();
        read_line(&body, size, root, line)
    }

    fn place(&self) -> (&str, [u8; 4]) {
        (&self.key_name, self.key_id)
    }
}

/// A line below the text of a checkpoint, unverified.
fn read_line(body: &str, size: u64, root: Hash, line: &str) -> Option<Cosignature> {
    let text = format!("{body}\n{line}\n");
    let note = Note::parse(text.as_bytes()).ok()?;
    let [signature] = note.signatures.as_slice() else { return None };
    let time_seconds = signature.cosigned_at()?;
    let (key_name, key_id) = (signature.name.to_owned(), signature.key_id);
    Some(Cosignature { key_name, key_id, size, root, time_seconds, line: signature.line() })
}

/// The newest cosignature of each cosigner of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignatures {
    origin: String,
    /// By name and key id, each once.
    newest: Vec<Cosignature>,
}

impl Cosignatures {
    /// None yet, for the log with this origin.
    #[must_use]
    pub fn new(origin: &str) -> Cosignatures {
        Cosignatures { origin: origin.to_owned(), newest: Vec::new() }
    }

    /// Reads what [`Self::encode`] wrote. Nothing of it is verified.
    ///
    /// # Errors
    /// [`CosignaturesError`].
    pub fn parse(bytes: &[u8]) -> Result<Cosignatures, CosignaturesError> {
        let wrong = |line| CosignaturesError::Line { line };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(1))?;
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(wrong(1))?.split('\n').collect();
        let [HEADER, origin, rest @ ..] = lines.as_slice() else { return Err(wrong(1)) };
        if origin.is_empty() {
            return Err(wrong(2));
        }
        let mut newest: Vec<Cosignature> = Vec::new();
        for (number, pair) in (3..).step_by(2).zip(rest.chunks(2)) {
            let [tree, line] = pair else { return Err(wrong(number)) };
            let found = Cosignature::parse(origin, tree, line)
                .filter(|found| newest.last().is_none_or(|last| last.place() < found.place()))
                .ok_or(wrong(number))?;
            newest.push(found);
            if newest.len() > SIGNATURES_MAX {
                return Err(CosignaturesError::TooMany);
            }
        }
        Ok(Cosignatures { origin: (*origin).to_owned(), newest })
    }

    /// As text, to be kept.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n{}\n", self.origin);
        for one in &self.newest {
            text.push_str(&format!("{} {}\n{}", one.size, one.root, one.line));
        }
        text
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// All of them, by name and key id.
    #[must_use]
    pub fn newest(&self) -> &[Cosignature] {
        &self.newest
    }

    /// The signature lines for exactly this tree, each with its newline.
    #[must_use]
    pub fn lines_for(&self, checkpoint: &Checkpoint) -> String {
        let tree = (checkpoint.size, checkpoint.root);
        let of_tree = self.newest.iter().filter(|one| (one.size, one.root) == tree);
        of_tree.map(|one| one.line.as_str()).collect()
    }

    /// Takes in the lines that one of the keys has made for this checkpoint and that are newer
    /// than what is known of that cosigner. Returns how many. Other lines are ignored.
    pub fn add(&mut self, checkpoint: &Checkpoint, lines: &str, keys: &[VerifierKey]) -> usize {
        let body = checkpoint.body();
        let mut added = 0;
        for line in lines.lines() {
            let Some(found) = read_line(&body, checkpoint.size, checkpoint.root, line) else {
                continue;
            };
            let mut keys = keys.iter().filter(|key| found.names(key));
            if keys.any(|key| found.verify(&self.origin, key).is_ok()) && self.put(found) {
                added += 1;
            }
        }
        added
    }

    /// Forgets what says that it is by one of these keys and does not verify. Returns how many.
    pub fn forget_unproven(&mut self, keys: &[VerifierKey]) -> usize {
        let before = self.newest.len();
        let origin = &self.origin;
        self.newest.retain(|one| {
            let mut named = keys.iter().filter(|key| one.names(key)).peekable();
            named.peek().is_none() || named.any(|key| one.verify(origin, key).is_ok())
        });
        before - self.newest.len()
    }

    fn put(&mut self, found: Cosignature) -> bool {
        match self.newest.binary_search_by(|one| one.place().cmp(&found.place())) {
            Ok(at) => {
                let known = &mut self.newest[at];
                let newer = (found.size, found.time_seconds) > (known.size, known.time_seconds);
                if newer {
                    *known = found;
                }
                newer
            }
            Err(_) if self.newest.len() == SIGNATURES_MAX => false,
            Err(at) => {
                self.newest.insert(at, found);
                true
            }
        }
    }
}

#[cfg(test)]
#[path = "cosignature_tests.rs"]
mod tests;
