//! `einhorn edge`: the daemon beside devices.

use crate::serve::log_to_stderr;
use crate::{Failure, Outcome, print};
use einhorn_edge::config::Config;
use einhorn_edge::status::{Status, ask};
use einhorn_edge::{Edge, StartError};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `einhorn edge`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// How a running edge is: the nearest site, round trips, the queue, what went wrong.
    Status {
        /// Data folder of the edge.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// Runs an edge until it is told to stop, or asks one.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    match (arguments.command, arguments.config) {
        (Some(Command::Status { data, json }), _) => {
            let status = ask(&data).map_err(|error| {
                let folder = data.display();
                Failure::unreachable(format!("no edge answers in {folder}: {error}"))
            })?;
            if json {
                return print(serde_json::to_string_pretty(&status).map_err(Failure::finding)?);
            }
            print(text(&status).trim_end())
        }
        (None, Some(config)) => {
            log_to_stderr();
            let config = Config::load(&config).map_err(Failure::usage)?;
            start(config).map_err(Failure::finding)
        }
        (None, None) => Err(Failure::usage("give --config FILE, or `status`")),
    }
}

fn start(config: Config) -> Result<(), StartError> {
    let name = config.key.name().clone();
    let edge = Edge::open(config)?;
    let addresses: Vec<_> = edge.addresses.iter().map(SocketAddr::to_string).collect();
    let addresses = addresses.join(" ");
    edge.run(async move {
        let (mut terminate, mut interrupt) =
            match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
                (Err(error), _) | (_, Err(error)) => {
                    eprintln!("einhorn: signals cannot be heard: {error}");
                    return;
                }
            };
        eprintln!("einhorn: ready, edge {name} takes updates by DNS on {addresses}");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// How an edge is, for people.
fn text(status: &Status) -> String {
    let nearest = status.nearest.as_deref().unwrap_or("NONE: no site can be reached");
    let mut out = format!("edge {}, nearest site {nearest}\n", status.edge);
    let Status { queued, queue_max, oldest_ms, .. } = status;
    _ = writeln!(
        out,
        "queue: {queued} of {queue_max} updates, the oldest for {:.1} s; without a site: {}",
        *oldest_ms as f64 / 1e3,
        status.queue
    );
    _ = writeln!(
        out,
        "since the start: {} taken, {} done, {} refused, {} turned away, {} promised, {} sent again",
        status.taken,
        status.done,
        status.refused,
        status.turned_away,
        status.promised,
        status.resent
    );
    if status.dropped > 0 {
        _ = writeln!(out, "  {} older values were dropped for later ones", status.dropped);
    }
    if status.refused_after_promise > 0 {
        let count = status.refused_after_promise;
        _ = writeln!(out, "  {count} UPDATES WERE PROMISED AND THEN REFUSED: see the log");
    }
    out += "\nsites\n";
    for site in &status.sites {
        let state = match (site.is_there, site.round_trip_us) {
            (true, Some(us)) => format!("round trip {:.1} ms", us as f64 / 1e3),
            (true, None) => "there".to_owned(),
            (false, _) => "AWAY".to_owned(),
        };
        _ = writeln!(out, "  {:12} {}: {state}", site.name, site.address);
    }
    if !status.errors.is_empty() {
        out += "\nlast errors\n";
        status.errors.iter().for_each(|error| _ = writeln!(out, "  {error}"));
    }
    out
}
