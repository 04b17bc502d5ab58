//! The connections between sites: one TLS 1.3 connection for each pair, over which frames of octets
//! go both ways. A site is known by the certificate on its [card] and by nothing else: there
//! is no authority, and names in certificates mean nothing.
//!
//! The caller is a plain thread with a state machine: it hears [`Event`]s from a channel and hands
//! over frames with [`Links::send`], which never blocks. This room never looks into frames, never
//! decides which sites there are, and forgets what was not sent when a connection ends.

mod accept;
pub mod card;
mod connection;
mod dial;
pub mod frame;
pub mod identity;
pub mod nodes;
mod pin;
pub mod preface;
mod queue;
pub mod secret_file;
mod status;
mod table;
mod tls;

pub use identity::{Fingerprint, Identity, IdentityError};
pub use preface::VersionRange;
pub use status::{ConnectionStatus, PeerStatus};

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use table::Table;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Octets of the longest frame.
pub const FRAME_OCTETS_MAX: usize = 16 << 20;
/// Octets that may wait for one connection before [`Links::send`] says [`SendError::Full`].
pub const WAITING_OCTETS_MAX: usize = 32 << 20;
/// How often a connection says that it lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(500);
/// A connection over which nothing came for so long is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Another site: where it may be reached, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub site: u16,
    /// Its name, such as `berlin`; the other side must call itself so.
    pub name: String,
    /// Where it listens, each `host:port`, tried in this order. Empty: only it dials.
    pub addresses: Vec<String>,
    /// The certificates it may show: one, or two while it changes to another.
    pub certificates: Vec<Fingerprint>,
}

/// What happens on the connections. For one site `Up`, its `Frame`s and `Down` come in this order,
/// and always the `Down` of one connection before the `Up` of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A site is connected.
    Up {
        /// Its number.
        site: u16,
        /// The protocol version to speak: the highest that both know.
        version: u16,
        /// The connection, never the same twice.
        connection: u64,
    },
    /// A connection has ended. Frames that still waited to be sent are lost; of those that were
    /// sent, the last may not have arrived.
    Down {
        /// The site's number.
        site: u16,
        /// The connection.
        connection: u64,
        /// Why, for people.
        reason: String,
    },
    /// A frame has come.
    Frame {
        /// The site's number.
        site: u16,
        /// The connection.
        connection: u64,
        /// What the other site gave to [`Links::send`].
        octets: Vec<u8>,
    },
}

/// Why a frame is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`WAITING_OCTETS_MAX`] is reached: the other side, or the way there, is slow.
    #[error("too much waits to be sent already")]
    Full,
    /// The connection has ended; its [`Event::Down`] is there or on its way.
    #[error("the connection has ended")]
    Gone,
    /// Longer than [`FRAME_OCTETS_MAX`].
    #[error("the frame is longer than {FRAME_OCTETS_MAX} octets")]
    TooLong,
}

/// Links that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// The certificate or its key is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The listening socket cannot be used.
    #[error("cannot listen for other sites: {0}")]
    Listen(#[from] std::io::Error),
}

/// All connections of one site. Dropping it ends them.
#[derive(Debug)]
pub struct Links {
    table: Arc<Table>,
    accepting: Option<AbortHandle>,
    /// Where it listens.
    pub address: Option<SocketAddr>,
}

impl Links {
    /// Begins to listen, if there is a `listener`; nobody is dialled before [`Links::set_peers`].
    ///
    /// `seed` makes the delays between attempts differ from those of other sites. `events` should
    /// be bounded: while it is full, nothing is read from any site.
    ///
    /// # Errors
    /// [`LinksError`].
    pub fn start(
        identity: &Identity,
        listener: Option<TcpListener>,
        versions: VersionRange,
        seed: u64,
        events: crossbeam_channel::Sender<Event>,
        runtime: &Handle,
    ) -> Result<Links, LinksError> {
        let table = Arc::new(Table::new(identity, versions, seed, events, runtime.clone())?);
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let accepting = match listener {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                let inside = runtime.enter();
                let listener = tokio::net::TcpListener::from_std(listener)?;
                drop(inside);
                Some(runtime.spawn(accept::run(Arc::clone(&table), listener)).abort_handle())
            }
            None => None,
        };
        Ok(Links { table, accepting, address })
    }

    /// Replaces the list of sites. Connections to sites that are not in it any more, and those on
    /// which a certificate was shown that is not accepted any more, are closed; others stay.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        Table::set_peers(&self.table, peers);
    }

    /// From now on new connections show this certificate; those that exist stay. The site's name
    /// does not change.
    ///
    /// # Errors
    /// [`IdentityError`]; then the old certificate stays.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.table.set_identity(identity)
    }

    /// Hands over a frame. Never blocks; frames of one connection arrive in the order in which
    /// they were handed over.
    ///
    /// # Errors
    /// [`SendError`]; then the frame will not arrive.
    pub fn send(&self, site: u16, connection: u64, frame: Vec<u8>) -> Result<(), SendError> {
        if frame.len() > FRAME_OCTETS_MAX {
            return Err(SendError::TooLong);
        }
        self.table.connection(site, connection).ok_or(SendError::Gone)?.queue.push(frame)
    }

    /// What an operator wants to know, ordered by the sites' numbers.
    pub fn status(&self) -> Vec<PeerStatus> {
        self.table.status()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.table.close();
    }
}
