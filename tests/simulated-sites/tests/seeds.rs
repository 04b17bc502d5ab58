//! Some seeds of the simulated world; `cargo xtask sim` runs more.

use einhorn_simulated_sites::Counts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds that are run every time.
const SEEDS: u64 = 600;

/// What must happen in them, or they test less than they seem to.
const WANTED: [&str; 32] = [
    "acknowledged at all",
    "acknowledged over several homes",
    "acknowledged with later ones",
    "appends to full disks",
    "changes of moved names",
    "changes of several zones",
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
            match einhorn_simulated_sites::check(seed) {
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
