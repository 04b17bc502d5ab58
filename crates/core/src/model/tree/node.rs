//! The nodes of a tree and how they change. Nothing here is ever changed that somebody else still
//! refers to: it is copied first.

use super::octet_set::OctetSet;
use super::{Keyed, Live, common_prefix};
use triomphe::{Arc, ThinArc};

pub(super) enum Child<V> {
    /// A value with nothing below it.
    Leaf(V),
    Node(Node<V>),
    /// What is left where a child was taken from, in a node that is about to be dropped.
    Taken,
}

/// A place in which keys part, or in which one ends while others go on: it has at least two of a
/// value and its children. Its children lie beside its head, in the order of their octets, since
/// a descent waits mostly for memory.
pub(super) struct Node<V>(ThinArc<Head<V>, Child<V>>);

/// A node without its children.
pub(super) struct Head<V> {
    /// The octets that follow, one for each child.
    next_octets: OctetSet,
    /// Live values here and below.
    pub(super) live: u32,
    /// Octets between the one by which the parent knows this node and this node's place.
    pub(super) path: Box<[u8]>,
    /// The value whose key ends here.
    pub(super) value: Option<V>,
}

impl<V: Clone> Clone for Child<V> {
    fn clone(&self) -> Child<V> {
        match self {
            Child::Leaf(value) => Child::Leaf(value.clone()),
            Child::Node(node) => Child::Node(Node(node.0.clone())),
            Child::Taken => Child::Taken,
        }
    }
}

impl<V: Clone> Clone for Head<V> {
    fn clone(&self) -> Head<V> {
        Head {
            next_octets: self.next_octets,
            live: self.live,
            path: self.path.clone(),
            value: self.value.clone(),
        }
    }
}

impl<V: Live> Child<V> {
    pub(super) fn live(&self) -> u32 {
        match self {
            Child::Leaf(value) => u32::from(value.is_live()),
            Child::Node(node) => node.head().live,
            Child::Taken => 0,
        }
    }

    pub(super) fn into_leaf(self) -> Option<V> {
        match self {
            Child::Leaf(value) => Some(value),
            _ => None,
        }
    }
}

impl<V: Live + Keyed + Clone> Child<V> {
    /// Inserts here or below, where `depth` octets of the key lead to; returns the change of the
    /// live count.
    pub(super) fn insert(&mut self, key: &[u8], depth: usize, value: V) -> i32 {
        match self {
            Child::Leaf(old) if old.has_key(key, depth) => {
                let change = live_of(&value) - live_of(old);
                *old = value;
                change
            }
            Child::Leaf(old) => {
                let change = live_of(&value);
                *self = Child::Node(Node::parting(old.clone(), key, depth, value));
                change
            }
            Child::Node(node) => {
                let common = common_prefix(&key[depth..], &node.head().path);
                if common < node.head().path.len() {
                    node.split(common);
                }
                node.insert(key, depth + common, value)
            }
            Child::Taken => unreachable!("a node that was taken apart is used"),
        }
    }

    /// As [`Tree::modify`], where `rest` of the key leads; returns the change of the live count
    /// too.
    pub(super) fn modify<R>(
        &mut self,
        rest: &[u8],
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<(R, i32)> {
        let node = match self {
            Child::Leaf(value) => return Some(modify(value, change)),
            Child::Node(node) => node,
            Child::Taken => return None,
        };
        let (result, difference) = match rest[node.head().path.len()..].split_first() {
            None => {
                node.with_head(|head| head.value.as_mut().map(|value| modify(value, change)))?
            }
            Some((octet, rest)) => {
                let at = node.head().next_octets.position(*octet)?;
                node.with_child(at, |child| child.modify(rest, change))?
            }
        };
        node.add_live(difference);
        Some((result, difference))
    }

    /// As [`Tree::remove`], for a key that is there and not at a leaf right here; `rest` of it
    /// leads on from here.
    pub(super) fn remove(&mut self, rest: &[u8]) -> Option<V> {
        let Child::Node(node) = self else { return None };
        let removed = match rest[node.head().path.len()..].split_first() {
            None => node.with_head(|head| head.value.take())?,
            Some((octet, rest)) => {
                let at = node.head().next_octets.position(*octet)?;
                match &node.children()[at] {
                    Child::Leaf(_) => node.remove_child(at, *octet).into_leaf()?,
                    _ => node.with_child(at, |below| below.remove(rest))?,
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

impl<V> Node<V> {
    pub(super) fn head(&self) -> &Head<V> {
        &self.0.header.header
    }

    pub(super) fn children(&self) -> &[Child<V>] {
        &self.0.slice
    }

    pub(super) fn child(&self, octet: u8) -> Option<&Child<V>> {
        self.head().next_octets.position(octet).map(|at| &self.children()[at])
    }
}

impl<V: Live + Keyed + Clone> Node<V> {
    fn new(head: Head<V>, children: Vec<Child<V>>) -> Node<V> {
        Node(ThinArc::from_header_and_iter(head, children.into_iter()))
    }

    /// Makes this the only reference to the node, by copying it if there are others.
    fn make_unique(&mut self) {
        if !self.0.with_arc(Arc::is_unique) {
            *self = Node::new(self.head().clone(), self.children().to_vec());
        }
    }

    fn with_head<R>(&mut self, change: impl FnOnce(&mut Head<V>) -> R) -> R {
        self.make_unique();
        self.0.with_arc_mut(|node| match Arc::get_mut(node) {
            Some(node) => change(node.header_mut()),
            None => unreachable!("a node just made unique is shared"),
        })
    }

    fn with_child<R>(&mut self, at: usize, change: impl FnOnce(&mut Child<V>) -> R) -> R {
        self.make_unique();
        self.0.with_arc_mut(|node| match Arc::get_mut(node) {
            Some(node) => change(&mut node.slice_mut()[at]),
            None => unreachable!("a node just made unique is shared"),
        })
    }

    /// The children, taken out if no other reference wants them; the node is to be dropped then.
    fn take_children(&mut self) -> Vec<Child<V>> {
        let taken = self.0.with_arc_mut(|node| {
            let children = Arc::get_mut(node)?.slice_mut().iter_mut();
            Some(children.map(|child| std::mem::replace(child, Child::Taken)).collect())
        });
        taken.unwrap_or_else(|| self.children().to_vec())
    }

    fn add_live(&mut self, difference: i32) {
        if difference != 0 {
            self.with_head(|head| {
                head.live = head
                    .live
                    .checked_add_signed(difference)
                    .unwrap_or_else(|| unreachable!("live counts balance"));
            });
        }
    }

    /// The node in which the keys of two values part; `depth` octets lead to it.
    fn parting(old: V, key: &[u8], depth: usize, value: V) -> Node<V> {
        let (common, old_octet) = old.with_key(|own| {
            let common = common_prefix(own, key);
            (common, own.get(common).copied())
        });
        let mut head = Head {
            path: key[depth..common].into(),
            value: None,
            next_octets: OctetSet::default(),
            live: (live_of(&old) + live_of(&value)) as u32,
        };
        let mut children = Vec::with_capacity(2);
        for (value, octet) in [(old, old_octet), (value, key.get(common).copied())] {
            match octet {
                None => head.value = Some(value),
                Some(octet) => {
                    children.insert(head.next_octets.insert(octet), Child::Leaf(value));
                }
            }
        }
        Node::new(head, children)
    }

    /// Inserts here or below, where `depth` octets of the key lead to, this node's path included;
    /// returns the change of the live count.
    fn insert(&mut self, key: &[u8], depth: usize, value: V) -> i32 {
        let change = match key.get(depth) {
            None => {
                let change = live_of(&value);
                let old = self.with_head(|head| head.value.replace(value));
                change - old.as_ref().map_or(0, live_of)
            }
            Some(octet) => match self.head().next_octets.position(*octet) {
                Some(at) => self.with_child(at, |child| child.insert(key, depth + 1, value)),
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
        let mut head = self.head().clone();
        let mut children = self.take_children();
        children.insert(head.next_octets.insert(octet), child);
        *self = Node::new(head, children);
    }

    fn remove_child(&mut self, at: usize, octet: u8) -> Child<V> {
        let mut head = self.head().clone();
        let mut children = self.take_children();
        head.next_octets.remove(octet);
        let child = children.remove(at);
        *self = Node::new(head, children);
        child
    }

    /// Cuts the path after `at` octets, putting a node without value in between.
    fn split(&mut self, at: usize) {
        let Head { path, live, .. } = self.head();
        let (upper_path, octet, live): (Box<[u8]>, u8, u32) = (path[..at].into(), path[at], *live);
        self.with_head(|head| head.path = head.path[at + 1..].into());
        let mut next_octets = OctetSet::default();
        next_octets.insert(octet);
        let head = Head { next_octets, live, path: upper_path, value: None };
        *self = Node::new(head, vec![Child::Node(Node(self.0.clone()))]);
    }

    /// What can stand in this node's place when it has only one of a value and children left.
    fn collapsed(&self) -> Option<Child<V>> {
        let head = self.head();
        match (&head.value, self.children()) {
            (Some(value), []) => Some(Child::Leaf(value.clone())),
            (None, [Child::Leaf(value)]) => Some(Child::Leaf(value.clone())),
            (None, [Child::Node(below)]) => {
                let octet = head.next_octets.first()?;
                let mut below = Node(below.0.clone());
                let path = [&head.path, &[octet][..], &below.head().path].concat();
                below.with_head(|head| head.path = path.into());
                Some(Child::Node(below))
            }
            _ => None,
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
