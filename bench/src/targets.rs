//! The targets: what Einhorn is to reach against its peers, and whether it did.
//!
//! A target is never called reached or missed on figures that other work on the machine has
//! disturbed, nor on a measurement smaller than the target says.

use crate::ledger::LedgerReport;
use crate::mode::{MANY_DATAGRAMS, MANY_PIPELINED, Mode, ONE_AT_A_TIME};
use crate::options::LEDGER_ENTRIES;
use crate::peers;
use crate::report::{NOTHING, Report, Summary, decimal, percent, precise_percent, ratio};
use crate::sheet;
use crate::threads::LEDGER_THREAD;
use std::fmt::Write as _;

/// Latency one at a time, against BIND's.
const P50_OF_BIND_MAX: f64 = 0.5;
/// Throughput with many datagrams in flight, against the best peer's.
const BEST_PEER_FACTOR_MIN: f64 = 4.0;
/// Throughput pipelined over TCP, against Knot's.
const KNOT_FACTOR_MIN: f64 = 2.0;
/// The ledger's thread in Einhorn's processor time.
const LEDGER_SHARE_MAX: f64 = 0.1;
/// Sealing in a large log against a small one, for each entry.
const LEDGER_GROWTH_MAX: f64 = 1.2;
/// Verification of a whole log on one processor.
const VERIFIED_PER_SECOND_MIN: f64 = 1e6;
/// Kernel threads take a few per cent for the server's network and disk; more comes from
/// elsewhere.
const OTHERS_SHARE_MAX: f64 = 0.2;

/// What was found about one target.
struct Target {
    title: String,
    /// `None` where it was not measured.
    found: Option<String>,
    reached: bool,
    /// Why it is neither reached nor missed.
    unjudged: Option<&'static str>,
}

const DISTURBED: &str = "disturbed, see below";
const TOO_SMALL: &str = "the log was too small";

impl Target {
    fn verdict(&self) -> String {
        match (&self.found, self.unjudged, self.reached) {
            (None, ..) => "not measured".to_owned(),
            (_, Some(reason), _) => format!("**not judged**: {reason}"),
            (_, _, true) => "reached".to_owned(),
            (_, _, false) => "**missed**".to_owned(),
        }
    }
}

/// Writes the table, and what spoils it.
pub(crate) fn render(text: &mut String, report: &Report) {
    // Writing to a String cannot fail, hence the ignored results.
    text.push_str("## Targets\n\n| target | found | |\n|---|---:|---|\n");
    for target in judge(report) {
        let found = target.found.as_deref().unwrap_or(NOTHING);
        let _ = writeln!(text, "| {} | {found} | {} |", target.title, target.verdict);
    }
    text.push('\n');
    if let Some(disturbance) = disturbance(report) {
        let _ = writeln!(text, "**Disturbed:** {disturbance}.\n");
    }
}

/// All targets with what was found.
pub(crate) fn judge(report: &Report) -> Vec<sheet::Target> {
    let targets = [
        latency(report),
        datagrams(report),
        pipelined(report),
        ledger_share(report, MANY_DATAGRAMS),
        ledger_share(report, MANY_PIPELINED),
        ledger_growth(report),
        verification(report),
    ];
    let judged = |target: Target| sheet::Target {
        verdict: target.verdict(),
        title: target.title,
        found: target.found,
    };
    targets.map(judged).to_vec()
}

fn latency(report: &Report) -> Target {
    let p50 = |name: &str| report.summary(name, ONE_AT_A_TIME)?.p50;
    let found = p50(peers::OURS).zip(p50("BIND")).and_then(|(ours, bind)| ratio(ours, bind));
    Target {
        title: format!("p50 at {}: at most {P50_OF_BIND_MAX} times BIND's", ONE_AT_A_TIME.title()),
        found: found.map(|found| decimal(Some(found))),
        reached: found.is_some_and(|found| found <= P50_OF_BIND_MAX),
        unjudged: any_disturbed(report, ONE_AT_A_TIME, &[peers::OURS, "BIND"]).then_some(DISTURBED),
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
        found: found.map(|found| decimal(Some(found))),
        reached: found.is_some_and(|found| found >= BEST_PEER_FACTOR_MIN),
        // A disturbed peer might have been the best.
        unjudged: any_disturbed(report, MANY_DATAGRAMS, &names).then_some(DISTURBED),
    }
}

fn pipelined(report: &Report) -> Target {
    let speed = |name: &str| Some(report.summary(name, MANY_PIPELINED)?.updates_per_second);
    let found = speed(peers::OURS).zip(speed("Knot")).and_then(|(ours, knot)| ratio(ours, knot));
    Target {
        title: format!("{}: at least {KNOT_FACTOR_MIN} times Knot", MANY_PIPELINED.title()),
        found: found.map(|found| decimal(Some(found))),
        reached: found.is_some_and(|found| found >= KNOT_FACTOR_MIN),
        unjudged: any_disturbed(report, MANY_PIPELINED, &[peers::OURS, "Knot"])
            .then_some(DISTURBED),
    }
}

fn ledger_share(report: &Report, mode: Mode) -> Target {
    let shares = report.summary(peers::OURS, mode).and_then(|summary| summary.shares);
    let found = shares.and_then(|shares| shares.of(LEDGER_THREAD));
    // Beside it what the phases do not see: the ledger puts off some of its work under load.
    let whole = report.whole_run().and_then(|shares| shares.of(LEDGER_THREAD));
    Target {
        title: format!(
            "ledger work: under {} of {}'s processor time at {}",
            percent(Some(LEDGER_SHARE_MAX)),
            peers::OURS,
            mode.title()
        ),
        found: found.map(|share| {
            format!(
                "{} (the whole run, with what is put off: {})",
                precise_percent(Some(share)),
                precise_percent(whole)
            )
        }),
        reached: found.is_some_and(|share| share < LEDGER_SHARE_MAX),
        unjudged: any_disturbed(report, mode, &[peers::OURS]).then_some(DISTURBED),
    }
}

fn ledger(report: &Report) -> Option<&LedgerReport> {
    report.ledger.as_ref()?.as_ref().ok()
}

/// By processor time: the clock also sees what the disk does with the large log's other files.
fn ledger_growth(report: &Report) -> Target {
    let found = ledger(report).and_then(|ledger| {
        let processor = ratio(ledger.large.processor, ledger.small.processor)?;
        Some((processor, ratio(ledger.large.wall, ledger.small.wall)?))
    });
    let too_small = ledger(report).is_some_and(|ledger| !ledger.is_large_enough());
    let disturbed = ledger(report).is_some_and(|ledger| is_too_much(ledger.sealing_others));
    Target {
        title: format!(
            "sealing an entry at {LEDGER_ENTRIES} entries: at most {LEDGER_GROWTH_MAX} times its processor time at 10 thousand"
        ),
        found: found.map(|(processor, wall)| format!("{processor:.2} (by the clock {wall:.2})")),
        reached: found.is_some_and(|(processor, _)| processor <= LEDGER_GROWTH_MAX),
        unjudged: too_small.then_some(TOO_SMALL).or(disturbed.then_some(DISTURBED)),
    }
}

/// By processor time, which is what one processor is about.
fn verification(report: &Report) -> Target {
    let speed = |seconds_per_entry: f64| ratio(1.0, seconds_per_entry);
    let found = ledger(report).and_then(|ledger| {
        Some((speed(ledger.verifying.processor)?, speed(ledger.verifying.wall)?))
    });
    let disturbed = ledger(report).is_some_and(|ledger| is_too_much(ledger.verifying_others));
    Target {
        title: format!(
            "verifying a log: at least {VERIFIED_PER_SECOND_MIN} entries for each second of one processor"
        ),
        found: found.map(|(processor, wall)| format!("{processor:.0} (by the clock {wall:.0})")),
        reached: found.is_some_and(|(processor, _)| processor >= VERIFIED_PER_SECOND_MIN),
        unjudged: disturbed.then_some(DISTURBED),
    }
}

fn is_too_much(others_share: Option<f64>) -> bool {
    others_share.is_some_and(|share| share > OTHERS_SHARE_MAX)
}

fn is_disturbed(summary: &Summary) -> bool {
    is_too_much(summary.others_share)
}

fn any_disturbed(report: &Report, mode: Mode, names: &[&str]) -> bool {
    names.iter().filter_map(|name| report.summary(name, mode)).any(|summary| is_disturbed(&summary))
}

/// Says which figures were taken while something else ran on the server's processor.
pub(crate) fn disturbance(report: &Report) -> Option<String> {
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
    if let Some(ledger) = ledger(report) {
        let parts = [("sealing", ledger.sealing_others), ("verifying", ledger.verifying_others)];
        for (what, share) in parts.into_iter().filter(|(_, share)| is_too_much(*share)) {
            disturbed.push(format!("the ledger by itself, {what} ({})", percent(share)));
        }
    }
    (!disturbed.is_empty()).then(|| {
        format!(
            "other work used the same processor while these were measured, so that\n\
             neither they nor ratios with them can be trusted; measure again on a quiet machine: {}",
            disturbed.join("; "),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Tally;
    use crate::ledger::{PerEntry, Times};
    use crate::phase::Measurement;
    use crate::probe::Verification;
    use crate::report::{self, ServerReport};
    use crate::threads::Shares;
    use std::path::PathBuf;
    use std::time::Duration;

    fn shares(ledger: f64) -> Shares {
        Shares::of_pairs(&[("commit", 1.0 - ledger), (LEDGER_THREAD, ledger)])
    }

    fn ledger_report(entries: u64, large: f64, sealing_others: f64) -> LedgerReport {
        let each = |seconds: f64| PerEntry { wall: seconds, processor: seconds };
        LedgerReport {
            entries,
            reduced: None,
            filling: each(1e-6),
            syncing: each(1e-6),
            small: each(1e-6),
            large: each(large),
            verifying: PerEntry { wall: 1e-6, processor: 0.5e-6 },
            opening: Times::default(),
            sealing_others: Some(sealing_others),
            verifying_others: Some(0.0),
        }
    }

    fn measurement(updates_per_second: f64, p50: u64, others_share: f64) -> Measurement {
        Measurement {
            updates_per_second,
            p50: Some(p50),
            p90: Some(p50),
            p99: Some(p50),
            server_microseconds_per_update: None,
            others_share: Some(others_share),
            shares: Some(shares(0.05)),
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
            whole_runs: vec![shares(0.25)],
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
            ledger: None,
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
    fn the_ledgers_share_is_judged_in_both_modes() {
        let mut report = report([1.0; 4], 0.1);
        report.servers[0].measurements[2]
            .iter_mut()
            .for_each(|measurement| measurement.shares = Some(shares(0.125)));
        let text = report::render(&report);
        assert!(text.contains("at UDP, 256 in flight | 5.0 % (the whole run, with what is put off: 25.0 %) | reached |"), "{text}");
        assert!(text.contains("over 8 connections | 12.5 % (the whole run, with what is put off: 25.0 %) | **missed** |"), "{text}");
        assert!(text.contains("| the whole run | – | 75.0 % | 25.0 % |"), "{text}");
    }

    #[test]
    fn the_ledger_by_itself_is_judged_only_at_its_full_size_and_undisturbed() {
        let found = |entries: u64, large: f64, others: f64| {
            let mut report = report([1.0; 4], 0.1);
            report.ledger = Some(Ok(ledger_report(entries, large, others)));
            report::render(&report)
        };
        let growth = |text: &str, end: &str| {
            let whole = format!("its processor time at 10 thousand | {end} |");
            assert!(text.contains(&whole), "no `{whole}` in {text}");
        };
        growth(&found(9_999_872, 1.2e-6, 0.1), "1.20 (by the clock 1.20) | reached");
        growth(&found(9_999_872, 1.3e-6, 0.1), "1.30 (by the clock 1.30) | **missed**");
        let small = found(999_936, 1.0e-6, 0.1);
        growth(&small, "1.00 (by the clock 1.00) | **not judged**: the log was too small");
        assert!(small.contains("| 2000000 (by the clock 1000000) | reached |"), "{small}");
        let disturbed = found(9_999_872, 1.0e-6, 0.3);
        growth(&disturbed, "1.00 (by the clock 1.00) | **not judged**: disturbed, see below");
        assert!(disturbed.contains("the ledger by itself, sealing (30 %)"), "{disturbed}");
    }

    #[test]
    fn a_ledger_that_failed_or_was_left_out_is_said_to_be_so() {
        let mut report = report([1.0; 4], 0.1);
        let text = report::render(&report);
        assert!(text.contains("Not measured: left out."), "{text}");
        assert!(
            text.contains("times its processor time at 10 thousand | – | not measured |"),
            "{text}"
        );
        report.ledger = Some(Err("no room".to_owned()));
        let text = report::render(&report);
        assert!(text.contains("the ledger by itself: **failed**: no room"), "{text}");
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
