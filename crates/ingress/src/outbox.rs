//! Datagrams on their way out, handed to the kernel many at a time.

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;

/// Datagrams handed to the kernel at once; the first of them waits for the last to be written.
const DATAGRAMS_MAX: usize = 64;

/// Datagrams that wait to be sent together.
#[derive(Default)]
pub struct Outbox {
    octets: Vec<u8>,
    datagrams: Vec<Datagram>,
}

struct Datagram {
    socket: Arc<UdpSocket>,
    peer: SocketAddr,
    place: Range<usize>,
}

impl Outbox {
    /// Adds what `write` appends to the buffer, to be sent from `socket` to `peer`.
    pub fn push(
        &mut self,
        socket: Arc<UdpSocket>,
        peer: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.octets.len();
        write(&mut self.octets);
        self.datagrams.push(Datagram { socket, peer, place: start..self.octets.len() });
        if self.datagrams.len() >= DATAGRAMS_MAX {
            self.flush();
        }
    }

    /// Sends all that waits. Never blocks: what the kernel does not take is lost, as any datagram
    /// may be, and its client asks again.
    pub fn flush(&mut self) {
        for same_socket in self.datagrams.chunk_by(|a, b| Arc::ptr_eq(&a.socket, &b.socket)) {
            send(&self.octets, same_socket);
        }
        self.datagrams.clear();
        self.octets.clear();
    }
}

fn send(octets: &[u8], datagrams: &[Datagram]) {
    let peers: Vec<SocketAddrAny> = datagrams.iter().map(|datagram| datagram.peer.into()).collect();
    let slices: Vec<[IoSlice<'_>; 1]> =
        datagrams.iter().map(|datagram| [IoSlice::new(&octets[datagram.place.clone()])]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        datagrams.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut headers: Vec<MMsgHdr<'_>> = peers
        .iter()
        .zip(&slices)
        .zip(&mut controls)
        .map(|((peer, slice), control)| MMsgHdr::new_with_addr(peer, slice, control))
        .collect();
    let mut sent = 0;
    while sent < headers.len() {
        match sendmmsg(&*datagrams[0].socket, &mut headers[sent..], SendFlags::DONTWAIT) {
            Ok(count) => sent += count.max(1),
            Err(error) => {
                tracing::debug!(peer = %datagrams[sent].peer, %error, "a reply could not be sent");
                sent += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_goes_where_it_should() {
        let bind = || Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let (servers, clients) = ([bind(), bind()], [bind(), bind(), bind()]);
        let mut outbox = Outbox::default();
        for i in 0..150usize {
            let peer = clients[i % 3].local_addr().expect("an address");
            outbox.push(Arc::clone(&servers[i / 100]), peer, |octets| octets.push(i as u8));
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
