//! The lines of a whole file, with their places.

use crate::codec::Format;
use crate::codes::{FaultCode, QuirkCode};
use crate::item::{Between, Item, Quarantined, Quirk};
use crate::record::Place;
use crate::text::Text;

/// Octets that a quirk shows.
const EXCERPT_OCTETS: usize = 80;

/// Each line with its place, line end included.
pub(crate) fn lines(octets: &[u8]) -> impl Iterator<Item = (Place, &[u8])> {
    let mut offset = 0;
    (1..).zip(octets.split_inclusive(|octet| *octet == b'\n')).map(move |(line, text)| {
        let place = Place { line, offset };
        offset += text.len() as u64;
        (place, text)
    })
}

/// Octets between entries.
pub(crate) fn between(format: Format, place: Place, octets: &[u8]) -> Item {
    Item::Between(Between { format, place, octets: octets.into(), is_part_of_record: false })
}

/// An entry that cannot be understood, because of `value`.
pub(crate) fn quarantined(
    format: Format,
    place: Place,
    octets: &[u8],
    code: FaultCode,
    value: impl Into<Text>,
) -> Item {
    let (octets, value) = (octets.into(), value.into());
    Item::Quarantined(Box::new(Quarantined { format, place, octets, name: None, code, value }))
}

/// A quirk of the octets at `place`.
pub(crate) fn quirk(code: QuirkCode, place: Place, octets: &[u8]) -> Quirk {
    let Place { line, offset } = place;
    let octets = octets.trim_ascii_end();
    let shown = &octets[..octets.len().min(EXCERPT_OCTETS)];
    Quirk { code, line, offset, text: String::from_utf8_lossy(shown).into_owned() }
}
