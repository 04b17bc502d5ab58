//! Requests that come by way of a daemon beside devices: they are known by the edge and its sequence
//! number, and remembered until the edge itself says that it will not send them again.
//!
//! A device's own request can only be repeated for as long as its signature is taken; an edge may have
//! to keep one for days while no site can be reached. So it says with each request below which number
//! everything is settled, and that alone makes sites forget.

use super::Position;
use super::request::RequestId;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// In place of a second until which a request is remembered: until its edge has settled it.
pub const UNTIL_SETTLED: u64 = u64::MAX;

/// Ends the id of every such request; no hash is expected to.
const MARK: [u8; 8] = *b"edge seq";
/// Spreads sequence numbers over the first octets of ids, by which tables find them: odd, so that it
/// can be undone.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first octets of the hash of an edge's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeTag(pub [u8; 8]);

impl EdgeTag {
    /// The tag of the edge with this name, which is its key's.
    pub fn of(edge: &einhorn_wire::Name) -> EdgeTag {
        let mut hash = Sha256::new();
        hash.update(b"einhorn edge\n");
        hash.update(edge.to_lowercase().as_wire());
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash.finalize()[..8]);
        EdgeTag(tag)
    }
}

/// Which request of which edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeRequest {
    /// The edge.
    pub edge: EdgeTag,
    /// Its number there: no other request of this edge has, had or gets it.
    pub sequence: u64,
    /// When it was numbered, every request with a lower number than this was settled.
    pub lowest: u64,
}

impl EdgeRequest {
    /// The id under which it is known: first edge and sequence, by which it is remembered.
    pub fn id(&self) -> RequestId {
        let tag = u64::from_be_bytes(self.edge.0);
        let words = [tag ^ self.sequence.wrapping_mul(SPREAD), tag, self.lowest];
        let mut id = [0; 32];
        for (place, word) in id.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        id[24..].copy_from_slice(&MARK);
        RequestId(id)
    }

    /// The request of an edge that has this id; `None` if the id is not of an edge.
    pub fn of(id: &RequestId) -> Option<EdgeRequest> {
        let (first, rest) = id.0.split_first_chunk::<16>()?;
        let (lowest, mark) = rest.split_first_chunk()?;
        if mark != MARK {
            return None;
        }
        let (edge, sequence) = of_short(first);
        Some(EdgeRequest { edge, sequence, lowest: u64::from_be_bytes(*lowest) })
    }
}

/// Edge and sequence of the first octets of an id.
pub(super) fn of_short(short: &[u8; 16]) -> (EdgeTag, u64) {
    let mut words = [[0; 8]; 2];
    words[0].copy_from_slice(&short[..8]);
    words[1].copy_from_slice(&short[8..]);
    let [spread, tag] = words.map(u64::from_be_bytes);
    (EdgeTag(words[1]), (spread ^ tag).wrapping_mul(inverse_of_spread()))
}

/// What undoes the multiplication, by Newton's method: each round doubles the bits that are right.
const fn inverse_of_spread() -> u64 {
    let mut inverse = SPREAD;
    let mut round = 0;
    while round < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(SPREAD.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// Requests of one edge.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Window {
    /// Every number below is settled.
    lowest: u64,
    /// The entry that each was done in, from `lowest` on.
    done: BTreeMap<u64, Position>,
}

/// Requests of edges that were done and are not settled. What comes of folding requests does not depend
/// on their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Windows {
    by_edge: BTreeMap<EdgeTag, Window>,
    /// Requests of all edges together.
    done: usize,
}

impl Windows {
    /// Takes note of a request that was done, and forgets what its edge has settled.
    pub(super) fn note(&mut self, request: &EdgeRequest, at: Position) {
        self.raise(request.edge, request.lowest);
        self.insert(request.edge, request.sequence, at);
    }

    /// Takes note that a request was done, unless it is settled.
    pub(super) fn insert(&mut self, edge: EdgeTag, sequence: u64, at: Position) {
        let window = self.by_edge.entry(edge).or_default();
        if sequence >= window.lowest {
            let known = window.done.get(&sequence).copied();
            // The first of two logs that have it, whichever is folded first.
            let first = known.map_or(at, |known| known.min(at));
            self.done += usize::from(window.done.insert(sequence, first).is_none());
        }
    }

    /// Everything of the edge below `lowest` is settled.
    pub(super) fn raise(&mut self, edge: EdgeTag, lowest: u64) {
        let window = self.by_edge.entry(edge).or_default();
        if lowest > window.lowest {
            let kept = window.done.split_off(&lowest);
            self.done -= std::mem::replace(&mut window.done, kept).len();
            window.lowest = lowest;
        }
    }

    /// The entry in which a request was done.
    pub(super) fn get(&self, request: &EdgeRequest) -> Option<Position> {
        self.by_edge.get(&request.edge)?.done.get(&request.sequence).copied()
    }

    /// Whether the edge said that it will not send this again: then it is a copy that came late.
    pub(super) fn is_settled(&self, request: &EdgeRequest) -> bool {
        self.by_edge.get(&request.edge).is_some_and(|window| request.sequence < window.lowest)
    }

    /// Number of requests remembered.
    pub(super) fn len(&self) -> usize {
        self.done
    }

    /// The first octets of each request's id with its entry, in a fixed order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ([u8; 16], Position)> {
        self.by_edge.iter().flat_map(|(edge, window)| {
            window.done.iter().map(|(sequence, at)| {
                let mut short = [0; 16];
                let id = EdgeRequest { edge: *edge, sequence: *sequence, lowest: 0 }.id();
                short.copy_from_slice(&id.0[..16]);
                (short, *at)
            })
        })
    }

    /// Every edge with the lowest number that is not settled.
    pub(super) fn lowest(&self) -> impl ExactSizeIterator<Item = (EdgeTag, u64)> {
        self.by_edge.iter().map(|(edge, window)| (*edge, window.lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;
    use proptest::prelude::*;

    fn at(index: u64) -> Position {
        Position { origin: Origin { site: 1, generation: 1 }, index }
    }

    fn request(sequence: u64, lowest: u64) -> EdgeRequest {
        let name = "edge.fleet.example.".parse().expect("a name");
        EdgeRequest { edge: EdgeTag::of(&name), sequence, lowest }
    }

    #[test]
    fn what_is_settled_is_forgotten_and_told_from_what_was_never_done() {
        let mut windows = Windows::default();
        windows.note(&request(5, 5), at(1));
        windows.note(&request(7, 5), at(2));
        assert_eq!(windows.get(&request(5, 5)), Some(at(1)));
        assert!(!windows.is_settled(&request(6, 5)));
        windows.note(&request(8, 7), at(3));
        assert_eq!((windows.get(&request(5, 5)), windows.get(&request(7, 0))), (None, Some(at(2))));
        assert!(windows.is_settled(&request(6, 5)) && !windows.is_settled(&request(9, 5)));
        assert_eq!(windows.len(), 2);
        let other = EdgeRequest { edge: EdgeTag([0; 8]), ..request(7, 7) };
        assert_eq!((windows.get(&other), windows.is_settled(&other)), (None, false));
    }

    proptest! {
        #[test]
        fn an_id_says_whose_it_is(sequence: u64, lowest: u64, tag: [u8; 8]) {
            let request = EdgeRequest { edge: EdgeTag(tag), sequence, lowest };
            prop_assert_eq!(EdgeRequest::of(&request.id()), Some(request));
            let mut other = request.id();
            other.0[31] ^= 1;
            prop_assert_eq!(EdgeRequest::of(&other), None);
        }

        #[test]
        fn order_does_not_matter(
            mut requests in proptest::collection::vec((0u64..20, 0u64..20), 0..30),
            seed: u64,
        ) {
            let fold = |requests: &[(u64, u64)]| {
                let mut windows = Windows::default();
                for (sequence, behind) in requests {
                    let lowest = sequence.saturating_sub(*behind);
                    windows.note(&request(*sequence, lowest), at(*sequence));
                }
                let done: Vec<_> = windows.iter().collect();
                prop_assert_eq!(done.len(), windows.len());
                Ok((done, windows.lowest().collect::<Vec<_>>()))
            };
            let one = fold(&requests)?;
            let turn = requests.len().max(1);
            requests.rotate_left(seed as usize % turn);
            requests.reverse();
            prop_assert_eq!(one, fold(&requests)?);
        }
    }
}
