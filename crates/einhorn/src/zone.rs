//! `einhorn zone`.

use crate::source::ask;
use crate::{Failure, Outcome, print};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_ingress::control;
use einhorn_wire::{Name, zonefile};
use std::path::PathBuf;

/// Subcommands of `einhorn zone`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print a zone of a running node as a zone file.
    Export {
        /// The zone.
        zone: String,
        /// Data folder of the node.
        #[arg(long)]
        data: PathBuf,
    },
    /// Check a zone file without serving it.
    Check {
        /// The zone.
        zone: String,
        /// Its file.
        file: PathBuf,
    },
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Export { zone, data } => {
            print(ask(&data, &control::Command::ExportZone { zone })?.trim_end())
        }
        Command::Check { zone, file } => {
            let apex: Name =
                zone.parse().map_err(|error| Failure::usage(format!("{zone}: {error}")))?;
            let records = zonefile::load(&file, &apex, &mut |path| std::fs::read(path))
                .map_err(Failure::finding)?;
            let count = records.len();
            let names = names_of_zone(&apex, records)
                .map_err(|error| Failure::finding(format!("{}: {error}", file.display())))?;
            print(format_args!("{apex} is good: {count} records at {} names", names.len()))
        }
    }
}
