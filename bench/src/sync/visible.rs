//! One phase: updates at an even rate into one server, and when others show them.
//!
//! Each update gives a name a value that it never had. While an update is under way, the watched
//! server is asked for its name again and again: the next query goes out a tenth of a millisecond
//! after the last one was answered, or a fiftieth of the time waited so far, so that a slow server is
//! not kept busy by the question. What is measured is therefore late by at most 0.1 ms and a round
//! trip, or 2 %, for every server alike.

use crate::statistics::percentile;
use crate::udp::open_socket;
use crate::workload::{Workload, address_of, host_of};
use einhorn_wire::message::Section;
use einhorn_wire::tsig::PendingResponse;
use einhorn_wire::writer::Writer;
use einhorn_wire::{Class, Message, Opcode, Rcode, RecordType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Names that are asked for at once, the oldest first: changes arrive about in order.
const WINDOW: usize = 8;
/// A query without an answer is lost.
const QUERY_PATIENCE: Duration = Duration::from_millis(200);
/// Time between two queries for a name, and the part of the time waited so far that it is at least.
const PAUSE_MIN: Duration = Duration::from_micros(100);
const PAUSE_DIVISOR: u32 = 50;
/// How long the last updates may take to be shown.
const DRAIN: Duration = Duration::from_secs(15);
/// Updates for so long are not counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// The loop looks at the clock at least so often.
const WAIT_MAX: Duration = Duration::from_millis(20);
const MESSAGE_OCTETS_MAX: usize = 4096;

/// When the watched servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// Again and again, from the sending of the update until the value is there.
    UntilShown,
    /// Once, in the moment of the acknowledgement: the value must be there.
    OnceAcknowledged,
}

/// What is to be measured.
pub(super) struct Plan<'a> {
    pub(super) entry: SocketAddr,
    pub(super) watched: &'a [SocketAddr],
    pub(super) watch: Watch,
    /// Updates a second.
    pub(super) rate: u32,
    pub(super) duration: Duration,
}

/// What was found. Times are in nanoseconds, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// From sending an update to its acknowledgement.
    pub(super) acknowledged: Vec<u64>,
    /// From the acknowledgement until the watched server showed the value; 0 where it did before.
    pub(super) visible: Vec<u64>,
    /// Updates shown before they were acknowledged.
    pub(super) early: u64,
    /// Answers right after an acknowledgement, and those with an older value.
    pub(super) checked: u64,
    pub(super) violations: u64,
    /// Updates refused, not answered, or not shown in time.
    pub(super) failed: u64,
}

impl Shown {
    /// A percentile of the time until a change is visible, in milliseconds.
    pub(super) fn visible_ms(&self, percent: u32) -> Option<f64> {
        percentile(&self.visible, percent).map(|nanoseconds| nanoseconds as f64 / 1e6)
    }

    /// A percentile of the time until the acknowledgement, in milliseconds.
    pub(super) fn acknowledged_ms(&self, percent: u32) -> Option<f64> {
        percentile(&self.acknowledged, percent).map(|nanoseconds| nanoseconds as f64 / 1e6)
    }
}

/// One update under way.
struct Pending {
    sent: Instant,
    check: Option<PendingResponse>,
    acknowledged: Option<Instant>,
    shown: Option<Instant>,
    /// When it was asked for, while there is no answer.
    asked: Option<Instant>,
    /// No query before.
    ask_at: Instant,
    /// Watched servers that have not answered after the acknowledgement.
    unanswered: usize,
}

/// A phase that runs.
struct Run<'a, 'w> {
    plan: &'a Plan<'a>,
    workload: &'w mut Workload,
    entry: UdpSocket,
    watched: Vec<UdpSocket>,
    /// By sequence number.
    pending: BTreeMap<u32, Pending>,
    update_ids: HashMap<u16, u32>,
    query_ids: HashMap<u16, u32>,
    next_query_id: u16,
    first_counted: u32,
    found: Shown,
}

impl Plan<'_> {
    /// Runs the phase; `look` is called when its measured part begins and when it has ended.
    pub(super) fn run(
        &self,
        workload: &mut Workload,
        look: &mut dyn FnMut(),
    ) -> Result<Shown, String> {
        let watched = self.watched.iter().map(|server| open_socket(*server));
        let mut run = Run {
            plan: self,
            entry: open_socket(self.entry)?,
            watched: watched.collect::<Result<_, _>>()?,
            pending: BTreeMap::new(),
            update_ids: HashMap::new(),
            query_ids: HashMap::new(),
            next_query_id: 0,
            first_counted: u32::MAX,
            found: Shown::default(),
            workload,
        };
        run.send_evenly(WARM_UP)?;
        run.first_counted = run.workload.next_sequence();
        look();
        run.send_evenly(self.duration)?;
        look();
        let begin = Instant::now();
        while !run.pending.is_empty() && begin.elapsed() < DRAIN {
            run.turn(Instant::now() + WAIT_MAX)?;
        }
        run.finish()
    }
}

impl Run<'_, '_> {
    /// Sends at the plan's rate for so long, each update at a random moment of its share of time.
    fn send_evenly(&mut self, duration: Duration) -> Result<(), String> {
        let begin = Instant::now();
        let interval = Duration::from_secs(1) / self.plan.rate;
        let count = (duration.as_secs_f64() * f64::from(self.plan.rate)).round() as u32;
        for at in 0..count {
            let due =
                begin + interval * at + interval.mul_f64(fraction(self.workload.next_sequence()));
            while Instant::now() < due {
                self.turn(due)?;
            }
            self.send_update()?;
        }
        while begin.elapsed() < duration {
            self.turn(begin + duration)?;
        }
        Ok(())
    }

    fn send_update(&mut self) -> Result<(), String> {
        let mut octets = Vec::new();
        let id = self.workload.next_id();
        let (sequence, check) = self
            .workload
            .next_update(&mut octets, crate::sheet::unix_seconds())
            .map_err(|_| "an update does not fit its buffer".to_owned())?;
        let sent = Instant::now();
        self.entry.send(&octets).map_err(|error| format!("cannot send an update: {error}"))?;
        self.update_ids.insert(id, sequence);
        let unanswered = match self.plan.watch {
            Watch::UntilShown => 0,
            Watch::OnceAcknowledged => self.watched.len(),
        };
        self.pending.insert(
            sequence,
            Pending {
                sent,
                check: Some(check),
                acknowledged: None,
                shown: None,
                asked: None,
                ask_at: sent,
                unanswered,
            },
        );
        Ok(())
    }

    /// Asks what is due, and takes what comes, at the latest until `until`.
    fn turn(&mut self, until: Instant) -> Result<(), String> {
        let now = Instant::now();
        let mut wake = until.min(now + WAIT_MAX);
        if self.plan.watch == Watch::UntilShown {
            wake = wake.min(self.ask_window(now)?);
        }
        let wait = wake.saturating_duration_since(now);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut sockets = vec![PollFd::new(&self.entry, PollFlags::IN)];
        sockets.extend(self.watched.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        poll(&mut sockets, Some(&timeout)).map_err(|error| format!("cannot wait: {error}"))?;
        let ready: Vec<bool> = sockets.iter().map(|socket| !socket.revents().is_empty()).collect();
        let mut buffer = [0; MESSAGE_OCTETS_MAX];
        // What shows a value is read before what acknowledges it: of two that have come, nobody
        // knows which was first.
        for (at, _) in ready.iter().skip(1).enumerate().filter(|(_, ready)| **ready) {
            while let Ok(length) = self.watched[at].recv(&mut buffer) {
                self.answered(&buffer[..length], Instant::now());
            }
        }
        while ready[0]
            && let Ok(length) = self.entry.recv(&mut buffer)
        {
            self.acknowledged(&buffer[..length], Instant::now())?;
        }
        Ok(())
    }

    /// Sends the queries that are due; when the next one is.
    fn ask_window(&mut self, now: Instant) -> Result<Instant, String> {
        let mut wake = now + WAIT_MAX;
        let mut due = Vec::new();
        let waiting = self.pending.iter_mut().filter(|(_, pending)| pending.shown.is_none());
        for (sequence, pending) in waiting.take(WINDOW) {
            if pending.asked.is_some_and(|asked| now - asked >= QUERY_PATIENCE) {
                pending.asked = None;
            }
            if pending.asked.is_some() {
                continue;
            }
            if pending.ask_at <= now {
                pending.asked = Some(now);
                due.push(*sequence);
            } else {
                wake = wake.min(pending.ask_at);
            }
        }
        due.into_iter().try_for_each(|sequence| self.ask(sequence))?;
        Ok(wake)
    }

    /// Asks every watched server for the name of an update.
    fn ask(&mut self, sequence: u32) -> Result<(), String> {
        self.next_query_id = self.next_query_id.wrapping_add(1);
        let id = self.next_query_id;
        let mut query = Vec::new();
        let mut writer = Writer::new(&mut query, id, MESSAGE_OCTETS_MAX);
        writer.set_request(Opcode::QUERY);
        writer
            .question(self.workload.host(host_of(sequence)).as_wire(), RecordType::A, Class::IN)
            .map_err(|_| "a query does not fit its buffer".to_owned())?;
        self.query_ids.insert(id, sequence);
        for socket in &self.watched {
            socket.send(&query).map_err(|error| format!("cannot send a query: {error}"))?;
        }
        Ok(())
    }

    /// A watched server has answered.
    fn answered(&mut self, octets: &[u8], now: Instant) {
        let Some((id, shows)) = address_in(octets) else { return };
        let Some(sequence) = self.query_ids.get(&id).copied() else { return };
        let Some(pending) = self.pending.get_mut(&sequence) else { return };
        let is_there = shows == Some(address_of(sequence));
        if self.plan.watch == Watch::OnceAcknowledged {
            pending.unanswered = pending.unanswered.saturating_sub(1);
            self.found.checked += 1;
            self.found.violations += u64::from(!is_there);
            if pending.unanswered == 0 {
                pending.shown = Some(now);
            }
        } else {
            self.query_ids.remove(&id);
            pending.asked = None;
            pending.ask_at = now + ((now - pending.sent) / PAUSE_DIVISOR).max(PAUSE_MIN);
            if is_there {
                pending.shown.get_or_insert(now);
            }
        }
        self.settle(sequence);
    }

    /// The server that takes the updates has answered.
    fn acknowledged(&mut self, octets: &[u8], now: Instant) -> Result<(), String> {
        let Ok(message) = Message::parse(octets) else { return Ok(()) };
        let Some(sequence) = self.update_ids.remove(&message.header.id) else { return Ok(()) };
        let Some(pending) = self.pending.get_mut(&sequence) else { return Ok(()) };
        let is_signed =
            pending.check.take().is_some_and(|mut check| check.verify(&message).is_ok());
        if !is_signed || message.header.rcode() != Rcode::NOERROR {
            self.found.failed += 1;
            self.pending.remove(&sequence);
            return Ok(());
        }
        pending.acknowledged = Some(now);
        self.workload.acknowledge(sequence);
        if self.plan.watch == Watch::OnceAcknowledged {
            self.ask(sequence)?;
        }
        self.settle(sequence);
        Ok(())
    }

    /// Counts an update of which everything is known.
    fn settle(&mut self, sequence: u32) {
        let Some(pending) = self.pending.get(&sequence) else { return };
        let (Some(acknowledged), Some(shown)) = (pending.acknowledged, pending.shown) else {
            return;
        };
        if sequence >= self.first_counted {
            self.found.acknowledged.push((acknowledged - pending.sent).as_nanos() as u64);
            if self.plan.watch == Watch::UntilShown {
                let late = shown.saturating_duration_since(acknowledged);
                self.found.early += u64::from(shown < acknowledged);
                self.found.visible.push(late.as_nanos() as u64);
            }
        }
        self.pending.remove(&sequence);
    }

    fn finish(mut self) -> Result<Shown, String> {
        self.found.failed += self.pending.len() as u64;
        self.found.acknowledged.sort_unstable();
        self.found.visible.sort_unstable();
        Ok(self.found)
    }
}

/// The identifier of a response, and the one address in it.
fn address_in(octets: &[u8]) -> Option<(u16, Option<[u8; 4]>)> {
    let message = Message::parse(octets).ok().filter(|message| message.header.is_response())?;
    let records = message.records(Section::Answer).ok()?;
    let mut addresses = records.iter().filter(|record| record.rtype == RecordType::A);
    let address = addresses.next().and_then(|record| record.rdata.as_ref().try_into().ok());
    Some((message.header.id, address.filter(|_| addresses.next().is_none())))
}

/// A number from 0 to 1 that looks random and is always the same.
fn fraction(number: u32) -> f64 {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as f64 / f64::from(1 << 24)
}
