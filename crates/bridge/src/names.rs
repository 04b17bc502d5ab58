//! Names as keys of tables: their hashes, which take less room than they do.

use crate::record::Kind;
use siphasher::sip::SipHasher24;
use std::hash::{BuildHasherDefault, Hasher};

/// Octets of a name that are hashed at a time; nearly all names are shorter.
const PIECE_OCTETS: usize = 64;

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
    let mut hasher = SipHasher24::new();
    hasher.write_u8(if kind == Kind::Gateway { Kind::Host as u8 } else { kind as u8 });
    in_upper_case(name, |octets| hasher.write(octets));
    hasher.finish()
}

/// Hands over a name in upper case, piece by piece.
pub(crate) fn in_upper_case(name: &[u8], mut take: impl FnMut(&[u8])) {
    for piece in name.chunks(PIECE_OCTETS) {
        let mut upper = [0; PIECE_OCTETS];
        let upper = &mut upper[..piece.len()];
        upper.copy_from_slice(piece);
        upper.make_ascii_uppercase();
        take(upper);
    }
}
