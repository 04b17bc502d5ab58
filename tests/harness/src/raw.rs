//! Messages as octets, for tests that must send what no well-behaved client would.

use einhorn_wire::message::{Message, Opcode, RawRecord, Rcode, read_name};
use einhorn_wire::tsig::{Key, PendingResponse};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Name, Record, RecordType};
use rustix::net::sockopt;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Room in the kernel for the replies to a whole burst.
const BURST_BUFFER_OCTETS: usize = 64 << 20;
/// How long a burst may stay without another reply.
const BURST_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds since 1970.
///
/// # Panics
/// On a machine whose clock is before 1970.
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A record, as an UPDATE uses them too.
///
/// # Panics
/// When `owner` is no name.
pub fn record(owner: &str, rtype: RecordType, class: Class, ttl: u32, rdata: &[u8]) -> Record {
    Record { owner: owner.parse().expect("a name"), rtype, class, ttl, rdata: rdata.into() }
}

/// An A record to add.
pub fn address(owner: &str, octets: [u8; 4]) -> Record {
    record(owner, RecordType::A, Class::IN, 60, &octets)
}

/// A message of any opcode with these questions.
///
/// # Panics
/// When it does not fit a message.
pub fn question_message(
    id: u16,
    opcode: Opcode,
    questions: &[(&str, RecordType, Class)],
) -> Vec<u8> {
    message_with_updates(id, opcode, questions, &[])
}

/// [`question_message`] with records in the authority section, where an UPDATE has its updates.
///
/// # Panics
/// When it does not fit a message.
pub fn message_with_updates(
    id: u16,
    opcode: Opcode,
    questions: &[(&str, RecordType, Class)],
    updates: &[Record],
) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, id, 65_000);
    writer.set_request(opcode);
    for (name, rtype, class) in questions {
        let name: Name = name.parse().expect("a name");
        writer.question(name.as_wire(), *rtype, *class).expect("room");
    }
    for r in updates {
        writer
            .record(Section::Authority, r.owner.as_wire(), r.rtype, r.class, r.ttl, &r.rdata)
            .expect("room");
    }
    octets
}

/// A signed request, and what checks the signature of its response.
pub struct SignedRequest {
    /// All octets.
    pub octets: Vec<u8>,
    pending: PendingResponse,
}

impl SignedRequest {
    /// Signs `octets` as of `at_seconds`.
    pub fn new(mut octets: Vec<u8>, key: &Arc<Key>, at_seconds: u64) -> SignedRequest {
        let pending = key.sign_request(&mut octets, 0, at_seconds);
        SignedRequest { octets, pending }
    }

    /// The response code of a response whose signature holds.
    ///
    /// # Panics
    /// When it does not, or when the response is malformed.
    pub fn rcode(mut self, response: &[u8]) -> Rcode {
        let message = Message::parse(response).expect("a DNS message");
        if let Err(error) = self.pending.verify(&message) {
            panic!("{error}: RCODE {:?}, {response:02x?}", message.header.rcode());
        }
        message.header.rcode()
    }
}

/// The TSIG record of a message, as far as tests ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tsig {
    /// Octets of the MAC.
    pub mac_octets: usize,
    /// Error field.
    pub error: Rcode,
    /// Other data: the server's time where the clocks differ.
    pub other: Vec<u8>,
}

/// Offset of the length of the MAC in a message that ends in `tsig`.
fn mac_length_at(octets: &[u8], tsig: &RawRecord) -> usize {
    // Algorithm, 48 bits of time, 16 of fudge.
    read_name(octets, tsig.rdata_start).expect("an algorithm").1 + 8
}

fn word(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// The TSIG record of a message; `None` where there is none.
///
/// # Panics
/// When the octets are not a DNS message.
pub fn tsig_of(octets: &[u8]) -> Option<Tsig> {
    let message = Message::parse(octets).expect("a DNS message");
    let at = mac_length_at(octets, message.tsig.as_ref()?);
    let mac_octets = usize::from(word(octets, at));
    let behind = at + 2 + mac_octets;
    Some(Tsig {
        mac_octets,
        error: Rcode(word(octets, behind + 2)),
        other: octets[behind + 6..].to_vec(),
    })
}

/// The same signed request with only the first half of its MAC, which RFC 8945 §5.2.2.1 allows.
///
/// # Panics
/// When the octets are not a signed DNS message.
pub fn with_half_the_mac(octets: &[u8]) -> Vec<u8> {
    let message = Message::parse(octets).expect("a DNS message");
    let tsig = message.tsig.as_ref().expect("a signature");
    let at = mac_length_at(octets, tsig);
    let whole = word(octets, at);
    let half = whole / 2;
    let mut cut = octets.to_vec();
    cut[at..at + 2].copy_from_slice(&half.to_be_bytes());
    cut.drain(at + 2 + usize::from(half)..at + 2 + usize::from(whole));
    let length_at = tsig.rdata_start - 2;
    let length = word(octets, length_at) - (whole - half);
    cut[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    cut
}

/// Sends all messages from one socket as fast as the kernel takes them, and gives all replies
/// that come until none has come for a while.
///
/// # Panics
/// When there are no sockets.
pub fn burst(server: SocketAddr, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(BURST_TIMEOUT)).expect("a timeout");
    // It is the server that must lose nothing, not this client. Who may not pass the system's
    // limit gets as much as that allows.
    if sockopt::set_socket_recv_buffer_size_force(&socket, BURST_BUFFER_OCTETS).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, BURST_BUFFER_OCTETS).expect("a buffer");
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut replies = Vec::with_capacity(messages.len());
            let mut octets = vec![0; 65_535];
            while replies.len() < messages.len() {
                match socket.recv(&mut octets) {
                    Ok(length) => replies.push(octets[..length].to_vec()),
                    Err(_) => break,
                }
            }
            replies
        });
        for message in messages {
            socket.send(message).expect("the kernel takes it");
        }
        reader.join().expect("the reader ends")
    })
}

/// Reads one message with its length in front.
///
/// # Errors
/// What the connection says.
pub fn read_message(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// A message with its length in front, as TCP carries it.
///
/// # Panics
/// When it is too long.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a length").to_be_bytes();
    [&length, message].concat()
}
