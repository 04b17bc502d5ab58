//! Owns every socket: turns bytes into a `Request`, or asks `serve` for an answer.
//!
//! Nothing here touches state. Updates are authenticated and authorised here, and then leave by
//! one bounded queue; their replies come back through the [`reply::Reply`] that went with them.

pub mod control;
pub mod dispatch;
pub mod http;
pub mod outbox;
pub mod remote;
pub mod reply;
pub mod tcp;
pub mod udp;

use arc_swap::ArcSwap;
use einhorn_core::model::request::Request;
use einhorn_core::rules::policy::Policy;
use einhorn_serve::publish::Published;
use einhorn_wire::Name;
use einhorn_wire::tsig::KeyRing;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

/// Updates that may wait for the commit; more are answered SERVFAIL at once.
pub const SUBMISSIONS_WAITING_MAX: usize = 16_384;
/// Notifications that may wait for whoever follows zones.
pub const NOTIFICATIONS_WAITING_MAX: usize = 16_384;

/// Who may do what; replaced as a whole when the configuration is reloaded.
#[derive(Debug, Default)]
pub struct Access {
    /// Keys by name.
    pub keys: KeyRing,
    /// What they may do.
    pub policy: Policy,
}

/// What every socket needs. Shared by all of them.
pub struct Ingress {
    /// The zones to answer from; written by the commit's thread.
    pub zones: Published,
    /// Keys and policy; written on reload.
    pub access: ArcSwap<Access>,
    /// The way to the commit.
    pub submissions: crossbeam_channel::Sender<Submission>,
    /// The way to whoever follows zones; full means that polling has to find out.
    pub notified: tokio::sync::mpsc::Sender<Notified>,
    /// Number of this site.
    pub site: u16,
    /// Makes the salts of audit commitments; new at every start, never stored.
    pub audit_secret: [u8; 32],
}

/// A primary said that a zone has changed.
#[derive(Debug, Clone)]
pub struct Notified {
    /// Apex.
    pub zone: Name,
    /// Where it said so from.
    pub address: IpAddr,
}

/// A request on its way to the commit, and the way back.
pub struct Submission {
    /// What is asked.
    pub request: Request,
    /// Whom to tell.
    pub reply: reply::Reply,
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the address.
    #[error(
        "{protocol} {address} is in use: stop the program that listens there, or choose another address"
    )]
    InUse {
        /// `UDP`, `TCP` or `HTTP`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// Something else.
    #[error("cannot listen on {protocol} {address}: {source}")]
    Other {
        /// `UDP`, `TCP` or `HTTP`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ListenError {
    fn new(protocol: &'static str, address: SocketAddr, source: std::io::Error) -> ListenError {
        match source.kind() {
            std::io::ErrorKind::AddrInUse => ListenError::InUse { protocol, address },
            _ => ListenError::Other { protocol, address, source },
        }
    }
}

/// The time in milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
