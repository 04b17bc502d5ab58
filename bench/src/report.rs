//! The report: absolute figures, ratios, targets reached or missed, and all that is needed to
//! measure again.
//!
//! It never leaves out a server, a mode or an error: what was not measured is said to be so.

use crate::flight::Tally;
use crate::ledger::LedgerReport;
use crate::ledger_report;
use crate::mode::Mode;
use crate::peers::{self, Peer};
use crate::phase::Measurement;
use crate::probe::Verification;
use crate::statistics::median;
use crate::targets;
use crate::threads::Shares;
use einhorn_wire::Rcode;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What a cell says when there is no figure.
pub(crate) const NOTHING: &str = "–";

/// All that a run found.
pub(crate) struct Report {
    pub(crate) command_line: String,
    pub(crate) machine: String,
    /// Whether server and generator had a processor each.
    pub(crate) pinned: bool,
    pub(crate) sync_nanoseconds: u64,
    pub(crate) folder: String,
    pub(crate) rounds: u32,
    pub(crate) duration: Duration,
    pub(crate) modes: Vec<Mode>,
    /// By mode: the generator against the echo responder.
    pub(crate) ceiling: Vec<Measurement>,
    pub(crate) servers: Vec<ServerReport>,
    /// `None` where it was left out.
    pub(crate) ledger: Option<Result<LedgerReport, String>>,
}

/// What a run found about one server.
pub(crate) struct ServerReport {
    pub(crate) peer: &'static Peer,
    /// `None` where it is not installed.
    pub(crate) program: Option<PathBuf>,
    pub(crate) version: String,
    pub(crate) command_line: String,
    pub(crate) configuration: String,
    /// By mode, one for each round.
    pub(crate) measurements: Vec<Vec<Measurement>>,
    /// For Einhorn, one for each round: how its time divides among its threads over all modes.
    pub(crate) whole_runs: Vec<Shares>,
    pub(crate) verification: Verification,
    pub(crate) failures: Vec<String>,
}

/// The medians over the rounds of one server in one mode.
pub(crate) struct Summary {
    pub(crate) updates_per_second: f64,
    pub(crate) p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    pub(crate) server_microseconds: Option<f64>,
    pub(crate) others_share: Option<f64>,
    pub(crate) shares: Option<Shares>,
    tally: Tally,
}

impl Summary {
    /// `None` without measurements.
    pub(crate) fn of(measurements: &[Measurement]) -> Option<Summary> {
        let over = |get: &dyn Fn(&Measurement) -> Option<f64>| {
            median(&measurements.iter().filter_map(get).collect::<Vec<_>>())
        };
        let mut tally = Tally::default();
        measurements.iter().for_each(|measurement| tally.add(&measurement.tally));
        Some(Summary {
            updates_per_second: over(&|m| Some(m.updates_per_second))?,
            p50: over(&|m| m.p50.map(|n| n as f64)),
            p90: over(&|m| m.p90.map(|n| n as f64)),
            p99: over(&|m| m.p99.map(|n| n as f64)),
            server_microseconds: over(&|m| m.server_microseconds_per_update),
            others_share: over(&|m| m.others_share),
            shares: Shares::median_of(
                &measurements.iter().filter_map(|m| m.shares.as_ref()).collect::<Vec<_>>(),
            ),
            tally,
        })
    }
}

impl Report {
    /// The medians of one server in one mode; `None` if that was not measured.
    pub(crate) fn summary(&self, name: &str, mode: Mode) -> Option<Summary> {
        let at = self.modes.iter().position(|candidate| *candidate == mode)?;
        let server = self.servers.iter().find(|server| server.peer.name == name)?;
        Summary::of(&server.measurements[at])
    }

    /// How Einhorn's time divided among its threads over all modes, the median over the rounds.
    pub(crate) fn whole_run(&self) -> Option<Shares> {
        let ours = self.servers.iter().find(|server| server.peer.name == peers::OURS)?;
        Shares::median_of(&ours.whole_runs.iter().collect::<Vec<_>>())
    }
}

/// One phase for the progress output.
pub(crate) fn one_line(measurement: &Measurement) -> String {
    let nanoseconds = |value: Option<u64>| milliseconds(value.map(|n| n as f64));
    format!(
        "{:.0}/s, p50 {} ms, p99 {} ms, server {} µs/update, others on its processor {}, trouble: {}",
        measurement.updates_per_second,
        nanoseconds(measurement.p50),
        nanoseconds(measurement.p99),
        decimal(measurement.server_microseconds_per_update),
        percent(measurement.others_share),
        troubles(&measurement.tally),
    )
}

/// The report as Markdown.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, hence the ignored results below.
    render_head(&mut text, report);
    for mode in &report.modes {
        render_mode(&mut text, report, *mode);
    }
    ledger_report::render(&mut text, report);
    targets::render(&mut text, report);
    render_checks(&mut text, report);
    render_servers(&mut text, report);
    text
}

fn render_head(text: &mut String, report: &Report) {
    let pinning = match report.pinned {
        true => "servers on processor 0, generator on processor 1",
        false => {
            "NOT pinned: this machine has one processor, so server and generator disturb each other"
        }
    };
    let _ = writeln!(
        text,
        "# Durable signed updates\n\n\
         Each update replaces the address of one of {} hosts with a new one (TSIG, hmac-sha256); every server\n\
         syncs before it answers. Medians of {} round(s) of {} s for each mode, after a warm-up of 1 s; closed loop.\n\n\
         - Machine: {}; {pinning}.\n\
         - Disk: appending 4 KiB and fdatasync takes {:.3} ms (p50) in `{}`.\n\
         - Command line: `{}`.\n\
         - A server whose file system has just deleted many files creates files slowly for minutes, since ext4\n  \
         passes over inodes deleted recently. Every start therefore gets a fresh folder, and nothing is deleted\n  \
         until the end; in a run within five minutes after another one, servers that make many files are at a\n  \
         disadvantage.\n",
        crate::workload::HOSTS,
        report.rounds,
        report.duration.as_secs(),
        report.machine,
        report.sync_nanoseconds as f64 / 1e6,
        report.folder,
        report.command_line,
    );
}

fn render_mode(text: &mut String, report: &Report, mode: Mode) {
    let _ = writeln!(
        text,
        "## {}\n\n\
         | server | updates/s | p50 ms | p90 ms | p99 ms | server CPU µs/update | CPU used by others | {ours} is … times as fast | p50 of {ours} is … times this | trouble |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        mode.title(),
        ours = peers::OURS,
    );
    let ours = report.summary(peers::OURS, mode);
    for server in &report.servers {
        let _ = match report.summary(server.peer.name, mode) {
            Some(summary) => writeln!(text, "{}", row(server.peer.name, &summary, ours.as_ref())),
            None => {
                writeln!(text, "| {} | {NOTHING} | | | | | | | | not measured |", server.peer.name)
            }
        };
    }
    let ceiling = report
        .modes
        .iter()
        .position(|candidate| *candidate == mode)
        .and_then(|at| report.ceiling.get(at));
    if let Some(summary) =
        ceiling.and_then(|measurement| Summary::of(std::slice::from_ref(measurement)))
    {
        let _ = writeln!(text, "{}", row("(the generator's ceiling)", &summary, None));
    }
    text.push('\n');
}

fn row(name: &str, summary: &Summary, ours: Option<&Summary>) -> String {
    let throughput =
        ours.and_then(|ours| ratio(ours.updates_per_second, summary.updates_per_second));
    let latency = ours.and_then(|ours| ratio(ours.p50?, summary.p50?));
    format!(
        "| {name} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {} |",
        summary.updates_per_second,
        milliseconds(summary.p50),
        milliseconds(summary.p90),
        milliseconds(summary.p99),
        decimal(summary.server_microseconds),
        percent(summary.others_share),
        decimal(throughput),
        decimal(latency),
        troubles(&summary.tally),
    )
}

fn render_checks(text: &mut String, report: &Report) {
    text.push_str("## Checks\n\nResponses are matched by identifier and response code, one signature in a hundred is verified, and a sample of hosts is asked for at the end.\n\n");
    for server in &report.servers {
        let Verification { asked, wrong } = server.verification;
        let _ = match (server.program.is_some(), asked) {
            (false, _) => writeln!(text, "- {}: not installed.", server.peer.name),
            (true, 0) => writeln!(text, "- {}: not verified.", server.peer.name),
            (true, _) if wrong == 0 => {
                writeln!(
                    text,
                    "- {}: all {asked} sampled hosts answer what was acknowledged.",
                    server.peer.name
                )
            }
            (true, _) => writeln!(
                text,
                "- {}: **{wrong} of {asked} sampled hosts do not answer what was acknowledged.**",
                server.peer.name
            ),
        };
        for failure in &server.failures {
            let _ = writeln!(
                text,
                "- {}: **failed**: {}",
                server.peer.name,
                failure.replace('\n', "\n  ")
            );
        }
    }
    if let Some(Err(message)) = &report.ledger {
        let _ = writeln!(text, "- the ledger by itself: **failed**: {message}");
    }
    text.push('\n');
}

fn render_servers(text: &mut String, report: &Report) {
    text.push_str("## Versions and configurations\n\n");
    for server in &report.servers {
        let _ = writeln!(text, "### {}\n\n{}\n", server.peer.name, server.version);
        if !server.command_line.is_empty() {
            let _ = writeln!(text, "```\n{}\n```\n", server.command_line);
        }
        if !server.configuration.is_empty() {
            let _ = writeln!(text, "```\n{}\n```\n", server.configuration.trim_end());
        }
    }
}

/// Everything in a tally but the updates that went well.
fn troubles(tally: &Tally) -> String {
    let mut parts: Vec<String> =
        tally.refused.iter().map(|(rcode, count)| format!("{count} {}", Rcode(*rcode))).collect();
    let counts = [
        (tally.lost, "lost and sent again"),
        (tally.given_up, "never answered"),
        (tally.stray, "stray answers"),
        (tally.forged, "bad signatures"),
        (tally.closed, "connections closed"),
    ];
    parts.extend(
        counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}")),
    );
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// A quotient, where there is one.
pub(crate) fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}

fn milliseconds(nanoseconds: Option<f64>) -> String {
    nanoseconds.map_or_else(|| NOTHING.to_owned(), |value| format!("{:.2}", value / 1e6))
}

/// A share of one as a cell.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| NOTHING.to_owned(), |value| format!("{:.0} %", value * 100.0))
}

/// A small share of one as a cell.
pub(crate) fn precise_percent(share: Option<f64>) -> String {
    share.map_or_else(|| NOTHING.to_owned(), |value| format!("{:.1} %", value * 100.0))
}

/// A figure as a cell.
pub(crate) fn decimal(value: Option<f64>) -> String {
    value.map_or_else(
        || NOTHING.to_owned(),
        |value| if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") },
    )
}
