//! The commit's thread: carries requests in, batches to the engine, snapshots to readers and
//! outcomes to whoever asked. The only writer of the engine.

use crossbeam_channel::{Receiver, RecvTimeoutError};
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::Outcome;
use einhorn_core::model::snapshot;
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Submission, now_ms};
use einhorn_serve::publish::Published;
use einhorn_store::engine::{Batch, Engine};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Requests in one batch at most: it bounds how long the first of them waits.
const BATCH_REQUESTS_MAX: usize = 4_096;
/// Octets of entries in one batch after which it is closed.
const BATCH_OCTETS: usize = 4 << 20;
/// How long the thread sleeps before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(100);
/// Entries after which a clean stop leaves a snapshot, so that the next start folds fewer.
pub(crate) const SNAPSHOT_ENTRIES_MIN: u64 = 1_000;

/// What the commit's thread needs.
pub(crate) struct Pump {
    pub(crate) commit: Commit<Reply>,
    /// None when the log could not be opened: the node then only answers queries.
    pub(crate) engine: Option<Box<dyn Engine>>,
    pub(crate) submissions: Receiver<Submission>,
    pub(crate) published: Published,
    /// Wakes the ledger's sealing.
    pub(crate) appended: crossbeam_channel::Sender<()>,
    /// Set when the ledger cannot be sealed: what cannot be proved is not acknowledged.
    pub(crate) sealing_failed: Arc<std::sync::OnceLock<String>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Entries that the last snapshot includes.
    pub(crate) snapshot_index: u64,
}

impl Pump {
    /// Runs until `stop`, and until all that was submitted before is answered.
    pub(crate) fn run(mut self) {
        let mut out = Vec::new();
        let mut scratch = Scratch::default();
        // The log's first entry may be waiting.
        self.finish_batch(&mut out, &mut scratch);
        loop {
            match self.submissions.recv_timeout(STOP_LATENCY) {
                Ok(submission) => self.batch(submission, &mut out, &mut scratch),
                Err(RecvTimeoutError::Timeout) if !self.stop.load(Ordering::Relaxed) => {}
                Err(_) => break,
            }
        }
        self.save_snapshot();
    }

    fn batch(&mut self, first: Submission, out: &mut Vec<Output<Reply>>, scratch: &mut Scratch) {
        if let Some(reason) = self.sealing_failed.get() {
            self.commit.refuse_from_now_on(reason.clone());
        }
        let now_ms = now_ms();
        let mut next = Some(first);
        let mut count = 0;
        while let Some(Submission { request, reply }) = next.take() {
            self.commit.request(now_ms, &request, reply, out);
            count += 1;
            if count < BATCH_REQUESTS_MAX && self.commit.batch().octets() < BATCH_OCTETS {
                next = self.submissions.try_recv().ok();
            }
        }
        self.finish_batch(out, scratch);
        // Nobody waits for this.
        if let Some(engine) = &mut self.engine
            && self.commit.failure().is_none()
            && let Err(error) = engine.maintain()
        {
            tracing::error!(%error, "the log's housekeeping failed; nothing more will be acknowledged");
            self.commit.refuse_from_now_on(error.to_string());
        }
    }

    fn finish_batch(&mut self, out: &mut Vec<Output<Reply>>, scratch: &mut Scratch) {
        self.commit.flush(now_ms(), out);
        let now_seconds = now_ms() / 1000;
        // What an append leads to is done before anything else.
        let mut at = 0;
        while at < out.len() {
            match std::mem::replace(&mut out[at], Output::Append(Default::default())) {
                Output::Append(batch) if batch.is_empty() => {}
                Output::Append(batch) => self.append(&batch, out, scratch),
                Output::Publish(zones) => self.published.publish(zones),
                Output::Answer(reply, outcome, advice) => {
                    if let (Outcome::Done { index }, Some(advice)) = (&outcome, advice) {
                        tracing::debug!(index, path = %advice.path, reason = %advice.reason, "committed");
                    }
                    reply.send(outcome, now_seconds, &mut scratch.reply);
                }
            }
            at += 1;
        }
        out.clear();
    }

    fn append(
        &mut self,
        batch: &einhorn_core::commit::Batch,
        out: &mut Vec<Output<Reply>>,
        scratch: &mut Scratch,
    ) {
        scratch.batch.clear();
        let pushed =
            batch.entries().try_for_each(|(entry, audit)| scratch.batch.push(entry, audit));
        let appended = match (pushed, &mut self.engine) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(()), None) => Err("the log is not open".to_owned()),
            (Ok(()), Some(engine)) => {
                let epoch = engine.epoch();
                engine
                    .append(batch.first_index, epoch, &scratch.batch)
                    .map_err(|error| error.to_string())
            }
        };
        match appended {
            Ok(()) => {
                self.commit.appended(out);
                // A full channel means the sealing has been woken already.
                let _ = self.appended.try_send(());
            }
            Err(reason) => {
                tracing::error!(%reason, "an append failed: nothing more will be acknowledged; queries are still answered");
                self.commit.append_failed(reason, out);
            }
        }
    }

    fn save_snapshot(&mut self) {
        let state = self.commit.state();
        let Some(engine) = self.engine.as_mut().filter(|_| self.commit.failure().is_none()) else {
            return;
        };
        if state.next_index - self.snapshot_index < SNAPSHOT_ENTRIES_MIN {
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

/// Memory used again from batch to batch.
#[derive(Default)]
struct Scratch {
    batch: Batch,
    reply: Vec<u8>,
}
