//! Listening: whoever connects shows a certificate that is on a card, or is gone before a single
//! octet of what it says is looked at.

use crate::connection::{self, Opening, in_words};
use crate::dial::{HANDSHAKE_TIME_MAX, read_preface};
use crate::frame::Frame;
use crate::identity::hex;
use crate::pin::{self, Pin};
use crate::table::{Candidate, Table};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};

/// Connections that may be in their handshake at one time; more are closed at once.
const HANDSHAKES_MAX: usize = 64;
/// Of these, from one address: so that one who only knocks leaves room for others.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 16;
/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// An address is named in the log at most once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
/// Addresses remembered for that; while there are more, others are not named.
const COMPLAINTS_MAX: usize = 1024;

/// Accepts connections; aborted when the links end.
pub(crate) async fn run(table: Arc<Table>, listener: TcpListener) {
    let guests = Arc::new(Guests::default());
    let complaints = Arc::new(Mutex::new(Complaints::default()));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a link");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(guest) = Guests::admit(&guests, address.ip()) else { continue };
        let (table, complaints) = (Arc::clone(&table), Arc::clone(&complaints));
        tokio::spawn(async move {
            let outcome = timeout(HANDSHAKE_TIME_MAX, greet(&table, stream, address)).await;
            drop(guest);
            let refused = outcome.unwrap_or_else(|_| Err("no greeting in time".to_owned()));
            if let Err(reason) = refused {
                let mut complaints = complaints.lock().unwrap_or_else(PoisonError::into_inner);
                if complaints.is_due(address.ip(), Instant::now()) {
                    tracing::warn!(%address, reason, "refused a link");
                }
            }
        });
    }
}

/// TLS and prefaces, as the side that was dialled. A connection that is welcome runs on its own.
async fn greet(table: &Arc<Table>, stream: TcpStream, address: SocketAddr) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let accepted = table.accepted();
    let pin = Pin::accepting(accepted.clone(), &table.provider);
    let config = pin::server(&table.provider, &table.key(), Arc::clone(&pin))
        .map_err(|error| error.to_string())?;
    let mut stream = match TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => TlsStream::from(stream),
        Err(error) => {
            return Err(match pin.seen().filter(|seen| !accepted.contains(seen)) {
                Some(seen) => format!("its certificate {} is on no card", hex(&seen)),
                None => in_words(&error),
            });
        }
    };
    let fingerprint = pin.seen().ok_or("no certificate was shown")?;
    let site = table.site_of(&fingerprint).ok_or("the site was removed from the list")?;
    let mut received = Vec::new();
    let preface = read_preface(&mut stream, &mut received).await?;
    let candidate = Candidate { site, fingerprint, preface, address, dialled_here: false };
    let mut to_write = table.preface().encode();
    match table.adopt(&candidate) {
        Ok((adopted, tail)) => {
            Frame::Welcome.write(&mut to_write);
            let opening = Opening { to_write, received };
            tokio::spawn(connection::run(Arc::clone(table), adopted, tail, stream, opening));
        }
        Err(reason) => {
            table.problem(site, &reason);
            Frame::Close(&reason).write(&mut to_write);
            let _ = stream.write_all(&to_write).await;
            let _ = stream.shutdown().await;
        }
    }
    Ok(())
}

/// Who is in a handshake, counted by address.
#[derive(Debug, Default)]
struct Guests {
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl Guests {
    /// Lets one more in if there is room, until the value is dropped.
    fn admit(guests: &Arc<Guests>, address: IpAddr) -> Option<Guest> {
        let mut counts = guests.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let same = counts.get(&address).copied().unwrap_or(0);
        if same >= HANDSHAKES_PER_ADDRESS_MAX || counts.values().sum::<usize>() >= HANDSHAKES_MAX {
            return None;
        }
        counts.insert(address, same + 1);
        Some(Guest { guests: Arc::clone(guests), address })
    }
}

/// One who is in a handshake.
#[derive(Debug)]
struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Which addresses have been named in the log lately.
#[derive(Debug, Default)]
struct Complaints {
    last: HashMap<IpAddr, Instant>,
}

impl Complaints {
    /// Whether this address may be named now; then it has been.
    fn is_due(&mut self, address: IpAddr, now: Instant) -> bool {
        let recent = |at: &Instant| now.duration_since(*at) < COMPLAINT_INTERVAL;
        if self.last.get(&address).is_some_and(recent) {
            return false;
        }
        if self.last.len() >= COMPLAINTS_MAX {
            self.last.retain(|_, at| recent(at));
        }
        if self.last.len() >= COMPLAINTS_MAX {
            return false;
        }
        self.last.insert(address, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_the_room() {
        let guests = Arc::new(Guests::default());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let admit = |number| Guests::admit(&guests, address(number));
        let mut inside: Vec<Guest> = std::iter::from_fn(|| admit(1)).take(1000).collect();
        assert_eq!(inside.len(), HANDSHAKES_PER_ADDRESS_MAX);
        inside.extend((2..1000).filter_map(admit));
        assert_eq!(inside.len(), HANDSHAKES_MAX);
        drop(inside.remove(0));
        inside.extend(admit(1));
        assert_eq!(
            (inside.len(), admit(1).is_some(), admit(5000).is_some()),
            (HANDSHAKES_MAX, false, false)
        );
        drop(inside);
        assert!(guests.counts.lock().expect("a lock").is_empty());
    }

    #[test]
    fn an_address_is_named_once_a_minute() {
        let (mut complaints, begin) = (Complaints::default(), Instant::now());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!(complaints.is_due(address(1), begin));
        assert!(!complaints.is_due(address(1), begin + COMPLAINT_INTERVAL / 2));
        assert!(complaints.is_due(address(2), begin + COMPLAINT_INTERVAL / 2));
        assert!(complaints.is_due(address(1), begin + COMPLAINT_INTERVAL));
        let later = begin + 2 * COMPLAINT_INTERVAL;
        let named = (0..3000).filter(|number| complaints.is_due(address(*number), later)).count();
        assert_eq!(named, COMPLAINTS_MAX);
        assert_eq!(complaints.last.len(), COMPLAINTS_MAX);
    }
}
