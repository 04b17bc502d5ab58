//! A site that is lost, and another one that goes on for it; and what becomes of the lost one when
//! it returns.

use crate::sites::support::{
    BERLIN, EINHORN, FRANKFURT, MUENCHEN, await_value, change, fleet, fleet_with_network, named,
    not_in_use, replacement, send, set, signed, value, values,
};
use einhorn_harness::{Fleet, FleetStart, SITES};
use einhorn_wire::message::Rcode;
use serde_json::Value;

/// After how long the others take over by themselves, in seconds.
const AUTO_SECONDS: &str = "3";

/// A name at home at each site, with its value.
fn homes(fleet: &Fleet) -> Vec<(String, u32)> {
    let home = |site: usize| {
        let (label, value) = (format!("home{site}"), value());
        change(fleet.dns(site), &set(&label, value));
        await_value(fleet, &label, Some(value));
        (label, value)
    };
    (0..fleet.count()).map(home).collect()
}

/// Changes every name and registers a new one, through each running site.
fn goes_on(fleet: &Fleet, homes: &[(String, u32)], round: &str) {
    for site in fleet.running() {
        for (label, _) in homes {
            let value = value();
            change(fleet.dns(site), &set(label, value));
            await_value(fleet, label, Some(value));
        }
        let (label, value) = (format!("new-{round}-{site}"), value());
        change(fleet.dns(site), &signed(&[not_in_use(&label)], &replacement(&label, value)));
        await_value(fleet, &label, Some(value));
    }
}

fn line(status: &Value, site: &str) -> Value {
    let sites = status["sites"].as_array().expect("sites");
    sites.iter().find(|line| line["name"] == site).cloned().unwrap_or_default()
}

#[test]
fn a_lost_site_returns_with_changes_that_nobody_else_has() {
    let Some(mut fleet) = fleet_with_network("local") else { return };
    let homes = homes(&fleet);
    // Berlin is the home of the zone and of the registry.
    fleet.network().cut(&[BERLIN], &[FRANKFURT, MUENCHEN]);
    let tail = value();
    assert_eq!(send(fleet.dns(BERLIN), &set(&homes[BERLIN].0, tail)), Some(Rcode::NOERROR));
    assert_eq!(values(fleet.dns(BERLIN), &homes[BERLIN].0), [tail]);
    fleet.kill(BERLIN);
    let away = |status: &Value| line(status, "berlin")["state"] == "away";
    [FRANKFURT, MUENCHEN].iter().for_each(|site| _ = fleet.await_status(*site, "away", away));
    // Not sooner: the system would still deliver what the program left in its sockets.
    fleet.network().heal();
    await_value(&fleet, &homes[BERLIN].0, Some(homes[BERLIN].1));
    let said = fleet.operate(FRANKFURT, &["site", "failover", "berlin"]).good();
    assert!(said.contains("site frankfurt goes on for berlin"), "{said}");
    goes_on(&fleet, &homes, "without");
    fleet.settle();

    fleet.start(BERLIN);
    let status = fleet.await_status(BERLIN, "a second log", |status| {
        status["log"] == "1/2" && status["problem"].is_null()
    });
    eprintln!("{status:#}");
    fleet.settle();
    // What nobody else had does not count, and stays to be seen.
    for site in 0..fleet.count() {
        let status = fleet.status(site).expect("a status");
        let leftovers = status["leftovers"].as_array().expect("leftovers").clone();
        assert!(!leftovers.is_empty(), "{status:#}");
        assert_ne!(values(fleet.dns(site), &homes[BERLIN].0), [tail]);
    }
    shown(&fleet, tail, &homes[BERLIN].0);
    goes_on(&fleet, &homes, "again");
    // The new log is cosigned like any other.
    let entries = fleet.status(BERLIN).expect("a status")["entries"].as_u64();
    fleet.await_status(BERLIN, "cosignatures", |status| {
        ["frankfurt", "muenchen"]
            .iter()
            .all(|site| line(status, site)["cosigned"].as_u64() >= entries)
    });
    // And its site can be restarted once more.
    fleet.stop(BERLIN);
    fleet.start(BERLIN);
    goes_on(&fleet, &homes, "once-more");
    fleet.check_end();
}

/// One of the leftovers is the lost change, and `ledger show` says so.
fn shown(fleet: &Fleet, tail: u32, label: &str) {
    let status = fleet.status(BERLIN).expect("a status");
    let leftovers = status["leftovers"].as_array().expect("leftovers").clone();
    let texts: Vec<_> = leftovers
        .iter()
        .filter_map(|leftover| leftover.as_str())
        .map(|place| fleet.operate(BERLIN, &["ledger", "show", place]).good())
        .collect();
    let address = std::net::Ipv4Addr::from(tail).to_string();
    let is_shown = texts.iter().any(|text| text.contains(&named(label)) && text.contains(&address));
    assert!(is_shown, "{address} of {label} is not in {leftovers:?}: {texts:#?}");
}

#[test]
fn the_others_take_over_by_themselves() {
    let mut fleet = fleet("local");
    let homes = homes(&fleet);
    fleet.operate(BERLIN, &["site", "failover", "--auto", AUTO_SECONDS]).good();
    fleet.await_status(FRANKFURT, "the policy", |status| status["failover"] == "after 3 s");
    for (lost, successor) in [(MUENCHEN, "berlin"), (BERLIN, "frankfurt")] {
        fleet.kill(lost);
        let name = fleet.name(lost).to_owned();
        for site in fleet.running() {
            fleet.await_status(site, "a takeover", |status| {
                line(status, &name)["taken-over-by"] == successor
            });
        }
        goes_on(&fleet, &homes, &name);
        fleet.start(lost);
        fleet.settle();
        goes_on(&fleet, &homes, &format!("{name}-back"));
    }
    fleet.check_end();
}

#[test]
fn of_two_sites_an_operator_vouches() {
    let names = &SITES[..2];
    let start = FleetStart { names, ..FleetStart::usual(EINHORN) };
    let mut fleet = start.start().expect("loopback is everywhere");
    let homes = homes(&fleet);
    fleet.kill(BERLIN);
    fleet.await_status(FRANKFURT, "away", |status| line(status, "berlin")["state"] == "away");
    let said = fleet.operate(FRANKFURT, &["site", "failover", "berlin"]).failed(1);
    assert!(said.contains("berlin cannot be reached"), "{said}");
    assert!(said.contains("--attest-stopped"), "{said}");
    let home = send(fleet.dns(FRANKFURT), &set(&homes[BERLIN].0, 1));
    assert_eq!(home, Some(Rcode::SERVFAIL));
    fleet.operate(FRANKFURT, &["site", "failover", "berlin", "--attest-stopped"]).good();
    goes_on(&fleet, &homes, "alone");
    fleet.start(BERLIN);
    fleet.settle();
    goes_on(&fleet, &homes, "two");
    fleet.check_end();
}
