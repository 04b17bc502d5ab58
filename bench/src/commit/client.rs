//! Devices of the benchmark: signed updates of one name or two, and what becomes of them.

use einhorn_harness::{
    Client, Fleet, KEY, Reply, SignedRequest, ZONE, address, await_that, now_seconds, record,
    update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use einhorn_wire::{Class, Record, RecordType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// More than a site lets a request wait.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often a change that prepares a scene is tried.
const TRIES_MAX: usize = 20;

/// So many devices take turns. None is ever the last that changed a name which it changes again, so
/// that no name moves to where it is used: the homes stay two.
const DEVICES: u32 = 64;

/// Makes updates, none of which is like another.
pub(super) struct Values {
    next: AtomicU32,
    keys: Vec<Arc<Key>>,
}

/// The names of the devices' keys.
pub(super) fn key_names() -> Vec<String> {
    (0..DEVICES).map(|number| format!("device{number}.")).collect()
}

/// A change, from its sending to its answer.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    /// `None` when there was none.
    pub(super) rcode: Option<Rcode>,
    pub(super) time: Duration,
}

impl Values {
    pub(super) fn new() -> Result<Values, String> {
        let key = |name: String| {
            let text = KEY.replacen("phone.", &name, 1);
            text.parse().map(Arc::new).map_err(|error| format!("{name}: {error}"))
        };
        let keys = key_names().into_iter().map(key).collect::<Result<_, _>>()?;
        Ok(Values { next: AtomicU32::new(0), keys })
    }

    /// A signed update that gives these names an address that they never had. With `is_known` they
    /// must exist: updates with such a condition are never joined with others.
    pub(super) fn update(&self, labels: &[&str], is_known: bool) -> Vec<u8> {
        let value = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut conditions, mut updates): (Vec<Record>, Vec<Record>) = Default::default();
        for label in labels {
            let owner = format!("{label}.{ZONE}");
            if is_known {
                // The name is in use (RFC 2136, section 2.4.4).
                conditions.push(record(&owner, RecordType::ANY, Class::ANY, 0, &[]));
            }
            updates.push(record(&owner, RecordType::A, Class::ANY, 0, &[]));
            updates.push(address(&owner, value.to_be_bytes()));
        }
        let octets = update_message(value as u16, ZONE, &conditions, &updates, None);
        let key = &self.keys[value as usize % self.keys.len()];
        SignedRequest::new(octets, key, now_seconds()).octets
    }

    /// Changes these names once.
    pub(super) fn change(&self, server: SocketAddr, labels: &[&str]) -> Answered {
        let octets = self.update(labels, true);
        let begin = Instant::now();
        let answer = Client::new(server).udp_within(&octets, PATIENCE);
        let time = begin.elapsed();
        Answered { rcode: answer.map(|octets| Reply::parse(octets).rcode), time }
    }

    /// Registers a name at a site, which becomes its home, and waits until all have it.
    pub(super) fn register(&self, fleet: &Fleet, site: usize, label: &str) -> Result<(), String> {
        let octets = self.update(&[label], false);
        let mut last = None;
        for _ in 0..TRIES_MAX {
            let answer = Client::new(fleet.dns(site)).udp_within(&octets, PATIENCE);
            last = answer.map(|octets| Reply::parse(octets).rcode);
            if last == Some(Rcode::NOERROR) {
                await_shown(fleet, label);
                return Ok(());
            }
        }
        Err(format!("cannot register {label} at {}: {last:?}", fleet.name(site)))
    }
}

fn await_shown(fleet: &Fleet, label: &str) {
    for site in fleet.running() {
        await_that(&format!("{label} at {}", fleet.name(site)), || {
            let reply =
                Client::new(fleet.dns(site)).query(&format!("{label}.{ZONE}"), RecordType::A);
            if reply.answers.is_empty() { Err(format!("{}", reply.rcode)) } else { Ok(()) }
        });
    }
}
