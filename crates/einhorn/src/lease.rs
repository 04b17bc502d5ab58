//! `einhorn lease`.

use crate::source::ask;
use crate::{Outcome, print};
use einhorn_ingress::control;
use std::path::PathBuf;

/// Subcommands of `einhorn lease`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Let records go whose leases ended all at once, and that are held for that: `einhorn status` says
    /// so. Look first whether the devices could renew them.
    Release {
        /// Data folder of the node.
        #[arg(long)]
        data: PathBuf,
    },
}

/// Runs a subcommand.
pub(crate) fn run(command: &Command) -> Outcome {
    let Command::Release { data } = command;
    print(ask(data, &control::Command::EndLeases)?)
}
