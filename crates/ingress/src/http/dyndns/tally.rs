//! How often who asks for updates, or fails to show who he is. A pure state machine of bounded
//! memory; time is passed in.

use std::collections::HashMap;
use std::hash::Hash;

/// Updates of one user within a minute.
pub(super) const UPDATES_A_MINUTE_MAX: u32 = 60;
/// Wrong passwords of one source within a minute; after that none is looked at.
pub(super) const FAILURES_A_MINUTE_MAX: u32 = 10;
/// Users or sources that are counted at once.
const COUNTED_MAX: usize = 4_096;
/// Seconds of a minute.
const MINUTE_SECONDS: u64 = 60;

/// Counts within a minute, by whom.
#[derive(Debug)]
pub(super) struct Tally<K> {
    minute: u64,
    counts: HashMap<K, u32>,
}

impl<K> Default for Tally<K> {
    fn default() -> Tally<K> {
        Tally { minute: 0, counts: HashMap::new() }
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// What has been counted of `who` in this minute.
    pub(super) fn count(&mut self, who: &K, now_seconds: u64) -> u32 {
        let minute = now_seconds / MINUTE_SECONDS;
        if minute != self.minute {
            self.minute = minute;
            self.counts.clear();
        }
        // Whoever fills the table has everybody else counted as full until the minute ends: nobody
        // gets more tries by making others.
        match self.counts.get(who) {
            Some(count) => *count,
            None if self.counts.len() >= COUNTED_MAX => u32::MAX,
            None => 0,
        }
    }

    /// Counts one more; what there is then.
    pub(super) fn add(&mut self, who: K, now_seconds: u64) -> u32 {
        let count = self.count(&who, now_seconds).saturating_add(1);
        if count < u32::MAX {
            self.counts.insert(who, count);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_begin_anew_with_each_minute_and_never_grow_without_end() {
        let mut tally = Tally::default();
        assert_eq!((tally.add(1, 60), tally.add(1, 119), tally.count(&2, 119)), (1, 2, 0));
        assert_eq!((tally.count(&1, 120), tally.add(1, 120)), (0, 1));
        for who in 0..2 * COUNTED_MAX {
            tally.add(who, 180);
        }
        assert_eq!(tally.counts.len(), COUNTED_MAX);
        assert_eq!((tally.count(&0, 180), tally.count(&COUNTED_MAX, 180)), (1, u32::MAX));
    }
}
