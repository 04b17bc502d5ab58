//! One queue for everything that is to happen at some time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Things with the time, in milliseconds, at which each is due; each is in it once at most.
pub(super) struct Timers<K> {
    order: BTreeSet<(u64, K)>,
    due: HashMap<K, u64>,
}

impl<K: Clone + Ord + Hash> Timers<K> {
    pub(super) fn new() -> Timers<K> {
        Timers { order: BTreeSet::new(), due: HashMap::new() }
    }

    /// Makes `key` due at this time, or not at all.
    pub(super) fn set(&mut self, key: K, due_ms: Option<u64>) {
        let before = match due_ms {
            Some(due_ms) => self.due.insert(key.clone(), due_ms),
            None => self.due.remove(&key),
        };
        if before == due_ms {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        self.order.extend(due_ms.map(|due_ms| (due_ms, key)));
    }

    /// Makes `key` due at this time unless it is already due, earlier or later.
    pub(super) fn set_if_idle(&mut self, key: K, due_ms: u64) {
        if !self.due.contains_key(&key) {
            self.set(key, Some(due_ms));
        }
    }

    /// When the next thing is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.order.first().map(|(due_ms, _)| *due_ms)
    }

    /// The next thing that is due by now, no longer in it.
    pub(super) fn pop(&mut self, now_ms: u64) -> Option<K> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.due.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_due_once_at_its_last_time() {
        let mut timers = Timers::new();
        timers.set("a", Some(5));
        timers.set("b", Some(3));
        timers.set("a", Some(2));
        timers.set("c", Some(1));
        timers.set("c", None);
        timers.set_if_idle("a", 9);
        timers.set_if_idle("d", 4);
        assert_eq!((timers.next_ms(), timers.pop(1)), (Some(2), None));
        assert_eq!(
            [2, 3, 3, 9].map(|now_ms| timers.pop(now_ms)),
            [Some("a"), Some("b"), None, Some("d")]
        );
        assert_eq!(timers.next_ms(), None);
    }
}
