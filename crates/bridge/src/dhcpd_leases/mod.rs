//! The lease file of ISC dhcpd (dhcpd.leases(5)): a log in which the last lease of an address
//! counts. Times in it are UTC.
//!
//! A lease is named by the DNS name that the server gave it, else by what the client called
//! itself, else by its address.

mod encode;
mod lease;

pub use encode::encoder;

use crate::codec::{Decode, Format, Options, Whole};
use crate::codes::{FaultCode, QuirkCode};
use crate::item::{Between, Item, Quarantined, Sink, Source};
use crate::lines::quirk;
use crate::record::{HostId, Place, Raw, Record};
use std::collections::HashMap;

const FORMAT: Format = Format::DhcpdLeases;

/// A decoder.
pub fn decoder(options: &Options) -> Box<dyn Decode> {
    let source = options.source.clone();
    Box::new(Whole::new(move |octets: &[u8], sink: &mut dyn Sink| {
        decode(&source, octets, sink);
        Ok(Source::default())
    }))
}

fn decode(source: &str, octets: &[u8], sink: &mut dyn Sink) {
    let statements: Vec<_> = statements(octets).collect();
    let is_lease = |text: &[u8]| text.trim_ascii_start().starts_with(b"lease");
    let parsed: Vec<_> =
        statements.iter().map(|(_, text)| is_lease(text).then(|| lease::parse(text))).collect();
    let mut last = HashMap::new();
    for (number, parsed) in parsed.iter().enumerate() {
        if let Some(Ok(lease)) = parsed {
            last.insert(lease.address, number);
        }
    }
    for (number, ((place, text), parsed)) in statements.into_iter().zip(parsed).enumerate() {
        let between = |is_part_of_record| {
            let octets = text.into();
            Item::Between(Between { format: FORMAT, place, octets, is_part_of_record })
        };
        let item = match parsed {
            None => {
                if is_declaration(text) {
                    sink.quirk(quirk(QuirkCode::UnknownLine, place, text));
                }
                between(false)
            }
            Some(Ok(lease)) if last.get(&lease.address) != Some(&number) => {
                sink.quirk(quirk(QuirkCode::Superseded, place, text));
                between(true)
            }
            Some(Ok(lease)) => {
                let id = HostId::first_seen(source, &lease.key);
                let raw = Raw::new(FORMAT, text.into());
                let mut record = Record::read(id, lease.key, place, lease.fields, raw);
                record.sidecar = lease.sidecar;
                Item::Record(Box::new(record))
            }
            Some(Err((code, value))) => fault(place, text, code, value),
        };
        sink.item(item);
    }
}

fn fault(place: Place, text: &[u8], code: FaultCode, value: &[u8]) -> Item {
    let (octets, value) = (text.into(), value.into());
    Item::Quarantined(Box::new(Quarantined {
        format: FORMAT,
        place,
        octets,
        name: None,
        code,
        value,
    }))
}

/// Whether the text between leases declares something that is not read, such as leases of IPv6.
fn is_declaration(text: &[u8]) -> bool {
    let known: [&[u8]; 3] = [b"authoring-byte-order", b"server-duid", b"#"];
    let text = text.trim_ascii();
    !text.is_empty() && !known.iter().any(|word| text.starts_with(word))
}

/// The statements of the file with the line ends behind them, with their places.
fn statements(octets: &[u8]) -> impl Iterator<Item = (Place, &[u8])> {
    let (mut at, mut line) = (0, 1);
    std::iter::from_fn(move || {
        let rest = octets.get(at..).filter(|rest| !rest.is_empty())?;
        let (text, place) = (&rest[..end_of(rest)], Place { line, offset: at as u64 });
        at += text.len();
        line += text.iter().filter(|octet| **octet == b'\n').count() as u64;
        Some((place, text))
    })
}

/// Where the first statement ends: behind its semicolon or closing brace, outside quotes, and the
/// rest of that line if that is blank. A comment or blank line stands alone.
fn end_of(rest: &[u8]) -> usize {
    let line = rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |at| at + 1);
    if matches!(rest[..line].trim_ascii(), [] | [b'#', ..]) {
        return line;
    }
    let (mut depth, mut is_quoted, mut at) = (0u32, false, 0);
    while let Some(octet) = rest.get(at) {
        at += 1;
        match octet {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'#' => {
                at +=
                    rest[at..].iter().position(|octet| *octet == b'\n').unwrap_or(rest.len() - at);
            }
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !is_quoted && matches!(octet, b'}' | b';') {
            break;
        }
    }
    let at = at.min(rest.len());
    let line =
        rest[at..].iter().position(|octet| *octet == b'\n').map_or(rest.len() - at, |n| n + 1);
    if rest[at..at + line].trim_ascii().is_empty() { at + line } else { at }
}

#[cfg(test)]
mod tests;
