//! `einhorn zone`.

use crate::source::{ask, ask_node};
use crate::{Failure, Outcome, print};
use einhorn_core::rules::zone::ZoneNames;
use einhorn_ingress::control::{self, Answer, FollowLine, ZoneLine, ZoneSettings};
use einhorn_wire::{Name, zonefile};
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn zone`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Serve a new zone.
    Add {
        /// The zone.
        zone: String,
        /// Zone file with its content, for a zone that is changed here.
        #[arg(long, conflicts_with = "primary")]
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: SettingsArguments,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Serve a zone no longer; its last content is kept in a file.
    Remove {
        /// The zone.
        zone: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// List the zones of a running node.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Take a zone file into a zone: all of it if the zone is new, else what differs.
    Import {
        /// The zone; left out: each file is named after its zone, as in fleet.example.zone.
        #[arg(long)]
        zone: Option<String>,
        /// Zone files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        changes: ChangeArguments,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Read the configured zone files again and take over what differs.
    Reload {
        /// The zone; left out: all that have a file in the configuration.
        zone: Option<String>,
        #[command(flatten)]
        changes: ChangeArguments,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Ask the primary of a followed zone now.
    Refresh {
        /// The zone.
        zone: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Tell a zone's servers of its serial now.
    Notify {
        /// The zone.
        zone: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Print a zone of a running node as a zone file.
    Export {
        /// The zone.
        zone: String,
        #[command(flatten)]
        node: NodeArguments,
    },
    /// Check a zone file without serving it.
    Check {
        /// The zone.
        zone: String,
        /// Its file.
        file: PathBuf,
    },
}

/// Which node.
#[derive(clap::Args)]
pub(crate) struct NodeArguments {
    /// Data folder of the node.
    #[arg(long)]
    data: PathBuf,
}

/// How a difference is taken over.
#[derive(clap::Args)]
pub(crate) struct ChangeArguments {
    /// Replace also names that a device changed last.
    #[arg(long)]
    overwrite: bool,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
}

/// How a zone is kept.
#[derive(clap::Args)]
pub(crate) struct SettingsArguments {
    /// Server to follow the zone from, in order of preference.
    #[arg(long, value_name = "ADDRESS[:PORT] [key NAME]")]
    primary: Vec<String>,
    /// Server to tell of each new serial.
    #[arg(long, value_name = "ADDRESS[:PORT] [key NAME]")]
    notify: Vec<String>,
    /// Range of addresses that may transfer the zone without a key.
    #[arg(long, value_name = "PREFIX")]
    transfer_to: Vec<String>,
    /// Catalog of this server that is to list the zone.
    #[arg(long, value_name = "ZONE", conflicts_with = "catalog_role")]
    catalog: Option<String>,
    /// For a zone that is a catalog: `producer` or `consumer`.
    #[arg(long, value_name = "ROLE")]
    catalog_role: Option<String>,
    /// How far a change must have come before it is acknowledged: local, majority or all.
    #[arg(long, value_name = "LEVEL")]
    ack: Option<String>,
    /// `auto`: PTR records change with addresses, in one, where their zone is kept here.
    #[arg(long, value_name = "off|auto")]
    reverse: Option<String>,
    /// `review`: a change of a name that another key changed within the hour waits for a person.
    #[arg(long, value_name = "latest|review")]
    contested: Option<String>,
    /// How long changes of a flapping name may be held to be joined, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS")]
    coalesce_ms: Option<u16>,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Add { zone, file, settings, node } => {
            let file = file.map(|file| absolute(&file)).transpose()?;
            let settings = ZoneSettings {
                primaries: settings.primary,
                notify: settings.notify,
                transfer_to: settings.transfer_to,
                catalog: settings.catalog,
                catalog_role: settings.catalog_role,
                ack: settings.ack,
                reverse: settings.reverse,
                contested: settings.contested,
                coalesce_ms: settings.coalesce_ms,
            };
            print(ask(&node.data, &control::Command::AddZone { zone, file, settings })?)
        }
        Command::Remove { zone, node } => {
            print(ask(&node.data, &control::Command::RemoveZone { zone })?)
        }
        Command::List { json, node } => list(&node.data, json),
        Command::Import { zone, files, changes, node } => {
            import(&node.data, zone.as_deref(), &files, &changes)
        }
        Command::Reload { zone, changes: ChangeArguments { overwrite, dry_run }, node } => {
            let command = control::Command::ReloadZone { zone, overwrite, dry_run };
            print(ask(&node.data, &command)?.trim_end())
        }
        Command::Refresh { zone, node } => {
            print(ask(&node.data, &control::Command::RefreshZone { zone })?)
        }
        Command::Notify { zone, node } => {
            print(ask(&node.data, &control::Command::NotifyZone { zone })?)
        }
        Command::Export { zone, node } => {
            print(ask(&node.data, &control::Command::ExportZone { zone })?.trim_end())
        }
        Command::Check { zone, file } => check(&zone, &file),
    }
}

/// The node reads the file, and its working folder is another one.
fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    file.canonicalize()
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))
}

fn import(
    data: &Path,
    zone: Option<&str>,
    files: &[PathBuf],
    changes: &ChangeArguments,
) -> Outcome {
    if zone.is_some() && files.len() > 1 {
        return Err(Failure::usage("--zone goes with one file"));
    }
    for file in files {
        let named = || {
            let name =
                file.file_name()?.to_str()?.trim_end_matches(".zone").trim_end_matches(".db");
            (!name.is_empty()).then(|| name.to_owned())
        };
        let zone = zone.map(str::to_owned).or_else(named).ok_or_else(|| {
            Failure::usage(format!("{}: name its zone with --zone", file.display()))
        })?;
        let command = control::Command::ImportZone {
            zone: zone.clone(),
            file: absolute(file)?,
            overwrite: changes.overwrite,
            dry_run: changes.dry_run,
        };
        let text = ask(data, &command)?;
        print(format_args!("{zone}: {}", text.trim_end()))?;
    }
    Ok(())
}

fn list(data: &Path, json: bool) -> Outcome {
    let answer = ask_node(data, &control::Command::ListZones)?;
    let Answer::Zones { zones } = answer else {
        return Err(Failure::finding("the node answered something else; is it another version?"));
    };
    if json {
        return zones
            .iter()
            .try_for_each(|zone| print(serde_json::to_string(zone).map_err(Failure::finding)?));
    }
    let width = zones.iter().map(|zone| zone.zone.len()).max().unwrap_or(0);
    for zone in &zones {
        let serial = zone.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
        let line = format!("{:width$}  serial {serial:>10}  {:>8} names", zone.zone, zone.names);
        print(format_args!("{line}{}", remarks(zone)))?;
    }
    Ok(())
}

fn remarks(zone: &ZoneLine) -> String {
    let settings = &zone.settings;
    let mut remarks = Vec::new();
    if !settings.primaries.is_empty() {
        remarks.push(format!("followed from {}", settings.primaries.join(", ")));
    }
    remarks.extend(zone.following.as_ref().map(following));
    remarks.extend(zone.member_of.as_ref().map(|catalog| format!("member of {catalog}")));
    remarks.extend(settings.catalog.as_ref().map(|catalog| format!("listed in {catalog}")));
    remarks.extend(settings.catalog_role.as_ref().map(|role| format!("catalog {role}")));
    remarks.extend(zone.problem.as_ref().map(|problem| problem.to_uppercase()));
    if remarks.is_empty() { String::new() } else { format!("  {}", remarks.join("; ")) }
}

fn following(line: &FollowLine) -> String {
    let since = line.since_seconds.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
    let next = line
        .next_poll_seconds
        .map_or_else(|| "asking now".to_owned(), |seconds| format!("next poll in {seconds} s"));
    let problem = line.problem.as_ref().map_or_else(String::new, |problem| format!(" ({problem})"));
    format!("{}{since}, {next}{problem}", line.state)
}

fn check(zone: &str, file: &Path) -> Outcome {
    let apex: Name = zone.parse().map_err(|error| Failure::usage(format!("{zone}: {error}")))?;
    let (mut names, mut count) = (ZoneNames::new(&apex), 0);
    zonefile::load_with(file, &apex, &mut |path| std::fs::read(path), &mut |record| {
        count += 1;
        names.add_read(&record).map_err(|error| error.to_string())
    })
    .map_err(Failure::finding)?;
    let names =
        names.finish().map_err(|error| Failure::finding(format!("{}: {error}", file.display())))?;
    print(format_args!("{apex} is good: {count} records at {} names", names.len()))
}
