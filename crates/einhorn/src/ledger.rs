//! `einhorn ledger`.

use crate::source::{self, Ledger, ask};
use crate::{Failure, Outcome, complete, confirm, describe, print};
use einhorn_core::ledger::{SignerKey, TlogProof, VerifierKey, checkpoint};
use einhorn_core::model::{Effects, Origin, State};
use einhorn_core::model::entry::{Assembler, Body, Entry};
use einhorn_ingress::control;
use einhorn_store::engine::{EngineReader, LogId, SqliteReader};
use einhorn_store::ledger::map::MapChecker;
use einhorn_store::ledger::{Options, ReadError, Report, prove_entry, read_entry, verify};
use einhorn_wire::Name;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Octets read at once from the engine.
const READ_OCTETS: usize = 4 << 20;

/// Subcommands of `einhorn ledger`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check every entry, tile and hash against the signed checkpoint.
    Verify {
        #[command(flatten)]
        source: source::Arguments,
        /// Also fold all entries, checking that each follows from those before.
        #[arg(long)]
        replay: bool,
        #[command(flatten)]
        cosigners: confirm::Arguments,
    },
    /// All changes of one name, oldest first.
    History {
        /// The name.
        name: String,
        #[command(flatten)]
        source: source::Arguments,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// One entry.
    Show {
        /// Its index.
        index: u64,
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
        Command::Verify { source, replay, cosigners } => verify_all(&source, replay, &cosigners),
        Command::History { name, source, json } => history(&name, &source, json),
        Command::Show { index, source, json } => show(index, &source, json),
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

fn verify_all(source: &source::Arguments, replay: bool, cosigners: &confirm::Arguments) -> Outcome {
    let ledger = source.open()?;
    let mut cosigned = confirm::Check::open(cosigners, &*ledger.files, &ledger.key)?;
    let started = Instant::now();
    let mut replayed =
        Replay { state: State::empty(Origin::NONE), assembler: Assembler::default(), parts: 0, problem: None };
    let mut engine = source.data.as_deref().map(EngineCopy::open);
    let scratch = complete::scratch()?;
    let maps = MapChecker::new(scratch.path(), ledger.key.name());
    let mut maps = maps.map_err(Failure::unreachable)?;
    let report = verify(&*ledger.files, &ledger.key, Options::default(), &mut |index, octets| {
        maps.next(index, octets);
        if replay {
            replayed.next(index, octets);
        }
        engine.iter_mut().for_each(|engine| engine.compare(index, octets));
        cosigned.next(index, octets);
    });
    let mut findings = findings(&report)?;
    // What could not be made of damaged entries follows from the damage.
    findings.extend(maps.problem().filter(|_| report.is_sound()).map(str::to_owned));
    findings.extend(replayed.problem);
    if let Some(engine) = engine {
        findings.extend(engine.finish());
    }
    findings.extend(source.data.as_deref().and_then(|data| secret_key_problem(data, &ledger.key)));
    let confirmed = cosigned.finish();
    findings.extend(confirmed.findings.iter().cloned());
    let Some(checkpoint) = report.checkpoint.as_ref().filter(|_| findings.is_empty()) else {
        return Err(Failure::finding(format!(
            "the ledger is not sound, {} finding(s):\n{}",
            findings.len(),
            findings.join("\n")
        )));
    };
    let seconds = started.elapsed().as_secs_f64();
    if maps.checked() > 0 {
        print(format_args!("map roots recomputed: {}", maps.checked()))?;
    }
    print(format_args!(
        "{} is sound: {} entries, root {}\nverified in {seconds:.2} s, {:.0} entries/s",
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root,
        report.entries as f64 / seconds.max(1e-9)
    ))?;
    confirmed.print()
}

/// What is wrong with the log's secret key, which is only needed at the next start: better to
/// know now. An auditor without the right to read it cannot tell.
fn secret_key_problem(data: &Path, key: &VerifierKey) -> Option<String> {
    let path = data.join("ledger.key");
    let problem = match std::fs::read(&path) {
        Ok(text) => match SignerKey::parse(String::from_utf8_lossy(&text).trim()) {
            Ok(secret) if secret.verifier() == key => return None,
            Ok(_) => "it is the key of another log".to_owned(),
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        Err(error) => error.to_string(),
    };
    Some(format!("{}: {problem}", path.display()))
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

/// Folds entries as a restart would.
struct Replay {
    state: State,
    assembler: Assembler,
    parts: u64,
    problem: Option<String>,
}

impl Replay {
    fn next(&mut self, index: u64, octets: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        self.parts += 1;
        match self.assembler.next(octets) {
            Err(error) => self.problem = Some(format!("entry {index}: {error}")),
            Ok(None) => {}
            Ok(Some(entry)) => {
                self.problem = self.fold(&entry).err();
                self.parts = 0;
            }
        }
    }

    fn fold(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::Genesis { origin, .. } => {
                self.state.origin = *origin;
                if origin.site > 1 {
                    // What the first site made is in its log, not in this one.
                    self.state.expect(Origin::NONE);
                }
            }
            Body::Sites(_) => self.state.expect(Origin::NONE),
            _ => {}
        }
        let (origin, mut effects) = (self.state.origin, Effects::default());
        self.state
            .fold(origin, entry, self.parts, &mut effects)
            .map_err(|error| error.to_string())
    }
}

/// The engine's copy of the log, which must hold the same octets.
struct EngineCopy {
    reader: Option<SqliteReader>,
    log: Option<LogId>,
    /// Entries read ahead, with the index of the first.
    entries: Vec<Vec<u8>>,
    first: u64,
    problem: Option<String>,
}

impl EngineCopy {
    fn open(data: &Path) -> EngineCopy {
        let (reader, problem) = match SqliteReader::open(data) {
            Ok(reader) => (Some(reader), None),
            Err(error) => (None, Some(error.to_string())),
        };
        EngineCopy { reader, log: None, entries: Vec::new(), first: 0, problem }
    }

    fn read_from(&mut self, index: u64) {
        self.entries.clear();
        self.first = index;
        let (Some(reader), Some(log)) = (&mut self.reader, self.log) else { return };
        let entries = &mut self.entries;
        let read = reader
            .read(log, index, READ_OCTETS, &mut |_, _, octets| entries.push(octets.to_vec()));
        self.problem = read.err().map(|error| error.to_string());
    }

    fn compare(&mut self, index: u64, octets: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        if self.log.is_none() {
            // The engine holds the logs of all sites.
            self.log = self.reader.as_mut().and_then(|reader| source::log_that_begins(reader, octets));
        }
        let place = |copy: &EngineCopy| {
            index.checked_sub(copy.first).and_then(|at| usize::try_from(at).ok())
        };
        if place(self).is_none_or(|at| at >= self.entries.len()) {
            self.read_from(index);
        }
        let ours = place(self).and_then(|at| self.entries.get(at));
        if self.problem.is_none() && ours.is_none_or(|ours| ours != octets) {
            self.problem = Some(format!("log.db: entry {index} is not the one in the ledger"));
        }
    }

    /// Reads what is durable but not under the checkpoint yet, and what lies beside the log.
    fn finish(mut self) -> Option<String> {
        while self.problem.is_none() && !self.entries.is_empty() {
            let end = self.first + self.entries.len() as u64;
            let next = self.reader.as_mut().zip(self.log).map(|(reader, log)| reader.next_index(log));
            match next {
                Some(Ok(next)) if end < next => self.read_from(end),
                Some(Err(error)) => self.problem = Some(error.to_string()),
                _ => break,
            }
        }
        let audit = self.reader.as_mut().map_or(Ok(()), SqliteReader::check_audit);
        self.problem.or(audit.err().map(|error| format!("the audit values: {error}")))
    }
}

fn whole_entries(
    ledger: &Ledger,
    visit: &mut dyn FnMut(u64, Entry) -> Outcome,
) -> Result<u64, Failure> {
    let mut assembler = Assembler::default();
    let mut outcome = Ok(());
    let report = verify(&*ledger.files, &ledger.key, Options::default(), &mut |index, octets| {
        if outcome.is_ok() {
            outcome = match assembler.next(octets) {
                Ok(Some(entry)) => visit(index, entry),
                Ok(None) => Ok(()),
                Err(error) => Err(Failure::finding(format!("entry {index}: {error}"))),
            };
        }
    });
    // A damaged file is named first: what could not be made of its entries follows from it.
    let findings = findings(&report)?;
    match report.checkpoint.filter(|_| findings.is_empty()) {
        Some(checkpoint) => outcome.map(|()| checkpoint.size),
        None => Err(Failure::finding(format!("the ledger is not sound:\n{}", findings.join("\n")))),
    }
}

fn history(name: &str, source: &source::Arguments, json: bool) -> Outcome {
    let name: Name = name.parse().map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let ledger = source.open()?;
    let mut changes = Vec::new();
    let size = whole_entries(&ledger, &mut |index, entry| {
        let mut body = entry.body;
        if let Body::Change(change) = &mut body {
            // A zone load has many names, of which one matters here.
            change.names.retain(|change| change.owner == name);
            if !change.names.is_empty() {
                changes.push((index, Entry { time_ms: entry.time_ms, body }));
            }
        }
        Ok(())
    })?;
    for (place, (index, entry)) in changes.iter().enumerate() {
        let Body::Change(change) = &entry.body else { continue };
        for name in &change.names {
            if name.sequence != place as u64 + 1 {
                return Err(Failure::finding(format!(
                    "entry {index}: change {} where {} was due",
                    name.sequence,
                    place + 1
                )));
            }
        }
        print(if json {
            describe::json(*index, entry).to_string()
        } else {
            describe::text(*index, entry)
        })?;
    }
    if json {
        return Ok(());
    }
    print(format_args!(
        "{} changes of {name}, numbered without a gap, in {size} entries",
        changes.len()
    ))
}

/// A whole entry, one of whose parts is at `index`.
fn entry_at(ledger: &Ledger, index: u64) -> Result<(u64, Entry), Failure> {
    let note = ledger.files.read("checkpoint").map_err(Failure::unreachable)?;
    let note = note.ok_or_else(|| Failure::unreachable("the ledger has no checkpoint yet"))?;
    let size = checkpoint::verify(&note, &ledger.key).map_err(Failure::finding)?.size;
    if index >= size {
        return Err(Failure::finding(format!(
            "there is no entry {index}: the ledger has {size}, from 0"
        )));
    }
    let read = |index| read_entry(&*ledger.files, size, index).map_err(read_failure);
    let mut first = index;
    // A change in parts is read from its first.
    while einhorn_core::model::entry::part_number(&read(first)?).is_some_and(|part| part > 0)
        && first > 0
    {
        first -= 1;
    }
    let mut assembler = Assembler::default();
    for at in first..size {
        let entry = assembler.next(&read(at)?);
        if let Some(entry) =
            entry.map_err(|error| Failure::finding(format!("entry {at}: {error}")))?
        {
            return Ok((at, entry));
        }
    }
    Err(Failure::finding(format!("the last part of entry {index} is not under the checkpoint yet")))
}

pub(crate) fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::Io { .. } => Failure::unreachable(error),
        _ => Failure::finding(error),
    }
}

fn show(index: u64, source: &source::Arguments, json: bool) -> Outcome {
    let ledger = source.open()?;
    let (last, entry) = entry_at(&ledger, index)?;
    if json {
        return print(describe::json(last, &entry));
    }
    print(describe::text(last, &entry))?;
    // Beside the log, on the node itself, as long as it is kept.
    if let Some(Ok(client)) =
        source.data.as_ref().map(|data| ask(data, &control::Command::Audit { index: last }))
    {
        print(format_args!("  client {client}"))?;
    }
    Ok(())
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
