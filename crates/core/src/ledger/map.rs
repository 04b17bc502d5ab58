//! The map of a log: for each name that a log's entries touched, which entry did so last and how
//! many did. It is a pure function of a prefix of the log, so that everybody who has the entries
//! computes the same root. The leader logs that root now and then
//! ([`Body::MapRoot`]); with it a handful of hashes proves that *these are all changes of this
//! name*, or that there are none.
//!
//! This is the one part of the ledger that looks into entries. It must never depend on anything
//! but the entries of the one log: not on state, nor on what other logs say.
//!
//! # Form (version 1)
//! A *key* is SHA-256(0x04 ‖ zone ‖ owner), both lower case in uncompressed wire form. What
//! happens to a zone as a whole, its removal, has the key SHA-256(0x04 ‖ zone): no owner name is
//! empty, and a name in wire form has an end, so no two things share a key. The map at size N
//! has a *leaf* for each key that an entry with an index below N touched; a change in several
//! parts has the index of its last. A leaf is 56 octets, all integers big-endian: key, u64 index of the last
//! entry, u64 sequence of the name there (0 for a zone), u64 number of entries.
//!
//! Leaves are sorted by key. The hash of a leaf is SHA-256(0x02 ‖ leaf); over these stands the
//! tree of RFC 6962, section 2.1; the *root* of the map is
//! SHA-256(0x03 ‖ u64 number of leaves ‖ tree hash). The prefixes keep leaves and roots of maps
//! apart from everything that the log's own tree hashes. Nodes need none of their own, since every
//! path of a proof ends in a leaf that the verifier hashes itself; and the number of leaves is in
//! the root because without it nobody could tell which leaf is the last.
//!
//! Sorted by a hash and not by name, all keys have one length, so that a map is a file of equal
//! records that can be merged and searched in place; and whoever is shown that a name does not
//! exist learns nothing of the names beside it.

mod compact;
mod complete;
mod history;
mod proof;

use einhorn_wire::Name;
use sha2::{Digest as _, Sha256};

use super::hash::Hash;
use super::tile::Tile;
use super::tree::Frontier;
use crate::model::entry::{Body, Cause, Entry};

pub use compact::CompactRange;
pub use complete::{Complete, CompleteError, CompleteLog, Event, verify_history, verify_parsed};
pub use history::{HISTORY_BYTES_MAX, History, HistoryError, Included, LogHistory, MapPart, Tail};
pub use proof::{Found, MapProof, MapProofError, prove};

/// Octets of a leaf.
pub const LEAF_OCTETS: usize = Hash::LENGTH + 3 * 8;
const LEAF_PREFIX: u8 = 0x02;
const ROOT_PREFIX: u8 = 0x03;
const KEY_PREFIX: u8 = 0x04;
/// Longest name in wire form (RFC 1035, section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;

/// What a map sorts by: the hash of a zone and a name in it, or of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapKey(pub Hash);

impl MapKey {
    /// The key of a name in a zone.
    #[must_use]
    pub fn of_name(zone: &Name, owner: &Name) -> MapKey {
        MapKey::of(&[zone.as_wire(), owner.as_wire()])
    }

    /// The key of a zone as a whole.
    #[must_use]
    pub fn of_zone(zone: &Name) -> MapKey {
        MapKey::of(&[zone.as_wire()])
    }

    fn of(names: &[&[u8]]) -> MapKey {
        let mut message = [0; 1 + 2 * NAME_OCTETS_MAX];
        message[0] = KEY_PREFIX;
        let mut end = 1;
        for name in names {
            let place = &mut message[end..end + name.len()];
            place.copy_from_slice(name);
            // The octets of lengths are at most 63, below all letters.
            place.make_ascii_lowercase();
            end += name.len();
        }
        MapKey(Hash(Sha256::digest(&message[..end]).into()))
    }
}

/// What a map says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Whose leaf it is.
    pub key: MapKey,
    /// Index of the last entry that touched it, of its last part.
    pub last: u64,
    /// The name's sequence in that entry; 0 for a zone.
    pub sequence: u64,
    /// How many entries of this log touched it, at least 1.
    pub count: u64,
}

impl Leaf {
    /// Its octets.
    #[must_use]
    pub fn encode(&self) -> [u8; LEAF_OCTETS] {
        let mut octets = [0; LEAF_OCTETS];
        octets[..32].copy_from_slice(&self.key.0.0);
        octets[32..40].copy_from_slice(&self.last.to_be_bytes());
        octets[40..48].copy_from_slice(&self.sequence.to_be_bytes());
        octets[48..].copy_from_slice(&self.count.to_be_bytes());
        octets
    }

    /// Reads [`Leaf::encode`]'s octets; any octets are a leaf.
    #[must_use]
    pub fn decode(octets: &[u8; LEAF_OCTETS]) -> Leaf {
        let number = |at: usize| {
            octets[at..at + 8].iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
        };
        let mut key = [0; Hash::LENGTH];
        key.copy_from_slice(&octets[..32]);
        Leaf { key: MapKey(Hash(key)), last: number(32), sequence: number(40), count: number(48) }
    }

    /// Its hash in the map's tree.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut message = [LEAF_PREFIX; 1 + LEAF_OCTETS];
        message[1..].copy_from_slice(&self.encode());
        Hash(Sha256::digest(message).into())
    }

    /// The leaf after one more entry touched its key: the one at `index`, with this sequence.
    /// `before` is `None` if it is the first. An entry that names a name twice touched it once.
    #[must_use]
    pub fn touched(before: Option<Leaf>, touch: &Touch) -> Leaf {
        let again = before.is_some_and(|leaf| leaf.last == touch.index);
        let count = before.map_or(0, |leaf| leaf.count) + u64::from(!again);
        Leaf { key: touch.key, last: touch.index, sequence: touch.sequence, count }
    }
}

/// One entry touched one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// Which.
    pub key: MapKey,
    /// Index of the entry, of its last part.
    pub index: u64,
    /// The name's sequence in it; 0 for a zone.
    pub sequence: u64,
}

/// What the entry whose last part is at `index` touched.
pub fn touches(index: u64, entry: &Entry, mut touch: impl FnMut(Touch)) {
    for change in entry.body.changes() {
        for name in &change.names {
            let key = MapKey::of_name(&change.zone, &name.owner);
            touch(Touch { key, index, sequence: name.sequence });
        }
        if let Cause::ZoneRemoval { .. } = change.cause {
            touch(Touch { key: MapKey::of_zone(&change.zone), index, sequence: 0 });
        }
    }
}

/// What a log says of its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRoot {
    /// The map is that of the entries below this index.
    pub at: u64,
    /// Number of leaves.
    pub names: u64,
    /// Root of the map.
    pub root: Hash,
}

impl MapRoot {
    /// What to log.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::MapRoot { at: self.at, names: self.names, root: self.root.0 }
    }

    /// What was logged, if it is a map root.
    #[must_use]
    pub fn of_body(body: &Body) -> Option<MapRoot> {
        match *body {
            Body::MapRoot { at, names, root } => Some(MapRoot { at, names, root: Hash(root) }),
            _ => None,
        }
    }
}

/// The root of a map with so many leaves and this tree hash.
#[must_use]
pub fn root_hash(names: u64, tree: &Hash) -> Hash {
    let message = Sha256::new().chain_update([ROOT_PREFIX]).chain_update(names.to_be_bytes());
    Hash(message.chain_update(tree.0).finalize().into())
}

/// Computes a map's root from its leaves, one by one; keeps no more than the tree's right edge.
#[derive(Debug, Default)]
pub struct RootBuilder {
    tree: Frontier,
    last: Option<MapKey>,
}

impl RootBuilder {
    /// Takes the next leaf, whose key must be above all before; `hash` is its hash. Hands full
    /// tiles of the map's tree to `on_full`, as [`Frontier::push`] does. `false` if the leaf is
    /// out of order: then nothing was taken.
    #[must_use]
    pub fn push(&mut self, key: MapKey, hash: Hash, on_full: impl FnMut(Tile, &[Hash])) -> bool {
        if self.last.is_some_and(|last| last >= key) {
            return false;
        }
        self.last = Some(key);
        self.tree.push(hash, on_full);
        true
    }

    /// Number of leaves so far.
    #[must_use]
    pub fn names(&self) -> u64 {
        self.tree.size()
    }

    /// The hashes of the unfinished tile at a level of the map's tree; the others came full.
    #[must_use]
    pub fn edge(&self, level: u8) -> &[Hash] {
        let mut tiles = self.tree.partial_tiles();
        tiles.find(|(tile, _)| tile.level == level).map_or(&[], |(_, hashes)| hashes)
    }

    /// The root of the map at size `at` with the leaves so far.
    #[must_use]
    pub fn root(&self, at: u64) -> MapRoot {
        let names = self.tree.size();
        MapRoot { at, names, root: root_hash(names, &self.tree.root()) }
    }
}

/// How long there is no other map root after one, in milliseconds, if nothing else is said.
pub const INTERVAL_MS: u64 = 600_000;

/// Whether a log of `size` entries is due for another map root: when at least `interval_ms` have
/// passed since the last one, and at least as many entries were logged since as its map has
/// `names`, at least one of them something else than that map root. So maps cost an entry no
/// more than a constant, and a log where nothing happens does not grow.
///
/// `last_at` is the size of the last map and the time of its entry in milliseconds since 1970;
/// without one, a log is due once it has entries.
#[must_use]
pub fn is_due(
    interval_ms: u64,
    last_at: Option<(u64, u64)>,
    size: u64,
    names: u64,
    now_ms: u64,
) -> bool {
    let Some((at, time_ms)) = last_at else { return size > 0 };
    // Its own entry does not count.
    let since = size.saturating_sub(at).saturating_sub(1);
    now_ms.saturating_sub(time_ms) >= interval_ms && since >= names.max(1)
}

#[cfg(test)]
mod tests;
