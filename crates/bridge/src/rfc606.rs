//! The first form of the host names on line: RFC 606 (1973) and RFC 608 (1974).
//!
//! An entry is a line `NAME,NUMBER`, lines `ATTRIBUTE=VALUE`, and an empty line. The number is the
//! ARPANET's of eight bits; a host of another network has the network's name in parentheses before
//! its own. RFC 608 defines the attribute `STATUS`; what else a record holds goes into attributes
//! of the same kind, and unknown attributes into the sidecar.

use crate::codec::{Decode, Each, Encode, Format, Options, Whole};
use crate::codes::{FaultCode, LossCode, QuirkCode};
use crate::held::{declare_unheld, is_host};
use crate::item::{Item, Output, Sink, Source};
use crate::lines::{between, lines, quarantined, quirk};
use crate::record::{Address, Field, FieldName, Fields, HostId, Key, Kind, Place, Raw, Record};
use crate::text::Text;

const FORMAT: Format = Format::Rfc606;

/// A decoder.
pub fn decoder(options: &Options) -> Box<dyn Decode> {
    let source = options.source.clone();
    Box::new(Whole::new(move |octets: &[u8], sink: &mut dyn Sink| {
        decode(&source, octets, sink);
        Ok(Source::default())
    }))
}

fn decode(source: &str, octets: &[u8], sink: &mut dyn Sink) {
    let mut lines = lines(octets).peekable();
    while let Some((place, first)) = lines.next() {
        let text = content(first);
        if text.is_empty() || text.starts_with(b";") {
            sink.item(between(FORMAT, place, first));
            continue;
        }
        let (mut length, mut attributes) = (first.len(), Vec::new());
        while let Some((_, line)) = lines.next_if(|(_, line)| attribute(line).is_some()) {
            attributes.extend(attribute(line));
            length += line.len();
        }
        // The empty line that ends the entry.
        if let Some((_, line)) = lines.next_if(|(_, line)| content(line).is_empty()) {
            length += line.len();
        }
        let begin = place.offset as usize;
        let octets = &octets[begin..begin + length];
        if first.ends_with(b"\r\n") {
            sink.quirk(quirk(QuirkCode::CarriageReturn, place, b""));
        }
        let item = match basic(text) {
            Ok((name, address)) => {
                if matches!(address, Address::Foreign(_)) {
                    sink.quirk(quirk(QuirkCode::ForeignNetwork, place, text));
                }
                record(source, place, octets, (name, address), attributes)
            }
            Err((code, value)) => quarantined(FORMAT, place, octets, code, value),
        };
        sink.item(item);
    }
}

fn content(line: &[u8]) -> &[u8] {
    let is_blank = |octet: &u8| octet.is_ascii_whitespace() || *octet == 0;
    let begin = line.iter().position(|octet| !is_blank(octet)).unwrap_or(line.len());
    let end = line.iter().rposition(|octet| !is_blank(octet)).map_or(begin, |at| at + 1);
    &line[begin..end]
}

/// The attribute's name and value, if the line is one.
fn attribute(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|octet| *octet == b'=')?;
    let name = content(&line[..equals]);
    let is_name = !name.is_empty() && !name.contains(&b',') && !name.starts_with(b";");
    is_name.then(|| (name, content(&line[equals + 1..])))
}

/// What is wrong, and where.
type Wrong<'t> = (FaultCode, &'t [u8]);

/// The name and the address of `NAME,NUMBER` or `(NETWORK)NAME,ADDRESS`.
fn basic(text: &[u8]) -> Result<(&[u8], Address), Wrong<'_>> {
    let comma = text.iter().position(|octet| *octet == b',').ok_or((FaultCode::BadRecord, text))?;
    let (name, number) = (content(&text[..comma]), content(&text[comma + 1..]));
    let (network, name) = match name.strip_prefix(b"(") {
        Some(rest) => {
            let end = rest.iter().position(|octet| *octet == b')');
            let end = end.ok_or((FaultCode::BadRecord, text))?;
            (Some(content(&rest[..end])), content(&rest[end + 1..]))
        }
        None => (None, name),
    };
    if name.is_empty() {
        return Err((FaultCode::NoName, text));
    }
    if number.is_empty() {
        return Err((FaultCode::NoAddress, text));
    }
    if let Some(network) = network {
        return Ok((name, Address::foreign(network, number)));
    }
    let value = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    let value = value.filter(|_| number.iter().all(u8::is_ascii_digit));
    let value = value.ok_or((FaultCode::BadNumber, number))?;
    Ok((name, Address::of_arpanet_number(value)))
}

fn record(
    source: &str,
    place: Place,
    octets: &[u8],
    (name, address): (&[u8], Address),
    attributes: Vec<(&[u8], &[u8])>,
) -> Item {
    let mut fields = Fields { addresses: Field::Value(vec![address]), ..Fields::default() };
    let (mut kind, mut sidecar) = (Kind::Host, Vec::new());
    let (mut nicknames, mut protocols) = (Vec::new(), Vec::new());
    for (name, value) in attributes {
        match &name.to_ascii_uppercase()[..] {
            b"STATUS" if fields.status.is_unset() => fields.status = Field::text(value),
            b"MACHINE" if fields.machine.is_unset() => fields.machine = Field::text(value),
            b"SYSTEM" if fields.system.is_unset() => fields.system = Field::text(value),
            b"NICKNAME" if !value.is_empty() => nicknames.push(Text::from(value)),
            b"PROTOCOL" if !value.is_empty() => protocols.push(Text::from(value)),
            b"KIND" if value.eq_ignore_ascii_case(b"GATEWAY") => kind = Kind::Gateway,
            _ => sidecar.push((Text::from(name), Text::from(value))),
        }
    }
    fields.nicknames = Field::list(nicknames);
    fields.protocols = Field::list(protocols);
    let key = Key { kind, name: name.into() };
    let raw = Raw::new(FORMAT, octets.into());
    let mut record = Record::read(HostId::first_seen(source, &key), key, place, fields, raw);
    record.sidecar = sidecar;
    Item::Record(Box::new(record))
}

/// Writes the form of RFC 606.
pub fn encoder() -> Box<dyn Encode> {
    Box::new(Each::new(FORMAT, write))
}

fn is_value(text: &[u8]) -> bool {
    !text.is_empty() && content(text) == text && text.iter().all(|octet| *octet >= b' ')
}

fn is_name(text: &[u8]) -> bool {
    is_value(text)
        && !text.iter().any(|octet| matches!(octet, b' ' | b',' | b'=' | b'(' | b')' | b';'))
}

fn write(record: &Record, out: &mut Output) {
    let (name, fields) = (&record.key.name, record.fields());
    if !is_host(FORMAT, record, out) {
        return;
    }
    if !is_name(name.octets()) {
        out.lose(LossCode::NameNotHeld, name, FieldName::Name, name);
        return;
    }
    let addresses = fields.addresses.elements();
    let basic = |address: &Address| match address {
        Address::Foreign(foreign) => {
            let (network, rest) = (foreign.network.octets(), foreign.address.octets());
            (is_name(network) && is_value(rest) && !rest.contains(&b'='))
                .then(|| [b"(", network, b")", name.octets(), b",", rest].concat())
        }
        address => {
            let number = address.arpanet_number()?;
            Some([name.octets(), format!(",{number}").as_bytes()].concat())
        }
    };
    let Some((held, line)) = addresses.iter().enumerate().find_map(|(n, a)| Some((n, basic(a)?)))
    else {
        out.lose(LossCode::NoAddress, name, FieldName::Name, name);
        return;
    };
    declare_unheld(FORMAT, record, out);
    for (_, address) in addresses.iter().enumerate().filter(|(n, _)| *n != held) {
        out.lose(LossCode::AddressNotHeld, name, FieldName::Addresses, address);
    }
    out.octets.extend_from_slice(&line);
    out.octets.push(b'\n');
    if record.key.kind == Kind::Gateway {
        out.octets.extend_from_slice(b"KIND=GATEWAY\n");
    }
    for (attribute, field, texts) in [
        ("STATUS", FieldName::Status, one(&fields.status)),
        ("MACHINE", FieldName::Machine, one(&fields.machine)),
        ("SYSTEM", FieldName::System, one(&fields.system)),
        ("NICKNAME", FieldName::Nicknames, fields.nicknames.elements()),
        ("PROTOCOL", FieldName::Protocols, fields.protocols.elements()),
    ] {
        for text in texts {
            write_attribute(attribute.as_bytes(), text, (name, field), out);
        }
    }
    for (attribute, text) in &record.sidecar {
        if is_name(attribute.octets()) {
            write_attribute(attribute.octets(), text, (name, FieldName::Sidecar), out);
        } else {
            let value = format!("{attribute}={text}");
            out.lose(LossCode::SidecarNotHeld, name, FieldName::Sidecar, value);
        }
    }
    out.octets.push(b'\n');
    out.records_written += 1;
}

fn one(field: &Field<Text>) -> &[Text] {
    field.value().map_or(&[], std::slice::from_ref)
}

fn write_attribute(
    attribute: &[u8],
    text: &Text,
    (record, field): (&Text, FieldName),
    out: &mut Output,
) {
    if !is_value(text.octets()) {
        out.lose(LossCode::ValueNotHeld, record, field, text);
        return;
    }
    for piece in [attribute, b"=", text.octets(), b"\n"] {
        out.octets.extend_from_slice(piece);
    }
}
