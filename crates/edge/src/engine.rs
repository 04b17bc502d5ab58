//! One thread's worth of an edge: hands what comes from sockets to the desk, and does what the desk says.

use crate::config::Config;
use crate::desk::{Asked, Attempt, Desk, Now, Output, Receipt, Way};
use crate::file::QueueFile;
use crate::footprint::Footprint;
use crate::nearest::Nearest;
use crate::record::Kept;
use crate::reply::{From, Reply, answer, malformed};
use crate::sites::{DATAGRAM_OCTETS_MAX, Heard, Site, probe};
use crate::status::{SiteStatus, Status};
use crate::{desk, nearest};
use einhorn_core::rules::update::Refusal;
use einhorn_ingress::dispatch::granted_lease;
use einhorn_ingress::now_ms;
use einhorn_ingress::reply::Echo;
use einhorn_serve::answer::{AnswerSettings, Context, Transport};
use einhorn_wire::edge::{EdgeOption, without_additional, write_forwarded};
use einhorn_wire::message::{Header, Message, Opcode, Rcode};
use einhorn_wire::tsig::{self, Signed};
use einhorn_wire::{Name, edns::Edns};
use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// Errors that status shows.
const ERRORS_MAX: usize = 20;
/// For how long a copy of an update without a signature is recognised, in seconds.
const UNSIGNED_SECONDS: u64 = 30;
/// Least and most time to wait for a site's answer before an update is sent again, in milliseconds.
const RESEND_MS: std::ops::RangeInclusive<u64> = 200..=1_000;

/// Everything but the waiting.
pub(crate) struct Engine {
    config: Config,
    desk: Desk<Reply>,
    nearest: Nearest,
    pub(crate) sites: Vec<Site>,
    pub(crate) file: QueueFile,
    answer_settings: AnswerSettings,
    nothing_expired: HashSet<Name>,
    started: Instant,
    errors: VecDeque<String>,
    /// Updates of this edge itself since the start.
    own: u64,
    /// Sites that the network said nobody is at, while something was sent.
    refusing: Vec<usize>,
    /// Promises that wait for the disk.
    pub(crate) to_sync: Vec<u64>,
    /// Wakes whoever syncs.
    pub(crate) sync: Rc<Notify>,
    /// Wakes whoever waits for the next time.
    pub(crate) wake: Rc<Notify>,
    /// Messages that are too long for a datagram: site, octets.
    pub(crate) long: mpsc::Sender<(usize, Vec<u8>)>,
    /// Until when nothing is planned, in milliseconds.
    pub(crate) asleep_until_ms: u64,
    /// Why this edge cannot go on.
    pub(crate) failure: Option<String>,
}

impl Engine {
    pub(crate) fn new(
        config: Config,
        file: QueueFile,
        kept: Kept,
        sites: Vec<Site>,
        long: mpsc::Sender<(usize, Vec<u8>)>,
    ) -> Engine {
        let settings = desk::Settings {
            accept: config.accept,
            queue_max: config.queue_max,
            deadline_ms: config.deadline_ms,
        };
        let probes =
            nearest::Settings { probe_us: config.probe_ms * 1_000, ..nearest::Settings::default() };
        let now = Now { mono_ms: 0, wall_ms: now_ms() };
        Engine {
            desk: Desk::new(settings, kept, now),
            nearest: Nearest::new(probes, sites.len()),
            config,
            sites,
            file,
            answer_settings: AnswerSettings::default(),
            nothing_expired: HashSet::new(),
            started: Instant::now(),
            errors: VecDeque::new(),
            own: 0,
            refusing: Vec::new(),
            to_sync: Vec::new(),
            sync: Rc::default(),
            wake: Rc::default(),
            long,
            asleep_until_ms: 0,
            failure: None,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.now_us() / 1_000, wall_ms: now_ms() }
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// How long nothing is to be done.
    pub(crate) fn idle(&mut self) -> Duration {
        let now_ms = self.now_us() / 1_000;
        let there = self.nearest.current().is_some();
        let next_ms = self.desk.next_ms(there).unwrap_or(u64::MAX);
        let next_ms = next_ms.min(self.nearest.next_us().div_ceil(1_000));
        self.asleep_until_ms = next_ms;
        Duration::from_millis(next_ms.saturating_sub(now_ms))
    }

    /// A device's message.
    pub(crate) fn message(
        &mut self,
        octets: &[u8],
        peer: SocketAddr,
        transport: Transport,
        from: From,
    ) {
        let Some(header) = Header::parse(octets).filter(|header| !header.is_response()) else {
            return;
        };
        let now_seconds = now_ms() / 1_000;
        let Ok(message) = Message::parse(octets) else {
            return from.send(peer, malformed(header));
        };
        let (settings, expired) = (&self.answer_settings, &self.nothing_expired);
        let context = Context { transport, peer: peer.ip(), now_seconds, settings, expired };
        let mut answer = Vec::new();
        let signed = match tsig::verify(&message, &self.config.keys, now_seconds) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::info!(%peer, %error, "signature refused");
                Echo::new(&message, &context, None).write_unsigned(
                    error.rcode(),
                    None,
                    &mut answer,
                );
                error.finish_response(&mut answer, 0, now_seconds);
                return from.send(peer, answer);
            }
        };
        let asked = self.asked(&message, peer, signed.as_ref(), now_seconds);
        let mut echo = Echo::new(&message, &context, signed);
        let asked = match echo.opt_error() {
            Some(rcode) => Err(Refusal::new(rcode, String::new())),
            None => asked,
        };
        match asked {
            Ok(asked) => {
                echo.set_lease(granted_lease(&message));
                self.take(asked, Some(from.reply(peer, echo)));
            }
            Err(refusal) => {
                tracing::info!(%peer, %refusal, "update refused");
                let reason = Some(&*refusal.reason).filter(|reason| !reason.is_empty());
                echo.write(refusal.rcode, reason, now_seconds, &mut answer);
                from.send(peer, answer);
            }
        }
    }

    fn asked(
        &self,
        message: &Message<'_>,
        peer: SocketAddr,
        signed: Option<&Signed>,
        now_seconds: u64,
    ) -> Result<Asked, Refusal> {
        match message.header.opcode() {
            Opcode::UPDATE => {}
            Opcode::QUERY => {
                let reason = "this edge answers no queries; ask a site";
                return Err(Refusal::new(Rcode::REFUSED, reason));
            }
            _ => return Err(Refusal::new(Rcode::NOTIMP, "this edge takes updates only")),
        }
        let footprint = Footprint::of(message)?;
        let mut hash = Sha256::new();
        let (device, until_seconds) = match signed {
            Some(signed) => {
                hash.update(b"signed");
                hash.update(signed.key().name().as_wire());
                hash.update(signed.full_mac());
                (signed.key().name(), signed.acceptable_until())
            }
            None => {
                let device = self.config.unsigned_as(&footprint.zone, peer.ip());
                let refuse = || Refusal::new(Rcode::REFUSED, "updates must be signed");
                hash.update(b"unsigned");
                hash.update(peer.to_string());
                hash.update(message.octets);
                (device.ok_or_else(refuse)?, now_seconds + UNSIGNED_SECONDS)
            }
        };
        Ok(Asked {
            device: device.clone(),
            hash: hash.finalize().into(),
            until_seconds,
            lease: Edns::of(message).ok().flatten().and_then(|edns| edns.lease),
            message: without_additional(message),
            footprint,
        })
    }

    /// Takes an update, and sends it if it can be.
    pub(crate) fn take(&mut self, asked: Asked, reply: Option<Reply>) -> Receipt {
        let (now, mut out) = (self.now(), Vec::new());
        let there = self.nearest.current().is_some();
        let receipt = self.desk.take(now, asked, reply, there, &mut out);
        self.go_on(now, out);
        receipt
    }

    /// Takes an update of this edge itself, which is kept whatever comes.
    pub(crate) fn take_own(&mut self, message: Vec<u8>) -> Receipt {
        let footprint = Message::parse(&message).ok().and_then(|read| Footprint::of(&read).ok());
        let Some(footprint) = footprint else {
            self.note_error("an update of this edge's own that no site would take".to_owned());
            return Receipt::Kept;
        };
        self.own += 1;
        let mut hash = Sha256::new();
        hash.update(b"own");
        hash.update(now_ms().to_be_bytes());
        hash.update(self.own.to_be_bytes());
        let device = self.config.key.name().clone();
        let hash = hash.finalize().into();
        let asked = Asked { device, hash, until_seconds: 0, lease: None, message, footprint };
        self.take(asked, None)
    }

    /// Something came from a site.
    pub(crate) fn heard(&mut self, site: usize, octets: &[u8]) {
        let (now, mut out) = (self.now(), Vec::new());
        match self.sites[site].heard(octets) {
            Heard::Nothing => return,
            Heard::Probe(id) => {
                let was_there = self.nearest.current().is_some();
                let (now_us, was) = (self.now_us(), self.nearest.current());
                self.nearest.answered(now_us, site, id);
                self.note_change(was);
                // Nothing else is to be done where there was a way before.
                if was_there {
                    return;
                }
            }
            Heard::Answer(attempt, rcode, reason) => {
                self.nearest.heard(site);
                if rcode == Rcode::SERVFAIL {
                    let why = reason.as_deref().unwrap_or("SERVFAIL");
                    self.note_error(format!("{}: {why}", self.sites[site].name));
                }
                self.desk.answered(now, attempt, rcode, reason, &mut out);
            }
            Heard::Distrust(attempt, error) => {
                let reason = format!("{}: {error}", self.sites[site].name);
                self.note_error(reason.clone());
                self.desk.answered(now, attempt, Rcode::SERVFAIL, Some(reason), &mut out);
            }
        }
        self.go_on(now, out);
    }

    /// The network says that nobody is at a site's address.
    pub(crate) fn unreachable(&mut self, site: usize) {
        if self.nearest.is_there(site) {
            let was = self.nearest.current();
            self.nearest.unreachable(site);
            self.lost(&[site], was);
        }
    }

    /// What time brings.
    pub(crate) fn tick(&mut self) {
        let was = self.nearest.current();
        let there: Vec<usize> = self.nearest.in_order();
        let probes = self.nearest.tick(self.now_us());
        let lost: Vec<usize> =
            there.into_iter().filter(|site| !self.nearest.is_there(*site)).collect();
        self.lost(&lost, was);
        for nearest::Probe { site, id } in probes {
            self.send(site, &probe(id));
        }
        let (now, mut out) = (self.now(), Vec::new());
        self.desk.tick(now, &mut out);
        self.go_on(now, out);
    }

    fn lost(&mut self, lost: &[usize], was: Option<usize>) {
        self.note_change(was);
        let (now, mut out) = (self.now(), Vec::new());
        for site in lost {
            self.note_error(format!("{}: no answer", self.sites[*site].name));
            self.desk.site_lost(now, *site);
        }
        if self.nearest.current().is_none() && was.is_some() {
            self.desk.all_away(&mut out);
        }
        self.go_on(now, out);
    }

    fn note_change(&mut self, was: Option<usize>) {
        let current = self.nearest.current();
        if was != current {
            let name = |site: Option<usize>| site.map_or("none", |site| &*self.sites[site].name);
            tracing::info!(from = name(was), to = name(current), "the nearest site");
        }
    }

    pub(crate) fn note_error(&mut self, error: String) {
        if self.errors.front() != Some(&error) {
            tracing::warn!(%error, "edge");
            self.errors.push_front(error);
            self.errors.truncate(ERRORS_MAX);
        }
    }

    /// What was promised up to now is on the disk.
    pub(crate) fn synced(&mut self, promises: &[u64]) {
        let (now, mut out) = (self.now(), Vec::new());
        promises.iter().for_each(|sequence| self.desk.synced(*sequence, &mut out));
        self.go_on(now, out);
    }

    /// Sends what is due, and does all that came up.
    fn go_on(&mut self, now: Now, mut out: Vec<Output<Reply>>) {
        let ways: Vec<Way> =
            self.nearest.in_order().into_iter().map(|site| self.way(site)).collect();
        self.desk.send_due(now, &ways, &mut out);
        for output in out {
            if self.failure.is_some() {
                return;
            }
            self.perform(now, output);
        }
        // A site that is lost is not sent to again, so this ends.
        if let Some(site) = self.refusing.pop() {
            self.unreachable(site);
        }
        if self.file.is_long()
            && let Err(error) = self.file.shorten(&self.desk.kept())
        {
            self.fail(&error);
        }
        let there = self.nearest.current().is_some();
        if self.desk.next_ms(there).is_some_and(|next_ms| next_ms < self.asleep_until_ms) {
            self.wake.notify_one();
        }
    }

    fn way(&self, site: usize) -> Way {
        let round_trip_ms = self.nearest.round_trip_us(site).unwrap_or(0) / 1_000;
        let resend_ms = (*RESEND_MS.start() + 4 * round_trip_ms).min(*RESEND_MS.end());
        Way { site, resend_ms }
    }

    pub(crate) fn fail(&mut self, error: &io::Error) {
        self.failure = Some(format!("the queue cannot be written: {error}"));
        self.wake.notify_one();
    }

    fn perform(&mut self, now: Now, output: Output<Reply>) {
        match output {
            Output::Write(record) => {
                if let Err(error) = self.file.append(&record) {
                    self.fail(&error);
                }
            }
            Output::Sync(sequence) => {
                self.to_sync.push(sequence);
                self.sync.notify_one();
            }
            Output::Send { site, attempt } => self.send_update(now, site, attempt),
            Output::Answer { reply, rcode, reason } => answer(now, reply, rcode, reason),
            Output::Dropped { sequence } => {
                self.note_error(format!(
                    "the queue is full: update {sequence} was dropped, since a later one replaces it"
                ));
            }
            Output::Lost { taken, refusal } => {
                self.note_error(format!(
                    "update {} of {} was kept and then refused: {refusal}",
                    taken.sequence, taken.device
                ));
            }
        }
    }

    fn send_update(&mut self, now: Now, site: usize, attempt: Attempt) {
        let Some(taken) = self.desk.taken(attempt.sequence) else { return };
        let to = &mut self.sites[site];
        let id = to.next_id();
        let age_seconds = now.wall_ms.saturating_sub(taken.taken_ms) / 1_000;
        let option = EdgeOption {
            sequence: taken.sequence,
            lowest: taken.lowest,
            age_seconds: u32::try_from(age_seconds).unwrap_or(u32::MAX),
            device: taken.device.clone(),
        };
        let mut octets = Vec::with_capacity(taken.message.len() + 512);
        write_forwarded(&taken.message, id, taken.lease, &option, &mut octets);
        to.sign(&self.config.key, id, attempt, now.wall_ms / 1_000, &mut octets);
        if octets.len() <= DATAGRAM_OCTETS_MAX {
            self.send(site, &octets);
        } else if self.long.try_send((site, octets)).is_err() {
            // It is sent again like whatever gets no answer.
            tracing::debug!("too many long updates at once");
        }
    }

    fn send(&mut self, site: usize, octets: &[u8]) {
        if let Err(error) = self.sites[site].socket.try_send(octets)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            self.refusing.push(site);
        }
    }

    pub(crate) fn status(&self) -> Status {
        let site = |(number, site): (usize, &Site)| SiteStatus {
            name: site.name.clone(),
            address: site.address.to_string(),
            is_there: self.nearest.is_there(number),
            round_trip_us: self.nearest.round_trip_us(number),
        };
        let counters = &self.desk.counters;
        Status {
            edge: self.config.key.name().to_string(),
            nearest: self.nearest.current().map(|site| self.sites[site].name.clone()),
            queue: if self.config.accept { "accept" } else { "refuse" }.to_owned(),
            sites: self.sites.iter().enumerate().map(site).collect(),
            queued: self.desk.len(),
            queue_max: self.config.queue_max,
            oldest_ms: self.desk.oldest_ms().map_or(0, |oldest| now_ms().saturating_sub(oldest)),
            taken: counters.taken,
            done: counters.done,
            refused: counters.refused,
            turned_away: counters.turned_away,
            promised: counters.promised,
            refused_after_promise: counters.refused_after_promise,
            dropped: counters.dropped,
            resent: counters.resent,
            errors: self.errors.iter().cloned().collect(),
        }
    }
}
