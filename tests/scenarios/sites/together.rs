//! Three sites that are all well: any of them takes any update, and all give one answer.

use crate::sites::history;
use crate::sites::support::{
    BERLIN, FRANKFURT, MUENCHEN, await_value, change, delete, fleet, has_value, insist, named,
    not_in_use, replacement, set, signed, value, values,
};
use einhorn_harness::{Fleet, address, await_that, record, transfer};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};
use std::net::SocketAddr;
use std::sync::{Barrier, Mutex};
use std::time::Instant;

/// Names that two sites register at the same moment.
const RACES: usize = 40;
/// Records that each site adds to one name, and steps that each counts.
const ADDED: usize = 30;
/// Changes of a name that goes from site to site.
const ROUNDS: usize = 30;

#[test]
fn three_sites_are_one() {
    let fleet = fleet("local");
    everyone_answers(&fleet);
    first_registrations(&fleet);
    std::thread::scope(|scope| {
        for site in 0..fleet.count() {
            let fleet = &fleet;
            scope.spawn(move || add_texts(fleet.dns(site), site));
            scope.spawn(move || count(fleet.dns(site)));
            scope.spawn(move || wander(fleet, site));
        }
        scope.spawn(|| everyone_sets(&fleet));
    });
    fleet.check_end();
    for site in 0..fleet.count() {
        let owner = named("texts");
        let texts = transfer(fleet.dns(site)).1;
        let texts = texts.iter().filter(|record| record.starts_with(&owner)).count();
        assert_eq!(texts, fleet.count() * ADDED, "at {}", fleet.name(site));
        assert_eq!(values(fleet.dns(site), "counter"), [(fleet.count() * ADDED) as u32]);
    }
    history::check(&fleet);
}

fn everyone_answers(fleet: &Fleet) {
    // The name is at home at Berlin, and each site changes it; then a name that is new.
    for label in ["host", "anna"] {
        for site in [MUENCHEN, BERLIN, FRANKFURT] {
            let value = value();
            change(fleet.dns(site), &set(label, value));
            // Whoever was told sees it at once; the others in a moment.
            assert_eq!(values(fleet.dns(site), label), [value], "at {}", fleet.name(site));
            await_value(fleet, label, Some(value));
        }
    }
    for _ in 0..3 {
        change(fleet.dns(FRANKFURT), &delete("anna"));
        await_value(fleet, "anna", None);
        let value = value();
        change(fleet.dns(MUENCHEN), &set("anna", value));
        await_value(fleet, "anna", Some(value));
    }
}

/// One of two first registrations at the same moment wins, and everybody sees which.
fn first_registrations(fleet: &Fleet) {
    let start = Barrier::new(2);
    let register = |site: usize, round: usize| {
        let (label, value) = (format!("race{round}"), value());
        let message = signed(&[not_in_use(&label)], &replacement(&label, value));
        start.wait();
        (insist(&[fleet.dns(site)], &message), value)
    };
    let mut won = [0; 3];
    for round in 0..RACES {
        // Each pair of sites, the zone's home among them or not.
        let (one, other) = [(1, 2), (0, 1), (2, 0)][round % 3];
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| register(other, round));
            (register(one, round), second.join().expect("it ends"))
        });
        let value = match (first, second) {
            ((Rcode::NOERROR, value), (Rcode::YXDOMAIN, _)) => {
                won[one] += 1;
                value
            }
            ((Rcode::YXDOMAIN, _), (Rcode::NOERROR, value)) => {
                won[other] += 1;
                value
            }
            both => panic!("round {round}: {both:?}"),
        };
        await_value(fleet, &format!("race{round}"), Some(value));
    }
    eprintln!("of {RACES} races the sites won {won:?}");
}

/// Adds records to a name that the others add to as well.
fn add_texts(dns: SocketAddr, site: usize) {
    for number in 0..ADDED {
        let text = format!("{site}-{number}");
        let rdata = [&[text.len() as u8], text.as_bytes()].concat();
        let add = record(&named("texts"), RecordType::TXT, Class::IN, 60, &rdata);
        change(dns, &signed(&[], &[add]));
    }
}

/// Counts up, each step on the condition that nobody else has done it.
fn count(dns: SocketAddr) {
    let mut done = 0;
    while done < ADDED {
        let message = match values(dns, "counter")[..] {
            [] => signed(&[not_in_use("counter")], &[address(&named("counter"), [0, 0, 0, 1])]),
            [value] => signed(&[has_value("counter", value)], &replacement("counter", value + 1)),
            ref other => panic!("the counter is {other:?}"),
        };
        match insist(&[dns], &message) {
            Rcode::NOERROR => done += 1,
            Rcode::NXRRSET | Rcode::YXDOMAIN => {}
            other => panic!("{other}"),
        }
    }
}

/// A device that is now here, now there; at times its name is deleted meanwhile.
fn wander(fleet: &Fleet, device: usize) {
    let label = format!("device{device}");
    let mut last = 0;
    for round in 0..ROUNDS {
        let dns = fleet.dns((device + round) % fleet.count());
        if round % 7 == 6 {
            change(dns, &delete(&label));
        }
        last = value();
        change(dns, &set(&label, last));
        assert_eq!(values(dns, &label), [last], "{label}, round {round}");
    }
    await_value(fleet, &label, Some(last));
}

/// Everybody sets one name: the value that stays is one after which no other was begun.
fn everyone_sets(fleet: &Fleet) {
    let done: Mutex<Vec<(u32, Instant, Instant)>> = Mutex::default();
    std::thread::scope(|scope| {
        for site in 0..fleet.count() {
            let done = &done;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let (value, begun) = (value(), Instant::now());
                    change(fleet.dns(site), &set("shared", value));
                    done.lock().expect("a list").push((value, begun, Instant::now()));
                }
            });
        }
    });
    let done = done.into_inner().expect("a list");
    let last = await_that("one value everywhere", || {
        let found: Vec<_> =
            (0..fleet.count()).map(|site| values(fleet.dns(site), "shared")).collect();
        match found[0][..] {
            [value] if found.iter().all(|other| *other == found[0]) => Ok(value),
            _ => Err(format!("{found:?}")),
        }
    });
    let (_, _, ended) = *done.iter().find(|(value, ..)| *value == last).expect("a value sent");
    let later: Vec<_> = done.iter().filter(|(_, begun, _)| *begun > ended).collect();
    assert!(later.is_empty(), "{last} stayed, but these were begun when it was done: {later:?}");
}
