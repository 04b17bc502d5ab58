//! Dialling: one task for each other site, which makes a connection whenever there is none.

use crate::connection::{self, Opening, in_words};
use crate::frame::Frame;
use crate::identity::hex;
use crate::pin::{self, Pin};
use crate::preface::{PREFACE_OCTETS_MAX, Preface};
use crate::table::{Candidate, Table};
use crate::{Peer, frame};
use rustls::pki_types::ServerName;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsConnector, TlsStream};

/// The first delay between attempts is this to twice this; each further one doubles.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest delay is twice this.
const DELAY_MAX: Duration = Duration::from_secs(1);
/// The side whose connection would not stay leaves the other one this much time to dial.
const COURTESY: Duration = Duration::from_millis(100);
/// A connection that lasted so long makes the delays begin anew.
const STABLE_MIN: Duration = Duration::from_secs(1);
/// Time for the TCP connection, resolving the name included.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Time for TLS and prefaces.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(3);
/// Octets that may come before the connection is accepted.
const GREETING_OCTETS_MAX: usize =
    PREFACE_OCTETS_MAX + frame::HEADER_OCTETS + frame::REASON_OCTETS_MAX;

/// Delays between attempts: they double, and a random part keeps sites from moving in step.
#[derive(Debug)]
struct Delays {
    next: Duration,
    random: u64,
}

impl Delays {
    fn new(seed: u64) -> Delays {
        Delays { next: DELAY_MIN, random: seed }
    }

    fn next(&mut self) -> Duration {
        // splitmix64: a step that is good enough to spread delays.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (mixed >> 40) as f64 / (1u64 << 24) as f64;
        let delay = self.next.mul_f64(1.0 + share);
        self.next = (2 * self.next).min(DELAY_MAX);
        delay
    }

    fn begin_anew(&mut self) {
        self.next = DELAY_MIN;
    }
}

/// Dials a site for as long as it stands in the list; aborted when it does not any more.
pub(crate) async fn run(table: Arc<Table>, site: u16, changed: Arc<Notify>) {
    let mut delays = Delays::new(table.seed ^ u64::from(site) << 48);
    let mut first = true;
    let mut connected_since = None;
    loop {
        let Some(peer) = table.unconnected(site) else {
            connected_since.get_or_insert_with(Instant::now);
            changed.notified().await;
            continue;
        };
        if connected_since.take().is_some_and(|since| since.elapsed() >= STABLE_MIN) {
            delays.begin_anew();
        }
        let courtesy = if table.dials_first(&peer.name) { Duration::ZERO } else { COURTESY };
        let delay = if first { courtesy } else { delays.next() + courtesy };
        first = false;
        // Somebody who corrects an address does not want to wait.
        if timeout(delay, changed.notified()).await.is_ok() && table.unconnected(site).is_none() {
            continue;
        }
        let Some(peer) = table.unconnected(site) else { continue };
        let mut problems = Vec::new();
        for address in &peer.addresses {
            match attempt(&table, &peer, address).await {
                Ok(()) => {
                    problems.clear();
                    break;
                }
                Err(problem) => problems.push(format!("{address}: {problem}")),
            }
        }
        if !problems.is_empty() {
            table.problem(site, &problems.join("; "));
        }
    }
}

/// Tries one address; when it succeeds, the connection runs on its own.
async fn attempt(table: &Arc<Table>, peer: &Peer, address: &str) -> Result<(), String> {
    let late = |what: &str| format!("no {what} in time");
    let stream = timeout(CONNECT_TIME_MAX, TcpStream::connect(address))
        .await
        .map_err(|_| late("connection"))?
        .map_err(|error| error.to_string())?;
    let remote = stream.peer_addr().map_err(|error| error.to_string())?;
    timeout(HANDSHAKE_TIME_MAX, greet(table, peer, stream, remote))
        .await
        .unwrap_or_else(|_| Err(late("greeting")))
}

/// TLS and prefaces, as the side that dialled.
async fn greet(
    table: &Arc<Table>,
    peer: &Peer,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let pin = Pin::accepting(peer.certificates.clone(), &table.provider);
    let config = pin::client(&table.provider, &table.key(), Arc::clone(&pin))
        .map_err(|error| error.to_string())?;
    // Nobody looks at this name: it is not sent, and the certificate is known by its fingerprint.
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut stream = match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => TlsStream::from(stream),
        Err(error) => {
            let unknown = pin.seen().filter(|seen| !peer.certificates.contains(seen));
            return Err(match unknown {
                Some(seen) => format!(
                    "whoever listens there shows the certificate {}, which is not on the card of `{}`",
                    hex(&seen),
                    peer.name
                ),
                None => in_words(&error),
            });
        }
    };
    let fingerprint = pin.seen().ok_or("no certificate was shown")?;
    stream.write_all(&table.preface().encode()).await.map_err(|error| in_words(&error))?;
    stream.flush().await.map_err(|error| in_words(&error))?;
    let mut received = Vec::with_capacity(GREETING_OCTETS_MAX);
    let preface = read_preface(&mut stream, &mut received).await?;
    read_welcome(&mut stream, &mut received).await?;
    let candidate =
        Candidate { site: peer.site, fingerprint, preface, address, dialled_here: true };
    match table.adopt(&candidate) {
        Ok((adopted, tail)) => {
            let opening = Opening { to_write: Vec::new(), received };
            tokio::spawn(connection::run(Arc::clone(table), adopted, tail, stream, opening));
            Ok(())
        }
        Err(reason) => {
            let mut farewell = Vec::new();
            Frame::Close(&reason).write(&mut farewell);
            let _ = stream.write_all(&farewell).await;
            let _ = stream.shutdown().await;
            Err(reason)
        }
    }
}

/// Reads the other side's preface; what came after it stays in `received`.
pub(crate) async fn read_preface(
    stream: &mut TlsStream<TcpStream>,
    received: &mut Vec<u8>,
) -> Result<Preface, String> {
    loop {
        if let Some((preface, length)) =
            Preface::parse(received).map_err(|error| error.to_string())?
        {
            received.drain(..length);
            return Ok(preface);
        }
        read_more(stream, received).await?;
    }
}

/// Waits until the other side has accepted the connection, or says why it did not.
async fn read_welcome(
    stream: &mut TlsStream<TcpStream>,
    received: &mut Vec<u8>,
) -> Result<(), String> {
    loop {
        let found =
            Frame::parse(received).map_err(|error| format!("the other side sent {error}"))?;
        match found {
            Some((Frame::Welcome, length)) => {
                received.drain(..length);
                return Ok(());
            }
            Some((Frame::Close(reason), _)) => {
                return Err(format!("the other side refused: {reason}"));
            }
            Some(_) => return Err("the other side did not greet".to_owned()),
            None => read_more(stream, received).await?,
        }
    }
}

async fn read_more(
    stream: &mut TlsStream<TcpStream>,
    received: &mut Vec<u8>,
) -> Result<(), String> {
    match stream.read_buf(received).await {
        Ok(0) => Err(in_words(&io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(()),
        Err(error) => Err(in_words(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_differ_by_seed() {
        let delays = |seed| {
            let mut delays = Delays::new(seed);
            (0..8).map(|_| delays.next()).collect::<Vec<_>>()
        };
        let (one, two) = (delays(1), delays(2));
        assert_ne!(one, two);
        assert_eq!(one, delays(1));
        for (number, delay) in one.iter().chain(&two).enumerate() {
            let least = (DELAY_MIN * (1 << (number % 8))).min(DELAY_MAX);
            assert!(*delay >= least && *delay < 2 * least, "{number}: {delay:?}");
        }
        let mut delays = Delays::new(1);
        (0..8).for_each(|_| assert!(delays.next() >= DELAY_MIN));
        delays.begin_anew();
        assert!(delays.next() < 2 * DELAY_MIN);
    }
}
