//! The ledger's thread: takes durable entries from the engine and seals them into tiles and signed
//! checkpoints. Nobody who asked for an update waits for it.

use crossbeam_channel::{Receiver, RecvTimeoutError};
use einhorn_store::engine::{EngineError, EngineReader};
use einhorn_store::ledger::{SealError, Sealer};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// At most this long after a commit its entry is under a signed checkpoint, on an idle disk.
const SEAL_INTERVAL: Duration = Duration::from_millis(50);
/// How often full tiles are made durable.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Octets of entries sealed at once, which bounds memory when there is much to catch up with.
const SEAL_OCTETS: usize = 8 << 20;

/// Why the ledger is not sealed any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealingError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the ledger cannot be sealed: {0}")]
    Seal(#[from] SealError),
}

pub(crate) struct Sealing {
    pub(crate) sealer: Sealer,
    pub(crate) reader: Box<dyn EngineReader>,
    pub(crate) appended: Receiver<()>,
    pub(crate) failed: Arc<OnceLock<String>>,
}

impl Sealing {
    /// Runs until the commit's thread has ended and all that is durable is sealed.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.seal_until_stopped() {
            tracing::error!(%error, "sealing stopped: nothing more will be acknowledged; queries are still answered");
            // Only this thread sets it.
            let _ = self.failed.set(error.to_string());
        }
    }

    fn seal_until_stopped(&mut self) -> Result<(), SealingError> {
        let mut last_seal = Instant::now();
        let mut last_sync = Instant::now();
        loop {
            match self.appended.recv_timeout(SYNC_INTERVAL) {
                Ok(()) => {
                    // Under load many batches share one checkpoint.
                    std::thread::sleep(SEAL_INTERVAL.saturating_sub(last_seal.elapsed()));
                    self.seal()?;
                    last_seal = Instant::now();
                }
                // The commit's thread has ended: what it appended last is sealed, then no more.
                Err(RecvTimeoutError::Disconnected) => {
                    self.seal()?;
                    self.sealer.sync_full()?;
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if last_sync.elapsed() >= SYNC_INTERVAL {
                self.sealer.sync_full()?;
                last_sync = Instant::now();
            }
        }
    }

    /// Seals all that is durable.
    pub(crate) fn seal(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index()?;
        let mut octets = Vec::new();
        let mut ends = Vec::new();
        while self.sealer.sealed() < end {
            octets.clear();
            ends.clear();
            let first = self.sealer.sealed();
            self.reader.read(first, SEAL_OCTETS, &mut |_, _, entry| {
                octets.extend_from_slice(entry);
                ends.push(octets.len());
            })?;
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let entries: Vec<&[u8]> =
                starts.zip(&ends).map(|(start, end)| &octets[start..*end]).collect();
            self.sealer.seal(first, &entries)?;
        }
        Ok(())
    }
}
