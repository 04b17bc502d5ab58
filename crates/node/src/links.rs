//! Between the commit and the links: frames out, messages in, and entries from the disk for sites
//! that lag behind.

use crate::recover::log_id;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use einhorn_core::link::{self, ENTRIES_OCTETS, Message};
use einhorn_core::model::{Origin, Registry};
use einhorn_links::card::Card;
use einhorn_links::{Event, Identity, Links, LinksError, Peer, SendError, VersionRange};
use einhorn_store::engine::EngineReader;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Frames that may wait for the commit; while they do nothing is read from any site.
const EVENTS_WAITING_MAX: usize = 4_096;
/// The number of the site that a new one joins through, until it knows the real one.
const JOINED: u16 = u16::MAX;
/// How long to wait before more is read for a site that is slow to take it.
const SLOW_NAP: Duration = Duration::from_millis(5);

/// What a site needs to speak to others.
pub(crate) struct LinkStart<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) listener: TcpListener,
    pub(crate) seed: u64,
    /// The card of the site to join through.
    pub(crate) join: Option<&'a Card>,
    pub(crate) reader: Box<dyn EngineReader>,
}

/// The links, as the commit's thread sees them.
pub(crate) struct LinkSide {
    links: Arc<Links>,
    name: String,
    join: Option<Card>,
    pub(crate) events: Receiver<Event>,
    /// The connection of each site that is up.
    connections: BTreeMap<u16, u64>,
    streams: Sender<Stream>,
    pub(crate) streamed: Receiver<Streamed>,
}

/// Entries to read for a site.
struct Stream {
    to: u16,
    connection: u64,
    origin: Origin,
    from: u64,
}

/// Entries were read for a site.
pub(crate) struct Streamed {
    pub(crate) to: u16,
    connection: u64,
    pub(crate) origin: Origin,
    pub(crate) next: u64,
}

/// Something that a site brought about.
pub(crate) enum Heard {
    Up(u16),
    Down(u16),
    Said(u16, Message),
    /// Nothing to act on.
    Nothing,
}

impl LinkSide {
    /// Begins to listen, and to connect to the sites of `registry`.
    pub(crate) fn start(
        start: LinkStart<'_>,
        registry: &Registry,
        runtime: &tokio::runtime::Handle,
    ) -> Result<LinkSide, LinksError> {
        let LinkStart { identity, listener, seed, join, reader } = start;
        let (send, events) = bounded(EVENTS_WAITING_MAX);
        const VERSIONS: VersionRange = match VersionRange::new(link::VERSION_MIN, link::VERSION_MAX)
        {
            Some(versions) => versions,
            None => panic!("the lowest version is above the highest"),
        };
        let links = Links::start(identity, Some(listener), VERSIONS, seed, send, runtime)?;
        let links = Arc::new(links);
        let (streams, wanted) = unbounded();
        let (done, streamed) = unbounded();
        let out = Arc::clone(&links);
        thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || stream(reader, &out, &wanted, &done))?;
        let name = identity.name.clone();
        let join = join.cloned();
        let connections = BTreeMap::new();
        let side = LinkSide { links, name, join, events, connections, streams, streamed };
        side.set_sites(registry);
        Ok(side)
    }

    /// The links, for those who want to know how they are.
    pub(crate) fn links(&self) -> Arc<Links> {
        Arc::clone(&self.links)
    }

    /// The sites are these now.
    pub(crate) fn set_sites(&self, registry: &Registry) {
        let others = registry.sites.iter().filter(|(_, site)| site.name != self.name);
        let mut peers: Vec<Peer> = others
            .map(|(number, site)| Peer {
                site: *number,
                name: site.name.clone(),
                addresses: site.addresses.clone(),
                certificates: site.certificates.clone(),
            })
            .collect();
        // Until this site has heard which others there are it knows the one on the card.
        if let Some(join) = self.join.as_ref().filter(|_| registry.named(&self.name).is_none()) {
            peers.retain(|peer| peer.name != join.name);
            peers.push(join.peer(JOINED));
        }
        self.links.set_peers(peers);
    }

    /// What an event means.
    pub(crate) fn hear(&mut self, event: Event) -> Heard {
        match event {
            Event::Up { site, connection, version } => {
                tracing::info!(site, version, "another site is connected");
                self.connections.insert(site, connection);
                Heard::Up(site)
            }
            Event::Down { site, connection, reason } => {
                tracing::warn!(site, %reason, "another site is not connected any more");
                if self.connections.get(&site) != Some(&connection) {
                    return Heard::Nothing;
                }
                self.connections.remove(&site);
                Heard::Down(site)
            }
            Event::Frame { site, connection, octets } => {
                if self.connections.get(&site) != Some(&connection) {
                    return Heard::Nothing;
                }
                match Message::decode(&octets) {
                    Ok(message) => Heard::Said(site, message),
                    Err(error) => {
                        tracing::error!(site, %error, "another site says something that makes no sense");
                        Heard::Nothing
                    }
                }
            }
        }
    }

    /// Whether what was streamed went over the connection that there is now.
    pub(crate) fn is_current(&self, streamed: &Streamed) -> bool {
        self.connections.get(&streamed.to) == Some(&streamed.connection)
    }

    /// Sends a frame to a site, if it is connected. False if it takes nothing any more: then it
    /// must be connected anew, since what was not sent is missing there.
    pub(crate) fn send(&self, site: u16, frame: Vec<u8>) -> bool {
        let Some(connection) = self.connections.get(&site) else { return true };
        match self.links.send(site, *connection, frame) {
            Ok(()) | Err(SendError::Gone) => true,
            Err(error) => {
                tracing::warn!(site, %error, "another site is too slow; it is connected anew");
                false
            }
        }
    }

    /// Ends the connection to a site; it is made again.
    pub(crate) fn reconnect(&self, site: u16, registry: &Registry) {
        let mut without = registry.clone();
        without.sites.remove(&site);
        self.set_sites(&without);
        self.set_sites(registry);
    }

    /// Has entries read and sent to a site.
    pub(crate) fn stream(&self, to: u16, origin: Origin, from: u64) {
        if let Some(connection) = self.connections.get(&to) {
            let stream = Stream { to, connection: *connection, origin, from };
            // The thread ends only after this side is gone.
            let _ = self.streams.send(stream);
        }
    }
}

/// Reads entries for those who lag behind, some at a time, until nobody wants any.
fn stream(
    mut reader: Box<dyn EngineReader>,
    links: &Links,
    wanted: &Receiver<Stream>,
    done: &Sender<Streamed>,
) {
    while let Ok(Stream { to, connection, origin, from }) = wanted.recv() {
        let next = match read_frame(&mut *reader, origin, from) {
            Ok((next, frame)) => match send_patiently(links, to, connection, frame) {
                Ok(()) => next,
                // It is connected anew, and says then what it wants.
                Err(_) => continue,
            },
            Err(error) => {
                tracing::error!(%error, %origin, from, "entries for another site cannot be read");
                continue;
            }
        };
        if done.send(Streamed { to, connection, origin, next }).is_err() {
            return;
        }
    }
}

fn read_frame(
    reader: &mut dyn EngineReader,
    origin: Origin,
    from: u64,
) -> Result<(u64, Vec<u8>), einhorn_store::engine::EngineError> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut octets = 0;
    reader.read(log_id(origin), from, ENTRIES_OCTETS, &mut |_, _, entry| {
        if octets < ENTRIES_OCTETS {
            octets += entry.len();
            entries.push(entry.to_vec());
        }
    })?;
    let next = from + entries.len() as u64;
    Ok((next, link::entries_frame(origin, from, entries.iter().map(Vec::as_slice))))
}

fn send_patiently(
    links: &Links,
    to: u16,
    connection: u64,
    frame: Vec<u8>,
) -> Result<(), SendError> {
    loop {
        match links.send(to, connection, frame.clone()) {
            Err(SendError::Full) => thread::sleep(SLOW_NAP),
            result => return result,
        }
    }
}
