//! Links that are cut: the side that can decide goes on, the other one answers queries and refuses
//! what it cannot decide, and afterwards all are one again.

use crate::sites::history;
use crate::sites::support::{
    BERLIN, FRANKFURT, MUENCHEN, await_value, change, fleet_with_network, send, set, value, values,
};
use einhorn_harness::Fleet;
use einhorn_wire::message::Rcode;

#[test]
fn the_majority_goes_on() {
    let Some(fleet) = fleet_with_network("majority") else { return };
    // A name at home at each site.
    let homes: Vec<_> = (0..fleet.count()).map(|site| format!("home{site}")).collect();
    for (site, label) in homes.iter().enumerate() {
        let value = value();
        change(fleet.dns(site), &set(label, value));
        await_value(&fleet, label, Some(value));
    }
    let before = values(fleet.dns(MUENCHEN), &homes[FRANKFURT]);
    fleet.network().cut(&[BERLIN, FRANKFURT], &[MUENCHEN]);
    await_away(&fleet, MUENCHEN);
    let message = minority(&fleet, &homes);
    // The majority changes its own names and registers new ones, at either site.
    let (value, new) = (value(), value());
    for (site, label, value) in
        [(FRANKFURT, &*homes[BERLIN], value), (BERLIN, "new", new), (FRANKFURT, "newer", new)]
    {
        change(fleet.dns(site), &set(label, value));
        assert_eq!(values(fleet.dns(site), label), [value]);
    }
    let refused = send(fleet.dns(FRANKFURT), &set(&homes[MUENCHEN], 1));
    assert_eq!(refused, Some(Rcode::SERVFAIL), "its home cannot be reached");
    assert_eq!(values(fleet.dns(MUENCHEN), &homes[FRANKFURT]), before, "queries are answered");
    fleet.network().heal();
    fleet.settle();
    assert_eq!(send(fleet.dns(MUENCHEN), &message.0), Some(Rcode::NOERROR));
    await_value(&fleet, &homes[MUENCHEN], Some(message.1));
    await_value(&fleet, &homes[BERLIN], Some(value));
    zone_home_away(&fleet, &homes);
    fleet.check_end();
    history::check(&fleet);
}

/// What the site that is alone does; gives an update of its own name, which is not acknowledged.
fn minority(fleet: &Fleet, homes: &[String]) -> (Vec<u8>, u32) {
    let dns = fleet.dns(MUENCHEN);
    for label in [&*homes[BERLIN], &homes[FRANKFURT], "nobody"] {
        assert_eq!(send(dns, &set(label, 1)), Some(Rcode::SERVFAIL), "{label}");
    }
    let value = value();
    let message = set(&homes[MUENCHEN], value);
    assert_eq!(send(dns, &message), Some(Rcode::SERVFAIL), "no majority has it");
    (message, value)
}

/// Without the home of the zone, names that exist go on, and new ones wait.
fn zone_home_away(fleet: &Fleet, homes: &[String]) {
    fleet.network().cut(&[BERLIN], &[FRANKFURT, MUENCHEN]);
    await_away(fleet, BERLIN);
    let value = value();
    change(fleet.dns(MUENCHEN), &set(&homes[FRANKFURT], value));
    change(fleet.dns(FRANKFURT), &set(&homes[MUENCHEN], value));
    assert_eq!(send(fleet.dns(FRANKFURT), &set("later", value)), Some(Rcode::SERVFAIL));
    assert!(values(fleet.dns(FRANKFURT), "later").is_empty());
    fleet.network().heal();
    change(fleet.dns(FRANKFURT), &set("later", value));
    for label in ["later", &homes[FRANKFURT], &homes[MUENCHEN]] {
        await_value(fleet, label, Some(value));
    }
}

/// Waits until both sides have noticed that a site is cut off.
fn await_away(fleet: &Fleet, lone: usize) {
    let away = |status: &serde_json::Value, number: usize| {
        let sites = status["sites"].as_array().expect("sites");
        // Requests for a site are refused at once from then on.
        let is_away = |site: &serde_json::Value| {
            site["number"] == number + 1
                && site["state"] == "away"
                && site["for-ms"].as_u64() > Some(1_000)
        };
        sites.iter().any(is_away)
    };
    for site in (0..fleet.count()).filter(|site| *site != lone) {
        fleet.await_status(site, "a site that is away", |status| away(status, lone));
        fleet.await_status(lone, "sites that are away", |status| away(status, site));
    }
}
