//! One lease.

use crate::codes::FaultCode;
use crate::record::{Address, Field, Fields, Key, Kind, Moment};
use crate::text::Text;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::net::Ipv4Addr;

/// What a lease says.
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    pub(super) key: Key,
    pub(super) fields: Fields,
    pub(super) sidecar: Vec<(Text, Text)>,
}

type Fault<'t> = (FaultCode, &'t [u8]);

/// Reads `lease ADDRESS { STATEMENT; … }`.
pub(super) fn parse(text: &[u8]) -> Result<Lease, Fault<'_>> {
    let bad = (FaultCode::BadRecord, text.trim_ascii());
    let brace = text.iter().position(|octet| *octet == b'{').ok_or(bad)?;
    let head = text[..brace].trim_ascii();
    let written = head.strip_prefix(b"lease").map(<[u8]>::trim_ascii).ok_or(bad)?;
    let address: Option<Ipv4Addr> =
        std::str::from_utf8(written).ok().and_then(|address| address.parse().ok());
    let address = address.ok_or((FaultCode::BadAddress, written))?;
    let body = text[brace + 1..].trim_ascii().strip_suffix(b"}").ok_or(bad)?;
    let mut fields =
        Fields { addresses: Field::Value(vec![Address::V4(address)]), ..Fields::default() };
    let (mut given, mut called, mut sidecar) = (None, None, Vec::new());
    for statement in statements(body) {
        let (word, rest) = first_word(statement);
        match word {
            b"starts" => fields.changed = moment(rest)?,
            b"ends" => fields.expires = moment(rest)?,
            b"binding" if rest.starts_with(b"state") => {
                fields.status = Field::text(rest[b"state".len()..].trim_ascii());
            }
            b"hardware" => fields.hardware = Field::text(rest),
            b"client-hostname" => called = unquoted(rest),
            b"set" if rest.starts_with(b"ddns-fwd-name") => {
                given = rest
                    .iter()
                    .position(|octet| *octet == b'=')
                    .and_then(|equals| unquoted(rest[equals + 1..].trim_ascii()));
                sidecar.push((Text::from(word), Text::from(rest)));
            }
            _ => sidecar.push((Text::from(word), Text::from(rest))),
        }
    }
    let name = given.or(called).unwrap_or_else(|| Text::from(address.to_string()));
    Ok(Lease { address, key: Key { kind: Kind::Host, name }, fields, sidecar })
}

fn first_word(statement: &[u8]) -> (&[u8], &[u8]) {
    let end = statement.iter().position(u8::is_ascii_whitespace).unwrap_or(statement.len());
    (&statement[..end], statement[end..].trim_ascii())
}

/// The statements between semicolons outside quotes and braces, trimmed.
fn statements(body: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut from, mut depth, mut is_quoted, mut at) = (Vec::new(), 0, 0u32, false, 0);
    while let Some(octet) = body.get(at) {
        match octet {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            // A comment goes to the end of its line; one inside a statement stays in it.
            b'#' => {
                let end = body[at..].iter().position(|octet| *octet == b'\n');
                let is_first = body[from..at].trim_ascii().is_empty();
                at += end.unwrap_or(body.len() - at);
                if is_first {
                    from = at.min(body.len());
                }
            }
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => {
                found.push(body[from..at].trim_ascii());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(body[from.min(body.len())..].trim_ascii());
    found.retain(|statement| !statement.is_empty());
    found
}

/// Text in quotes; a backslash takes three octal digits or the next octet (dhcpd.leases(5)).
fn unquoted(text: &[u8]) -> Option<Text> {
    let mut rest = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut octets = Vec::new();
    loop {
        rest = match rest {
            [] => break,
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                octets.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            [b'\\', octet, tail @ ..] | [octet, tail @ ..] => {
                octets.push(*octet);
                tail
            }
        };
    }
    (!octets.is_empty()).then(|| octets.into())
}

/// `WEEKDAY YYYY/MM/DD HH:MM:SS` in UTC, `epoch SECONDS`, or `never`. The weekday is not looked
/// at: dhcpd does not either.
fn moment(text: &[u8]) -> Result<Field<Moment>, Fault<'_>> {
    let bad = (FaultCode::BadDate, text);
    let words = std::str::from_utf8(text).map_err(|_| bad)?;
    let mut words = words.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let seconds = match (words.next(), words.next(), words.next()) {
        (Some("never"), None, None) => return Ok(Field::Value(Moment::Never)),
        (Some("epoch"), Some(seconds), None) => seconds.parse().map_err(|_| bad)?,
        (Some(_), Some(date), Some(time)) => {
            let text = format!("{date} {time}");
            let civil = DateTime::strptime("%Y/%m/%d %H:%M:%S", text).map_err(|_| bad)?;
            civil.to_zoned(TimeZone::UTC).map_err(|_| bad)?.timestamp().as_second()
        }
        _ => return Err(bad),
    };
    Ok(Field::Value(Moment::At(seconds)))
}
