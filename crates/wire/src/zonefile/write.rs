//! Writing zone files, and record data as text.

use super::rdata::{Field, fields_of};
use crate::message::read_name;
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Writes `records` as a zone file of absolute names, one record a line, in the order given.
///
/// # Errors
/// What `out` says.
pub fn write<'a>(
    out: &mut dyn Write,
    origin: &Name,
    records: impl Iterator<Item = &'a Record>,
) -> io::Result<()> {
    writeln!(out, "$ORIGIN {origin}")?;
    for record in records {
        writeln!(out, "{record}")?;
    }
    Ok(())
}

/// Writes the data of a type that is a row of fields, such that it is read back as it was: all
/// that means something in a zone file is escaped. `None` when the type is another, or the data
/// is not of it.
pub(crate) fn fields_text(rtype: RecordType, rdata: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut at = 0;
    for field in fields_of(rtype)? {
        let may_be_nothing = match field {
            Field::StringOrNothing => true,
            Field::Coded(coded) => coded.may_be_nothing,
            _ => false,
        };
        if may_be_nothing && at == rdata.len() {
            break;
        }
        if at > 0 {
            text.push(' ');
        }
        at += append_field(*field, rdata.get(at..)?, &mut text)?;
        while matches!(field, Field::Strings) && at < rdata.len() {
            text.push(' ');
            at += append_field(*field, rdata.get(at..)?, &mut text)?;
        }
    }
    (at == rdata.len()).then_some(text)
}

/// Writes the field at the start of `rdata`; says how many octets it has.
fn append_field(field: Field, rdata: &[u8], text: &mut String) -> Option<usize> {
    use fmt::Write;
    // A string takes everything.
    let (written, octets) = match field {
        Field::Ipv4 => {
            let octets: [u8; 4] = *rdata.first_chunk()?;
            (write!(text, "{}", Ipv4Addr::from(octets)), 4)
        }
        Field::Ipv6 => {
            let octets: [u8; 16] = *rdata.first_chunk()?;
            (write!(text, "{}", Ipv6Addr::from(octets)), 16)
        }
        Field::Name => {
            let (name, next) = read_name(rdata, 0).ok()?;
            (write!(text, "{}", Name::from_valid_wire(name.as_slice())), next)
        }
        Field::U8(_) => (write!(text, "{}", rdata.first()?), 1),
        Field::Coded(coded) => return (coded.write)(rdata, text),
        Field::U16(_) => (write!(text, "{}", u16::from_be_bytes(*rdata.first_chunk()?)), 2),
        Field::U32(_) | Field::Period(_) => {
            (write!(text, "{}", u32::from_be_bytes(*rdata.first_chunk()?)), 4)
        }
        Field::String | Field::Strings | Field::StringOrNothing => {
            let (length, rest) = rdata.split_first()?;
            append_quoted(rest.get(..usize::from(*length))?, text);
            (Ok(()), 1 + usize::from(*length))
        }
        Field::Rest => {
            append_quoted(rdata, text);
            (Ok(()), rdata.len())
        }
    };
    written.ok()?;
    Some(octets)
}

fn append_quoted(octets: &[u8], text: &mut String) {
    text.push('"');
    for octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
            b' '..=b'~' => text.push(char::from(*octet)),
            _ => text.push_str(&format!("\\{octet:03}")),
        }
    }
    text.push('"');
}
