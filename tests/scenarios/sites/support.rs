//! What all scenarios of several sites have in common: signed updates, and clients that insist.

use einhorn_harness::{
    Client, Fleet, FleetStart, Reply, SignedRequest, ZONE, address, await_that, key, now_seconds,
    record, update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, Record, RecordType};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");
pub(crate) const BERLIN: usize = 0;
pub(crate) const FRANKFURT: usize = 1;
pub(crate) const MUENCHEN: usize = 2;
/// More than a site lets a request wait.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
/// How long a client insists.
const INSIST_MAX: Duration = Duration::from_secs(30);
/// How long it waits after an answer that says to try again.
pub(crate) const INSIST_PAUSE: Duration = Duration::from_millis(20);
static NEXT_ID: AtomicU16 = AtomicU16::new(1);
static NEXT_VALUE: AtomicU32 = AtomicU32::new(1);

/// The usual three sites with this acknowledgement level.
pub(crate) fn fleet(ack: &str) -> Fleet {
    let start = FleetStart { ack, ..FleetStart::usual(EINHORN) };
    start.start().expect("loopback is everywhere")
}

/// The same, each in a network namespace; `None`, said loudly, where there are none.
pub(crate) fn fleet_with_network(ack: &str) -> Option<Fleet> {
    FleetStart { ack, has_network: true, ..FleetStart::usual(EINHORN) }.start()
}

/// A name of the zone.
pub(crate) fn named(label: &str) -> String {
    format!("{label}.{ZONE}")
}

/// A value that no other update of this process has; they grow.
pub(crate) fn value() -> u32 {
    NEXT_VALUE.fetch_add(1, Ordering::Relaxed)
}

/// A signed update.
pub(crate) fn signed(prerequisites: &[Record], updates: &[Record]) -> Vec<u8> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let octets = update_message(id, ZONE, prerequisites, updates, None);
    SignedRequest::new(octets, &key(), now_seconds()).octets
}

/// The records that replace the addresses of `label`.
pub(crate) fn replacement(label: &str, value: u32) -> [Record; 2] {
    let owner = named(label);
    [record(&owner, RecordType::A, Class::ANY, 0, &[]), address(&owner, value.to_be_bytes())]
}

/// A signed update that replaces the addresses of `label`.
pub(crate) fn set(label: &str, value: u32) -> Vec<u8> {
    signed(&[], &replacement(label, value))
}

/// A signed update that deletes `label`.
pub(crate) fn delete(label: &str) -> Vec<u8> {
    signed(&[], &[record(&named(label), RecordType::ANY, Class::ANY, 0, &[])])
}

/// The prerequisite that nothing has the name `label` (RFC 2136, section 2.4.5).
pub(crate) fn not_in_use(label: &str) -> Record {
    record(&named(label), RecordType::ANY, Class::NONE, 0, &[])
}

/// The prerequisite that `label` has exactly this address (RFC 2136, section 2.4.2).
pub(crate) fn has_value(label: &str, value: u32) -> Record {
    record(&named(label), RecordType::A, Class::IN, 0, &value.to_be_bytes())
}

/// Sends a message once; `None` when no answer comes.
pub(crate) fn send(dns: SocketAddr, octets: &[u8]) -> Option<Rcode> {
    let answer = Client::new(dns).udp_within(octets, ANSWER_TIME_MAX)?;
    Some(Reply::parse(answer).rcode)
}

/// Sends the same message to each of these in turn, until one of them has decided: what any
/// answer but SERVFAIL says.
pub(crate) fn insist(servers: &[SocketAddr], octets: &[u8]) -> Rcode {
    let end = Instant::now() + INSIST_MAX;
    let mut last = None;
    for server in servers.iter().cycle() {
        last = send(*server, octets);
        match last {
            Some(rcode) if rcode != Rcode::SERVFAIL => return rcode,
            _ if Instant::now() > end => break,
            _ => std::thread::park_timeout(INSIST_PAUSE),
        }
    }
    panic!("nothing but {last:?} from {servers:?} for {} s", INSIST_MAX.as_secs())
}

/// [`insist`] on a change that nothing forbids.
pub(crate) fn change(server: SocketAddr, octets: &[u8]) {
    assert_eq!(insist(&[server], octets), Rcode::NOERROR);
}

/// The addresses that a server has for `label`, as numbers.
pub(crate) fn values(server: SocketAddr, label: &str) -> Vec<u32> {
    let reply = Client::new(server).query(&named(label), RecordType::A);
    let is_known = matches!(reply.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
    assert!(is_known, "{server} says {} for {label}", reply.rcode);
    let number = |record: &Record| record.rdata[..].try_into().map(u32::from_be_bytes);
    reply.answers.iter().map(|record| number(record).expect("an address")).collect()
}

/// Waits until every running site has this one address for `label`; none for `None`.
pub(crate) fn await_value(fleet: &Fleet, label: &str, value: Option<u32>) {
    let wanted: Vec<u32> = value.into_iter().collect();
    for site in fleet.running() {
        await_that(&format!("{label} at {}", fleet.name(site)), || {
            let found = values(fleet.dns(site), label);
            if found == wanted { Ok(()) } else { Err(format!("{found:?} instead of {wanted:?}")) }
        });
    }
}

/// Prints percentiles of times.
pub(crate) fn print_times(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let (count, last) = (times.len(), times.len() - 1);
    eprintln!(
        "{what}: {count} times, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        at(50),
        at(90),
        at(99),
        times[last]
    );
}
