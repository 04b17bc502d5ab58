//! The sockets to the sites: probes and updates go out, what comes back is matched and checked.

use crate::config::SiteConfig;
use crate::desk::Attempt;
use einhorn_wire::message::{Message, Opcode, Rcode};
use einhorn_wire::tsig::{Key, PendingResponse, ResponseError};
use einhorn_wire::writer::Writer;
use einhorn_wire::{Class, Name, RecordType};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::UdpSocket;

/// Octets of a datagram at most; what is longer goes over TCP.
pub(crate) const DATAGRAM_OCTETS_MAX: usize = 1_232;
/// Sendings whose answers are waited for at most; the oldest are given up first.
const PENDING_MAX: usize = 4_096;
/// Octets of a probe at most.
const PROBE_OCTETS_MAX: usize = 64;
/// The EDNS option that says why (RFC 8914 §2).
const OPTION_EXTENDED_ERROR: u16 = 15;

struct Pending {
    attempt: Attempt,
    response: PendingResponse,
}

/// One site.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) socket: Rc<UdpSocket>,
    pending: HashMap<u16, Pending>,
    /// In the order of their sending.
    order: VecDeque<u16>,
    next_id: u16,
}

/// What came from a site.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing that was asked for.
    Nothing,
    /// The answer to the probe with this id.
    Probe(u16),
    /// What became of an update, signed.
    Answer(Attempt, Rcode, Option<String>),
    /// The site does not take what this edge signs, or does not sign itself.
    Distrust(Attempt, ResponseError),
}

impl Site {
    /// Opens a socket to a site.
    ///
    /// # Errors
    /// Of the socket.
    pub(crate) async fn open(config: &SiteConfig) -> io::Result<Site> {
        let any: SocketAddr = match config.address.is_ipv4() {
            true => (Ipv4Addr::UNSPECIFIED, 0).into(),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(config.address).await?;
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        Ok(Site {
            name: config.name.clone(),
            address: config.address,
            socket: Rc::new(socket),
            pending: HashMap::new(),
            order: VecDeque::new(),
            next_id: u16::from_ne_bytes(id),
        })
    }

    /// An id that no update under way has.
    pub(crate) fn next_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            // There are far fewer pending ones than ids.
            if !self.pending.contains_key(&self.next_id) {
                return self.next_id;
            }
        }
    }

    /// Signs what is to be sent with this id, and waits for its answer.
    pub(crate) fn sign(
        &mut self,
        key: &Arc<Key>,
        id: u16,
        attempt: Attempt,
        now_seconds: u64,
        message: &mut Vec<u8>,
    ) {
        let response = key.sign_request(message, 0, now_seconds);
        self.pending.insert(id, Pending { attempt, response });
        self.order.push_back(id);
        if self.order.len() > PENDING_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.pending.remove(&oldest);
        }
    }

    /// What a datagram or message from the site says.
    pub(crate) fn heard(&mut self, octets: &[u8]) -> Heard {
        let Ok(message) = Message::parse(octets) else { return Heard::Nothing };
        let header = message.header;
        match header.opcode() {
            _ if !header.is_response() => Heard::Nothing,
            Opcode::QUERY => Heard::Probe(header.id),
            Opcode::UPDATE => {
                let Some(pending) = self.pending.get_mut(&header.id) else { return Heard::Nothing };
                let attempt = pending.attempt;
                if let Err(error) = pending.response.verify(&message) {
                    // Anybody can send an unsigned answer: the right one may still come.
                    return Heard::Distrust(attempt, error);
                }
                self.pending.remove(&header.id);
                Heard::Answer(attempt, header.rcode(), explanation(&message))
            }
            _ => Heard::Nothing,
        }
    }
}

/// A small question that any server answers.
pub(crate) fn probe(id: u16) -> Vec<u8> {
    let mut octets = Vec::with_capacity(PROBE_OCTETS_MAX);
    let mut writer = Writer::new(&mut octets, id, PROBE_OCTETS_MAX);
    writer.set_request(Opcode::QUERY);
    let asked = writer.question(Name::root().as_wire(), RecordType::SOA, Class::IN);
    debug_assert!(asked.is_ok(), "the root fits everywhere");
    octets
}

/// Why, in words (RFC 8914).
fn explanation(message: &Message<'_>) -> Option<String> {
    let opt = message.opt.as_ref()?;
    let mut rest = &message.octets[opt.rdata_start..opt.end];
    while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk() {
        let (data, tail) = tail.split_at_checked(u16::from_be_bytes([c, d]).into())?;
        if u16::from_be_bytes([a, b]) == OPTION_EXTENDED_ERROR {
            let text = String::from_utf8_lossy(data.get(2..)?).into_owned();
            return Some(text).filter(|text| !text.is_empty());
        }
        rest = tail;
    }
    None
}
