//! Some seeds of the simulated world; `cargo xtask sim` runs more.

use einhorn_simulated_sites::{Counts, Predicts};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds that are run every time.
const SEEDS: u64 = 600;

/// What must happen in them, or they test less than they seem to.
const WANTED: [&str; 34] = [
    "acknowledged at all",
    "acknowledged over several homes",
    "acknowledged with later ones",
    "appends to full disks",
    "careful changes",
    "changes of moved names",
    "changes of several zones",
    "changes that an agent looked at",
    "clock steps",
    "crashes",
    "decisions against",
    "deletions",
    "entries in parts",
    "frames lost",
    "leftovers",
    "leases ended",
    "links stalled",
    "pairs parted",
    "points compared",
    "rebuilds",
    "restores",
    "retries",
    "reviews opened",
    "reviews resolved",
    "snapshots saved",
    "syncs failed",
    "takeovers attested",
    "takeovers attested of three sites",
    "takeovers asked for",
    "takeovers automatic",
    "takeovers manual",
    "tombstones returned",
    "withdrawals",
    "zones removed",
];

#[test]
fn sites_keep_their_promises() {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        let (mut failures, mut counts) = (Vec::new(), Counts::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return (failures, counts);
            }
            match einhorn_simulated_sites::check(seed, None) {
                Ok(report) => counts.merge(&report.counts),
                Err(failure) => failures.push(failure),
            }
        }
    };
    let (mut failures, mut counts) = (Vec::new(), Counts::default());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (failed, counted) = worker.join().expect("a thread");
            failures.extend(failed);
            counts.merge(&counted);
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let missing: Vec<_> = WANTED.iter().filter(|what| counts.get(what) == 0).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}; {counts}");
}

/// Seeds that are run with each predictor every time; many more were, by hand.
const SEEDS_PREDICTED: u64 = 40;

#[test]
fn sites_keep_their_promises_whatever_their_agents_predict() {
    for predicts in Predicts::ALL {
        let mut counts = Counts::default();
        for seed in 0..SEEDS_PREDICTED {
            match einhorn_simulated_sites::check(seed, Some(predicts)) {
                Ok(report) => counts.merge(&report.counts),
                Err(failure) => panic!("{failure}"),
            }
        }
        let is_asked = counts.get("changes that an agent looked at") > 0;
        assert_eq!(is_asked, predicts != Predicts::Nothing, "{predicts:?}: {counts}");
        if predicts == Predicts::Always {
            assert!(counts.get("careful changes") > 100, "{counts}");
        }
    }
}
