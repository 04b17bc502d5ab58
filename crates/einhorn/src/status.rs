//! `einhorn status`: how a site sees itself and the others, on one screen.

use crate::source::ask_node;
use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{Answer, Command, SiteLine, SiteStatus, ZoneHomes};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Arguments of `einhorn status`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Data folder of the node.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Asks a node and shows what it says.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let status = ask(&arguments.data)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&*status).map_err(Failure::finding)?;
        return print(json);
    }
    print(text(&status).trim_end())
}

/// What a running node says of its site.
pub(crate) fn ask(data: &Path) -> Result<Box<SiteStatus>, Failure> {
    match ask_node(data, &Command::Status)? {
        Answer::Status { status } => Ok(status),
        _ => Err(Failure::finding("the node does not say how it is: is it of another version?")),
    }
}

/// What a site says of itself, for people.
pub(crate) fn text(status: &SiteStatus) -> String {
    let mut out = format!(
        "site {} (number {}), log {}, {} entries, failover {}\n",
        status.site, status.number, status.log, status.entries, status.failover
    );
    if let Some(problem) = &status.problem {
        _ = writeln!(out, "  NOTHING IS ACKNOWLEDGED: {problem}");
    }
    waiting(status, &mut out);
    let budget = status.disk_budget_octets.map_or_else(String::new, |budget| {
        let percent = status.disk_used_octets * 100 / budget.max(1);
        format!(" of a budget of {} ({percent} %)", octets(budget))
    });
    _ = writeln!(
        out,
        "disk: {} used{budget}, {} free",
        octets(status.disk_used_octets),
        octets(status.disk_free_octets)
    );
    if let Some(server) = &status.hostname_server {
        let (address, zones, answers) = (&server.address, server.zones.join(" "), server.answers);
        _ = writeln!(out, "hostname server: {address} for {zones}, {answers} answers");
    }
    out += "\nsites\n";
    status.sites.iter().for_each(|site| out += &site_text(site));
    if status.sites.is_empty() {
        out += "  none but this one\n";
    }
    let behind: Vec<_> = status.lags.iter().collect();
    if !behind.is_empty() {
        out += "\nlogs\n";
    }
    for lag in behind {
        let missing = lag.known.saturating_sub(lag.held);
        let how = match missing {
            0 => "has all".to_owned(),
            missing => {
                let percent = lag.held * 100 / lag.known.max(1);
                format!("lacks {missing} of {} entries ({percent} % there)", lag.known)
            }
        };
        let problem = lag.problem.as_ref().map_or_else(String::new, |text| format!(": {text}"));
        _ = writeln!(out, "  {:12} of {} (log {}): {how}{problem}", lag.at, lag.of, lag.log);
    }
    out += "\nzones\n";
    status.zones.iter().for_each(|zone| out += &zone_text(zone));
    if !status.leftovers.is_empty() {
        _ = writeln!(
            out,
            "\n{} changes of a lost log were nowhere else and do not count; look at each with einhorn ledger show, and do it again if it should: {}",
            status.leftovers.len(),
            status.leftovers.join(" ")
        );
    }
    out
}

/// What waits, and for whom.
fn waiting(status: &SiteStatus, out: &mut String) {
    _ = writeln!(
        out,
        "waiting here: {} requests{}; {} queued for the commit",
        status.waiting,
        oldest(status.oldest_waiting_ms),
        status.queued
    );
    if status.open_intents > 0 {
        _ = writeln!(
            out,
            "  {} parts of changes of names with different homes are not decided; their names wait",
            status.open_intents
        );
    }
    if status.leased > 0 {
        _ = writeln!(out, "  {} names have records that stay for a time only", status.leased);
    }
    if status.leases_held > 0 {
        _ = writeln!(
            out,
            "  HELD: the leases of {} names are over, all at once; they stay until they are renewed, or until `einhorn lease release`",
            status.leases_held
        );
    }
    if status.open_reviews > 0 {
        _ = writeln!(
            out,
            "  {} changes wait for a person: `einhorn review list` shows them",
            status.open_reviews
        );
    }
    for device in &status.frozen_devices {
        _ = writeln!(
            out,
            "  ALARM: the secret of {device} was used at two places at once; its record is frozen: `einhorn device show`"
        );
    }
}

fn site_text(site: &SiteLine) -> String {
    let mut out = format!("  {:12} {:9}", site.name, site.state);
    if site.state != "here" {
        out += &format!(" for {}", duration(site.for_ms));
        out += &format!(", cosigned {} entries", site.cosigned);
    }
    if site.state == "connected" {
        out += &format!(", clock {:+} ms", site.clock_ahead_ms);
    }
    if site.waiting > 0 {
        out += &format!(", {} requests wait there{}", site.waiting, oldest(site.oldest_waiting_ms));
    }
    if site.is_suspended {
        out += ", SUSPENDED";
    }
    if let Some(by) = &site.taken_over_by {
        out += &format!(", taken over by {by}");
    }
    if let Some(problem) = &site.problem {
        out += &format!(" ({problem})");
    }
    out + "\n"
}

fn zone_text(zone: &ZoneHomes) -> String {
    let names: Vec<_> =
        zone.names.iter().map(|(site, count)| format!("{count} at {site}")).collect();
    let names = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
    format!(
        "  {} serial {}, ack {}, home {}; names at home: {names}\n",
        zone.zone, zone.serial, zone.ack, zone.home
    )
}

fn oldest(ms: u64) -> String {
    if ms == 0 { String::new() } else { format!(", the oldest for {}", duration(ms)) }
}

fn duration(ms: u64) -> String {
    match ms / 1_000 {
        0 => format!("{ms} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn octets(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}
