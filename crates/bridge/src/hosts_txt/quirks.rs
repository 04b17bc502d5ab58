//! What is odd in lines and names.

use crate::codes::QuirkCode;
use crate::item::{Quirk, Sink};
use crate::names::{ByHash, name_hash};
use crate::record::{Kind, Place};
use std::collections::HashSet;

/// Columns of a line (RFC 952 wants them to fit on a terminal).
const COLUMNS_MAX: usize = 80;
/// Characters of a name (RFC 952).
const NAME_OCTETS_MAX: usize = 24;
/// Octets that a quirk shows.
const EXCERPT_OCTETS: usize = 80;

/// The first octets, as UTF-8.
pub(super) fn excerpt(octets: &[u8]) -> String {
    let octets = octets.trim_ascii_end();
    String::from_utf8_lossy(&octets[..octets.len().min(EXCERPT_OCTETS)]).into_owned()
}

pub(super) fn unknown_line(line: &[u8], place: Place, sink: &mut dyn Sink) {
    let Place { line: number, offset } = place;
    // Padding alone is reported as such.
    if line.iter().any(u8::is_ascii_graphic) {
        let code = QuirkCode::UnknownLine;
        sink.quirk(Quirk { code, line: number, offset, text: excerpt(line) });
    }
}

/// What is odd in the octets of whole lines, the first of which is at `place`: each oddity once a
/// line, at its first octet.
pub(super) fn of_lines(octets: &[u8], place: Place, sink: &mut dyn Sink) {
    let mut offset = place.offset;
    let ends = memchr::memchr_iter(b'\n', octets).map(|at| at + 1).chain([octets.len()]);
    let mut begin = 0;
    for (number, end) in (place.line..).zip(ends) {
        if end > begin {
            of_line(&octets[begin..end], number, offset, sink);
            offset += (end - begin) as u64;
            begin = end;
        }
    }
}

fn of_line(line: &[u8], number: u64, offset: u64, sink: &mut dyn Sink) {
    let mut quirk = |code, at: usize, octets: &[u8]| {
        let offset = offset + at as u64;
        sink.quirk(Quirk { code, line: number, offset, text: excerpt(octets) });
    };
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    if text.len() > COLUMNS_MAX {
        quirk(QuirkCode::LongLine, COLUMNS_MAX, &text[COLUMNS_MAX..]);
    }
    if text.len() == line.len() {
        quirk(QuirkCode::NoFinalNewline, line.len(), b"");
    }
    let odd = |octet: &u8| (octet.wrapping_sub(b' ') > b'~' - b' ') & (*octet != b'\t');
    // Without an early end, which lines hardly ever have, the compiler looks at many at a time.
    if text.iter().fold(0, |any, octet| any | u8::from(odd(octet))) == 0 {
        return;
    }
    let mut seen = Vec::new();
    for (at, octet) in text.iter().enumerate().filter(|(_, octet)| odd(octet)) {
        let code = match octet {
            0 => QuirkCode::Nul,
            0x0c => QuirkCode::FormFeed,
            b'\r' => QuirkCode::CarriageReturn,
            0x1a => QuirkCode::ControlZ,
            0x80.. => QuirkCode::NotAscii,
            _ => QuirkCode::ControlCharacter,
        };
        if !seen.contains(&code) {
            seen.push(code);
            quirk(code, at, &text[at..]);
        }
    }
}

/// What is odd in a name by itself.
pub(super) fn of_name(name: &[u8]) -> impl Iterator<Item = QuirkCode> {
    let is_long = name.len() > NAME_OCTETS_MAX;
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.');
    let (mut is_lower, mut is_odd) = (false, false);
    for octet in name {
        is_lower |= octet.is_ascii_lowercase();
        is_odd |= !is_plain(octet);
    }
    [(is_long, QuirkCode::LongName), (is_lower, QuirkCode::LowerCase), (is_odd, QuirkCode::OddName)]
        .into_iter()
        .filter_map(|(is, code)| is.then_some(code))
}

/// The names that were seen, as hashes: networks, domains, and the hosts with the gateways.
#[derive(Default)]
pub(super) struct Names {
    hashes: HashSet<u64, ByHash>,
    old_dialect: bool,
}

impl Names {
    /// Whether the name was seen before; it is now.
    pub(super) fn see(&mut self, kind: Kind, name: &[u8]) -> bool {
        !self.hashes.insert(name_hash(kind, name))
    }

    /// Whether no entry of the old dialect came before; now one did.
    pub(super) fn is_first_of_old_dialect(&mut self) -> bool {
        !std::mem::replace(&mut self.old_dialect, true)
    }
}
