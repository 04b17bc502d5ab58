//! A persistent ordered map from octet strings to values: the shape of all zone state.
//!
//! Cloning a tree costs nothing and gives a snapshot; a later insertion copies only the nodes on
//! its path that a snapshot still shares. Keys are canonical name keys, in which an ancestor is
//! a prefix of its descendants, so one descent answers "is it there", "is anything below it" and
//! "which of its ancestors are there". Values know whether they are *live*; each node counts the
//! live values below it, so that tombstones cost no answer a second look.
//!
//! It is a radix tree with compressed paths. It never rebalances and never removes a key: state
//! replaces values, it does not forget them.

use std::sync::Arc;

/// A value that may be a tombstone.
pub trait Live {
    /// Whether the value counts for answers.
    fn is_live(&self) -> bool;
}

/// The persistent map.
pub struct Tree<V> {
    root: Option<Arc<Node<V>>>,
}

struct Node<V> {
    /// Octets between the parent's and this node's place.
    path: Box<[u8]>,
    value: Option<Arc<V>>,
    /// Live values here and below.
    live: u32,
    /// First octet of each child's path, ascending; parallel to `children`.
    first_octets: Vec<u8>,
    children: Vec<Arc<Node<V>>>,
}

impl<V> Clone for Tree<V> {
    fn clone(&self) -> Tree<V> {
        Tree { root: self.root.clone() }
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Node<V> {
        Node {
            path: self.path.clone(),
            value: self.value.clone(),
            live: self.live,
            first_octets: self.first_octets.clone(),
            children: self.children.clone(),
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
    pub value: Option<&'t Arc<V>>,
    /// How many octets of the key lead to something live.
    pub matched: usize,
    /// Whether the whole key leads to something live: a live value here or below.
    pub exists: bool,
}

impl<V: Live> Tree<V> {
    /// Number of live values.
    pub fn live_count(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.live as usize)
    }

    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<V>> {
        let mut node = self.root.as_deref()?;
        let mut rest = key.strip_prefix(&*node.path)?;
        while let Some(first) = rest.first() {
            node = node.child(*first)?;
            rest = rest.strip_prefix(&*node.path)?;
        }
        node.value.as_ref()
    }

    /// Goes towards `key`, showing `on_the_way` each live value whose key is a proper prefix of
    /// it, from the top down.
    pub fn descend<'t>(
        &'t self,
        key: &[u8],
        mut on_the_way: impl FnMut(&'t Arc<V>),
    ) -> Descent<'t, V> {
        let mut found = Descent { value: None, matched: 0, exists: false };
        let mut next = self.root.as_deref();
        let mut depth = 0;
        while let Some(node) = next {
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
        }
        found
    }

    /// Puts `value` at `key`.
    pub fn insert(&mut self, key: &[u8], value: Arc<V>) {
        match &mut self.root {
            None => self.root = Some(Arc::new(Node::leaf(key, value))),
            Some(root) => {
                Node::insert(root, key, value);
            }
        }
    }

    /// Lets `change` alter the value at `key`; `None` if there is none.
    pub fn modify<R>(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> R) -> Option<R>
    where
        V: Clone,
    {
        self.get(key)?;
        Node::modify(self.root.as_mut()?, key, change).map(|(result, _)| result)
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Arc<V>> {
        let removed = self.get(key).map(Arc::clone)?;
        let mut rest = Tree::default();
        fn copy<V: Live>(node: &Node<V>, key: &mut Vec<u8>, without: &[u8], rest: &mut Tree<V>) {
            let start = key.len();
            key.extend_from_slice(&node.path);
            if let Some(value) = node.value.as_ref().filter(|_| key != without) {
                rest.insert(key, Arc::clone(value));
            }
            node.children.iter().for_each(|child| copy(child, key, without, rest));
            key.truncate(start);
        }
        self.root.iter().for_each(|root| copy(root, &mut Vec::new(), key, &mut rest));
        *self = rest;
        Some(removed)
    }

    /// All values in key order, tombstones included.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { stack: self.root.iter().map(|root| (&**root, 0)).collect() }
    }
}

impl<V: Live> Node<V> {
    fn leaf(path: &[u8], value: Arc<V>) -> Node<V> {
        let live = u32::from(value.is_live());
        Node {
            path: path.into(),
            value: Some(value),
            live,
            first_octets: Vec::new(),
            children: Vec::new(),
        }
    }

    fn child(&self, first_octet: u8) -> Option<&Node<V>> {
        // Most nodes have few children, in ascending order.
        let at = self.first_octets.iter().position(|octet| *octet >= first_octet)?;
        (self.first_octets[at] == first_octet).then(|| &*self.children[at])
    }

    /// Inserts below `this` and returns the change of its live count.
    fn insert(this: &mut Arc<Node<V>>, key: &[u8], value: Arc<V>) -> i32 {
        let common = common_prefix(key, &this.path);
        if common < this.path.len() {
            Node::split(this, common);
        }
        let rest = &key[common..];
        let node = Arc::make_mut(this);
        let change = match rest.first() {
            None => {
                let change = i32::from(value.is_live());
                let old = node.value.replace(value);
                change - i32::from(old.is_some_and(|old| old.is_live()))
            }
            Some(first) => match node.first_octets.binary_search(first) {
                Ok(at) => Node::insert(&mut node.children[at], rest, value),
                Err(at) => {
                    let change = i32::from(value.is_live());
                    node.first_octets.insert(at, *first);
                    node.children.insert(at, Arc::new(Node::leaf(rest, value)));
                    change
                }
            },
        };
        node.add_live(change);
        change
    }

    /// As [`Tree::modify`], for a key that is there; returns the change of the live count too.
    fn modify<R>(
        this: &mut Arc<Node<V>>,
        key: &[u8],
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<(R, i32)>
    where
        V: Clone,
    {
        let node = Arc::make_mut(this);
        let rest = &key[node.path.len()..];
        let (result, difference) = match rest.first() {
            None => {
                let value = Arc::make_mut(node.value.as_mut()?);
                let before = i32::from(value.is_live());
                let result = change(value);
                (result, i32::from(value.is_live()) - before)
            }
            Some(first) => {
                let at = node.first_octets.binary_search(first).ok()?;
                Node::modify(&mut node.children[at], rest, change)?
            }
        };
        node.add_live(difference);
        Some((result, difference))
    }

    fn add_live(&mut self, difference: i32) {
        self.live = self
            .live
            .checked_add_signed(difference)
            .unwrap_or_else(|| unreachable!("live counts balance"));
    }

    /// Cuts the path of `this` after `at` octets, putting a node without value in between.
    fn split(this: &mut Arc<Node<V>>, at: usize) {
        let (upper_path, lower_path) = this.path.split_at(at);
        let (upper_path, lower_path): (Box<[u8]>, Box<[u8]>) =
            (upper_path.into(), lower_path.into());
        let live = this.live;
        let first_octets = vec![lower_path[0]];
        Arc::make_mut(this).path = lower_path;
        let lower = Arc::clone(this);
        *this = Arc::new(Node {
            path: upper_path,
            value: None,
            live,
            first_octets,
            children: vec![lower],
        });
    }
}

/// Iterator over the values of a tree in key order.
pub struct Iter<'t, V> {
    /// Nodes with the number of their children already visited; 0 also means the value is due.
    stack: Vec<(&'t Node<V>, usize)>,
}

impl<'t, V> Iterator for Iter<'t, V> {
    type Item = &'t Arc<V>;

    fn next(&mut self) -> Option<&'t Arc<V>> {
        loop {
            let (node, visited) = self.stack.last_mut()?;
            let node = *node;
            let first_visit = *visited == 0;
            let child = node.children.get(*visited);
            *visited += 1;
            match child {
                Some(child) => self.stack.push((child, 0)),
                None => {
                    self.stack.pop();
                }
            }
            if first_visit && node.value.is_some() {
                return node.value.as_ref();
            }
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq)]
    struct Value(u32, bool);

    impl Live for Value {
        fn is_live(&self) -> bool {
            self.1
        }
    }

    fn keys() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
        let key = proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..6);
        proptest::collection::vec((key, any::<bool>()), 0..60)
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map_and_snapshots_stay(operations in keys(), probe in keys()) {
            let mut tree = Tree::default();
            let mut model: BTreeMap<Vec<u8>, Value> = BTreeMap::new();
            let mut snapshots = Vec::new();
            for (i, (key, live)) in operations.iter().enumerate() {
                snapshots.push((tree.clone(), model.clone()));
                let value = Value(i as u32, *live);
                tree.insert(key, Arc::new(value.clone()));
                model.insert(key.clone(), value);
                let (probed, flip) = &operations[i / 2];
                let change = |value: &mut Value| { value.0 += 1000; value.1 = *flip; };
                prop_assert_eq!(tree.modify(probed, change).is_some(), model.contains_key(probed));
                model.get_mut(probed).map(change);
            }
            snapshots.push((tree, model));
            for (tree, model) in &snapshots {
                let values: Vec<_> = tree.iter().map(|v| (**v).clone()).collect();
                prop_assert_eq!(&values, &model.values().cloned().collect::<Vec<_>>());
                prop_assert_eq!(tree.live_count(), model.values().filter(|v| v.1).count());
                for (key, _) in operations.iter().chain(&probe) {
                    prop_assert_eq!(tree.get(key).map(|v| &**v), model.get(key));
                    let mut ancestors = Vec::new();
                    let found = tree.descend(key, |value| ancestors.push((**value).clone()));
                    let live: Vec<_> = model.iter().filter(|(_, v)| v.1).collect();
                    let exists = live.iter().any(|(k, _)| k.starts_with(key));
                    let longest = live.iter().map(|(k, _)| common_prefix(k, key)).max().unwrap_or(0);
                    let above: Vec<_> = live.iter().filter(|(k, _)| key.starts_with(k) && *k != key)
                        .map(|(_, v)| (*v).clone()).collect();
                    prop_assert_eq!(found.exists, exists);
                    prop_assert_eq!(found.matched, longest);
                    prop_assert_eq!(ancestors, above);
                    prop_assert_eq!(found.value.map(|v| &**v), model.get(key));
                }
            }
        }
    }
}
