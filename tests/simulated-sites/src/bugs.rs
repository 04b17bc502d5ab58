//! Each fault that can be put into the protocol, and the first seed that finds it.

use einhorn_simulated_sites::{Bug, find};
use std::process::ExitCode;

/// Seeds within which each must be found.
pub(crate) const SEEDS_MAX: u64 = 2_000;
/// Letters of what the checker said.
const SAID_MAX: usize = 150;

/// Puts the fault with this name into everything.
pub(crate) fn put(name: &str) -> bool {
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    einhorn_simulated_sites::put(bug);
    bug.is_some()
}

/// Finds them all, or says which are not found.
pub(crate) fn find_all(seeds_max: u64) -> ExitCode {
    // A fault may well break what the commit takes for granted: that is a find as well.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = 0;
    println!("| fault | seeds | what the checker said |\n|---|---|---|");
    for bug in Bug::ALL {
        let found = find(bug, seeds_max);
        missed += usize::from(found.is_none());
        let (seeds, said) = found.map_or_else(
            || (format!("> {seeds_max}"), "nothing".to_owned()),
            |(seed, said)| ((seed + 1).to_string(), said),
        );
        let said: String = said.lines().next().unwrap_or_default().chars().take(SAID_MAX).collect();
        println!("| {bug:?} | {seeds} | {said} |");
    }
    println!("\n{} faults, {missed} not found", Bug::ALL.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
