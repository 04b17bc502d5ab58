//! The implementations under test, started once in each process that runs tests.
//!
//! They listen on loopback, keep everything in a scratch folder, and end with this process: a
//! shell between us and each of them waits for the end of a pipe that only we hold.

mod bind;
mod einhorn;
mod knot;
mod nsd;

use crate::query::Query;
use crate::reply::Reply;
use einhorn_harness::{framed, now_seconds, read_message, scratch};
use einhorn_wire::tsig::Key;
use std::fmt;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a server may take until it serves all its zones.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is asked whether it does.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server that answers at once must be silent to count as silent.
const SILENCE: Duration = Duration::from_millis(300);
/// Attempts to find a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 64;

/// Runs a program until standard input ends, then ends it and removes its folder.
const KEEPER: &str = r#"folder=$1; shift
"$@" & child=$!
read -r end
kill $child; wait $child; rm -rf "$folder""#;

/// The key that may transfer every zone.
pub(crate) const TRANSFER_KEY: &str = "hmac-sha256:transfer.:c2VjcmV0IG9mIHRyYW5zZmVycw==";
/// Its secret.
const TRANSFER_SECRET: &str = "c2VjcmV0IG9mIHRyYW5zZmVycw==";
/// What every server that can be told calls itself (RFC 5001).
pub(crate) const IDENTITY: &str = "under-test";
/// The secret of server cookies, where it can be set, in hexadecimal (RFC 9018).
pub(crate) const COOKIE_SECRET: &str = "000102030405060708090a0b0c0d0e0f";
/// All zones: the name, and the file in `tests/rfc/zones`.
pub(crate) const ZONES: [(&str, &str); 14] = [
    ("example.", "example"),
    ("main.test.", "main"),
    ("child.main.test.", "child"),
    ("target.test.", "target"),
    ("dname.test.", "dname"),
    ("apex-dname.test.", "apex-dname"),
    ("wild-ns.test.", "wild-ns"),
    ("wild-dname.test.", "wild-dname"),
    ("wild-apex.test.", "wild-apex"),
    ("long.test.", "long"),
    ("big.test.", "big"),
    ("types.test.", "types"),
    ("more-types.test.", "more-types"),
    ("class-form.test.", "class-form"),
];

/// An implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Einhorn,
    Bind,
    Knot,
    Nsd,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Einhorn => "Einhorn",
            Kind::Bind => "BIND",
            Kind::Knot => "Knot",
            Kind::Nsd => "NSD",
        })
    }
}

/// What a driver needs to configure its server.
struct Setup<'a> {
    /// An empty folder.
    folder: &'a Path,
    port: u16,
    /// Zones to be served, and their files.
    zones: Vec<(&'static str, PathBuf)>,
}

impl Setup<'_> {
    /// Writes a file into the folder.
    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).expect("the file is written");
        path
    }

    /// One piece of configuration per zone.
    fn for_zones(&self, piece: impl Fn(&str, &Path) -> String) -> String {
        self.zones.iter().fold(String::new(), |mut all, (name, file)| {
            write!(all, "{}", piece(name, file)).expect("a string takes all");
            all
        })
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// The shell that ends it; never waited for, since it outlives every test.
    _shell: Child,
}

/// The server of this kind, started on first use; `None` where its program is missing.
///
/// # Panics
/// When it does not start, which is tried only once.
pub(crate) fn running(kind: Kind) -> Option<&'static Server> {
    static SERVERS: [OnceLock<Option<Result<Server, String>>>; 4] = [const { OnceLock::new() }; 4];
    let server = SERVERS[kind as usize].get_or_init(|| start(kind)).as_ref()?;
    Some(server.as_ref().unwrap_or_else(|reason| panic!("{reason}")))
}

fn start(kind: Kind) -> Option<Result<Server, String>> {
    let program = match kind {
        Kind::Einhorn => Some(PathBuf::from(einhorn::PROGRAM)),
        Kind::Bind => einhorn_harness::peer("named"),
        Kind::Knot => einhorn_harness::peer("knotd"),
        Kind::Nsd => einhorn_harness::peer("nsd"),
    }?;
    let folder = scratch().keep();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/rfc/zones");
    let files = files.canonicalize().expect("the zones");
    let mut zones: Vec<_> =
        ZONES.iter().map(|(name, file)| (*name, files.join(format!("{file}.zone")))).collect();
    if kind == Kind::Einhorn {
        zones.retain(|(name, file)| einhorn::can_read(name, file));
    }
    let setup = Setup { folder: &folder, port: free_port(), zones };
    let (arguments, not_loaded) = match kind {
        Kind::Einhorn => (einhorn::prepare(&setup), &[][..]),
        Kind::Bind => (bind::prepare(&setup), &bind::NOT_LOADED[..]),
        Kind::Knot => (knot::prepare(&setup), &knot::NOT_LOADED[..]),
        Kind::Nsd => (nsd::prepare(&setup), &[][..]),
    };
    let shell = Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(&folder)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut shell = shell.unwrap_or_else(|error| panic!("{kind}: {error}"));
    let log = lines(&mut shell);
    let server = Server { kind, address: (Ipv4Addr::LOCALHOST, setup.port).into(), _shell: shell };
    for (zone, _) in setup.zones.iter().filter(|(zone, _)| !not_loaded.contains(zone)) {
        if let Err(reason) = server.await_zone(zone, &log) {
            return Some(Err(reason));
        }
    }
    Some(Ok(server))
}

/// A port that is free for both UDP and TCP.
fn free_port() -> u16 {
    let attempt = || {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let address = tcp.local_addr().ok()?;
        UdpSocket::bind(address).ok().map(|_| address.port())
    };
    (0..PORT_ATTEMPTS).find_map(|_| attempt()).expect("a free port")
}

/// What a process says on standard error, line by line. It never has to wait for a reader.
fn lines(child: &mut Child) -> Receiver<String> {
    let stderr = child.stderr.take().expect("standard error is piped");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    told
}

impl Server {
    fn await_zone(&self, zone: &str, log: &Receiver<String>) -> Result<(), String> {
        let query = Query::of(&format!("{zone} SOA")).octets();
        let begun = Instant::now();
        let mut said = Vec::new();
        loop {
            let answer = self.datagrams(&[&query], READY_POLL).pop();
            if answer.is_some_and(|answer| Reply::parse(answer).is_authoritative()) {
                return Ok(());
            }
            match log.recv_timeout(READY_POLL) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if begun.elapsed() > READY_TIMEOUT {
                return Err(format!("{} does not serve {zone}: {said:#?}", self.kind));
            }
        }
    }

    /// Sends datagrams from one port and gives all that comes back, at most as many, until
    /// nothing has come for `timeout`.
    fn datagrams(&self, octets: &[&[u8]], timeout: Duration) -> Vec<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect(self.address).expect("an address");
        socket.set_read_timeout(Some(timeout)).expect("a timeout");
        let mut answers = Vec::new();
        for datagram in octets {
            // What an earlier datagram did shows in the answers.
            let _ = socket.send(datagram);
        }
        let mut buffer = vec![0; 65_535];
        while answers.len() < octets.len()
            && let Ok(length) = socket.recv(&mut buffer)
        {
            answers.push(buffer[..length].to_vec());
        }
        answers
    }

    /// The answers to queries whose ids are their places here; those that get none are missing.
    pub(crate) fn burst(&self, queries: &[Query]) -> Vec<Option<Reply>> {
        let octets: Vec<_> = queries.iter().map(Query::octets).collect();
        let octets: Vec<_> = octets.iter().map(Vec::as_slice).collect();
        let mut replies = vec![None; queries.len()];
        for answer in self.datagrams(&octets, ANSWER_TIMEOUT) {
            let reply = Reply::parse(answer);
            let place = usize::from(reply.header.id);
            replies[place] = Some(reply);
        }
        replies
    }

    /// The answer to a datagram of any octets.
    #[track_caller]
    pub(crate) fn udp(&self, octets: &[u8]) -> Reply {
        let answer = self.datagrams(&[octets], ANSWER_TIMEOUT).pop();
        Reply::parse(answer.unwrap_or_else(|| panic!("no answer to {octets:02x?}")))
    }

    /// Whether a datagram gets no answer at all, though one sent after it does.
    pub(crate) fn is_silent(&self, octets: &[u8]) -> bool {
        let probe = Query::of("main.test. SOA").id(0xBEEF).octets();
        let answers = self.datagrams(&[octets, &probe], SILENCE);
        assert!(
            answers.iter().any(|answer| answer.starts_with(&[0xBE, 0xEF])),
            "the server is gone: {answers:02x?}"
        );
        answers.len() == 1
    }

    /// Asks `NAME TYPE` over UDP, without EDNS.
    #[track_caller]
    pub(crate) fn ask(&self, question: &str) -> Reply {
        self.send(&Query::of(question))
    }

    /// Asks over UDP.
    #[track_caller]
    pub(crate) fn send(&self, query: &Query) -> Reply {
        self.udp(&query.octets()).of(query)
    }

    /// Asks over TCP.
    #[track_caller]
    pub(crate) fn tcp(&self, query: &Query) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&framed(&query.octets())).expect("it takes the query");
        self.read(&mut stream).of(query)
    }

    /// A connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    /// The next message of a connection.
    #[track_caller]
    pub(crate) fn read(&self, stream: &mut TcpStream) -> Reply {
        let message = read_message(stream);
        Reply::parse(message.unwrap_or_else(|error| panic!("no answer over TCP: {error}")))
    }

    /// Transfers a zone with a signed AXFR: all its messages.
    #[track_caller]
    pub(crate) fn transfer(&self, zone: &str) -> Vec<Reply> {
        let mut octets = Query::of(&format!("{zone} AXFR")).octets();
        sign(&mut octets);
        let mut stream = self.connect();
        stream.write_all(&framed(&octets)).expect("it takes the query");
        let (mut messages, mut soas) = (Vec::new(), 0);
        while soas < 2 {
            let message = self.read(&mut stream);
            message.rcode(einhorn_wire::Rcode::NOERROR);
            soas += message.answer.iter().filter(|r| r.rtype.0 == 6).count();
            messages.push(message);
        }
        messages
    }
}

/// Signs a request with [`TRANSFER_KEY`].
pub(crate) fn sign(octets: &mut Vec<u8>) {
    let key: Arc<Key> = Arc::new(TRANSFER_KEY.parse().expect("a key"));
    key.sign_request(octets, 0, now_seconds());
}
