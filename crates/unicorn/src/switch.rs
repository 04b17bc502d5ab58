//! The network between machines: a switch of Ethernet frames that come as datagrams, which can
//! lose, delay and keep apart what passes; and the sockets of its [`crate::gateway`].
//!
//! It never looks beyond the addresses of a frame, and a machine that does not take its frames
//! loses them.

use crate::cluster::{DNS_PORT, link_address};
use crate::gateway::{Gateway, Outward};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Octets of the largest frame that QEMU sends.
const FRAME_OCTETS_MAX: usize = 65_600;
/// Frames that wait because of a delay, at most; further ones are lost.
const WAITING_MAX: usize = 4096;
/// How often the switch looks whether something waits, while nothing comes.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The addresses of machines begin so, and end with place + 1.
const PREFIX: [u8; 5] = [2, 0, 0, 0, 1];

/// What happens to frames.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Pairs that do not reach each other, the lower place first.
    pub cut: BTreeSet<(usize, usize)>,
    /// How long each frame takes, in milliseconds.
    pub delay_ms: u64,
    /// Of 1000 frames so many are lost.
    pub lost_per_mille: u64,
}

impl Rules {
    /// Keeps two machines apart.
    pub fn part(&mut self, one: usize, other: usize) {
        self.cut.insert((one.min(other), one.max(other)));
    }

    /// Who gets a frame that `from` sent, of `count` machines; `chance` decides about losses.
    pub fn route(&self, from: usize, frame: &[u8], count: usize, chance: u64) -> Vec<usize> {
        let Some(to) = frame.get(..6) else { return Vec::new() };
        if chance % 1000 < self.lost_per_mille {
            return Vec::new();
        }
        let is_group = to[0] & 1 == 1;
        let is_to = |place: usize| to[..5] == PREFIX && usize::from(to[5]) == place + 1;
        (0..count)
            .filter(|place| *place != from && (is_group || is_to(*place)))
            .filter(|place| !self.cut.contains(&(from.min(*place), from.max(*place))))
            .collect()
    }
}

/// One machine of the network.
pub struct Station {
    /// Its socket.
    pub end: PathBuf,
    /// Where its DNS over UDP is on the host.
    pub dns: SocketAddr,
}

/// Runs the switch at `socket` in threads.
///
/// # Errors
/// A socket cannot be made.
pub fn run(socket: &Path, stations: Vec<Station>, rules: Arc<Mutex<Rules>>) -> io::Result<()> {
    // One that is left over from an earlier run.
    let _ = std::fs::remove_file(socket);
    let socket = UnixDatagram::bind(socket)?;
    let sockets = stations.iter().map(|station| {
        UdpSocket::bind(station.dns).map_err(|error| {
            io::Error::new(error.kind(), format!("no queries at {}: {error}", station.dns))
        })
    });
    let sockets: Vec<UdpSocket> = sockets.collect::<io::Result<_>>()?;
    let gateway = Arc::new(Mutex::new(Gateway::default()));
    for (place, station) in stations.iter().enumerate() {
        let queries = Queries {
            place,
            queries: sockets[place].try_clone()?,
            sender: socket.try_clone()?,
            end: station.end.clone(),
            gateway: Arc::clone(&gateway),
        };
        let thread = std::thread::Builder::new().name("queries".to_owned());
        thread.spawn(move || queries.hand_in())?;
    }
    let sender = socket.try_clone()?;
    std::thread::Builder::new().name("switch".to_owned()).spawn(move || {
        let mut switch = Switch {
            socket,
            sender,
            stations,
            sockets,
            gateway,
            waiting: VecDeque::new(),
            chance: 1,
        };
        let mut frame = vec![0; FRAME_OCTETS_MAX];
        loop {
            switch.step(&rules, &mut frame);
        }
    })?;
    Ok(())
}

/// What clients ask one machine.
struct Queries {
    place: usize,
    queries: UdpSocket,
    sender: UnixDatagram,
    end: PathBuf,
    gateway: Arc<Mutex<Gateway>>,
}

impl Queries {
    fn hand_in(self) {
        let to = SocketAddr::new(link_address(self.place).ip(), DNS_PORT);
        let mut message = vec![0; FRAME_OCTETS_MAX];
        loop {
            // An answer that a client did not take is reported here; it is no end.
            let Ok((length, client)) = self.queries.recv_from(&mut message) else { continue };
            let mut gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
            let frame = gateway.inward(self.place, client, to, &message[..length]);
            drop(gateway);
            if let Some(frame) = frame {
                send(&self.sender, &self.end, &frame);
            }
        }
    }
}

struct Switch {
    socket: UnixDatagram,
    sender: UnixDatagram,
    stations: Vec<Station>,
    sockets: Vec<UdpSocket>,
    gateway: Arc<Mutex<Gateway>>,
    waiting: VecDeque<(Instant, usize, Vec<u8>)>,
    chance: u64,
}

impl Switch {
    fn step(&mut self, rules: &Mutex<Rules>, buffer: &mut [u8]) {
        let wait = match self.waiting.front() {
            Some((due, ..)) => due.saturating_duration_since(Instant::now()),
            None => LOOK_INTERVAL,
        };
        let wait = wait.clamp(Duration::from_millis(1), LOOK_INTERVAL);
        // A wait that cannot be set keeps its last value.
        let _ = self.socket.set_read_timeout(Some(wait));
        let came = self.socket.recv_from(buffer);
        while self.waiting.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            if let Some((_, to, frame)) = self.waiting.pop_front() {
                send(&self.sender, &self.stations[to].end, &frame);
            }
        }
        // Nothing came in time, or a machine is gone.
        let Ok((length, address)) = came else { return };
        let frame = &buffer[..length];
        let is_end = |station: &Station| address.as_pathname() == Some(&station.end);
        let Some(from) = self.stations.iter().position(is_end) else { return };
        let gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        match gateway.outward(from, frame) {
            Some(Outward::Frame(reply)) => {
                return send(&self.sender, &self.stations[from].end, &reply);
            }
            Some(Outward::Message(client, message)) => {
                // A client that is gone needs no answer.
                let _ = self.sockets[from].send_to(message, client);
                return;
            }
            None => drop(gateway),
        }
        let rules = rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.chance = next_number(self.chance);
        for to in rules.route(from, frame, self.stations.len(), self.chance >> 33) {
            if rules.delay_ms == 0 {
                send(&self.sender, &self.stations[to].end, frame);
            } else if self.waiting.len() < WAITING_MAX {
                let due = Instant::now() + Duration::from_millis(rules.delay_ms);
                self.waiting.push_back((due, to, frame.to_vec()));
            }
        }
    }
}

fn send(sender: &UnixDatagram, end: &Path, frame: &[u8]) {
    // A machine that is gone or paused loses its frames, as with any network.
    let flags = rustix::net::SendFlags::DONTWAIT;
    if let Ok(address) = rustix::net::SocketAddrUnix::new(end) {
        let _ = rustix::net::sendto(sender, frame, flags, &address);
    }
}

/// The next of a row of numbers that look random (Knuth's constants).
fn next_number(last: u64) -> u64 {
    last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(last: u8) -> [u8; 60] {
        let mut frame = [0; 60];
        frame[..5].copy_from_slice(&PREFIX);
        frame[5] = last;
        frame
    }

    #[test]
    fn frames_go_where_they_are_addressed_and_not_across_a_cut() {
        let mut rules = Rules::default();
        let everybody = [0xff; 60];
        assert_eq!(rules.route(0, &frame(2), 3, 0), [1]);
        assert_eq!(rules.route(0, &everybody, 3, 0), [1, 2]);
        rules.part(1, 0);
        assert!(rules.route(0, &frame(2), 3, 0).is_empty());
        assert_eq!(rules.route(1, &everybody, 3, 0), [2]);
        assert!(rules.route(0, &frame(9), 3, 0).is_empty());
        assert!(rules.route(0, b"short", 3, 0).is_empty());
    }

    #[test]
    fn as_many_frames_are_lost_as_was_said() {
        let rules = Rules { lost_per_mille: 250, ..Rules::default() };
        let mut chance = 1;
        let arrived = (0..10_000).filter(|_| {
            chance = next_number(chance);
            !rules.route(0, &frame(2), 2, chance >> 33).is_empty()
        });
        let arrived = arrived.count();
        assert!((7300..7700).contains(&arrived), "{arrived}");
    }
}
