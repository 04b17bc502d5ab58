//! Clients that keep a site busy with signed updates and know exactly what they were promised.
//!
//! Each client owns names and has at most one update of each under way, so that a name can only
//! have the value acknowledged last or the one that is under way. Values are never used twice.

use einhorn_harness::{Client as Asker, Reply, ZONE, key, update_message};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use einhorn_wire::{Class, Name, Record, RecordType};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a client waits for an answer before it sends the same octets again, or looks whether
/// it shall stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a load may take to become what a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What all clients of one test share.
pub(crate) struct Shared {
    pub(crate) key: Arc<Key>,
    /// The value of the next update; no two updates have the same.
    next_value: AtomicU32,
    /// Updates that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Updates that were answered with something else than NOERROR.
    pub(crate) refused: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            key: key(),
            next_value: AtomicU32::new(1),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `count` updates were acknowledged or any was refused.
    pub(crate) fn wait_for(&self, count: u64) {
        let begun = Instant::now();
        while self.acknowledged() < count && self.refused.load(Ordering::Relaxed) == 0 {
            let acknowledged = self.acknowledged();
            assert!(begun.elapsed() < WAIT_MAX, "only {acknowledged} updates were acknowledged");
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// An update that was sent: its value and its signed octets.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) value: u32,
    pub(crate) octets: Vec<u8>,
}

/// A name and what is known about it.
pub(crate) struct Owned {
    pub(crate) owner: Name,
    /// The update acknowledged last.
    pub(crate) acknowledged: Option<Sent>,
    /// Acknowledged before that one.
    pub(crate) earlier: Vec<Sent>,
    pub(crate) under_way: Option<Sent>,
}

impl Owned {
    /// The address served for this name, as a number.
    pub(crate) fn served(&self, asker: &Asker) -> Option<u32> {
        let reply = asker.query(&self.owner.to_string(), RecordType::A);
        let known = matches!(reply.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        assert!(known, "a query for {} is answered {:?}", self.owner, reply.rcode);
        assert!(reply.answers.len() <= 1, "{}: {:?}", self.owner, reply.answers);
        let record = reply.answers.first()?;
        Some(u32::from_be_bytes(record.rdata[..].try_into().expect("an address")))
    }

    /// Values the name may have now.
    pub(crate) fn possible(&self) -> [Option<u32>; 2] {
        let acknowledged = self.acknowledged.as_ref().map(|sent| sent.value);
        [acknowledged, self.under_way.as_ref().map_or(acknowledged, |sent| Some(sent.value))]
    }

    pub(crate) fn acknowledge(&mut self) {
        let sent = self.under_way.take().expect("an update under way");
        self.earlier.extend(self.acknowledged.replace(sent));
    }

    /// The update under way; a new one if there is none.
    fn next(&mut self, shared: &Shared) -> &Sent {
        self.under_way.get_or_insert_with(|| {
            let value = shared.next_value.fetch_add(1, Ordering::Relaxed);
            Sent { value, octets: set_address(&self.owner, value, &shared.key) }
        })
    }
}

/// A signed update that replaces all addresses of `owner`; its message id is of its value.
fn set_address(owner: &Name, value: u32, key: &Arc<Key>) -> Vec<u8> {
    let record = |class, ttl, rdata: &[u8]| Record {
        owner: owner.clone(),
        rtype: RecordType::A,
        class,
        ttl,
        rdata: rdata.into(),
    };
    let updates = [record(Class::ANY, 0, &[]), record(Class::IN, 60, &value.to_be_bytes())];
    update_message(value as u16, ZONE, &[], &updates, Some(key))
}

/// How a client talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// One client with its names. Runs on a thread of its own.
pub(crate) struct Client {
    transport: Transport,
    pub(crate) names: Vec<Owned>,
}

/// A client per transport given, each with `names` names.
pub(crate) fn clients(transports: &[Transport], names: usize) -> Vec<Client> {
    let client = |(number, transport): (usize, &Transport)| {
        let names = (0..names).map(|name| Owned {
            owner: format!("c{number}-{name}.{ZONE}").parse().expect("a name"),
            acknowledged: None,
            earlier: Vec::new(),
            under_way: None,
        });
        Client { transport: *transport, names: names.collect() }
    };
    transports.iter().enumerate().map(client).collect()
}

impl Client {
    /// Sends updates until it is stopped or the server is gone.
    pub(crate) fn run(&mut self, server: SocketAddr, shared: &Shared) {
        // What the server's end looks like to a client is no matter of this test.
        let _ = match self.transport {
            Transport::Udp => self.run_udp(server, shared),
            Transport::Tcp => self.run_tcp(server, shared),
        };
    }

    fn run_udp(&mut self, server: SocketAddr, shared: &Shared) -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut under_way = HashMap::new();
        for (at, name) in self.names.iter_mut().enumerate() {
            under_way.insert(name.next(shared).value as u16, at);
            socket.send(&name.next(shared).octets)?;
        }
        let mut answer = [0; 4096];
        while !shared.is_stopped() {
            match socket.recv(&mut answer) {
                Ok(length) => {
                    let Some(at) = self.answered(&answer[..length], &mut under_way, shared) else {
                        continue;
                    };
                    let next = self.names[at].next(shared);
                    under_way.insert(next.value as u16, at);
                    socket.send(&next.octets)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    for at in under_way.values() {
                        socket.send(&self.names[*at].next(shared).octets)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn run_tcp(&mut self, server: SocketAddr, shared: &Shared) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let mut under_way = HashMap::new();
        let mut idle: Vec<usize> = (0..self.names.len()).collect();
        while !shared.is_stopped() {
            let mut octets = Vec::new();
            for at in idle.drain(..) {
                let next = self.names[at].next(shared);
                under_way.insert(next.value as u16, at);
                octets.extend_from_slice(&(next.octets.len() as u16).to_be_bytes());
                octets.extend_from_slice(&next.octets);
            }
            stream.write_all(&octets)?;
            // Half of what is under way is awaited, so that the pipeline never runs dry.
            for _ in 0..under_way.len().div_ceil(2) {
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                let mut answer = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut answer)?;
                idle.extend(self.answered(&answer, &mut under_way, shared));
            }
        }
        Ok(())
    }

    /// Takes an answer; gives the name that may be changed again.
    fn answered(
        &mut self,
        answer: &[u8],
        under_way: &mut HashMap<u16, usize>,
        shared: &Shared,
    ) -> Option<usize> {
        let id = u16::from_be_bytes(*answer.first_chunk()?);
        // An answer to a copy may come when the update was already answered.
        let at = under_way.remove(&id)?;
        if Reply::parse(answer.to_vec()).rcode == Rcode::NOERROR {
            self.names[at].acknowledge();
            shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        Some(at)
    }
}

/// Runs all clients beside `during`; they stop when it returns.
pub(crate) fn under_load<T>(
    clients: &mut [Client],
    server: SocketAddr,
    shared: &Shared,
    during: impl FnOnce() -> T,
) -> T {
    shared.stop.store(false, Ordering::Relaxed);
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| client.run(server, shared));
        }
        // A failed test must not leave its clients running.
        let stop = StopOnDrop(shared);
        let result = during();
        drop(stop);
        result
    })
}

struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Every name has what was acknowledged last, or what was under way.
pub(crate) fn check_served(clients: &[Client], asker: &Asker, context: &str) {
    for name in clients.iter().flat_map(|client| &client.names) {
        let (served, possible) = (name.served(asker), name.possible());
        assert!(
            possible.contains(&served),
            "{context}: {} is {served:?}, but was promised {possible:?}",
            name.owner
        );
    }
}
