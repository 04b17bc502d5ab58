//! Several sites in a simulated world: their commits, their disks, the links between them, clients,
//! and everything that goes wrong. All of it follows from a seed.
//!
//! It drives the real [`einhorn_core::commit::Commit`] and checks what clients were told against
//! what the logs say. It must never read a clock, and nothing of it is shipped.

mod check;
mod clients;
mod counts;
mod disk;
mod faults;
mod keys;
mod links;
mod operators;
mod plan;
mod run;
mod signatures;
mod site;
mod steps;
mod world;

pub use counts::Counts;
pub use plan::Plan;

use signatures::Remembered;
use world::World;

/// What became of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What kind of world it was.
    pub plan: Plan,
    /// Stands for everything that happened, in order.
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

/// Runs the world that follows from a seed; keeps all that happens if `is_traced`.
pub fn run(seed: u64, is_traced: bool) -> Report {
    run_with(seed, is_traced, &Remembered::default())
}

fn run_with(seed: u64, is_traced: bool, signatures: &Remembered) -> Report {
    let mut world = World::new(seed, is_traced, signatures);
    let violation = world.run().err();
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

/// Runs a seed twice; what was wrong, with how to see it again.
///
/// # Errors
/// Text for people.
pub fn check(seed: u64) -> Result<Report, String> {
    let signatures = Remembered::default();
    let [first, second] = [(); 2].map(|()| run_with(seed, false, &signatures));
    let again = format!("cargo xtask sim --seed {seed}");
    if let Some(violation) = first.violation {
        return Err(format!("seed {seed} ({:?}): {violation}\n  see it: {again}", first.plan));
    }
    if first.hash != second.hash {
        return Err(format!("seed {seed} went otherwise the second time\n  see it: {again}"));
    }
    Ok(first)
}
