//! What an operator sees of the links.

use std::net::SocketAddr;
use std::time::SystemTime;

/// How it stands with one other site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its number.
    pub site: u16,
    /// Its name.
    pub name: String,
    /// The connection, if there is one.
    pub connection: Option<ConnectionStatus>,
    /// What went wrong last, in words, and when. It stays when the site is connected again.
    pub problem: Option<(SystemTime, String)>,
}

/// A connection that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Its number, as in the events.
    pub connection: u64,
    /// The protocol version spoken.
    pub version: u16,
    /// When it came up.
    pub since: SystemTime,
    /// The other end.
    pub address: SocketAddr,
    /// Whether this site dialled.
    pub dialled_here: bool,
    /// Octets handed over and not yet written.
    pub octets_waiting: usize,
}
