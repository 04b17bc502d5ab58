//! A whole node on a simulated disk: the commit, the engine, the ledger and the start, through
//! power cuts, failed writes and syncs, and full disks. The same seed gives the same run.
//!
//! The node's threads are left out: the steps that they take are taken here, one by one, in an
//! order that the seed decides.

mod files;
mod model;
mod run;

use run::World;

#[test]
fn nothing_acknowledged_is_lost() {
    run_seeds(0..200);
}

#[test]
#[ignore = "long: three thousand seeds, about five minutes"]
fn nothing_acknowledged_is_lost_in_thousands_of_runs() {
    run_seeds(10_000..13_000);
}

fn run_seeds(seeds: std::ops::Range<u64>) {
    let (begun, count) = (std::time::Instant::now(), seeds.end - seeds.start);
    let mut figures = run::Figures::default();
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| World::new(seed).run(&mut figures));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("the failing seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{count} seeds in {:?}: {figures:?}", begun.elapsed());
    figures.check(count);
}
