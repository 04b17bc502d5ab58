//! The connections that are open: who has how many, and which goes when there are too many.

use crate::rate_limit::{LimitSettings, source_of};
use crate::{Ingress, now_ms};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How long to wait for a file descriptor to become free.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the table knows of a connection.
pub(crate) struct Connection {
    source: IpAddr,
    is_exempt: bool,
    /// When its last message came, in milliseconds of the session's clock.
    last_ms: AtomicU64,
    /// Messages that are still to be answered.
    under_way: AtomicUsize,
    /// Tells the session to end.
    pub(crate) close: Notify,
}

impl Connection {
    /// Notes that a message came.
    pub(crate) fn touch(&self, now_ms: u64) {
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Notes that a message will take a while to answer, until what is returned is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// For how long no message has come or been answered, in milliseconds; 0 while one is under
    /// way.
    pub(crate) fn idle_ms(&self, now_ms: u64) -> u64 {
        let idle_ms = now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed));
        if self.is_idle() { idle_ms } else { 0 }
    }

    fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }
}

/// A message that is still to be answered; its connection is not idle.
pub struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many connections a table takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) connections_max: usize,
    pub(crate) per_source_max: usize,
}

impl Room {
    /// What there is for DNS over TCP.
    fn of_tcp(settings: &LimitSettings) -> Room {
        Room {
            connections_max: settings.tcp_connections_max,
            per_source_max: settings.tcp_connections_per_source_max,
        }
    }
}

/// All open connections of the listeners that share this table.
pub(crate) struct Connections {
    /// How much of the limits is for them.
    room: fn(&LimitSettings) -> Room,
    /// Locked when a connection opens or closes, never for a message.
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<Connection>>,
    by_source: HashMap<IpAddr, usize>,
}

/// A place in the table, given back when dropped.
pub(crate) struct Place {
    table: Arc<Connections>,
    number: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.lock().remove(self.number);
    }
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::new(Room::of_tcp)
    }
}

impl Connections {
    /// An empty table with so much room.
    pub(crate) fn new(room: fn(&LimitSettings) -> Room) -> Connections {
        Connections { room, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every change below is complete before anything that may panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next connection of a listener that gets a place.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        ingress: &Ingress,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, Place) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly.
                    let closed = self.close_oldest();
                    tracing::warn!(%error, closed, "cannot accept a TCP connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            // Replies are small and somebody waits for each.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "TCP_NODELAY");
            }
            // Without a place the stream is dropped, which closes it.
            if let Some(place) = self.place(ingress, peer) {
                return (stream, peer, place);
            }
        }
    }

    /// A place for a connection from `peer`, if there is one or can be made.
    pub(crate) fn place(self: &Arc<Self>, ingress: &Ingress, peer: SocketAddr) -> Option<Place> {
        let (place, closed) = self.admit(&ingress.settings.load().limits, peer.ip(), now_ms());
        let closed = closed + usize::from(place.is_none());
        ingress.limited.connections_closed.fetch_add(closed as u64, Ordering::Relaxed);
        place
    }

    /// Takes a connection from `peer` in. Where its source, or everybody, has too many, the one
    /// that is idle for longest is closed for it. `None` if none is idle. The second value says
    /// how many were closed.
    fn admit(
        self: &Arc<Self>,
        settings: &LimitSettings,
        peer: IpAddr,
        now_ms: u64,
    ) -> (Option<Place>, usize) {
        let (source, is_exempt) = (source_of(peer), settings.is_exempt(peer));
        let room = (self.room)(settings);
        let mut open = self.lock();
        let mut closed = 0;
        let of_source = open.by_source.get(&source).copied().unwrap_or(0);
        if !is_exempt && of_source >= room.per_source_max {
            if !open.close_oldest(|connection| connection.source == source) {
                return (None, closed);
            }
            closed += 1;
        }
        if open.by_number.len() >= room.connections_max {
            if !open.close_oldest(|_| true) {
                return (None, closed);
            }
            closed += 1;
        }
        let connection = Arc::new(Connection {
            source,
            is_exempt,
            last_ms: AtomicU64::new(now_ms),
            under_way: AtomicUsize::new(0),
            close: Notify::new(),
        });
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, Arc::clone(&connection));
        *open.by_source.entry(source).or_default() += 1;
        (Some(Place { table: Arc::clone(self), number, connection }), closed)
    }

    /// Closes the connection that is idle for longest; false if none is.
    fn close_oldest(&self) -> bool {
        self.lock().close_oldest(|_| true)
    }
}

impl Open {
    fn close_oldest(&mut self, of: impl Fn(&Connection) -> bool) -> bool {
        let idle =
            self.by_number.iter().filter(|(_, connection)| connection.is_idle() && of(connection));
        // Strangers go first.
        let oldest = idle.min_by_key(|(_, connection)| {
            (connection.is_exempt, connection.last_ms.load(Ordering::Relaxed))
        });
        let Some(number) = oldest.map(|(number, _)| *number) else { return false };
        if let Some(connection) = self.remove(number) {
            connection.close.notify_one();
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Connection>> {
        let connection = self.by_number.remove(&number)?;
        if let Some(count) = self.by_source.get_mut(&connection.source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&connection.source);
            }
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Arc<Connections>, LimitSettings) {
        let settings = LimitSettings {
            tcp_connections_max: 4,
            tcp_connections_per_source_max: 2,
            ..LimitSettings::default()
        };
        (Arc::new(Connections::default()), settings)
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_open(table: &Connections, place: &Place) -> bool {
        table.lock().by_number.contains_key(&place.number)
    }

    #[test]
    fn a_source_with_too_many_loses_its_own_oldest() {
        let (table, settings) = table();
        let admit = |last, now| table.admit(&settings, host(last), now).0.expect("a place");
        let (other, first, second) = (admit(2, 0), admit(1, 1), admit(1, 2));
        first.connection.touch(10);
        let third = admit(1, 11);
        let open = [&other, &first, &second, &third].map(|place| is_open(&table, place));
        assert_eq!(open, [true, true, false, true]);
        drop((first, second, third));
        assert_eq!(table.lock().by_source.len(), 1, "only the other source is left");
    }

    #[test]
    fn a_full_table_closes_the_oldest_that_is_idle() {
        let (table, settings) = table();
        let places: Vec<_> = (0..4)
            .map(|i| table.admit(&settings, host(i), u64::from(i)).0.expect("a place"))
            .collect();
        let busy = places[0].connection.busy();
        let (fifth, closed) = table.admit(&settings, host(9), 9);
        assert_eq!((fifth.is_some(), closed), (true, 1));
        assert_eq!(
            places.iter().map(|place| is_open(&table, place)).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        let _all: Vec<_> = places.iter().map(|place| place.connection.busy()).collect();
        let _fifth = fifth.as_ref().map(|place| place.connection.busy());
        assert!(table.admit(&settings, host(10), 10).0.is_none(), "nobody is idle");
        drop(busy);
    }

    #[test]
    fn the_exempt_may_have_more_and_go_last() {
        let (table, settings) = table();
        let local: Vec<_> = (0..3)
            .map(|now| table.admit(&settings, [127, 0, 0, 1].into(), now).0.expect("a place"))
            .collect();
        let stranger = table.admit(&settings, host(1), 50).0.expect("a place");
        let _next = table.admit(&settings, host(2), 60).0.expect("a place");
        assert!(local.iter().all(|place| is_open(&table, place)));
        assert!(!is_open(&table, &stranger));
    }
}
