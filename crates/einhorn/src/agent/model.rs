//! `einhorn agent train` and `einhorn agent evaluate`.

use super::read_file;
use crate::{Failure, Outcome, print};
use einhorn_agent::evaluate::{self, Figures};
use einhorn_agent::model::{Model, hexadecimal};
use einhorn_agent::train::{self, Learnt, Options, Samples};
use einhorn_agent::{DEFAULT_MODEL, trace};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What `train` takes.
#[derive(clap::Args)]
pub(crate) struct TrainArguments {
    /// Histories of changes: CSV, plain or compressed with gzip.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Where the model goes.
    #[arg(long, value_name = "MODEL")]
    output: PathBuf,
    /// The same histories and seed give the same model, to the last bit.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of each history, from its beginning, to train on; the rest stays for `evaluate`.
    #[arg(long, default_value_t = evaluate::EARLIER, value_parser = share)]
    share: f64,
}

/// What `evaluate` takes.
#[derive(clap::Args)]
pub(crate) struct EvaluateArguments {
    /// A history of changes: CSV, plain or compressed with gzip.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// A model; left out: the one that Einhorn comes with.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Take the model as it is: it learns nothing from the earlier part of the history.
    #[arg(long)]
    as_it_is: bool,
    /// Seed for what is learnt from the earlier part.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share is above 0 and at most 1".to_owned()),
    }
}

/// A history and its name.
fn read_samples(path: &Path) -> Result<(String, Samples), Failure> {
    let place = path.display();
    let file = std::fs::File::open(path)
        .map_err(|error| Failure::unreachable(format!("cannot read {place}: {error}")))?;
    let trace = trace::read(file).map_err(|error| Failure::usage(format!("{place}: {error}")))?;
    if trace.changes.is_empty() {
        return Err(Failure::usage(format!("{place}: no changes")));
    }
    Ok((trace.source.clone(), Samples::of(&trace)))
}

/// Shows how far it is, on a terminal only.
fn progress(at: usize, of: usize) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if at == of { "\n" } else { "" };
        // Nobody is lost who does not see it.
        let _ = write!(out, "\r{at} of {of} trees{end}").and_then(|()| out.flush());
    }
}

pub(crate) fn train(arguments: &TrainArguments) -> Outcome {
    let mut histories = Vec::new();
    for path in &arguments.trace {
        let (source, samples) = read_samples(path)?;
        let Some(split_ms) = samples.time_of_share(arguments.share) else { continue };
        let part = match arguments.share {
            1.0 => samples,
            _ => evaluate::earlier_part(&samples, split_ms),
        };
        print(format_args!(
            "{source}: {} changes, {} of them met another's",
            part.len(),
            part.positives()
        ))?;
        histories.push((source, part));
    }
    let options = Options { seed: arguments.seed, ..Options::default() };
    let model = train::train(&histories, &options, &mut progress).map_err(Failure::finding)?;
    let octets = model.to_octets();
    let place = arguments.output.display();
    std::fs::write(&arguments.output, &octets)
        .map_err(|error| Failure::finding(format!("cannot write {place}: {error}")))?;
    print(format_args!(
        "{place}: model {}, {} trees, {} octets",
        hexadecimal(&model.hash()),
        model.trees.trees.len(),
        octets.len()
    ))
}

pub(crate) fn evaluate(arguments: &EvaluateArguments) -> Outcome {
    let (source, samples) = read_samples(&arguments.trace)?;
    let model = match &arguments.model {
        None => Model::from_octets(DEFAULT_MODEL),
        Some(path) => Model::from_octets(&read_file(path)?),
    };
    let model = model.map_err(|error| Failure::usage(format!("the model: {error}")))?;
    let seen_until_ms = seen_until(&model, &source);
    let learns = !arguments.as_it_is && seen_until_ms.is_none();
    let learns_as = learns.then_some(source.as_str());
    let hash = hexadecimal(&model.hash());
    let options = Options { seed: arguments.seed, ..Options::default() };
    let figures = evaluate::evaluate(model, &samples, learns_as, &options, &mut progress)
        .ok_or_else(|| Failure::usage("the history has no changes"))?;
    if seen_until_ms.is_some_and(|seen_ms| seen_ms >= figures.split_ms) {
        return Err(Failure::usage(format!(
            "the model was trained on changes of `{source}` that are to be predicted: train one \
             with --share {} or less",
            evaluate::EARLIER
        )));
    }
    print_figures(&source, &hash, &figures, seen_until_ms.is_some())?;
    if arguments.json { print(figures_json(&source, &hash, &figures)) } else { Ok(()) }
}

/// Until when a model has seen the history with this name, milliseconds since 1970.
fn seen_until(model: &Model, source: &str) -> Option<i64> {
    let provenance: Value = serde_json::from_str(&model.provenance).ok()?;
    let sources = provenance["sources"].as_array()?;
    let of_source = sources.iter().find(|one| one["source"].as_str() == Some(source))?;
    of_source["known_until_ms"].as_i64()
}

fn print_figures(source: &str, model: &str, figures: &Figures, seen: bool) -> Outcome {
    let told = |figure: Option<f64>| figure.map_or("undefined".into(), |f| format!("{f:.4}"));
    let split = jiff::Timestamp::from_millisecond(figures.split_ms)
        .map_or_else(|_| figures.split_ms.to_string(), |at| at.to_string());
    let learning = match (figures.learnt, seen) {
        (Learnt::Model, _) => "replaced by one trained on the earlier part, which predicted better",
        (Learnt::Calibration, _) => "calibrated on the earlier part",
        (Learnt::Nothing, true) => "trained on the earlier part of this very history",
        (Learnt::Nothing, false) => "as it is",
    };
    print(format_args!("model {model}, {learning}"))?;
    print(format_args!(
        "{source}: split at {split}; earlier {} changes ({} met another's), embargo {} days",
        figures.earlier,
        figures.earlier_positives,
        evaluate::EMBARGO_MS / 86_400_000
    ))?;
    print(format_args!(
        "predicted: {} changes, of which {} met another's (base rate {:.5})",
        figures.later, figures.later_positives, figures.base_rate
    ))?;
    print(format_args!("AUC            {}", told(figures.auc)))?;
    print(format_args!("  rule         {}", told(figures.auc_rule)))?;
    print(format_args!("  logistic     {}", told(figures.auc_logistic)))?;
    print(format_args!("  table        {}", told(figures.auc_table)))?;
    print(format_args!("ECE            {:.6}", figures.ece))?;
    print(format_args!("  by rank      {:.6}", figures.ece_by_rank))?;
    print(format_args!("Brier skill    {}", told(figures.brier_skill)))?;
    match figures.auc {
        Some(_) => Ok(()),
        None => print(
            "no change in the later part met another's (or all did): ranking cannot be judged, \
             and JSON has 0.5 for each AUC",
        ),
    }
}

fn figures_json(source: &str, model: &str, figures: &Figures) -> Value {
    json!({
        "source": source,
        "model": model,
        "auc": figures.auc.unwrap_or(0.5),
        "auc_rule": figures.auc_rule.unwrap_or(0.5),
        "auc_logistic": figures.auc_logistic.unwrap_or(0.5),
        "auc_table": figures.auc_table.unwrap_or(0.5),
        "auc_defined": figures.auc.is_some(),
        "ece": figures.ece,
        "ece_by_rank": figures.ece_by_rank,
        "base_rate": figures.base_rate,
        "brier_skill": figures.brier_skill.unwrap_or(0.0),
        "split": figures.split_ms / 1000,
        "changes_earlier": figures.earlier,
        "positives_earlier": figures.earlier_positives,
        "changes": figures.later,
        "positives": figures.later_positives,
        "adapted": figures.learnt != Learnt::Nothing,
    })
}
