//! The ledger's thread: takes durable entries from the engine and seals them into tiles and signed
//! checkpoints. Nobody who asked for an update waits for it.

use crate::witnessing::Asked;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use einhorn_store::engine::{EngineError, EngineReader};
use einhorn_store::ledger::{SealError, Sealer};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Pause between two checkpoints. On an idle machine the first entry after a pause does not wait.
const SEAL_INTERVAL: Duration = Duration::from_millis(100);
/// Entries of a full bundle and tile (C2SP tlog-tiles).
const BUNDLE_ENTRIES: u64 = 256;
/// Full tiles are made durable, and old partial ones removed, when nothing was appended for so
/// long …
const SYNC_WHEN_IDLE: Duration = Duration::from_secs(1);
/// … and after so long in any case: it bounds what a restart reads again.
const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The files of one sync may go in the next.
const SYNCS_TO_SETTLE: u32 = 2;
/// Octets of entries sealed at once, which bounds memory when there is much to catch up with.
const SEAL_OCTETS: usize = 8 << 20;

/// Why the ledger is not sealed any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealingError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the ledger cannot be sealed: {source}{}", advice(source))]
    Seal {
        #[from]
        source: SealError,
    },
}

/// What to do about it, where that is known.
fn advice(error: &SealError) -> &'static str {
    match error {
        SealError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "; the disk is full: free some space and restart"
        }
        _ => "",
    }
}

pub(crate) struct Sealing {
    pub(crate) sealer: Sealer,
    pub(crate) reader: Box<dyn EngineReader>,
    pub(crate) appended: Receiver<()>,
    pub(crate) failed: Arc<OnceLock<String>>,
    /// Durable entries were left for the next checkpoint.
    pub(crate) again: bool,
    /// Outside witnesses, which nobody waits for.
    pub(crate) asked: Asked,
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
        let mut syncs_due = SYNCS_TO_SETTLE;
        loop {
            let timeout = if self.again { SEAL_INTERVAL } else { SYNC_WHEN_IDLE };
            match self.appended.recv_timeout(timeout) {
                Ok(()) => {
                    // Under load many batches share one checkpoint.
                    std::thread::sleep(SEAL_INTERVAL.saturating_sub(last_seal.elapsed()));
                    last_seal = Instant::now();
                    self.again = false;
                    self.seal_mostly()?;
                    syncs_due = SYNCS_TO_SETTLE;
                }
                // The commit's thread has ended: what it appended last is sealed, then no more.
                Err(RecvTimeoutError::Disconnected) => {
                    self.seal()?;
                    self.sealer.sync_full()?;
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) if self.again => {
                    self.again = false;
                    self.seal()?;
                }
                Err(RecvTimeoutError::Timeout) if syncs_due > 0 => {
                    self.sealer.sync_full()?;
                    syncs_due -= 1;
                    last_sync = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if last_sync.elapsed() >= SYNC_INTERVAL_MAX && syncs_due > 0 {
                self.sealer.sync_full()?;
                last_sync = Instant::now();
            }
            self.asked.store(&mut self.sealer);
        }
    }

    /// Seals what is durable: all of it, or under load only full bundles, since writing partial
    /// ones each time would cost more than everything else. The rest comes with the next call.
    fn seal_mostly(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index()?;
        if end - self.sealer.sealed() < 2 * BUNDLE_ENTRIES {
            return self.seal_to(end);
        }
        self.seal_to(end - end % BUNDLE_ENTRIES)?;
        self.again = !end.is_multiple_of(BUNDLE_ENTRIES);
        Ok(())
    }

    /// Seals all that is durable.
    pub(crate) fn seal(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index()?;
        self.seal_to(end)
    }

    fn seal_to(&mut self, end: u64) -> Result<(), SealingError> {
        let mut octets = Vec::new();
        let mut ends = Vec::new();
        while self.sealer.sealed() < end {
            octets.clear();
            ends.clear();
            let first = self.sealer.sealed();
            self.reader.read(first, SEAL_OCTETS, &mut |index, _, entry| {
                if index < end {
                    octets.extend_from_slice(entry);
                    ends.push(octets.len());
                }
            })?;
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let entries: Vec<&[u8]> =
                starts.zip(&ends).map(|(start, end)| &octets[start..*end]).collect();
            let signed = self.sealer.seal(first, &entries)?;
            self.asked.offer(signed.as_ref());
        }
        Ok(())
    }
}
