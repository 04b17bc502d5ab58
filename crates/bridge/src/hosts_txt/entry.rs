//! One entry: fields between colons (RFC 952).

use super::quirks::{Names, excerpt, of_name};
use super::{address, old};
use crate::codes::{FaultCode, QuirkCode};
use crate::item::{Quirk, Sink};
use crate::record::{Address, Field, Fields, Key, Kind, Place};
use crate::text::Text;
use std::borrow::Cow;

/// More addresses or names than a fixed table of a program of the time had.
const ELEMENTS_USUAL: usize = 8;

/// Parts between colons that an entry of a host has, the empty one behind the last included.
const PARTS_USUAL: usize = 6;

/// An entry that is being read, and where its quirks go.
pub(super) struct Context<'e> {
    pub(super) octets: &'e [u8],
    pub(super) place: Place,
    pub(super) sink: &'e mut dyn Sink,
    pub(super) names: &'e mut Names,
}

/// What an entry says.
pub(super) struct Parsed {
    pub(super) key: Key,
    pub(super) fields: Fields,
    pub(super) sidecar: Vec<(Text, Text)>,
}

/// Why an entry is quarantined.
pub(super) struct Fault<'e> {
    pub(super) code: FaultCode,
    pub(super) value: &'e [u8],
    pub(super) name: Option<Text>,
}

impl Context<'_> {
    /// Reports what is odd about `part`, which is `at` octets into the entry.
    pub(super) fn quirk(&mut self, code: QuirkCode, at: usize, part: &[u8]) {
        let before = &self.octets[..at.min(self.octets.len())];
        let line = self.place.line + super::count_lines(before);
        let offset = self.place.offset + at as u64;
        self.sink.quirk(Quirk { code, line, offset, text: excerpt(part) });
    }

    /// The name with its nicknames, with quirks.
    pub(super) fn names<'t>(
        &mut self,
        kind: Kind,
        elements: impl Iterator<Item = (usize, &'t [u8])>,
    ) -> Option<(Key, Vec<Text>)> {
        let (mut key, mut nicknames) = (None, Vec::new());
        for (at, name) in elements {
            for code in of_name(name) {
                self.quirk(code, at, name);
            }
            if self.names.see(kind, name) {
                self.quirk(QuirkCode::DuplicateName, at, name);
            }
            if key.is_none() {
                key = Some(Key { kind, name: name.into() });
                continue;
            }
            nicknames.push(Text::from(name));
            if nicknames.len() == ELEMENTS_USUAL {
                self.quirk(QuirkCode::ManyNames, at, name);
            }
        }
        key.map(|key| (key, nicknames))
    }
}

/// Reads an entry.
pub(super) fn parse<'e>(kind: Kind, context: &mut Context<'e>) -> Result<Parsed, Fault<'e>> {
    let octets = context.octets;
    let text = without_comments(context);
    let keyword = text.iter().position(u8::is_ascii_alphabetic).unwrap_or_default();
    let begin = keyword + kind.keyword().len();
    if text[begin..].trim_ascii_start().first() != Some(&b':') {
        return old::parse(kind, &text, begin, context);
    }
    let mut parts = Vec::with_capacity(PARTS_USUAL);
    parts.extend(split(&text, begin, b':').skip(1));
    match parts.last() {
        Some((_, [])) => drop(parts.pop()),
        Some((at, part)) => context.quirk(QuirkCode::NoFinalColon, at + part.len(), part),
        None => {}
    }
    let fault = |code, at: usize, part: &[u8], name: Option<&Key>| Fault {
        code,
        value: &octets[at..at + part.len()],
        name: name.map(|key| key.name.clone()),
    };
    // A domain may have no field of addresses.
    if kind == Kind::Domain && parts.first().is_some_and(|(_, part)| is_name(part)) {
        parts.insert(0, (begin, &[]));
    }
    let (names_at, names) = parts.get(1).copied().unwrap_or_default();
    let elements = list(names, names_at, context);
    let named = context.names(kind, elements);
    let key = named.as_ref().map(|(key, _)| key);
    let (at, listed) = parts.first().copied().unwrap_or_default();
    let addresses =
        addresses(listed, at, context).map_err(|(code, at, part)| fault(code, at, part, key))?;
    let Some((key, nicknames)) = named else {
        let broken = parts.len() < 2;
        let code = if broken { FaultCode::BrokenEntry } else { FaultCode::NoName };
        return Err(fault(code, begin.min(octets.len()), &[], None));
    };
    let fields = Fields {
        addresses: Field::list(addresses),
        nicknames: Field::list(nicknames),
        ..Fields::default()
    };
    Ok(rest(Parsed { key, fields, sidecar: Vec::new() }, &parts[2..], context))
}

/// Takes the fields behind the names.
fn rest(mut parsed: Parsed, parts: &[(usize, &[u8])], context: &mut Context<'_>) -> Parsed {
    let expected = if matches!(parsed.key.kind, Kind::Host | Kind::Gateway) { 3 } else { 0 };
    if parts.len() < expected {
        let end = context.octets.trim_ascii_end().len();
        context.quirk(QuirkCode::MissingFields, end, b"");
    }
    for (number, (at, part)) in parts.iter().enumerate() {
        match number {
            0 => parsed.fields.machine = Field::text(part),
            1 => parsed.fields.system = Field::text(part),
            2 => {
                let protocols = list(part, *at, context).map(|(_, name)| name.into()).collect();
                parsed.fields.protocols = Field::list(protocols);
            }
            _ => {
                context.quirk(QuirkCode::ExtraFields, *at, part);
                parsed.sidecar.push((format!("field {}", number + 3).into(), Text::from(*part)));
            }
        }
    }
    parsed
}

/// The entry with comments and line ends as blanks, so that offsets stay.
fn without_comments<'e>(context: &mut Context<'e>) -> Cow<'e, [u8]> {
    let octets = context.octets;
    let body = octets.strip_suffix(b"\n").unwrap_or(octets);
    let is_blank = |octet: &u8| (*octet < b' ') | (*octet == b';');
    if body.iter().fold(0, |any, octet| any | u8::from(is_blank(octet))) == 0 {
        return Cow::Borrowed(body);
    }
    let mut text = octets.to_vec();
    let (mut in_comment, mut comments) = (false, Vec::new());
    for (at, octet) in text.iter_mut().enumerate() {
        match octet {
            b'\n' => in_comment = false,
            b';' if !in_comment => {
                in_comment = true;
                comments.push(at);
            }
            _ => {}
        }
        if in_comment || *octet < b' ' {
            *octet = b' ';
        }
    }
    for at in comments {
        let comment = octets[at..].split(|octet| *octet == b'\n').next().unwrap_or_default();
        context.quirk(QuirkCode::TrailingComment, at, comment);
    }
    Cow::Owned(text)
}

fn is_name(part: &[u8]) -> bool {
    part.iter().any(u8::is_ascii_alphabetic) && address::foreign(part).is_none()
}

/// The trimmed parts of `text[begin..]` between separators, each with where it begins in `text`.
fn split(text: &[u8], begin: usize, separator: u8) -> impl Iterator<Item = (usize, &[u8])> {
    // Parts are so short that looking at one octet after the other is quickest.
    let mut next = Some(begin);
    std::iter::from_fn(move || {
        let at = next?;
        let found = text[at..].iter().position(|octet| *octet == separator);
        let end = found.map_or(text.len(), |length| at + length);
        next = found.map(|_| end + 1);
        let part = text[at..end].trim_ascii_start();
        Some((end - part.len(), part.trim_ascii_end()))
    })
}

/// The elements of a list; empty ones are quirks.
fn list<'t>(
    part: &'t [u8],
    at: usize,
    context: &mut Context<'_>,
) -> impl Iterator<Item = (usize, &'t [u8])> + use<'t> {
    let elements = move || split(part, 0, b',').map(move |(begins, text)| (at + begins, text));
    if memchr::memchr(b',', part).is_some() {
        for (begins, _) in elements().filter(|(_, element)| element.is_empty()) {
            context.quirk(QuirkCode::EmptyElement, begins, b",");
        }
    }
    elements().filter(|(_, element)| !element.is_empty())
}

type AddressFault<'t> = (FaultCode, usize, &'t [u8]);

fn addresses<'t>(
    part: &'t [u8],
    at: usize,
    context: &mut Context<'_>,
) -> Result<Vec<Address>, AddressFault<'t>> {
    let mut addresses = Vec::new();
    for (at, element) in list(part, at, context) {
        let address = match address::internet(element) {
            Ok((address, leading_zero)) => {
                if leading_zero {
                    context.quirk(QuirkCode::LeadingZero, at, element);
                }
                Address::V4(address)
            }
            Err(code) => {
                let is_broken = context.octets[..at].contains(&b'\n');
                let code = match code {
                    FaultCode::BadAddress if is_broken => FaultCode::BrokenEntry,
                    code => code,
                };
                let address = address::foreign(element).ok_or((code, at, element))?;
                context.quirk(QuirkCode::ForeignNetwork, at, element);
                address
            }
        };
        addresses.push(address);
        if addresses.len() == ELEMENTS_USUAL + 1 {
            context.quirk(QuirkCode::ManyAddresses, at, element);
        }
    }
    Ok(addresses)
}
