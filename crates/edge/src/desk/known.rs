//! Messages whose copies are recognised, until their signatures are too old to be taken.

use einhorn_wire::message::Rcode;
use std::collections::{BTreeMap, HashMap};

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is the update with this number.
    Queued(u64),
    /// This came of it.
    Settled(Rcode),
}

/// By the hash of a message.
#[derive(Debug, Default)]
pub(super) struct KnownTable {
    by_hash: HashMap<[u8; 32], (u64, Known)>,
    settled_until: BTreeMap<u64, Vec<[u8; 32]>>,
}

impl KnownTable {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<Known> {
        self.by_hash.get(hash).map(|(_, known)| *known)
    }

    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(super) fn insert(&mut self, hash: [u8; 32], until_seconds: u64, known: Known) {
        if matches!(known, Known::Settled(_)) {
            self.settled_until.entry(until_seconds).or_default().push(hash);
        }
        self.by_hash.insert(hash, (until_seconds, known));
    }

    pub(super) fn remove(&mut self, hash: &[u8; 32]) {
        self.by_hash.remove(hash);
    }

    /// What is queued stays, however old it is.
    pub(super) fn forget_before(&mut self, now_seconds: u64) {
        while let Some(first) =
            self.settled_until.first_entry().filter(|first| *first.key() < now_seconds)
        {
            for hash in first.remove() {
                if matches!(self.by_hash.get(&hash), Some((_, Known::Settled(_)))) {
                    self.by_hash.remove(&hash);
                }
            }
        }
    }

    /// What is settled: hash, until second, response code.
    pub(super) fn settled(&self) -> impl Iterator<Item = ([u8; 32], (u64, u16))> {
        self.by_hash.iter().filter_map(|(hash, (until_seconds, known))| match known {
            Known::Settled(rcode) => Some((*hash, (*until_seconds, rcode.0))),
            Known::Queued(_) => None,
        })
    }
}
