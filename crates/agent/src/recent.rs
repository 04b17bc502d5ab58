//! A map that forgets what was not used for long, so that memory stays bounded.
//!
//! It never forgets one of the last half of its keys that were changed, and what it forgets does
//! not depend on how keys are hashed: two sites that saw the same remember the same.

use std::collections::HashMap;

/// Values by key, at most about `2 * half` of them.
#[derive(Debug, Clone)]
pub(crate) struct Recent<T> {
    young: HashMap<u64, T>,
    old: HashMap<u64, T>,
    half: usize,
}

impl<T: Default> Recent<T> {
    /// Keeps at least the last `half` keys that were changed, and never more than twice as many.
    pub(crate) fn new(half: usize) -> Recent<T> {
        Recent { young: HashMap::new(), old: HashMap::new(), half: half.max(1) }
    }

    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The value, made if it is not there, to be changed.
    pub(crate) fn change(&mut self, key: u64) -> &mut T {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key).unwrap_or_default();
            if self.young.len() >= self.half {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(key, value);
        }
        self.young.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_lately_is_kept_and_the_rest_is_bounded() {
        let mut recent = Recent::<u64>::new(10);
        for key in 0..1000 {
            *recent.change(key) = key;
            assert!((key.saturating_sub(9)..=key).all(|one| recent.get(one) == Some(&one)));
            assert!(recent.len() <= 20);
            assert_eq!(*recent.change(0), 0);
        }
        assert_eq!(recent.get(500), None);
    }
}
