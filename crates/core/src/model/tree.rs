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

mod octet_set;

use octet_set::OctetSet;
use std::sync::Arc;

/// A value that may be a tombstone.
pub trait Live {
    /// Whether the value counts for answers.
    fn is_live(&self) -> bool;
}

/// A value that knows the key it lies at.
pub trait Keyed {
    /// Whether that is `key`.
    fn has_key(&self, key: &[u8]) -> bool {
        self.with_key(|own| own == key)
    }

    /// Shows the key.
    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R;
}

/// The persistent map.
pub struct Tree<V> {
    root: Option<Child<V>>,
}

enum Child<V> {
    /// A value with nothing below it.
    Leaf(V),
    Node(Arc<Node<V>>),
}

/// A place in which keys part, or in which one ends while others go on: it has at least two of a
/// value and its children.
struct Node<V> {
    /// Octets between the one by which the parent knows this node and this node's place.
    path: Box<[u8]>,
    /// The value whose key ends here.
    value: Option<V>,
    /// The octets that follow, one for each child.
    next_octets: OctetSet,
    /// In the order of their octets.
    children: Box<[Child<V>]>,
    /// Live values here and below.
    live: u32,
}

impl<V> Clone for Tree<V>
where
    V: Clone,
{
    fn clone(&self) -> Tree<V> {
        Tree { root: self.root.clone() }
    }
}

impl<V: Clone> Clone for Child<V> {
    fn clone(&self) -> Child<V> {
        match self {
            Child::Leaf(value) => Child::Leaf(value.clone()),
            Child::Node(node) => Child::Node(Arc::clone(node)),
        }
    }
}

impl<V: Clone> Clone for Node<V> {
    fn clone(&self) -> Node<V> {
        Node {
            path: self.path.clone(),
            value: self.value.clone(),
            next_octets: self.next_octets,
            children: self.children.clone(),
            live: self.live,
        }
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
                Child::Leaf(value) => return value.has_key(key).then_some(value),
                Child::Node(node) => {
                    rest = rest.strip_prefix(&*node.path)?;
                    let Some((octet, tail)) = rest.split_first() else {
                        return node.value.as_ref();
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
                    found.end_at_leaf(value, key, on_the_way);
                    return found;
                }
                Child::Node(node) => node,
            };
            let rest = &key[depth..];
            let common = common_prefix(rest, &node.path);
            if node.live > 0 {
                found.matched = depth + common;
            }
            if common < node.path.len() {
                // The key ends inside this path, or leaves it.
                found.exists = node.live > 0 && common == rest.len();
                return found;
            }
            depth += common;
            if depth == key.len() {
                found.value = node.value.as_ref();
                found.exists = node.live > 0;
                return found;
            }
            if let Some(value) = node.value.as_ref().filter(|value| value.is_live()) {
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
    fn end_at_leaf(&mut self, value: &'t V, key: &[u8], mut on_the_way: impl FnMut(&'t V)) {
        if value.has_key(key) {
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
        debug_assert!(value.has_key(key));
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

impl<V: Live> Child<V> {
    fn live(&self) -> u32 {
        match self {
            Child::Leaf(value) => u32::from(value.is_live()),
            Child::Node(node) => node.live,
        }
    }

    fn into_leaf(self) -> Option<V> {
        match self {
            Child::Leaf(value) => Some(value),
            Child::Node(_) => None,
        }
    }
}

impl<V: Live + Keyed + Clone> Child<V> {
    /// Inserts here or below, where `depth` octets of the key lead to; returns the change of the
    /// live count.
    fn insert(&mut self, key: &[u8], depth: usize, value: V) -> i32 {
        match self {
            Child::Leaf(old) if old.has_key(key) => {
                let change = live_of(&value) - live_of(old);
                *old = value;
                change
            }
            Child::Leaf(old) => {
                let change = live_of(&value);
                *self = Child::Node(Arc::new(Node::parting(old.clone(), key, depth, value)));
                change
            }
            Child::Node(node) => {
                let common = common_prefix(&key[depth..], &node.path);
                if common < node.path.len() {
                    Node::split(node, common);
                }
                Arc::make_mut(node).insert(key, depth + common, value)
            }
        }
    }

    /// As [`Tree::modify`], where `rest` of the key leads; returns the change of the live count
    /// too.
    fn modify<R>(&mut self, rest: &[u8], change: impl FnOnce(&mut V) -> R) -> Option<(R, i32)> {
        match self {
            Child::Leaf(value) => Some(modify(value, change)),
            Child::Node(node) => {
                let node = Arc::make_mut(node);
                let (result, difference) = match rest[node.path.len()..].split_first() {
                    None => modify(node.value.as_mut()?, change),
                    Some((octet, rest)) => {
                        let at = node.next_octets.position(*octet)?;
                        node.children[at].modify(rest, change)?
                    }
                };
                node.add_live(difference);
                Some((result, difference))
            }
        }
    }

    /// As [`Tree::remove`], for a key that is there and not at a leaf right here; `rest` of it
    /// leads on from here.
    fn remove(&mut self, rest: &[u8]) -> Option<V> {
        let Child::Node(node) = self else { return None };
        let node = Arc::make_mut(node);
        let removed = match rest[node.path.len()..].split_first() {
            None => node.value.take()?,
            Some((octet, rest)) => {
                let at = node.next_octets.position(*octet)?;
                match &mut node.children[at] {
                    Child::Leaf(_) => node.remove_child(at, *octet).into_leaf()?,
                    below => below.remove(rest)?,
                }
            }
        };
        node.add_live(-live_of(&removed));
        if let Some(less) = node.collapsed() {
            *self = less;
        }
        Some(removed)
    }
}

impl<V: Live> Node<V> {
    fn child(&self, octet: u8) -> Option<&Child<V>> {
        self.next_octets.position(octet).map(|at| &self.children[at])
    }

    fn add_live(&mut self, difference: i32) {
        self.live = self
            .live
            .checked_add_signed(difference)
            .unwrap_or_else(|| unreachable!("live counts balance"));
    }
}

impl<V: Live + Keyed + Clone> Node<V> {
    /// The node in which the keys of two values part; `depth` octets lead to it.
    fn parting(old: V, key: &[u8], depth: usize, value: V) -> Node<V> {
        let (common, old_octet) = old.with_key(|own| {
            let common = common_prefix(own, key);
            (common, own.get(common).copied())
        });
        let mut node = Node {
            path: key[depth..common].into(),
            value: None,
            next_octets: OctetSet::default(),
            children: Box::new([]),
            live: (live_of(&old) + live_of(&value)) as u32,
        };
        for (value, octet) in [(old, old_octet), (value, key.get(common).copied())] {
            match octet {
                None => node.value = Some(value),
                Some(octet) => node.insert_child(octet, Child::Leaf(value)),
            }
        }
        node
    }

    /// Inserts here or below, where `depth` octets of the key lead to, this node's path included;
    /// returns the change of the live count.
    fn insert(&mut self, key: &[u8], depth: usize, value: V) -> i32 {
        let change = match key.get(depth) {
            None => {
                let change = live_of(&value);
                let old = self.value.replace(value);
                change - old.as_ref().map_or(0, live_of)
            }
            Some(octet) => match self.next_octets.position(*octet) {
                Some(at) => self.children[at].insert(key, depth + 1, value),
                None => {
                    let change = live_of(&value);
                    self.insert_child(*octet, Child::Leaf(value));
                    change
                }
            },
        };
        self.add_live(change);
        change
    }

    fn insert_child(&mut self, octet: u8, child: Child<V>) {
        let mut children = std::mem::take(&mut self.children).into_vec();
        children.reserve_exact(1);
        children.insert(self.next_octets.insert(octet), child);
        self.children = children.into_boxed_slice();
    }

    fn remove_child(&mut self, at: usize, octet: u8) -> Child<V> {
        let mut children = std::mem::take(&mut self.children).into_vec();
        self.next_octets.remove(octet);
        let child = children.remove(at);
        self.children = children.into_boxed_slice();
        child
    }

    /// Cuts the path of `this` after `at` octets, putting a node without value in between.
    fn split(this: &mut Arc<Node<V>>, at: usize) {
        let upper_path: Box<[u8]> = this.path[..at].into();
        let (octet, lower_path): (u8, Box<[u8]>) = (this.path[at], this.path[at + 1..].into());
        let live = this.live;
        Arc::make_mut(this).path = lower_path;
        let mut next_octets = OctetSet::default();
        next_octets.insert(octet);
        let children = Box::new([Child::Node(Arc::clone(this))]);
        *this = Arc::new(Node { path: upper_path, value: None, next_octets, children, live });
    }

    /// What can stand in this node's place when it has only one of a value and children left.
    fn collapsed(&mut self) -> Option<Child<V>> {
        match (&mut self.value, &mut *self.children) {
            (Some(value), []) => Some(Child::Leaf(value.clone())),
            (None, [Child::Leaf(value)]) => Some(Child::Leaf(value.clone())),
            (None, [Child::Node(below)]) => {
                let octet = self.next_octets.first()?;
                let path = [&self.path, &[octet][..], &below.path].concat();
                Arc::make_mut(below).path = path.into();
                Some(Child::Node(Arc::clone(below)))
            }
            _ => None,
        }
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
                Some(Child::Leaf(value)) => return Some(value),
                Some(Child::Node(node)) => {
                    self.stack.push(node.children.iter());
                    if let Some(value) = &node.value {
                        return Some(value);
                    }
                }
            }
        }
    }
}

/// Changes the value; returns the change of its live count too.
fn modify<V: Live, R>(value: &mut V, change: impl FnOnce(&mut V) -> R) -> (R, i32) {
    let before = live_of(value);
    let result = change(value);
    (result, live_of(value) - before)
}

fn live_of<V: Live>(value: &V) -> i32 {
    i32::from(value.is_live())
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
