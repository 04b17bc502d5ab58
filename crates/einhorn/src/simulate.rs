//! `einhorn simulate`.

use crate::{Failure, Outcome, print};
use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::model::Model;
use einhorn_core::agent::PREPARING_US;
use einhorn_workload::compare::{self, CompareError, Options, SeedResult};
use einhorn_workload::judge::Prices;
use einhorn_workload::plots;
use einhorn_workload::report::Report;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds of a price to the microseconds of a cost.
const MICROSECONDS: u64 = 1_000_000;

/// Arguments of `einhorn simulate`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds; each is a fleet with its own days.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Sites of each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=8))]
    sites: u16,
    /// Days of each.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=60))]
    days: u32,
    /// What an intervention by a person costs, in seconds of waiting.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    price: u64,
    /// What preparing a change costs beside the waiting, in milliseconds.
    #[arg(long, default_value_t = PREPARING_US / 1_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    preparing: u32,
    /// Write pictures into this folder: costs.svg and latencies.svg.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Write the history of the first seed as a trace to train on, and compare nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "plots")]
    trace: Option<PathBuf>,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let Arguments { seeds, sites, days, price, preparing, .. } = *arguments;
    let prices = Prices { intervention_us: price * MICROSECONDS, preparing_us: preparing * 1_000 };
    let options = Options { seeds, sites, days, prices };
    let shipped = Model::from_octets(DEFAULT_MODEL).map_err(Failure::finding)?;
    if let Some(path) = &arguments.trace {
        let history = compare::history(&options.plan(1), &compare::untrained(&options, shipped));
        return write(path, &history.map_err(Failure::finding)?);
    }
    let known = compare::knowledge(&options, shipped, &mut |at, of| {
        tell(&format!("learning from seed {} of {of}", at + 1));
    });
    let known = known.map_err(Failure::finding)?;
    let results = all(&options, &|seed| compare::seed(&options, seed, &known))?;
    tell("what changes in a fleet");
    let drifts = compare::drifts(&options, 1, &known).map_err(Failure::finding)?;
    tell("");
    if let Some(folder) = &arguments.plots {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        write(&folder.join("costs.svg"), &plots::costs(&results))?;
        write(&folder.join("latencies.svg"), &plots::latencies(&results))?;
    }
    let report = Report { options, results: &results, drifts };
    print(report.text().trim_end())?;
    if arguments.json {
        print(report.json())?;
    }
    Ok(())
}

/// Every seed, as many at once as there are processors.
fn all(
    options: &Options,
    one: &(dyn Fn(u64) -> Result<SeedResult, CompareError> + Sync),
) -> Result<Vec<SeedResult>, Failure> {
    let (next, found) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > options.seeds {
                        return;
                    }
                    let result = one(seed);
                    let Ok(mut found) = found.lock() else { return };
                    found.push(result);
                    tell(&format!("{} of {} seeds", found.len(), options.seeds));
                }
            });
        }
    });
    let found = found.into_inner().map_err(Failure::finding)?;
    let mut results = found.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::finding)?;
    results.sort_by_key(|result| result.seed);
    Ok(results)
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unreachable(format!("cannot write {}: {error}", path.display()))
}

/// Shows how far it is, on a terminal only.
fn tell(what: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        // Nobody is lost who does not see it.
        let _ = write!(out, "\r\x1b[K{what}").and_then(|()| out.flush());
    }
}
