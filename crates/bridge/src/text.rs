//! Text of unknown encoding: octets as they stood in a file.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Octets of a text that needs no memory of its own.
const SHORT_OCTETS_MAX: usize = 22;

/// A few octets of a file, which are meant as text but need not be ASCII or UTF-8.
#[derive(Clone)]
pub struct Text(Held);

/// Nearly all names and fields of hosts are short: they lie in the record itself, and a million
/// records take a few million pieces of memory less.
#[derive(Clone)]
enum Held {
    Short { length: u8, octets: [u8; SHORT_OCTETS_MAX] },
    Long(Box<[u8]>),
}

impl Text {
    /// The octets.
    pub fn octets(&self) -> &[u8] {
        match &self.0 {
            Held::Short { length, octets } => &octets[..usize::from(*length)],
            Held::Long(octets) => octets,
        }
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.octets().is_empty()
    }

    /// As UTF-8, with `U+FFFD` for what is none; for people, not for round trips.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.octets())
    }

    /// Whether both are the same name: host names compare without ASCII case (RFC 952).
    pub fn same_name(&self, other: &Text) -> bool {
        self.octets().eq_ignore_ascii_case(other.octets())
    }

    /// The same text with ASCII letters in upper case.
    pub fn to_upper(&self) -> Text {
        let mut upper = self.clone();
        match &mut upper.0 {
            Held::Short { octets, .. } => octets.make_ascii_uppercase(),
            Held::Long(octets) => octets.make_ascii_uppercase(),
        }
        upper
    }

    /// The text of at most [`SHORT_OCTETS_MAX`] octets.
    fn short(text: &[u8]) -> Option<Text> {
        let mut octets = [0; SHORT_OCTETS_MAX];
        octets.get_mut(..text.len())?.copy_from_slice(text);
        Some(Text(Held::Short { length: text.len() as u8, octets }))
    }

    /// The text that `table` makes of octets, if it is short and all of it is ASCII.
    pub(crate) fn of_ascii(octets: &[u8], table: &[u16; 256]) -> Option<Text> {
        let mut short = [0; SHORT_OCTETS_MAX];
        let mut all = 0;
        for (place, octet) in short.get_mut(..octets.len())?.iter_mut().zip(octets) {
            let code = table[usize::from(*octet)];
            all |= code;
            *place = code as u8;
        }
        let short = Held::Short { length: octets.len() as u8, octets: short };
        (all < 0x80).then_some(Text(short))
    }
}

impl Default for Text {
    fn default() -> Text {
        Text(Held::Short { length: 0, octets: [0; SHORT_OCTETS_MAX] })
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        self.octets().cmp(other.octets())
    }
}

impl From<&[u8]> for Text {
    fn from(octets: &[u8]) -> Text {
        Text::short(octets).unwrap_or_else(|| Text(Held::Long(octets.into())))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        text.as_bytes().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for Text {
    fn from(octets: Vec<u8>) -> Text {
        Text::short(&octets).unwrap_or_else(|| Text(Held::Long(octets.into())))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.octets().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_takes_no_more_room_than_a_vector() {
        assert_eq!(std::mem::size_of::<Text>(), 24);
        assert_eq!(std::mem::size_of::<crate::record::Field<Text>>(), 24);
    }

    proptest! {
        #[test]
        fn short_and_long_texts_compare_as_their_octets(
            one in prop::collection::vec(any::<u8>(), 0..40),
            other in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (a, b) = (Text::from(&one[..]), Text::from(other.clone()));
            prop_assert_eq!(a.octets(), &one[..]);
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
            prop_assert_eq!(a == b, one == other);
            let upper = one.to_ascii_uppercase();
            prop_assert_eq!(a.to_upper(), Text::from(upper));
            prop_assert_eq!(a, Text::from(one));
        }
    }
}
