//! Asking outside witnesses to cosign the log's checkpoints (C2SP tlog-witness v1.0.0).
//!
//! A thread for each witness, so that one that is slow or away holds up nobody: not the log, which
//! only leaves its newest checkpoint here, nor another witness, nor the end of the process.

use einhorn_core::ledger::witness::{Request, SIZE_CONTENT_TYPE, find_cosignature, parse_size};
use einhorn_core::ledger::{Checkpoint, Hash, SignedCheckpoint, VerifierKey};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A witness is asked at most so often.
pub const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// After failures the pause doubles up to this.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// How long a witness may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of an answer that are read: signature lines of several keys.
const ANSWER_OCTETS_MAX: u64 = 64 << 10;
/// Requests for one checkpoint: a size may be told, and may have changed by the next.
const REQUESTS_MAX: u32 = 4;

/// A witness that cosigns our log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideWitness {
    /// Its submission prefix, `https://…` or `http://…`.
    pub url: String,
    /// Under which its cosignatures verify.
    pub key: VerifierKey,
}

/// Builds the proof that the tree of the first size is a beginning of that of the second, for which
/// there is a checkpoint.
pub type Prove = Arc<dyn Fn(u64, u64) -> io::Result<Vec<Hash>> + Send + Sync>;

/// Takes a signature line with which a witness has cosigned a checkpoint, verified.
pub type Cosigned = Arc<dyn Fn(&Checkpoint, String) + Send + Sync>;

/// Why a witness has not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It could not be reached, or not in time.
    #[error("{0}")]
    Unreachable(Box<ureq::Error>),
    /// It answered with this status.
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    /// It answered 200, but not with a cosignature by its key.
    #[error("its answer holds no cosignature by its key")]
    NoCosignature,
    /// It answered 409, but not with a size.
    #[error("it told no size")]
    NoSize,
    /// It has seen more of the log than there is.
    #[error(
        "it has cosigned {told} entries, but the log has {size}: was the log restored from an older copy?"
    )]
    Ahead {
        /// What it has cosigned.
        told: u64,
        /// What the log has.
        size: u64,
    },
    /// It tells another size each time.
    #[error("it tells another size each time")]
    Unsettled,
    /// The log could not prove its own past.
    #[error("the proof cannot be built: {0}")]
    Proof(io::Error),
}

/// Leaves checkpoints for the witnesses. Dropping it ends their threads, without waiting.
pub struct Witnesses {
    board: Arc<Board>,
}

impl Witnesses {
    /// Starts asking.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        witnesses: Vec<OutsideWitness>,
        prove: Prove,
        cosigned: Cosigned,
    ) -> io::Result<Witnesses> {
        let board = Arc::new(Board::default());
        for witness in witnesses {
            let (board, cosigned) = (Arc::clone(&board), Arc::clone(&cosigned));
            let mut client = Client::new(witness, Arc::clone(&prove));
            std::thread::Builder::new()
                .name("witness".to_owned())
                .spawn(move || client.run(&board, &cosigned))?;
        }
        Ok(Witnesses { board })
    }

    /// Leaves the newest checkpoint to be cosigned. Never waits for a witness.
    pub fn offer(&self, signed: SignedCheckpoint) {
        let mut state = self.board.lock();
        state.number += 1;
        state.newest = Some(signed);
        drop(state);
        self.board.changed.notify_all();
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.board.lock().closed = true;
        self.board.changed.notify_all();
    }
}

/// Where the newest checkpoint lies.
#[derive(Default)]
struct Board {
    state: Mutex<BoardState>,
    changed: Condvar,
}

#[derive(Default)]
struct BoardState {
    newest: Option<SignedCheckpoint>,
    /// Of the newest, from 1.
    number: u64,
    closed: bool,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a checkpoint after number `seen`; `None` at the end.
    fn next(&self, seen: u64) -> Option<(u64, SignedCheckpoint)> {
        let waits = |state: &mut BoardState| !state.closed && state.number == seen;
        let state = self.changed.wait_while(self.lock(), waits);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let newest = state.newest.clone().filter(|_| !state.closed)?;
        Some((state.number, newest))
    }

    /// Waits so long; tells whether the end came meanwhile.
    fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

/// Asks one witness.
struct Client {
    witness: OutsideWitness,
    agent: ureq::Agent,
    prove: Prove,
    /// What it has cosigned last, as far as is known.
    known_size: u64,
}

impl Client {
    fn new(witness: OutsideWitness, prove: Prove) -> Client {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0);
        let agent = ureq::Agent::new_with_config(config.build());
        Client { witness, agent, prove, known_size: 0 }
    }

    fn run(&mut self, board: &Board, cosigned: &Cosigned) {
        let (mut seen, mut pause) = (0, ASK_INTERVAL);
        while let Some((number, signed)) = board.next(seen) {
            match self.ask(&signed) {
                Ok(line) => {
                    cosigned(&signed.checkpoint, line);
                    (seen, pause) = (number, ASK_INTERVAL);
                }
                Err(error) => {
                    // Only the first of many in a row is news.
                    let witness = self.witness.key.name();
                    if pause == ASK_INTERVAL {
                        tracing::warn!(witness, %error, "a witness does not cosign");
                    } else {
                        tracing::debug!(witness, %error, "a witness does not cosign yet");
                    }
                    pause = (pause * 2).min(RETRY_INTERVAL_MAX);
                }
            }
            if board.pause(pause) {
                return;
            }
        }
    }

    /// Has the witness cosign a checkpoint; returns its signature line.
    fn ask(&mut self, signed: &SignedCheckpoint) -> Result<String, AskError> {
        let size = signed.checkpoint.size;
        // A larger size may have been told for a checkpoint that was not ours: ask again.
        self.known_size = self.known_size.min(size);
        for _ in 0..REQUESTS_MAX {
            let old_size = self.known_size;
            let proof = (self.prove)(old_size, size).map_err(AskError::Proof)?;
            match self.post(&Request { old_size, proof, note: &signed.note }.encode())? {
                Answer::Lines(lines) => {
                    let text = signed.checkpoint.body();
                    let line = find_cosignature(&text, &lines, &self.witness.key)
                        .ok_or(AskError::NoCosignature)?;
                    self.known_size = size;
                    return Ok(line);
                }
                Answer::Size(told) if told > size => return Err(AskError::Ahead { told, size }),
                // It knows another tree of this size.
                Answer::Size(told) if told == old_size => return Err(AskError::Status(409)),
                Answer::Size(told) => self.known_size = told,
            }
        }
        Err(AskError::Unsettled)
    }

    fn post(&self, body: &str) -> Result<Answer, AskError> {
        let unreachable = |error| AskError::Unreachable(Box::new(error));
        let url = format!("{}/add-checkpoint", self.witness.url.trim_end_matches('/'));
        let mut response = self
            .agent
            .post(&url)
            .content_type("text/plain; charset=utf-8")
            .send(body)
            .map_err(unreachable)?;
        let status = response.status().as_u16();
        let is_size = response.body().mime_type() == Some(SIZE_CONTENT_TYPE);
        let body = response.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_vec();
        let body = body.map_err(unreachable)?;
        match status {
            200 => Ok(Answer::Lines(String::from_utf8_lossy(&body).into_owned())),
            409 if is_size => parse_size(&body).map(Answer::Size).ok_or(AskError::NoSize),
            409 => Err(AskError::NoSize),
            status => Err(AskError::Status(status)),
        }
    }
}

enum Answer {
    Lines(String),
    Size(u64),
}

#[cfg(test)]
#[path = "witness_fixture.rs"]
pub(crate) mod fixture;
#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
