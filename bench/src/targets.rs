//! The targets: what Einhorn is to reach against its peers, and whether it did.
//!
//! A target is never called reached or missed on figures that other work on the machine has
//! disturbed.

use crate::options::{MANY_DATAGRAMS, MANY_PIPELINED, Mode, ONE_AT_A_TIME};
use crate::peers;
use crate::report::{Report, Summary, decimal, percent, ratio};
use std::fmt::Write as _;

/// Latency one at a time, against BIND's.
const P50_OF_BIND_MAX: f64 = 0.5;
/// Throughput with many datagrams in flight, against the best peer's.
const BEST_PEER_FACTOR_MIN: f64 = 4.0;
/// Throughput pipelined over TCP, against Knot's.
const KNOT_FACTOR_MIN: f64 = 2.0;
/// Kernel threads take a few per cent for the server's network and disk; more comes from
/// elsewhere.
const OTHERS_SHARE_MAX: f64 = 0.2;

/// What was found about one target.
struct Target {
    title: String,
    found: Option<f64>,
    reached: bool,
    disturbed: bool,
}

impl Target {
    fn verdict(&self) -> &'static str {
        match (self.found, self.disturbed, self.reached) {
            (None, ..) => "not measured",
            (_, true, _) => "**not judged**: disturbed, see below",
            (_, _, true) => "reached",
            (_, _, false) => "**missed**",
        }
    }
}

/// Writes the table, and what spoils it.
pub(crate) fn render(text: &mut String, report: &Report) {
    // Writing to a String cannot fail, hence the ignored results.
    text.push_str("## Targets\n\n| target | found | |\n|---|---:|---|\n");
    for target in [latency(report), datagrams(report), pipelined(report)] {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            target.title,
            decimal(target.found),
            target.verdict()
        );
    }
    text.push('\n');
    render_disturbances(text, report);
}

fn latency(report: &Report) -> Target {
    let p50 = |name: &str| report.summary(name, ONE_AT_A_TIME)?.p50;
    let found = p50(peers::OURS).zip(p50("BIND")).and_then(|(ours, bind)| ratio(ours, bind));
    Target {
        title: format!("p50 at {}: at most {P50_OF_BIND_MAX} times BIND's", ONE_AT_A_TIME.title()),
        found,
        reached: found.is_some_and(|found| found <= P50_OF_BIND_MAX),
        disturbed: any_disturbed(report, ONE_AT_A_TIME, &[peers::OURS, "BIND"]),
    }
}

fn datagrams(report: &Report) -> Target {
    let names: Vec<&str> = report.servers.iter().map(|server| server.peer.name).collect();
    let speed = |name: &str| Some(report.summary(name, MANY_DATAGRAMS)?.updates_per_second);
    let others = names.iter().copied().filter(|name| *name != peers::OURS);
    let best =
        others.filter_map(|name| Some((speed(name)?, name))).max_by(|a, b| a.0.total_cmp(&b.0));
    let found = speed(peers::OURS).zip(best).and_then(|(ours, (peer, _))| ratio(ours, peer));
    let best = best.map_or("none measured", |(_, name)| name);
    Target {
        title: format!(
            "{}: at least {BEST_PEER_FACTOR_MIN} times the best peer ({best})",
            MANY_DATAGRAMS.title()
        ),
        found,
        reached: found.is_some_and(|found| found >= BEST_PEER_FACTOR_MIN),
        // A disturbed peer might have been the best.
        disturbed: any_disturbed(report, MANY_DATAGRAMS, &names),
    }
}

fn pipelined(report: &Report) -> Target {
    let speed = |name: &str| Some(report.summary(name, MANY_PIPELINED)?.updates_per_second);
    let found = speed(peers::OURS).zip(speed("Knot")).and_then(|(ours, knot)| ratio(ours, knot));
    Target {
        title: format!("{}: at least {KNOT_FACTOR_MIN} times Knot", MANY_PIPELINED.title()),
        found,
        reached: found.is_some_and(|found| found >= KNOT_FACTOR_MIN),
        disturbed: any_disturbed(report, MANY_PIPELINED, &[peers::OURS, "Knot"]),
    }
}

fn is_disturbed(summary: &Summary) -> bool {
    summary.others_share.is_some_and(|share| share > OTHERS_SHARE_MAX)
}

fn any_disturbed(report: &Report, mode: Mode, names: &[&str]) -> bool {
    names.iter().filter_map(|name| report.summary(name, mode)).any(|summary| is_disturbed(&summary))
}

/// Says which figures were taken while something else ran on the server's processor.
fn render_disturbances(text: &mut String, report: &Report) {
    let mut disturbed = Vec::new();
    for server in &report.servers {
        for mode in &report.modes {
            let summary = report.summary(server.peer.name, *mode).filter(is_disturbed);
            if let Some(summary) = summary {
                let share = percent(summary.others_share);
                disturbed.push(format!("{} with {} ({share})", server.peer.name, mode.title()));
            }
        }
    }
    if !disturbed.is_empty() {
        let _ = writeln!(
            text,
            "**Disturbed:** other work used the servers' processor while these were measured, so that\n\
             neither they nor ratios with them can be trusted; measure again on a quiet machine: {}.\n",
            disturbed.join("; "),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Tally;
    use crate::phase::Measurement;
    use crate::query::Verification;
    use crate::report::{self, ServerReport};
    use std::path::PathBuf;
    use std::time::Duration;

    fn measurement(updates_per_second: f64, p50: u64, others_share: f64) -> Measurement {
        Measurement {
            updates_per_second,
            p50: Some(p50),
            p90: Some(p50),
            p99: Some(p50),
            server_microseconds_per_update: None,
            others_share: Some(others_share),
            tally: Tally { lost: 1, ..Tally::default() },
        }
    }

    fn report(speeds: [f64; 4], others_share: f64) -> Report {
        let servers = peers::ALL.iter().zip(speeds).map(|(peer, speed)| ServerReport {
            peer,
            program: Some(PathBuf::new()),
            version: String::new(),
            command_line: String::new(),
            configuration: String::new(),
            measurements: vec![vec![measurement(speed, 1_000_000, others_share)]; 3],
            verification: Verification { asked: 10, wrong: 1 },
            failures: Vec::new(),
        });
        Report {
            command_line: String::new(),
            machine: String::new(),
            pinned: true,
            sync_nanoseconds: 1,
            folder: String::new(),
            rounds: 1,
            duration: Duration::from_secs(1),
            modes: vec![ONE_AT_A_TIME, MANY_DATAGRAMS, MANY_PIPELINED],
            ceiling: vec![],
            servers: servers.collect(),
        }
    }

    #[test]
    fn targets_name_the_best_peer_and_the_verdict() {
        let text = report::render(&report([5000.0, 1000.0, 2000.0, 1100.0], 0.1));
        assert!(text.contains("times the best peer (Knot) | 2.50 | **missed** |"), "{text}");
        assert!(text.contains("at least 2 times Knot | 2.50 | reached |"), "{text}");
        assert!(text.contains("times BIND's | 1.00 | **missed** |"), "{text}");
    }

    #[test]
    fn trouble_is_shown() {
        let text = report::render(&report([1.0; 4], 0.5));
        assert!(text.contains("1 lost and sent again"), "{text}");
        assert!(text.contains("PowerDNS with UDP, 1 in flight (50 %)"), "{text}");
        assert!(text.contains("times Knot | 1.00 | **not judged**"), "{text}");
        assert!(text.contains("**1 of 10 sampled hosts do not answer"), "{text}");
    }
}
