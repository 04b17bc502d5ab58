//! Writing host tables.

use crate::codec::{Each, Encode, Format};
use crate::codes::LossCode;
use crate::held::{declare_unheld, is_host};
use crate::item::Output;
use crate::record::{Address, Field, FieldName, Kind, Record};
use crate::text::Text;

/// Writes host tables: what was read from one as it was, everything else in the form of RFC 952.
pub fn encoder() -> Box<dyn Encode> {
    Box::new(Each::new(Format::HostsTxt, write))
}

/// Whether text stays what it is between colons.
fn is_plain(text: &[u8], also_not: &[u8]) -> bool {
    let is_blank = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_whitespace);
    // Without an early end, the compiler looks at many octets at a time.
    let is_odd =
        |octet: &u8| (*octet < b' ') | (*octet == b':') | (*octet == b';') | (*octet == 0x7f);
    !text.is_empty()
        && !is_blank(text.first())
        && !is_blank(text.last())
        && text.iter().fold(0, |any, octet| any | u8::from(is_odd(octet))) == 0
        && !also_not.iter().any(|not| memchr::memchr(*not, text).is_some())
}

fn write(record: &Record, out: &mut Output) {
    let name = &record.key.name;
    if !is_host(Format::HostsTxt, record, out) {
        return;
    }
    if !is_plain(name.octets(), b", ") {
        out.lose(LossCode::NameNotHeld, name, FieldName::Name, name);
        return;
    }
    declare_unheld(Format::HostsTxt, record, out);
    let fields = record.fields();
    out.octets.extend_from_slice(record.key.kind.keyword().as_bytes());
    out.octets.extend_from_slice(b" :");
    addresses(record, out);
    out.octets.extend_from_slice(b" : ");
    out.octets.extend_from_slice(name.octets());
    list(&fields.nicknames, FieldName::Nicknames, b", ", (record, b","), out);
    if matches!(record.key.kind, Kind::Host | Kind::Gateway) {
        for (field, name) in
            [(&fields.machine, FieldName::Machine), (&fields.system, FieldName::System)]
        {
            out.octets.extend_from_slice(b" :");
            text(field, name, record, out);
        }
        out.octets.extend_from_slice(b" :");
        list(&fields.protocols, FieldName::Protocols, b",", (record, b" "), out);
    } else {
        for (field, value) in [
            (FieldName::Machine, fields.machine.value()),
            (FieldName::System, fields.system.value()),
        ] {
            if let Some(value) = value {
                out.lose(LossCode::FieldNotHeld, name, field, value);
            }
        }
        for value in fields.protocols.elements() {
            out.lose(LossCode::FieldNotHeld, name, FieldName::Protocols, value);
        }
    }
    out.octets.extend_from_slice(b" :\n");
    out.records_written += 1;
}

/// Appends a text, or declares it.
fn text(field: &Field<Text>, name: FieldName, record: &Record, out: &mut Output) {
    match field.value() {
        Some(text) if is_plain(text.octets(), b"") => {
            out.octets.push(b' ');
            out.octets.extend_from_slice(text.octets());
        }
        Some(text) => out.lose(LossCode::ValueNotHeld, &record.key.name, name, text),
        None => {}
    }
}

/// Appends the elements that can be written, `before` the first of them and commas before the
/// others; declares the rest.
fn list(
    field: &Field<Vec<Text>>,
    name: FieldName,
    also_not: &[u8],
    (record, mut before): (&Record, &[u8]),
    out: &mut Output,
) {
    for element in field.elements() {
        if is_plain(element.octets(), also_not) {
            out.octets.extend_from_slice(before);
            out.octets.extend_from_slice(element.octets());
            before = b",";
        } else {
            out.lose(LossCode::ValueNotHeld, &record.key.name, name, element);
        }
    }
}

/// The same for addresses.
fn addresses(record: &Record, out: &mut Output) {
    let mut before: &[u8] = b" ";
    for address in record.fields().addresses.elements() {
        let begin = out.octets.len();
        out.octets.extend_from_slice(before);
        if put_address(address, &mut out.octets) {
            before = b", ";
            continue;
        }
        out.octets.truncate(begin);
        let (code, field) = (LossCode::AddressNotHeld, FieldName::Addresses);
        out.lose(code, &record.key.name, field, address);
    }
}

/// Appends an address; false if a host table has none like it.
fn put_address(address: &Address, octets: &mut Vec<u8>) -> bool {
    match address {
        Address::V4(address) => {
            for (at, part) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    octets.push(b'.');
                }
                put_decimal(part, octets);
            }
            true
        }
        Address::V6(_) => false,
        Address::Foreign(foreign) => {
            let (network, rest) = (foreign.network.octets(), foreign.address.octets());
            let is_held = is_plain(network, b", ")
                && network.is_ascii()
                && network[0].is_ascii_alphabetic()
                && is_plain(rest, b",");
            if is_held {
                octets.extend_from_slice(network);
                octets.push(b' ');
                octets.extend_from_slice(rest);
            }
            is_held
        }
    }
}

fn put_decimal(number: u8, octets: &mut Vec<u8>) {
    if number >= 100 {
        octets.push(b'0' + number / 100);
    }
    if number >= 10 {
        octets.push(b'0' + number / 10 % 10);
    }
    octets.push(b'0' + number % 10);
}
