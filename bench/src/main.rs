//! The project's own load generator, and drivers for the servers it is compared with.
//!
//! It measures and reports. It must never send anything beyond 127.0.0.1, and never leave a
//! server running behind it.
#![allow(clippy::print_stdout, reason = "a command line tool: standard output is its interface")]

mod bridge;
mod commit;
mod contest;
mod echo;
#[cfg(feature = "etcd")]
mod etcd;
mod flight;
mod inference;
mod instructions;
mod ledger;
mod ledger_report;
mod machine;
mod markdown;
mod memory;
mod mode;
mod options;
mod page;
mod peers;
mod phase;
mod phone;
mod place;
mod plot;
mod probe;
mod process;
mod query;
mod report;
mod sheet;
mod statistics;
mod sync;
mod targets;
mod tcp;
mod threads;
mod transfer;
mod udp;
mod update;
mod update_sheet;
mod verdict;
mod workload;

use options::{Benchmark, Command, Options};
use sheet::Sheet;
use std::process::ExitCode;

/// The server's allocator, so that what is counted here is what runs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match options::parse(&arguments) {
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run(benchmarks, options)) => run(&benchmarks, &options, &arguments),
        Ok(Command::Page(options)) => page::make(&options),
        Ok(Command::Repeat { work, count, hosts }) => instructions::repeat(work, count, hosts),
        Err(message) => {
            eprintln!("error: {message}\n\n{}", options::USAGE);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs benchmarks one after the other; one that fails does not keep the others from running.
fn run(benchmarks: &[Benchmark], options: &Options, arguments: &[String]) -> Result<(), String> {
    let mut failures = Vec::new();
    for benchmark in benchmarks {
        eprintln!("benchmark `{}`", benchmark.name());
        if let Err(message) = run_one(*benchmark, options, arguments) {
            failures.push(format!("{}: {message}", benchmark.name()));
        }
    }
    // The page shows those that `all` runs.
    if benchmarks.iter().any(|benchmark| Benchmark::ALL.contains(benchmark)) {
        failures.extend(page::make(options).err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn run_one(benchmark: Benchmark, options: &Options, arguments: &[String]) -> Result<(), String> {
    let command_line = format!("einhorn-bench {}", arguments.join(" "));
    let (sheet, text) = match benchmark {
        Benchmark::Update => update::measure(options, command_line)?,
        Benchmark::Query => with_markdown(query::measure(options, command_line)?),
        Benchmark::Memory => with_markdown(memory::measure(options, command_line)?),
        Benchmark::Transfer => with_markdown(transfer::measure(options, command_line)?),
        Benchmark::Sync => with_markdown(sync::measure(options, command_line)?),
        #[cfg(feature = "etcd")]
        Benchmark::Etcd => with_markdown(etcd::measure(options, command_line)?),
        Benchmark::Commit => with_markdown(commit::measure(options, command_line)?),
        Benchmark::Phone => with_markdown(phone::measure(options, command_line)?),
        Benchmark::Bridge => with_markdown(bridge::measure(options, command_line)?),
        Benchmark::Instructions => with_markdown(instructions::measure(options, command_line)?),
    };
    println!("{text}");
    sheet.save(&options.results, &text)?;
    match sheet.is_sound {
        true => Ok(()),
        false => Err("not everything went well: see the report under `Checks`".to_owned()),
    }
}

fn with_markdown(sheet: Sheet) -> (Sheet, String) {
    let text = markdown::render(&sheet);
    (sheet, text)
}
