//! Updates of names with different homes: all or nothing, at every site at once, through kills.

use crate::sites::support::{
    BERLIN, FRANKFURT, MUENCHEN, await_value, change, fleet, has_value, insist, named, not_in_use,
    replacement, send, set, signed, value, values,
};
use einhorn_harness::{Fleet, await_that, transfer};
use einhorn_wire::message::Rcode;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Changes of both names by each client.
const ROUNDS: usize = 20;
/// Kills of each site.
const KILLS: usize = 1;
/// Changes by each client between two kills, at least.
const BETWEEN_KILLS: usize = 5;

/// A signed update that gives both names the same address.
fn both(value: u32) -> Vec<u8> {
    let (left, right) = (replacement("left", value), replacement("right", value));
    signed(&[], &[left, right].concat())
}

/// Names at home at Berlin and at Frankfurt.
fn begin(fleet: &Fleet) {
    let first = value();
    for (site, label) in [(BERLIN, "left"), (FRANKFURT, "right")] {
        change(fleet.dns(site), &signed(&[not_in_use(label)], &replacement(label, first)));
        await_value(fleet, label, Some(first));
    }
    // Transfers are a moment behind answers.
    for server in (0..fleet.count()).map(|site| fleet.dns(site)) {
        await_that("both names in a transfer", || {
            let found = in_transfer(server);
            if found.iter().all(Option::is_some) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
}

/// What the names have in a transfer of the whole zone.
fn in_transfer(server: SocketAddr) -> [Option<String>; 2] {
    let records = transfer(server).1;
    ["left", "right"].map(|label| {
        let owner = named(label);
        records.iter().find_map(|record| record.strip_prefix(&owner)).map(str::to_owned)
    })
}

/// Both must have the same.
fn check_transfer(server: SocketAddr) -> String {
    let [left, right] = in_transfer(server);
    assert_eq!(left, right, "{server} shows a half of a change");
    left.expect("records")
}

#[test]
fn a_change_of_several_homes_is_whole_at_every_site() {
    let fleet = fleet("all");
    begin(&fleet);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let watchers: Vec<_> = (0..fleet.count())
            .map(|site| {
                let server = fleet.dns(site);
                scope.spawn(move || {
                    let mut seen = std::collections::BTreeSet::new();
                    while !is_over.load(Ordering::Relaxed) {
                        seen.insert(check_transfer(server));
                    }
                    seen.len()
                })
            })
            .collect();
        let clients: Vec<_> = (0..fleet.count())
            .map(|site| {
                let server = fleet.dns(site);
                scope.spawn(move || (0..ROUNDS).for_each(|_| change(server, &both(value()))))
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("a client"));
        is_over.store(true, Ordering::Relaxed);
        let seen: Vec<_> =
            watchers.into_iter().map(|watcher| watcher.join().expect("a watcher")).collect();
        assert!(seen.iter().all(|seen| *seen > 1), "nothing to be seen: {seen:?}");
    });
    refused_as_a_whole(&fleet);
    told(&fleet);
    fleet.check_end();
    (0..fleet.count()).for_each(|site| _ = check_transfer(fleet.dns(site)));
}

/// What one home refuses is not done at the other one.
fn refused_as_a_whole(fleet: &Fleet) {
    let before = value();
    change(fleet.dns(BERLIN), &both(before));
    await_value(fleet, "right", Some(before));
    let [left, right] = ["left", "right"].map(|label| replacement(label, value()));
    let updates = [left, right].concat();
    for server in (0..fleet.count()).map(|site| fleet.dns(site)) {
        let wrong = [has_value("left", before), not_in_use("right")];
        assert_eq!(insist(&[server], &signed(&wrong, &updates)), Rcode::YXDOMAIN);
        let wrong = [has_value("left", before + 1_000_000)];
        assert_eq!(insist(&[server], &signed(&wrong, &updates)), Rcode::NXRRSET);
    }
    for label in ["left", "right"] {
        await_value(fleet, label, Some(before));
    }
}

/// The logs tell the story of a change of two homes, mostly the last one: at some time both names may
/// have had the same home.
fn told(fleet: &Fleet) {
    fleet.settle();
    // The files of copies are some seconds behind.
    let history = await_that("a history", || {
        let ran = fleet.operate(BERLIN, &["ledger", "history", "left.fleet.example."]);
        if ran.code == Some(0) { Ok(ran.stdout) } else { Err(format!("{ran:?}")) }
    });
    let is_told =
        |word: &&str| word.len() == 32 && word.bytes().all(|octet| octet.is_ascii_hexdigit());
    let kinds = |transaction: &str| -> Vec<String> {
        let ran = fleet.operate(MUENCHEN, &["ledger", "show", "--json", transaction]);
        let entries = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        entries
            .map(|entry: serde_json::Value| entry["kind"].as_str().expect("a kind").to_owned())
            .collect()
    };
    let whole = ["intent", "intent", "decision", "finish", "finish"];
    let transaction = await_that("the story of a change", || {
        let mut transactions = history.split_whitespace().rev().filter(is_told);
        transactions.find(|transaction| kinds(transaction) == whole).ok_or_else(|| history.clone())
    });
    let text = fleet.operate(MUENCHEN, &["ledger", "show", transaction]).good();
    assert!(text.contains("committed, since all agreed"), "{text}");
}

#[test]
fn sites_killed_in_any_phase_leave_no_name_blocked() {
    let mut fleet = fleet("local");
    begin(&fleet);
    for _ in 0..KILLS {
        for lost in [FRANKFURT, BERLIN, MUENCHEN] {
            let servers: Vec<_> = (0..fleet.count()).map(|site| fleet.dns(site)).collect();
            let is_over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let (is_over, servers) = (&is_over, &servers);
                let clients: Vec<_> = (0..servers.len())
                    .map(|client| {
                        let mut order = servers.clone();
                        order.rotate_left(client);
                        scope.spawn(move || {
                            let mut done = 0;
                            while done < BETWEEN_KILLS || !is_over.load(Ordering::Relaxed) {
                                let update = both(value());
                                done += usize::from(send(order[0], &update).is_some());
                                order.rotate_left(1);
                            }
                        })
                    })
                    .collect();
                fleet.kill(lost);
                fleet.start(lost);
                is_over.store(true, Ordering::Relaxed);
                clients.into_iter().for_each(|client| client.join().expect("a client"));
            });
            fleet.settle();
            await_that("no open intents", || {
                let statuses: Result<Vec<_>, _> =
                    fleet.running().into_iter().map(|site| fleet.status(site)).collect();
                let open = |status: &serde_json::Value| status["open-intents"].as_u64() != Some(0);
                match statuses?.into_iter().find(open) {
                    Some(status) => Err(format!("{status:#}")),
                    None => Ok(()),
                }
            });
            let last = value();
            change(fleet.dns(lost), &both(last));
            ["left", "right"].iter().for_each(|label| await_value(&fleet, label, Some(last)));
            // And each by itself.
            for label in ["left", "right"] {
                let alone = value();
                change(fleet.dns(lost), &set(label, alone));
                await_value(&fleet, label, Some(alone));
                assert_eq!(values(fleet.dns(lost), label), [alone]);
            }
        }
    }
    fleet.check_end();
}
