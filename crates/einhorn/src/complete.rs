//! `einhorn ledger complete` and `check-complete`: all changes of a name, with the proof that
//! none is missing.

use crate::ledger::{findings, read_failure};
use crate::{Failure, Outcome, describe, print, source};
use einhorn_core::ledger::map::{
    Complete, CompleteError, CompleteLog, Event, HISTORY_BYTES_MAX, History, MapKey, verify_history,
};
use einhorn_core::ledger::{Algorithm, VerifierKey};
use einhorn_store::ledger::map::{GatherError, gather};
use einhorn_wire::Name;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Arguments of `complete`.
#[derive(clap::Args)]
pub(crate) struct Make {
    /// The name.
    name: String,
    /// Its zone.
    #[arg(long)]
    zone: String,
    /// A node's data folder, a folder of ledger files, or the URL of a served ledger. Repeat it
    /// for each site whose log may have changes of the name.
    #[arg(long, value_name = "FOLDER|URL", required = true)]
    from: Vec<String>,
    /// Public key of a log; needed for each that is not a data folder.
    #[arg(long, value_name = "NAME+HASH+BASE64")]
    key: Vec<String>,
    /// Where to write it [default: NAME.einhorn-history].
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Arguments of `check-complete`.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// The .einhorn-history file.
    file: PathBuf,
    /// Public key of each log in it; of cosigners too, to see who vouches for them.
    #[arg(long, value_name = "NAME+HASH+BASE64", required = true)]
    key: Vec<String>,
}

/// A folder for maps, gone when it is dropped.
pub(crate) fn scratch() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir()
        .map_err(|error| Failure::unreachable(format!("cannot make a temporary folder: {error}")))
}

fn parse_keys(texts: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let parse = |text: &String| {
        VerifierKey::parse(text.trim()).map_err(|error| Failure::usage(format!("--key: {error}")))
    };
    texts.iter().map(parse).collect()
}

fn parse_name(text: &str) -> Result<Name, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))
}

/// `einhorn ledger complete`.
pub(crate) fn make(arguments: &Make) -> Outcome {
    let (zone, owner) = (parse_name(&arguments.zone)?, parse_name(&arguments.name)?);
    if !owner.is_at_or_below(&zone) {
        return Err(Failure::usage(format!("{owner} is not in the zone {zone}")));
    }
    let map_keys = [MapKey::of_name(&zone, &owner), MapKey::of_zone(&zone)];
    let given = parse_keys(&arguments.key)?;
    // Those of the logs come first; what is left may be cosigners'.
    let mut keys = Vec::new();
    let mut logs = Vec::new();
    for from in &arguments.from {
        let ledger = source::open_from(from, &given)?;
        let scratch = scratch()?;
        let log = gather(&*ledger.files, &ledger.key, map_keys, scratch.path());
        logs.push(log.map_err(|error| gather_failure(from, error))?);
        keys.push(ledger.key);
    }
    let cosigners = given.into_iter().filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    keys.extend(cosigners);
    let text = History { zone, owner: owner.clone(), logs }.to_string();
    let complete = verify_history(text.as_bytes(), &keys).map_err(|error| match error {
        CompleteError::Missing { .. } => {
            Failure::finding(format!("{error}: give that site's ledger with --from too"))
        }
        error => Failure::finding(error),
    })?;
    let output = arguments.output.clone().unwrap_or_else(|| default_output(&owner));
    std::fs::write(&output, text)
        .map_err(|error| Failure::finding(format!("cannot write {}: {error}", output.display())))?;
    statement(&complete)?;
    let keys: Vec<String> = keys.iter().map(|key| format!(" --key {key}")).collect();
    print(format_args!(
        "written to {}\ncheck it anywhere: einhorn ledger check-complete {}{}",
        output.display(),
        output.display(),
        keys.concat()
    ))
}

/// A file named after the name; of what a file name must not have, nothing is left.
fn default_output(owner: &Name) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    let text: String = owner.to_string().trim_end_matches('.').chars().map(plain).collect();
    format!("{text}.einhorn-history").into()
}

fn gather_failure(from: &str, error: GatherError) -> Failure {
    let at = |what: String| format!("{from}: {what}");
    match error {
        GatherError::Read(error) => read_failure(error),
        GatherError::Unsound(report) => match findings(&report) {
            Ok(lines) => Failure::finding(at(format!("not sound:\n{}", lines.join("\n")))),
            Err(failure) => failure,
        },
        GatherError::Map(error) => Failure::unreachable(at(error.to_string())),
        error => Failure::finding(at(error.to_string())),
    }
}

/// `einhorn ledger check-complete`.
pub(crate) fn check(arguments: &Check) -> Outcome {
    let keys = parse_keys(&arguments.key)?;
    let text = read_limited(&arguments.file)
        .map_err(|error| Failure::unreachable(format!("{}: {error}", arguments.file.display())))?;
    let complete = verify_history(&text, &keys);
    let complete = complete.map_err(|error| Failure::finding(format!("not proven: {error}")))?;
    for (number, event) in (1..).zip(&complete.events) {
        print(sentence(number, event))?;
    }
    statement(&complete)
}

/// Reads no more than a history may have, and an octet that tells that there is more.
fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(HISTORY_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// What happened, in a sentence and the records that came and went.
fn sentence(number: usize, event: &Event) -> String {
    let place = describe::position(event.position);
    let time = describe::time(event.entry.time_ms);
    let changes = event.entry.body.changes();
    let (who, cause) = changes.first().map_or_else(Default::default, |change| {
        (change.who.to_string(), describe::cause(&change.cause))
    });
    let Some(change) = event.change() else {
        return format!("{number}. On {time} the zone was removed by {who} (entry {place})");
    };
    let mut text = format!("{number}. On {time} changed by {who}: {cause}");
    if change.home != event.position.origin {
        text += &format!("; moved to site {}", change.home);
    }
    text += &format!(" (entry {place}, change {} of the name)", change.sequence);
    if change.after.is_empty() {
        text += "\n     nothing is left";
    }
    let lines = describe::difference(change);
    lines.iter().fold(text, |text, line| format!("{text}\n     {line}"))
}

/// What is proved, and up to where.
fn statement(complete: &Complete) -> Outcome {
    let (zone, owner) = (&complete.zone, &complete.owner);
    let count = complete.events.iter().filter(|event| event.change().is_some()).count();
    print(match count {
        0 => format!("proved: {owner} of zone {zone} was never changed, in these logs:"),
        1 => format!("proved: this is the only change of {owner} of zone {zone}, in these logs:"),
        _ => format!(
            "proved: these are all {count} changes of {owner} of zone {zone}, in these logs:"
        ),
    })?;
    complete.logs.iter().try_for_each(|log| print(reach(log)))?;
    for beyond in &complete.beyond {
        let place = describe::position(*beyond);
        print(format_args!("not covered: entry {place}, which is behind what the file has"))?;
    }
    match complete.home_elsewhere {
        Some(site) => print(format_args!(
            "not covered: the name moved to site {site}, whose log is not in this file"
        )),
        None => Ok(()),
    }
}

fn reach(log: &CompleteLog) -> String {
    let CompleteLog { checkpoint, complete_to, map_at, .. } = log;
    let site = log.origin.site;
    let mut text =
        format!("  {} (site {site}), its first {complete_to} entries", checkpoint.origin);
    if *complete_to == checkpoint.size {
        text += ": all that it had signed";
    } else {
        text += &format!(" of {} that it had signed", checkpoint.size);
    }
    text += &match map_at {
        Some(at) => format!("; by its map of the first {at}"),
        None => "; all of them are in the file".to_owned(),
    };
    for (name, time) in &log.cosigned {
        text +=
            &format!("\n    cosigned by {name} on {}", describe::time(time.saturating_mul(1000)));
    }
    text
}
