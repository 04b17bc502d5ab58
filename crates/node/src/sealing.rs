//! The ledger's thread: takes durable entries from the engine and seals them into tiles and signed
//! checkpoints. Those who asked for an update wait for it only where other sites must confirm it.
//! Copies of the other sites' logs are written as files here too, behind what is confirmed.

use crate::copies::CopyFiles;
use crate::recover::log_id;
use crate::witnessing::Asked;
use crossbeam_channel::{Receiver, Sender, after, never, select};
use einhorn_core::commit::Cosignature;
use einhorn_core::ledger::{Checkpoint, SignedCheckpoint, VerifierKey};
use einhorn_core::model::{Origin, Registry};
use einhorn_store::engine::{EngineError, EngineReader};
use einhorn_store::ledger::{SealError, Sealer};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Pause between two checkpoints that nobody waits for.
const SEAL_INTERVAL: Duration = Duration::from_millis(100);
/// The first entry after a pause waits so long: the other sites are making their copies durable then,
/// perhaps on the same disk.
const SEAL_DELAY: Duration = Duration::from_millis(30);
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
pub(crate) const SEAL_OCTETS: usize = 8 << 20;
/// How often copies and cosignatures are written: nobody waits for them, since what they rest on is
/// durable in the engine.
const COPY_INTERVAL: Duration = Duration::from_secs(1);
/// … and how often while somebody waits for checkpoints, which come from the same thread.
const COPY_INTERVAL_URGENT: Duration = Duration::from_secs(10);

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

/// What the ledger's thread is told.
pub(crate) enum Task {
    /// A checkpoint of a copy was found to be right.
    Checkpoint(Origin, SignedCheckpoint),
    /// A cosignature was found to be right.
    Cosignature(Cosignature),
    /// The sites are these now.
    Sites(Arc<Registry>),
    /// The own log is this one from now on: it has begun.
    Begun(Origin),
}

/// The ways to the ledger's thread.
#[derive(Clone)]
pub(crate) struct Wakes {
    /// Something is durable.
    pub(crate) appended: Sender<()>,
    /// Something is durable that somebody waits for.
    pub(crate) urgent: Sender<()>,
}

/// The other ends of [`Wakes`].
pub(crate) struct Woken {
    pub(crate) appended: Receiver<()>,
    pub(crate) urgent: Receiver<()>,
}

/// One of each; a full channel means that the thread has been woken already.
pub(crate) fn wakes() -> (Wakes, Woken) {
    let (appended, appended_end) = crossbeam_channel::bounded(1);
    let (urgent, urgent_end) = crossbeam_channel::bounded(1);
    (Wakes { appended, urgent }, Woken { appended: appended_end, urgent: urgent_end })
}

pub(crate) struct Sealing {
    pub(crate) origin: Origin,
    pub(crate) sealer: Sealer,
    pub(crate) reader: Box<dyn EngineReader>,
    pub(crate) woken: Woken,
    pub(crate) tasks: Receiver<Task>,
    /// Takes each checkpoint of the own log.
    pub(crate) sealed: Sender<SignedCheckpoint>,
    pub(crate) failed: Arc<OnceLock<String>>,
    /// Durable entries were left for the next checkpoint.
    pub(crate) again: bool,
    pub(crate) copies: CopyFiles,
    /// Outside witnesses, which nobody waits for.
    pub(crate) asked: Asked,
    /// The newest cosignature of each site under the own log, not yet written.
    pub(crate) cosignatures: BTreeMap<u16, Cosignature>,
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
        let mut last_copy = Instant::now();
        let mut last_urgent: Option<Instant> = None;
        let mut syncs_due = SYNCS_TO_SETTLE;
        // Under load many batches share one checkpoint.
        let mut due: Option<Instant> = None;
        loop {
            let idle = if self.again { SEAL_INTERVAL } else { SYNC_WHEN_IDLE };
            let timer = due.map_or_else(|| after(idle), crossbeam_channel::at);
            // A wake that waits for its time is not heard again.
            let appended = if due.is_some() { never() } else { self.woken.appended.clone() };
            select! {
                recv(self.woken.urgent) -> woken => {
                    if woken.is_err() {
                        return self.finish();
                    }
                    let _ = self.woken.appended.try_recv();
                    self.again = false;
                    self.seal_urgently()?;
                    // Its announcement has its own time, as all that nobody waits for.
                    due.get_or_insert((last_seal + SEAL_INTERVAL).max(Instant::now() + SEAL_DELAY));
                    last_urgent = Some(Instant::now());
                }
                recv(appended) -> woken => {
                    if woken.is_err() {
                        return self.finish();
                    }
                    due = Some((last_seal + SEAL_INTERVAL).max(Instant::now() + SEAL_DELAY));
                }
                recv(self.tasks) -> task => match task {
                    Ok(task) => self.take(task),
                    Err(_) => return self.finish(),
                },
                recv(timer) -> _ => {
                    if due.take().is_some() {
                        (last_seal, syncs_due) = (Instant::now(), SYNCS_TO_SETTLE);
                        self.again = false;
                        self.seal_mostly()?;
                    } else if self.again {
                        self.again = false;
                        self.seal()?;
                    } else if syncs_due > 0 {
                        self.sealer.sync_full()?;
                        syncs_due -= 1;
                        last_sync = Instant::now();
                    }
                }
            }
            if last_sync.elapsed() >= SYNC_INTERVAL_MAX && syncs_due > 0 {
                self.sealer.sync_full()?;
                last_sync = Instant::now();
            }
            let is_urgent = last_urgent.is_some_and(|last| last.elapsed() < COPY_INTERVAL);
            let interval = if is_urgent { COPY_INTERVAL_URGENT } else { COPY_INTERVAL };
            if last_copy.elapsed() >= interval {
                self.write_cosignatures();
                self.asked.store(&mut self.sealer);
                self.copies.write(&mut *self.reader);
                last_copy = Instant::now();
            }
        }
    }

    /// The commit's thread has ended: what it appended last is sealed, then no more.
    fn finish(&mut self) -> Result<(), SealingError> {
        while let Ok(task) = self.tasks.try_recv() {
            self.take(task);
        }
        if self.origin != Origin::NONE {
            self.seal()?;
            self.sealer.sync_full()?;
        }
        self.write_cosignatures();
        self.copies.write(&mut *self.reader);
        Ok(())
    }

    pub(crate) fn take(&mut self, task: Task) {
        match task {
            Task::Checkpoint(origin, checkpoint) => self.copies.checkpoint(origin, checkpoint),
            Task::Cosignature(cosignature) if cosignature.origin == self.origin => {
                self.cosignatures.insert(cosignature.site, cosignature);
            }
            Task::Cosignature(cosignature) => self.copies.cosignature(cosignature),
            Task::Sites(registry) => {
                let keys = mirror_keys(&registry);
                let all = [keys.clone(), self.asked.keys.clone()].concat();
                if let Err(error) = self.sealer.trust(all) {
                    tracing::warn!(%error, "cosigners know more of this log than it has");
                }
                self.copies.trust(registry, keys);
            }
            Task::Begun(origin) => {
                self.origin = origin;
                // Its first entry may have been told of before.
                self.again = true;
            }
        }
    }

    /// Writes the cosignatures of the own log that have come.
    fn write_cosignatures(&mut self) {
        for (site, cosignature) in std::mem::take(&mut self.cosignatures) {
            let Some((checkpoint, line)) = parts(&cosignature) else { continue };
            if checkpoint.size > self.sealer.sealed() {
                self.cosignatures.insert(site, cosignature);
            } else if let Err(error) = self.sealer.add_cosignatures(&checkpoint, &line) {
                tracing::error!(%error, site, "a cosignature could not be kept");
            }
        }
    }

    /// Seals what is durable: all of it, or under load only full bundles, since writing partial
    /// ones each time would cost more than everything else. The rest comes with the next call.
    fn seal_mostly(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index(log_id(self.origin))?;
        if end - self.sealer.sealed() < 2 * BUNDLE_ENTRIES {
            return self.seal_to(end, false);
        }
        self.seal_to(end - end % BUNDLE_ENTRIES, false)?;
        self.again = !end.is_multiple_of(BUNDLE_ENTRIES);
        Ok(())
    }

    /// Seals all that is durable.
    pub(crate) fn seal(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index(log_id(self.origin))?;
        self.seal_to(end, false)
    }

    /// Seals all that is durable for other sites that are waited for. They were sent the entries
    /// before; the checkpoint's own files follow when nobody waits.
    fn seal_urgently(&mut self) -> Result<(), SealingError> {
        let end = self.reader.next_index(log_id(self.origin))?;
        self.seal_to(end, true)
    }

    fn seal_to(&mut self, end: u64, is_urgent: bool) -> Result<(), SealingError> {
        let mut read = Stretch::default();
        while self.sealer.sealed() < end {
            let first = self.sealer.sealed();
            read.read(&mut *self.reader, self.origin, first, end)?;
            let entries = read.entries();
            let checkpoint = match is_urgent {
                true => self.sealer.seal_unannounced(first, &entries)?,
                false => self.sealer.seal(first, &entries)?,
            };
            if let Some(checkpoint) = checkpoint.filter(|_| self.sealer.sealed() == end) {
                self.asked.offer(Some(&checkpoint));
                // Nobody listens any more only when the node has ended.
                let _ = self.sealed.send(checkpoint);
            }
        }
        if !is_urgent {
            self.sealer.announce()?;
        }
        Ok(())
    }
}

/// A checkpoint and the cosignature line under it.
pub(crate) fn parts(cosignature: &Cosignature) -> Option<(Checkpoint, String)> {
    let (body, line) = cosignature.note.split_once("\n\n")?;
    Some((Checkpoint::parse_body(&format!("{body}\n")).ok()?, line.to_owned()))
}

/// The keys that cosignatures of sites are verified with.
pub(crate) fn mirror_keys(registry: &Registry) -> Vec<VerifierKey> {
    let keys = registry.sites.values().flat_map(|site| &site.mirror_keys);
    keys.filter_map(|key| VerifierKey::parse(key).ok()).collect()
}

/// Entries that follow one another, in one buffer.
#[derive(Default)]
pub(crate) struct Stretch {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Stretch {
    /// Reads some of a log's entries from `first` on, and none from `end` on.
    pub(crate) fn read(
        &mut self,
        reader: &mut dyn EngineReader,
        origin: Origin,
        first: u64,
        end: u64,
    ) -> Result<(), EngineError> {
        self.octets.clear();
        self.ends.clear();
        reader.read(log_id(origin), first, SEAL_OCTETS, &mut |index, _, entry| {
            if index < end {
                self.octets.extend_from_slice(entry);
                self.ends.push(self.octets.len());
            }
        })?;
        Ok(())
    }

    /// The entries.
    pub(crate) fn entries(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.octets[start..*end]).collect()
    }
}
