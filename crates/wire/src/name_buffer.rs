//! Domain names on the stack: read from messages and record data without memory of their own.

use crate::message::ParseError;
use crate::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name};

/// A name on the stack in uncompressed wire form, as read from a message.
#[derive(Clone)]
pub struct NameBuffer {
    length: u8,
    octets: [u8; NAME_OCTETS_MAX],
}

impl NameBuffer {
    /// Uncompressed wire form.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length as usize]
    }

    /// The owned name.
    pub fn to_name(&self) -> Name {
        Name::from_valid_wire(self.as_slice())
    }

    /// The one uncompressed name that `wire` is; `None` if it is anything else.
    pub fn from_wire(wire: &[u8]) -> Option<NameBuffer> {
        let (name, end) = read_name(wire, 0).ok()?;
        (end == wire.len()).then_some(name)
    }

    /// Whether the name is `ancestor`, in wire form, or lies below it; without case.
    pub fn is_at_or_below(&self, ancestor: &[u8]) -> bool {
        let name = self.as_slice();
        let Some(skip) = name.len().checked_sub(ancestor.len()) else { return false };
        // The suffix must begin at a label, not in the middle of one.
        let mut at = 0;
        while at < skip {
            at += 1 + usize::from(name[at]);
        }
        at == skip && name[skip..].eq_ignore_ascii_case(ancestor)
    }

    /// The name below this one that has `prefix`, whole labels without the root, in front of it;
    /// `None` when that makes it longer than a name may be (RFC 6672 §2.2).
    pub fn with_prefix(&self, prefix: &[u8]) -> Option<NameBuffer> {
        let length = prefix.len() + self.as_slice().len();
        let mut octets = [0; NAME_OCTETS_MAX];
        octets.get_mut(..prefix.len())?.copy_from_slice(prefix);
        octets.get_mut(prefix.len()..length)?.copy_from_slice(self.as_slice());
        Some(NameBuffer { length: length as u8, octets })
    }

    /// The key under which zones store this name.
    pub fn canonical_key(&self) -> crate::canonical::CanonicalKey {
        crate::canonical::CanonicalKey::from_valid_wire(self.as_slice())
    }
}

/// Reads the name at `at`, following compression pointers, which must point backwards.
/// Returns the name and the offset behind it.
///
/// # Errors
/// [`ParseError::Short`] or [`ParseError::BadName`].
pub fn read_name(message: &[u8], at: usize) -> Result<(NameBuffer, usize), ParseError> {
    let mut name = NameBuffer { length: 0, octets: [0; NAME_OCTETS_MAX] };
    let mut length = 0;
    let mut at = at;
    let mut behind = None;
    // Each pointer must lead to before the place where its run of labels began, so that the
    // chain ends.
    let mut run_start = at;
    loop {
        let octet = *message.get(at).ok_or(ParseError::Short)? as usize;
        match octet {
            0 => {
                if length + 1 > NAME_OCTETS_MAX {
                    return Err(ParseError::BadName);
                }
                name.length = (length + 1) as u8;
                return Ok((name, behind.unwrap_or(at + 1)));
            }
            1..=LABEL_OCTETS_MAX => {
                let label = message.get(at..at + 1 + octet).ok_or(ParseError::Short)?;
                let place =
                    name.octets.get_mut(length..length + label.len()).ok_or(ParseError::BadName)?;
                place.copy_from_slice(label);
                length += label.len();
                at += label.len();
            }
            0xC0.. => {
                let low = *message.get(at + 1).ok_or(ParseError::Short)? as usize;
                let to = (octet & 0x3F) << 8 | low;
                if to >= run_start {
                    return Err(ParseError::BadName);
                }
                behind = behind.or(Some(at + 2));
                run_start = to;
                at = to;
            }
            _ => return Err(ParseError::BadName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_only_lead_backwards() {
        assert!(read_name(b"\xC0\x00", 0).is_err());
        assert!(read_name(b"\x01a\xC0\x00", 0).is_err());
        assert!(read_name(b"\x01a\x00\xC0\x03", 3).is_err());
        let (name, next) = read_name(b"\x01a\x00\x01b\xC0\x00", 3).expect("a name");
        assert_eq!((name.as_slice(), next), (&b"\x01b\x01a\x00"[..], 7));
    }

    #[test]
    fn names_of_256_octets_are_refused() {
        let mut long = b"\x01a".repeat(127);
        long.push(0);
        assert_eq!(read_name(&long, 0).map(|(name, _)| name.as_slice().len()), Ok(255));
        long.splice(0..0, *b"\x01a");
        assert!(read_name(&long, 0).is_err());
    }

    #[test]
    fn suffixes_are_replaced_and_compared_at_labels() {
        let name = |text: &str| {
            NameBuffer::from_wire(text.parse::<Name>().expect("a name").as_wire()).expect("a name")
        };
        let (long, owner) = (name("x.ab.EXAMPLE."), name("ab.example."));
        let prefix = b"\x01x";
        assert!(long.is_at_or_below(owner.as_slice()) && owner.is_at_or_below(&[0]));
        assert!(!long.is_at_or_below(name("b.example.").as_slice()));
        let other = name("c.test.").with_prefix(prefix);
        assert_eq!(other.map(|name| name.to_name().to_string()).as_deref(), Some("x.c.test."));
        let prefix = b"\x09123456789".repeat(24);
        let prefix = &prefix[..];
        assert!(name("0123456789.test.").with_prefix(prefix).is_none());
        assert!(owner.with_prefix(prefix).is_some());
        assert!(NameBuffer::from_wire(b"\x01a\x00\x00").is_none());
    }
}
