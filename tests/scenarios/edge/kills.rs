//! kill -9 of the nearest site, of all sites and of the edge itself under load: nothing that a device was
//! told is done is lost, nothing is done twice, and every name gets its values in their order.

use crate::edge::support::{Edged, owner};
use crate::sites::history;
use crate::sites::support::{await_value, set, value};
use einhorn_harness::{Client, Reply};
use einhorn_wire::message::Rcode;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Devices, each with a name of its own.
const DEVICES: usize = 16;
/// Updates that are told done in all.
const UPDATES: u64 = 10_000;
/// How long a device waits for an answer before it sends the same octets again.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long the load may take to come as far as the test waits for.
const WAIT_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// What devices were told.
#[derive(Default)]
struct Told {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Told {
    fn await_more(&self, count: u64) {
        let (begun, wanted) = (Instant::now(), self.done.load(Ordering::Relaxed) + count);
        while self.done.load(Ordering::Relaxed) < wanted.min(UPDATES) {
            assert!(
                begun.elapsed() < WAIT_MAX,
                "{} of {wanted} done",
                self.done.load(Ordering::Relaxed)
            );
            std::thread::park_timeout(PAUSE);
        }
    }
}

/// Whoever leaves the test leaves no device running.
struct Stop<'t>(&'t Told);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Sends growing values, one after the other; gives those that it was told are done.
fn device(edge: SocketAddr, label: &str, told: &Told) -> Vec<u32> {
    let (client, mut done) = (Client::new(edge), Vec::new());
    while !told.stop.load(Ordering::Relaxed) {
        let value = value();
        let octets = set(label, value);
        // Until it is done: otherwise nobody knows whether this value is to be expected.
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < WAIT_MAX, "{label}: {value} is not done");
            match client.udp_within(&octets, PATIENCE).map(|answer| Reply::parse(answer).rcode) {
                Some(Rcode::NOERROR) => break,
                Some(Rcode::SERVFAIL) | None => std::thread::park_timeout(PAUSE),
                Some(other) => panic!("{label}: {other}"),
            }
        }
        done.push(value);
        if told.done.fetch_add(1, Ordering::Relaxed) + 1 >= UPDATES {
            break;
        }
    }
    done
}

/// Kills and starts whatever there is, while updates come.
fn faults(edged: &mut Edged, told: &Told) {
    let all = 0..edged.fleet.count();
    told.await_more(UPDATES / 8);
    let status = edged.status().expect("a status");
    let nearest = all.clone().find(|site| status["nearest"] == edged.fleet.name(*site));
    let nearest = nearest.expect("a nearest site");
    edged.fleet.kill(nearest);
    let begun = Instant::now();
    edged.await_status("another nearest site", |status| {
        status["nearest"].is_string() && status["nearest"] != edged.fleet.name(nearest)
    });
    eprintln!("another site is nearest after {:?}", begun.elapsed());
    told.await_more(UPDATES / 40);
    edged.fleet.start(nearest);
    told.await_more(UPDATES / 8);
    all.clone().for_each(|site| edged.fleet.kill(site));
    edged.await_status("no site", |status| status["nearest"].is_null());
    told.await_more(UPDATES / 10);
    edged.kill_edge();
    edged.start_edge();
    told.await_more(UPDATES / 10);
    all.for_each(|site| edged.fleet.start(site));
    told.await_more(UPDATES / 8);
    edged.kill_edge();
    edged.start_edge();
    told.await_more(UPDATES);
}

#[test]
fn sites_and_the_edge_are_killed_under_load() {
    let mut edged = Edged::start("local", "queue = \"accept\"\ndeadline-ms = 150");
    edged.await_status("a nearest site", |status| !status["nearest"].is_null());
    let (edge, told) = (edged.dns(), Told::default());
    let labels: Vec<String> = (0..DEVICES).map(|number| format!("phone{number}")).collect();
    let begun = Instant::now();
    let done: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let told = &told;
        let devices: Vec<_> =
            labels.iter().map(|label| scope.spawn(move || device(edge, label, told))).collect();
        let stop = Stop(told);
        faults(&mut edged, told);
        drop(stop);
        devices.into_iter().map(|device| device.join().expect("a device")).collect()
    });
    let told_done: usize = done.iter().map(Vec::len).sum();
    edged.await_empty();
    eprintln!(
        "{told_done} updates told done in {:?}: {:#}",
        begun.elapsed(),
        edged.status().expect("a status")
    );
    edged.fleet.settle();
    for (label, values) in labels.iter().zip(&done) {
        await_value(&edged.fleet, label, values.last().copied());
    }
    history::check(&edged.fleet);
    let mut in_ledgers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (name, _, value) in edged.changes_of_devices() {
        in_ledgers.entry(name).or_default().push(value);
    }
    for (label, values) in labels.iter().zip(&done) {
        assert_eq!(in_ledgers.get(&owner(label)), Some(values), "{label}");
    }
    let status = edged.status().expect("a status");
    assert_eq!((&status["refused_after_promise"], &status["dropped"]), (&0.into(), &0.into()));
    edged.fleet.check_end();
}
