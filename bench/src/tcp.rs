//! Updates over TCP, pipelined: each connection carries as many as the mode divides among them.
//!
//! A connection that the server closes is opened again and its updates are sent again, which
//! the tally shows. It never blocks in a write.

use crate::flight::{Flight, PREFIX_OCTETS};
use crate::phase::Carrier;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;
/// A server that closes connections more often than this does not serve pipelined updates.
const RECONNECTS_MAX: u32 = 1000;

/// One connection.
struct Connection {
    stream: TcpStream,
    /// Written so far only in part.
    outgoing: Vec<u8>,
    /// Received, but not yet a whole message.
    incoming: Vec<u8>,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Connection, String> {
        let open = || -> std::io::Result<TcpStream> {
            let stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream =
            open().map_err(|error| format!("cannot connect to {server} over TCP: {error}"))?;
        Ok(Connection { stream, outgoing: Vec::new(), incoming: Vec::new() })
    }

    /// Writes what the socket takes; whether the connection still stands.
    fn flush(&mut self) -> bool {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(0) => return false,
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads once and completes whole messages; whether the connection still stands.
    fn read(&mut self, flight: &mut Flight<'_>, latencies: &mut Vec<Duration>) -> bool {
        let mut buffer = [0; READ_OCTETS];
        let stands = match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.incoming.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        let (mut at, now) = (0, Instant::now());
        while let Some((prefix, rest)) = self.incoming[at..].split_first_chunk::<PREFIX_OCTETS>() {
            let length = usize::from(u16::from_be_bytes(*prefix));
            let Some(message) = rest.get(..length) else { break };
            latencies.extend(flight.complete(message, now));
            at += PREFIX_OCTETS + length;
        }
        self.incoming.drain(..at);
        stands
    }
}

/// The connections of a phase. A slot always travels over the same one: its number modulo
/// their count.
pub(crate) struct TcpTransport {
    server: SocketAddr,
    connections: Vec<Connection>,
    /// Connections that failed and are to be replaced.
    broken: Vec<usize>,
    reconnects: u32,
}

impl TcpTransport {
    /// Opens `count` connections.
    pub(crate) fn open(server: SocketAddr, count: u16) -> Result<TcpTransport, String> {
        let connections = (0..count).map(|_| Connection::open(server)).collect::<Result<_, _>>()?;
        Ok(TcpTransport { server, connections, broken: Vec::new(), reconnects: 0 })
    }

    /// Opens broken connections again and queues what they carried.
    fn mend(&mut self, flight: &mut Flight<'_>, queue: &mut VecDeque<u16>) -> Result<(), String> {
        self.broken.sort_unstable();
        self.broken.dedup();
        for index in std::mem::take(&mut self.broken) {
            self.reconnects += 1;
            flight.tally.closed += 1;
            if self.reconnects > RECONNECTS_MAX {
                return Err(format!(
                    "the server closed connections more than {RECONNECTS_MAX} times"
                ));
            }
            self.connections[index] = Connection::open(self.server)?;
            let carried = (index..flight.slot_count()).step_by(self.connections.len());
            queue.extend(carried.map(|slot| slot as u16).filter(|slot| flight.lose(*slot)));
        }
        Ok(())
    }
}

impl Carrier for TcpTransport {
    fn send(&mut self, flight: &mut Flight<'_>, queue: &mut VecDeque<u16>) -> Result<(), String> {
        self.mend(flight, queue)?;
        let (now, count) = (Instant::now(), self.connections.len());
        for index in queue.drain(..) {
            let connection = &mut self.connections[usize::from(index) % count];
            if let Some(framed) = flight.framed(index) {
                connection.outgoing.extend_from_slice(framed);
                flight.mark_sent(index, now);
            }
        }
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if !connection.flush() {
                self.broken.push(index);
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
        let timeout =
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let ready: Vec<bool> = {
            let interest = |connection: &Connection| match connection.outgoing.is_empty() {
                true => PollFlags::IN,
                false => PollFlags::IN | PollFlags::OUT,
            };
            let mut descriptors: Vec<PollFd<'_>> =
                self.connections.iter().map(|c| PollFd::new(&c.stream, interest(c))).collect();
            poll(&mut descriptors, Some(&timeout))
                .map_err(|error| format!("cannot wait for responses: {error}"))?;
            descriptors
                .iter()
                .map(|descriptor| !(descriptor.revents() - PollFlags::OUT).is_empty())
                .collect()
        };
        for (index, connection) in
            self.connections.iter_mut().enumerate().filter(|(index, _)| ready[*index])
        {
            if !connection.read(flight, latencies) {
                self.broken.push(index);
            }
        }
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        None
    }
}
