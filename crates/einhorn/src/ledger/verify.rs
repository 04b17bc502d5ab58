//! `einhorn ledger verify`: every entry, tile and hash of a log, or of all logs in a data folder.

use super::findings;
use super::logs::{Logs, Registries};
use crate::source::{self, Ledger};
use crate::{Failure, Outcome, complete, confirm, print};
use einhorn_core::ledger::{SignerKey, VerifierKey};
use einhorn_core::model::entry::{Assembler, Body, Entry};
use einhorn_core::model::{Effects, Origin, Registry, State};
use einhorn_node::{is_embedded, open_log};
use einhorn_store::engine::{EngineError, EngineReader, LogId, SqliteReader};
use einhorn_store::ledger::map::MapChecker;
use einhorn_store::ledger::{Options, verify};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Octets read at once from the engine.
const READ_OCTETS: usize = 4 << 20;

/// What is to be done beside checking hashes.
struct Wanted<'a> {
    data: Option<&'a Path>,
    is_own: bool,
    replay: bool,
    cosigners: &'a confirm::Arguments,
}

/// What came of one log.
struct Checked {
    findings: Vec<String>,
    /// What is printed of a sound one.
    lines: Vec<String>,
    /// Judged when the keys of all sites are known.
    cosigned: confirm::Check,
}

/// Runs the command.
pub(super) fn run(
    source: &source::Arguments,
    replay: bool,
    cosigners: &confirm::Arguments,
) -> Outcome {
    let mut checked = Vec::new();
    let mut registry = Registry::default();
    if let (Some(data), None) = (source.data.as_deref(), &source.url) {
        let given = source.vkey.as_deref().map(source::parse_vkey).transpose()?;
        let mut logs = Logs::open(data, given)?;
        while let Some(log) = logs.next()? {
            let mut sites = Registries::default();
            let is_own = log.is_own;
            let wanted = Wanted { data: Some(data), is_own, replay: replay && is_own, cosigners };
            let one = check(&log.ledger, &wanted, &mut sites)?;
            // What unsound entries say is not to be believed.
            if one.findings.is_empty() {
                logs.learn(sites);
            }
            checked.push((log.ledger.key, one));
        }
        let unknown = logs.unknown();
        if checked.iter().all(|(_, one)| one.findings.is_empty()) && !unknown.is_empty() {
            return Err(Failure::finding(unknown.join("\n")));
        }
        registry = logs.registry;
    } else {
        let ledger = source.open()?;
        let wanted = Wanted { data: None, is_own: true, replay, cosigners };
        let one = check(&ledger, &wanted, &mut Registries::default())?;
        checked.push((ledger.key, one));
    }
    tell(checked, &registry)
}

/// Prints what is sound; the rest is the failure.
fn tell(checked: Vec<(VerifierKey, Checked)>, registry: &Registry) -> Outcome {
    let mut failures = Vec::new();
    for (key, one) in checked {
        let name = key.name();
        // A site does not cosign its own log.
        let text = key.to_string();
        let others =
            registry.sites.values().filter(|site| site.logs.values().all(|own| *own != text));
        let mirrors = others.flat_map(|site| &site.mirror_keys);
        let mirrors: Vec<VerifierKey> =
            mirrors.filter_map(|key| VerifierKey::parse(key).ok()).collect();
        let confirmed = one.cosigned.finish(&mirrors);
        let mut findings = one.findings;
        findings.extend(confirmed.findings.iter().cloned());
        if findings.is_empty() {
            one.lines.iter().try_for_each(print)?;
            confirmed.print()?;
        } else {
            failures.push(format!(
                "the ledger {name} is not sound, {} finding(s):\n{}",
                findings.len(),
                findings.join("\n")
            ));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::finding(failures.join("\n"))) }
}

fn check(ledger: &Ledger, wanted: &Wanted<'_>, sites: &mut Registries) -> Result<Checked, Failure> {
    let mut cosigned = confirm::Check::open(wanted.cosigners, &*ledger.files, &ledger.key)?;
    let started = Instant::now();
    let mut replayed = Replay {
        state: State::empty(Origin::NONE),
        assembler: Assembler::default(),
        parts: 0,
        problem: None,
    };
    let mut engine = wanted.data.map(|data| EngineCopy::open(data, ledger.key.name()));
    let scratch = complete::scratch()?;
    let maps = MapChecker::new(scratch.path(), ledger.key.name());
    let mut maps = maps.map_err(Failure::unreachable)?;
    let report = verify(&*ledger.files, &ledger.key, Options::default(), &mut |index, octets| {
        maps.next(index, octets);
        sites.next(octets);
        if wanted.replay {
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
        findings.extend(engine.finish(wanted.is_own));
    }
    if let Some(data) = wanted.data.filter(|_| wanted.is_own) {
        findings.extend(secret_key_problem(data, &ledger.key));
    }
    let mut lines = Vec::new();
    if let Some(checkpoint) = &report.checkpoint {
        let seconds = started.elapsed().as_secs_f64();
        if maps.checked() > 0 {
            lines.push(format!("map roots recomputed: {}", maps.checked()));
        }
        let of = if wanted.is_own { "" } else { "the copy of " };
        lines.push(format!(
            "{of}{} is sound: {} entries, root {}\nverified in {seconds:.2} s, {:.0} entries/s",
            checkpoint.origin,
            checkpoint.size,
            checkpoint.root,
            report.entries as f64 / seconds.max(1e-9)
        ));
    } else if findings.is_empty() {
        findings.push("it has no checkpoint".to_owned());
    }
    Ok(Checked { findings, lines, cosigned })
}

/// What is wrong with the log's secret key, which is only needed at the next start: better to
/// know now. An auditor without the right to read it cannot tell.
fn secret_key_problem(data: &Path, key: &VerifierKey) -> Option<String> {
    // A later log's key is called after its generation, as its name is.
    let generation = key.name().rsplit('/').next().filter(|last| last.parse::<u16>().is_ok());
    let path = match generation {
        Some(generation) => data.join(format!("ledger.{generation}.key")),
        None => data.join("ledger.key"),
    };
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
        self.state.fold(origin, entry, self.parts, &mut effects).map_err(|error| error.to_string())
    }
}

/// The engine's copy of the log, which must hold the same octets.
struct EngineCopy {
    reader: Option<Box<dyn EngineReader>>,
    /// Where the values beside the log are, if they can be checked by themselves.
    beside: Option<PathBuf>,
    /// The log there; `None` if the engine has none of this name.
    log: Option<LogId>,
    /// Entries read ahead, with the index of the first.
    entries: Vec<Vec<u8>>,
    first: u64,
    problem: Option<String>,
}

impl EngineCopy {
    /// Looks for the log whose first entry says that it has this name.
    fn open(data: &Path, name: &str) -> EngineCopy {
        let opened = open_log(data).and_then(|mut reader| {
            let log = log_named(&mut *reader, name)?;
            Ok((reader, log))
        });
        let (reader, log, problem) = match opened {
            Ok((reader, log)) => (Some(reader), log, None),
            Err(error) => (None, None, Some(error.to_string())),
        };
        let beside = is_embedded(data).then(|| data.to_owned());
        EngineCopy { reader, beside, log, entries: Vec::new(), first: 0, problem }
    }

    fn read_from(&mut self, index: u64) {
        self.entries.clear();
        self.first = index;
        let (Some(reader), Some(log)) = (&mut self.reader, self.log) else { return };
        let entries = &mut self.entries;
        let read =
            reader.read(log, index, READ_OCTETS, &mut |_, _, octets| entries.push(octets.to_vec()));
        self.problem = read.err().map(|error| error.to_string());
    }

    fn compare(&mut self, index: u64, octets: &[u8]) {
        if self.problem.is_some() {
            return;
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
    fn finish(mut self, is_own: bool) -> Option<String> {
        while self.problem.is_none() && !self.entries.is_empty() {
            let end = self.first + self.entries.len() as u64;
            let Some(log) = self.log else { break };
            let next = self.reader.as_mut().map(|reader| reader.next_index(log));
            match next {
                Some(Ok(next)) if end < next => self.read_from(end),
                Some(Err(error)) => self.problem = Some(error.to_string()),
                _ => break,
            }
        }
        let beside = self.beside.as_ref().filter(|_| is_own && self.reader.is_some());
        let audit = beside
            .map_or(Ok(()), |data| SqliteReader::open(data).and_then(|mut it| it.check_audit()));
        self.problem.or(audit.err().map(|error| format!("the audit values: {error}")))
    }
}

/// The engine's log whose first entry has this name.
fn log_named(reader: &mut dyn EngineReader, wanted: &str) -> Result<Option<LogId>, EngineError> {
    for log in reader.logs()? {
        let mut is_it = false;
        reader.read(log, 0, 1, &mut |index, _, octets| {
            let Ok(Some(entry)) = Assembler::default().next(octets) else { return };
            if let Body::Genesis { name, .. } = entry.body {
                is_it |= index == 0 && name == wanted;
            }
        })?;
        if is_it {
            return Ok(Some(log));
        }
    }
    Ok(None)
}
