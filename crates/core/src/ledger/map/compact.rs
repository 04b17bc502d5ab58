//! The beginning of a tree as the few hashes that it takes to grow it further.
//!
//! A log's entries from some index on, with the hashes of all complete subtrees before it, lead
//! to the log's root. Who has that root signed knows then that none of these entries is missing,
//! without a proof for each.

use super::super::hash::{EMPTY_ROOT, Hash, node_hash};
use super::super::tree::SIZE_MAX;

/// A tree of RFC 6962 as its complete subtrees from left to right, one per bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<Hash>,
}

impl CompactRange {
    /// The tree of `size` entries with these complete subtrees, the largest first; `None` if
    /// their number is another than that of the bits of `size`.
    #[must_use]
    pub fn new(size: u64, hashes: Vec<Hash>) -> Option<CompactRange> {
        let fits = size <= SIZE_MAX && hashes.len() == size.count_ones() as usize;
        fits.then_some(CompactRange { size, hashes })
    }

    /// Number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The complete subtrees, the largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends the hash of an entry.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            // There is one per bit of the size, and this bit is set.
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The tree hash.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut hashes = self.hashes.iter().rev();
        let Some(last) = hashes.next() else { return EMPTY_ROOT };
        hashes.fold(*last, |right, left| node_hash(left, &right))
    }
}
