//! One phase: a closed loop that keeps a number of updates under way for a while, and what it
//! measured.
//!
//! Closed loop means that an update is sent when another has been answered; latencies are
//! therefore those of a server as busy as the mode makes it. The loop never sleeps while there
//! is something to send.

use crate::flight::{Flight, Tally};
use crate::mode::Mode;
use crate::statistics::percentile;
use crate::tcp::TcpTransport;
use crate::threads::{Shares, ThreadTimes};
use crate::udp::UdpTransport;
use crate::workload::Workload;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time before the measured part, in which caches fill and connections open.
const WARM_UP: Duration = Duration::from_secs(1);
/// Time that the last updates have to be answered after the measured part.
const DRAIN: Duration = Duration::from_secs(5);
/// The longest wait for a response before the loop looks at the clock again.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// How often updates without an answer are looked for.
const OVERDUE_INTERVAL: Duration = Duration::from_millis(50);

/// How updates travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    /// Pipelined over this many connections.
    Tcp {
        connections: u16,
    },
}

/// The sockets of a phase.
pub(crate) trait Carrier {
    /// Sends what is queued, as far as the sockets take it now.
    fn send(&mut self, flight: &mut Flight<'_>, queue: &mut VecDeque<u16>) -> Result<(), String>;

    /// Waits up to `wait` for responses and completes their updates; latencies of those
    /// acknowledged go to `latencies`.
    fn receive(
        &mut self,
        flight: &mut Flight<'_>,
        wait: Duration,
        latencies: &mut Vec<Duration>,
    ) -> Result<(), String>;

    /// After what time without an answer a message counts as lost; `None` where the transport
    /// loses nothing.
    fn patience(&self) -> Option<Duration>;
}

/// What one phase showed. Latencies are in nanoseconds and absent if nothing was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) updates_per_second: f64,
    pub(crate) p50: Option<u64>,
    pub(crate) p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    /// Processor time of the server process.
    pub(crate) server_microseconds_per_update: Option<f64>,
    /// How much of the server's processor others used: kernel threads that work for the server,
    /// and whatever else runs on this machine.
    pub(crate) others_share: Option<f64>,
    /// How the server's processor time divides among its threads.
    pub(crate) shares: Option<Shares>,
    pub(crate) tally: Tally,
}

/// What is measured, and against whom.
pub(crate) struct Phase<'a> {
    pub(crate) mode: Mode,
    pub(crate) duration: Duration,
    pub(crate) server: SocketAddr,
    pub(crate) check_signatures: bool,
    /// What has run on the server's processor so far.
    pub(crate) usage: &'a dyn Fn() -> Option<Usage>,
}

/// Processor time so far.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    /// Used by the server process.
    pub(crate) server: Duration,
    /// Used by each of its threads.
    pub(crate) threads: ThreadTimes,
    /// Used on the server's processor by anybody.
    pub(crate) everybody: Duration,
}

impl Phase<'_> {
    /// Runs the phase.
    pub(crate) fn run(&self, workload: &mut Workload) -> Result<Measurement, String> {
        let mut carrier: Box<dyn Carrier> = match self.mode.transport {
            Transport::Udp => Box::new(UdpTransport::open(self.server)?),
            Transport::Tcp { connections } => {
                Box::new(TcpTransport::open(self.server, connections)?)
            }
        };
        let mut flight = Flight::new(workload, self.mode.in_flight, self.check_signatures);
        let mut queue = VecDeque::new();

        self.keep_busy(WARM_UP, carrier.as_mut(), &mut flight, &mut queue)?;
        let (begin, before) = (Instant::now(), (self.usage)());
        let mut latencies =
            self.keep_busy(self.duration, carrier.as_mut(), &mut flight, &mut queue)?;
        let elapsed = begin.elapsed();
        let usage = before.zip((self.usage)());
        drain(carrier.as_mut(), &mut flight, &mut queue)?;

        latencies.sort_unstable();
        let count = latencies.len() as f64;
        Ok(Measurement {
            updates_per_second: count / elapsed.as_secs_f64(),
            p50: percentile(&latencies, 50),
            p90: percentile(&latencies, 90),
            p99: percentile(&latencies, 99),
            server_microseconds_per_update: usage
                .as_ref()
                .filter(|_| count > 0.0)
                .map(|(before, after)| (after.server - before.server).as_secs_f64() * 1e6 / count),
            others_share: usage.as_ref().map(|(before, after)| {
                let server = after.server - before.server;
                let others = (after.everybody - before.everybody).saturating_sub(server);
                others.as_secs_f64() / elapsed.as_secs_f64()
            }),
            shares: usage.as_ref().and_then(|(before, after)| Shares::between(before, after)),
            tally: flight.finish(),
        })
    }

    /// Keeps all slots busy for `duration`; returns the latencies in nanoseconds.
    fn keep_busy(
        &self,
        duration: Duration,
        carrier: &mut dyn Carrier,
        flight: &mut Flight<'_>,
        queue: &mut VecDeque<u16>,
    ) -> Result<Vec<u64>, String> {
        let begin = Instant::now();
        let mut overdue_checked = begin;
        let (mut latencies, mut fresh) = (Vec::new(), Vec::new());
        loop {
            let now = Instant::now();
            let Some(left) = duration.checked_sub(now - begin).filter(|left| !left.is_zero())
            else {
                return Ok(latencies);
            };
            let unix_seconds = unix_seconds()?;
            while let Some(index) = flight.prepare(unix_seconds)? {
                queue.push_back(index);
            }
            if now - overdue_checked >= OVERDUE_INTERVAL {
                overdue_checked = now;
                requeue_overdue(carrier, flight, queue, now);
            }
            carrier.send(flight, queue)?;
            carrier.receive(flight, left.min(WAIT_MAX), &mut fresh)?;
            latencies.extend(fresh.drain(..).map(|latency| latency.as_nanos() as u64));
        }
    }
}

/// Lets the updates under way come home, without sending new ones.
fn drain(
    carrier: &mut dyn Carrier,
    flight: &mut Flight<'_>,
    queue: &mut VecDeque<u16>,
) -> Result<(), String> {
    let begin = Instant::now();
    while !flight.is_empty() && begin.elapsed() < DRAIN {
        requeue_overdue(carrier, flight, queue, Instant::now());
        carrier.send(flight, queue)?;
        carrier.receive(flight, WAIT_MAX, &mut Vec::new())?;
    }
    Ok(())
}

fn requeue_overdue(
    carrier: &dyn Carrier,
    flight: &mut Flight<'_>,
    queue: &mut VecDeque<u16>,
    now: Instant,
) {
    if let Some(patience) = carrier.patience() {
        // What still waits in the queue was not sent lately: sending it once is enough.
        let waiting: Vec<u16> = queue.iter().copied().collect();
        queue.extend(
            flight.overdue(now, patience).into_iter().filter(|index| !waiting.contains(index)),
        );
    }
}

/// Wall-clock time for signatures; latencies are measured with [`Instant`].
fn unix_seconds() -> Result<u64, String> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| "the clock stands before 1970: set it, signatures need it".to_owned())
}
