//! Maps and histories against the naive way to make them, whole and tampered with.

mod world;

use super::super::tree::ProofError;
use super::complete::{LogProblem, Place};
use super::*;
use crate::model::entry::Assembler;
use crate::model::{Origin, Position};
use proptest::prelude::*;
use world::{World, name, prove_from, root_of};

const REMOVAL: Cause = Cause::ZoneRemoval { names: 1, root: [0; 32] };

fn place(site: u16, index: u64) -> Place {
    Place(Position { origin: Origin { site, generation: 1 }, index })
}

/// Site, index and sequence of all events; 0 for a removal.
fn positions(complete: &Complete) -> Vec<(u16, u64, u64)> {
    let place = |event: &Event| {
        let sequence = event.change().map_or(0, |name| name.sequence);
        (event.position.origin.site, event.position.index, sequence)
    };
    complete.events.iter().map(place).collect()
}

fn log_problem(history: &History, world: &World) -> LogProblem {
    match verify_parsed(history, &world.keys()) {
        Err(CompleteError::Log { problem, .. }) => problem,
        other => panic!("not the problem of a log: {other:?}"),
    }
}

// ---------------------------------------------------------------------------------------------
// The map

/// The form is signed for ever: other octets are another version.
#[test]
fn keys_leaves_and_roots_are_pinned() {
    let key = MapKey::of_name(&name("Example."), &name("PHONE.example."));
    assert_eq!(key, MapKey::of_name(&name("example."), &name("phone.example.")));
    let wire = b"\x04\x07example\0\x05phone\x07example\0";
    assert_eq!(key.0.0, <[u8; 32]>::from(Sha256::digest(wire)));
    let zone = MapKey::of_zone(&name("example."));
    assert_eq!(zone.0.0, <[u8; 32]>::from(Sha256::digest(b"\x04\x07example\0")));
    let leaf = Leaf { key, last: 0x0102, sequence: 3, count: 4 };
    let numbers = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4];
    assert_eq!(leaf.encode()[..], [&key.0.0[..], &numbers].concat());
    assert_eq!(Leaf::decode(&leaf.encode()), leaf);
    let hash = Sha256::digest([&[2][..], &leaf.encode()].concat());
    assert_eq!(leaf.hash().0, <[u8; 32]>::from(hash));
    let root = Sha256::digest([&[3, 0, 0, 0, 0, 0, 0, 0, 1][..], &leaf.hash().0].concat());
    assert_eq!(root_of(&[leaf], 9).root.0, <[u8; 32]>::from(root));
}

#[test]
fn the_root_names_the_number_of_leaves() {
    let leaf = |octet| Leaf { key: MapKey(Hash([octet; 32])), last: 0, sequence: 1, count: 1 };
    let leaves = [leaf(1), leaf(2), leaf(3)];
    let root = root_of(&leaves, 1);
    let above = MapKey(Hash([9; 32]));
    let proof = prove_from(&leaves, above);
    assert_eq!(proof.check(&root, above), Ok(None));
    // The second leaf passes for the last one of a smaller map only if the root lets it.
    let cut = MapProof { leaves: prove_from(&leaves, leaf(2).key).leaves, ..proof };
    assert_eq!(cut.check(&root, above), Err(MapProofError::Gap));
    assert_eq!(cut.check(&MapRoot { names: 2, ..root }, above), Err(MapProofError::Root));
}

#[test]
fn a_map_is_due_when_time_and_entries_have_passed() {
    let ten = INTERVAL_MS;
    for (last, size, names, now_ms, due) in [
        (None, 0, 0, ten, false),
        (None, 1, 0, 0, true),
        (Some((5, 1000)), 100, 10, 1000 + ten - 1, false),
        (Some((5, 1000)), 100, 10, 1000 + ten, true),
        (Some((5, 1000)), 15, 10, 1000 + ten, false),
        (Some((5, 1000)), 16, 10, 1000 + ten, true),
        // A clock that was set back waits; nothing but the map's own entry is nothing.
        (Some((5, 1000)), 100, 10, 0, false),
        (Some((5, 1000)), 6, 0, u64::MAX, false),
        (Some((5, 1000)), 7, 0, u64::MAX, true),
    ] {
        assert_eq!(
            is_due(INTERVAL_MS, last, size, names, now_ms),
            due,
            "{last:?} {size} {names} {now_ms}"
        );
    }
}

fn leaves() -> impl Strategy<Value = Vec<Leaf>> {
    let leaf = (any::<[u8; 32]>(), 0u64..1000, 1u64..9, 1u64..9);
    proptest::collection::vec(leaf, 0..600).prop_map(|leaves| {
        let leaf =
            |(key, last, sequence, count)| Leaf { key: MapKey(Hash(key)), last, sequence, count };
        let mut leaves: Vec<Leaf> = leaves.into_iter().map(leaf).collect();
        leaves.sort_by_key(|leaf| leaf.key);
        leaves.dedup_by_key(|leaf| leaf.key);
        leaves
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_map_says_of_every_key_what_it_has(leaves in leaves(), pick: prop::sample::Index, other: [u8; 32]) {
        let root = root_of(&leaves, 1000);
        let mut keys = vec![MapKey(Hash(other)), MapKey(Hash([0; 32])), MapKey(Hash([255; 32]))];
        if !leaves.is_empty() {
            keys.push(leaves[pick.index(leaves.len())].key);
        }
        for key in keys {
            let expected = leaves.iter().find(|leaf| leaf.key == key).copied();
            let proof = prove_from(&leaves, key);
            prop_assert_eq!(proof.check(&root, key), Ok(expected));
            // Nor is it a proof for another map or number of leaves.
            let other = MapRoot { root: Hash([1; 32]), ..root };
            prop_assert_eq!(proof.check(&other, key), Err(MapProofError::Root));
            let other = MapRoot { names: root.names + 1, ..root };
            prop_assert_eq!(proof.check(&other, key), Err(MapProofError::Root));
        }
    }

    #[test]
    fn no_changed_proof_says_anything_else(leaves in leaves(), pick: prop::sample::Index, other: [u8; 32], change: prop::sample::Index, bit in 0u8..8) {
        let root = root_of(&leaves, 1000);
        let mut keys = vec![MapKey(Hash(other))];
        if !leaves.is_empty() {
            keys.push(leaves[pick.index(leaves.len())].key);
        }
        for key in keys {
            let proof = prove_from(&leaves, key);
            let truth = proof.check(&root, key).expect("a proof");
            let flip = 1u8 << bit;
            let mut changed = vec![MapProof { leaves: Vec::new(), ..proof.clone() }];
            let mut tree = proof.clone();
            tree.tree.0[change.index(32)] ^= flip;
            changed.push(tree);
            for at in 0..proof.leaves.len() {
                let mut alone = proof.clone();
                alone.leaves = vec![proof.leaves[at].clone()];
                let mut octets = proof.clone();
                let mut leaf = octets.leaves[at].leaf.encode();
                leaf[change.index(LEAF_OCTETS)] ^= flip;
                octets.leaves[at].leaf = Leaf::decode(&leaf);
                let mut moved = proof.clone();
                moved.leaves[at].position ^= 1 << change.index(64);
                changed.extend([alone, octets, moved]);
                let hashes = proof.leaves[at].hashes.len();
                if hashes > 0 {
                    let mut path = proof.clone();
                    path.leaves[at].hashes[change.index(hashes)].0[change.index(32)] ^= flip;
                    let mut short = proof.clone();
                    short.leaves[at].hashes.pop();
                    changed.extend([path, short]);
                }
                let mut long = proof.clone();
                long.leaves[at].hashes.push(Hash([0; 32]));
                let mut twice = proof.clone();
                twice.leaves.insert(at, proof.leaves[at].clone());
                changed.extend([long, twice]);
            }
            for changed in changed.into_iter().filter(|changed| *changed != proof) {
                let said = changed.check(&root, key);
                prop_assert!(said.is_err() || said == Ok(truth), "{changed:?} says {said:?}, not {truth:?}");
            }
        }
    }

    #[test]
    fn a_compact_range_grows_like_a_tree(before in 0u64..600, more in 0u64..40) {
        let leaves: Vec<Hash> = (0..before + more).map(|i| Hash([i as u8; 32])).collect();
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf, |_, _| {}));
        let pieces = super::super::tree::complete_subtrees(before + more, before, world::tiles(&leaves));
        let mut range = CompactRange::new(before, pieces.expect("subtrees")).expect("fits");
        leaves[before as usize..].iter().for_each(|leaf| range.push(*leaf));
        prop_assert_eq!((range.size(), range.root()), (before + more, tree.root()));
    }
}

// ---------------------------------------------------------------------------------------------
// Histories

/// A name that is born at site 1, moves to site 2, and comes back, among other names.
fn moved() -> World {
    let mut world = World::new(2);
    world.change(1, 1, &["phone.example.", "a.example."]); // 1
    world.change(1, 1, &["b.example."]); // 2
    world.change(1, 2, &["phone.example."]); // 3, the move
    world.change(2, 2, &["phone.example.", "c.example."]); // 1 of site 2
    world.change(2, 1, &["phone.example."]); // 2 of site 2, the move back
    world.change(1, 1, &["phone.example."]); // 4
    let at = world.logs.iter().map(|log| log.stored.len() as u64).collect::<Vec<_>>();
    assert_eq!(at, [5, 3]);
    world.logs[0].push_map(5); // 5
    world.logs[1].push_map(3); // 3
    world.change(1, 1, &["phone.example."]); // 6
    world
}

#[test]
fn a_name_that_moved_is_followed_through_both_logs() {
    let world = moved();
    let history = world.history("phone.example.", &[Some(5), Some(3)], true);
    let text = history.to_string();
    assert_eq!(History::parse(text.as_bytes()).as_ref(), Ok(&history));
    let complete = verify_history(text.as_bytes(), &world.keys()).expect("complete");
    let all = [(1, 1, 1), (1, 3, 2), (2, 1, 3), (2, 2, 4), (1, 4, 5), (1, 6, 6)];
    assert_eq!(positions(&complete), all);
    let to: Vec<_> = complete.logs.iter().map(|log| (log.map_at, log.complete_to)).collect();
    assert_eq!(to, [(Some(5), 7), (Some(3), 4)]);
    assert_eq!(complete.home_elsewhere, None);

    // Without the ends, it is complete up to the maps.
    let history = world.history("phone.example.", &[Some(5), Some(3)], false);
    let complete = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!(positions(&complete), all[..5]);
    let to: Vec<_> = complete.logs.iter().map(|log| log.complete_to).collect();
    assert_eq!(to, [5, 3]);

    // Without maps, the whole logs.
    let history = world.history("phone.example.", &[None, None], true);
    assert_eq!(positions(&verify_parsed(&history, &world.keys()).expect("complete")), all);
    let history = world.history("phone.example.", &[None, None], false);
    let complete = verify_parsed(&history, &world.keys()).expect("complete, up to nothing");
    assert_eq!((complete.events.len(), complete.logs[0].complete_to), (0, 0));
}

#[test]
fn a_name_that_never_was_is_absent_from_every_map() {
    let world = moved();
    let history = world.history("nobody.example.", &[Some(5), Some(3)], true);
    let complete = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!((complete.events.len(), complete.home_elsewhere), (0, None));
    // What proves that does not prove it of a name that is there.
    let lie = History { owner: name("phone.example."), ..history };
    assert!(verify_parsed(&lie, &world.keys()).is_err());
}

#[test]
fn one_log_alone_does_not_pass_for_all() {
    let world = moved();
    let mut history = world.history("phone.example.", &[Some(5), Some(3)], true);
    let second = history.logs.pop().expect("two logs");
    let missing = CompleteError::Missing { at: place(1, 4), previous: place(2, 2) };
    assert_eq!(verify_parsed(&history, &world.keys()), Err(missing));
    history.logs = vec![second.clone(), second];
    let twice = CompleteError::Twice(Origin { site: 2, generation: 1 });
    assert_eq!(verify_parsed(&history, &world.keys()), Err(twice));
    let keys = &world.keys()[1..];
    let history = world.history("phone.example.", &[Some(5), Some(3)], true);
    let no_key = CompleteError::NoKey("site1.example/log".to_owned());
    assert_eq!(verify_parsed(&history, keys), Err(no_key));

    // A name that went away and did not come back.
    let mut world = World::new(2);
    world.change(1, 2, &["phone.example."]);
    let mut history = world.history("phone.example.", &[None, None], true);
    let both = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!(both.home_elsewhere, None);
    history.logs.pop();
    let one = verify_parsed(&history, &world.keys()).expect("complete as far as it goes");
    assert_eq!(one.home_elsewhere, Some(Origin { site: 2, generation: 1 }));
}

#[test]
fn what_lies_beyond_another_logs_end_is_named() {
    let mut world = moved();
    // The second log goes on after a change that the first one's part does not reach.
    world.change(1, 2, &["phone.example."]); // 7
    world.change(2, 2, &["phone.example."]); // 4 of site 2
    let mut history = world.history("phone.example.", &[Some(5), Some(3)], true);
    history.logs[0].tail = None;
    let complete = verify_parsed(&history, &world.keys()).expect("complete as far as it goes");
    assert_eq!(complete.beyond, [place(1, 7).0]);
    let all = [(1, 1, 1), (1, 3, 2), (2, 1, 3), (2, 2, 4), (1, 4, 5), (2, 4, 8)];
    assert_eq!(positions(&complete), all);
}

#[test]
fn what_is_left_out_is_missed() {
    let world = moved();
    let history = world.history("phone.example.", &[Some(5), Some(3)], true);
    for at in 0..3 {
        let mut less = history.clone();
        less.logs[0].changes.remove(at);
        let count = LogProblem::Count { shown: 2, counted: 3 };
        assert_eq!(log_problem(&less, &world), count, "without change {at}");
        // Nor does another one of the name, or of another, fill the place.
        let again = history.logs[0].changes[(at + 1) % 3].clone();
        less.logs[0].changes.insert(at, again);
        assert!(matches!(log_problem(&less, &world), LogProblem::Stray(_)), "again at {at}");
        less.logs[0].changes[at] = world.logs[0].included(2);
        assert!(matches!(log_problem(&less, &world), LogProblem::Stray(_)), "another at {at}");
    }
    let mut less = history.clone();
    less.logs[0].map = None;
    assert_eq!(log_problem(&less, &world), LogProblem::Stray(1));
    let mut less = history.clone();
    less.logs[0].tail.as_mut().expect("a tail").entries.pop();
    assert_eq!(log_problem(&less, &world), LogProblem::Tail);
    let mut less = history.clone();
    // The end of the log from the map root on, but not what is between it and the map.
    less.logs[0].tail = world.history("x.", &[None, None], true).logs[0].tail.clone();
    let tail = less.logs[0].tail.as_mut().expect("a tail");
    tail.entries.drain(..6);
    tail.before = CompactRange::new(6, vec![Hash([0; 32]); 2]).expect("fits");
    assert_eq!(log_problem(&less, &world), LogProblem::Tail);
    let mut less = history.clone();
    less.logs[0].genesis = world.logs[0].included(1);
    assert_eq!(log_problem(&less, &world), LogProblem::Genesis);
    let mut less = history;
    less.logs[0].map.as_mut().expect("a map").entry = world.logs[0].included(2);
    assert_eq!(log_problem(&less, &world), LogProblem::NoMapRoot(2));
}

#[test]
fn a_log_that_contradicts_itself_proves_nothing() {
    // The leader "forgot" a change: it gave two the same number.
    let mut world = World::new(1);
    world.change(1, 1, &["phone.example."]);
    let first = world.logs[0].stored[1].clone();
    world.logs[0].stored.push(first);
    let history = world.history("phone.example.", &[None], true);
    let fork = CompleteError::Fork(place(1, 2));
    assert_eq!(verify_parsed(&history, &world.keys()), Err(fork));
    // A map root that counts too few.
    let mut world = World::new(1);
    world.change(1, 1, &["phone.example."]);
    world.change(1, 1, &["phone.example."]);
    let (mut leaves, _) = world.logs[0].map(3);
    leaves[0].count = 1;
    let root = root_of(&leaves, 3);
    world.logs[0].push(root.body());
    let mut history = world.history("phone.example.", &[None], false);
    let proof = |key| prove_from(&leaves, key);
    let key = MapKey::of_name(&name("example."), &name("phone.example."));
    let zone = proof(MapKey::of_zone(&name("example.")));
    let entry = world.logs[0].included(3);
    history.logs[0].map = Some(MapPart { entry, name: proof(key), zone });
    history.logs[0].changes = vec![world.logs[0].included(2)];
    let missing = CompleteError::Missing { at: place(1, 2), previous: place(1, 1) };
    assert_eq!(verify_parsed(&history, &world.keys()), Err(missing));
}

#[test]
fn a_name_begins_anew_after_its_zone_was_removed() {
    let mut world = World::new(1);
    world.change(1, 1, &["phone.example.", "a.example."]);
    world.change(1, 1, &["phone.example."]);
    world.change_with(1, 1, &[], REMOVAL, 0); // 3
    world.change(1, 1, &["phone.example."]); // 4
    world.logs[0].push_map(5);
    let history = world.history("phone.example.", &[Some(5)], true);
    let complete = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!(positions(&complete), [(1, 1, 1), (1, 2, 2), (1, 3, 0), (1, 4, 1)]);
    let mut less = history;
    less.logs[0].changes.remove(2);
    assert_eq!(log_problem(&less, &world), LogProblem::Count { shown: 0, counted: 1 });
    // The zone's removal is part of the history of every name, even of one that never was.
    let history = world.history("b.example.", &[Some(5)], true);
    let complete = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!(positions(&complete), [(1, 3, 0)]);
}

#[test]
fn a_change_in_parts_counts_where_it_ends() {
    let mut world = World::new(1);
    let owners = ["a.example.", "phone.example.", "b.example."];
    world.change_with(1, 1, &owners, Cause::Update, 50_000); // 1 to 3
    world.change_with(1, 1, &owners, Cause::Update, 50_000); // 4 to 6
    world.logs[0].push_map(5); // 7
    assert_eq!(world.logs[0].stored.len(), 8);
    let history = world.history("phone.example.", &[Some(5)], true);
    assert_eq!(history.logs[0].changes.len(), 3);
    assert_eq!(history.logs[0].tail.as_ref().map(|tail| tail.before.size()), Some(4));
    let complete = verify_parsed(&history, &world.keys()).expect("complete");
    assert_eq!(positions(&complete), [(1, 3, 1), (1, 6, 2)]);
    let mut less = history.clone();
    less.logs[0].changes.pop();
    assert_eq!(log_problem(&less, &world), LogProblem::Stray(2));
    let mut less = history;
    let tail = less.logs[0].tail.as_mut().expect("a tail");
    tail.before.push(super::super::leaf_hash(&tail.entries.remove(0)));
    assert_eq!(log_problem(&less, &world), LogProblem::Tail);
}

/// Whatever octet of a file is changed: it is refused, or says the same.
#[test]
fn no_changed_octet_proves_anything_else() {
    let world = moved();
    let keys = world.keys();
    let text = world.history("phone.example.", &[Some(5), Some(3)], true).to_string();
    let truth = verify_history(text.as_bytes(), &keys).expect("complete");
    let mut refused = 0;
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut octets = text.clone().into_bytes();
            octets[at] ^= 1 << bit;
            match verify_history(&octets, &keys) {
                Err(_) => refused += 1,
                Ok(said) => assert_eq!(said, truth, "octet {at}, bit {bit}: {}", &text[at..at + 1]),
            }
        }
    }
    assert!(refused > text.len() * 7, "{refused} of {}", text.len() * 8);
}

#[test]
fn malformed_files_are_refused_with_their_line() {
    let world = moved();
    let text = world.history("phone.example.", &[Some(5), Some(3)], true).to_string();
    let line = |bad: &str| match History::parse(bad.as_bytes()) {
        Err(HistoryError::Malformed { line }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line(""), 1);
    assert_eq!(line(&text.replace("v1\n", "v2\n")), 1);
    assert_eq!(line(&text.replace("zone example.", "zone example")), 2);
    assert_eq!(line("einhorn-history v1\nzone example.\nname a.\n"), 4);
    assert_eq!(line(&text.replace("checkpoint 5", "checkpoint 05")), 4);
    assert_eq!(line(&text.replace("entry 0 ", "entry  0 ")), 10);
    assert_eq!(line(&format!("{text}\n")), text.lines().count() + 1);
    assert_eq!(line(text.trim_end()), text.lines().count());
    assert_eq!(History::parse(b"\xff"), Err(HistoryError::NotText));
}

#[test]
fn an_entry_at_another_place_is_refused() {
    let world = moved();
    let mut history = world.history("phone.example.", &[Some(5), Some(3)], true);
    history.logs[0].changes[1].index = 2;
    let error = LogProblem::Inclusion(2, ProofError::Root);
    assert_eq!(log_problem(&history, &world), error);
    assert!(Assembler::default().next(&history.logs[0].changes[1].octets).is_ok());
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes: Vec<u8>, text in "(einhorn-history v1\n)?(zone a\\.\nname b\\.\n)?(checkpoint [0-3]\n)?(.{0,9}\n){0,4}") {
        let _ = History::parse(&bytes);
        if let Ok(history) = History::parse(text.as_bytes()) {
            prop_assert_eq!(history.to_string(), text);
        }
    }
}
