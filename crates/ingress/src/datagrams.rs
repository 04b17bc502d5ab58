//! Datagrams received and sent many at a time: one system call each way for a whole batch, and no
//! allocation once running.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Datagrams in one batch at most; the first of them waits for the last to be handled.
pub(crate) const DATAGRAMS_MAX: usize = 64;
/// Octets from one receive buffer to the next: room for the longest datagram, and an odd number
/// of cache lines more, so that the beginnings of all of them fit into the cache together. Memory
/// that no datagram reaches into is never touched.
const STRIDE_OCTETS: usize = (64 << 10) + 3 * 64;

/// Datagrams that have come in.
pub(crate) struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
    /// Length and sender of each; `None` for a sender that is no internet address.
    received: Vec<(usize, Option<SocketAddr>)>,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox {
            headers: MultiHeaders::preallocate(DATAGRAMS_MAX, None),
            octets: vec![0; DATAGRAMS_MAX * STRIDE_OCTETS],
            received: Vec::with_capacity(DATAGRAMS_MAX),
        }
    }

    /// Waits for a datagram and takes it, with all that wait behind it.
    ///
    /// # Errors
    /// Timeouts of the socket, and errors of earlier datagrams that ICMP reports late.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received.clear();
        let mut chunks = self.octets.chunks_exact_mut(STRIDE_OCTETS);
        let mut slices: [_; DATAGRAMS_MAX] =
            array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages =
            recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None)?;
        self.received
            .extend(messages.map(|message| (message.bytes, message.address.and_then(internet))));
        Ok(())
    }

    /// How many came in.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// What came in, with its sender, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let buffers = self.octets.chunks_exact(STRIDE_OCTETS);
        buffers
            .zip(&self.received)
            .filter_map(|(buffer, (length, peer))| Some((buffer.get(..*length)?, (*peer)?)))
    }
}

fn internet(address: SockaddrStorage) -> Option<SocketAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(address), _) => Some(SocketAddr::V4((*address).into())),
        (None, Some(address)) => Some(SocketAddr::V6((*address).into())),
        (None, None) => None,
    }
}

/// Datagrams that wait to be sent from one socket.
pub(crate) struct Sending {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
    peers: Vec<Option<SockaddrStorage>>,
    places: Vec<Range<usize>>,
}

impl Sending {
    pub(crate) fn new() -> Sending {
        Sending {
            headers: MultiHeaders::preallocate(DATAGRAMS_MAX, None),
            octets: Vec::with_capacity(DATAGRAMS_MAX * 512),
            peers: Vec::with_capacity(DATAGRAMS_MAX),
            places: Vec::with_capacity(DATAGRAMS_MAX),
        }
    }

    /// Adds what `write` appends to the buffer, to be sent to `peer`; nothing if it appends
    /// nothing. The batch must not be full.
    pub(crate) fn push(&mut self, peer: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.octets.len();
        write(&mut self.octets);
        if self.octets.len() > start {
            self.peers.push(Some(peer.into()));
            self.places.push(start..self.octets.len());
        }
    }

    /// Takes back what a write that failed has left behind.
    pub(crate) fn discard_unfinished(&mut self) {
        self.octets.truncate(self.places.last().map_or(0, |place| place.end));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.places.len() >= DATAGRAMS_MAX
    }

    /// Sends all that waits. Never blocks: what the kernel does not take is lost, as any datagram
    /// may be, and its client asks again.
    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        let mut sent = 0;
        while sent < self.places.len() {
            let (octets, places) = (&self.octets, &self.places[sent..]);
            let slices: [_; DATAGRAMS_MAX] = array::from_fn(|at| {
                let place = places.get(at).cloned().unwrap_or_default();
                [IoSlice::new(&octets[place])]
            });
            let result = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                &slices[..places.len().min(DATAGRAMS_MAX)],
                &self.peers[sent..],
                [],
                MsgFlags::MSG_DONTWAIT,
            );
            sent += match result.map(Iterator::count) {
                Ok(count) => count.max(1),
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    let peer = self.peers[sent].map(|peer| peer.to_string());
                    tracing::debug!(peer, %error, "a reply could not be sent");
                    1
                }
            };
        }
        self.octets.clear();
        self.peers.clear();
        self.places.clear();
    }
}

/// Datagrams that wait to be sent from several sockets.
#[derive(Default)]
pub struct Outbox {
    sockets: Vec<(Arc<UdpSocket>, Sending)>,
}

impl Outbox {
    /// Adds what `write` appends to the buffer, to be sent from `socket` to `peer`.
    pub fn push(
        &mut self,
        socket: &Arc<UdpSocket>,
        peer: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        // A node has few sockets.
        let known = self.sockets.iter().position(|(known, _)| Arc::ptr_eq(known, socket));
        let at = known.unwrap_or_else(|| {
            self.sockets.push((Arc::clone(socket), Sending::new()));
            self.sockets.len() - 1
        });
        let (socket, sending) = &mut self.sockets[at];
        sending.push(peer, write);
        if sending.is_full() {
            sending.flush(socket);
        }
    }

    /// Sends all that waits; never blocks.
    pub fn flush(&mut self) {
        for (socket, sending) in self.sockets.iter_mut().filter(|(_, s)| !s.places.is_empty()) {
            sending.flush(socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str) -> Arc<UdpSocket> {
        Arc::new(UdpSocket::bind(address).expect("a socket"))
    }

    #[test]
    fn every_datagram_goes_where_it_should() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (servers, clients) =
                ([bind(address), bind(address)], [bind(address), bind(address), bind(address)]);
            let mut outbox = Outbox::default();
            for i in 0..150usize {
                let peer = clients[i % 3].local_addr().expect("an address");
                outbox.push(&servers[i / 100], peer, |octets| octets.push(i as u8));
            }
            outbox.flush();
            for (c, client) in clients.iter().enumerate() {
                for i in (c..150).step_by(3) {
                    let mut octet = [0; 2];
                    let (length, from) = client.recv_from(&mut octet).expect("a datagram");
                    assert_eq!((length, octet[0]), (1, i as u8));
                    assert_eq!(from, servers[i / 100].local_addr().expect("an address"));
                }
            }
        }
    }

    #[test]
    fn all_that_waits_is_received_at_once() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (server, client) = (bind(address), bind(address));
            let to = server.local_addr().expect("an address");
            let mut inbox = Inbox::new();
            for round in [1usize, 3, DATAGRAMS_MAX, 2] {
                for i in 0..round {
                    client.send_to(&vec![i as u8; 1 + 20 * i], to).expect("sent");
                }
                let mut got = 0;
                while got < round {
                    inbox.receive(&server).expect("received");
                    for (octets, peer) in inbox.iter() {
                        assert_eq!(octets, vec![got as u8; 1 + 20 * got]);
                        assert_eq!(peer, client.local_addr().expect("an address"));
                        got += 1;
                    }
                }
                assert_eq!(got, round);
            }
            client.send_to(&[7; 60_000], to).expect("sent");
            inbox.receive(&server).expect("received");
            assert_eq!(inbox.iter().next().map(|(octets, _)| octets.len()), Some(60_000));
        }
    }

    #[test]
    fn what_writes_nothing_sends_nothing() {
        let (server, client) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let peer = client.local_addr().expect("an address");
        let mut sending = Sending::new();
        sending.push(peer, |_| ());
        sending.push(peer, |octets| octets.push(1));
        sending.octets.push(9);
        sending.discard_unfinished();
        sending.push(peer, |octets| octets.push(2));
        sending.flush(&server);
        for expected in [1, 2] {
            let mut octets = [0; 4];
            assert_eq!(client.recv(&mut octets).ok(), Some(1));
            assert_eq!(octets[0], expected);
        }
    }
}
