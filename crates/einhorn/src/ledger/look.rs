//! `einhorn ledger history` and `show`: entries of the own log and of the copies of the others'.

use super::logs::{Logs, Registries, placed_entries};
use super::{findings, read_failure, story};
use crate::source::{self, Ledger, ask};
use crate::{Failure, Outcome, describe, print};
use einhorn_core::ledger::checkpoint;
use einhorn_core::model::entry::{Assembler, Body, Entry, part_number};
use einhorn_core::model::{Origin, Position, Registry};
use einhorn_ingress::control;
use einhorn_store::ledger::{Options, read_entry, verify};
use einhorn_wire::Name;
use std::collections::BTreeMap;

/// An entry and where it stands; the change in it has one name only.
struct Found {
    at: Position,
    entry: Entry,
}

/// What the logs say of one name.
#[derive(Default)]
struct History {
    found: Vec<Found>,
    /// Logs that another one went on for, and how many entries of them count.
    ends: BTreeMap<Origin, u64>,
    /// Entries read of each log.
    sizes: BTreeMap<Origin, u64>,
    registry: Registry,
}

impl History {
    /// Takes an entry of any log.
    fn take(&mut self, name: &Name, at: Position, entry: Entry) {
        let mut body = entry.body;
        if let Body::Takeover { lost, end, .. } = body {
            self.ends.insert(lost, end);
        }
        // A zone load has many names, of which one matters here.
        body.keep_names(|_, change| change.owner == *name);
        if body.names().next().is_some() {
            self.found.push(Found { at, entry: Entry { time_ms: entry.time_ms, body } });
        }
    }

    fn has_several_logs(&self) -> bool {
        self.sizes.len() > 1
    }

    /// Puts the changes in their order, and checks that none is missing.
    fn order(&mut self) -> Outcome {
        let ends = &self.ends;
        let counts = |at: Position| ends.get(&at.origin).is_none_or(|end| at.index < *end);
        self.found.retain(|found| counts(found.at));
        let sequence =
            |found: &Found| found.entry.body.names().next().map_or(0, |name| name.sequence);
        self.found.sort_by_key(sequence);
        for (expected, found) in (1..).zip(&self.found) {
            let (sequence, at) = (sequence(found), self.place(found.at));
            if sequence == expected {
                continue;
            }
            let before = found.entry.body.names().next().and_then(|name| name.previous);
            // A copy's files are a moment behind what its site decides on.
            if let Some(before) = before.filter(|before| !self.is_read(*before)) {
                return Err(Failure::unreachable(format!(
                    "{at}: change {expected} is in {}, which is not in this folder yet",
                    self.place(before)
                )));
            }
            return Err(Failure::finding(format!(
                "{at}: change {sequence} where {expected} was due"
            )));
        }
        Ok(())
    }

    fn is_read(&self, at: Position) -> bool {
        self.sizes.get(&at.origin).is_some_and(|size| at.index < *size)
    }

    fn log(&self, origin: Origin) -> String {
        let name = self.registry.name_of(origin.site);
        match origin.generation {
            1 => name,
            generation => format!("{name}/{generation}"),
        }
    }

    fn place(&self, at: Position) -> String {
        format!("entry {} of {}", at.index, self.log(at.origin))
    }

    fn print(&self, found: &Found, json: bool) -> Outcome {
        let Found { at, entry } = found;
        let home = entry.body.names().next().map_or(Origin::NONE, |name| name.home);
        if json {
            let mut value = describe::json(at.index, entry);
            if self.has_several_logs() {
                value["log"] = at.origin.to_string().into();
                value["decided_by"] = self.log(at.origin).into();
                value["home"] = self.log(home).into();
            }
            return print(value);
        }
        if self.has_several_logs() {
            print(format_args!(
                "{}, decided by {}, at home at {} from then on",
                self.place(*at),
                self.log(at.origin),
                self.log(home)
            ))?;
        }
        print(describe::text(at.index, entry))
    }
}

/// `einhorn ledger history`.
pub(super) fn history(name: &str, source: &source::Arguments, json: bool) -> Outcome {
    let name: Name = name.parse().map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let mut history = History::default();
    match (source.data.as_deref(), &source.url) {
        (Some(data), None) => {
            let given = source.vkey.as_deref().map(source::parse_vkey).transpose()?;
            let mut logs = Logs::open(data, given)?;
            while let Some(log) = logs.next()? {
                logs.learn(read(&log.ledger, log.origin, &name, &mut history)?);
            }
            if let [first, ..] = &logs.unknown()[..] {
                return Err(Failure::finding(first));
            }
            history.registry = logs.registry;
        }
        _ => {
            let ledger = source.open()?;
            read(&ledger, Origin::NONE, &name, &mut history)?;
        }
    }
    history.order()?;
    history.found.iter().try_for_each(|found| history.print(found, json))?;
    if json {
        return Ok(());
    }
    let size: u64 = history.sizes.values().sum();
    let logs = match history.sizes.len() {
        1 => String::new(),
        count => format!(" of {count} logs"),
    };
    print(format_args!(
        "{} changes of {name}, numbered without a gap, in {size} entries{logs}",
        history.found.len()
    ))
}

/// Reads one log, as [`placed_entries`] does; gives the sites that it names.
fn read(
    ledger: &Ledger,
    origin: Origin,
    name: &Name,
    history: &mut History,
) -> Result<Registries, Failure> {
    let (origin, size, sites) =
        placed_entries(ledger, origin, &mut |at, entry| history.take(name, at, entry))?;
    history.sizes.insert(origin, size);
    Ok(sites)
}

/// `einhorn ledger show`.
pub(super) fn show(place: &str, source: &source::Arguments, json: bool) -> Outcome {
    if let Ok(transaction) = place.parse() {
        return story::show(transaction, source, json);
    }
    let ((last, entry), is_own) = placed(place, source)?;
    if json {
        return print(describe::json(last, &entry));
    }
    print(describe::text(last, &entry))?;
    // Beside the log, on the node itself, as long as it is kept.
    if let Some(data) = source.data.as_ref().filter(|_| is_own)
        && let Ok(client) = ask(data, &control::Command::Audit { index: last })
    {
        print(format_args!("  client {client}"))?;
    }
    Ok(())
}

/// The entry at a place such as `1234` or `berlin:1234`, with its last index.
pub(crate) fn entry_named(
    place: &str,
    source: &source::Arguments,
) -> Result<(u64, Entry), Failure> {
    placed(place, source).map(|(found, _)| found)
}

/// The same, and whether it stands in the own log.
fn placed(place: &str, source: &source::Arguments) -> Result<((u64, Entry), bool), Failure> {
    let usage =
        || Failure::usage(format!("{place}: give an index, or a site and an index: berlin:1234"));
    let (site, index) = match place.rsplit_once(':') {
        Some((site, index)) => (Some(site), index.parse().map_err(|_| usage())?),
        None => (None, place.parse().map_err(|_| usage())?),
    };
    let (ledger, is_own) = match (site, &source.data) {
        (None, _) => (source.open()?, true),
        (Some(site), Some(_)) if source.url.is_none() => log_of(site, source)?,
        (Some(_), _) => {
            return Err(Failure::usage(format!(
                "{place}: a URL is one log; give the index alone, or --data DIR"
            )));
        }
    };
    Ok((entry_at(&ledger, index)?, is_own))
}

/// The log of a site, given as its name or number, with the generation of a later log behind a
/// slash; and whether it is the newest of those that the data folder's own site has.
fn log_of(site: &str, source: &source::Arguments) -> Result<(Ledger, bool), Failure> {
    let data = source.data.as_deref().ok_or_else(|| Failure::usage("give --data DIR"))?;
    let given = source.vkey.as_deref().map(source::parse_vkey).transpose()?;
    let (site, generation) = site.split_once('/').unwrap_or((site, "1"));
    let mut logs = Logs::open(data, given)?;
    let mut read = Vec::new();
    // Names and keys come from entries, which are therefore verified first.
    while let Some(mut log) = logs.next()? {
        let mut sites = Registries::default();
        let report =
            verify(&*log.ledger.files, &log.ledger.key, Options::default(), &mut |_, octets| {
                sites.next(octets);
                if log.origin == Origin::NONE {
                    log.origin = origin_in(octets);
                }
            });
        let findings = findings(&report)?;
        if !findings.is_empty() {
            let name = log.ledger.key.name();
            let lines = findings.join("\n");
            return Err(Failure::finding(format!("the ledger {name} is not sound:\n{lines}")));
        }
        logs.learn(sites);
        read.push(log);
    }
    let number = logs.registry.named(site).map(|(number, _)| number).or(site.parse().ok());
    let wanted = number.zip(generation.parse().ok());
    let found = read.into_iter().find(|log| {
        wanted == Some((log.origin.site, log.origin.generation)) && log.origin != Origin::NONE
    });
    let found = found.ok_or_else(|| {
        Failure::finding(format!("there is no log of a site {site} in {}", data.display()))
    })?;
    Ok((found.ledger, found.is_own))
}

/// The log whose first entry this is.
fn origin_in(octets: &[u8]) -> Origin {
    match Assembler::default().next(octets) {
        Ok(Some(Entry { body: Body::Genesis { origin, .. }, .. })) => origin,
        _ => Origin::NONE,
    }
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
    while part_number(&read(first)?).is_some_and(|part| part > 0) && first > 0 {
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
