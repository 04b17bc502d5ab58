//! The project's own load generator, and drivers for the servers it is compared with.
//!
//! It measures and reports. It must never send anything beyond 127.0.0.1, and never leave a
//! server running behind it.
#![allow(clippy::print_stdout, reason = "a command line tool: standard output is its interface")]

mod echo;
mod flight;
mod ledger;
mod ledger_report;
mod machine;
mod options;
mod peers;
mod phase;
mod process;
mod query;
mod report;
mod statistics;
mod targets;
mod tcp;
mod threads;
mod udp;
mod update;
mod workload;

use options::Command;
use std::process::ExitCode;

/// Exit code for a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match options::parse(&arguments) {
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Update(options)) => update::run(&options, &arguments),
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
