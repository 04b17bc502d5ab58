//! Signed updates at an even rate beside the queries, from the same thread: one at a time, so
//! that queries wait for no more than one signature.

use super::generator::Aside;
use crate::flight::Flight;
use crate::mode::IN_FLIGHT_MAX;
use crate::phase::Carrier as _;
use crate::sheet::unix_seconds;
use crate::udp::UdpTransport;
use crate::workload::Workload;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Updates a second.
pub(crate) const UPDATES_PER_SECOND: u32 = 5000;
/// Updates that may wait for an acknowledgement. Room for all there is: a server that falls
/// behind shows in how many it acknowledged.
const IN_FLIGHT: u16 = IN_FLIGHT_MAX;

/// The updates of one phase.
pub(crate) struct Updating<'w> {
    flight: Flight<'w>,
    carrier: UdpTransport,
    queue: VecDeque<u16>,
    begin: Instant,
    prepared: u64,
    acknowledged: Vec<Duration>,
}

impl<'w> Updating<'w> {
    /// Updates to `server`, from now on.
    pub(crate) fn new(
        server: SocketAddr,
        workload: &'w mut Workload,
    ) -> Result<Updating<'w>, String> {
        Ok(Updating {
            flight: Flight::new(workload, IN_FLIGHT, true),
            carrier: UdpTransport::open(server)?,
            queue: VecDeque::new(),
            begin: Instant::now(),
            prepared: 0,
            acknowledged: Vec::new(),
        })
    }

    /// Updates acknowledged a second since the beginning.
    pub(crate) fn finish(self) -> f64 {
        let elapsed = self.begin.elapsed();
        self.flight.finish().acknowledged as f64 / elapsed.as_secs_f64()
    }
}

impl Aside for Updating<'_> {
    fn turn(&mut self) -> Result<(), String> {
        let due = self.begin.elapsed().as_secs_f64() * f64::from(UPDATES_PER_SECOND);
        if self.prepared as f64 >= due {
            return Ok(());
        }
        self.prepared += 1;
        if let Some(index) = self.flight.prepare(unix_seconds())? {
            self.queue.push_back(index);
        }
        self.carrier.send(&mut self.flight, &mut self.queue)?;
        self.acknowledged.clear();
        self.carrier.receive(&mut self.flight, Duration::ZERO, &mut self.acknowledged)
    }
}
