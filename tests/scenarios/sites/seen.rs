//! What clients see of changes with several homes while everything goes wrong: there is one order
//! of changes that explains all answers, whatever is cut, paused, killed, late or wrong about the
//! time.
//!
//! Reads at any site may be a moment old, and are no part of that: what counts are changes with
//! conditions, which the homes decide on.

use crate::sites::history::entries;
use crate::sites::order::{Fate, Operation, explain};
use crate::sites::support::{
    BERLIN, EINHORN, FRANKFURT, INSIST_PAUSE, MUENCHEN, await_value, change, has_value, named,
    not_in_use, replacement, signed, value, values,
};
use einhorn_harness::{
    Client, Fleet, FleetStart, KEY, Reply, SignedRequest, ZONE, await_that, now_seconds,
    question_message, update_message,
};
use einhorn_wire::message::{Opcode, Rcode};
use einhorn_wire::tsig::Key;
use einhorn_wire::{Class, Record, RecordType};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A name at home at each site.
const LABELS: [&str; 3] = ["left", "right", "third"];
/// Which of them a change is about.
const GROUPS: [&[usize]; 6] = [&[0, 1], &[1, 2], &[0, 2], &[0, 1, 2], &[0], &[1]];
/// Clients at each site.
const CLIENTS: usize = 2;
/// How long a client waits for an answer before it sends again.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(1_500);
/// How long it goes on with one change.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(6);
/// So many devices take turns: a name moves to where one device changes it three times in a row, and
/// if there was one only, all names would soon have one home.
const DEVICES: u32 = 16;
/// Between two changes of a client.
const PAUSE: Duration = Duration::from_millis(20);
/// Of these changes, so many come without a condition.
const UNCONDITIONAL_ONE_IN: usize = 4;
/// Clients go on for so long between two things that go wrong.
const PEACE: Duration = Duration::from_millis(1_500);

/// Clients that change names, and what they were told.
struct Clients {
    servers: Vec<SocketAddr>,
    /// How far the clock of each site is off, in seconds.
    offsets: Vec<AtomicI64>,
    /// Whether a client that gets no answer asks another site: only where their clocks agree.
    is_roaming: bool,
    is_over: AtomicBool,
    begin: Instant,
    keys: Vec<Arc<Key>>,
    /// What was done beside them.
    beside: Mutex<Vec<Operation>>,
}

impl Clients {
    fn new(fleet: &Fleet, is_roaming: bool) -> Clients {
        Clients {
            servers: (0..fleet.count()).map(|site| fleet.dns(site)).collect(),
            offsets: (0..fleet.count()).map(|_| AtomicI64::new(0)).collect(),
            is_roaming,
            is_over: AtomicBool::new(false),
            begin: Instant::now(),
            keys: (key_names().iter())
                .map(|name| Arc::new(KEY.replacen("phone.", name, 1).parse().expect("a key")))
                .collect(),
            beside: Mutex::default(),
        }
    }

    /// Lets clients change names while `trouble` goes on, and gives what they saw.
    fn watch(&self, trouble: impl FnOnce()) -> Vec<Operation> {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.servers.len() * CLIENTS)
                .map(|client| scope.spawn(move || self.go_on(client)))
                .collect();
            let_pass(PEACE);
            // Clients end also when it fails.
            let trouble = std::panic::catch_unwind(std::panic::AssertUnwindSafe(trouble));
            let_pass(PEACE);
            self.is_over.store(true, Ordering::Relaxed);
            let seen = clients.into_iter().flat_map(|client| client.join().expect("a client"));
            let seen = seen.collect();
            trouble.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            seen
        })
    }

    fn go_on(&self, client: usize) -> Vec<Operation> {
        let mut seen = Vec::new();
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let names = GROUPS[(client + number) % GROUPS.len()];
            let has_conditions =
                !(client + number / GROUPS.len()).is_multiple_of(UNCONDITIONAL_ONE_IN);
            seen.extend(self.change(client % self.servers.len(), names, has_conditions));
            let_pass(PAUSE);
        }
        seen
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).expect("a short test")
    }

    /// What a site shows of a name now, if it answers.
    fn look(&self, site: usize, name: usize) -> Option<u32> {
        let octets = question_message(
            1,
            Opcode::QUERY,
            &[(&*named(LABELS[name]), RecordType::A, Class::IN)],
        );
        let answer = Client::new(self.servers[site]).udp_within(&octets, ANSWER_TIME_MAX)?;
        let record = Reply::parse(answer).answers.into_iter().next()?;
        Some(u32::from_be_bytes(record.rdata[..].try_into().expect("an address")))
    }

    /// Makes one change; `None` when it certainly has not happened for a reason that says nothing
    /// of names.
    fn change(&self, site: usize, names: &[usize], has_conditions: bool) -> Option<Operation> {
        let value = value();
        let mut expects = Vec::new();
        if has_conditions {
            for name in names {
                expects.push((*name, self.look(site, *name)?));
            }
        }
        let conditions: Vec<Record> =
            expects.iter().map(|(name, value)| has_value(LABELS[*name], *value)).collect();
        let updates: Vec<Record> =
            names.iter().flat_map(|name| replacement(LABELS[*name], value)).collect();
        let octets = update_message(value as u16, ZONE, &conditions, &updates, None);
        let off = self.offsets[site].load(Ordering::Relaxed);
        let time = now_seconds().saturating_add_signed(off);
        let key = &self.keys[value as usize % self.keys.len()];
        let octets = SignedRequest::new(octets, key, time).octets;
        let began = self.now();
        let fate = self.insist(site, &octets)?;
        let writes = names.iter().map(|name| (*name, value)).collect();
        Some(Operation { began, ended: self.now(), expects, writes, fate })
    }

    /// Sends the same message until it is decided.
    fn insist(&self, site: usize, octets: &[u8]) -> Option<Fate> {
        let begin = Instant::now();
        let mut is_unsure = false;
        for attempt in 0.. {
            let server = self.servers[(site + attempt * usize::from(self.is_roaming)) % 3];
            let answer = Client::new(server).udp_within(octets, ANSWER_TIME_MAX);
            match answer.map(|octets| Reply::parse(octets).rcode) {
                Some(Rcode::NOERROR) => return Some(Fate::Done),
                // An earlier copy may be under way, and find that its conditions hold.
                Some(Rcode::NXRRSET) if is_unsure => return Some(Fate::Unknown),
                Some(Rcode::NXRRSET) => return Some(Fate::Refused),
                None | Some(Rcode::SERVFAIL) => is_unsure = true,
                // The site's clock was set meanwhile.
                Some(Rcode::NOTAUTH) if is_unsure => return Some(Fate::Unknown),
                Some(Rcode::NOTAUTH) => return None,
                Some(other) => panic!("{server} says {other}"),
            }
            if begin.elapsed() > CHANGE_TIME_MAX {
                break;
            }
            let_pass(INSIST_PAUSE);
        }
        Some(Fate::Unknown)
    }
}

/// Lets trouble, or peace, last so long: never to wait for something.
fn let_pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
}

fn key_names() -> Vec<String> {
    (0..DEVICES).map(|number| format!("device{number}.")).collect()
}

/// Three sites, and a name at home at each; the value that all names have.
fn begin(start: &FleetStart<'_>) -> Option<(Fleet, u32)> {
    let more_keys = &key_names();
    let fleet = FleetStart { more_keys, ..*start }.start()?;
    let first = value();
    for (site, label) in LABELS.iter().enumerate() {
        change(fleet.dns(site), &signed(&[not_in_use(label)], &replacement(label, first)));
    }
    LABELS.iter().for_each(|label| await_value(&fleet, label, Some(first)));
    Some((fleet, first))
}

/// Waits until nothing is under way, adds what all sites show then to what clients saw, and looks
/// for an order of it all.
fn end(fleet: &Fleet, clients: &Clients, first: u32, mut seen: Vec<Operation>) {
    let over = clients.begin.elapsed();
    seen.append(&mut clients.beside.lock().expect("a list"));
    fleet.settle();
    await_that("no open intents", || {
        for site in fleet.running() {
            let status = fleet.status(site)?;
            if status["open-intents"].as_u64() != Some(0) {
                return Err(format!("{}: {status:#}", fleet.name(site)));
            }
        }
        Ok(())
    });
    for site in fleet.running() {
        let began = clients.now();
        let shown = LABELS.iter().enumerate();
        let expects =
            shown.map(|(name, label)| (name, values(fleet.dns(site), label)[0])).collect();
        let (ended, writes) = (clients.now(), Vec::new());
        seen.push(Operation { began, ended, expects, writes, fate: Fate::Done });
    }
    let quiet = clients.begin.elapsed();
    eprintln!(
        "clients ended after {:.1} s, nothing was under way after {:.1} s",
        over.as_secs_f64(),
        quiet.as_secs_f64()
    );
    let count = |fate| seen.iter().filter(|operation| operation.fate == fate).count();
    let (done, refused, unknown) = (count(Fate::Done), count(Fate::Refused), count(Fate::Unknown));
    let several = |operation: &&Operation| operation.writes.len() > 1;
    let several = seen.iter().filter(several).filter(|one| one.fate == Fate::Done).count();
    eprintln!(
        "{done} changes done, {several} of them of several names; {refused} refused, {unknown} without an answer"
    );
    assert!(several > 10, "hardly anything was done");
    let (commits, aborts) = await_that("decisions", || decisions(fleet));
    eprintln!("changes of several homes in the logs: {commits} made, {aborts} attempts given up");
    assert!(commits > 10, "hardly any had several homes");
    if let Err(why) = explain(&vec![first; LABELS.len()], seen) {
        panic!("what clients saw has no explanation: {why}");
    }
    fleet.check_end();
}

/// Decisions for changes of several homes, and against them, in all logs.
fn decisions(fleet: &Fleet) -> Result<(usize, usize), String> {
    let mut counts = (0, 0);
    for site in fleet.running() {
        for entry in entries(fleet, site)? {
            match entry["committed"].as_bool() {
                Some(true) => counts.0 += 1,
                Some(false) => counts.1 += 1,
                None => {}
            }
        }
    }
    // Sealing comes a moment after the answers.
    if counts.0 > 0 { Ok(counts) } else { Err("there are none".to_owned()) }
}

/// Kills a site some time after a change of all names was sent to `gateway`, and starts it again.
fn kill(fleet: &mut Fleet, clients: &Clients, gateway: usize, lost: usize, after: Duration) {
    let changed = thread::scope(|scope| {
        let asked = scope.spawn(|| clients.change(gateway, &[0, 1, 2], false));
        let_pass(after);
        fleet.kill(lost);
        let_pass(PEACE / 2);
        fleet.start(lost);
        asked.join().expect("a client")
    });
    clients.beside.lock().expect("a list").extend(changed);
}

/// Sets the clock of a site, for itself and for those who sign for it.
fn set_clock(fleet: &Fleet, clients: &Clients, site: usize, seconds: i64) {
    fleet.clock(site).set(seconds);
    clients.offsets[site].store(seconds, Ordering::Relaxed);
}

#[test]
fn clients_see_one_order_of_changes() {
    let round_trip = Some(Duration::from_millis(10));
    let start = FleetStart { round_trip, has_clocks: true, ..FleetStart::usual(EINHORN) };
    let without = FleetStart { round_trip, ..FleetStart::usual(EINHORN) };
    let Some((mut fleet, first)) = begin(&start).or_else(|| begin(&without)) else { return };
    let clients = Clients::new(&fleet, false);
    let seen = clients.watch(|| {
        kill(&mut fleet, &clients, BERLIN, FRANKFURT, Duration::from_millis(7));
        fleet.pause(BERLIN);
        let_pass(PEACE);
        fleet.wake(BERLIN);
        fleet.link(MUENCHEN).cut();
        let_pass(PEACE);
        fleet.link(MUENCHEN).heal();
        if fleet.has_clocks() {
            // A clock that is set back as well: see the full run.
            for seconds in [30, 60] {
                set_clock(&fleet, &clients, FRANKFURT, seconds);
                let_pass(PEACE / 2);
            }
        }
    });
    end(&fleet, &clients, first, seen);
}

#[test]
#[ignore = "takes a minute: part of the full run"]
fn partitions_leave_one_order_of_changes() {
    let start = FleetStart { has_network: true, ..FleetStart::usual(EINHORN) };
    let Some((fleet, first)) = begin(&start) else { return };
    let clients = Clients::new(&fleet, true);
    let seen = clients.watch(|| {
        for seconds in [1, 5] {
            for lost in [BERLIN, FRANKFURT, MUENCHEN] {
                let others: Vec<_> = (0..fleet.count()).filter(|site| *site != lost).collect();
                fleet.network().cut(&[lost], &others);
                let_pass(Duration::from_secs(seconds));
                fleet.network().heal();
                let_pass(PEACE);
            }
            // One link only.
            fleet.network().cut(&[BERLIN], &[FRANKFURT]);
            let_pass(Duration::from_secs(seconds));
            fleet.network().heal();
            let_pass(PEACE);
        }
    });
    end(&fleet, &clients, first, seen);
}

#[test]
#[ignore = "takes a minute: part of the full run"]
fn pauses_leave_one_order_of_changes() {
    let Some((fleet, first)) = begin(&FleetStart::usual(EINHORN)) else { return };
    let clients = Clients::new(&fleet, true);
    let seen = clients.watch(|| {
        // Shorter than anybody's patience, longer than a client's, longer than a request's deadline.
        for ms in [100, 2_000, 5_000] {
            for lost in [BERLIN, FRANKFURT, MUENCHEN] {
                fleet.pause(lost);
                let_pass(Duration::from_millis(ms));
                fleet.wake(lost);
                let_pass(PEACE);
            }
        }
    });
    end(&fleet, &clients, first, seen);
}

#[test]
#[ignore = "takes minutes: part of the full run"]
fn kills_in_each_phase_leave_one_order_of_changes() {
    let round_trip = Duration::from_millis(80);
    let start = FleetStart { round_trip: Some(round_trip), ..FleetStart::usual(EINHORN) };
    let Some((mut fleet, first)) = begin(&start) else { return };
    let clients = Clients::new(&fleet, true);
    let seen = clients.watch(|| {
        for lost in [BERLIN, FRANKFURT, MUENCHEN] {
            // The questions are on their way, intents, the decision, its copies, the ends.
            for quarter in [0, 1, 3, 5, 7] {
                let gateway = (lost + quarter as usize) % 3;
                kill(&mut fleet, &clients, gateway, lost, round_trip * quarter / 4);
                let_pass(PEACE / 2);
            }
        }
    });
    end(&fleet, &clients, first, seen);
}

#[test]
#[ignore = "takes a minute: part of the full run"]
fn wrong_clocks_leave_one_order_of_changes() {
    let start = FleetStart { has_clocks: true, ..FleetStart::usual(EINHORN) };
    let Some((fleet, first)) = begin(&start) else { return };
    let clients = Clients::new(&fleet, false);
    let seen = clients.watch(|| {
        for site in [BERLIN, FRANKFURT, MUENCHEN] {
            for seconds in [2, -2, 60, -60, 3_600, -3_600, 0] {
                set_clock(&fleet, &clients, site, seconds);
                let_pass(PEACE);
            }
        }
    });
    end(&fleet, &clients, first, seen);
}

#[test]
#[ignore = "takes minutes: part of the full run"]
fn long_links_leave_one_order_of_changes() {
    for ms in [10, 30, 80] {
        let round_trip = Some(Duration::from_millis(ms));
        let start = FleetStart { round_trip, ..FleetStart::usual(EINHORN) };
        let Some((mut fleet, first)) = begin(&start) else { return };
        let clients = Clients::new(&fleet, true);
        let seen = clients.watch(|| {
            for site in [FRANKFURT, MUENCHEN] {
                fleet.link(site).cut();
                let_pass(PEACE * 2);
                fleet.link(site).heal();
                let_pass(PEACE);
            }
            kill(&mut fleet, &clients, MUENCHEN, BERLIN, Duration::from_millis(ms / 2));
        });
        end(&fleet, &clients, first, seen);
    }
}
