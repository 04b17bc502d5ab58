//! The dialect before RFC 810: `HOST name,address,status,system,machine,[nicknames]` and
//! `NET name,number`, as MIT and Stanford kept it until 1983.
//!
//! A list stands in brackets. An address is `host/imp` of the ARPANET, or the name of a network,
//! a blank, and an address in that network's form.

use super::address::{foreign, host_and_imp, internet};
use super::entry::{Context, Fault, Parsed};
use crate::codes::{FaultCode, QuirkCode};
use crate::record::{Address, Field, Fields, Kind};
use std::net::Ipv4Addr;

/// The network that an address without a network's name belongs to.
const DEFAULT_NETWORK: &[u8] = b"ARPA";

type Part<'t> = (usize, &'t [u8]);

/// Reads an entry whose text, without comments, goes on at `begin`.
pub(super) fn parse<'e>(
    kind: Kind,
    text: &[u8],
    begin: usize,
    context: &mut Context<'e>,
) -> Result<Parsed, Fault<'e>> {
    let octets = context.octets;
    if context.names.is_first_of_old_dialect() {
        context.quirk(QuirkCode::OldDialect, 0, octets);
    }
    let parts = split(text, begin);
    let fault = |code, (at, part): Part<'_>, name: &[u8]| Fault {
        code,
        value: &octets[at.min(octets.len())..(at + part.len()).min(octets.len())],
        name: (!name.is_empty()).then(|| name.into()),
    };
    let part = |n: usize| parts.get(n).copied().unwrap_or((text.len(), &[]));
    let name = part(0);
    let mut addresses = Vec::new();
    for (at, element) in elements(part(1)) {
        let address = address(kind, element)
            .ok_or_else(|| fault(FaultCode::BadAddress, (at, element), name.1))?;
        if matches!(address, Address::Foreign(_)) {
            context.quirk(QuirkCode::ForeignNetwork, at, element);
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return Err(fault(FaultCode::BrokenEntry, (begin, &text[begin..]), name.1));
    }
    let names = [name].into_iter().filter(|(_, name)| !name.is_empty()).chain(elements(part(5)));
    let Some((key, nicknames)) = context.names(kind, names) else {
        return Err(fault(FaultCode::NoName, name, b""));
    };
    let mut parsed = Parsed {
        key,
        fields: Fields {
            addresses: Field::list(addresses),
            nicknames: Field::list(nicknames),
            status: Field::text(part(2).1),
            system: Field::text(part(3).1),
            machine: Field::text(part(4).1),
            ..Fields::default()
        },
        sidecar: Vec::new(),
    };
    for (number, (at, extra)) in parts.iter().enumerate().skip(6) {
        context.quirk(QuirkCode::ExtraFields, *at, extra);
        parsed.sidecar.push((format!("field {number}").into(), (*extra).into()));
    }
    Ok(parsed)
}

fn address(kind: Kind, text: &[u8]) -> Option<Address> {
    if let Ok((address, _)) = internet(text) {
        return Some(Address::V4(address));
    }
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if kind == Kind::Net && is_number {
        let number: Option<u8> = std::str::from_utf8(text).ok()?.parse().ok();
        let address = number.map(|net| Address::V4(Ipv4Addr::new(net, 0, 0, 0)));
        return Some(address.unwrap_or_else(|| Address::foreign(b"NET", text)));
    }
    if is_number {
        return Some(Address::foreign(DEFAULT_NETWORK, text));
    }
    host_and_imp(text).or_else(|| {
        let address = foreign(text)?;
        let Address::Foreign(parts) = &address else { return None };
        let is_default = parts.network.octets() == DEFAULT_NETWORK;
        let known = if is_default { host_and_imp(parts.address.octets()) } else { None };
        Some(known.unwrap_or(address))
    })
}

/// The parts between commas that are not in brackets, trimmed, with where they begin.
fn split(text: &[u8], begin: usize) -> Vec<Part<'_>> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, begin);
    for at in begin..=text.len() {
        match text.get(at) {
            Some(b'[') => depth += 1,
            Some(b']') => depth = depth.saturating_sub(1),
            Some(b',') | None if depth == 0 || at == text.len() => {
                let part = &text[from..at];
                let begins = from + part.len() - part.trim_ascii_start().len();
                parts.push((begins, part.trim_ascii()));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// The elements of a list in brackets, or the one without.
fn elements((at, part): Part<'_>) -> impl Iterator<Item = Part<'_>> {
    let (begin, inner) = match part {
        [b'[', inner @ ..] => (at + 1, inner.strip_suffix(b"]").unwrap_or(inner)),
        _ => (at, part),
    };
    let mut from = begin;
    inner
        .split(|octet| *octet == b',')
        .map(move |element| {
            let begins = from + element.len() - element.trim_ascii_start().len();
            from += element.len() + 1;
            (begins, element.trim_ascii())
        })
        .filter(|(_, element)| !element.is_empty())
}
