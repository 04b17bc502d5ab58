//! What came of a conversion.

use crate::codec::Format;
use crate::codes::FaultCode;
use crate::item::{Loss, Quarantined, Quirk};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What came of a conversion, as `--report` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Format of the input.
    pub from: &'static str,
    /// Format of the output.
    pub to: &'static str,
    /// Of the input, in hexadecimal digits.
    pub sha256: String,
    /// Size of the input.
    pub octets_read: u64,
    /// Size of the output.
    pub octets_written: u64,
    /// Version or generation that the input states.
    pub generation: Option<u64>,
    /// Entries of the input: records and quarantined ones.
    pub entries: u64,
    /// Entries that were understood.
    pub records: u64,
    /// Records that are in the output.
    pub records_written: u64,
    /// Numbers of everything below, by code.
    pub counts: Counts,
    /// What was odd, in the order of the input.
    pub quirks: Vec<Quirk>,
    /// What is not in the output.
    pub losses: Vec<Loss>,
    /// Entries that were not understood.
    pub quarantined: Vec<QuarantinedEntry>,
}

/// How many of what there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Quirks by code.
    pub quirks: BTreeMap<&'static str, u64>,
    /// Losses by code.
    pub losses: BTreeMap<&'static str, u64>,
    /// Quarantined entries by code.
    pub quarantined: BTreeMap<&'static str, u64>,
}

/// An entry that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedEntry {
    /// Why.
    pub code: FaultCode,
    /// Where it begins, from 1.
    pub line: u64,
    /// Where it begins, from the beginning of the file in octets.
    pub offset: u64,
    /// Its name, as far as it could be read.
    pub record: Option<String>,
    /// The part that is wrong.
    pub value: String,
    /// The whole entry.
    pub text: String,
}

impl From<&Quarantined> for QuarantinedEntry {
    fn from(entry: &Quarantined) -> QuarantinedEntry {
        QuarantinedEntry {
            code: entry.code,
            line: entry.place.line,
            offset: entry.place.offset,
            record: entry.name.as_ref().map(ToString::to_string),
            value: entry.value.to_string(),
            text: entry.octets.to_string(),
        }
    }
}

impl Report {
    pub(crate) fn new(from: Format, to: Format) -> Report {
        Report {
            from: from.name(),
            to: to.name(),
            sha256: String::new(),
            octets_read: 0,
            octets_written: 0,
            generation: None,
            entries: 0,
            records: 0,
            records_written: 0,
            counts: Counts::default(),
            quirks: Vec::new(),
            losses: Vec::new(),
            quarantined: Vec::new(),
        }
    }

    /// Counts, and puts the quirks in order.
    pub(crate) fn settle(&mut self) {
        self.quirks.sort_by_key(|quirk| quirk.offset);
        self.entries = self.records + self.quarantined.len() as u64;
        for quirk in &self.quirks {
            *self.counts.quirks.entry(quirk.code.code()).or_default() += 1;
        }
        for loss in &self.losses {
            *self.counts.losses.entry(loss.code.code()).or_default() += 1;
        }
        for entry in &self.quarantined {
            *self.counts.quarantined.entry(entry.code.code()).or_default() += 1;
        }
    }
}

impl fmt::Display for Report {
    /// The summary that commands print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} to {}: {} entries, {} understood, {} quarantined, {} written",
            self.from,
            self.to,
            self.entries,
            self.records,
            self.quarantined.len(),
            self.records_written
        )?;
        let lines = [
            ("quirks", self.quirks.len(), &self.counts.quirks),
            ("losses", self.losses.len(), &self.counts.losses),
            ("quarantined", self.quarantined.len(), &self.counts.quarantined),
        ];
        for (what, total, by_code) in lines {
            write!(f, "{what}: {total}")?;
            for (n, (code, count)) in by_code.iter().enumerate() {
                write!(f, "{}{code} {count}", if n == 0 { " (" } else { ", " })?;
            }
            writeln!(f, "{}", if by_code.is_empty() { "" } else { ")" })?;
        }
        for entry in &self.quarantined {
            let value = entry.value.escape_debug();
            writeln!(f, "line {}: {}: {value}", entry.line, entry.code.meaning())?;
        }
        Ok(())
    }
}
