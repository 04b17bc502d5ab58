//! Clients that add names with values that nobody else has, and insist on each until it is
//! acknowledged, at whichever node takes it.

use super::support::{Cluster, add_new, send};
use einhorn_harness::{ZONE, await_that};
use einhorn_wire::message::Rcode;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a client waits after an answer that says to try again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it insists.
const INSIST_MAX: Duration = Duration::from_secs(60);

/// What clients did.
#[derive(Default)]
pub(super) struct Writers {
    acknowledged: Mutex<Vec<(String, u32)>>,
    count: AtomicU64,
    over: AtomicBool,
    /// The longest time that one update took.
    slowest: Mutex<Duration>,
}

impl Writers {
    /// Runs so many clients at each server while `work` runs.
    pub(super) fn run(servers: &[SocketAddr], each: usize, work: impl FnOnce(&Writers)) -> Writers {
        let writers = Writers::default();
        std::thread::scope(|scope| {
            for client in 0..servers.len() * each {
                let writers = &writers;
                scope.spawn(move || writers.insist(servers, client));
            }
            // Clients end also when the work does not end well.
            let over = Over(&writers.over);
            work(&writers);
            drop(over);
        });
        writers
    }

    fn insist(&self, servers: &[SocketAddr], client: usize) {
        for number in 0_u32.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let (label, value) =
                (format!("w{client}-{number}"), ((client as u32) << 20) | (number + 1));
            // Done twice, it would be refused.
            let (octets, begin) = (add_new(&label, value), Instant::now());
            let mut at = servers.iter().cycle().skip(client);
            loop {
                let server = at.next().expect("a server");
                match send(*server, &octets) {
                    Some(Rcode::NOERROR) => break,
                    Some(Rcode::SERVFAIL) | None => std::thread::park_timeout(PAUSE),
                    Some(other) => panic!("{server} says {other} to a good update"),
                }
                assert!(begin.elapsed() < INSIST_MAX, "nobody takes {label}");
            }
            let mut slowest = self.slowest.lock().expect("a time");
            *slowest = begin.elapsed().max(*slowest);
            drop(slowest);
            self.acknowledged.lock().expect("a list").push((label, value));
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until so many more updates are acknowledged.
    pub(super) fn await_more(&self, updates: u64) {
        let wanted = self.count.load(Ordering::Relaxed) + updates;
        await_that("more acknowledged updates", || match self.count.load(Ordering::Relaxed) {
            count if count >= wanted => Ok(()),
            count => Err(format!("{count} of {wanted}")),
        });
    }

    /// The longest time from the first attempt until an acknowledgement.
    pub(super) fn slowest(&self) -> Duration {
        *self.slowest.lock().expect("a time")
    }

    /// All nodes end equal, and nothing that was acknowledged is missing. That nothing was done twice
    /// was seen by the clients: a copy that is not recognised is refused.
    pub(super) fn check(&self, cluster: &Cluster) {
        let (_, records) = cluster.await_equal();
        let acknowledged = self.acknowledged.lock().expect("a list");
        for (label, value) in acknowledged.iter() {
            let octets = Ipv4Addr::from(*value).octets();
            let wanted = format!("{label}.{ZONE} ");
            let found: Vec<_> = records.iter().filter(|line| line.starts_with(&wanted)).collect();
            let is_there = found.len() == 1 && found[0].ends_with(&format!("A {octets:02x?}"));
            assert!(is_there, "{label} was acknowledged with {octets:02x?}: {found:?}");
        }
        eprintln!(
            "{} updates acknowledged, all there; the slowest took {:?}",
            acknowledged.len(),
            self.slowest()
        );
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
