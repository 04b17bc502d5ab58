//! Owns every socket: turns bytes into a `Request`, or asks `serve` for an answer.
//!
//! Nothing here touches state. Updates are authenticated and authorised here, and then leave by
//! one bounded queue; their replies come back through the [`reply::Reply`] that went with them.

mod connections;
pub mod control;
mod datagrams;
pub mod devices;
pub mod dispatch;
pub mod doh;
pub mod hostname;
pub mod http;
pub mod rate_limit;
pub mod remote;
pub mod reply;
mod session;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod witness;

pub use datagrams::Outbox;

use arc_swap::{ArcSwap, Guard};
use einhorn_core::model::Zones;
use einhorn_core::model::request::Request;
use einhorn_core::model::settings::Prefix;
use einhorn_core::rules::policy::Policy;
use einhorn_serve::answer::AnswerSettings;
use einhorn_serve::publish::Published;
use einhorn_wire::Name;
use einhorn_wire::cookie::Secret;
use einhorn_wire::tsig::KeyRing;
use rate_limit::{LimitCounters, LimitSettings};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
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
    /// Proxies that are believed for whom they ask.
    pub proxies: Vec<Prefix>,
}

/// What an operator decides about answers and limits; replaced as a whole when the configuration
/// is reloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What answers say.
    pub answer: AnswerSettings,
    /// How much anyone may ask.
    pub limits: LimitSettings,
}

/// Everything that messages are answered from, taken together: once for each message, or for
/// many that came together.
pub struct View {
    /// The zones.
    pub zones: Guard<Arc<Zones>>,
    /// Followed zones that are too old to be served.
    pub expired: Guard<Arc<HashSet<Name>>>,
    /// Keys and policy.
    pub access: Guard<Arc<Access>>,
    /// Answers and limits.
    pub settings: Guard<Arc<Settings>>,
}

/// What every socket needs. Shared by all of them.
pub struct Ingress {
    /// The zones to answer from; written by the commit's thread.
    pub zones: Published,
    /// Keys and policy; written on reload.
    pub access: ArcSwap<Access>,
    /// Answers and limits; written on reload.
    pub settings: ArcSwap<Settings>,
    /// Whether answers have much to do; written by the UDP threads.
    pub crowd: Arc<Crowd>,
    /// What was limited; written by whoever limits.
    pub limited: LimitCounters,
    /// Questions that the hostname server has answered; written by it.
    pub hostname_answers: AtomicU64,
    /// The way to the commit.
    pub submissions: crossbeam_channel::Sender<Submission>,
    /// The way to whoever follows zones; full means that polling has to find out.
    pub notified: tokio::sync::mpsc::Sender<Notified>,
    /// Number of this site; 0 until it has one. Written by the commit's thread.
    pub site: AtomicU16,
    /// Makes the salts of audit commitments, and the seeds of [`Ingress::seed`]; new at every
    /// start, never stored.
    pub audit_secret: [u8; 32],
}

impl Ingress {
    /// What messages are answered from now. Takes no lock.
    pub fn view(&self) -> View {
        View {
            zones: self.zones.current(),
            expired: self.zones.expired(),
            access: self.access.load(),
            settings: self.settings.load(),
        }
    }

    /// A seed for `purpose`, the same until the process ends and known to nobody else.
    pub fn seed(&self, purpose: &str) -> [u8; 16] {
        seed(&self.audit_secret, purpose)
    }

    /// The secret of server cookies when none is configured.
    pub fn cookie_secret(&self) -> Secret {
        cookie_secret(&self.audit_secret)
    }
}

/// As [`Ingress::cookie_secret`], before there is an [`Ingress`].
pub fn cookie_secret(audit_secret: &[u8; 32]) -> Secret {
    Secret(seed(audit_secret, "server cookies"))
}

fn seed(secret: &[u8; 32], purpose: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"einhorn seed\n");
    hash.update(secret);
    hash.update(purpose);
    let mut seed = [0; 16];
    seed.copy_from_slice(&hash.finalize()[..16]);
    seed
}

/// Whether datagrams come in faster than they are handled one by one.
#[derive(Debug, Default)]
pub struct Crowd(AtomicU64);

/// Datagrams that were waiting together, from which on there is a crowd.
const CROWD_DATAGRAMS_MIN: usize = 8;
/// How long a crowd is remembered, in milliseconds.
const CROWD_MS: u64 = 2;

impl Crowd {
    /// Notes how many datagrams were waiting.
    fn note(&self, datagrams: usize, now_ms: u64) {
        if datagrams >= CROWD_DATAGRAMS_MIN && self.0.load(Ordering::Relaxed) != now_ms {
            self.0.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Whether there was a crowd a moment ago.
    pub fn is_there(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.0.load(Ordering::Relaxed)) <= CROWD_MS
    }
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
        /// `UDP`, `TCP`, `DNS over TLS`, `DNS over HTTPS`, `HTTP`, `hostname server` or `link`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// Something else.
    #[error("cannot listen on {protocol} {address}: {source}")]
    Other {
        /// `UDP`, `TCP`, `DNS over TLS`, `DNS over HTTPS`, `HTTP`, `hostname server` or `link`.
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

/// Opens a listener that a runtime takes over, for what people call `protocol`.
fn listen(
    protocol: &'static str,
    address: SocketAddr,
) -> Result<std::net::TcpListener, ListenError> {
    let error = |source| ListenError::new(protocol, address, source);
    let listener = std::net::TcpListener::bind(address).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}

/// Opens a listener for the links of other sites.
///
/// # Errors
/// [`ListenError`].
pub fn bind_link(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let error = |source| ListenError::new("link", address, source);
    std::net::TcpListener::bind(address).map_err(error)
}

/// The time in milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
