//! Several sites in a simulated world: their commits, their disks, the links between them, clients,
//! and everything that goes wrong. All of it follows from a seed.
//!
//! It drives the real [`einhorn_core::commit::Commit`] and checks what clients were told against
//! what the logs say. It must never read a clock, and nothing of it is shipped.
//!
//! What goes wrong: crashes at any moment, with the batch under way on the disk or not; disks that are
//! full and syncs that fail; links that break, stall and divide; pauses; clocks that are set; disks
//! that are put back to old copies; sites suspended, lost, taken over by an operator or by the others,
//! by two at once, and with a majority away on an operator's word. Frames come in order as long as
//! their connection lives, as with TCP; connections that come again bring repetitions.
//!
//! What must hold is checked as it happens (an acknowledgement is on enough disks, does all that was
//! asked for, and is shown; a serial is one content; a change of several names is shown as a whole; no
//! two roots are cosigned) and at the end, after a time in peace (nothing acknowledged is lost, each
//! request is done once, each name has one history, all sites have the same, nobody waits).
//!
//! A checker is worth what it finds: with the feature `deliberate-bugs` the protocol can be made wrong
//! in one of many places, and `cargo xtask sim --bugs` says after how many seeds each is found.

mod check;
mod clients;
mod counts;
mod disk;
mod faults;
mod joint;
mod keys;
mod links;
mod operators;
mod plan;
mod predictors;
mod reversed;
mod run;
mod scenes;
mod signatures;
mod site;
mod steps;
mod tell;
mod world;

pub use counts::Counts;
pub use plan::Plan;
pub use predictors::Predicts;
pub use scenes::Scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Watch, World};

/// One seed of so many is run twice.
pub const TWICE_EVERY: u64 = 10;

/// What became of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What kind of world it was.
    pub plan: Plan,
    /// Stands for everything that happened, in order; the same for all if nobody looked.
    pub hash: u64,
    /// Requests that were acknowledged.
    pub acknowledged: usize,
    /// Requests sent, retries not counted.
    pub requests: usize,
    /// How often what happened.
    pub counts: Counts,
    /// What was wrong.
    pub violation: Option<String>,
    /// Everything that happened, when asked for.
    pub trace: Vec<String>,
}

/// Runs the world that follows from a seed, and keeps all that happens. The sites' agents predict with
/// what is wanted, or else with what the seed says.
pub fn run(seed: u64, predicts: Option<Predicts>) -> Report {
    run_with(seed, Watch { is_traced: true, predicts, ..Watch::default() })
}

fn run_with(seed: u64, watch: Watch) -> Report {
    let mut world = World::new(seed, watch);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation: Option<String> = match ended {
        Ok(ended) => ended.err(),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(format!("it panics: {}", what.unwrap_or("it does not say why")))
        }
    };
    if violation.is_some() && watch.is_traced {
        world.tell_logs();
    }
    Report {
        seed,
        plan: world.plan,
        hash: world.hash,
        acknowledged: world.acknowledged(),
        requests: world.operations.len(),
        counts: world.counts,
        violation,
        trace: world.trace,
    }
}

/// Runs a seed; what was wrong, with how to see it again. One of [`TWICE_EVERY`] is run a second time,
/// with signatures instead of what stands for them, and must go the same way.
///
/// # Errors
/// Text for people.
pub fn check(seed: u64, predicts: Option<Predicts>) -> Result<Report, String> {
    let is_hashed = seed.is_multiple_of(TWICE_EVERY);
    let report = run_with(seed, Watch { is_hashed, predicts, ..Watch::default() });
    let wanted = predicts.map_or(String::new(), |one| format!(" --predicts {}", one.name()));
    let again = format!("cargo xtask sim --seed {seed}{wanted}");
    if let Some(violation) = report.violation {
        return Err(format!("seed {seed} ({:?}): {violation}\n  see it: {again}", report.plan));
    }
    if is_hashed {
        let second =
            run_with(seed, Watch { is_hashed, is_signed: true, is_traced: false, predicts });
        if second.hash != report.hash {
            return Err(format!("seed {seed} went otherwise the second time\n  see it: {again}"));
        }
    }
    Ok(report)
}

#[cfg(feature = "deliberate-bugs")]
pub use einhorn_core::commit::bug::{Bug, put};

/// Runs seeds from 0 on, with a fault in the protocol, until it is found: the seed, and what was said.
#[cfg(feature = "deliberate-bugs")]
pub fn find(bug: Bug, seeds_max: u64) -> Option<(u64, String)> {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    // Faults are looked for without agents: fewer seeds are needed.
    let watch = Watch { predicts: Some(Predicts::Nothing), ..Watch::default() };
    let next = AtomicU64::new(0);
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let first = || found.lock().ok().and_then(|found| found.as_ref().map(|found| found.0));
    let worker = || {
        put(Some(bug));
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first().unwrap_or(seeds_max) {
                return;
            }
            let Some(violation) = run_with(seed, watch).violation else { continue };
            if first().is_none_or(|known| seed < known)
                && let Ok(mut found) = found.lock()
            {
                *found = Some((seed, violation));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(worker)));
    found.into_inner().ok().flatten()
}
