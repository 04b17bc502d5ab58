//! How an edge is: what it says at its socket, one JSON object, then it closes.

use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The socket's name in the data folder.
pub const SOCKET_FILE: &str = "edge.sock";
/// How long an edge may take to say how it is.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Octets of what it says at most.
const STATUS_OCTETS_MAX: u64 = 1 << 20;

/// How an edge is.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Status {
    /// The edge's key.
    pub edge: String,
    /// The site that updates go to; none while all are away.
    pub nearest: Option<String>,
    /// `refuse` or `accept`.
    pub queue: String,
    /// The sites.
    pub sites: Vec<SiteStatus>,
    /// Updates that are kept.
    pub queued: usize,
    /// Updates kept at most.
    pub queue_max: usize,
    /// For how long the oldest of them has waited, in milliseconds.
    pub oldest_ms: u64,
    /// Since the start: updates taken.
    pub taken: u64,
    /// Updates that a site has done.
    pub done: u64,
    /// Updates that a site refused.
    pub refused: u64,
    /// Updates that were not taken: the queue was full, or no site was there.
    pub turned_away: u64,
    /// Updates whose devices were told that they are done while no site answered.
    pub promised: u64,
    /// Of those and of leases, what a site refused later.
    pub refused_after_promise: u64,
    /// Older values that made room for others.
    pub dropped: u64,
    /// Updates sent once more since no answer came.
    pub resent: u64,
    /// What went wrong last, the newest first.
    pub errors: Vec<String>,
}

/// A site, seen from an edge.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct SiteStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Whether it answers.
    pub is_there: bool,
    /// Smoothed round trip in microseconds.
    pub round_trip_us: Option<u64>,
}

/// Asks the edge with this data folder.
///
/// # Errors
/// Of the socket, or [`io::ErrorKind::InvalidData`] for an answer of another form.
pub fn ask(data: &Path) -> io::Result<Status> {
    let stream = UnixStream::connect(data.join(SOCKET_FILE))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut text = String::new();
    stream.take(STATUS_OCTETS_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
