//! `einhorn site`: which sites there are, and what happens when one is lost.

use crate::source::ask;
use crate::status;
use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{self, SiteCommand, SiteKey};
use std::path::PathBuf;

/// Where the node is.
#[derive(clap::Args)]
pub(crate) struct NodeArguments {
    /// Data folder of the node.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Subcommands of `einhorn site`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Add a site by its card, or tell the others of its new addresses and keys.
    Add {
        /// The card that `einhorn init site` has made.
        card: PathBuf,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Remove a site for good, once another one has taken over from it.
    Remove {
        /// Its name.
        site: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Show the sites, how far each is behind the others, and where names are at home.
    Status(status::Arguments),
    /// Stop counting a site for acknowledgement levels, as while it is repaired.
    Suspend {
        /// Its name.
        site: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Count a suspended site again.
    Resume {
        /// Its name.
        site: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Take over, at the site of this node, what is at home at a site that is lost.
    Failover {
        /// Name of the lost site.
        #[arg(required_unless_present_any = ["auto", "manual"])]
        site: Option<String>,
        /// You have seen to it that the lost site has stopped and stays so: go on without the
        /// agreement of a majority. Needed where there are two sites.
        #[arg(long, requires = "site")]
        attest_stopped: bool,
        /// From now on sites take over by themselves from one that stays away for so long.
        #[arg(long, value_name = "SECONDS", conflicts_with = "site")]
        auto: Option<u64>,
        /// From now on an operator decides.
        #[arg(long, conflicts_with_all = ["site", "auto"])]
        manual: bool,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Give the site of this node a new key: the others are told first, and the old one stays good
    /// until it is retired.
    Renew {
        /// link (its certificate), mirror (cosigns other logs) or ledger (signs its log; the site
        /// begins its next log).
        key: Key,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Vouch that this site's data is the newest there is, when it has just started and not all of
    /// the others can be asked. Never after a backup was put back.
    Vouch {
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Move the site's log from its data folder into the etcd of the configuration, while its node
    /// runs: copies until that node stops, then lets nodes lead that have this configuration.
    #[cfg(feature = "etcd")]
    MoveToEtcd {
        /// The configuration with [etcd], and with the data folder whose log is to be moved.
        #[arg(long)]
        config: PathBuf,
    },
    /// Believe no certificate and no cosigning key of a site but its newest.
    Retire {
        /// Its name.
        site: String,
        #[command(flatten)]
        node: NodeArguments,
    },
}

/// A key of a site.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Key {
    /// What its links show.
    Link,
    /// What it cosigns other logs with.
    Mirror,
    /// What it signs its log with.
    Ledger,
}

/// Moves the log, and says how far it is.
#[cfg(feature = "etcd")]
fn move_to_etcd(config: &std::path::Path) -> Outcome {
    use einhorn_node::moving::{Progress, move_to_etcd};
    crate::serve::log_to_stderr();
    let config = einhorn_node::config::Config::load(config).map_err(Failure::usage)?;
    let mut printed = Ok(());
    let mut tell = |progress: Progress| {
        printed = print(match progress {
            Progress::CaughtUp { entries } => format!(
                "{entries} entries are in etcd, and new ones follow; stop the node on {} now",
                config.data.display()
            ),
            Progress::Moved { entries, kept } => format!(
                "all {entries} entries are in etcd, compared one by one; the old log is kept as {}",
                kept.display()
            ),
        });
    };
    move_to_etcd(&config, &mut tell).map_err(Failure::finding)?;
    printed
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    let (node, command) = match command {
        Command::Status(arguments) => return status::run(&arguments),
        #[cfg(feature = "etcd")]
        Command::MoveToEtcd { config } => return move_to_etcd(&config),
        Command::Add { card, node } => {
            let card = std::fs::read_to_string(&card)
                .map_err(|error| Failure::usage(format!("{}: {error}", card.display())))?;
            (node, SiteCommand::Add { card })
        }
        Command::Remove { site, node } => (node, SiteCommand::Remove { site }),
        Command::Suspend { site, node } => {
            (node, SiteCommand::Suspend { site, is_suspended: true })
        }
        Command::Resume { site, node } => {
            (node, SiteCommand::Suspend { site, is_suspended: false })
        }
        Command::Failover { site: Some(site), attest_stopped, node, .. } => {
            (node, SiteCommand::FailOver { site, is_attested: attest_stopped })
        }
        Command::Failover { auto, node, .. } => {
            (node, SiteCommand::FailoverPolicy { after_seconds: auto })
        }
        Command::Renew { key, node } => {
            let key = match key {
                Key::Link => SiteKey::Link,
                Key::Mirror => SiteKey::Mirror,
                Key::Ledger => SiteKey::Ledger,
            };
            (node, SiteCommand::Renew { key })
        }
        Command::Vouch { node } => (node, SiteCommand::Vouch),
        Command::Retire { site, node } => (node, SiteCommand::Retire { site }),
    };
    print(ask(&node.data, &control::Command::Site(command))?)
}
