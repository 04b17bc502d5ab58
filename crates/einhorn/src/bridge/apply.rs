//! `einhorn bridge plan`, `apply` and `report`.

use super::node::HttpNode;
use super::source::{Which, input, source};
use super::{PROGRESS_EVERY, write_whole};
use crate::{Failure, Outcome, print};
use einhorn_bridge::live::apply::{self, Node, Problem};
use einhorn_bridge::live::show::Summary;
use einhorn_bridge::merge::PlanError;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `einhorn bridge plan`.
#[derive(clap::Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    which: Which,
    /// File to read; without it, the one that the configuration says.
    file: Option<PathBuf>,
    /// Write how it would go as JSON.
    #[arg(long, value_name = "REPORT")]
    report: Option<PathBuf>,
}

/// Arguments of `einhorn bridge apply`.
#[derive(clap::Args)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    which: Which,
    /// File to read; without it, the one that the configuration says.
    file: Option<PathBuf>,
    /// Hash of the plan that you have seen. Without it, only what no guard holds is applied.
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Write how it went as JSON.
    #[arg(long, value_name = "REPORT")]
    report: Option<PathBuf>,
}

/// Arguments of `einhorn bridge report`.
#[derive(clap::Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    which: Which,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Shows what a file would do.
pub(crate) fn plan(arguments: &PlanArguments) -> Outcome {
    let (config, settings) = arguments.which.open()?;
    let source = source(&settings)?;
    let mut input = input(arguments.file.as_deref(), &config, &settings)?;
    let mut node = HttpNode::new(&config, arguments.which.node.as_deref(), &settings.name)?;
    let shown = match apply::look(&source, &mut node, &mut *input) {
        Err(Problem::Plan(error @ PlanError::AlreadyApplied(_))) => return print(error),
        shown => shown.map_err(failure)?,
    };
    write_report(arguments.report.as_ref(), &shown.summary)?;
    shown.lines.iter().try_for_each(print)?;
    print(text(&shown.summary).trim_end())?;
    if shown.resumes {
        print("the apply of this file was interrupted, and goes on from here")?;
    }
    print(format_args!("plan {}", shown.summary.plan))
}

/// Applies a file.
pub(crate) fn apply(arguments: &ApplyArguments) -> Outcome {
    let (config, settings) = arguments.which.open()?;
    let source = source(&settings)?;
    let confirmed = arguments.plan.as_deref().map(hash).transpose()?;
    let mut input = input(arguments.file.as_deref(), &config, &settings)?;
    let mut node = HttpNode::new(&config, arguments.which.node.as_deref(), &settings.name)?;
    let mut told = Instant::now();
    let mut progress = |done: usize, of: usize| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("{done} of {of} records");
        }
    };
    match apply::apply(&source, &mut node, &mut *input, confirmed, &mut progress) {
        Err(Problem::Plan(error @ PlanError::AlreadyApplied(_))) => print(error),
        Err(problem) => Err(failure(problem)),
        Ok(summary) => {
            write_report(arguments.report.as_ref(), &summary)?;
            print(text(&summary).trim_end())
        }
    }
}

/// Shows how the last apply went, and what waits.
pub(crate) fn report(arguments: &ReportArguments) -> Outcome {
    let (config, settings) = arguments.which.open()?;
    let mut node = HttpNode::new(&config, arguments.which.node.as_deref(), &settings.name)?;
    let view = node.look().map_err(failure)?;
    let waiting: Vec<String> = view.frozen.iter().map(|frozen| frozen.at.to_string()).collect();
    let Some(known) = &view.source else {
        return print(format_args!("nothing of source {} was applied yet", settings.name));
    };
    let summary = match known.head.summary.as_str() {
        "" => Summary::default(),
        text => Summary::from_json(text).map_err(Failure::finding)?,
    };
    let records = known.records.iter().filter(|(_, item)| item.record.is_some()).count();
    if arguments.json {
        let batch = known.head.batch.as_ref();
        return print(serde_json::json!({
            "source": settings.name, "zone": settings.zone.to_string(), "records": records,
            "revision": known.revision, "applies": known.head.applies,
            "under-way": known.head.under_way.is_some(), "last": summary, "reviews": waiting,
            "spool": known.head.spool, "open-batch": batch.map(|batch| batch.spool),
        }));
    }
    print(format_args!(
        "source {} in {}: {records} records after {} files, revision {}",
        settings.name, settings.zone, known.head.applies, known.revision
    ))?;
    if known.head.under_way.is_some() {
        print("a file is being applied, or its apply was interrupted: apply it again to go on")?;
    }
    if !summary.file.is_empty() {
        print(text(&summary).trim_end())?;
    }
    if let Some(batch) = &known.head.batch {
        let (spool, count) = (batch.spool, batch.names.len());
        print(format_args!("spool {spool} is not confirmed yet; it holds {count} names"))?;
    }
    waiting.iter().try_for_each(|id| print(format_args!("waits: einhorn review show {id}")))
}

/// A summary for people.
pub(crate) fn text(summary: &Summary) -> String {
    let Summary { file, generation, added, updated, renamed, deleted, missing, unchanged, .. } =
        summary;
    let mut lines = vec![
        format!("{file}, generation {generation}"),
        format!(
            "{added} added, {updated} changed, {renamed} renamed, {deleted} deleted, \
             {missing} missing, {unchanged} unchanged, {} conflicts, {} quarantined",
            summary.conflicts, summary.quarantined
        ),
    ];
    let counts = |what: &str, counts: &std::collections::BTreeMap<String, u64>| {
        let all: Vec<_> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
        (!all.is_empty()).then(|| format!("{what}: {}", all.join(", ")))
    };
    lines.extend(counts("not in the zone", &summary.losses));
    lines.extend(counts("quirks", &summary.quirks));
    lines.extend(summary.conflicts_listed.iter().map(|line| format!("conflict: {line}")));
    lines.extend(summary.quarantined_listed.iter().map(|line| format!("quarantined: {line}")));
    lines.extend(summary.holds.iter().map(|hold| format!("held: {hold}")));
    lines.join("\n")
}

/// How a command ends that could not do it.
pub(crate) fn failure(problem: Problem) -> Failure {
    match problem {
        Problem::Node(reason) => Failure::unreachable(reason),
        other => Failure::finding(other),
    }
}

fn write_report(path: Option<&PathBuf>, summary: &Summary) -> Outcome {
    let Some(path) = path else { return Ok(()) };
    let mut text = serde_json::to_vec_pretty(summary).map_err(Failure::finding)?;
    text.push(b'\n');
    write_whole(path, |file| file.write_all(&text).map_err(super::failed("write", path)))
}

/// A plan's hash, as `plan` prints it.
fn hash(text: &str) -> Result<[u8; 32], Failure> {
    let wrong = || Failure::usage("--plan wants the 64 hexadecimal digits that `plan` prints");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (at, octet) in hash.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}
