//! A set of octets in which each member's rank is its place in a parallel array.

/// A bit for each octet.
#[derive(Clone, Copy, Default)]
pub(super) struct OctetSet([u64; 4]);

impl OctetSet {
    /// How many members are smaller than `octet`.
    fn rank(self, octet: u8) -> usize {
        let (word, bit) = (usize::from(octet >> 6), octet & 63);
        let below = self.0[word] & !(u64::MAX << bit);
        let words_before: u32 = self.0[..word].iter().map(|word| word.count_ones()).sum();
        (words_before + below.count_ones()) as usize
    }

    fn contains(self, octet: u8) -> bool {
        self.0[usize::from(octet >> 6)] >> (octet & 63) & 1 == 1
    }

    /// The rank of `octet` if it is a member.
    pub(super) fn position(self, octet: u8) -> Option<usize> {
        self.contains(octet).then(|| self.rank(octet))
    }

    /// Adds `octet`, which must not be a member yet; returns its rank.
    pub(super) fn insert(&mut self, octet: u8) -> usize {
        self.0[usize::from(octet >> 6)] |= 1 << (octet & 63);
        self.rank(octet)
    }

    pub(super) fn remove(&mut self, octet: u8) {
        self.0[usize::from(octet >> 6)] &= !(1 << (octet & 63));
    }

    /// The smallest member.
    pub(super) fn first(self) -> Option<u8> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some((64 * word) as u8 + self.0[word].trailing_zeros() as u8)
    }
}
