//! `/etc/hosts`: an address, a name and its aliases on a line.
//!
//! Lines beside each other with the same names and different addresses are one record.

use crate::codec::{Decode, Each, Encode, Format, Options, Whole};
use crate::codes::{FaultCode, LossCode, QuirkCode};
use crate::held::{declare_unheld, is_host};
use crate::hosts_txt::internet_address;
use crate::item::{Item, Output, Sink, Source};
use crate::lines::{between, lines, quarantined, quirk};
use crate::record::{Address, Field, FieldName, Fields, HostId, Key, Kind, Place, Raw, Record};
use crate::text::Text;

const FORMAT: Format = Format::EtcHosts;

/// A decoder.
pub fn decoder(options: &Options) -> Box<dyn Decode> {
    let source = options.source.clone();
    Box::new(Whole::new(move |octets: &[u8], sink: &mut dyn Sink| {
        decode(&source, octets, sink);
        Ok(Source::default())
    }))
}

/// A line that is an entry.
struct Line<'t> {
    address: Address,
    names: Vec<&'t [u8]>,
    remark: &'t [u8],
}

/// An entry of one or more lines.
struct Open<'t> {
    place: Place,
    octets: Vec<u8>,
    addresses: Vec<Address>,
    first: Line<'t>,
}

fn decode(source: &str, octets: &[u8], sink: &mut dyn Sink) {
    let mut open: Option<Open<'_>> = None;
    for (place, text) in lines(octets) {
        match line(place, text, sink) {
            Ok(Some(line)) => match &mut open {
                Some(open) if open.goes_on(&line) => {
                    open.octets.extend_from_slice(text);
                    open.addresses.push(line.address);
                }
                _ => {
                    close(source, open.take(), sink);
                    let addresses = vec![line.address.clone()];
                    open = Some(Open { place, octets: text.to_vec(), addresses, first: line });
                }
            },
            Ok(None) => {
                close(source, open.take(), sink);
                sink.item(between(FORMAT, place, text));
            }
            Err((code, value)) => {
                close(source, open.take(), sink);
                sink.item(quarantined(FORMAT, place, text, code, value));
            }
        }
    }
    close(source, open, sink);
}

impl Open<'_> {
    fn goes_on(&self, line: &Line<'_>) -> bool {
        self.first.names == line.names
            && self.first.remark.is_empty()
            && line.remark.is_empty()
            && !self.addresses.contains(&line.address)
    }
}

fn close(source: &str, open: Option<Open<'_>>, sink: &mut dyn Sink) {
    let Some(Open { place, octets, addresses, first }) = open else { return };
    let Some((name, aliases)) = first.names.split_first() else { return };
    let key = Key { kind: Kind::Host, name: Text::from(*name) };
    let fields = Fields {
        addresses: Field::list(addresses),
        nicknames: Field::list(aliases.iter().map(|alias| Text::from(*alias)).collect()),
        remark: Field::text(first.remark),
        ..Fields::default()
    };
    let raw = Raw::new(FORMAT, octets.into());
    let id = HostId::first_seen(source, &key);
    sink.item(Item::Record(Box::new(Record::read(id, key, place, fields, raw))));
}

type Fault<'t> = (FaultCode, &'t [u8]);

fn line<'t>(
    place: Place,
    text: &'t [u8],
    sink: &mut dyn Sink,
) -> Result<Option<Line<'t>>, Fault<'t>> {
    let mut parts = text.splitn(2, |octet| *octet == b'#');
    let entry = parts.next().unwrap_or_default();
    let remark = parts.next().unwrap_or_default().trim_ascii();
    let blank = |octet: &u8| octet.is_ascii_whitespace() || *octet == 0;
    let mut words = entry.split(blank).filter(|word| !word.is_empty());
    let Some(address) = words.next() else { return Ok(None) };
    let names: Vec<_> = words.collect();
    if text.ends_with(b"\r\n") {
        sink.quirk(quirk(QuirkCode::CarriageReturn, place, b""));
    }
    if !entry.is_ascii() {
        sink.quirk(quirk(QuirkCode::NotAscii, place, entry));
    }
    let v6 = || std::str::from_utf8(address).ok()?.parse().ok().map(Address::V6);
    let address = match internet_address(address) {
        Ok((v4, leading_zero)) => {
            if leading_zero {
                sink.quirk(quirk(QuirkCode::LeadingZero, place, address));
            }
            Address::V4(v4)
        }
        Err(code) => v6().ok_or((code, address))?,
    };
    if names.is_empty() {
        return Err((FaultCode::NoName, entry));
    }
    Ok(Some(Line { address, names, remark }))
}

/// Writes `/etc/hosts`.
pub fn encoder() -> Box<dyn Encode> {
    Box::new(Each::new(FORMAT, write))
}

fn is_word(text: &Text) -> bool {
    let is_plain = |octet: &u8| !matches!(octet, 0..=b' ' | b'#' | 0x7f);
    !text.is_empty() && text.octets().iter().all(is_plain)
}

fn write(record: &Record, out: &mut Output) {
    let (name, fields) = (&record.key.name, record.fields());
    if !is_host(FORMAT, record, out) {
        return;
    }
    if !is_word(name) {
        out.lose(LossCode::NameNotHeld, name, FieldName::Name, name);
        return;
    }
    let is_held = |address: &&Address| !matches!(address, Address::Foreign(_));
    let addresses: Vec<_> = fields.addresses.elements().iter().filter(is_held).collect();
    if addresses.is_empty() {
        out.lose(LossCode::NoAddress, name, FieldName::Name, name);
        return;
    }
    declare_unheld(FORMAT, record, out);
    for address in fields.addresses.elements().iter().filter(|address| !is_held(address)) {
        out.lose(LossCode::AddressNotHeld, name, FieldName::Addresses, address);
    }
    let mut names = name.octets().to_vec();
    for nickname in fields.nicknames.elements() {
        if is_word(nickname) {
            names.push(b' ');
            names.extend_from_slice(nickname.octets());
        } else {
            out.lose(LossCode::ValueNotHeld, name, FieldName::Nicknames, nickname);
        }
    }
    if let Some(remark) = fields.remark.value() {
        if remark.octets().iter().any(|octet| *octet < b' ') {
            out.lose(LossCode::ValueNotHeld, name, FieldName::Remark, remark);
        } else {
            names.extend_from_slice(b" # ");
            names.extend_from_slice(remark.octets());
        }
    }
    for address in addresses {
        out.octets.extend_from_slice(format!("{address}\t").as_bytes());
        out.octets.extend_from_slice(&names);
        out.octets.push(b'\n');
    }
    out.records_written += 1;
}
