//! One file of the simulated disk: what programs see, and what the platter holds.
//!
//! It must never let bytes reach the platter except by a sync, or by a crash that the seed tears.

use std::collections::BTreeMap;

use super::SECTOR_BYTES;
use crate::random::Random;

type Sector = [u8; SECTOR_BYTES];

/// A file. Every sector written since the last sync keeps each of its states, since a disk may
/// write a cached sector at any moment, and each sector independently of the others.
#[derive(Debug, Default)]
pub(super) struct File {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: BTreeMap<usize, Vec<Sector>>,
    unsynced_lengths: Vec<usize>,
}

impl File {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    /// Copies what is at `offset` into `into`; returns how many bytes there were.
    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let from = self.cached.get(offset..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let old_len = self.cached.len();
        let end = offset + bytes.len();
        if end > old_len {
            self.cached.resize(end, 0);
            self.unsynced_lengths.push(end);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        // A write past the end also writes the zeros of the gap.
        self.remember(offset.min(old_len), end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old_len = self.cached.len();
        if len == old_len {
            return;
        }
        self.cached.resize(len, 0);
        self.unsynced_lengths.push(len);
        self.remember(len.min(old_len), len.max(old_len));
    }

    /// Keeps the present state of the sectors that cover `from..to`.
    fn remember(&mut self, from: usize, to: usize) {
        for number in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let mut sector = [0; SECTOR_BYTES];
            self.read(number * SECTOR_BYTES, &mut sector);
            self.unsynced.entry(number).or_default().push(sector);
        }
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&mut self) {
        for (number, mut states) in std::mem::take(&mut self.unsynced) {
            if let Some(sector) = states.pop() {
                self.persist_sector(number, &sector);
            }
        }
        if self.unsynced_lengths.drain(..).next_back().is_some() {
            self.durable.resize(self.cached.len(), 0);
        } else {
            // Sectors are whole, files are not: cut what the last sector has too much.
            self.durable.truncate(self.cached.len());
        }
    }

    /// A failed sync, as Linux has it: the unsynced bytes stay readable and are never written.
    pub(super) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
        self.unsynced_lengths.clear();
    }

    /// Power loss: only what is on the platter stays. `survivors` is `None` where no unsynced
    /// sector survives; otherwise it decides the state of each sector and of the length.
    pub(super) fn crash(&mut self, survivors: Option<&mut Random>) {
        if let Some(random) = survivors {
            self.persist_some(random);
        }
        self.forget_unsynced();
        self.cached.clone_from(&self.durable);
    }

    /// Writes a seeded choice of the unsynced sectors: all of them, all but a few, or each in any
    /// state it went through, the old one included.
    pub(super) fn persist_some(&mut self, random: &mut Random) {
        let losses = match random.below(3) {
            0 => Losses::None,
            1 => Losses::Few,
            _ => Losses::Many,
        };
        let lengths = std::mem::take(&mut self.unsynced_lengths);
        let chosen = losses.choose(lengths.len(), random);
        let length = chosen.map_or(self.durable.len(), |choice| lengths[choice]);
        for (number, states) in std::mem::take(&mut self.unsynced) {
            if let Some(choice) = losses.choose(states.len(), random) {
                self.persist_sector(number, &states[choice]);
            }
        }
        self.durable.resize(length, 0);
    }

    fn persist_sector(&mut self, number: usize, sector: &Sector) {
        let offset = number * SECTOR_BYTES;
        if self.durable.len() < offset + SECTOR_BYTES {
            self.durable.resize(offset + SECTOR_BYTES, 0);
        }
        self.durable[offset..offset + SECTOR_BYTES].copy_from_slice(sector);
    }

    /// Flips one bit, on the platter and as programs see it.
    ///
    /// # Panics
    /// If neither reaches as far as `offset`: the test would check nothing.
    pub(super) fn flip_bit(&mut self, offset: usize, bit: u8) {
        let mut flipped = false;
        for bytes in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        assert!(flipped, "no byte {offset} to flip a bit of");
    }
}

/// How much of what was not synced a crash loses.
#[derive(Clone, Copy)]
enum Losses {
    None,
    Few,
    Many,
}

impl Losses {
    /// The state that survives, of `states` that were not synced; `None` for the synced one.
    fn choose(self, states: usize, random: &mut Random) -> Option<usize> {
        let many = matches!(self, Self::Many) || matches!(self, Self::Few) && random.one_in(16);
        let kept = if many { random.below(states as u64 + 1) as usize } else { states };
        kept.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_synced_bytes_survive() {
        let mut file = File::default();
        file.write(0, b"kept");
        file.sync();
        file.write(4, b" lost");
        file.crash(None);
        assert_eq!(file.cached, b"kept");
    }

    #[test]
    fn a_shortened_file_comes_back_unless_synced() {
        let mut file = File::default();
        file.write(0, &[7; 2000]);
        file.sync();
        file.set_len(100);
        file.crash(None);
        assert_eq!(file.cached, [7; 2000]);
        file.set_len(100);
        file.sync();
        file.set_len(2000);
        file.sync();
        file.crash(None);
        assert_eq!(file.cached[..100], [7; 100]);
        assert_eq!(file.cached[100..], [0; 1900]);
    }

    #[test]
    fn sectors_survive_whole_and_independently() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[0; 2 * SECTOR_BYTES]);
            file.sync();
            file.write(0, &[1; 2 * SECTOR_BYTES]);
            file.crash(Some(&mut Random::new(seed)));
            let (a, b) = file.cached.split_at(SECTOR_BYTES);
            assert!(a.iter().all(|x| *x == a[0]) && b.iter().all(|x| *x == b[0]), "seed {seed}");
            seen.insert((a[0], b[0]));
        }
        assert_eq!(seen.len(), 4, "each sector is old or new, independently");
    }

    #[test]
    fn a_failed_sync_forgets() {
        let mut file = File::default();
        file.write(0, b"lost");
        file.forget_unsynced();
        file.sync();
        assert_eq!(file.cached, b"lost");
        file.crash(None);
        assert_eq!(file.cached, b"");
    }
}
