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
    text.trim_ascii() == text
        && !text.iter().any(|octet| matches!(octet, 0..=0x1f | b':' | b';' | 0x7f))
        && !text.iter().any(|octet| also_not.contains(octet))
        && !text.is_empty()
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
    let mut line = Vec::from(record.key.kind.keyword());
    part(&mut line, &addresses(record, out), b", ");
    let mut names = vec![name.octets()];
    names.extend(held(&fields.nicknames, FieldName::Nicknames, b", ", record, out));
    part(&mut line, &names, b",");
    if matches!(record.key.kind, Kind::Host | Kind::Gateway) {
        let one = |field: &Field<Text>, name, out: &mut Output| match field.value() {
            Some(text) if is_plain(text.octets(), b"") => text.octets().to_vec(),
            Some(text) => {
                out.lose(LossCode::ValueNotHeld, &record.key.name, name, text);
                Vec::new()
            }
            None => Vec::new(),
        };
        part(&mut line, &[one(&fields.machine, FieldName::Machine, out)], b"");
        part(&mut line, &[one(&fields.system, FieldName::System, out)], b"");
        let protocols = held(&fields.protocols, FieldName::Protocols, b",", record, out);
        part(&mut line, &protocols, b",");
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
    line.extend_from_slice(b" :\n");
    out.octets.extend_from_slice(&line);
    out.records_written += 1;
}

/// Appends a field, its elements joined.
fn part<T: AsRef<[u8]>>(line: &mut Vec<u8>, elements: &[T], separator: &[u8]) {
    line.extend_from_slice(b" :");
    for (n, element) in elements.iter().enumerate() {
        let element = element.as_ref();
        if n > 0 {
            line.extend_from_slice(separator);
        } else if !element.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(element);
    }
}

/// The elements that can be written; the others are declared.
fn held<'r>(
    field: &'r Field<Vec<Text>>,
    name: FieldName,
    also_not: &[u8],
    record: &Record,
    out: &mut Output,
) -> Vec<&'r [u8]> {
    let mut held = Vec::new();
    for element in field.elements() {
        if is_plain(element.octets(), also_not) {
            held.push(element.octets());
        } else {
            out.lose(LossCode::ValueNotHeld, &record.key.name, name, element);
        }
    }
    held
}

fn addresses(record: &Record, out: &mut Output) -> Vec<Vec<u8>> {
    let mut held = Vec::new();
    for address in record.fields().addresses.elements() {
        let text = match address {
            Address::V4(address) => Some(address.to_string().into_bytes()),
            Address::V6(_) => None,
            Address::Foreign(foreign) => {
                let (network, rest) = (foreign.network.octets(), foreign.address.octets());
                let is_held = is_plain(network, b", ")
                    && network.is_ascii()
                    && network[0].is_ascii_alphabetic()
                    && is_plain(rest, b",");
                is_held.then(|| [network, b" ", rest].concat())
            }
        };
        match text {
            Some(text) => held.push(text),
            None => {
                let (code, field) = (LossCode::AddressNotHeld, FieldName::Addresses);
                out.lose(code, &record.key.name, field, address);
            }
        }
    }
    held
}
