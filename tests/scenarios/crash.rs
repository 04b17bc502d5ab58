//! kill -9 under load: what was acknowledged is served after the restart, what was not may be,
//! a retry is applied at most once, and the ledger never forks.

use crate::load::{Client, Shared, Transport, check_served, clients, under_load};
use crate::tlog::{Auditor, Source};
use einhorn_core::model::entry::{Assembler, Body};
use einhorn_harness::{Client as Asker, Reply, Site, Start, scratch};
use einhorn_sim::random::Random;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Acknowledged updates sent once more after each restart.
const OLD_COPIES: u64 = 8;

#[test]
fn twenty_kills_under_load() {
    kills(20, 1);
}

#[test]
#[ignore = "long: about two minutes"]
fn two_hundred_kills_under_load() {
    kills(200, 2);
}

/// What a run saw, to be printed.
#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    kills_while_starting: u64,
    /// Updates under way at a kill, and how many of them the restarted node had.
    in_doubt: u64,
    in_doubt_kept: u64,
    retries: u64,
    acknowledged: u64,
    entries: u64,
    checkpoints: usize,
}

fn kills(count: u64, seed: u64) {
    eprintln!("seed {seed}");
    let folder = scratch();
    let start = Start { program: env!("CARGO_BIN_EXE_einhorn"), folder: folder.path() };
    let mut random = Random::new(seed);
    let shared = Shared::new();
    let transports = [Transport::Udp, Transport::Tcp, Transport::Udp, Transport::Tcp];
    let mut clients = clients(&transports, 24);
    let mut site = start.start().expect("ready");
    let mut auditor = Auditor::of_folder(&site.data);
    let mut figures = Figures::default();
    while figures.kills < count {
        let context = format!("seed {seed}, after {} kills", figures.kills);
        let notes = load_and_kill(site, &mut clients, &shared, &mut random);
        figures.kills += 1;
        for note in notes {
            auditor.checkpoint(&note).unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        if random.one_in(4) {
            kill_while_starting(&start, &mut random);
            figures.kills += 1;
            figures.kills_while_starting += 1;
        }
        site = start.start().unwrap_or_else(|error| panic!("{context}: no start: {error}"));
        assert!(!site.stderr().contains("READ ONLY"), "{context}: {}", site.stderr());
        after_restart(&site, &mut clients, &mut figures, &mut random, &context);
        audit(&mut auditor, Source::http(&site.ledger_url), &context);
    }
    let data = site.data.clone();
    assert_eq!(site.stop(), Some(0));
    let entries = audit(&mut auditor, Source::Folder(data.join("ledger")), "at the end");
    figures.acknowledged = shared.acknowledged();
    figures.entries = entries.len() as u64;
    figures.checkpoints = auditor.checkpoints_seen();
    check_acknowledged_are_in(&clients, &entries);
    eprintln!("{figures:?}");
    assert!(figures.in_doubt > count && figures.retries > count, "{figures:?}");
}

/// Kills the site at a random moment under load; gives the checkpoints that were seen meanwhile.
fn load_and_kill(
    site: Site,
    clients: &mut [Client],
    shared: &Shared,
    random: &mut Random,
) -> Vec<Vec<u8>> {
    // Short runs die within the first sealing, long ones see several.
    let longest = if random.one_in(3) { 5_000 } else { 800 };
    let enough = shared.acknowledged() + random.below(longest);
    let delay = Duration::from_micros(random.below(3_000));
    let (dns, mut ledger) = (site.dns, Source::http(&site.ledger_url));
    let notes = under_load(clients, dns, shared, || {
        let mut notes = Vec::new();
        while shared.acknowledged() < enough {
            notes.extend(ledger.read("checkpoint").expect("HTTP"));
        }
        // So that kills do not come right after an answer.
        spin(delay);
        site.kill();
        notes
    });
    let refused = shared.refused.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused, 0, "updates were refused");
    notes
}

/// Lets a drawn time pass: there is no event to wait for, the moment itself is what is tested.
fn spin(delay: Duration) {
    let started = Instant::now();
    while started.elapsed() < delay {
        std::hint::spin_loop();
    }
}

/// A node that dies before it is ready.
fn kill_while_starting(start: &Start<'_>, random: &mut Random) {
    let mut command = start.command();
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("it starts");
    spin(Duration::from_micros(random.below(30_000)));
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

fn after_restart(
    site: &Site,
    clients: &mut [Client],
    figures: &mut Figures,
    random: &mut Random,
    context: &str,
) {
    let asker = site.client();
    check_served(clients, &asker, context);
    for client in clients.iter_mut() {
        let in_doubt: Vec<usize> =
            (0..client.names.len()).filter(|at| client.names[*at].under_way.is_some()).collect();
        for at in in_doubt {
            let name = &mut client.names[at];
            let sent = name.under_way.clone().expect("filtered");
            figures.in_doubt += 1;
            figures.in_doubt_kept += u64::from(name.served(&asker) == Some(sent.value));
            // Twice, over both transports: the second is a copy of the first in any case.
            figures.retries += 2;
            let udp = asker.udp(&sent.octets).expect("an answer");
            let tcp = asker.tcp(std::slice::from_ref(&sent.octets)).expect("an answer").remove(0);
            for answer in [udp, tcp] {
                let rcode = Reply::parse(answer).rcode;
                assert_eq!(rcode, Rcode::NOERROR, "{context}: a retry for {}", name.owner);
            }
            name.acknowledge();
        }
    }
    for _ in 0..OLD_COPIES {
        let client = &clients[random.below(clients.len() as u64) as usize];
        send_old_copy(client, &asker, random, context);
    }
    check_served(clients, &asker, context);
}

/// Sends an update again that was acknowledged and is not the newest of its name.
fn send_old_copy(client: &Client, asker: &Asker, random: &mut Random, context: &str) {
    let name = &client.names[random.below(client.names.len() as u64) as usize];
    // Later than the fudge a copy would be refused, and rightly so: only recent ones.
    let recent = &name.earlier[name.earlier.len().saturating_sub(3)..];
    let Some(sent) = recent.first() else { return };
    let answer = asker.udp(&sent.octets).expect("an answer");
    assert_eq!(Reply::parse(answer).rcode, Rcode::NOERROR, "{context}: an old copy");
}

/// Verifies the ledger; in it no request and no value may occur twice.
fn audit(auditor: &mut Auditor, mut source: Source, context: &str) -> Vec<Vec<u8>> {
    let audit = auditor.audit(&mut source).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut assembler = Assembler::default();
    let (mut requests, mut values) = (HashSet::new(), HashSet::new());
    for (index, octets) in audit.entries.iter().enumerate() {
        let entry = assembler.next(octets).expect("an entry");
        let Some(Body::Change(change)) = entry.map(|entry| entry.body) else { continue };
        assert!(requests.insert(change.request), "{context}: entry {index} repeats a request");
        for name in change.names.iter().filter(|name| is_owned(&name.owner)) {
            let addresses = name.after.iter().find(|set| set.rtype == RecordType::A);
            for value in addresses.iter().flat_map(|set| set.rdatas()) {
                assert!(values.insert(value.to_vec()), "{context}: entry {index} repeats a value");
            }
        }
    }
    audit.entries
}

/// Every acknowledged value is in an entry, whatever became of it later.
pub(crate) fn check_acknowledged_are_in(clients: &[Client], entries: &[Vec<u8>]) {
    let missing = missing_values(clients, entries);
    assert!(missing.is_empty(), "acknowledged, but in no entry: {missing:?}");
}

/// Acknowledged values that are in no entry.
pub(crate) fn missing_values(clients: &[Client], entries: &[Vec<u8>]) -> Vec<u32> {
    let mut assembler = Assembler::default();
    let mut values = HashSet::new();
    for octets in entries {
        let entry = assembler.next(octets).expect("an entry");
        let Some(Body::Change(change)) = entry.map(|entry| entry.body) else { continue };
        let sets = change.names.iter().flat_map(|name| &name.after);
        values.extend(sets.flat_map(|set| set.rdatas().map(<[u8]>::to_vec)));
    }
    let names = clients.iter().flat_map(|client| &client.names);
    let sent = names.flat_map(|name| name.earlier.iter().chain(&name.acknowledged));
    sent.map(|sent| sent.value).filter(|value| !values.contains(&value.to_be_bytes()[..])).collect()
}

/// Whether a client of this test owns the name; the zone file's names have values of their own.
fn is_owned(name: &Name) -> bool {
    name.labels().next().is_some_and(|label| label.starts_with(b"c") && label.contains(&b'-'))
}
