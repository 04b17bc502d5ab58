//! Names as keys of tables: their hashes, which take less room than they do.

use crate::record::Kind;
use siphasher::sip::SipHasher24;
use std::hash::{BuildHasherDefault, Hasher};

/// Octets of what needs no memory of its own; nearly all names are shorter.
const SHORT_OCTETS_MAX: usize = 96;

/// For tables whose keys are hashes already.
pub(crate) type ByHash = BuildHasherDefault<Same>;

/// A hash is its own hash.
#[derive(Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The hash of a name, however it is capitalised. Gateways are hosts; networks and domains have names
/// of their own.
pub(crate) fn name_hash(kind: Kind, name: &[u8]) -> u64 {
    let kind = if kind == Kind::Gateway { Kind::Host } else { kind };
    with_upper_case(&[&[kind as u8]], name, |octets| SipHasher24::new().hash(octets))
}

/// Hands over a name in upper case, with something before it, in one piece: that is hashed much
/// quicker than parts are.
pub(crate) fn with_upper_case<T>(
    before: &[&[u8]],
    name: &[u8],
    take: impl FnOnce(&[u8]) -> T,
) -> T {
    let (mut short, mut long) = ([0; SHORT_OCTETS_MAX], Vec::new());
    let begin: usize = before.iter().map(|part| part.len()).sum();
    let octets = match short.get_mut(..begin + name.len()) {
        Some(octets) => octets,
        None => {
            long.resize(begin + name.len(), 0);
            &mut long[..]
        }
    };
    let (first, last) = octets.split_at_mut(begin);
    let mut at = 0;
    for part in before {
        first[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    last.copy_from_slice(name);
    last.make_ascii_uppercase();
    take(octets)
}
