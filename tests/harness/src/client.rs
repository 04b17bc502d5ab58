//! A DNS client for tests, over UDP and TCP, with signed updates.

use einhorn_wire::message::{Message, Opcode, Rcode, Section as Read};
use einhorn_wire::tsig::Key;
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Name, Record, RecordType};
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server.
pub struct Client {
    server: SocketAddr,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Reply {
    /// Response code.
    pub rcode: Rcode,
    /// Answer section.
    pub answers: Vec<Record>,
    /// All octets.
    pub octets: Vec<u8>,
}

impl Reply {
    /// Takes octets apart.
    ///
    /// # Panics
    /// When they are not a DNS message.
    pub fn parse(octets: Vec<u8>) -> Reply {
        let message = Message::parse(&octets).expect("a DNS message");
        let (rcode, answers) =
            (message.header.rcode(), message.records(Read::Answer).expect("records"));
        Reply { rcode, answers, octets }
    }
}

/// Seconds since 1970.
fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// An UPDATE of `zone` with these prerequisites and updates, signed when there is a key.
///
/// # Panics
/// When it does not fit a message.
pub fn update_message(
    id: u16,
    zone: &str,
    prerequisites: &[Record],
    updates: &[Record],
    key: Option<&Arc<Key>>,
) -> Vec<u8> {
    let zone: Name = zone.parse().expect("a name");
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, id, 65_000);
    writer.set_request(Opcode::UPDATE);
    writer.question(zone.as_wire(), RecordType::SOA, Class::IN).expect("room");
    for (section, records) in [(Section::Answer, prerequisites), (Section::Authority, updates)] {
        for r in records {
            writer
                .record(section, r.owner.as_wire(), r.rtype, r.class, r.ttl, &r.rdata)
                .expect("room");
        }
    }
    if let Some(key) = key {
        key.sign_request(&mut octets, 0, now_seconds());
    }
    octets
}

impl Client {
    /// A client of `server`.
    pub fn new(server: SocketAddr) -> Client {
        Client { server }
    }

    /// Sends one datagram and waits for the answer; `None` when none comes in time.
    ///
    /// # Panics
    /// When there are no sockets.
    pub fn udp(&self, octets: &[u8]) -> Option<Vec<u8>> {
        self.udp_within(octets, TIMEOUT)
    }

    /// [`Client::udp`] with a time of its own.
    ///
    /// # Panics
    /// When there are no sockets.
    pub fn udp_within(&self, octets: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect(self.server).expect("an address");
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        socket.send(octets).ok()?;
        let mut answer = vec![0; 65_535];
        let length = socket.recv(&mut answer).ok()?;
        answer.truncate(length);
        Some(answer)
    }

    /// Sends messages over one connection, all at once, and reads as many answers.
    ///
    /// # Errors
    /// What the connection says.
    pub fn tcp(&self, messages: &[Vec<u8>]) -> std::io::Result<Vec<Vec<u8>>> {
        let mut stream = TcpStream::connect(self.server)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut all = Vec::new();
        for message in messages {
            all.extend_from_slice(&u16::try_from(message.len()).expect("a length").to_be_bytes());
            all.extend_from_slice(message);
        }
        stream.write_all(&all)?;
        messages.iter().map(|_| read_frame(&mut stream)).collect()
    }

    /// Asks one question over UDP.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn query(&self, name: &str, rtype: RecordType) -> Reply {
        let name: Name = name.parse().expect("a name");
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 1, 512);
        writer.question(name.as_wire(), rtype, Class::IN).expect("room");
        Reply::parse(self.udp(&octets).expect("an answer"))
    }

    /// Replaces the A of `name` with a signed update over UDP.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn set_address(&self, key: &Arc<Key>, zone: &str, name: &str, address: [u8; 4]) -> Rcode {
        let owner: Name = name.parse().expect("a name");
        let record = |class, ttl, rdata: &[u8]| Record {
            owner: owner.clone(),
            rtype: RecordType::A,
            class,
            ttl,
            rdata: rdata.into(),
        };
        let updates = [record(Class::ANY, 0, &[]), record(Class::IN, 60, &address)];
        let message = update_message(7, zone, &[], &updates, Some(key));
        Reply::parse(self.udp(&message).expect("an answer")).rcode
    }
}

/// Reads one message with its length in front.
fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The records of [`ZONE`](crate::ZONE) as a server transfers it (AXFR, RFC 5936), sorted, with
/// the SOA once; and its serial.
///
/// # Panics
/// When it gives no whole zone.
pub fn transfer(server: SocketAddr) -> (u32, Vec<String>) {
    try_transfer(server).unwrap_or_else(|error| panic!("no transfer from {server}: {error}"))
}

/// [`transfer`], from a server that may be away.
///
/// # Errors
/// What happened instead.
pub fn try_transfer(server: SocketAddr) -> std::io::Result<(u32, Vec<String>)> {
    let wrong = |what: String| std::io::Error::other(what);
    let zone: Name = crate::ZONE.parse().expect("a name");
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 9, 512);
    writer.question(zone.as_wire(), RecordType::AXFR, Class::IN).expect("room");
    crate::key().sign_request(&mut octets, 0, now_seconds());
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&crate::framed(&octets))?;
    let mut records = Vec::new();
    let (mut serial, mut authorities) = (0, 0);
    while authorities < 2 {
        let reply = Reply::parse(read_frame(&mut stream)?);
        if reply.rcode != Rcode::NOERROR || reply.answers.is_empty() {
            return Err(wrong(format!("{}", reply.rcode)));
        }
        for record in reply.answers {
            if record.rtype == RecordType::SOA {
                authorities += 1;
                let at = record.rdata.len() - 20;
                serial = u32::from_be_bytes(record.rdata[at..at + 4].try_into().expect("4 octets"));
                if authorities == 2 {
                    break;
                }
            }
            let Record { owner, rtype, ttl, rdata, .. } = record;
            records.push(format!("{owner} {ttl} {rtype} {rdata:02x?}"));
        }
    }
    records.sort();
    Ok((serial, records))
}
