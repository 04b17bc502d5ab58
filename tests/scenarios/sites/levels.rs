//! How far a change must come before it is acknowledged, with one site that does nothing.

use crate::sites::history;
use crate::sites::support::{
    ANSWER_TIME_MAX, BERLIN, FRANKFURT, MUENCHEN, await_value, fleet, print_times, send, set,
    value, values,
};
use einhorn_harness::Fleet;
use einhorn_wire::message::Rcode;
use std::time::{Duration, Instant};

/// Updates whose times are printed.
const UPDATES: usize = 100;
/// When a request is given up, with room on either side for a busy machine.
const DEADLINE: std::ops::Range<Duration> =
    Duration::from_millis(2_500)..Duration::from_millis(4_500);

#[test]
fn a_level_is_kept_with_a_site_that_stands_still() {
    let fleet = fleet("local");
    for level in ["local", "majority", "all"] {
        set_level(&fleet, level);
        let name = format!("ack = {level}, all sites well");
        updates(&fleet, &name);
    }
    for level in ["local", "majority"] {
        set_level(&fleet, level);
        fleet.pause(MUENCHEN);
        updates(&fleet, &format!("ack = {level}, one of three stands still"));
        fleet.wake(MUENCHEN);
        fleet.settle();
    }
    set_level(&fleet, "all");
    fleet.pause(MUENCHEN);
    let retries =
        [not_acknowledged(&fleet, BERLIN, "anna"), not_acknowledged(&fleet, FRANKFURT, "bert")];
    suspended(&fleet);
    fleet.wake(MUENCHEN);
    fleet.settle();
    for (site, label, value, message) in retries {
        assert_eq!(send(fleet.dns(site), &message), Some(Rcode::NOERROR), "{label}");
        await_value(&fleet, label, Some(value));
    }
    fleet.check_end();
    // The retries were not done again.
    history::check(&fleet);
}

/// Writes the zone's level anew, and waits until it is everywhere.
fn set_level(fleet: &Fleet, level: &str) {
    let config = fleet.config(BERLIN);
    let old = std::fs::read_to_string(&config).expect("a configuration");
    let kept = old.lines().filter(|line| !line.starts_with("ack = "));
    let new: String =
        kept.chain([&*format!("ack = \"{level}\"")]).map(|line| format!("{line}\n")).collect();
    std::fs::write(&config, new).expect("the configuration");
    fleet.operate(BERLIN, &["reload"]).good();
    for site in 0..fleet.count() {
        fleet.await_status(site, "the level", |status| status["zones"][0]["ack"] == level);
    }
}

/// Times of updates at two sites, of names that are at home there.
fn updates(fleet: &Fleet, what: &str) {
    for site in [BERLIN, FRANKFURT] {
        let label = format!("timed{site}");
        let mut times = Vec::new();
        for _ in 0..UPDATES {
            let (begun, value) = (Instant::now(), value());
            let rcode = send(fleet.dns(site), &set(&label, value));
            assert_eq!(rcode, Some(Rcode::NOERROR), "{what}, at {}", fleet.name(site));
            times.push(begun.elapsed());
            assert_eq!(values(fleet.dns(site), &label), [value]);
        }
        print_times(&format!("{what}, at {}", fleet.name(site)), &mut times);
    }
}

/// An update that cannot reach all sites: where, of what, and how to ask again.
fn not_acknowledged<'l>(
    fleet: &Fleet,
    site: usize,
    label: &'l str,
) -> (usize, &'l str, u32, Vec<u8>) {
    let value = value();
    let message = set(label, value);
    let begun = Instant::now();
    let rcode = send(fleet.dns(site), &message);
    let waited = begun.elapsed();
    assert_eq!(rcode, Some(Rcode::SERVFAIL));
    assert!(DEADLINE.contains(&waited), "given up after {waited:?}");
    // It was committed all the same.
    assert_eq!(values(fleet.dns(site), label), [value]);
    (site, label, value, message)
}

/// A suspended site counts for nothing; resumed it counts again.
fn suspended(fleet: &Fleet) {
    fleet.operate(BERLIN, &["site", "suspend", "muenchen"]).good();
    for site in [BERLIN, FRANKFURT] {
        fleet.await_status(site, "one that is suspended", |status| {
            status["sites"]
                .as_array()
                .expect("sites")
                .iter()
                .any(|site| site["is-suspended"] == true)
        });
    }
    updates(fleet, "ack = all, the site that stands still suspended");
    fleet.operate(BERLIN, &["site", "resume", "muenchen"]).good();
    let begun = Instant::now();
    assert_eq!(send(fleet.dns(BERLIN), &set("timed0", value())), Some(Rcode::SERVFAIL));
    assert!(begun.elapsed() < ANSWER_TIME_MAX);
}
