//! A small DNS client for the demonstration: one query or signed update over UDP.

use crate::Failure;
use einhorn_wire::message::{Message, Opcode, Rcode, Section as Read};
use einhorn_wire::tsig::Key;
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, Record, RecordType};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long to wait for an answer, and how often to ask.
const TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS_MAX: usize = 3;
/// Octets of the messages sent.
const REQUEST_OCTETS_MAX: usize = 512;

pub(crate) struct Client {
    socket: UdpSocket,
}

/// What a server said.
pub(crate) struct Response {
    pub(crate) rcode: Rcode,
    pub(crate) answers: Vec<Record>,
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
        Ok(Response { rcode: message.header.rcode(), answers })
    }

    /// Replaces the RRset of `name`.
    pub(crate) fn replace(
        &self,
        key: &Arc<Key>,
        zone: &Name,
        name: &Name,
        rtype: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<Rcode, Failure> {
        let mut request = Vec::new();
        let write = |request: &mut Vec<u8>| -> Result<(), NoRoom> {
            let mut writer = Writer::new(request, 2, REQUEST_OCTETS_MAX);
            writer.set_request(Opcode::UPDATE);
            writer.question(zone.as_wire(), RecordType::SOA, Class::IN)?;
            writer.record(Section::Authority, name.as_wire(), rtype, Class::ANY, 0, &[])?;
            writer.record(Section::Authority, name.as_wire(), rtype, Class::IN, ttl, rdata)
        };
        write(&mut request).map_err(Failure::finding)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut pending = key.sign_request(&mut request, 0, now);
        let response = self.exchange(&request)?;
        let message = Message::parse(&response).map_err(Failure::finding)?;
        pending.verify(&message).map_err(Failure::finding)?;
        Ok(message.header.rcode())
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
