//! Everything that a decoder finds, as one JSON document; see `docs/bridge.md`.
//!
//! It holds the octets of entries and of what lies between them, so that the file it was made
//! from can be made from it again, octet by octet. Octets that are not UTF-8 are base64. A record
//! whose fields were edited loses its octets.

mod form;

use crate::codec::{Decode, Encode, Format, Options, Refusal, Whole};
use crate::codes::QuirkCode;
use crate::item::{Item, Output, Sink, Source};
use crate::lines::quirk;
use crate::record::Place;
use form::{Document, Read};

const HEAD: &str = "{\"format\":\"einhorn-bridge\",\"version\":1,\"items\":[";

/// A decoder.
pub fn decoder(options: &Options) -> Box<dyn Decode> {
    let source = options.source.clone();
    let decode = move |octets: &[u8], sink: &mut dyn Sink| decode(&source, octets, sink);
    Box::new(Whole::without_lines(decode))
}

fn decode(source: &str, octets: &[u8], sink: &mut dyn Sink) -> Result<Source, Refusal> {
    let document: Document = serde_json::from_slice(octets).map_err(|error| {
        let lines = octets.split_inclusive(|octet| *octet == b'\n');
        let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
        Refusal::Structure {
            line: error.line() as u64,
            offset: (before + error.column().saturating_sub(1)) as u64,
            reason: error.to_string(),
        }
    })?;
    for (number, form) in (1..).zip(document.items) {
        let refuse = |reason| Refusal::Structure { line: number, offset: 0, reason };
        let Read { item, edited } = form.read(source).map_err(refuse)?;
        if edited && let Item::Record(record) = &item {
            let place = Place { line: number, offset: record.place.offset };
            sink.quirk(quirk(QuirkCode::Edited, place, record.key.name.octets()));
        }
        sink.item(item);
    }
    Ok(Source { generation: document.generation, layout_sha256: None })
}

/// Writes JSON, one item a line.
#[derive(Default)]
pub struct Encoder {
    has_items: bool,
}

impl Encode for Encoder {
    fn push(&mut self, item: Item, out: &mut Output) -> Result<(), Refusal> {
        let head = if self.has_items { ",\n" } else { HEAD };
        out.octets.extend_from_slice(head.as_bytes());
        if !self.has_items {
            out.octets.push(b'\n');
        }
        self.has_items = true;
        if matches!(item, Item::Record(_)) {
            out.records_written += 1;
        }
        serde_json::to_writer(&mut out.octets, &form::Item::from(item)).map_err(|_| {
            Refusal::Write { format: Format::Json.name(), reason: "an item is not JSON" }
        })
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Refusal> {
        if !self.has_items {
            out.octets.extend_from_slice(HEAD.as_bytes());
        }
        out.octets.extend_from_slice(b"\n]}\n");
        Ok(())
    }
}
