//! Some seeds of the simulated world; `cargo xtask sim` runs more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds that are run every time.
const SEEDS: u64 = 80;

#[test]
fn sites_keep_their_promises() {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = thread::scope(|scope| {
        let worker = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= SEEDS {
                    return failures;
                }
                failures.extend(einhorn_simulated_sites::check(seed).err());
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a thread")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
