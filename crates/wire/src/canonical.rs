//! The octet string under which zones store a name.

use crate::name::{NAME_OCTETS_MAX, Name};
use crate::name_ref::NameRef;
use arrayvec::ArrayVec;
use std::borrow::Borrow;

/// Octets of the longest key: a name of 255 octets, all of whose octets but the length of its
/// one label and the root need two.
pub const KEY_OCTETS_MAX: usize = 2 * NAME_OCTETS_MAX;

/// A name as a string of octets whose plain order is the canonical DNS order, and in which an
/// ancestor is a prefix of its descendants.
///
/// The labels stand from the root down, in lower case, each ended by a zero octet; the octets
/// 0 and 1 inside a label become (1, 1) and (1, 2), which keeps the order. It lies on the stack,
/// and only the octets it has are ever written.
#[derive(Clone)]
pub struct CanonicalKey(ArrayVec<u8, KEY_OCTETS_MAX>);

/// As many as a name can have without needing escapes.
const ZEROS: [u8; NAME_OCTETS_MAX] = [0; NAME_OCTETS_MAX];

impl AsRef<[u8]> for CanonicalKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for CanonicalKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Name {
    /// This name as a [`CanonicalKey`].
    pub fn canonical_key(&self) -> CanonicalKey {
        CanonicalKey::from_valid_wire(self.as_wire())
    }
}

impl NameRef<'_> {
    /// This name as a [`CanonicalKey`].
    pub fn canonical_key(self) -> CanonicalKey {
        CanonicalKey::from_valid_wire(self.as_wire())
    }

    /// Whether `key` is this name's, which is known to begin with its first `depth` octets. Looks
    /// at as little of the name as it can.
    pub fn has_canonical_key(self, key: &[u8], depth: usize) -> bool {
        let wire = self.as_wire();
        let label_length = wire[0] as usize;
        let (before, tail) = key.split_at(depth);
        if let Some((0, tail)) = tail.split_last()
            && tail.len() <= label_length
            && key.len() + 1 == wire.len()
            && !tail.iter().any(|octet| *octet <= 1)
            && !before.contains(&1)
        {
            // The key has no escapes, so neither has what it shares with this name's. Were the
            // rest of this name's key longer than `tail`, it would be so by escapes alone, each of
            // which takes two octets and makes it longer by one: so it is not.
            let ours = &wire[1 + label_length - tail.len()..1 + label_length];
            return ours.eq_ignore_ascii_case(tail);
        }
        self.canonical_key().as_ref() == key
    }
}

impl CanonicalKey {
    /// For a name in uncompressed wire form that has been validated.
    pub(crate) fn from_valid_wire(wire: &[u8]) -> CanonicalKey {
        let mut key = ArrayVec::new();
        // Cannot be too long: a name has at most half as many octets.
        _ = key.try_extend_from_slice(&ZEROS[..wire.len() - 1]);
        let (mut at, mut end) = (0, wire.len() - 1);
        while end > 0 {
            let length = wire[at] as usize;
            let label = &wire[at + 1..at + 1 + length];
            let mut lowest = u8::MAX;
            for (octet, place) in label.iter().zip(&mut key[end - 1 - length..end - 1]) {
                lowest = lowest.min(*octet);
                *place = octet.to_ascii_lowercase();
            }
            if lowest <= 1 {
                key.clear();
                CanonicalKey::fill_with_escapes(&mut key, wire);
                return CanonicalKey(key);
            }
            at += 1 + length;
            end -= 1 + length;
        }
        CanonicalKey(key)
    }

    fn fill_with_escapes(key: &mut ArrayVec<u8, KEY_OCTETS_MAX>, wire: &[u8]) {
        let mut starts: ArrayVec<u8, { NAME_OCTETS_MAX / 2 + 1 }> = ArrayVec::new();
        let mut at = 0;
        while wire[at] != 0 {
            starts.push(at as u8);
            at += 1 + wire[at] as usize;
        }
        for start in starts.into_iter().rev() {
            let start = start as usize;
            for &octet in &wire[start + 1..start + 1 + wire[start] as usize] {
                if octet <= 1 {
                    key.push(1);
                    key.push(octet + 1);
                } else {
                    key.push(octet.to_ascii_lowercase());
                }
            }
            key.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names with many octets that need escapes, and some of the longest there are.
    fn any_name() -> impl Strategy<Value = Name> {
        let octet = prop_oneof![0u8..3, any::<u8>()];
        let label = proptest::collection::vec(octet, 1..64);
        let few =
            proptest::collection::vec("[ab\u{0}\u{1}]{1,3}".prop_map(String::into_bytes), 0..3);
        prop_oneof![proptest::collection::vec(label, 0..20), few].prop_map(|labels| {
            labels.iter().fold(Name::root(), |name, label| name.prepend(label).unwrap_or(name))
        })
    }

    /// The definition, label by label.
    fn key_by_definition(name: &Name) -> Vec<u8> {
        let labels: Vec<&[u8]> = name.labels().collect();
        let mut key = Vec::new();
        for label in labels.into_iter().rev() {
            for octet in label.to_ascii_lowercase() {
                match octet {
                    0 | 1 => key.extend_from_slice(&[1, octet + 1]),
                    _ => key.push(octet),
                }
            }
            key.push(0);
        }
        key
    }

    proptest! {
        #[test]
        fn keys_are_as_defined_and_recognised(a in any_name(), b in any_name()) {
            let key = a.canonical_key();
            prop_assert_eq!(key.as_ref(), &key_by_definition(&a)[..]);
            let other = b.canonical_key();
            let both = key.as_ref().iter().zip(other.as_ref());
            let shared = both.take_while(|(one, other)| one == other).count();
            for depth in 0..=key.as_ref().len() {
                prop_assert!(a.borrowed().has_canonical_key(key.as_ref(), depth));
                if depth <= shared {
                    prop_assert_eq!(b.borrowed().has_canonical_key(key.as_ref(), depth), a == b);
                }
            }
        }
    }

    #[test]
    fn names_of_one_length_are_told_apart() {
        let key = |text: &str| text.parse::<Name>().expect("a name").canonical_key();
        let name: Name = "Abc.de.example.".parse().expect("a name");
        assert!(name.borrowed().has_canonical_key(key("aBC.DE.example").as_ref(), 0));
        for other in ["ab.cde.example.", "abd.de.example.", "abc.de.examplf.", "abc.de.examplf"] {
            assert!(!name.borrowed().has_canonical_key(key(other).as_ref(), 0), "{other}");
        }
        // Octets of one name that could be taken for escapes in the key of another.
        let low: Name = "\\001\\001.".parse().expect("a name");
        assert!(!low.borrowed().has_canonical_key(key("\\000.").as_ref(), 0));
    }
}
