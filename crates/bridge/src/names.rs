//! Names as keys of tables: their hashes, which take less room than they do.

use crate::record::Kind;
use siphasher::sip::SipHasher24;
use std::hash::{BuildHasherDefault, Hasher};

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
    hasher.write(&name.to_ascii_uppercase());
    hasher.finish()
}
