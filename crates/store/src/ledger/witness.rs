//! What this site has cosigned for other logs, as their witness (C2SP tlog-witness v1.0.0).
//!
//! One file a log, named after a hash of its origin: the last checkpoint cosigned, as it came, with
//! the cosignature below it, so that it proves itself. It is durable before the cosignature leaves;
//! one that is damaged is never taken for none, which would allow the log to go back.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use einhorn_core::ledger::witness::{Head, Refusal, Request};
use einhorn_core::ledger::{Checkpoint, Note, NoteError, SignerKey, VerifierKey, leaf_hash};
use thiserror::Error;

use super::Files;

/// Why a witness could not do its work. The request may be made again.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file, below the witness's folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was cosigned last cannot be told. Restore the file: without it, nothing more is
    /// cosigned for this log.
    #[error("{path}, the last checkpoint cosigned for {origin}, is damaged")]
    Damaged {
        /// The file, below the witness's folder.
        path: String,
        /// The log.
        origin: String,
    },
    /// The key cannot cosign, or the time is impossible.
    #[error("cannot cosign: {0}")]
    Cosign(#[from] NoteError),
}

/// A witness for any number of logs. It may be shared by threads; no other may use its folder.
pub struct Witness {
    files: Arc<dyn Files>,
    signer: SignerKey,
    logs: RwLock<HashMap<String, Arc<Mutex<Log>>>>,
}

#[derive(Debug)]
struct Log {
    keys: Vec<VerifierKey>,
    /// What was cosigned last; `None` until it is read, and after a write failed.
    last: Option<Head>,
}

impl Witness {
    /// A witness that keeps its files in this folder and cosigns with this key, which it shares
    /// with no other statement: neither a log's nor a mirror's.
    ///
    /// # Errors
    /// [`WitnessError::Cosign`] if the key is not one of a cosigner.
    pub fn new(files: Arc<dyn Files>, signer: SignerKey) -> Result<Witness, WitnessError> {
        signer.cosign("a cosigner's key?\n", 0)?;
        Ok(Witness { files, signer, logs: RwLock::default() })
    }

    /// The key under which its cosignatures verify.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// Witnesses the log with this origin, whose checkpoints one of these keys signs; replaces
    /// keys given before. Without keys the log is unknown from now on.
    pub fn follow(&self, origin: &str, keys: Vec<VerifierKey>) {
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        match logs.get(origin) {
            Some(log) => log.lock().unwrap_or_else(PoisonError::into_inner).keys = keys,
            None => {
                let log = Log { keys, last: None };
                logs.insert(origin.to_owned(), Arc::new(Mutex::new(log)));
            }
        }
    }

    /// Answers a request to cosign, at a time in seconds since 1970: with the signature line, or
    /// why not. Requests of one log wait for each other, those of several do not.
    ///
    /// # Errors
    /// [`WitnessError`].
    pub fn add_checkpoint(
        &self,
        body: &[u8],
        now_seconds: u64,
    ) -> Result<Result<String, Refusal>, WitnessError> {
        let parsed = Request::parse(body).and_then(|request| Ok((request.origin()?, request)));
        let (origin, request) = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let log = self.logs.read().unwrap_or_else(PoisonError::into_inner).get(&origin).cloned();
        let Some(log) = log else { return Ok(Err(Refusal::UnknownOrigin)) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path_of(&origin);
        let last = match log.last {
            Some(last) => last,
            None => self.read(&path, &origin, &log.keys)?,
        };
        log.last = Some(last);
        let accepted = match request.judge(&log.keys, last) {
            Ok(accepted) => accepted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let line = self.signer.cosign(accepted.text, now_seconds)?;
        let Checkpoint { size, root, .. } = accepted.checkpoint;
        // A write that fails may have reached the disk: what is there is read again.
        log.last = None;
        let record = format!("{}{line}", request.note);
        self.files
            .write_durable(&path, record.as_bytes())
            .map_err(|source| WitnessError::Io { path: path.clone(), source })?;
        log.last = Some(Head { size, root });
        Ok(Ok(line))
    }

    /// What was cosigned last: nothing, if there is no file.
    fn read(&self, path: &str, origin: &str, keys: &[VerifierKey]) -> Result<Head, WitnessError> {
        let error = |source| WitnessError::Io { path: path.to_owned(), source };
        let Some(record) = self.files.read(path).map_err(error)? else {
            return Ok(Head::default());
        };
        let parsed = Note::parse(&record).ok().and_then(|note| {
            let ours = note.cosigned_at(self.verifier()).is_ok();
            let proven = ours || keys.iter().any(|key| note.verify(key).is_ok());
            let checkpoint = Checkpoint::parse_extended(note.text).ok()?;
            (proven && checkpoint.origin == origin).then_some(checkpoint)
        });
        match parsed {
            Some(Checkpoint { size, root, .. }) => Ok(Head { size, root }),
            None => Err(WitnessError::Damaged { path: path.to_owned(), origin: origin.to_owned() }),
        }
    }
}

/// Any origin makes a file name.
fn path_of(origin: &str) -> String {
    leaf_hash(origin.as_bytes()).to_hex()
}
