//! Queries over UDP from the host to a machine, and the answers back: a station in the network
//! between machines, at an address that no machine has.
//!
//! QEMU's user-mode network could do it, but only if it lets the machine reach the host's own
//! addresses as well. It never opens a socket; see [`crate::switch`] for that.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

/// Its address in the network between machines.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// Its hardware address; the last octet of a machine's is lower.
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 1, 254];
/// Clients whose answers can be outstanding; the oldest makes room for the newest.
const CLIENTS_MAX: usize = 4096;
/// The port that stands for the first client.
const PORT_FIRST: u16 = 20_000;
/// Octets of the largest message: what fits a frame of Ethernet with the headers of IP and UDP.
pub const MESSAGE_OCTETS_MAX: usize = 1472;

const ETHERNET_OCTETS: usize = 14;
const IP_OCTETS: usize = 20;
const UDP_OCTETS: usize = 8;
const TYPE_IP: [u8; 2] = [8, 0];
const TYPE_ARP: [u8; 2] = [8, 6];
const PROTOCOL_UDP: u8 = 17;
const HOPS: u8 = 64;
/// Hardware type Ethernet, protocol IP, their lengths (RFC 826).
const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const ARP_REPLY: [u8; 2] = [0, 2];
const ARP_OCTETS: usize = 28;

/// What a frame to the gateway asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Outward<'f> {
    /// This frame goes back to who sent it.
    Frame(Vec<u8>),
    /// This message goes to that client.
    Message(SocketAddr, &'f [u8]),
}

/// Which clients have asked what machine.
#[derive(Default)]
pub struct Gateway {
    /// The client of each port, from [`PORT_FIRST`] on, with the machine that it asked.
    clients: Vec<(usize, SocketAddr)>,
    ports: HashMap<(usize, SocketAddr), u16>,
    /// The place in `clients` that is taken next.
    next: usize,
}

impl Gateway {
    /// The frame that brings a client's message to the machine in `place`; `None` if it is too long.
    pub fn inward(
        &mut self,
        place: usize,
        client: SocketAddr,
        to: SocketAddr,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let SocketAddr::V4(to) = to else { return None };
        if message.len() > MESSAGE_OCTETS_MAX {
            return None;
        }
        let port = self.port(place, client);
        let mut frame = vec![2, 0, 0, 0, 1, place as u8 + 1];
        frame.extend(HARDWARE);
        frame.extend(TYPE_IP);
        let octets = (IP_OCTETS + UDP_OCTETS + message.len()) as u16;
        let mut header = vec![0x45, 0];
        header.extend(octets.to_be_bytes());
        // No identification, and never in fragments.
        header.extend([0, 0, 0x40, 0, HOPS, PROTOCOL_UDP, 0, 0]);
        header.extend(ADDRESS.octets());
        header.extend(to.ip().octets());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(header);
        frame.extend(port.to_be_bytes());
        frame.extend(to.port().to_be_bytes());
        frame.extend((octets - IP_OCTETS as u16).to_be_bytes());
        // No checksum (RFC 768): these octets cross no wire.
        frame.extend([0, 0]);
        frame.extend(message);
        Some(frame)
    }

    /// What follows from a frame that the machine in `place` sent; `None` if it is for somebody else.
    pub fn outward<'f>(&self, place: usize, frame: &'f [u8]) -> Option<Outward<'f>> {
        let (header, rest) = frame.split_at_checked(ETHERNET_OCTETS)?;
        if header[12..14] == TYPE_ARP {
            return reply_to_arp(rest).map(Outward::Frame);
        }
        let (ip, rest) = rest.split_at_checked(IP_OCTETS)?;
        // Neither options nor fragments come from the machines.
        let is_plain = ip[0] == 0x45 && ip[6] & 0x3f == 0 && ip[7] == 0 && ip[9] == PROTOCOL_UDP;
        if header[..6] != HARDWARE || header[12..14] != TYPE_IP || !is_plain {
            return None;
        }
        let (udp, rest) = rest.split_at_checked(UDP_OCTETS)?;
        let port = u16::from_be_bytes([udp[2], udp[3]]);
        let octets = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        let message = rest.get(..octets.checked_sub(UDP_OCTETS)?)?;
        let (asked, client) = self.clients.get(usize::from(port.checked_sub(PORT_FIRST)?))?;
        (*asked == place).then_some(Outward::Message(*client, message))
    }

    fn port(&mut self, place: usize, client: SocketAddr) -> u16 {
        let key = (place, client);
        if let Some(port) = self.ports.get(&key) {
            return *port;
        }
        let slot = self.next;
        self.next = (slot + 1) % CLIENTS_MAX;
        match self.clients.get_mut(slot) {
            Some(taken) => {
                self.ports.remove(&std::mem::replace(taken, key));
            }
            None => self.clients.push(key),
        }
        let port = PORT_FIRST + slot as u16;
        self.ports.insert(key, port);
        port
    }
}

fn reply_to_arp(request: &[u8]) -> Option<Vec<u8>> {
    let request = request.get(..ARP_OCTETS)?;
    let asks = request[..6] == ARP_KIND
        && request[6..8] == ARP_REQUEST
        && request[24..] == ADDRESS.octets();
    asks.then(|| {
        let sender = &request[8..18];
        [
            &sender[..6],
            &HARDWARE,
            &TYPE_ARP,
            &ARP_KIND,
            &ARP_REPLY,
            &HARDWARE,
            &ADDRESS.octets(),
            sender,
        ]
        .concat()
    })
}

/// The sum over a header of IP (RFC 1071), whose own field is zero.
fn checksum(header: &[u8]) -> u16 {
    let words =
        header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACHINE: [u8; 6] = [2, 0, 0, 0, 1, 2];

    fn to() -> SocketAddr {
        "10.77.0.2:53".parse().unwrap()
    }

    fn client(number: u16) -> SocketAddr {
        ([127, 0, 0, 1], number).into()
    }

    /// What a machine answers to a frame: addresses and ports change sides.
    fn answer(frame: &[u8], message: &[u8]) -> Vec<u8> {
        let mut answer = [&frame[6..12], &MACHINE, &TYPE_IP, &frame[14..26]].concat();
        answer.extend([&frame[30..34], &frame[26..30], &frame[36..38], &frame[34..36]].concat());
        answer.extend((UDP_OCTETS as u16 + message.len() as u16).to_be_bytes());
        answer.extend([0, 0]);
        answer.extend(message);
        // Short frames are filled up.
        answer.resize(answer.len().max(60), 0);
        answer
    }

    #[test]
    fn an_answer_finds_its_client() {
        let mut gateway = Gateway::default();
        let one = gateway.inward(1, client(1), to(), b"one").unwrap();
        let two = gateway.inward(1, client(2), to(), b"two").unwrap();
        assert_eq!(one[..6], MACHINE);
        // A correct header sums up to nothing.
        assert_eq!(checksum(&one[14..34]), 0);
        let reply = answer(&two, b"for two");
        assert_eq!(gateway.outward(1, &reply), Some(Outward::Message(client(2), b"for two")));
        let reply = answer(&one, b"for one");
        assert_eq!(gateway.outward(1, &reply), Some(Outward::Message(client(1), b"for one")));
        // From a machine that was not asked.
        assert_eq!(gateway.outward(0, &reply), None);
        assert_eq!(gateway.inward(1, client(1), to(), &[0; MESSAGE_OCTETS_MAX + 1]), None);
    }

    #[test]
    fn the_oldest_client_makes_room() {
        let mut gateway = Gateway::default();
        let first = gateway.inward(1, client(0), to(), b"").unwrap();
        for number in 1..=CLIENTS_MAX as u16 {
            gateway.inward(1, client(number), to(), b"").unwrap();
        }
        let newest = client(CLIENTS_MAX as u16);
        let reply = answer(&first, b"x");
        assert_eq!(gateway.outward(1, &reply), Some(Outward::Message(newest, b"x")));
        assert_eq!((gateway.clients.len(), gateway.ports.len()), (CLIENTS_MAX, CLIENTS_MAX));
    }

    #[test]
    fn a_machine_learns_where_the_gateway_is() {
        let mut request = [&[0xff; 6][..], &MACHINE, &TYPE_ARP, &ARP_KIND, &ARP_REQUEST].concat();
        request.extend([&MACHINE[..], &[10, 77, 0, 2], &[0; 6], &ADDRESS.octets()].concat());
        let gateway = Gateway::default();
        let Some(Outward::Frame(reply)) = gateway.outward(1, &request) else { panic!() };
        assert_eq!((&reply[..6], &reply[6..12]), (&MACHINE[..], &HARDWARE[..]));
        assert_eq!(reply.len(), ETHERNET_OCTETS + ARP_OCTETS);
        assert_eq!(reply[28..32], ADDRESS.octets());
        // Who looks for another machine is no concern of the gateway.
        *request.last_mut().unwrap() = 3;
        assert_eq!(gateway.outward(1, &request), None);
    }

    proptest! {
        #[test]
        fn no_frame_breaks_it(frame in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut gateway = Gateway::default();
            gateway.inward(0, client(1), to(), b"").unwrap();
            gateway.outward(0, &frame);
            let mut addressed = HARDWARE.to_vec();
            addressed.extend(&frame);
            gateway.outward(0, &addressed);
        }
    }
}
