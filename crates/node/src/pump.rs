//! The commit's thread and the append's thread behind it. The first carries requests in, snapshots
//! to readers and outcomes to whoever asked; the second is the only writer of the engine, so that
//! the next batch is validated while the last one reaches the disk.

use crate::keeper::{Changes, changed_zones};
use crate::recover::OWN_LOG;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use einhorn_core::commit::{Batch, Commit, Output};
use einhorn_core::model::request::Outcome;
use einhorn_core::model::snapshot;
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Crowd, Outbox, Submission, now_ms};
use einhorn_serve::publish::Published;
use einhorn_store::engine::{self, Engine, Part};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Requests in one batch at most: it bounds how long the first of them waits.
const BATCH_REQUESTS_MAX: usize = 4_096;
/// Octets of entries in one batch after which no more requests are taken into it.
const BATCH_OCTETS: usize = 4 << 20;
/// How long a small batch waits for more requests while answers have much to do: a batch costs
/// about as much whatever it holds, and answers should not pay for it each time …
const CROWD_LINGER: Duration = Duration::from_millis(2);
/// … looking again after so long …
const CROWD_NAP: Duration = Duration::from_micros(500);
/// … and the requests from which on a batch is not small.
const CROWD_REQUESTS_MIN: usize = 32;
/// How long the thread sleeps before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(100);
/// Entries after which a clean stop leaves a snapshot, so that the next start folds fewer.
pub(crate) const SNAPSHOT_ENTRIES_MIN: u64 = 1_000;

/// What the commit's thread needs.
pub(crate) struct Pump {
    pub(crate) commit: Commit<Reply>,
    pub(crate) submissions: Receiver<Submission>,
    pub(crate) published: Published,
    /// Told of what is published.
    pub(crate) changes: Changes,
    /// None when the log could not be opened: the node then only answers queries.
    pub(crate) appender: Option<Appender>,
    /// Set when the ledger cannot be sealed: what cannot be proved is not acknowledged.
    pub(crate) sealing_failed: Arc<OnceLock<String>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Whether answers have much to do.
    pub(crate) crowd: Arc<Crowd>,
    /// When the first request came into the open batch.
    pub(crate) opened: Option<Instant>,
    /// Entries that the last snapshot includes.
    pub(crate) snapshot_index: u64,
}

impl Pump {
    /// Runs until `stop`, and until all that was submitted before is answered.
    pub(crate) fn run(mut self) {
        let nothing = never();
        let mut out = Vec::new();
        let mut outbox = Outbox::default();
        loop {
            // The log's first entry may be waiting already.
            let linger = self.linger();
            if linger.is_zero() {
                self.commit.flush(now_ms(), &mut out);
                self.act(&mut out, &mut outbox);
            }
            let lingers = !linger.is_zero();
            let patience = if lingers { linger.min(CROWD_NAP) } else { STOP_LATENCY };
            // Who lingers is not to be woken by each request.
            let takes_none = lingers || self.batch_is_full();
            let submissions = if takes_none { nothing.clone() } else { self.submissions.clone() };
            let appended =
                self.appender.as_ref().map_or_else(never, |appender| appender.done.clone());
            select! {
                recv(appended) -> result => self.appended(result, &mut out),
                recv(submissions) -> submission => match submission {
                    Ok(submission) => self.requests(submission, &mut out),
                    Err(_) => break,
                },
                default(patience) => {
                    if lingers {
                        self.take_waiting(&mut out);
                    } else if self.stop.load(Ordering::Relaxed) && !self.commit.is_appending() {
                        break;
                    }
                }
            }
        }
        self.save_snapshot();
    }

    /// How much longer the open batch is to wait for more requests.
    fn linger(&self) -> Duration {
        match self.opened {
            Some(opened)
                if !self.commit.is_appending()
                    && self.commit.waiting() < CROWD_REQUESTS_MIN
                    && self.crowd.is_there(now_ms()) =>
            {
                CROWD_LINGER.saturating_sub(opened.elapsed())
            }
            _ => Duration::ZERO,
        }
    }

    /// Takes a request, and those that wait behind it, into the open batch.
    fn requests(&mut self, first: Submission, out: &mut Vec<Output<Reply>>) {
        if let Some(reason) = self.sealing_failed.get() {
            self.commit.refuse_from_now_on(reason, out);
        }
        let now_ms = now_ms();
        if self.commit.batch().is_empty() {
            self.opened = Some(Instant::now());
        }
        self.commit.request(now_ms, first.request, first.reply, out);
        self.take_waiting(out);
    }

    /// Takes the requests that wait into the open batch.
    fn take_waiting(&mut self, out: &mut Vec<Output<Reply>>) {
        let now_ms = now_ms();
        // Bounded, since requests that are refused at once do not fill the batch.
        for _ in 1..BATCH_REQUESTS_MAX {
            if self.batch_is_full() {
                return;
            }
            let Ok(Submission { request, reply }) = self.submissions.try_recv() else { return };
            self.commit.request(now_ms, request, reply, out);
        }
    }

    fn batch_is_full(&self) -> bool {
        self.commit.waiting() >= BATCH_REQUESTS_MAX || self.commit.batch().octets() >= BATCH_OCTETS
    }

    fn appended(
        &mut self,
        result: Result<Result<(), String>, crossbeam_channel::RecvError>,
        out: &mut Vec<Output<Reply>>,
    ) {
        let result = result.unwrap_or_else(|_| Err("the append's thread has ended".to_owned()));
        if !self.commit.is_appending() {
            // Housekeeping failed after the append was answered, or the thread is gone.
            if let Err(reason) = result {
                tracing::error!(%reason, "the log's housekeeping failed: nothing more will be acknowledged");
                self.commit.refuse_from_now_on(&reason, out);
                self.appender = None;
            }
            return;
        }
        match result {
            Ok(()) => self.commit.appended(out),
            Err(reason) => {
                tracing::error!(%reason, "an append failed: nothing more will be acknowledged; queries are still answered");
                self.commit.append_failed(&reason, out);
            }
        }
    }

    /// Does what the commit says, in its order.
    fn act(&mut self, out: &mut Vec<Output<Reply>>, outbox: &mut Outbox) {
        let now_seconds = now_ms() / 1000;
        for output in out.drain(..) {
            match output {
                Output::Append(batch) => {
                    // One batch is under way at most, so there is room; a thread that has ended
                    // is noticed by its silence at the other end.
                    if let Some(appender) = &self.appender {
                        let _ = appender.batches.send(batch);
                    }
                }
                Output::Publish(publication) => {
                    let changed = changed_zones(&publication);
                    self.published.publish(publication);
                    self.changes.tell(changed);
                }
                Output::Answer(reply, outcome, advice) => {
                    if let (Outcome::Done { index }, Some(advice)) = (&outcome, advice) {
                        tracing::debug!(index, path = %advice.path, reason = %advice.reason, "committed");
                    }
                    reply.send(outcome, now_seconds, outbox);
                }
            }
        }
        outbox.flush();
    }

    fn save_snapshot(&mut self) {
        let Some(mut engine) = self.appender.take().and_then(Appender::stop) else { return };
        let state = self.commit.state();
        if self.commit.failure().is_some()
            || state.next_index - self.snapshot_index < SNAPSHOT_ENTRIES_MIN
        {
            return;
        }
        match engine.save_snapshot(state.next_index, &snapshot::encode(state)) {
            Ok(()) => tracing::info!(index = state.next_index, "snapshot saved"),
            Err(error) => {
                tracing::warn!(%error, "no snapshot was saved; the next start folds more of the log")
            }
        }
    }
}

/// The append's thread, from outside.
pub(crate) struct Appender {
    batches: Sender<Batch>,
    done: Receiver<Result<(), String>>,
    thread: JoinHandle<Box<dyn Engine>>,
}

impl Appender {
    /// Starts the thread. It wakes the ledger's sealing through `appended`.
    pub(crate) fn start(mut engine: Box<dyn Engine>, appended: Sender<()>) -> io::Result<Appender> {
        let (batches, receive) = bounded::<Batch>(1);
        let (tell, done) = bounded(2);
        let thread = thread::Builder::new().name("append".to_owned()).spawn(move || {
            let mut scratch = engine::Batch::new();
            for batch in receive {
                let result = append(&mut *engine, &batch, &mut scratch);
                drop(batch);
                scratch.clear();
                let failed = result.is_err();
                // Nobody listens any more only when the node has ended.
                let _ = tell.send(result);
                if failed {
                    continue;
                }
                // A full channel means that the sealing has been woken already.
                let _ = appended.try_send(());
                // Nobody waits for this.
                if let Err(error) = engine.maintain() {
                    let _ = tell.send(Err(error.to_string()));
                }
            }
            engine
        })?;
        Ok(Appender { batches, done, thread })
    }

    /// Ends the thread and gives its engine back; `None` if it had panicked.
    fn stop(self) -> Option<Box<dyn Engine>> {
        drop(self.batches);
        drop(self.done);
        self.thread.join().ok()
    }
}

fn append(
    engine: &mut dyn Engine,
    batch: &Batch,
    scratch: &mut engine::Batch,
) -> Result<(), String> {
    scratch.clear();
    scratch.reserve(batch.len(), batch.octets());
    batch
        .entries()
        .try_for_each(|(entry, audit)| scratch.push(entry, audit))
        .map_err(|error| error.to_string())?;
    let epoch = engine.epoch();
    let part = Part { log: OWN_LOG, expected_next: batch.first_index, batch: scratch };
    engine.append(epoch, &[part]).map_err(|error| error.to_string())
}
