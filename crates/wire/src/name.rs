//! Domain names in wire form (RFC 1035 §3.1).
//!
//! A [`Name`] keeps the case it was written in and compares without it (RFC 4343). Names are
//! always absolute and at most 255 octets long; a value of this type cannot be anything else.

use crate::name_ref::NameRef;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Longest name in wire form, root label included (RFC 1035 §2.3.4), in octets.
pub const NAME_OCTETS_MAX: usize = 255;
/// Longest label without its length octet (RFC 1035 §2.3.4), in octets.
pub const LABEL_OCTETS_MAX: usize = 63;

/// An absolute domain name in uncompressed wire form.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why some text or bytes are not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label is longer than 63 octets.
    #[error("a label is longer than {LABEL_OCTETS_MAX} octets")]
    LongLabel,
    /// The name is longer than 255 octets.
    #[error("the name is longer than {NAME_OCTETS_MAX} octets")]
    LongName,
    /// Two dots follow each other, or the name begins with one.
    #[error("an empty label inside the name")]
    EmptyLabel,
    /// A backslash is followed by neither a character nor three digits up to 255.
    #[error("a broken escape: write \\. or \\DDD with DDD up to 255")]
    BadEscape,
    /// The bytes end before the root label, or go on after it.
    #[error("not one whole name in wire form")]
    NotWire,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Takes exactly one uncompressed name from `wire`.
    ///
    /// # Errors
    /// [`NameError::NotWire`] when the bytes are not exactly one name.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        Name::check_wire(wire).map(|()| Name(wire.into()))
    }

    /// Whether `wire` is exactly one uncompressed name.
    ///
    /// # Errors
    /// As [`Name::from_wire`].
    pub fn check_wire(wire: &[u8]) -> Result<(), NameError> {
        if wire.len() > NAME_OCTETS_MAX {
            return Err(NameError::LongName);
        }
        let mut at = 0;
        loop {
            let length = *wire.get(at).ok_or(NameError::NotWire)? as usize;
            if length > LABEL_OCTETS_MAX {
                return Err(NameError::LongLabel);
            }
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        if at == wire.len() { Ok(()) } else { Err(NameError::NotWire) }
    }

    /// For bytes this crate has just validated itself.
    pub(crate) fn from_valid_wire(wire: &[u8]) -> Name {
        debug_assert!(Name::from_wire(wire).is_ok());
        Name(wire.into())
    }

    /// The name in uncompressed wire form, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// This name, borrowed.
    pub fn borrowed(&self) -> NameRef<'_> {
        NameRef::from_valid_wire(&self.0)
    }

    /// The labels from the left, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.0 }
    }

    /// Number of labels without the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is `.`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &Name) -> bool {
        let Some(skip) = self.0.len().checked_sub(ancestor.0.len()) else { return false };
        // The suffix must begin at a label, not in the middle of one.
        let mut at = 0;
        while at < skip {
            at += 1 + self.0[at] as usize;
        }
        at == skip && self.0[skip..].eq_ignore_ascii_case(&ancestor.0)
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        (!self.is_root()).then(|| Name(self.0[1 + self.0[0] as usize..].into()))
    }

    /// Whether the leftmost label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// `label` in front of this name.
    ///
    /// # Errors
    /// [`NameError::LongLabel`], [`NameError::EmptyLabel`] or [`NameError::LongName`].
    pub fn prepend(&self, label: &[u8]) -> Result<Name, NameError> {
        match label.len() {
            0 => return Err(NameError::EmptyLabel),
            1..=LABEL_OCTETS_MAX => {}
            _ => return Err(NameError::LongLabel),
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        if wire.len() > NAME_OCTETS_MAX { Err(NameError::LongName) } else { Ok(Name(wire.into())) }
    }

    /// The same name in lower case: the canonical form of RFC 4034 §6.2.
    pub fn to_lowercase(&self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// Parses `text`; a name without a final dot is completed with `origin`.
    ///
    /// # Errors
    /// As [`Name::from_str`].
    pub fn parse_relative(text: &str, origin: &Name) -> Result<Name, NameError> {
        if text == "@" {
            return Ok(origin.clone());
        }
        let (mut wire, absolute) = parse_labels(text)?;
        wire.extend_from_slice(if absolute { &[0] } else { &origin.0 });
        if wire.len() > NAME_OCTETS_MAX { Err(NameError::LongName) } else { Ok(Name(wire.into())) }
    }
}

/// The labels in front, without a root label, and whether the text ended in a dot.
fn parse_labels(text: &str) -> Result<(Vec<u8>, bool), NameError> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    let mut rest = text.as_bytes();
    if rest == b"." {
        return Ok((wire, true));
    }
    if rest.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    loop {
        let start = wire.len();
        wire.push(0);
        loop {
            match rest {
                [] | [b'.', ..] => break,
                [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..] => {
                    let value =
                        [a, b, c].iter().fold(0u16, |sum, d| sum * 10 + u16::from(*d - b'0'));
                    wire.push(u8::try_from(value).map_err(|_| NameError::BadEscape)?);
                    rest = tail;
                }
                [b'\\', b'0'..=b'9', ..] | [b'\\'] => return Err(NameError::BadEscape),
                [b'\\', octet, tail @ ..] | [octet, tail @ ..] => {
                    wire.push(*octet);
                    rest = tail;
                }
            }
        }
        match wire.len() - start - 1 {
            0 => return Err(NameError::EmptyLabel),
            length @ 1..=LABEL_OCTETS_MAX => wire[start] = length as u8,
            _ => return Err(NameError::LongLabel),
        }
        match rest {
            [] => return Ok((wire, false)),
            [b'.'] => return Ok((wire, true)),
            _ => rest = &rest[1..],
        }
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Parses presentation form (RFC 1035 §5.1); a missing final dot is taken as written.
    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::parse_relative(text, &Name::root())
    }
}

/// Iterator over the labels of a name, leftmost first.
#[derive(Clone)]
pub struct Labels<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = *self.rest.first()? as usize;
        if length == 0 {
            return None;
        }
        let (label, rest) = self.rest[1..].split_at(length);
        self.rest = rest;
        Some(label)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.borrowed(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    // Length octets are below 64, so lowering them changes nothing.
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lowered = [0u8; NAME_OCTETS_MAX];
        let lowered = &mut lowered[..self.0.len()];
        lowered.copy_from_slice(&self.0);
        lowered.make_ascii_lowercase();
        state.write(lowered);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// Canonical DNS name order (RFC 4034 §6.1).
    fn cmp(&self, other: &Name) -> Ordering {
        self.canonical_key().as_ref().cmp(other.canonical_key().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    pub(crate) fn any_name() -> impl Strategy<Value = Name> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..12), 0..6).prop_map(
            |labels| {
                labels.iter().fold(Name::root(), |name, label| name.prepend(label).expect("short"))
            },
        )
    }

    #[test]
    fn compares_without_case_and_prints_with_it() {
        assert_eq!(name("Anna.Example."), name("anna.eXample"));
        assert_eq!(name("Anna.Example").to_string(), "Anna.Example.");
        assert!(name("a.b.example.").is_at_or_below(&name("B.example.")));
        assert!(!name("ab.example.").is_at_or_below(&name("b.example.")));
        assert_eq!(name("a.b.").parent(), Some(name("b.")));
    }

    #[test]
    fn refuses_what_is_no_name() {
        assert_eq!("a..b".parse::<Name>(), Err(NameError::EmptyLabel));
        assert_eq!("".parse::<Name>(), Err(NameError::EmptyLabel));
        assert_eq!("a\\25".parse::<Name>(), Err(NameError::BadEscape));
        assert_eq!("a\\256".parse::<Name>(), Err(NameError::BadEscape));
        assert_eq!("x".repeat(64).parse::<Name>(), Err(NameError::LongLabel));
        assert_eq!("abc.".repeat(64).parse::<Name>(), Err(NameError::LongName));
        assert_eq!(Name::from_wire(b"\x01a"), Err(NameError::NotWire));
        assert_eq!(Name::from_wire(b"\x00\x00"), Err(NameError::NotWire));
    }

    /// The example of RFC 4034 §6.1.
    #[test]
    fn orders_canonically() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn presentation_round_trips(n in any_name()) {
            let parsed = name(&n.to_string());
            prop_assert_eq!(parsed.as_wire(), n.as_wire());
        }

        #[test]
        fn a_key_is_a_prefix_exactly_below(a in any_name(), b in any_name()) {
            let (key_a, key_b) = (a.canonical_key(), b.canonical_key());
            prop_assert_eq!(key_b.as_ref().starts_with(key_a.as_ref()), b.is_at_or_below(&a));
            prop_assert_eq!(a == b, key_a.as_ref() == key_b.as_ref());
        }

        #[test]
        fn order_is_by_labels_from_the_right(a in any_name(), b in any_name()) {
            let labels = |n: &Name| {
                let mut labels: Vec<_> = n.labels().map(|l| l.to_ascii_lowercase()).collect();
                labels.reverse();
                labels
            };
            prop_assert_eq!(a.cmp(&b), labels(&a).cmp(&labels(&b)));
        }
    }
}
