//! Runs seeds of the simulated world: `--seeds N [--from S]` many, `--seed S` one with everything
//! that happened. What fails is said with the command that shows it again. `--bugs [--seeds N]` puts
//! faults into the protocol, one after the other, and says which seed finds each; `--seed S --bug NAME`
//! shows one. That needs the feature `deliberate-bugs`. `--predicts WHAT` gives all sites' agents one
//! predictor, broken or not, instead of what each seed says.
#![allow(clippy::print_stdout, reason = "a command line tool: standard output is its interface")]

use einhorn_simulated_sites::{Predicts, TWICE_EVERY};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

#[cfg(feature = "deliberate-bugs")]
mod bugs;

const USAGE: &str = "\
usage: --seeds N [--from S] [--predicts WHAT] | --seed S [--predicts WHAT | --bug NAME] | --bugs [--seeds N]
  WHAT the sites' agents predict with: nothing, model, inverted, random, never, always, nan";
/// Failing seeds after which nothing more is run.
const FAILURES_MAX: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    #[cfg(feature = "deliberate-bugs")]
    match words[..] {
        ["--bugs"] => return bugs::find_all(bugs::SEEDS_MAX),
        ["--bugs", "--seeds", max] => {
            return bugs::find_all(number(max).unwrap_or(bugs::SEEDS_MAX));
        }
        ["--seed", seed, "--bug", bug] => {
            if let Some(seed) = number(seed).filter(|_| bugs::put(bug)) {
                return show(seed, Some(Predicts::Nothing));
            }
        }
        _ => {}
    }
    let (words, predicts) = match words[..] {
        [ref rest @ .., "--predicts", what] => {
            let known = Predicts::ALL.into_iter().find(|one| one.name() == what);
            // What is not known leaves the words as they are, which makes no sense then.
            if known.is_some() { (rest.to_vec(), known) } else { (words, None) }
        }
        _ => (words, None),
    };
    let (count, from, one) = match words[..] {
        ["--seed", seed] => (None, None, number(seed)),
        ["--seeds", count] => (number(count), Some(0), None),
        ["--seeds", count, "--from", from] => (number(count), number(from), None),
        _ => (None, None, None),
    };
    match (count, from, one) {
        (None, None, Some(seed)) => show(seed, predicts),
        (Some(count), Some(from), None) => run_many(from, count, predicts),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn show(seed: u64, predicts: Option<Predicts>) -> ExitCode {
    let report = einhorn_simulated_sites::run(seed, predicts);
    for line in &report.trace {
        println!("{line}");
    }
    println!(
        "{:?}: {} requests, {} acknowledged, hash {:016x}\n{}",
        report.plan, report.requests, report.acknowledged, report.hash, report.counts
    );
    match report.violation {
        Some(violation) => {
            println!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn run_many(from: u64, count: u64, predicts: Option<Predicts>) -> ExitCode {
    let (next, acknowledged) = (AtomicU64::new(from), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let counts = Mutex::new(einhorn_simulated_sites::Counts::default());
    let begun = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let failed = failures
                        .lock()
                        .map_or(0, |failures: std::sync::MutexGuard<'_, Vec<String>>| {
                            failures.len()
                        });
                    if seed >= from + count || failed >= FAILURES_MAX {
                        return;
                    }
                    match einhorn_simulated_sites::check(seed, predicts) {
                        Ok(report) => {
                            let done = report.acknowledged as u64;
                            acknowledged.fetch_add(done, Ordering::Relaxed);
                            if let Ok(mut counts) = counts.lock() {
                                counts.merge(&report.counts);
                            }
                        }
                        Err(message) => {
                            println!("{message}");
                            if let Ok(mut failures) = failures.lock() {
                                failures.push(message);
                            }
                        }
                    }
                }
            });
        }
    });
    let failed = failures.into_inner().map_or(0, |failures| failures.len());
    let seeds = next.into_inner().min(from + count) - from;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{seeds} seeds, each {TWICE_EVERY}th twice, {failed} failed; {} requests acknowledged; {:.0} seeds per minute",
        acknowledged.into_inner(),
        seeds as f64 / minutes
    );
    if let Ok(counts) = counts.into_inner() {
        println!("{counts}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
