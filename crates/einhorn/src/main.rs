//! The command line: reads arguments, calls the room that does the work, prints what came of it.
//! It never holds logic of its own beyond that.

mod agent;
mod bridge;
mod client;
mod complete;
mod confirm;
mod demo;
mod describe;
mod device;
mod edge;
mod init;
mod lease;
mod ledger;
mod review;
mod serve;
mod simulate;
mod site;
mod source;
mod status;
mod tls;
mod unicorn;
mod zone;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Synchronised dynamic DNS for fleets of phones and the legacy systems that still know them.
#[derive(Parser)]
#[command(name = "einhorn", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one site in the foreground.
    Serve(serve::Arguments),
    /// Run the daemon beside devices, which sends their updates to the nearest site.
    Edge(edge::Arguments),
    /// Show what Einhorn does, on this machine, then keep running for you to try.
    Demo(demo::Arguments),
    /// Make what a new site needs.
    #[command(subcommand)]
    Init(init::Command),
    /// Audit the ledger and roll back.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Merge rules, and the model that predicts hazards.
    #[command(subcommand)]
    Agent(agent::Command),
    /// Compare ways of choosing a commit path on simulated fleets.
    Simulate(simulate::Arguments),
    /// Look at zones.
    #[command(subcommand)]
    Zone(zone::Command),
    /// Which sites there are, and what they do.
    #[command(subcommand)]
    Site(site::Command),
    /// Changes that wait for a person: look at them, decide.
    #[command(subcommand)]
    Review(review::Command),
    /// Records that stay for a time only.
    #[command(subcommand)]
    Lease(lease::Command),
    /// Phones and other devices: enrol, show, rotate, revoke.
    #[command(subcommand)]
    Device(device::Command),
    /// Certificates for encrypted DNS, from an authority of one's own.
    #[command(subcommand)]
    Tls(tls::Command),
    /// Translate files of host records.
    #[command(subcommand)]
    Bridge(bridge::Command),
    /// Images and clusters of micro-VMs.
    Unicorn(unicorn::Arguments),
    /// How this site sees itself and the others.
    Status(status::Arguments),
    /// Make a running node read its keys and grants again.
    Reload {
        /// Data folder of the node.
        #[arg(long)]
        data: std::path::PathBuf,
    },
}

/// How a command ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It found something wrong, or could not do what it should.
    Finding(String),
    /// It was called the wrong way.
    Usage(String),
    /// What it should talk to, or read, is not there.
    Unreachable(String),
}

impl Failure {
    pub(crate) fn finding(what: impl Display) -> Failure {
        Failure::Finding(what.to_string())
    }

    pub(crate) fn usage(what: impl Display) -> Failure {
        Failure::Usage(what.to_string())
    }

    pub(crate) fn unreachable(what: impl Display) -> Failure {
        Failure::Unreachable(what.to_string())
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// Prints to standard output; a reader that has gone away ends the program quietly.
pub(crate) fn print(text: impl Display) -> Outcome {
    writeln!(io::stdout().lock(), "{text}").map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Finding(String::new()),
        _ => Failure::finding(format!("cannot write to standard output: {error}")),
    })
}

fn main() -> ExitCode {
    if einhorn_unicorn::guest::is_first_process() {
        einhorn_unicorn::guest::run(serve::inside);
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Edge(arguments) => edge::run(arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Init(command) => init::run(&command),
        Command::Ledger(command) => ledger::run(command),
        Command::Agent(command) => agent::run(&command),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Zone(command) => zone::run(command),
        Command::Site(command) => site::run(command),
        Command::Review(command) => review::run(command),
        Command::Lease(command) => lease::run(&command),
        Command::Device(command) => device::run(command),
        Command::Tls(command) => tls::run(&command),
        Command::Bridge(command) => bridge::run(command),
        Command::Unicorn(arguments) => unicorn::run(arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Reload { data } => {
            source::ask(&data, &einhorn_ingress::control::Command::Reload).and_then(print)
        }
    };
    let (code, reason) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Finding(reason)) => (1, reason),
        Err(Failure::Usage(reason)) => (2, reason),
        Err(Failure::Unreachable(reason)) => (3, reason),
    };
    if !reason.is_empty() {
        eprintln!("einhorn: {reason}");
    }
    ExitCode::from(code)
}
