//! A small DNS client for the demonstration: one query or signed update over UDP.

use crate::Failure;
use einhorn_wire::message::{Message, Opcode, Rcode, Section as Read};
use einhorn_wire::tsig::Key;
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, Record, RecordType};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long to wait for an answer, and how often to ask. A server lets an update wait for other
/// sites for up to 3 s.
const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: usize = 3;
/// Octets of the messages sent.
const REQUEST_OCTETS_MAX: usize = 512;
/// Octets of UDP responses that are taken (EDNS, RFC 6891).
const UDP_PAYLOAD: u16 = 1_232;
/// The EDNS option that says why (RFC 8914).
const OPTION_EXTENDED_ERROR: u16 = 15;

pub(crate) struct Client {
    socket: UdpSocket,
}

/// What a server said.
pub(crate) struct Response {
    pub(crate) rcode: Rcode,
    pub(crate) answers: Vec<Record>,
    /// Why, in words (RFC 8914).
    pub(crate) explanation: Option<String>,
}

/// A signed replacement of an RRset. Sent again it is the same message, which a server recognises.
pub(crate) struct Update {
    key: Arc<Key>,
    unsigned: Vec<u8>,
    signed_seconds: u64,
}

impl Update {
    /// Replaces the RRset of `name`.
    pub(crate) fn replace(
        key: &Arc<Key>,
        zone: &Name,
        name: &Name,
        rtype: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<Update, Failure> {
        let mut unsigned = Vec::new();
        let write = |request: &mut Vec<u8>| -> Result<(), NoRoom> {
            let mut writer = Writer::new(request, 2, REQUEST_OCTETS_MAX);
            writer.set_request(Opcode::UPDATE);
            writer.question(zone.as_wire(), RecordType::SOA, Class::IN)?;
            writer.record(Section::Authority, name.as_wire(), rtype, Class::ANY, 0, &[])?;
            writer.record(Section::Authority, name.as_wire(), rtype, Class::IN, ttl, rdata)?;
            let root = Name::root();
            let payload = Class(UDP_PAYLOAD);
            writer.record(Section::Additional, root.as_wire(), RecordType::OPT, payload, 0, &[])
        };
        write(&mut unsigned).map_err(Failure::finding)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Update { key: Arc::clone(key), unsigned, signed_seconds: now })
    }
}

impl Client {
    pub(crate) fn connect(server: SocketAddr) -> Result<Client, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(Failure::unreachable)?;
        socket.connect(server).map_err(Failure::unreachable)?;
        socket.set_read_timeout(Some(TIMEOUT)).map_err(Failure::unreachable)?;
        Ok(Client { socket })
    }

    pub(crate) fn query(&self, name: &Name, rtype: RecordType) -> Result<Response, Failure> {
        let mut request = Vec::new();
        let mut writer = Writer::new(&mut request, 1, REQUEST_OCTETS_MAX);
        writer.set_request(Opcode::QUERY);
        writer.question(name.as_wire(), rtype, Class::IN).map_err(Failure::finding)?;
        let response = self.exchange(&request)?;
        let message = Message::parse(&response).map_err(Failure::finding)?;
        let answers = message.records(Read::Answer).map_err(Failure::finding)?;
        Ok(Response { rcode: message.header.rcode(), answers, explanation: explanation(&message) })
    }

    /// Sends an update; the answer's signature is checked.
    pub(crate) fn update(&self, update: &Update) -> Result<Response, Failure> {
        let mut request = update.unsigned.clone();
        let mut pending = update.key.sign_request(&mut request, 0, update.signed_seconds);
        let response = self.exchange(&request)?;
        let message = Message::parse(&response).map_err(Failure::finding)?;
        pending.verify(&message).map_err(Failure::finding)?;
        let explanation = explanation(&message);
        Ok(Response { rcode: message.header.rcode(), answers: Vec::new(), explanation })
    }

    /// Sends until an answer with the same id comes.
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut response = vec![0; usize::from(u16::MAX)];
        for _ in 0..ATTEMPTS_MAX {
            self.socket.send(request).map_err(Failure::unreachable)?;
            match self.socket.recv(&mut response) {
                Ok(length) if response[..2] == request[..2] => {
                    response.truncate(length);
                    return Ok(response);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(Failure::unreachable("the server does not answer"))
    }
}

/// The text of the first extended error of a response.
fn explanation(message: &Message<'_>) -> Option<String> {
    let opt = message.opt.as_ref()?;
    let mut rest = message.octets.get(opt.rdata_start..opt.end)?;
    while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([c, d]));
        let (data, tail) = tail.split_at_checked(length)?;
        if u16::from_be_bytes([a, b]) == OPTION_EXTENDED_ERROR {
            // Two octets of code, then the text.
            return data.get(2..).map(|text| String::from_utf8_lossy(text).into_owned());
        }
        rest = tail;
    }
    None
}
