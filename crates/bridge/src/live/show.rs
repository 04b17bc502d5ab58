//! What people see of a plan and of an apply.

use super::file::Read;
use super::image::Placing;
use super::plan::Planned;
use super::steps::{Frozen, Work};
use crate::codec::Format;
use crate::codes::LossCode;
use crate::held::{declare_unheld, shown};
use crate::item::{Loss, Output};
use crate::merge::{Entry, What};
use crate::record::{Address, FieldName, Key, Kind, Record};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Things of one sort that a summary lists; more are only counted.
const LISTED_MAX: usize = 50;
/// Characters of a listed thing.
const LISTED_CHARACTERS_MAX: usize = 160;

/// How an apply went, or would go. The ledger keeps the last one of each source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The file.
    pub file: String,
    /// Its generation.
    pub generation: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// The plan's hash, in hexadecimal digits.
    pub plan: String,
    /// Hosts that it added.
    pub added: usize,
    /// Hosts that it changed.
    pub updated: usize,
    /// Hosts that it gave another name.
    pub renamed: usize,
    /// Hosts that it deleted.
    pub deleted: usize,
    /// Hosts that were missing, and are kept for now.
    pub missing: usize,
    /// Hosts for which nothing happened.
    pub unchanged: usize,
    /// Hosts that are frozen.
    pub conflicts: usize,
    /// The first of them.
    pub conflicts_listed: Vec<String>,
    /// Entries that could not be understood.
    pub quarantined: usize,
    /// The first of them.
    pub quarantined_listed: Vec<String>,
    /// Numbers of quirks by code.
    pub quirks: BTreeMap<String, u64>,
    /// What of the added and changed hosts the zone does not hold: numbers by code.
    pub losses: BTreeMap<String, u64>,
    /// Why a guard holds the plan.
    pub holds: Vec<String>,
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn cut(text: String) -> String {
    text.chars().take(LISTED_CHARACTERS_MAX).collect()
}

impl Summary {
    pub(super) fn new(file: &str, planned: &Planned, read: &Read, work: &Work) -> Summary {
        let merge = &planned.plan.merge;
        let count = |is: fn(&What) -> bool| merge.outcomes.iter().filter(|o| is(&o.what)).count();
        let blocked = blocked(planned, work).count();
        let listed = read.quarantined.iter().take(LISTED_MAX).map(|entry| {
            let text = entry.text.escape_debug();
            cut(format!("line {}: {}: {text}", entry.line, entry.code.meaning()))
        });
        Summary {
            file: file.to_owned(),
            generation: planned.file.generation,
            sha256: hex(&read.sha256),
            plan: hex(&planned.plan.hash),
            added: count(|what| matches!(what, What::Added)),
            updated: count(|what| matches!(what, What::Updated)),
            renamed: count(|what| matches!(what, What::Renamed(_))),
            deleted: count(|what| matches!(what, What::Deleted)),
            missing: count(|what| matches!(what, What::Missing(_))),
            unchanged: merge.unchanged,
            conflicts: count(|what| matches!(what, What::Conflict(_)))
                + blocked
                + planned.refused.len(),
            conflicts_listed: Vec::new(),
            quarantined: read.quarantined_keys.len(),
            quarantined_listed: listed.collect(),
            quirks: read.quirks.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect(),
            losses: BTreeMap::new(),
            holds: planned.plan.holds.iter().map(ToString::to_string).collect(),
        }
    }

    /// As the ledger keeps it.
    pub fn to_json(&self) -> String {
        // Maps with text keys and plain fields always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what the ledger keeps.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<Summary, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Records that the merge took, and the zone cannot.
fn blocked<'w>(planned: &Planned, work: &'w Work) -> impl Iterator<Item = &'w Frozen> {
    let outcomes = planned.plan.merge.outcomes.iter();
    let conflicts = outcomes.filter(|one| matches!(one.what, What::Conflict(_)));
    let refused = planned.refused.iter().map(|refused| refused.key.clone());
    let known: HashSet<Key> = conflicts.map(|one| one.key.clone()).chain(refused).collect();
    work.frozen.iter().filter(move |frozen| !known.contains(&frozen.key))
}

/// A record in one line.
pub(super) fn entry(entry: &Entry) -> String {
    let mut text = format!("{} {}", entry.key.kind.keyword(), entry.key.name);
    for (field, value) in shown(&entry.fields) {
        text.push_str(&match value {
            Ok(value) => format!(" {}={value}", field.name()),
            Err(code) => format!(" {}=({code})", field.name()),
        });
    }
    text
}

/// What a plan would do, a line each, losses included; counts them in the summary.
pub(super) fn lines(
    placing: &Placing,
    planned: &Planned,
    work: &Work,
    summary: &mut Summary,
) -> Vec<String> {
    let merge = &planned.plan.merge;
    let mut lines = Vec::new();
    for outcome in &merge.outcomes {
        let after = merge.merged.get(&outcome.key);
        let name = format!("{} {}", outcome.key.kind.keyword(), outcome.key.name);
        match (&outcome.what, after, &outcome.ours) {
            (What::Added, Some(after), _) => lines.push(format!("+ {}", entry(after))),
            (What::Updated, Some(after), Some(before)) => {
                lines.push(format!("~ {name}:{}", differences(before, after)));
            }
            (What::Renamed(old), Some(after), Some(before)) => {
                let differences = differences(before, after);
                lines.push(format!("> {name}, once {}{differences}", old.name));
            }
            (What::Deleted, ..) => lines.push(format!("- {name}")),
            (What::Missing(times), ..) => {
                lines.push(format!("? {name} is missing, for {times} generations now"));
            }
            (What::Quarantined, ..) => lines.push(format!("? {name} is quarantined, and kept")),
            (What::Conflict(conflict), ..) => {
                let line = format!("{name}: {}", conflict.code());
                if summary.conflicts_listed.len() < LISTED_MAX {
                    summary.conflicts_listed.push(cut(line.clone()));
                }
                lines.push(format!("! {line}"));
            }
            _ => {}
        }
        let is_new = matches!(outcome.what, What::Added | What::Updated | What::Renamed(_));
        if let Some(after) = after.filter(|_| is_new) {
            for loss in losses(placing, after) {
                *summary.losses.entry(loss.code.code().to_owned()).or_default() += 1;
                let (field, value) = (loss.field.name(), loss.value);
                lines.push(format!("  not in the zone ({}): {field} {value}", loss.code));
            }
        }
    }
    let blocked = blocked(planned, work).map(|frozen| (&frozen.key, frozen.conflict.as_str()));
    let refused = planned.refused.iter().map(|refused| (&refused.key, refused.conflict.code()));
    for (key, conflict) in blocked.chain(refused) {
        let line = format!("{} {}: {conflict}", key.kind.keyword(), key.name);
        if summary.conflicts_listed.len() < LISTED_MAX {
            summary.conflicts_listed.push(cut(line.clone()));
        }
        lines.push(format!("! {line}"));
    }
    lines
}

/// The fields that differ, before and after.
fn differences(before: &Entry, after: &Entry) -> String {
    let text = |entry: &Entry| -> BTreeMap<&'static str, String> {
        let shown = shown(&entry.fields).into_iter();
        shown
            .map(|(field, value)| (field.name(), value.unwrap_or_else(|code| format!("({code})"))))
            .collect()
    };
    let (before, after) = (text(before), text(after));
    let mut names: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let differing = names.into_iter().filter(|name| before.get(name) != after.get(name));
    let none = String::new();
    let line = |name| {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        format!(" {name} {old} -> {new}")
    };
    differing.map(line).collect::<Vec<_>>().join(",")
}

/// What of a record the zone does not hold.
pub fn losses(placing: &Placing, entry: &Entry) -> Vec<Loss> {
    let mut out = Output::default();
    let record = Record::new(entry.id, entry.key.clone(), entry.fields.clone());
    let name = &entry.key.name;
    let image = placing.image(entry);
    if image.owner.is_none() {
        let code = match (placing.owner(name), entry.key.kind) {
            (_, Kind::Domain) => LossCode::KindNotHeld,
            (None, _) => LossCode::NameNotHeld,
            (Some(owner), _) if owner == placing.zone => LossCode::NameNotHeld,
            _ => LossCode::NoAddress,
        };
        out.lose(code, name, FieldName::Name, name);
        return out.losses;
    }
    declare_unheld(Format::Zone, &record, &mut out);
    for address in entry.fields.addresses.elements() {
        if matches!(address, Address::Foreign(_)) {
            out.lose(LossCode::AddressNotHeld, name, FieldName::Addresses, address);
        }
    }
    for nickname in entry.fields.nicknames.elements() {
        if !placing.owner(nickname).is_some_and(|alias| image.aliases.contains(&alias)) {
            out.lose(LossCode::ValueNotHeld, name, FieldName::Nicknames, nickname);
        }
    }
    out.losses
}
