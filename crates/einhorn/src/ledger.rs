//! `einhorn ledger`.

pub(crate) mod logs;
pub(crate) mod look;
pub(crate) mod story;
mod verify;

use crate::source::{self, Ledger, ask};
use crate::{Failure, Outcome, complete, confirm, describe, print};
use einhorn_core::ledger::{TlogProof, VerifierKey};
use einhorn_core::model::entry::{Assembler, Entry};
use einhorn_ingress::control;
use einhorn_store::ledger::{Options, ReadError, Report, prove_entry};
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn ledger`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check every entry, tile and hash against the signed checkpoint; in a data folder those of
    /// the copies of other sites' logs too.
    Verify {
        #[command(flatten)]
        source: source::Arguments,
        /// Also fold all entries of the own log, checking that each follows from those before.
        #[arg(long)]
        replay: bool,
        #[command(flatten)]
        cosigners: confirm::Arguments,
    },
    /// All changes of one name, oldest first; in a data folder also those that other sites decided
    /// on.
    History {
        /// The name.
        name: String,
        #[command(flatten)]
        source: source::Arguments,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// One entry, or all entries of a change of names with different homes.
    Show {
        /// Its index in the own log; or site and index, as in berlin:1234 or 2:1234; or the
        /// transaction's 32 digits.
        #[arg(value_name = "[SITE:]INDEX|TRANSACTION")]
        place: String,
        #[command(flatten)]
        source: source::Arguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a proof that an entry is in the log, which anyone can check offline.
    Proof {
        /// The entry's index.
        index: u64,
        #[command(flatten)]
        source: source::Arguments,
        /// Where to write it [default: entry-INDEX.tlog-proof].
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Check a proof file that `proof` wrote; needs no network and no ledger.
    CheckProof {
        /// The .tlog-proof file.
        file: PathBuf,
        /// The log's public key.
        #[arg(long, value_name = "NAME+HASH+BASE64")]
        vkey: String,
    },
    /// Write all changes of a name to one file, with the proof that none is missing.
    Complete(complete::Make),
    /// Check a file that `complete` wrote; needs no network and no ledger.
    CheckComplete(complete::Check),
    /// Put a zone, or one name, back to an earlier state. The rollback is a new entry.
    Rollback {
        /// The zone.
        #[arg(long)]
        zone: String,
        /// A serial, or a time such as 2026-11-22T15:00:00Z.
        #[arg(long, value_name = "SERIAL|TIME")]
        to: String,
        /// Only this name.
        #[arg(long)]
        name: Option<String>,
        /// Show what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Data folder of the running node.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Print entries as JSON, one a line.
    Export {
        #[command(flatten)]
        source: source::Arguments,
        /// First entry.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Entry to stop before.
        #[arg(long)]
        to: Option<u64>,
    },
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Verify { source, replay, cosigners } => verify::run(&source, replay, &cosigners),
        Command::History { name, source, json } => look::history(&name, &source, json),
        Command::Show { place, source, json } => look::show(&place, &source, json),
        Command::Proof { index, source, output } => proof(index, &source, output),
        Command::CheckProof { file, vkey } => check_proof(&file, &vkey),
        Command::Complete(arguments) => complete::make(&arguments),
        Command::CheckComplete(arguments) => complete::check(&arguments),
        Command::Rollback { zone, to, name, dry_run, data } => {
            rollback(zone, &to, name, dry_run, &data)
        }
        Command::Export { source, from, to } => export(&source, from, to),
    }
}

/// What a report found, as lines; a source that cannot be reached is not a finding.
pub(crate) fn findings(report: &Report) -> Result<Vec<String>, Failure> {
    let line = |finding: &einhorn_store::ledger::Finding| match finding.index {
        Some(index) => format!("{} at {index}: {}", finding.path, finding.problem),
        None => format!("{}: {}", finding.path, finding.problem),
    };
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    if report.findings_omitted > 0 {
        lines.push(format!("and {} more", report.findings_omitted));
    }
    let unreadable = |finding: &einhorn_store::ledger::Finding| {
        finding.path == "checkpoint"
            && matches!(finding.problem, einhorn_store::ledger::Problem::Unreadable(_))
    };
    if report.findings.iter().any(unreadable) {
        return Err(Failure::unreachable(lines.join("\n")));
    }
    Ok(lines)
}

fn whole_entries(
    ledger: &Ledger,
    visit: &mut dyn FnMut(u64, Entry) -> Outcome,
) -> Result<u64, Failure> {
    let mut assembler = Assembler::default();
    let mut outcome = Ok(());
    let report = einhorn_store::ledger::verify(
        &*ledger.files,
        &ledger.key,
        Options::default(),
        &mut |index, octets| {
            if outcome.is_ok() {
                outcome = match assembler.next(octets) {
                    Ok(Some(entry)) => visit(index, entry),
                    Ok(None) => Ok(()),
                    Err(error) => Err(Failure::finding(format!("entry {index}: {error}"))),
                };
            }
        },
    );
    // A damaged file is named first: what could not be made of its entries follows from it.
    let findings = findings(&report)?;
    match report.checkpoint.filter(|_| findings.is_empty()) {
        Some(checkpoint) => outcome.map(|()| checkpoint.size),
        None => Err(Failure::finding(format!("the ledger is not sound:\n{}", findings.join("\n")))),
    }
}

pub(crate) fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::Io { .. } => Failure::unreachable(error),
        _ => Failure::finding(error),
    }
}

fn proof(index: u64, source: &source::Arguments, output: Option<PathBuf>) -> Outcome {
    let ledger = source.open()?;
    let (entry, mut proof) =
        prove_entry(&*ledger.files, &ledger.key, index).map_err(|error| match error {
            ReadError::Range => {
                Failure::finding(format!("there is no entry {index} under the checkpoint"))
            }
            error => read_failure(error),
        })?;
    // With the entry inside, the file is all that anyone needs.
    proof.extra = Some(entry);
    let output = output.unwrap_or_else(|| format!("entry-{index}.tlog-proof").into());
    std::fs::write(&output, proof.to_string())
        .map_err(|error| Failure::finding(format!("cannot write {}: {error}", output.display())))?;
    print(format_args!(
        "proof of entry {index} written to {}\ncheck it anywhere: einhorn ledger check-proof {} --vkey {}",
        output.display(),
        output.display(),
        ledger.key
    ))
}

fn check_proof(file: &Path, vkey: &str) -> Outcome {
    let key =
        VerifierKey::parse(vkey).map_err(|error| Failure::usage(format!("--vkey: {error}")))?;
    let text = std::fs::read(file)
        .map_err(|error| Failure::unreachable(format!("{}: {error}", file.display())))?;
    let proof = TlogProof::parse(&text)
        .map_err(|error| Failure::finding(format!("{}: {error}", file.display())))?;
    let entry = proof
        .extra
        .as_deref()
        .ok_or_else(|| Failure::finding("the proof does not carry its entry"))?;
    let checkpoint = proof.verify(entry, &key).map_err(Failure::finding)?;
    print(format_args!(
        "proved: entry {} of {} is in the log, at size {}",
        proof.index, checkpoint.origin, checkpoint.size
    ))?;
    match Assembler::default().next(entry) {
        Ok(Some(entry)) => print(describe::text(proof.index, &entry)),
        Ok(None) => print("it is one part of a longer change"),
        Err(error) => Err(Failure::finding(error)),
    }
}

fn rollback(zone: String, to: &str, name: Option<String>, dry_run: bool, data: &Path) -> Outcome {
    let serial = to.parse().ok();
    let time = to
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| u64::try_from(time.as_millisecond()).ok());
    if serial.is_none() && time.is_none() {
        return Err(Failure::usage(format!(
            "--to {to}: give a serial, or a time such as 2026-11-22T15:00:00Z"
        )));
    }
    let command = control::Command::Rollback { zone, serial, time_ms: time, name, dry_run };
    print(ask(data, &command)?.trim_end())
}

fn export(source: &source::Arguments, from: u64, to: Option<u64>) -> Outcome {
    let ledger = source.open()?;
    whole_entries(&ledger, &mut |index, entry| {
        let wanted = index >= from && to.is_none_or(|to| index < to);
        if wanted { print(describe::json(index, &entry)) } else { Ok(()) }
    })?;
    Ok(())
}
