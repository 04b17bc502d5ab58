//! A site that joins when there are many names, while they change.

use crate::sites::load::Devices;
use crate::sites::support::{BERLIN, EINHORN, FRANKFURT, change, set, value};
use einhorn_harness::{FleetStart, SITES, ZONE_FILE, await_that};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The promise.
const JOIN_MAX: Duration = Duration::from_secs(60);
/// The one that joins.
const JOINING: usize = 2;

#[test]
fn a_site_joins_100_000_names() {
    join(100_000);
}

#[test]
#[ignore = "long: minutes"]
fn a_site_joins_1_000_000_names() {
    join(1_000_000);
}

fn join(names: u32) {
    let mut zone = ZONE_FILE.to_owned();
    for number in 0..names {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        // Writing to a string cannot fail.
        let _ = writeln!(zone, "n{number} A {address}");
    }
    let start = FleetStart { names: &SITES[..2], zone_file: &zone, ..FleetStart::usual(EINHORN) };
    let mut fleet = start.start().expect("loopback is everywhere");
    // So that there is history, and not only the zone's load.
    (0..100).for_each(|number| change(fleet.dns(FRANKFURT), &set(&format!("n{number}"), value())));
    let servers = [fleet.dns(BERLIN), fleet.dns(FRANKFURT)];
    let mut devices = Devices::new(&fleet, 2);
    let (seconds, progress) = devices.run(&servers, |doing| {
        doing.await_more(50);
        fleet.init(SITES[JOINING]);
        let begun = Instant::now();
        fleet.start(JOINING);
        fleet.add(JOINING);
        let mut progress = Vec::new();
        await_that("a site that has everything", || {
            let status = fleet.status(JOINING)?;
            let lags = status["lags"].as_array().cloned().unwrap_or_default();
            let here = lags.iter().filter(|lag| lag["at"] == SITES[JOINING]);
            let sum = |of: &str| here.clone().filter_map(|lag| lag[of].as_u64()).sum::<u64>();
            let (held, known) = (sum("held"), sum("known"));
            progress.push((held, known));
            // Updates go on, so it is never ahead of all of them.
            let is_there = status["problem"].is_null() && status["number"] == 3 && held > 0;
            let has_zone = status["zones"][0]["serial"].as_u64().is_some();
            if is_there && has_zone && held + 100 > known {
                Ok(())
            } else {
                Err(format!("{status:#}"))
            }
        });
        let seconds = begun.elapsed();
        doing.await_more(50);
        (seconds, progress)
    });
    eprintln!("{names} names: joined in {seconds:?}; progress, as (held, known): {progress:?}");
    assert!(seconds < JOIN_MAX, "{seconds:?}");
    change(fleet.dns(JOINING), &set("joined", value()));
    devices.check(&fleet);
    fleet.check_end();
    for site in [BERLIN, FRANKFURT] {
        let entries = fleet.status(site).expect("a status")["entries"].as_u64();
        fleet.await_status(site, "the new site's cosignature", |status| {
            let sites = status["sites"].as_array().expect("sites");
            sites
                .iter()
                .any(|line| line["name"] == SITES[JOINING] && line["cosigned"].as_u64() >= entries)
        });
    }
}
