//! `einhorn agent`.

mod decisions;
mod model;

use crate::source;
use crate::{Failure, Outcome, print};
use einhorn_agent::merge::{self, Totals};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn agent`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Merge three-way cases by the rules, and say which of them need a person.
    Merge {
        /// Cases, one JSON object a line.
        #[arg(long, value_name = "FILE")]
        cases: PathBuf,
        /// End with one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Train a model that predicts hazards from traces of changes.
    Train(model::TrainArguments),
    /// Say how well hazards are predicted on the later part of a trace.
    Evaluate(model::EvaluateArguments),
    /// Say how the agent of a running node does: its model, what it advised, whether that came true.
    Status {
        /// Data folder of the node.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Say why a change took its path: what each path would have cost, and what mattered.
    Explain {
        /// Index in the own log; or site and index, as in berlin:1234.
        #[arg(value_name = "[SITE:]INDEX")]
        entry: String,
        #[command(flatten)]
        source: source::Arguments,
    },
    /// Make every decision in the ledgers of a data folder again, and compare.
    Replay {
        /// Data folder of a node.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Print the changes in the ledgers of a data folder as a trace: to train on, to evaluate with.
    History {
        /// Data folder of a node.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Put a model in the place of a node's, if it decides better on what has already happened.
    Promote {
        /// The model, as `train` wrote it.
        model: PathBuf,
        /// Data folder of the node.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Also if it does not.
        #[arg(long)]
        force: bool,
    },
}

pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Merge { cases, json } => merge_cases(cases, *json),
        Command::Train(arguments) => model::train(arguments),
        Command::Evaluate(arguments) => model::evaluate(arguments),
        Command::Status { data, json } => decisions::status(data, *json),
        Command::Explain { entry, source } => decisions::explain_entry(entry, source),
        Command::Replay { data } => decisions::replay(data),
        Command::History { data } => decisions::history(data),
        Command::Promote { model, data, force } => decisions::promote(model, data, *force),
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::unreachable(format!("cannot read {}: {error}", path.display())))
}

fn merge_cases(path: &Path, as_json: bool) -> Outcome {
    let octets = read_file(path)?;
    let place = path.display();
    let text = String::from_utf8(octets)
        .map_err(|error| Failure::usage(format!("{place}: not UTF-8 text: {error}")))?;
    let cases =
        merge::read_cases(&text).map_err(|error| Failure::usage(format!("{place}: {error}")))?;
    let mut totals = Totals::default();
    for case in &cases {
        let verdict = merge::judge(case);
        totals.add(&verdict);
        let words = |list: Vec<String>| list.join("; ");
        let line = if verdict.needs_person() {
            let keys = case.keys.iter().zip(&verdict.outcomes);
            let reasons = keys.filter_map(|(key, outcome)| match outcome {
                merge::Outcome::Escalated(why) => {
                    Some(format!("{} {}: {why}", key.name, key.record_type))
                }
                merge::Outcome::Resolved(..) => None,
            });
            format!("escalated      {}: {}", case.id, words(reasons.collect()))
        } else if case.keys.is_empty() {
            format!("auto-resolved  {}: no record differs", case.id)
        } else {
            let rules = verdict.rules().iter().map(ToString::to_string).collect();
            format!("auto-resolved  {}: {}", case.id, words(rules))
        };
        print(line)?;
    }
    print_totals(&totals)?;
    if as_json {
        print(json!({
            "cases": totals.cases,
            "cases_needing_person": totals.cases_needing_person,
            "cases_auto_resolved": totals.cases - totals.cases_needing_person,
            "keys": totals.keys,
            "keys_resolved": totals.keys_resolved,
            "keys_escalated": totals.keys - totals.keys_resolved,
            "keys_intent_dropped": totals.keys_intent_dropped,
        }))?;
    }
    match totals.keys_intent_dropped {
        0 => Ok(()),
        _ => Err(Failure::finding("a merge dropped what a side meant: this must never be")),
    }
}

fn print_totals(totals: &Totals) -> Outcome {
    let Totals { cases, cases_needing_person, keys, keys_resolved, keys_intent_dropped, .. } =
        totals;
    print(format_args!(
        "\n{cases} cases that textual merging leaves to a person: {} settled by the rules, \
         {cases_needing_person} left",
        cases - cases_needing_person
    ))?;
    for (reason, count) in &totals.reasons {
        print(format_args!("  {count:>5}  {reason}"))?;
    }
    if *cases_needing_person > 0 {
        let factor = *cases as f64 / *cases_needing_person as f64;
        print(format_args!("{factor:.1} times fewer than textual merging leaves"))?;
    }
    print(format_args!(
        "{keys} keys: {keys_resolved} settled, {keys_intent_dropped} of them dropping an intent"
    ))
}
