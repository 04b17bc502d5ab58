//! A persistent ordered map from octet strings to values: the shape of all zone state.
//!
//! Cloning a tree costs nothing and gives a snapshot; a later change copies only the nodes on
//! its path that a snapshot still shares. Keys are canonical name keys, in which an ancestor is
//! a prefix of its descendants, so one descent answers "is it there", "is anything below it" and
//! "which of its ancestors are there". Values know whether they are *live*; each node counts the
//! live values below it, so that tombstones cost no answer a second look.
//!
//! It is a radix tree with compressed paths that never rebalances. Values know their own keys, so
//! that one with nothing below it is a *leaf*, which costs its place among its parent's children
//! and nothing else. Values should be cheap to clone, as references are.

mod node;
mod octet_set;

use node::Child;

/// A value that may be a tombstone.
pub trait Live {
    /// Whether the value counts for answers.
    fn is_live(&self) -> bool;
}

/// A value that knows the key it lies at.
pub trait Keyed {
    /// Whether that is `key`, which is known to begin with its first `depth` octets.
    fn has_key(&self, key: &[u8], _depth: usize) -> bool {
        self.with_key(|own| own == key)
    }

    /// Shows the key.
    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R;
}

/// The persistent map.
pub struct Tree<V> {
    root: Option<Child<V>>,
}

impl<V> Clone for Tree<V>
where
    V: Clone,
{
    fn clone(&self) -> Tree<V> {
        Tree { root: self.root.clone() }
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Tree<V> {
        Tree { root: None }
    }
}

/// What a descent towards a key found.
pub struct Descent<'t, V> {
    /// The value at exactly this key, tombstones included.
    pub value: Option<&'t V>,
    /// How many octets of the key lead to something live.
    pub matched: usize,
    /// Whether the whole key leads to something live: a live value here or below.
    pub exists: bool,
}

impl<V: Live + Keyed> Tree<V> {
    /// Number of live values.
    pub fn live_count(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.live() as usize)
    }

    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let mut child = self.root.as_ref()?;
        let mut rest = key;
        loop {
            match child {
                Child::Leaf(value) => {
                    return value.has_key(key, key.len() - rest.len()).then_some(value);
                }
                Child::Taken => return None,
                Child::Node(node) => {
                    let head = node.head();
                    rest = rest.strip_prefix(&*head.path)?;
                    let Some((octet, tail)) = rest.split_first() else {
                        return head.value.as_ref();
                    };
                    child = node.child(*octet)?;
                    rest = tail;
                }
            }
        }
    }

    /// Goes towards `key`, showing `on_the_way` each live value whose key is a proper prefix of
    /// it, from the top down.
    pub fn descend<'t>(&'t self, key: &[u8], mut on_the_way: impl FnMut(&'t V)) -> Descent<'t, V> {
        let mut found = Descent { value: None, matched: 0, exists: false };
        let mut next = self.root.as_ref();
        let mut depth = 0;
        while let Some(child) = next {
            let node = match child {
                Child::Leaf(value) => {
                    found.end_at_leaf(value, key, depth, on_the_way);
                    return found;
                }
                Child::Node(node) => node,
                Child::Taken => break,
            };
            let head = node.head();
            let rest = &key[depth..];
            let common = common_prefix(rest, &head.path);
            if head.live > 0 {
                found.matched = depth + common;
            }
            if common < head.path.len() {
                // The key ends inside this path, or leaves it.
                found.exists = head.live > 0 && common == rest.len();
                return found;
            }
            depth += common;
            if depth == key.len() {
                found.value = head.value.as_ref();
                found.exists = head.live > 0;
                return found;
            }
            if let Some(value) = head.value.as_ref().filter(|value| value.is_live()) {
                on_the_way(value);
            }
            next = node.child(key[depth]);
            depth += 1;
        }
        found
    }

    /// All values in key order, tombstones included.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { stack: vec![self.root.as_slice().iter()] }
    }
}

impl<'t, V: Live + Keyed> Descent<'t, V> {
    fn end_at_leaf(
        &mut self,
        value: &'t V,
        key: &[u8],
        depth: usize,
        mut on_the_way: impl FnMut(&'t V),
    ) {
        if value.has_key(key, depth) {
            self.value = Some(value);
            if value.is_live() {
                self.matched = key.len();
                self.exists = true;
            }
        } else if value.is_live() {
            let (common, own) = value.with_key(|own| (common_prefix(own, key), own.len()));
            self.matched = common;
            self.exists = common == key.len();
            if common == own {
                on_the_way(value);
            }
        }
    }
}

impl<V: Live + Keyed + Clone> Tree<V> {
    /// Puts `value` at `key`, which must be its own.
    pub fn insert(&mut self, key: &[u8], value: V) {
        debug_assert!(value.has_key(key, 0));
        match &mut self.root {
            None => self.root = Some(Child::Leaf(value)),
            Some(root) => {
                root.insert(key, 0, value);
            }
        }
    }

    /// Lets `change` alter the value at `key`, all but its key; `None` if there is none.
    pub fn modify<R>(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> R) -> Option<R> {
        // Nothing is copied for a key that is not there.
        self.get(key)?;
        self.root.as_mut()?.modify(key, change).map(|(result, _)| result)
    }

    /// Takes the value at `key` away.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        // Nothing is copied for a key that is not there.
        self.get(key)?;
        if let Some(Child::Leaf(_)) = &self.root {
            return self.root.take().and_then(Child::into_leaf);
        }
        self.root.as_mut()?.remove(key)
    }
}

/// Iterator over the values of a tree in key order.
pub struct Iter<'t, V> {
    /// For each level, the children that are still to be visited.
    stack: Vec<std::slice::Iter<'t, Child<V>>>,
}

impl<'t, V> Iterator for Iter<'t, V> {
    type Item = &'t V;

    fn next(&mut self) -> Option<&'t V> {
        loop {
            match self.stack.last_mut()?.next() {
                None => {
                    self.stack.pop();
                }
                Some(Child::Taken) => {}
                Some(Child::Leaf(value)) => return Some(value),
                Some(Child::Node(node)) => {
                    self.stack.push(node.children().iter());
                    if let Some(value) = &node.head().value {
                        return Some(value);
                    }
                }
            }
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
