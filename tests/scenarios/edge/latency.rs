//! What an edge costs: the time of an update through it beside that of one sent to the site, and how soon
//! it leaves a site that has fallen silent.

use crate::edge::support::Edged;
use crate::sites::support::{send, set, value};
use einhorn_wire::message::Rcode;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Updates of one round.
const UPDATES: usize = 400;
/// What an edge may add, in the middle.
const ADDED_MAX: Duration = Duration::from_micros(500);
/// How soon another site must be the nearest.
const FAILOVER_MAX: Duration = Duration::from_secs(1);

/// The time in the middle of those that updates take, one after the other.
fn median(server: SocketAddr, label: &str) -> Duration {
    let mut times: Vec<Duration> = (0..UPDATES)
        .map(|_| {
            let octets = set(label, value());
            let begun = Instant::now();
            assert_eq!(send(server, &octets), Some(Rcode::NOERROR));
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[UPDATES / 2]
}

#[test]
#[ignore = "measures time, on a machine that does nothing else"]
fn an_edge_adds_half_a_millisecond_at_most() {
    let edged = Edged::start("local", "");
    let status = edged.await_status("a nearest site", |status| !status["nearest"].is_null());
    let all = 0..edged.fleet.count();
    let nearest = all.into_iter().find(|site| status["nearest"] == edged.fleet.name(*site));
    let site = edged.fleet.dns(nearest.expect("a nearest site"));
    // Both names are at home there from the first update on.
    median(site, "direct");
    let mut rounds: Vec<(Duration, Duration)> =
        (0..3).map(|_| (median(site, "direct"), median(edged.dns(), "edge"))).collect();
    eprintln!("p50 of {UPDATES} updates, direct and through the edge: {rounds:?}");
    rounds.sort_by_key(|(direct, through)| through.saturating_sub(*direct));
    let (direct, through) = rounds[1];
    let added = through.saturating_sub(direct);
    assert!(added <= ADDED_MAX, "the edge adds {added:?}");
}

#[test]
#[ignore = "measures time, on a machine that does nothing else"]
fn a_site_that_falls_silent_is_left_within_a_second() {
    let edged = Edged::start("local", "");
    let status = edged.await_status("three sites", |status| {
        let sites = status["sites"].as_array();
        sites.is_some_and(|sites| sites.iter().all(|site| site["is_there"] == true))
    });
    let all = 0..edged.fleet.count();
    let nearest = all.into_iter().find(|site| status["nearest"] == edged.fleet.name(*site));
    let nearest = nearest.expect("a nearest site");
    let begun = Instant::now();
    edged.fleet.pause(nearest);
    edged.await_status("another nearest site", |status| {
        status["nearest"].is_string() && status["nearest"] != edged.fleet.name(nearest)
    });
    let took = begun.elapsed();
    edged.fleet.wake(nearest);
    eprintln!("a silent site was left after {took:?}");
    assert!(took <= FAILOVER_MAX, "{took:?}");
    edged.fleet.check_end();
}
