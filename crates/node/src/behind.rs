//! The ledger's files of a node that follows: sealed behind the log, as the node that leads does it,
//! so that this one can lead soon, and auditors can read here. All nodes sign with one key what
//! one log says, so that their checkpoints never contradict each other. It must never seal what is
//! not durable in the engine.

use crate::recover::log_id;
use crate::sealing::{SealingError, Stretch};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use einhorn_core::model::Origin;
use einhorn_store::engine::{EngineError, EngineReader};
use einhorn_store::ledger::Sealer;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pause between two checkpoints.
const SEAL_INTERVAL: Duration = Duration::from_millis(500);
/// Files are made durable when nothing was appended for so long, or after so many checkpoints.
const SYNC_WHEN_IDLE: Duration = Duration::from_secs(2);
const CHECKPOINTS_UNSYNCED_MAX: u32 = 60;
/// The files of one sync may go in the next.
const SYNCS_TO_SETTLE: u32 = 2;
/// How long the thread waits before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(100);

/// The ledger of a follower.
pub(crate) struct Behind {
    pub(crate) origin: Origin,
    pub(crate) sealer: Sealer,
    pub(crate) reader: Box<dyn EngineReader>,
    /// Told when entries were folded.
    pub(crate) folded: Receiver<()>,
}

impl Behind {
    /// Starts the thread.
    pub(crate) fn start(mut self, stop: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            if let Err(error) = self.run(&stop) {
                // The log is the node's that leads; a start finds out what is wrong here.
                tracing::error!(%error, "the ledger's files here stay behind the log");
            }
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<(), SealingError> {
        // What was appended before this node began to follow.
        let (mut is_due, mut unsynced, mut syncs_due) = (true, 0, 0);
        let mut last = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            match self.folded.recv_timeout(STOP_LATENCY) {
                Ok(()) => is_due = true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if is_due && last.elapsed() >= SEAL_INTERVAL {
                match self.seal(stop) {
                    Ok(()) => (is_due, syncs_due) = (false, SYNCS_TO_SETTLE),
                    // While etcd is silent there is nothing to seal.
                    Err(SealingError::Engine(EngineError::Unavailable { .. })) => {}
                    Err(error) => return Err(error),
                }
                (last, unsynced) = (Instant::now(), unsynced + 1);
            }
            let is_idle = syncs_due > 0 && !is_due && last.elapsed() >= SYNC_WHEN_IDLE;
            if is_idle || unsynced >= CHECKPOINTS_UNSYNCED_MAX {
                self.sealer.sync_full()?;
                (unsynced, syncs_due, last) = (0, syncs_due.saturating_sub(1), Instant::now());
            }
        }
        self.sealer.sync_full()?;
        Ok(())
    }

    /// Seals what is durable.
    fn seal(&mut self, stop: &AtomicBool) -> Result<(), SealingError> {
        let end = self.reader.next_index(log_id(self.origin))?;
        let mut read = Stretch::default();
        while self.sealer.sealed() < end && !stop.load(Ordering::Relaxed) {
            let first = self.sealer.sealed();
            read.read(&mut *self.reader, self.origin, first, end)?;
            self.sealer.seal(first, &read.entries())?;
        }
        Ok(())
    }
}
