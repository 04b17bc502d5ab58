//! Requests done so recently that a copy of them could still arrive, whichever site did them.

use super::Position;
use super::edge::{self, EdgeRequest, UNTIL_SETTLED, Windows};
use super::request::RequestId;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Request ids are hashes, so their first octets are a hash already.
#[derive(Default, Clone, Copy)]
struct FirstOctets(u64);

impl Hasher for FirstOctets {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets.iter().take(8) {
            self.0 = self.0 << 8 | u64::from(*octet);
        }
    }
}

/// The first 16 octets of a request id, enough to tell requests apart.
pub(super) type ShortId = [u8; 16];

/// Requests done so recently that a copy of them could still arrive.
#[derive(Default, Clone)]
pub(super) struct Requests {
    /// The entry that each was done in.
    done: HashMap<ShortId, Position, BuildHasherDefault<FirstOctets>>,
    /// Ids by the second in which they may be forgotten.
    until_seconds: BTreeMap<u64, Vec<ShortId>>,
    /// The latest such second of those that have been forgotten; 0 for none.
    pub(super) forgotten_until_seconds: u64,
    /// Those of edges.
    pub(super) edges: Windows,
}

impl Requests {
    fn short(id: &RequestId) -> ShortId {
        let mut short = [0; 16];
        short.copy_from_slice(&id.0[..16]);
        short
    }

    /// Takes note that a request was done.
    pub(super) fn note(&mut self, id: &RequestId, until_seconds: u64, at: Position) {
        match EdgeRequest::of(id) {
            Some(request) if until_seconds == UNTIL_SETTLED => self.edges.note(&request, at),
            _ => self.insert(Requests::short(id), until_seconds, at),
        }
    }

    /// The same of what a snapshot has, where the edges' windows come later.
    pub(super) fn restore(&mut self, id: ShortId, until_seconds: u64, at: Position) {
        if until_seconds == UNTIL_SETTLED {
            let (edge, sequence) = edge::of_short(&id);
            self.edges.insert(edge, sequence, at);
        } else {
            self.insert(id, until_seconds, at);
        }
    }

    fn insert(&mut self, id: ShortId, until_seconds: u64, at: Position) {
        if self.done.insert(id, at).is_none() {
            self.until_seconds.entry(until_seconds).or_default().push(id);
        }
    }

    pub(super) fn forget_before(&mut self, now_seconds: u64) {
        while let Some(first) =
            self.until_seconds.first_entry().filter(|entry| *entry.key() < now_seconds)
        {
            self.forgotten_until_seconds = self.forgotten_until_seconds.max(*first.key());
            for id in first.remove() {
                self.done.remove(&id);
            }
        }
    }

    /// The entry in which the request with this id was done.
    pub(super) fn get(&self, id: &RequestId) -> Option<Position> {
        let known = self.done.get(&Requests::short(id)).copied();
        known.or_else(|| self.edges.get(&EdgeRequest::of(id)?))
    }

    /// Number of requests remembered.
    pub(super) fn len(&self) -> usize {
        self.done.len() + self.edges.len()
    }

    /// Id, until and entry of each, in a fixed order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ShortId, u64, Position)> {
        let own = self.until_seconds.iter().flat_map(|(until, ids)| {
            let mut ids: Vec<_> =
                ids.iter().filter_map(|id| Some((*id, *until, *self.done.get(id)?))).collect();
            ids.sort_unstable();
            ids
        });
        own.chain(self.edges.iter().map(|(id, at)| (id, UNTIL_SETTLED, at)))
    }
}
