//! Plain queries: whether a server is ready, and whether it answers what it acknowledged.
//!
//! Never part of a timed phase.

use crate::workload::{Workload, address_of};
use einhorn_wire::message::Section;
use einhorn_wire::writer::Writer;
use einhorn_wire::{Class, Message, Name, Opcode, Rcode, RecordType};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Time for one answer.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);
/// How often a query is sent before the answer is missed.
const TRIES: u16 = 4;
/// Pause between looks at a server that is starting.
const READY_INTERVAL: Duration = Duration::from_millis(20);
/// Time a server has to start and load the zone.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// The same where the time until the first answer is measured.
const IMPATIENCE: Duration = Duration::from_millis(20);
const LOAD_INTERVAL: Duration = Duration::from_millis(5);
const LOAD_PATIENCE: Duration = Duration::from_secs(300);
const MESSAGE_OCTETS_MAX: usize = 4096;
/// Hosts asked for at the end.
const SAMPLE: usize = 500;

/// A socket that asks one server.
struct Client {
    socket: UdpSocket,
    next_id: u16,
}

/// Answer to one question.
struct Answer {
    rcode: Rcode,
    rdata: Vec<Vec<u8>>,
}

impl Client {
    fn new(server: SocketAddr, patience: Duration) -> Result<Client, String> {
        let open = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(patience))?;
            Ok(socket)
        };
        let socket =
            open().map_err(|error| format!("cannot open a UDP socket to {server}: {error}"))?;
        Ok(Client { socket, next_id: 0 })
    }

    /// One question, once; `None` without a usable answer.
    fn ask_once(&mut self, name: &Name, rtype: RecordType) -> Option<Answer> {
        self.next_id = self.next_id.wrapping_add(1);
        let mut request = Vec::new();
        let mut writer = Writer::new(&mut request, self.next_id, MESSAGE_OCTETS_MAX);
        writer.set_request(Opcode::QUERY);
        writer.question(name.as_wire(), rtype, Class::IN).ok()?;
        self.socket.send(&request).ok()?;
        let mut buffer = [0; MESSAGE_OCTETS_MAX];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let message = Message::parse(&buffer[..length]).ok()?;
            if message.header.id != self.next_id || !message.header.is_response() {
                continue;
            }
            let records = message.records(Section::Answer).ok()?;
            let rdata =
                records.iter().filter(|r| r.rtype == rtype).map(|r| r.rdata.to_vec()).collect();
            return Some(Answer { rcode: message.header.rcode(), rdata });
        }
    }

    fn ask(&mut self, name: &Name, rtype: RecordType) -> Option<Answer> {
        (0..TRIES).find_map(|_| self.ask_once(name, rtype))
    }
}

/// Waits until the server answers for the zone. `still_runs` fails when waiting is in vain.
pub(crate) fn wait_until_ready(
    server: SocketAddr,
    workload: &Workload,
    mut still_runs: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let mut client = Client::new(server, ANSWER_PATIENCE)?;
    let begin = Instant::now();
    while begin.elapsed() < READY_PATIENCE {
        still_runs()?;
        let answer = client.ask_once(workload.zone(), RecordType::SOA);
        if answer.is_some_and(|answer| answer.rcode == Rcode::NOERROR && answer.rdata.len() == 1) {
            return Ok(());
        }
        std::thread::sleep(READY_INTERVAL);
    }
    Err(format!(
        "the server did not answer for {} within {} s",
        workload.zone(),
        READY_PATIENCE.as_secs()
    ))
}

/// Waits until the server gives the right address for a name, and says when it did.
/// `still_runs` fails when waiting is in vain.
pub(crate) fn wait_for_address(
    server: SocketAddr,
    name: &Name,
    address: [u8; 4],
    mut still_runs: impl FnMut() -> Result<(), String>,
) -> Result<Instant, String> {
    let mut client = Client::new(server, IMPATIENCE)?;
    let begin = Instant::now();
    while begin.elapsed() < LOAD_PATIENCE {
        still_runs()?;
        match client.ask_once(name, RecordType::A) {
            Some(answer) if answer.rdata == [address] => return Ok(Instant::now()),
            _ => std::thread::sleep(LOAD_INTERVAL),
        }
    }
    let seconds = LOAD_PATIENCE.as_secs();
    Err(format!("the server did not answer for {name} within {seconds} s"))
}

/// What asking for acknowledged values showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    pub(crate) asked: u64,
    pub(crate) wrong: u64,
}

impl Verification {
    /// Hosts that answered what they should.
    pub(crate) fn right(self) -> u64 {
        self.asked - self.wrong
    }

    /// Adds another verification's counts.
    pub(crate) fn add(&mut self, other: Verification) {
        self.asked += other.asked;
        self.wrong += other.wrong;
    }
}

/// Asks for a sample of the hosts whose value is known.
pub(crate) fn verify(server: SocketAddr, workload: &Workload) -> Result<Verification, String> {
    let mut client = Client::new(server, ANSWER_PATIENCE)?;
    let expectations: Vec<(u32, u32)> = workload.expectations().collect();
    let step = expectations.len().div_ceil(SAMPLE).max(1);
    let mut verification = Verification::default();
    for (host, sequence) in expectations.into_iter().step_by(step) {
        let answer = client.ask(workload.host(host), RecordType::A);
        let expected = address_of(sequence);
        verification.asked += 1;
        if answer.is_none_or(|answer| answer.rdata != [expected]) {
            verification.wrong += 1;
        }
    }
    Ok(verification)
}
