//! All logs in a data folder: the site's own ones and the copies of the others', each with the key
//! that verifies it.
//!
//! The key of the own log lies in the folder, and so does the card of the site that this one
//! joined. The registry, which is in those logs, names the keys of all others. So a log is believed
//! only when a log believed before it names its key.

use super::whole_entries;
use crate::source::Ledger;
use crate::{Failure, source};
use einhorn_core::ledger::VerifierKey;
use einhorn_core::model::entry::{Assembler, Body, Entry};
use einhorn_core::model::{Origin, Position, Registry};
use einhorn_links::card::Card;
use einhorn_store::ledger::{OsFiles, TileSource};
use std::fs;
use std::path::{Path, PathBuf};

/// One log in a data folder.
pub(crate) struct Log {
    /// Its number; the own one's is in its first entry.
    pub(crate) origin: Origin,
    /// Whether this site writes it.
    pub(crate) is_own: bool,
    pub(crate) ledger: Ledger,
}

/// A folder with the files of a log whose key may not be known yet.
struct Candidate {
    folder: PathBuf,
    /// `None` for an own log.
    origin: Option<Origin>,
    /// Where the key of an own log lies: `ledger.vkey`, `ledger.2.vkey`.
    own_key: Option<PathBuf>,
}

/// All logs in a data folder, in the order in which their keys are known.
pub(crate) struct Logs {
    candidates: Vec<Candidate>,
    cards: Vec<VerifierKey>,
    /// The key of the first own log, if it is not to be taken from the folder.
    given: Option<VerifierKey>,
    /// The newest registry that was read.
    pub(crate) registry: Registry,
}

/// Finds the newest registry among the entries of one log.
#[derive(Default)]
pub(crate) struct Registries {
    assembler: Assembler,
    newest: Option<Registry>,
}

impl Registries {
    /// Takes the next stored entry. What makes no sense is found by others.
    pub(crate) fn next(&mut self, octets: &[u8]) {
        if let Ok(Some(entry)) = self.assembler.next(octets)
            && let Body::Sites(change) = entry.body
        {
            self.newest = Some(change.registry);
        }
    }
}

/// Visits all entries of one log, verified, each with its place; the log says itself which one it is
/// unless `origin` does. Gives that, the number of entries, and the sites that it names.
pub(crate) fn placed_entries(
    ledger: &Ledger,
    origin: Origin,
    visit: &mut dyn FnMut(Position, Entry),
) -> Result<(Origin, u64, Registries), Failure> {
    let (mut own, mut sites) = (origin, Registries::default());
    let size = whole_entries(ledger, &mut |index, entry| {
        match &entry.body {
            Body::Genesis { origin, .. } if own == Origin::NONE => own = *origin,
            Body::Sites(change) => sites.newest = Some(change.registry.clone()),
            _ => {}
        }
        visit(Position { origin: own, index }, entry);
        Ok(())
    })?;
    Ok((own, size, sites))
}

impl Logs {
    /// Finds the logs in `data`. The key of the first own one is `given`, or in the folder.
    pub(crate) fn open(data: &Path, given: Option<VerifierKey>) -> Result<Logs, Failure> {
        let mut candidates = own_logs(data)?;
        candidates.extend(copies(data)?);
        Ok(Logs { candidates, cards: cards(data)?, given, registry: Registry::default() })
    }

    /// Opens the next log whose key is known; the caller reads it and hands what it found to
    /// [`Self::learn`]. `None` when there are no more.
    pub(crate) fn next(&mut self) -> Result<Option<Log>, Failure> {
        for at in 0..self.candidates.len() {
            let Some(log) = self.try_open(&self.candidates[at])? else { continue };
            self.candidates.remove(at);
            if log.is_own {
                self.given = None;
            }
            return Ok(Some(log));
        }
        Ok(None)
    }

    /// Visits all entries of all logs whose keys are known, verified, each with its place.
    pub(crate) fn visit(&mut self, visit: &mut dyn FnMut(Position, Entry)) -> Result<(), Failure> {
        while let Some(log) = self.next()? {
            let (_, _, sites) = placed_entries(&log.ledger, log.origin, visit)?;
            self.learn(sites);
        }
        Ok(())
    }

    /// Takes note of the sites that a verified log names.
    pub(crate) fn learn(&mut self, found: Registries) {
        if let Some(registry) = found.newest.filter(|new| new.version > self.registry.version) {
            self.registry = registry;
        }
    }

    /// The logs whose key nobody names.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let line = |left: &Candidate| {
            format!("{}: no site that is known has this log", left.folder.display())
        };
        self.candidates.iter().map(line).collect()
    }

    fn try_open(&self, candidate: &Candidate) -> Result<Option<Log>, Failure> {
        let files = OsFiles::open(&candidate.folder).map_err(Failure::unreachable)?;
        let note = files.read("checkpoint").map_err(Failure::unreachable)?;
        let name = note.as_deref().map_or_else(String::new, |note| {
            String::from_utf8_lossy(note).lines().next().unwrap_or_default().to_owned()
        });
        let key = match (&candidate.own_key, candidate.origin) {
            (Some(path), _) => match &self.given {
                Some(given) => Some(given.clone()),
                None => Some(source::read_vkey_file(path)?),
            },
            (None, Some(origin)) => match self.registry.log_key(origin) {
                Some(key) => Some(VerifierKey::parse(key).map_err(Failure::finding)?),
                None => self.cards.iter().find(|key| key.name() == name).cloned(),
            },
            (None, None) => None,
        };
        let Some(key) = key else { return Ok(None) };
        Ok(Some(Log {
            origin: candidate.origin.unwrap_or(Origin::NONE),
            is_own: candidate.own_key.is_some(),
            ledger: Ledger { files: Box::new(files), key },
        }))
    }
}

/// The folders of the own log and of those after it.
fn own_logs(data: &Path) -> Result<Vec<Candidate>, Failure> {
    let mut found = Vec::new();
    for generation in 1..=u16::MAX {
        let suffix = if generation == 1 { String::new() } else { format!(".{generation}") };
        let folder = data.join(format!("ledger{suffix}"));
        if !folder.is_dir() {
            break;
        }
        // A next log that has just begun has nothing to read.
        if generation > 1 && !folder.join("checkpoint").is_file() {
            continue;
        }
        let own_key = Some(data.join(format!("ledger{suffix}.vkey")));
        found.push(Candidate { folder, origin: None, own_key });
    }
    if found.is_empty() {
        return Err(Failure::unreachable(format!("there is no ledger in {}", data.display())));
    }
    Ok(found)
}

/// The folders of copies that hold something, `copies/SITE.GENERATION`.
fn copies(data: &Path) -> Result<Vec<Candidate>, Failure> {
    let folder = data.join("copies");
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
        let folder = entry.map_err(|error| unreadable(&folder, error))?.path();
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let numbers = name.split_once('.').and_then(|(site, generation)| {
            Some(Origin { site: site.parse().ok()?, generation: generation.parse().ok()? })
        });
        // A copy without a checkpoint has just begun.
        if let Some(origin) = numbers.filter(|_| folder.join("checkpoint").is_file()) {
            found.push(Candidate { folder, origin: Some(origin), own_key: None });
        }
    }
    found.sort_by_key(|copy| copy.origin);
    Ok(found)
}

/// The keys of logs that cards in the folder name.
fn cards(data: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(data).map_err(|error| unreadable(data, error))? {
        let path = entry.map_err(|error| unreadable(data, error))?.path();
        if path.extension().is_some_and(|extension| extension == "site") {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let card = Card::parse(&text)
                .map_err(|error| Failure::finding(format!("{}: {error}", path.display())))?;
            keys.push(card.ledger);
        }
    }
    Ok(keys)
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::unreachable(format!("cannot read {}: {error}", path.display()))
}
