//! The tree against an ordered map, and what its nodes must be like.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
struct Value {
    key: Vec<u8>,
    number: u32,
    live: bool,
}

impl Live for Value {
    fn is_live(&self) -> bool {
        self.live
    }
}

impl Keyed for Value {
    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.key)
    }
}

/// A key and what to do with it.
#[derive(Debug, Clone)]
struct Operation {
    key: Vec<u8>,
    live: bool,
    removes: bool,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Few octets, so that keys are often each other's prefixes.
    let key = proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..6);
    let operation = (key, any::<bool>(), 0u8..4).prop_map(|(key, live, what)| Operation {
        key,
        live,
        removes: what == 0,
    });
    proptest::collection::vec(operation, 0..60)
}

type Model = BTreeMap<Vec<u8>, Value>;

fn check(tree: &Tree<Value>, model: &Model, keys: &[&Vec<u8>]) -> Result<(), TestCaseError> {
    check_form(tree);
    let values: Vec<_> = tree.iter().cloned().collect();
    prop_assert_eq!(&values, &model.values().cloned().collect::<Vec<_>>());
    prop_assert_eq!(tree.live_count(), model.values().filter(|v| v.live).count());
    for key in keys {
        prop_assert_eq!(tree.get(key), model.get(*key));
        let mut ancestors = Vec::new();
        let found = tree.descend(key, |value| ancestors.push(value.clone()));
        let live: Vec<_> = model.iter().filter(|(_, v)| v.live).collect();
        let exists = live.iter().any(|(k, _)| k.starts_with(key));
        let longest = live.iter().map(|(k, _)| common_prefix(k, key)).max().unwrap_or(0);
        let above: Vec<_> = live
            .iter()
            .filter(|(k, _)| key.starts_with(k) && k != key)
            .map(|(_, v)| (*v).clone())
            .collect();
        prop_assert_eq!(found.exists, exists);
        prop_assert_eq!(found.matched, longest);
        prop_assert_eq!(ancestors, above);
        prop_assert_eq!(found.value, model.get(*key));
    }
    Ok(())
}

/// Every node has a reason to be, and counts right.
fn check_form(tree: &Tree<Value>) {
    fn live(child: &Child<Value>) -> u32 {
        match child {
            Child::Leaf(value) => u32::from(value.live),
            Child::Node(node) => {
                let (head, children) = (node.head(), node.children());
                let values = usize::from(head.value.is_some());
                assert!(values + children.len() >= 2, "a node without need");
                let sum = children.iter().map(live).sum::<u32>()
                    + u32::from(head.value.as_ref().is_some_and(|value| value.live));
                assert_eq!(head.live, sum, "live values of a node");
                sum
            }
            Child::Taken => panic!("a child that was taken"),
        }
    }
    tree.root.as_ref().map(live);
}

proptest! {
    #[test]
    fn behaves_like_an_ordered_map_and_snapshots_stay(
        operations in operations(),
        probe in operations(),
    ) {
        let mut tree = Tree::default();
        let mut model = Model::new();
        let mut snapshots = Vec::new();
        for (i, Operation { key, live, removes }) in operations.iter().enumerate() {
            snapshots.push((tree.clone(), model.clone()));
            let value = Value { key: key.clone(), number: i as u32, live: *live };
            tree.insert(key, value.clone());
            model.insert(key.clone(), value);
            let earlier = &operations[i / 2];
            let change = |value: &mut Value| { value.number += 1000; value.live = earlier.live; };
            prop_assert_eq!(
                tree.modify(&earlier.key, change).is_some(),
                model.contains_key(&earlier.key)
            );
            model.get_mut(&earlier.key).map(change);
            if *removes {
                let gone = &operations[i / 3].key;
                prop_assert_eq!(tree.remove(gone), model.remove(gone));
            }
        }
        snapshots.push((tree.clone(), model.clone()));
        // Taking everything away again, in another order.
        for Operation { key, .. } in operations.iter().step_by(2).chain(&operations) {
            prop_assert_eq!(tree.remove(key), model.remove(key));
            snapshots.push((tree.clone(), model.clone()));
        }
        prop_assert!(tree.root.is_none());
        let keys: Vec<_> = operations.iter().chain(&probe).map(|o| &o.key).collect();
        for (tree, model) in &snapshots {
            check(tree, model, &keys)?;
        }
    }
}

#[test]
fn a_leaf_gives_way_to_what_comes_above_and_below_it() {
    let value = |key: &[u8]| Value { key: key.to_vec(), number: 0, live: true };
    for order in [[&b"ab"[..], b"abcd", b"abce", b"a"], [b"abcd", b"a", b"ab", b"abce"]] {
        let mut tree = Tree::default();
        order.iter().for_each(|key| tree.insert(key, value(key)));
        let keys: Vec<_> = tree.iter().map(|value| value.key.clone()).collect();
        assert_eq!(keys, [&b"a"[..], b"ab", b"abcd", b"abce"], "{order:?}");
        check_form(&tree);
        assert_eq!(tree.remove(b"abc"), None);
        assert_eq!(tree.remove(b"ab"), Some(value(b"ab")));
        assert_eq!(tree.remove(b"abcd"), Some(value(b"abcd")));
        assert!(matches!(&tree.root, Some(Child::Node(node)) if node.children().len() == 1));
        assert!(tree.descend(b"ab", |_| ()).exists, "an empty non-terminal");
        assert_eq!(tree.remove(b"abce"), Some(value(b"abce")));
        assert!(matches!(&tree.root, Some(Child::Leaf(value)) if value.key == b"a"));
    }
}
