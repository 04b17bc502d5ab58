//! Links as long as those between towns: a proxy that passes TCP on after a fixed time.
//!
//! What goes in comes out in the same order, a one-way delay later in each direction, at any rate
//! up to [`UNDER_WAY_OCTETS_MAX`] under way. It works in user space, since not every kernel can
//! delay packets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;
/// Octets of one direction of one connection that can be on their way: who sends more has to wait.
/// At the longest delay in use this is far more than any link between sites needs.
const UNDER_WAY_OCTETS_MAX: usize = 16 << 20;

/// A proxy with a delay. Closed when dropped.
pub struct DelayedLink {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    one_way: Duration,
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    is_cut: bool,
    is_over: bool,
    /// Both ends of what goes through.
    streams: Vec<TcpStream>,
}

/// What was read from one end.
struct Parcel {
    due: Instant,
    octets: Vec<u8>,
}

/// Octets under way in one direction of one connection.
#[derive(Default)]
struct UnderWay {
    octets: Mutex<usize>,
    fewer: Condvar,
}

impl DelayedLink {
    /// A proxy on loopback to `target` that delays each direction by half of `round_trip`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(target: SocketAddr, round_trip: Duration) -> DelayedLink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (line, changed) = (Mutex::new(Line::default()), Condvar::new());
        let shared = Arc::new(Shared { one_way: round_trip / 2, line, changed });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if accepting.line.lock().expect("a line").is_over {
                    return;
                }
                let Ok(server) = TcpStream::connect(target) else { continue };
                accepting.connect(&client, &server);
            }
        });
        DelayedLink { address, shared }
    }

    /// From now on nothing comes out at either end, as on a broken line: nobody is told.
    ///
    /// # Panics
    /// When one of its threads panicked.
    pub fn cut(&self) {
        self.shared.line.lock().expect("a line").is_cut = true;
    }

    /// What is under way arrives after all.
    ///
    /// # Panics
    /// When one of its threads panicked.
    pub fn heal(&self) {
        self.shared.line.lock().expect("a line").is_cut = false;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn connect(self: &Arc<Shared>, client: &TcpStream, server: &TcpStream) {
        let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
        for stream in [client, server] {
            // Parcels are small and late already.
            let _ = stream.set_nodelay(true);
        }
        let kept = [clone(client), clone(server)];
        self.line.lock().expect("a line").streams.extend(kept);
        for (from, to) in [(client, server), (server, client)] {
            let (from, to) = (clone(from), clone(to));
            let (send, receive) = channel();
            let (reading, writing) = (Arc::new(UnderWay::default()), Arc::clone(self));
            let under_way = Arc::clone(&reading);
            let one_way = self.one_way;
            thread::spawn(move || read(from, one_way, &send, &reading));
            thread::spawn(move || writing.write(to, &receive, &under_way));
        }
    }

    /// Writes what is due, until nothing more can come.
    fn write(&self, mut to: TcpStream, parcels: &Receiver<Parcel>, under_way: &UnderWay) {
        while let Ok(Parcel { due, octets }) = parcels.recv() {
            let line = self.line.lock().expect("a line");
            let rest = due.saturating_duration_since(Instant::now());
            let goes_on = |line: &mut Line| !line.is_over;
            let (line, _) = self.changed.wait_timeout_while(line, rest, goes_on).expect("a line");
            let is_cut = |line: &mut Line| line.is_cut && !line.is_over;
            let line = self.changed.wait_while(line, is_cut).expect("a line");
            let is_over = line.is_over;
            drop(line);
            if is_over || to.write_all(&octets).is_err() {
                break;
            }
            *under_way.octets.lock().expect("a count") -= octets.len();
            under_way.fewer.notify_one();
        }
        // The end of what one side sends arrives as late as the rest; it may be closed already.
        let _ = to.shutdown(Shutdown::Both);
        // Nobody waits any more for room.
        *under_way.octets.lock().expect("a count") = 0;
        under_way.fewer.notify_one();
    }
}

/// Reads until the end, and notes when each part is due.
fn read(mut from: TcpStream, one_way: Duration, parcels: &Sender<Parcel>, under_way: &UnderWay) {
    let mut buffer = vec![0; READ_OCTETS];
    while let Ok(count) = from.read(&mut buffer) {
        let octets = buffer[..count].to_vec();
        let held = under_way.octets.lock().expect("a count");
        let is_full = |held: &mut usize| *held > 0 && *held + count > UNDER_WAY_OCTETS_MAX;
        let mut held = under_way.fewer.wait_while(held, is_full).expect("a count");
        *held += count;
        drop(held);
        let due = Instant::now() + one_way;
        if count == 0 || parcels.send(Parcel { due, octets }).is_err() {
            break;
        }
    }
}

impl Drop for DelayedLink {
    fn drop(&mut self) {
        if let Ok(mut line) = self.shared.line.lock() {
            line.is_over = true;
            line.streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        self.shared.changed.notify_all();
        // Wakes the thread that listens, so that it ends.
        let _ = TcpStream::connect(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(30);
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Both ends of a connection through a link.
    fn connected() -> (DelayedLink, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let link = DelayedLink::start(listener.local_addr().expect("an address"), ROUND_TRIP);
        let client = TcpStream::connect(link.address).expect("a connection");
        let (server, _) = listener.accept().expect("a connection");
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("an option");
            stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        }
        (link, client, server)
    }

    #[test]
    fn a_ping_takes_the_round_trip_and_hardly_more() {
        let (_link, mut client, mut server) = connected();
        let echo = thread::spawn(move || {
            let mut octet = [0];
            while server.read_exact(&mut octet).is_ok() {
                server.write_all(&octet).expect("an answer");
            }
        });
        let mut times: Vec<Duration> = (0..20)
            .map(|number| {
                let begin = Instant::now();
                let mut octet = [0];
                client.write_all(&[number]).expect("a ping");
                client.read_exact(&mut octet).expect("an answer");
                assert_eq!(octet, [number]);
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        assert!(times[0] >= ROUND_TRIP, "{times:?}");
        // Of a busy machine the middle says more than the end.
        assert!(times[times.len() / 2] < ROUND_TRIP * 3 / 2, "{times:?}");
        drop(client);
        echo.join().expect("an echo");
    }

    #[test]
    fn much_goes_through_in_order_and_about_as_fast_as_little() {
        let (_link, mut client, mut server) = connected();
        let sent: Vec<u8> = (0..4_u32 << 20).map(|at| (at ^ (at >> 8)) as u8).collect();
        let begin = Instant::now();
        let copy = sent.clone();
        let writing = thread::spawn(move || client.write_all(&copy).map(|()| client));
        let mut read = vec![0; sent.len()];
        server.read_exact(&mut read).expect("all of it");
        let elapsed = begin.elapsed();
        assert!(read == sent, "not the same, or not in order");
        assert!(elapsed >= ROUND_TRIP / 2 && elapsed < Duration::from_secs(2), "{elapsed:?}");
        drop(writing.join().expect("a writer").expect("written"));
        assert_eq!(server.read(&mut [0]).expect("an end"), 0);
    }

    #[test]
    fn a_cut_link_holds_everything_until_it_is_healed() {
        let (link, mut client, mut server) = connected();
        link.cut();
        client.write_all(b"late").expect("written");
        server.set_read_timeout(Some(ROUND_TRIP * 4)).expect("an option");
        let mut octets = [0; 4];
        assert!(server.read(&mut octets).is_err(), "it came through");
        link.heal();
        server.set_read_timeout(Some(PATIENCE)).expect("an option");
        server.read_exact(&mut octets).expect("what was held");
        assert_eq!(&octets, b"late");
    }

    #[test]
    fn who_sends_more_than_can_be_under_way_has_to_wait() {
        let (link, mut client, server) = connected();
        link.cut();
        client.set_write_timeout(Some(Duration::from_millis(500))).expect("an option");
        let part = vec![0; 1 << 20];
        // What sockets hold comes on top.
        let taken = (0..64).take_while(|_| client.write_all(&part).is_ok()).count();
        assert!((UNDER_WAY_OCTETS_MAX >> 20..64).contains(&taken), "{taken} MiB were taken");
        drop((link, server));
    }
}
