//! Talking to other servers as their client: asking for an SOA, taking transfers, telling of
//! changes (RFC 1996). Every wait has a deadline, every answer a bound.
//!
//! Datagrams that fit no question are passed over, not believed: anybody can send one.

use crate::now_ms;
use einhorn_core::rules::incoming::{Content, Incoming, IncomingError};
use einhorn_wire::message::{Message, Opcode, Rcode, Section as Read};
use einhorn_wire::rdata::{SoaNumbers, soa_numbers};
use einhorn_wire::tsig::{Key, PendingResponse, ResponseError};
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, RecordType};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a server may take to answer a datagram, try by try.
const UDP_TRIES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];
/// How long a server may take to acknowledge a notification.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may be silent within a transfer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a transfer may take as a whole.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Messages without a signature between two with one (RFC 8945 §5.3.1).
const UNSIGNED_MAX: usize = 99;
/// Octets of our requests at most: a name, an SOA and a signature.
const REQUEST_OCTETS_MAX: usize = 4_096;
/// The AA bit of a header's flags.
const AUTHORITATIVE: u16 = 0x0400;
/// Octets of a datagram at most.
const DATAGRAM_OCTETS_MAX: usize = 65_535;

/// Another server, with the key itself.
#[derive(Clone)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that messages to it and from it are signed with.
    pub key: Option<Arc<Key>>,
}

/// Why a server's answer did not come, or is not used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The network.
    #[error("{what}: {source}")]
    Network {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is silent.
    #[error("no answer in time")]
    Silent,
    /// Its signature.
    #[error(transparent)]
    Signature(#[from] ResponseError),
    /// It signs too few of its messages.
    #[error("more than {UNSIGNED_MAX} messages without a signature, or the last one has none")]
    Unsigned,
    /// It answers that it cannot or will not.
    #[error("it answered {0}")]
    Rcode(Rcode),
    /// It has no authority for the zone, or no copy that is good.
    #[error("it has no authority for the zone")]
    NotAuthoritative,
    /// The answer has no SOA of the zone.
    #[error("its answer has no SOA of the zone")]
    NoSoa,
    /// A transfer that is not used.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// Our own question could not be made.
    #[error("the question does not fit a message")]
    NoRoom(#[from] NoRoom),
}

impl RemoteError {
    /// Whether the server was reached and only this kind of question failed, so that a whole
    /// transfer may succeed where an incremental one did not.
    pub fn is_of_content(&self) -> bool {
        matches!(self, RemoteError::Incoming(_) | RemoteError::Rcode(_))
    }
}

fn network(what: &'static str) -> impl FnOnce(io::Error) -> RemoteError {
    move |source| RemoteError::Network { what, source }
}

/// A question on its way.
struct Asked {
    id: u16,
    octets: Vec<u8>,
    pending: Option<PendingResponse>,
}

/// Makes a request; `write` adds what follows the question.
fn request(
    peer: &Peer,
    opcode: Opcode,
    zone: &Name,
    rtype: RecordType,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
) -> Result<Asked, RemoteError> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| network("random numbers")(error.into()))?;
    let id = u16::from_be_bytes(id);
    let mut octets = Vec::with_capacity(512);
    let mut writer = Writer::new(&mut octets, id, REQUEST_OCTETS_MAX);
    writer.set_request(opcode);
    if opcode == Opcode::NOTIFY {
        writer.set_authoritative();
    }
    writer.question(zone.as_wire(), rtype, Class::IN)?;
    write(&mut writer)?;
    let pending = peer.key.as_ref().map(|key| key.sign_request(&mut octets, 0, now_ms() / 1000));
    Ok(Asked { id, octets, pending })
}

impl Asked {
    /// Whether these octets are the answer; an error for an answer that is not good.
    fn take(&mut self, octets: &[u8], opcode: Opcode) -> Result<bool, RemoteError> {
        let Ok(message) = Message::parse(octets) else { return Ok(false) };
        let header = message.header;
        if !header.is_response() || header.id != self.id || header.opcode() != opcode {
            return Ok(false);
        }
        match &mut self.pending {
            // Who does not know the key cannot sign; what it says is worth knowing all the same.
            Some(_) if message.tsig.is_none() && header.rcode() != Rcode::NOERROR => {
                Err(RemoteError::Rcode(header.rcode()))
            }
            Some(pending) => pending.verify(&message).map(|()| true).map_err(RemoteError::from),
            None => Ok(true),
        }
    }
}

/// Asks by datagram; `tries` are how long each may take.
async fn by_datagram(
    peer: &Peer,
    asked: &mut Asked,
    opcode: Opcode,
    tries: &[Duration],
) -> Result<Vec<u8>, RemoteError> {
    let local: SocketAddr = match peer.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await.map_err(network("a socket"))?;
    // From now on only what comes from there is seen.
    socket.connect(peer.address).await.map_err(network("no way to it"))?;
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    let mut error = RemoteError::Silent;
    for wait in tries {
        let deadline = Instant::now() + *wait;
        socket.send(&asked.octets).await.map_err(network("cannot send"))?;
        while let Ok(received) = timeout_at(deadline, socket.recv(&mut buffer)).await {
            let length = received.map_err(network("nobody listens there"))?;
            match asked.take(&buffer[..length], opcode) {
                Ok(true) => {
                    buffer.truncate(length);
                    return Ok(buffer);
                }
                Ok(false) => {}
                // It may be a forgery; the true answer may still come.
                Err(found) => error = found,
            }
        }
    }
    Err(error)
}

/// A connection that carries one question and its answer.
struct Connection {
    stream: TcpStream,
    deadline: Instant,
}

impl Connection {
    async fn open(peer: &Peer, asked: &Asked, limit: Duration) -> Result<Connection, RemoteError> {
        let deadline = Instant::now() + limit;
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(peer.address)).await;
        let stream = connected.map_err(|_| RemoteError::Silent)?;
        let mut stream = stream.map_err(network("cannot connect"))?;
        let mut frame = vec![0, 0];
        frame.extend_from_slice(&asked.octets);
        crate::session::set_length(&mut frame);
        let sent = timeout(SILENCE_MAX, stream.write_all(&frame)).await;
        sent.map_err(|_| RemoteError::Silent)?.map_err(network("cannot send"))?;
        Ok(Connection { stream, deadline })
    }

    /// The next message.
    async fn message(&mut self) -> Result<Vec<u8>, RemoteError> {
        let deadline = self.deadline.min(Instant::now() + SILENCE_MAX);
        let read = async {
            let length = self.stream.read_u16().await?;
            let mut message = vec![0; length.into()];
            self.stream.read_exact(&mut message).await?;
            Ok(message)
        };
        let read = timeout_at(deadline, read).await.map_err(|_| RemoteError::Silent)?;
        read.map_err(network("the connection broke"))
    }
}

/// Asks for the serial of `zone`: by datagram, and by a connection where that gives none, since
/// some servers answer certain questions over TCP only, and some networks carry nothing else.
///
/// # Errors
/// [`RemoteError`].
pub async fn serial(peer: &Peer, zone: &Name) -> Result<u32, RemoteError> {
    Ok(numbers(peer, zone).await?.serial)
}

/// As [`serial`], with the other numbers of the SOA.
///
/// # Errors
/// [`RemoteError`].
pub async fn numbers(peer: &Peer, zone: &Name) -> Result<SoaNumbers, RemoteError> {
    let mut asked = request(peer, Opcode::QUERY, zone, RecordType::SOA, |_| Ok(()))?;
    let datagram = by_datagram(peer, &mut asked, Opcode::QUERY, &UDP_TRIES).await;
    if let Ok(octets) = &datagram
        && let Ok(numbers) = numbers_in(octets, zone)
    {
        return Ok(numbers);
    }
    let mut asked = request(peer, Opcode::QUERY, zone, RecordType::SOA, |_| Ok(()))?;
    let octets = Connection::open(peer, &asked, SILENCE_MAX).await?.message().await?;
    if !asked.take(&octets, Opcode::QUERY)? {
        return Err(IncomingError::Other.into());
    }
    numbers_in(&octets, zone)
}

fn numbers_in(octets: &[u8], zone: &Name) -> Result<SoaNumbers, RemoteError> {
    let message = Message::parse(octets).map_err(IncomingError::from)?;
    if message.header.rcode() != Rcode::NOERROR {
        return Err(RemoteError::Rcode(message.header.rcode()));
    }
    if message.question().is_none_or(|question| question.name.to_name() != *zone) {
        return Err(IncomingError::Other.into());
    }
    if message.header.flags & AUTHORITATIVE == 0 {
        return Err(RemoteError::NotAuthoritative);
    }
    let records = message.records(Read::Answer).map_err(IncomingError::from)?;
    let soa = records.iter().find(|r| r.rtype == RecordType::SOA && r.owner == *zone);
    soa.and_then(|soa| soa_numbers(&soa.rdata)).ok_or(RemoteError::NoSoa)
}

/// Takes a transfer of `zone`: of what changed since the SOA with these data, or of the whole
/// zone. Its last message is verified before anything of it is given out.
///
/// # Errors
/// [`RemoteError`].
pub async fn transfer(
    peer: &Peer,
    zone: &Name,
    since: Option<&[u8]>,
) -> Result<Content, RemoteError> {
    let rtype = if since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
    let asked = request(peer, Opcode::QUERY, zone, rtype, |writer| match since {
        // RFC 1995 §3
        Some(soa) => {
            let (section, owner) = (Section::Authority, zone.as_wire());
            writer.record(section, owner, RecordType::SOA, Class::IN, 0, soa)
        }
        None => Ok(()),
    })?;
    let serial = since.and_then(soa_numbers).map(|soa| soa.serial);
    let mut connection = Connection::open(peer, &asked, TRANSFER_TIMEOUT).await?;
    let Asked { id, mut pending, .. } = asked;
    let mut incoming = Incoming::new(zone.clone(), id, serial);
    let mut unsigned = 0;
    loop {
        let octets = connection.message().await?;
        let message = Message::parse(&octets).map_err(IncomingError::from)?;
        if let Some(pending) = &mut pending {
            let rcode = message.header.rcode();
            if message.tsig.is_none() && rcode != Rcode::NOERROR {
                // Who does not know the key cannot sign that it refuses.
                return Err(RemoteError::Rcode(rcode));
            }
            pending.verify(&message)?;
            unsigned = if message.tsig.is_some() { 0 } else { unsigned + 1 };
            if unsigned > UNSIGNED_MAX {
                return Err(RemoteError::Unsigned);
            }
        }
        if incoming.message(&message)? {
            return if unsigned == 0 { Ok(incoming.finish()?) } else { Err(RemoteError::Unsigned) };
        }
    }
}

/// Tells a server that `zone` has changed, once; `soa` is the data of its SOA (RFC 1996 §3.7).
///
/// # Errors
/// [`RemoteError`] unless it acknowledges.
pub async fn notify(peer: &Peer, zone: &Name, soa: &[u8]) -> Result<(), RemoteError> {
    let mut asked = request(peer, Opcode::NOTIFY, zone, RecordType::SOA, |writer| {
        let (section, owner) = (Section::Answer, zone.as_wire());
        writer.record(section, owner, RecordType::SOA, Class::IN, 0, soa)
    })?;
    let octets = by_datagram(peer, &mut asked, Opcode::NOTIFY, &[NOTIFY_TIMEOUT]).await?;
    match Message::parse(&octets).map_err(IncomingError::from)?.header.rcode() {
        Rcode::NOERROR => Ok(()),
        rcode => Err(RemoteError::Rcode(rcode)),
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
