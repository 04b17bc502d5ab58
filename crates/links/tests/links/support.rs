//! Sites on loopback, and a relay between them that can fall silent.

use crossbeam_channel::{Receiver, bounded};
use einhorn_links::{Event, Identity, Links, Peer, PeerStatus, VersionRange};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Events that a site's channel holds, unless a test says otherwise.
const EVENTS_MAX: usize = 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
});

pub(crate) fn range(lowest: u16, highest: u16) -> VersionRange {
    VersionRange::new(lowest, highest).expect("a range")
}

/// One site.
pub(crate) struct Site {
    pub(crate) number: u16,
    pub(crate) identity: Identity,
    pub(crate) links: Links,
    pub(crate) events: Receiver<Event>,
}

/// How a site is started.
pub(crate) struct Start {
    pub(crate) versions: VersionRange,
    pub(crate) seed: u64,
    pub(crate) events_max: usize,
    pub(crate) address: SocketAddr,
}

impl Default for Start {
    fn default() -> Start {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Start { versions: range(1, 1), seed: 1, events_max: EVENTS_MAX, address }
    }
}

impl Start {
    pub(crate) fn site(self, number: u16, identity: Identity) -> Site {
        let (sender, events) = bounded(self.events_max);
        let listener = TcpListener::bind(self.address).expect("a free port");
        let runtime = RUNTIME.handle();
        let links =
            Links::start(&identity, Some(listener), self.versions, self.seed, sender, runtime);
        Site { number, identity, links: links.expect("links"), events }
    }
}

pub(crate) fn identity(name: &str) -> Identity {
    Identity::generate(name).expect("an identity")
}

/// A site with the defaults.
pub(crate) fn site(number: u16, name: &str) -> Site {
    Start::default().site(number, identity(name))
}

impl Site {
    pub(crate) fn address(&self) -> SocketAddr {
        self.links.address.expect("it listens")
    }

    /// This site as others list it.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            site: self.number,
            name: self.identity.name.clone(),
            addresses: vec![self.address().to_string()],
            certificates: vec![self.identity.fingerprint()],
        }
    }

    /// This site for others that cannot dial it.
    pub(crate) fn peer_undialled(&self) -> Peer {
        Peer { addresses: Vec::new(), ..self.peer() }
    }

    pub(crate) fn event(&self) -> Event {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(_) => panic!("{}: no event; {:?}", self.identity.name, self.links.status()),
        }
    }

    /// Waits for a connection that comes up, and returns its number.
    pub(crate) fn up(&self) -> u64 {
        match self.event() {
            Event::Up { connection, .. } => connection,
            other => panic!("{}: {other:?} instead of Up", self.identity.name),
        }
    }

    /// Waits for the end of a connection, and returns the reason.
    pub(crate) fn down(&self, ended: u64) -> String {
        match self.event() {
            Event::Down { connection, reason, .. } if connection == ended => reason,
            other => panic!("{}: {other:?} instead of Down {ended}", self.identity.name),
        }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        match self.event() {
            Event::Frame { octets, .. } => octets,
            other => panic!("{}: {other:?} instead of a frame", self.identity.name),
        }
    }

    /// Asserts that nothing happens for so long.
    pub(crate) fn quiet(&self, time: Duration) {
        if let Ok(event) = self.events.recv_timeout(time) {
            panic!("{}: {event:?} instead of nothing", self.identity.name);
        }
    }

    /// Looks at the status until it is as wanted. Nothing tells when it changes.
    pub(crate) fn status(&self, wanted: impl Fn(&PeerStatus) -> bool) -> PeerStatus {
        let begun = Instant::now();
        loop {
            let status = self.links.status();
            if let Some(found) = status.iter().find(|status| wanted(status)) {
                return found.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {status:?}", self.identity.name);
            std::thread::yield_now();
        }
    }

    /// The problem with the only peer, once it says `part`.
    pub(crate) fn problem(&self, part: &str) -> String {
        let says = |status: &PeerStatus| {
            status.problem.as_ref().is_some_and(|(_, problem)| problem.contains(part))
        };
        self.status(says).problem.expect("just seen").1
    }
}

/// Lists two sites at each other and waits until they are connected; only the first one dials.
pub(crate) fn connect(one: &Site, two: &Site) -> (u64, u64) {
    two.links.set_peers(vec![one.peer_undialled()]);
    one.links.set_peers(vec![two.peer()]);
    (one.up(), two.up())
}

/// Forwards connections, until it is told to forward nothing any more.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    silent: Arc<AtomicBool>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub(crate) fn new(to: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let silent = Arc::new(AtomicBool::new(false));
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let relay = Relay { address, silent, sockets };
        let (silent, sockets) = (Arc::clone(&relay.silent), Arc::clone(&relay.sockets));
        std::thread::spawn(move || {
            for from in listener.incoming() {
                let (Ok(from), Ok(to)) = (from, TcpStream::connect(to)) else { return };
                let clone = |socket: &TcpStream| socket.try_clone().expect("a second handle");
                sockets.lock().expect("a lock").extend([clone(&from), clone(&to)]);
                pump(clone(&from), clone(&to), Arc::clone(&silent));
                pump(to, from, Arc::clone(&silent));
            }
        });
        relay
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// Lets everything pass again on new connections, and ends the old ones.
    pub(crate) fn recover(&self) {
        self.silent.store(false, Ordering::SeqCst);
        for socket in self.sockets.lock().expect("a lock").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, silent: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if !silent.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
}
