//! Host tables: `HOSTS.TXT` of RFC 952 and RFC 810, the HOSTS3 dialect with addresses of other
//! networks, and the older dialect of MIT and Stanford with commas and brackets.
//!
//! Any file decodes: what is no entry is text between entries, and an entry that cannot be read is
//! quarantined. No more than one entry is held, and a line that is far too long to be one is
//! handed on in pieces.

mod address;
mod encode;
mod entry;
mod old;
mod quirks;

pub(crate) use address::internet as internet_address;
pub use encode::encoder;

use crate::codec::{Decode, Format, Refusal};
use crate::item::{Between, Item, Quarantined, Quirk, Sink, Source};
use crate::record::{HostId, Kind, Place, Raw, Record};
use crate::text::Text;
use entry::Context;
use quirks::Names;

/// Octets of an entry, or of a line, at most; longer ones are text between entries.
const ENTRY_OCTETS_MAX: usize = 1 << 20;

/// Reads host tables.
pub struct Decoder {
    source: String,
    /// What has come and is not handed on, beginning at `place`.
    waiting: Vec<u8>,
    place: Place,
    /// Whether `waiting` begins within a line that was too long.
    in_long_line: bool,
    names: Names,
    generation: Option<u64>,
}

/// What a line is, seen alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Entry(Kind),
    Continuation,
    /// A comment, an empty line, `BEGIN:` or `END:`.
    Silent,
    Unknown,
}

impl Decoder {
    /// A decoder; ids are made for `source`.
    pub fn new(source: &str) -> Decoder {
        Decoder {
            source: source.to_owned(),
            waiting: Vec::new(),
            place: Place { line: 1, offset: 0 },
            in_long_line: false,
            names: Names::default(),
            generation: None,
        }
    }

    /// Hands on all that is complete.
    fn scan(&mut self, at_end: bool, sink: &mut dyn Sink) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let Some(taken) = self.next(rest, at_end, sink) else { break };
            let (octets, after) = rest.split_at(taken);
            self.place.offset += taken as u64;
            self.place.line += count_lines(octets);
            rest = after;
        }
        let taken = waiting.len() - rest.len();
        self.waiting = waiting;
        self.waiting.drain(..taken);
    }

    /// Hands on the first piece of `rest`; says how long it was, or `None` if more has to come.
    fn next(&mut self, rest: &[u8], at_end: bool, sink: &mut dyn Sink) -> Option<usize> {
        let Some(first) = line_end(rest, at_end) else {
            if rest.len() < ENTRY_OCTETS_MAX {
                return None;
            }
            self.long_chunk(rest, sink);
            self.in_long_line = true;
            return Some(rest.len());
        };
        if std::mem::take(&mut self.in_long_line) || first > ENTRY_OCTETS_MAX {
            self.long_chunk(&rest[..first], sink);
            return Some(first);
        }
        let line = &rest[..first];
        match line_kind(line) {
            Line::Entry(kind) => {
                let end = entry_end(rest, first, at_end)?;
                self.entry(kind, &rest[..end], sink);
                return Some(end);
            }
            Line::Unknown | Line::Continuation => {
                self.quirks(line, sink);
                quirks::unknown_line(line, self.place, sink);
            }
            Line::Silent => {
                self.quirks(line, sink);
                self.generation = self.generation.or_else(|| version(line));
            }
        }
        self.between(line, sink);
        Some(first)
    }

    fn quirks(&self, octets: &[u8], sink: &mut dyn Sink) {
        quirks::of_lines(octets, self.place, sink);
    }

    fn long_chunk(&self, octets: &[u8], sink: &mut dyn Sink) {
        if !self.in_long_line {
            let code = crate::codes::QuirkCode::LongChunk;
            let Place { line, offset } = self.place;
            sink.quirk(Quirk { code, line, offset, text: quirks::excerpt(octets) });
        }
        self.between(octets, sink);
    }

    fn between(&self, octets: &[u8], sink: &mut dyn Sink) {
        sink.item(Item::Between(Between {
            format: Format::HostsTxt,
            place: self.place,
            octets: octets.into(),
            is_part_of_record: false,
        }));
    }

    fn entry(&mut self, kind: Kind, octets: &[u8], sink: &mut dyn Sink) {
        let place = self.place;
        self.quirks(octets, sink);
        let mut context = Context { octets, place, sink, names: &mut self.names };
        let parsed = entry::parse(kind, &mut context);
        let item = match parsed {
            Ok(parsed) => {
                let id = HostId::first_seen(&self.source, &parsed.key);
                let raw = Raw::new(Format::HostsTxt, octets.into());
                let mut record = Record::read(id, parsed.key, place, parsed.fields, raw);
                record.sidecar = parsed.sidecar;
                Item::Record(Box::new(record))
            }
            Err(fault) => Item::Quarantined(Box::new(Quarantined {
                format: Format::HostsTxt,
                place,
                octets: octets.into(),
                name: fault.name,
                code: fault.code,
                value: Text::from(fault.value),
            })),
        };
        sink.item(item);
    }
}

impl Decode for Decoder {
    fn push(&mut self, octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
        self.waiting.extend_from_slice(octets);
        self.scan(false, sink);
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<Source, Refusal> {
        self.scan(true, sink);
        Ok(Source { generation: self.generation, layout_sha256: None })
    }
}

fn count_lines(octets: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', octets).count() as u64
}

/// Where the first line of `rest` ends, its line end included.
fn line_end(rest: &[u8], at_end: bool) -> Option<usize> {
    let found = memchr::memchr(b'\n', rest).map(|at| at + 1);
    found.or((at_end && !rest.is_empty()).then_some(rest.len()))
}

fn line_kind(line: &[u8]) -> Line {
    // Form feeds and padding may stand before an entry.
    let padding = line.iter().take_while(|octet| matches!(octet, 0x0c | 0 | 0x1a)).count();
    let line = &line[padding..];
    match line.first() {
        None | Some(b';' | b'\n' | b'\r') => return Line::Silent,
        Some(b' ' | b'\t') => {
            return match line.trim_ascii() {
                [] | [b';', ..] => Line::Silent,
                _ => Line::Continuation,
            };
        }
        _ => {}
    }
    let word = line.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(line.len());
    let behind = line.get(word);
    if let Some(kind) = Kind::from_keyword(&line[..word])
        && matches!(behind, Some(b' ' | b'\t' | b':' | b'\r' | b'\n') | None)
    {
        return Line::Entry(kind);
    }
    let is_frame = [b"BEGIN" as &[u8], b"END"].iter().any(|w| line[..word].eq_ignore_ascii_case(w));
    if is_frame && behind == Some(&b':') { Line::Silent } else { Line::Unknown }
}

/// Where the entry ends whose first line ends at `first`; `None` if that cannot be known yet.
fn entry_end(rest: &[u8], first: usize, at_end: bool) -> Option<usize> {
    let has_colons = memchr::memchr(b':', &rest[..first]).is_some();
    let mut end = first;
    while end < ENTRY_OCTETS_MAX {
        let Some(length) = line_end(&rest[end..], at_end) else {
            let too_long = rest.len() - end >= ENTRY_OCTETS_MAX;
            return (at_end || too_long).then_some(end);
        };
        // A line that begins in the middle of something belongs to an entry that is not complete.
        let goes_on = match line_kind(&rest[end..end + length]) {
            Line::Continuation => true,
            Line::Unknown => has_colons && !is_complete(&rest[..end]),
            Line::Entry(_) | Line::Silent => false,
        };
        if !goes_on {
            break;
        }
        end += length;
    }
    Some(end)
}

/// Whether the last line of `entry` ends with a colon, but for a comment.
fn is_complete(entry: &[u8]) -> bool {
    let line = entry.trim_ascii_end().rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
    let text = line.split(|octet| *octet == b';').next().unwrap_or_default();
    text.trim_ascii_end().ends_with(b":")
}

/// The version that a comment such as `;  Version number 983` states.
fn version(line: &[u8]) -> Option<u64> {
    let text = line.trim_ascii_start().strip_prefix(b";")?.trim_ascii();
    let number = text.strip_prefix(b"Version number")?.trim_ascii();
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
