//! What both sides say first, once TLS stands: who they are and which protocol versions they know.
//! Pure: octets in, values out.
//!
//! Integers are big-endian:
//!
//! ```text
//! magic     13 octets, "einhorn-link\n"
//! lowest    u16, protocol version from 1
//! highest   u16, not below the lowest
//! instance  u64, drawn at random when the site starts
//! length    u8, 1 to 63
//! name      that many of a-z, 0-9 and -
//! ```
//!
//! The side that dialled speaks first. The other one answers with its own preface and then with one
//! frame: `Welcome`, or `Close` with the reason. The highest version that both know is spoken.

use std::fmt;

/// Begins every preface.
pub const MAGIC: &[u8; 13] = b"einhorn-link\n";
/// Octets before the name.
const FIXED_OCTETS: usize = MAGIC.len() + 2 + 2 + 8 + 1;
/// Octets of the longest name of a site.
pub const NAME_OCTETS_MAX: usize = 63;
/// Octets of the longest preface.
pub const PREFACE_OCTETS_MAX: usize = FIXED_OCTETS + NAME_OCTETS_MAX;

/// The protocol versions that a site knows, from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    lowest: u16,
    highest: u16,
}

impl VersionRange {
    /// `None` for version 0 and if the highest is below the lowest.
    #[must_use]
    pub const fn new(lowest: u16, highest: u16) -> Option<VersionRange> {
        if lowest == 0 || highest < lowest {
            return None;
        }
        Some(VersionRange { lowest, highest })
    }

    /// The highest version that both know.
    #[must_use]
    pub fn common(self, other: VersionRange) -> Option<u16> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            return write!(f, "version {}", self.lowest);
        }
        write!(f, "versions {} to {}", self.lowest, self.highest)
    }
}

/// What a side says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preface {
    /// The protocol versions it knows.
    pub versions: VersionRange,
    /// Another one after each start of the site, so that a connection of its former life is known
    /// to be dead.
    pub instance: u64,
    /// Its name.
    pub name: String,
}

/// Why octets are not a preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    /// They begin otherwise.
    #[error("the other side does not speak the protocol of links")]
    Magic,
    /// The range of versions is empty or begins with 0.
    #[error("the other side names no protocol version")]
    Versions,
    /// The name is not one of a site.
    #[error("the other side gives no usable name of its site")]
    Name,
}

/// Whether `name` can name a site: 1 to 63 of a-z, 0-9 and -.
#[must_use]
pub fn is_site_name(name: &str) -> bool {
    let good = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.bytes().all(good)
}

impl Preface {
    /// The octets to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(PREFACE_OCTETS_MAX);
        octets.extend_from_slice(MAGIC);
        octets.extend_from_slice(&self.versions.lowest.to_be_bytes());
        octets.extend_from_slice(&self.versions.highest.to_be_bytes());
        octets.extend_from_slice(&self.instance.to_be_bytes());
        // What the configuration accepts as a name is never longer.
        let name = &self.name.as_bytes()[..self.name.len().min(NAME_OCTETS_MAX)];
        octets.push(name.len() as u8);
        octets.extend_from_slice(name);
        octets
    }

    /// Reads a preface at the beginning of `octets`, and says how long it is; `None` if more
    /// octets are needed.
    ///
    /// # Errors
    /// [`PrefaceError`], as soon as it is certain.
    pub fn parse(octets: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
        let begun = octets.len().min(MAGIC.len());
        if octets[..begun] != MAGIC[..begun] {
            return Err(PrefaceError::Magic);
        }
        let Some(fixed) = octets.get(MAGIC.len()..FIXED_OCTETS) else { return Ok(None) };
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let versions = VersionRange::new(number(0), number(2)).ok_or(PrefaceError::Versions)?;
        let instance = fixed[4..12].iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        let end = FIXED_OCTETS + usize::from(fixed[12]);
        if end == FIXED_OCTETS || end > PREFACE_OCTETS_MAX {
            return Err(PrefaceError::Name);
        }
        let Some(name) = octets.get(FIXED_OCTETS..end) else { return Ok(None) };
        let name = std::str::from_utf8(name).map_err(|_| PrefaceError::Name)?;
        if !is_site_name(name) {
            return Err(PrefaceError::Name);
        }
        Ok(Some((Preface { versions, instance, name: name.to_owned() }, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(lowest: u16, highest: u16) -> VersionRange {
        VersionRange::new(lowest, highest).expect("a range")
    }

    #[test]
    fn the_highest_common_version_is_spoken() {
        assert_eq!(range(1, 1).common(range(1, 2)), Some(1));
        assert_eq!(range(1, 4).common(range(2, 3)), Some(3));
        assert_eq!(range(2, 2).common(range(1, 1)), None);
        assert_eq!(VersionRange::new(0, 1), None);
        assert_eq!(VersionRange::new(2, 1), None);
        assert_eq!(format!("{}, {}", range(1, 1), range(1, 2)), "version 1, versions 1 to 2");
    }

    #[test]
    fn a_preface_has_exactly_these_octets() {
        let preface = Preface { versions: range(1, 2), instance: 0x0102, name: "bonn".to_owned() };
        let octets = b"einhorn-link\n\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x01\x02\x04bonn";
        assert_eq!(preface.encode(), octets);
    }

    #[test]
    fn what_is_no_preface_is_refused_early() {
        assert_eq!(Preface::parse(b"GET / HTTP/1.1"), Err(PrefaceError::Magic));
        assert_eq!(Preface::parse(b"einhorm"), Err(PrefaceError::Magic));
        let with = |versions: [u8; 4], name: &[u8]| {
            let rest = [&[0; 8][..], &[name.len() as u8], name].concat();
            Preface::parse(&[&MAGIC[..], &versions, &rest].concat()).map(|found| found.is_some())
        };
        assert_eq!(with([0, 1, 0, 1], b"a"), Ok(true));
        assert_eq!(with([0, 0, 0, 1], b"a"), Err(PrefaceError::Versions));
        assert_eq!(with([0, 2, 0, 1], b"a"), Err(PrefaceError::Versions));
        for name in [&b""[..], b"A", b"a b", b"\xff", &[b'a'; 64]] {
            assert_eq!(with([0, 1, 0, 1], name), Err(PrefaceError::Name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_preface_comes_back_however_it_is_cut(
            lowest in 1..=u16::MAX, more in 0..=u16::MAX, instance: u64, name in "[a-z0-9-]{1,63}",
            rest: Vec<u8>,
        ) {
            let versions = range(lowest, lowest.saturating_add(more));
            let preface = Preface { versions, instance, name };
            let mut octets = preface.encode();
            let length = octets.len();
            for end in 0..length {
                prop_assert_eq!(Preface::parse(&octets[..end]), Ok(None));
            }
            octets.extend_from_slice(&rest);
            prop_assert_eq!(Preface::parse(&octets), Ok(Some((preface, length))));
        }
    }
}
