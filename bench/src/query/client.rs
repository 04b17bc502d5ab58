//! One socket that asks, and what it waits for.
//!
//! It hands many queries to the kernel at once and never blocks. It measures no clock of its own.

use super::mix::Mix;
use crate::udp::open_socket;
use rustix::io::Errno;
use rustix::net::{MMsgHdr, RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmmsg};
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};

/// Queries handed to the kernel at once.
pub(crate) const BATCH: usize = 32;
/// Queries that one socket can wait for; a power of two.
const PENDING: usize = 8192;
/// Larger responses than any that the mix asks for.
const RESPONSE_OCTETS_MAX: usize = 4096;

/// A query under way.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    /// Nanoseconds of the phase when it was sent, or should have been.
    since: u64,
    query: u32,
    id: u16,
    waits: bool,
}

/// What came of the queries of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) right: u64,
    /// Answers with another content than the zone has.
    pub(crate) wrong: u64,
    /// Never answered in time.
    pub(crate) lost: u64,
    /// Answers that nobody waits for (any more).
    pub(crate) stray: u64,
}

impl Counts {
    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Counts) {
        self.sent += other.sent;
        self.right += other.right;
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.stray += other.stray;
    }
}

/// A socket that asks one server.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    pending: Vec<Pending>,
    next_id: u16,
    outstanding: usize,
    octets: Vec<u8>,
    ends: Vec<usize>,
    pub(crate) counts: Counts,
    /// Whether answers are compared with the zone: the echo responder knows none.
    check: bool,
}

impl Client {
    /// A socket that talks to `server` alone.
    pub(crate) fn open(server: SocketAddr, check: bool) -> Result<Client, String> {
        let socket = open_socket(server)?;
        Ok(Client {
            socket,
            pending: vec![Pending::default(); PENDING],
            next_id: 0,
            outstanding: 0,
            octets: Vec::new(),
            ends: Vec::new(),
            counts: Counts::default(),
            check,
        })
    }

    /// Queries that wait for an answer.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Sends a batch of queries, at most [`BATCH`]: which, and since when each counts as waiting.
    /// Returns how many the kernel took.
    pub(crate) fn send(
        &mut self,
        mix: &Mix,
        queries: impl Iterator<Item = (u32, u64)>,
    ) -> Result<usize, String> {
        self.octets.clear();
        self.ends.clear();
        let first_id = self.next_id;
        for (query, since) in queries.take(BATCH) {
            let id = self.next_id;
            mix.write(query, id, &mut self.octets);
            self.ends.push(self.octets.len());
            let pending = &mut self.pending[usize::from(id) % PENDING];
            if pending.waits {
                // So many have been sent since that its answer will not come.
                self.counts.lost += 1;
                self.outstanding -= 1;
            }
            *pending = Pending { since, query, id, waits: true };
            self.outstanding += 1;
            self.next_id = id.wrapping_add(1);
        }
        let taken = self.hand_over()?;
        for at in taken..self.ends.len() {
            self.pending[usize::from(first_id.wrapping_add(at as u16)) % PENDING].waits = false;
            self.outstanding -= 1;
        }
        self.next_id = first_id.wrapping_add(taken as u16);
        self.counts.sent += taken as u64;
        Ok(taken)
    }

    fn hand_over(&self) -> Result<usize, String> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let slices: Vec<[IoSlice<'_>; 1]> = starts
            .zip(&self.ends)
            .map(|(start, end)| [IoSlice::new(&self.octets[start..*end])])
            .collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut headers: Vec<MMsgHdr<'_>> = slices
            .iter()
            .zip(&mut controls)
            .map(|(slice, control)| MMsgHdr::new(slice, control))
            .collect();
        match sendmmsg(&self.socket, &mut headers, SendFlags::DONTWAIT) {
            Ok(taken) => Ok(taken),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(0),
            Err(Errno::CONNREFUSED) => Err("the server does not listen any more".to_owned()),
            Err(error) => Err(format!("cannot send queries: {error}")),
        }
    }

    /// Takes in one response if there is one; gives since when its query waited, or nothing for
    /// an answer that does not count. `None` when no response is there.
    pub(crate) fn receive(&mut self, mix: &Mix) -> Result<Option<Option<u64>>, String> {
        let mut buffer = [0; RESPONSE_OCTETS_MAX];
        let length = match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::CONNREFUSED) => return Err("the server does not listen any more".to_owned()),
            Err(error) => return Err(format!("cannot receive responses: {error}")),
        };
        Ok(Some(self.complete(mix, &buffer[..length])))
    }

    fn complete(&mut self, mix: &Mix, response: &[u8]) -> Option<u64> {
        let id = response.first_chunk().map(|id| u16::from_be_bytes(*id));
        let pending = id.map(|id| &mut self.pending[usize::from(id) % PENDING]);
        let Some(pending) = pending.filter(|pending| pending.waits && Some(pending.id) == id)
        else {
            self.counts.stray += 1;
            return None;
        };
        pending.waits = false;
        self.outstanding -= 1;
        if self.check && !mix.is_right(pending.query, response) {
            self.counts.wrong += 1;
            return None;
        }
        self.counts.right += 1;
        Some(pending.since)
    }

    /// Gives up queries that have waited since before `since`.
    pub(crate) fn give_up(&mut self, since: u64) {
        for pending in self.pending.iter_mut().filter(|p| p.waits && p.since < since) {
            pending.waits = false;
            self.outstanding -= 1;
            self.counts.lost += 1;
        }
    }
}
