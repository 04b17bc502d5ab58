//! What the report says about the ledger's work: its thread's share of Einhorn's processor time,
//! and the ledger by itself.
//!
//! It only words figures; `targets` judges them.

use crate::ledger::{
    BATCH_ENTRIES, BATCHES, ENTRY_OCTETS, LedgerReport, PerEntry, SMALL_ENTRIES, Times,
};
use crate::machine::GENERATOR_PROCESSOR;
use crate::peers;
use crate::report::{NOTHING, Report, decimal, percent, precise_percent, ratio};
use crate::threads::Shares;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Writes both parts.
pub(crate) fn render(text: &mut String, report: &Report) {
    render_threads(text, report);
    render_ledger(text, report);
}

/// A row of the threads' table.
struct Row {
    title: String,
    microseconds: Option<f64>,
    shares: Shares,
}

fn render_threads(text: &mut String, report: &Report) {
    let rows = thread_rows(report);
    if rows.is_empty() {
        return;
    }
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.shares.names()).collect();
    // Writing to a String cannot fail, hence the ignored results.
    let _ = writeln!(
        text,
        "## Threads of {ours}\n\n\
         Shares of the processor time of {ours}'s process. Under load the ledger puts off making its full tiles durable,\n\
         which for a busy server comes once a minute and so in few phases; the whole run, warm-ups included, lasts\n\
         until that is done. What the kernel does later in threads of its own is in neither.\n\n\
         | | CPU µs/update | {} |\n|---|---:|{}",
        names.iter().copied().collect::<Vec<_>>().join(" | "),
        "---:|".repeat(names.len()),
        ours = peers::OURS,
    );
    for row in &rows {
        let cells: Vec<String> =
            names.iter().map(|name| precise_percent(row.shares.of(name))).collect();
        let microseconds = decimal(row.microseconds);
        let _ = writeln!(text, "| {} | {microseconds} | {} |", row.title, cells.join(" | "));
    }
    text.push('\n');
}

fn thread_rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    for mode in &report.modes {
        let Some(summary) = report.summary(peers::OURS, *mode) else { continue };
        let Some(shares) = summary.shares else { continue };
        rows.push(Row { title: mode.title(), microseconds: summary.server_microseconds, shares });
    }
    if let Some(shares) = report.whole_run() {
        rows.push(Row { title: "the whole run".to_owned(), microseconds: None, shares });
    }
    rows
}

fn render_ledger(text: &mut String, report: &Report) {
    let ledger = match &report.ledger {
        Some(Ok(ledger)) => ledger,
        Some(Err(_)) => {
            text.push_str("## The ledger by itself\n\nNot measured: it failed, see below.\n\n");
            return;
        }
        None => {
            text.push_str("## The ledger by itself\n\nNot measured: left out.\n\n");
            return;
        }
    };
    let _ = writeln!(
        text,
        "## The ledger by itself\n\n\
         Entries of {ENTRY_OCTETS} octets in batches of {BATCH_ENTRIES}, in one thread on processor {GENERATOR_PROCESSOR}. Medians of {BATCHES} batches\n\
         on each log, the small and the large one in turn. CPU is that of the thread; the clock also sees the disk\n\
         and whatever else runs. Others used {} of the processor during sealing and {} during verification.\n",
        percent(ledger.sealing_others),
        percent(ledger.verifying_others),
    );
    if let Some(note) = &ledger.reduced {
        let _ = writeln!(text, "**Smaller than asked for:** {note}.\n");
    }
    text.push_str("| | CPU µs/entry | clock µs/entry | entries/s of CPU | entries/s by the clock |\n|---|---:|---:|---:|---:|\n");
    render_rows(text, ledger);
    text.push('\n');
}

fn render_rows(text: &mut String, ledger: &LedgerReport) {
    let entries = ledger.entries;
    let rows = [
        (format!("sealing, in a log of {SMALL_ENTRIES}"), ledger.small),
        (format!("sealing, in a log of {entries}"), ledger.large),
        (format!("sealing, mean from 0 to {entries}"), ledger.filling),
        ("making full tiles durable and reading them again".to_owned(), ledger.syncing),
        ("verifying the whole large log".to_owned(), ledger.verifying),
    ];
    for (title, each) in rows {
        let _ = writeln!(text, "| {title} | {} |", cells(each));
    }
    let _ = writeln!(
        text,
        "\n- Sealing in the large log takes {} times the CPU and {} times the time by the clock.\n\
         - Opening the large log after an ordinary stop: {}.",
        decimal(ratio(ledger.large.processor, ledger.small.processor)),
        decimal(ratio(ledger.large.wall, ledger.small.wall)),
        milliseconds(ledger.opening),
    );
}

fn cells(each: PerEntry) -> String {
    let speed = |seconds: f64| {
        ratio(1.0, seconds).map_or_else(|| NOTHING.to_owned(), |speed| format!("{speed:.0}"))
    };
    format!(
        "{:.2} | {:.2} | {} | {}",
        each.processor * 1e6,
        each.wall * 1e6,
        speed(each.processor),
        speed(each.wall)
    )
}

fn milliseconds(times: Times) -> String {
    format!(
        "{:.2} ms of CPU, {:.2} ms by the clock",
        times.processor.as_secs_f64() * 1e3,
        times.wall.as_secs_f64() * 1e3
    )
}
