//! Writing leases. A record without an end becomes a lease that never ends.

use super::FORMAT;
use crate::codec::{Each, Encode};
use crate::codes::LossCode;
use crate::held::{declare_unheld, is_address};
use crate::item::Output;
use crate::record::{Address, Field, FieldName, Kind, Moment, Record};
use crate::text::Text;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The first second of the year 1, since 1970.
const YEAR_1_BEGINS: i64 = -62_135_596_800;

/// Writes leases: one for each IPv4 address of a host.
pub fn encoder() -> Box<dyn Encode> {
    Box::new(Each::new(FORMAT, write))
}

fn write(record: &Record, out: &mut Output) {
    let (name, fields) = (&record.key.name, record.fields());
    match record.key.kind {
        Kind::Host => {}
        Kind::Gateway => out.lose(LossCode::ValueNotHeld, name, FieldName::Name, "GATEWAY"),
        kind => {
            out.lose(LossCode::KindNotHeld, name, FieldName::Name, kind.keyword());
            return;
        }
    }
    let addresses = fields.addresses.elements();
    if !addresses.iter().any(|address| matches!(address, Address::V4(_))) {
        out.lose(LossCode::NoAddress, name, FieldName::Name, name);
        return;
    }
    declare_unheld(FORMAT, record, out);
    let body = body(record, out);
    for address in addresses {
        match address {
            Address::V4(v4) => {
                out.octets.extend_from_slice(format!("lease {v4} {{\n").as_bytes());
                out.octets.extend_from_slice(&body);
                out.octets.extend_from_slice(b"}\n");
            }
            other => out.lose(LossCode::AddressNotHeld, name, FieldName::Addresses, other),
        }
    }
    out.records_written += 1;
}

fn body(record: &Record, out: &mut Output) -> Vec<u8> {
    let (name, fields) = (&record.key.name, record.fields());
    let mut body = Vec::new();
    let mut times = vec![("starts", FieldName::Changed, fields.changed.value().copied())];
    let expires = fields.expires.value().copied().unwrap_or(Moment::Never);
    times.push(("ends", FieldName::Expires, Some(expires)));
    for (word, field, moment) in times {
        match moment.map(|moment| (moment, written(moment))) {
            None => {}
            Some((_, Some(text))) => {
                body.extend_from_slice(format!("  {word} {text};\n").as_bytes());
            }
            Some((moment, None)) => {
                let value = crate::held::moment(&moment);
                out.lose(LossCode::ValueNotHeld, name, field, value);
            }
        }
    }
    let active = Field::text(b"active");
    let status = if fields.status.is_unset() { &active } else { &fields.status };
    for (words, field, value) in [
        (&b"binding state"[..], FieldName::Status, status),
        (b"hardware", FieldName::Hardware, &fields.hardware),
    ] {
        match value.value() {
            Some(text) if is_bare(text) => statement(&mut body, words, text.octets()),
            Some(text) => out.lose(LossCode::ValueNotHeld, name, field, text),
            None => {}
        }
    }
    let mut is_named = false;
    for (word, rest) in &record.sidecar {
        let given = rest.octets().strip_prefix(b"ddns-fwd-name").unwrap_or_default();
        is_named |= word.octets() == b"set" && given.ends_with(&quoted(name));
        if is_bare(word) && is_balanced(rest) {
            statement(&mut body, word.octets(), rest.octets());
        } else {
            let value = format!("{word} {rest}");
            out.lose(LossCode::SidecarNotHeld, name, FieldName::Sidecar, value);
        }
    }
    if !is_named && !is_address(name.octets()) {
        statement(&mut body, b"client-hostname", &quoted(name));
    }
    body
}

fn statement(body: &mut Vec<u8>, words: &[u8], rest: &[u8]) {
    body.extend_from_slice(b"  ");
    body.extend_from_slice(words);
    if !rest.is_empty() {
        body.push(b' ');
        body.extend_from_slice(rest);
    }
    body.extend_from_slice(b";\n");
}

/// Whether text can stand in a statement without quotes.
fn is_bare(text: &Text) -> bool {
    let is_plain = |octet: &u8| {
        matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b';' | b'{' | b'}' | b'#' | b'\\')
    };
    !text.is_empty()
        && text.octets().iter().all(is_plain)
        && text.octets().trim_ascii() == text.octets()
}

/// Whether a statement's rest ends where it should.
fn is_balanced(text: &Text) -> bool {
    let (mut is_quoted, mut octets) = (false, text.octets().iter());
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if is_quoted => drop(octets.next()),
            b'"' => is_quoted = !is_quoted,
            b';' | b'{' | b'}' | b'#' if !is_quoted => return false,
            _ => {}
        }
    }
    !is_quoted
}

fn quoted(text: &Text) -> Vec<u8> {
    let mut octets = vec![b'"'];
    for octet in text.octets() {
        match octet {
            b'"' | b'\\' => octets.extend([b'\\', *octet]),
            b' '..=b'~' => octets.push(*octet),
            _ => octets.extend_from_slice(format!("\\{octet:03o}").as_bytes()),
        }
    }
    octets.push(b'"');
    octets
}

fn written(moment: Moment) -> Option<String> {
    match moment {
        Moment::Never => Some("never".to_owned()),
        // Years of more or fewer than four digits would not be read back.
        Moment::At(seconds) if seconds < YEAR_1_BEGINS => None,
        Moment::At(seconds) => {
            let time = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
            Some(time.strftime("%w %Y/%m/%d %H:%M:%S").to_string())
        }
    }
}
