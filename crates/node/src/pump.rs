//! The commit's thread and the append's thread behind it. The first carries requests in, snapshots
//! to readers and outcomes to whoever asked; the second is the only writer of the engine, so that
//! the next batch is validated while the last one reaches the disk.

use crate::agent::Learner;
use crate::config::Config;
use crate::inquiry::Inquiry;
use crate::keeper::{Changes, changed_zones};
use crate::links::{Heard, LinkSide};
use crate::recover::log_id;
use crate::sealing::{Task, Wakes};
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use einhorn_core::commit::{Append, Batch, Commit, Output};
use einhorn_core::ledger::{SignedCheckpoint, SignerKey};
use einhorn_core::model::request::Outcome;
use einhorn_core::model::{Origin, Registry, snapshot};
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Crowd, Ingress, Outbox, Submission, now_ms};
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
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) submissions: Receiver<Submission>,
    pub(crate) inquiries: Receiver<Inquiry>,
    /// The other sites; none for a site without links.
    pub(crate) links: Option<LinkSide>,
    /// The ledger's thread: what it is told, and the checkpoints that come from it.
    pub(crate) tasks: Sender<Task>,
    pub(crate) sealed: Receiver<SignedCheckpoint>,
    /// What this site's log will be called when the others let it begin one.
    pub(crate) joining: Option<Joining>,
    /// Why everything must be folded anew, once that is so.
    pub(crate) rebuild: Arc<OnceLock<String>>,
    pub(crate) published: Published,
    /// Told of what is published.
    pub(crate) changes: Changes,
    /// None when the log could not be opened: the node then only answers queries.
    pub(crate) appender: Option<Appender>,
    /// Set when the ledger cannot be sealed: what cannot be proved is not acknowledged.
    pub(crate) sealing_failed: Arc<OnceLock<String>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Trains another model when the agent's predictions do not come true.
    pub(crate) learner: Learner,
    /// Whether answers have much to do.
    pub(crate) crowd: Arc<Crowd>,
    /// When the first request came into the open batch.
    pub(crate) opened: Option<Instant>,
    /// Entries that the last snapshot includes, of all logs together.
    pub(crate) snapshot_entries: u64,
}

/// A site that has no log yet, since it has no number.
pub(crate) struct Joining {
    /// The site's name.
    pub(crate) site: String,
    /// The name of its log.
    pub(crate) log: String,
    /// The verifier key of its log, as text.
    pub(crate) key: String,
}

impl Joining {
    pub(crate) fn new(config: &Config, signer: &SignerKey) -> Joining {
        let (site, log) = (config.site.clone(), config.ledger_name.clone());
        Joining { site, log, key: signer.verifier().to_string() }
    }
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
            }
            self.act(&mut out, &mut outbox);
            let lingers = !linger.is_zero();
            let patience = if lingers { linger.min(CROWD_NAP) } else { self.patience() };
            // Who lingers is not to be woken by each request.
            let takes_none = lingers || self.batch_is_full();
            let submissions = if takes_none { nothing.clone() } else { self.submissions.clone() };
            let appended =
                self.appender.as_ref().map_or_else(never, |appender| appender.done.clone());
            let links = self.links.as_ref();
            let events = links
                .filter(|_| !self.batch_is_full())
                .map_or_else(never, |links| links.events.clone());
            let streamed = links.map_or_else(never, |links| links.streamed.clone());
            select! {
                recv(appended) -> result => self.appended(result, &mut out),
                recv(submissions) -> submission => match submission {
                    Ok(submission) => self.requests(submission, &mut out),
                    Err(_) => break,
                },
                recv(events) -> event => {
                    if let Ok(event) = event {
                        self.hear(event, &mut out);
                    }
                }
                recv(streamed) -> streamed => {
                    if let (Ok(streamed), Some(links)) = (streamed, &self.links)
                        && links.is_current(&streamed)
                    {
                        let (to, origin, next) = (streamed.to, streamed.origin, streamed.next);
                        self.commit.streamed(to, origin, next, &mut out);
                    }
                }
                recv(self.sealed) -> checkpoint => match checkpoint {
                    Ok(checkpoint) => self.commit.sealed(checkpoint, &mut out),
                    // Nothing is sealed any more, which is told by other means.
                    Err(_) => self.sealed = never(),
                },
                recv(self.inquiries) -> inquiry => match inquiry {
                    Ok(inquiry) => self.inquire(inquiry, &mut out),
                    Err(_) => self.inquiries = never(),
                },
                default(patience) => {
                    if lingers {
                        self.take_waiting(&mut out);
                    } else if self.stop.load(Ordering::Relaxed) && !self.commit.is_appending() {
                        break;
                    }
                }
            }
            self.commit.see_clock(now_ms());
            if self.commit.next_wake_ms().is_some_and(|at| at <= now_ms()) {
                self.commit.tick(now_ms(), &mut out);
                self.commit.advisor().into_iter().for_each(|advisor| self.learner.see_to(advisor));
            }
        }
        self.save_snapshot();
    }

    /// How long to wait for something to happen.
    fn patience(&self) -> Duration {
        match self.commit.next_wake_ms() {
            // Rounded up: to wake too early is to wake twice.
            Some(at) => Duration::from_millis(at.saturating_sub(now_ms()).max(1)).min(STOP_LATENCY),
            None => STOP_LATENCY,
        }
    }

    /// Takes what other sites say, as much as waits of it.
    fn hear(&mut self, first: einhorn_links::Event, out: &mut Vec<Output<Reply>>) {
        let mut next = Some(first);
        let mut heard = 0;
        while let Some(event) = next {
            let Some(links) = &mut self.links else { return };
            match links.hear(event) {
                Heard::Up(site) => self.commit.peer_up(now_ms(), site, out),
                Heard::Down(site) => self.commit.peer_down(now_ms(), site, out),
                Heard::Said(site, message) => self.commit.message(now_ms(), site, message, out),
                Heard::Nothing => {}
            }
            heard += 1;
            let goes_on = heard < BATCH_REQUESTS_MAX && !self.batch_is_full();
            next = self
                .links
                .as_ref()
                .filter(|_| goes_on)
                .and_then(|links| links.events.try_recv().ok());
        }
    }

    fn inquire(&mut self, inquiry: Inquiry, out: &mut Vec<Output<Reply>>) {
        // Who asked may have given up.
        match inquiry {
            Inquiry::Report(reply) => _ = reply.send(self.commit.report(now_ms())),
            Inquiry::Reviews(reply) => _ = reply.send(self.commit.reviews()),
            Inquiry::Source { name, ids, reply } => {
                _ = reply.send(self.commit.source(&name, &ids));
            }
            Inquiry::FailOver { site, is_attested, reply } => {
                _ = reply.send(self.commit.fail_over(now_ms(), site, is_attested, out));
            }
            Inquiry::Mirror(key) => self.commit.set_mirror(*key),
            Inquiry::EndLeases => self.commit.let_leases_end(),
            Inquiry::Vouch => self.commit.vouch(now_ms(), out),
            Inquiry::MapRoot { at, names, root } => {
                self.commit.log_map_root(now_ms(), at, names, root);
            }
            Inquiry::FalseMap { origin, at } => self.commit.distrust(origin, at, out),
        }
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
        self.commit.waiting() >= BATCH_REQUESTS_MAX || self.commit.open_octets() >= BATCH_OCTETS
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
            Ok(()) => self.commit.appended(now_ms(), out),
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
                Output::Append(append) => {
                    // One batch is under way at most, so there is room; a thread that has ended
                    // is noticed by its silence at the other end.
                    if let Some(appender) = &self.appender {
                        let _ = appender.batches.send(append);
                    }
                }
                Output::Publish(publication) => {
                    let changed = changed_zones(&publication);
                    self.published.publish(publication);
                    self.changes.tell(changed);
                }
                Output::Answer(reply, outcome, advice) => {
                    if let (Outcome::Done { at }, Some(advice)) = (&outcome, advice) {
                        tracing::debug!(%at, path = %advice.path, reason = %advice.reason, "committed");
                    }
                    reply.send(outcome, now_seconds, outbox);
                }
                Output::Send(site, frame) => {
                    if let Some(links) = &self.links
                        && !links.send(site, frame)
                    {
                        links.reconnect(site, &self.commit.state().registry);
                    }
                }
                Output::Stream { to, origin, from } => {
                    if let Some(links) = &self.links {
                        links.stream(to, origin, from);
                    }
                }
                Output::Checkpoint(origin, checkpoint) => {
                    self.tell_ledger(Task::Checkpoint(origin, checkpoint));
                }
                Output::Cosignature(cosignature) => {
                    self.tell_ledger(Task::Cosignature(cosignature));
                }
                Output::Sites(registry) => self.sites_changed(registry),
                Output::Rebuild(reason) => {
                    tracing::warn!(%reason, "what is on disk must be folded anew");
                    // The first reason is enough.
                    let _ = self.rebuild.set(reason);
                }
            }
        }
        outbox.flush();
    }

    fn tell_ledger(&self, task: Task) {
        // The thread ends before this one only after a failure that it has told of.
        let _ = self.tasks.send(task);
    }

    fn sites_changed(&mut self, registry: Arc<Registry>) {
        if let Some(links) = &self.links {
            links.set_sites(&registry);
        }
        self.tell_ledger(Task::Sites(Arc::clone(&registry)));
        let number = self.joining.as_ref().and_then(|joining| {
            let (number, site) = registry.named(&joining.site)?;
            if site.logs.get(&1) != Some(&joining.key) {
                tracing::error!("the other sites know this one by another ledger key");
                return None;
            }
            Some(number)
        });
        if let Some(site) = number
            && let Some(joining) = self.joining.take()
        {
            tracing::info!(site, "this site was added by the others; its log begins");
            let origin = Origin { site, generation: 1 };
            self.ingress.site.store(site, Ordering::Relaxed);
            self.tell_ledger(Task::Begun(origin));
            self.commit.begin_log(now_ms(), origin, joining.log, None);
        }
    }

    fn save_snapshot(&mut self) {
        let Some(mut engine) = self.appender.take().and_then(Appender::stop) else { return };
        let state = self.commit.state();
        let entries = state.entries();
        if self.commit.failure().is_some()
            || entries.saturating_sub(self.snapshot_entries) < SNAPSHOT_ENTRIES_MIN
        {
            return;
        }
        match engine.save_snapshot(entries, &snapshot::encode(state)) {
            Ok(()) => tracing::info!(entries, "snapshot saved"),
            Err(error) => {
                tracing::warn!(%error, "no snapshot was saved; the next start folds more of the log")
            }
        }
    }
}

/// The append's thread, from outside.
pub(crate) struct Appender {
    batches: Sender<Arc<Append>>,
    done: Receiver<Result<(), String>>,
    thread: JoinHandle<Box<dyn Engine>>,
}

impl Appender {
    /// Starts the thread. It wakes the ledger's sealing.
    pub(crate) fn start(mut engine: Box<dyn Engine>, wakes: Wakes) -> io::Result<Appender> {
        let (batches, receive) = bounded::<Arc<Append>>(1);
        let (tell, done) = bounded(2);
        let thread = thread::Builder::new().name("append".to_owned()).spawn(move || {
            let mut scratch = engine::Batch::new();
            for append in receive {
                let result = write(&mut *engine, &append, &mut scratch);
                let is_urgent = append.is_urgent;
                drop(append);
                scratch.clear();
                let failed = result.is_err();
                // The ledger begins while others are told. A full channel means that it has been
                // woken already.
                if !failed {
                    let wake = if is_urgent { &wakes.urgent } else { &wakes.appended };
                    let _ = wake.try_send(());
                }
                // Nobody listens any more only when the node has ended.
                let _ = tell.send(result);
                if failed {
                    continue;
                }
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

/// Makes an append durable: all of it, in one transaction.
fn write(
    engine: &mut dyn Engine,
    append: &Append,
    scratch: &mut engine::Batch,
) -> Result<(), String> {
    let fill = |batch: &Batch, into: &mut engine::Batch| {
        into.clear();
        into.reserve(batch.len(), batch.octets());
        batch
            .entries()
            .try_for_each(|(entry, audit)| into.push(entry, audit))
            .map_err(|error| error.to_string())
    };
    fill(&append.own, scratch)?;
    let mut copies = Vec::with_capacity(append.copies.len());
    for (origin, batch) in &append.copies {
        let mut filled = engine::Batch::new();
        fill(batch, &mut filled)?;
        copies.push((*origin, batch.first_index, filled));
    }
    let mut parts = Vec::with_capacity(copies.len() + 1);
    if !append.own.is_empty() {
        let (log, expected_next) = (log_id(append.origin), append.own.first_index);
        parts.push(Part { log, expected_next, batch: scratch });
    }
    parts.extend(copies.iter().map(|(origin, first, batch)| Part {
        log: log_id(*origin),
        expected_next: *first,
        batch,
    }));
    let epoch = engine.epoch();
    engine.append(epoch, &parts).map_err(|error| error.to_string())
}
