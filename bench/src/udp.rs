//! Updates over UDP, many per system call.
//!
//! One connected socket: all servers run on one core, so that more flows would change nothing.
//! It never blocks in a send.

use crate::flight::{Flight, PREFIX_OCTETS};
use crate::phase::Carrier;
use crate::sheet::unix_seconds;
use crate::workload::Workload;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmmsg, sockopt};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Messages handed to the kernel at once.
const BATCH: usize = 64;
/// Socket buffers, so that the generator itself drops nothing; the kernel may grant less.
pub(crate) const BUFFER_OCTETS: usize = 4 << 20;
/// Room for one response; they repeat at most the update.
const RESPONSE_OCTETS_MAX: usize = 4096;
/// As long as `nsupdate` waits before it sends again.
const PATIENCE: Duration = Duration::from_secs(3);

/// Updates that [`send_each`] has under way at once.
const EACH_IN_FLIGHT: u16 = 64;
/// How long it waits for a reply before it looks again.
const EACH_WAIT_MAX: Duration = Duration::from_millis(20);

/// Sends `count` updates, and waits until each is acknowledged.
pub(crate) fn send_each(
    server: SocketAddr,
    workload: &mut Workload,
    count: u32,
    patience: Duration,
) -> Result<(), String> {
    let mut flight = Flight::new(workload, EACH_IN_FLIGHT, true);
    let mut carrier = UdpTransport::open(server)?;
    let (mut queue, mut prepared) = (VecDeque::new(), 0);
    let begin = Instant::now();
    while (prepared < count || !flight.is_empty()) && begin.elapsed() < patience {
        while prepared < count
            && let Some(index) = flight.prepare(unix_seconds())?
        {
            queue.push_back(index);
            prepared += 1;
        }
        carrier.send(&mut flight, &mut queue)?;
        carrier.receive(&mut flight, EACH_WAIT_MAX, &mut Vec::new())?;
    }
    let tally = flight.finish();
    if tally.acknowledged == u64::from(count) {
        return Ok(());
    }
    Err(format!("of {count} updates, {} were acknowledged: {tally:?}", tally.acknowledged))
}

/// A socket that talks to `server` alone, never blocks, and holds bursts.
pub(crate) fn open_socket(server: SocketAddr) -> Result<UdpSocket, String> {
    let open = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        sockopt::set_socket_recv_buffer_size(&socket, BUFFER_OCTETS)?;
        sockopt::set_socket_send_buffer_size(&socket, BUFFER_OCTETS)?;
        Ok(socket)
    };
    open().map_err(|error| format!("cannot open a UDP socket to {server}: {error}"))
}

/// The socket of a phase.
pub(crate) struct UdpTransport {
    socket: UdpSocket,
}

impl UdpTransport {
    /// A socket that talks to `server` alone.
    pub(crate) fn open(server: SocketAddr) -> Result<UdpTransport, String> {
        let socket = open_socket(server)?;
        Ok(UdpTransport { socket })
    }

    /// Hands one batch to the kernel; how many messages it took.
    fn send_batch(&self, messages: &[&[u8]]) -> Result<usize, Errno> {
        let slices: Vec<[IoSlice<'_>; 1]> =
            messages.iter().map(|message| [IoSlice::new(message)]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut headers: Vec<MMsgHdr<'_>> = slices
            .iter()
            .zip(&mut controls)
            .map(|(slice, control)| MMsgHdr::new(slice, control))
            .collect();
        sendmmsg(&self.socket, &mut headers, SendFlags::DONTWAIT)
    }
}

impl Carrier for UdpTransport {
    fn send(&mut self, flight: &mut Flight<'_>, queue: &mut VecDeque<u16>) -> Result<(), String> {
        queue.retain(|index| flight.framed(*index).is_some());
        while !queue.is_empty() {
            let batch: Vec<u16> = queue.iter().copied().take(BATCH).collect();
            let now = Instant::now();
            batch.iter().for_each(|index| flight.mark_sent(*index, now));
            let messages: Vec<&[u8]> = batch
                .iter()
                .filter_map(|index| Some(&flight.framed(*index)?[PREFIX_OCTETS..]))
                .collect();
            let taken = match self.send_batch(&messages) {
                Ok(taken) => taken,
                Err(Errno::AGAIN | Errno::NOBUFS) => 0,
                Err(Errno::CONNREFUSED) => {
                    return Err("the server does not listen any more".to_owned());
                }
                Err(error) => return Err(format!("cannot send updates: {error}")),
            };
            batch[taken..].iter().for_each(|index| flight.unmark_sent(*index));
            queue.drain(..taken);
            if taken < batch.len() {
                break;
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        flight: &mut Flight<'_>,
        wait: Duration,
        latencies: &mut Vec<Duration>,
    ) -> Result<(), String> {
        let mut buffer = [0; RESPONSE_OCTETS_MAX];
        let timeout =
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout))
            .map_err(|error| format!("cannot wait for responses: {error}"))?;
        for _ in 0..BATCH {
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    latencies.extend(flight.complete(&buffer[..length], Instant::now()))
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::CONNREFUSED) => {
                    return Err("the server does not listen any more".to_owned());
                }
                Err(error) => return Err(format!("cannot receive responses: {error}")),
            }
        }
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }
}
