//! Links between sites: frames in order with delay, connections that break and come again empty,
//! and a network that divides for a while.

use crate::world::{Event, World};
use einhorn_core::link::{Message, entries_frame};

/// Milliseconds of silence after which a connection counts as broken.
const SILENCE_MS: u64 = 2_000;
/// Octets of entries in one frame: little, so that streams have many pieces.
const STREAM_ENTRIES: usize = 7;

/// A connection between two sites.
pub(crate) struct Connection {
    a: u16,
    b: u16,
    pub(crate) is_broken: bool,
    /// When the last frame in either direction arrives.
    last: [u64; 2],
}

/// A pair of sites that cannot talk for a while.
pub(crate) struct Split {
    until: u64,
}

fn pair(a: u16, b: u16) -> (u16, u16) {
    (a.min(b), a.max(b))
}

impl World {
    /// Sends a frame, if there is a connection.
    pub(crate) fn send(&mut self, from: u16, to: u16, frame: Vec<u8>) {
        let Some(connection) = self.site(from).links.get(&to).copied() else { return };
        let latency = if self.random.one_in(20) { 40 } else { 8 };
        let latency = self.between(1, latency);
        let stalled = self.splits.get(&pair(from, to)).map_or(0, |split| split.until);
        let link = &mut self.connections[connection];
        if link.is_broken {
            return;
        }
        let last = &mut link.last[usize::from(from == link.a)];
        *last = (*last).max(self.now.max(stalled) + latency);
        let at = *last;
        let event = Event::Frame { connection, from, to, frame, has_arrived: false };
        self.at(at, event);
    }

    /// A frame arrives.
    pub(crate) fn frame(
        &mut self,
        (connection, has_arrived): (usize, bool),
        (from, to): (u16, u16),
        frame: Vec<u8>,
    ) -> Result<(), String> {
        if self.connections[connection].is_broken && !has_arrived {
            self.count("frames lost");
            return Ok(());
        }
        let (now, site) = (self.now, self.site(to));
        if site.links.get(&from) != Some(&connection) {
            return Ok(());
        }
        if site.paused_until > now {
            let until = site.paused_until;
            self.at(until, Event::Frame { connection, from, to, frame, has_arrived: true });
            return Ok(());
        }
        let message = Message::decode(&frame).map_err(|error| error.to_string())?;
        if self.is_watched() && message.encode() != frame {
            return Err(format!("a message reads back as another: {message:?}"));
        }
        self.with(to, |commit, clock, out| commit.message(clock, from, message, out))
    }

    /// Connects two sites that know of each other, if they can.
    pub(crate) fn connect(&mut self, a: u16, b: u16) {
        let again = self.between(30, 300);
        self.later(again, Event::Connect { a, b });
        let now = self.now;
        let can = |world: &mut World, one: u16, other: u16| {
            let site = world.site(one);
            site.commit.is_some() && site.paused_until <= now && !site.links.contains_key(&other)
        };
        let knows = |world: &mut World, one: u16, other: u16| {
            let commit = world.site(one).commit.as_ref();
            commit.is_some_and(|commit| commit.state().registry.sites.contains_key(&other))
        };
        let is_split = self.splits.get(&pair(a, b)).is_some_and(|split| split.until > now);
        if is_split || !can(self, a, b) || !can(self, b, a) {
            return;
        }
        if !knows(self, a, b) && !knows(self, b, a) {
            return;
        }
        let connection = self.connections.len();
        let up = [self.now + 1, self.now + self.between(1, 20)];
        let last = up[0].max(up[1]);
        self.connections.push(Connection { a, b, is_broken: false, last: [last; 2] });
        self.site(a).links.insert(b, connection);
        self.site(b).links.insert(a, connection);
        self.at(up[0], Event::Up { connection, site: a, peer: b });
        self.at(up[1], Event::Up { connection, site: b, peer: a });
    }

    /// A connection is there.
    pub(crate) fn up(&mut self, connection: usize, site: u16, peer: u16) -> Result<(), String> {
        if self.site(site).links.get(&peer) != Some(&connection) {
            return Ok(());
        }
        self.note(|| format!("s{site} is connected to s{peer}"));
        self.with(site, |commit, clock, out| commit.peer_up(clock, peer, out))
    }

    /// A connection breaks; each side notices after at most so many milliseconds.
    pub(crate) fn break_link(&mut self, connection: usize, notice_ms: u64) {
        let link = &mut self.connections[connection];
        if std::mem::replace(&mut link.is_broken, true) {
            return;
        }
        let (a, b) = (link.a, link.b);
        for (site, peer) in [(a, b), (b, a)] {
            // Not before the connection was seen.
            let after = self.between(21, 21 + notice_ms);
            self.later(after, Event::Down { connection, site, peer });
        }
    }

    /// A site notices that a connection is gone.
    pub(crate) fn down(&mut self, connection: usize, site: u16, peer: u16) -> Result<(), String> {
        let now = self.now;
        let here = self.site(site);
        if here.links.get(&peer) != Some(&connection) {
            return Ok(());
        }
        if here.paused_until > now {
            let until = here.paused_until;
            self.at(until, Event::Down { connection, site, peer });
            return Ok(());
        }
        here.links.remove(&peer);
        self.note(|| format!("s{site} has lost s{peer}"));
        self.with(site, |commit, clock, out| commit.peer_down(clock, peer, out))
    }

    /// Two sites cannot talk for a while.
    pub(crate) fn split(&mut self, a: u16, b: u16, for_ms: u64) {
        // Sometimes it is only slow: what was sent arrives, late, and before anybody gives it up.
        let is_slow = self.random.one_in(4);
        let for_ms = if is_slow { for_ms.min(SILENCE_MS) } else { for_ms };
        let until = self.now + for_ms;
        self.splits.insert(pair(a, b), Split { until });
        if is_slow {
            self.count("links stalled");
            return;
        }
        if for_ms >= SILENCE_MS
            && let Some(connection) = self.site(a).links.get(&b).copied()
        {
            self.later(SILENCE_MS, Event::Break { connection });
        }
    }

    /// A site that says nothing for too long loses its connections.
    pub(crate) fn silence(&mut self, site: u16, for_ms: u64) {
        if for_ms >= SILENCE_MS {
            let links: Vec<usize> = self.site(site).links.values().copied().collect();
            for connection in links {
                self.later(SILENCE_MS, Event::Break { connection });
            }
        }
    }

    /// Reads durable entries from the disk and sends them.
    pub(crate) fn stream(
        &mut self,
        number: u16,
        to: u16,
        origin: einhorn_core::model::Origin,
        from: u64,
    ) -> Result<(), String> {
        let count = 1 + self.random.below(STREAM_ENTRIES as u64) as usize;
        let log = self.site(number).disk.logs.get(&origin).into_iter().flatten();
        let entries: Vec<_> = log.skip(from as usize).take(count).cloned().collect();
        if entries.is_empty() {
            return Err(format!("s{number} is to send {origin}:{from}, which is not on its disk"));
        }
        let next = from + entries.len() as u64;
        let frame = entries_frame(origin, from, entries.iter().map(|entry| &**entry));
        self.note(|| format!("s{number} -> s{to} stream {origin}:{from}+{}", entries.len()));
        self.send(number, to, frame);
        self.with(number, |commit, _, out| commit.streamed(to, origin, next, out))
    }
}
