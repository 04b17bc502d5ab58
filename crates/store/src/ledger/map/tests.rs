//! Maps on disk against the naive map of the same entries, and histories of sealed logs.

mod speed;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use einhorn_core::agent::{Advice, Path as Decision, Reason};
use einhorn_core::ledger::map::{
    Complete, History, Leaf, MapKey, RootBuilder, verify_history, verify_parsed,
};
use einhorn_core::ledger::{Algorithm, Hash, SignerKey};
use einhorn_core::model::entry::{Body, Cause, Change, NameChange};
use einhorn_core::model::request::{Commitment, Identity, RequestId};
use einhorn_core::model::{Origin, Position, RrSet};
use einhorn_wire::{Name, RecordType};
use proptest::prelude::*;

use super::super::{OsFiles, Sealer};
use super::*;

const ORIGIN: &str = "berlin.example/log";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A change to one name: owner, sequence and the one before.
type Given = (Name, u64, Option<Position>);

fn change(site: u16, home: u16, names: Vec<Given>, octets: usize) -> Body {
    let names = names.into_iter().map(|(owner, sequence, previous)| NameChange {
        owner,
        home: Origin { site: home, generation: 1 },
        epoch: 1,
        version: sequence,
        sequence,
        previous,
        before: Vec::new(),
        after: RrSet::new(RecordType(65_280), 60, [&vec![7; octets][..]]).into_iter().collect(),
        leases: Vec::new(),
    });
    Body::Change(Change {
        zone: name("example."),
        incarnation: 1,
        request: RequestId([7; 32]),
        remember_until_seconds: 9,
        who: Identity::Operator,
        entered_site: site,
        audit_commitment: Commitment([8; 32]),
        decision: None,
        stands_for: Vec::new(),
        advice: Advice { path: Decision::Fast, reason: Reason::NoHazard, model: *b"rules-v1" },
        path: Decision::Fast,
        cause: Cause::Update,
        names: names.collect(),
    })
}

fn store(stored: &mut Vec<Vec<u8>>, body: Body) -> u64 {
    let entry = Entry { time_ms: stored.len() as u64 * 1000, body };
    entry.encode(&mut Vec::new(), |part| stored.push(part.to_vec()));
    stored.len() as u64 - 1
}

fn owner(number: u16) -> Name {
    name(&format!("n{number}.example."))
}

fn naive(stored: &[Vec<u8>], at: u64) -> (Vec<Leaf>, MapRoot) {
    let (mut assembler, mut leaves) = (Assembler::default(), BTreeMap::new());
    for (index, octets) in (0..at).zip(stored) {
        if let Some(entry) = assembler.next(octets).expect("an entry") {
            touches(index, &entry, |touch| {
                let before = leaves.get(&touch.key).copied();
                leaves.insert(touch.key, Leaf::touched(before, &touch));
            });
        }
    }
    let mut builder = RootBuilder::default();
    for leaf in leaves.values() {
        assert!(builder.push(leaf.key, leaf.hash(), |_, _| {}));
    }
    (leaves.into_values().collect(), builder.root(at))
}

fn advance(builder: &mut MapBuilder, stored: &[Vec<u8>], to: u64) -> MapRoot {
    let root = builder.advance(to, &mut |from, to, visit| {
        (from..to).for_each(|index| visit(index, &stored[index as usize]));
        Ok(())
    });
    root.expect("a map")
}

/// What to do next: change names (those numbers, octets of data), take the map so many entries
/// before the end, or open the builder again.
#[derive(Debug, Clone)]
enum Do {
    Change(Vec<u16>, usize),
    Cut(u64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let names = proptest::collection::btree_set(0u16..900, 0..40);
    let names = names.prop_map(|names| names.into_iter().collect::<Vec<_>>());
    let step = prop_oneof![
        6 => (names, prop_oneof![9 => Just(4usize), 1 => Just(9_000)])
            .prop_map(|(names, octets)| Do::Change(names, octets)),
        2 => (0u64..4).prop_map(Do::Cut),
        1 => Just(Do::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn maps_grow_to_what_they_would_be_from_the_beginning(steps in steps(), spill in 1usize..300) {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
            builder.runs.set_limit(spill);
            builder
        };
        let (mut builder, mut stored) = (open(), Vec::new());
        let mut sequences = BTreeMap::new();
        for step in steps {
            match step {
                Do::Change(numbers, octets) => {
                    let given = |number| {
                        let sequence = sequences.entry(number).or_insert(0);
                        *sequence += 1;
                        (owner(number), *sequence, None)
                    };
                    let names = numbers.into_iter().map(given).collect();
                    store(&mut stored, change(1, 1, names, octets));
                }
                Do::Cut(before) => {
                    let to = (stored.len() as u64).saturating_sub(before).max(builder.last().at);
                    prop_assert_eq!(advance(&mut builder, &stored, to), naive(&stored, to).1);
                }
                Do::Reopen => builder = open(),
            }
        }
        let to = stored.len() as u64;
        // Taken early on, the entries after it are kept for the next.
        for index in builder.next_index()..to {
            builder.push(index, &stored[index as usize]).unwrap();
        }
        let middle = builder.last().at.midpoint(to);
        prop_assert_eq!(builder.cut(middle).unwrap(), naive(&stored, middle).1);
        let (leaves, root) = naive(&stored, to);
        prop_assert_eq!(builder.cut(to).unwrap(), root);
        if to > 0 {
            let file = builder.file().unwrap();
            prop_assert_eq!(file.resume(), to);
            for number in (0..900).step_by(7) {
                let key = MapKey::of_name(&name("example."), &owner(number));
                let expected = leaves.iter().find(|leaf| leaf.key == key).copied();
                prop_assert_eq!(file.prove(key).unwrap().check(&root, key), Ok(expected));
            }
        }
        prop_assert!(fs::read_dir(folder.path()).unwrap().count() <= FILES_KEPT);
    }
}

/// 600 names, each changed once, by ten entries.
fn six_hundred() -> Vec<Vec<u8>> {
    let mut stored = Vec::new();
    for chunk in 0..10 {
        let names = (chunk * 60..chunk * 60 + 60).map(|number| (owner(number), 1, None));
        store(&mut stored, change(1, 1, names.collect(), 4));
    }
    stored
}

#[test]
fn a_damaged_map_is_built_again() {
    let mut stored = six_hundred();
    let folder = tempfile::tempdir().unwrap();
    let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
    advance(&mut builder, &stored, 10);
    let path = folder.path().join("10");
    let good = fs::read(&path).unwrap();
    store(&mut stored, change(1, 1, vec![(owner(1), 2, None)], 4));
    let truth = naive(&stored, 11).1;
    let leaves_end = file::HEADER_OCTETS + 600 * 56;
    assert_eq!(good.len(), leaves_end + 2 * 32);
    let places = [0, 20, 50, 60, 70, 100, 137, 140, 180, 200, leaves_end - 1];
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, &bad).unwrap();
        let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
        assert_eq!(advance(&mut builder, &stored, 11), truth, "octet {at}");
        fs::remove_file(folder.path().join("11")).unwrap();
    }
    for length in [0, 100, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
        assert_eq!(builder.last().at, 0, "length {length}");
        assert_eq!(advance(&mut builder, &stored, 11), truth, "length {length}");
        fs::remove_file(folder.path().join("11")).unwrap();
    }
    // The hashes that only proofs need: no proof comes of wrong ones.
    let mut bad = good.clone();
    bad[leaves_end] ^= 1;
    fs::write(&path, &bad).unwrap();
    let file = MapFile::open(folder.path(), ORIGIN, 10).unwrap();
    let key = MapKey::of_name(&name("example."), &owner(1));
    assert!(matches!(file.prove(key), Err(MapError::Damaged(_))));
    // Nor is it the map of another log.
    fs::write(&path, &good).unwrap();
    assert!(matches!(MapFile::open(folder.path(), "other", 10), Err(MapError::Damaged(_))));
}

#[test]
fn a_map_beyond_its_entries_is_refused() {
    let stored = six_hundred();
    let folder = tempfile::tempdir().unwrap();
    let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
    assert!(matches!(builder.push(1, &stored[1]), Err(MapError::Order { given: 1, due: 0 })));
    advance(&mut builder, &stored, 5);
    assert!(matches!(builder.cut(4), Err(MapError::Size { at: 4, from: 5, to: 5 })));
    assert!(matches!(builder.cut(6), Err(MapError::Size { at: 6, from: 5, to: 5 })));
    assert!(matches!(builder.push(5, b"no entry"), Err(MapError::Entry { index: 5, .. })));
    let failed = builder.advance(9, &mut |_, _, _| Err("no disk".to_owned()));
    assert!(matches!(failed, Err(MapError::Read(text)) if text == "no disk"));
}

#[test]
fn a_checker_finds_the_map_root_that_is_wrong() {
    let check = |stored: &[Vec<u8>]| {
        let folder = tempfile::tempdir().unwrap();
        let mut checker = MapChecker::new(folder.path(), ORIGIN).unwrap();
        for (index, octets) in (0..).zip(stored) {
            checker.next(index, octets);
        }
        (checker.checked(), checker.problem().map(str::to_owned))
    };
    let mut stored = six_hundred();
    let right = |stored: &[Vec<u8>], at| naive(stored, at).1;
    for at in [7, 10] {
        let body = right(&stored, at).body();
        store(&mut stored, body);
    }
    assert_eq!(check(&stored), (2, None));
    let root = right(&stored, 12);
    for wrong in [
        MapRoot { names: root.names + 1, ..root },
        MapRoot { root: Hash([0; 32]), ..root },
        MapRoot { at: 13, ..root },
        right(&stored, 9),
    ] {
        let mut stored = stored.clone();
        store(&mut stored, wrong.body());
        let (checked, problem) = check(&stored);
        assert_eq!(checked, 2);
        assert!(problem.as_ref().is_some_and(|text| text.starts_with("entry 12: ")), "{problem:?}");
    }
}

// ---------------------------------------------------------------------------------------------
// Histories

fn signer(site: u16) -> SignerKey {
    let seed = [site as u8; 32];
    SignerKey::from_seed(&format!("site{site}/log"), Algorithm::Ed25519, &seed).unwrap()
}

fn genesis(site: u16) -> Vec<Vec<u8>> {
    let mut stored = Vec::new();
    let origin = Origin { site, generation: 1 };
    store(&mut stored, Body::Genesis { origin, name: format!("site{site}/log"), previous: None });
    stored
}

fn sealed(folder: &Path, site: u16, stored: &[Vec<u8>]) -> OsFiles {
    let files = Arc::new(OsFiles::open(folder).unwrap());
    Sealer::open(files, signer(site)).unwrap().seal(0, stored).unwrap();
    OsFiles::open(folder).unwrap()
}

/// Two logs: 700 names at site 1, of which n5 moves to site 2 and is changed there.
fn two_logs() -> [Vec<Vec<u8>>; 2] {
    let (mut one, mut two) = (genesis(1), genesis(2));
    for number in 0..700 {
        store(&mut one, change(1, 1, vec![(owner(number), 1, None)], 4));
    }
    let at = |site, index| Some(Position { origin: Origin { site, generation: 1 }, index });
    let big = (0..20).map(|n| (owner(n), 2, at(1, u64::from(n) + 1))).collect();
    let last = store(&mut one, change(1, 1, big, 5_000));
    assert_eq!(last, 702, "a change in two parts");
    let moved = store(&mut one, change(1, 2, vec![(owner(5), 3, at(1, last))], 4));
    // Across the map's size lies a change in parts.
    let map = naive(&one, 702).1.body();
    store(&mut one, map);
    let index = store(&mut two, change(2, 2, vec![(owner(5), 4, at(1, moved))], 4));
    store(&mut two, change(2, 2, vec![(owner(5), 5, at(2, index))], 4));
    let map = naive(&two, 3).1.body();
    store(&mut two, map);
    [one, two]
}

fn history(sources: &[OsFiles], owner: Name) -> History {
    let zone = name("example.");
    let keys = [MapKey::of_name(&zone, &owner), MapKey::of_zone(&zone)];
    let logs = (1..).zip(sources).map(|(site, files)| {
        let scratch = tempfile::tempdir().unwrap();
        gather(files, signer(site).verifier(), keys, scratch.path()).unwrap()
    });
    History { logs: logs.collect(), zone, owner }
}

fn sequences(complete: &Complete) -> Vec<(u16, u64)> {
    let events = complete.events.iter().filter_map(|e| Some((e.position, e.change()?.sequence)));
    events.map(|(position, sequence)| (position.origin.site, sequence)).collect()
}

#[test]
fn a_history_is_gathered_from_two_sealed_logs() {
    let folder = tempfile::tempdir().unwrap();
    let logs = two_logs();
    let sources = [1u16, 2].map(|site| {
        sealed(&folder.path().join(site.to_string()), site, &logs[usize::from(site) - 1])
    });
    let keys = [signer(1).verifier().clone(), signer(2).verifier().clone()];
    let found = history(&sources, owner(5));
    let text = found.to_string();
    let complete = verify_history(text.as_bytes(), &keys).expect("complete");
    assert_eq!(sequences(&complete), [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]);
    let reach: Vec<_> = complete.logs.iter().map(|log| (log.map_at, log.complete_to)).collect();
    assert_eq!(reach, [(Some(702), 705), (Some(3), 4)]);
    assert_eq!(found.logs[0].changes.len(), 1);

    let nobody = history(&sources, owner(899));
    assert_eq!(verify_parsed(&nobody, &keys).expect("complete").events, []);
    let alone = history(&sources[..1], owner(5));
    assert_eq!(
        verify_parsed(&alone, &keys).expect("complete").home_elsewhere,
        Some(Origin { site: 2, generation: 1 })
    );
}

#[test]
fn a_log_without_a_map_is_shown_whole_and_a_wrong_one_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let [mut one, _] = two_logs();
    one.pop();
    let source = sealed(&folder.path().join("a"), 1, &one);
    let found = history(&[source], owner(7));
    let complete = verify_parsed(&found, &[signer(1).verifier().clone()]).expect("complete");
    assert_eq!((complete.logs[0].map_at, complete.logs[0].complete_to), (None, 704));
    assert_eq!(sequences(&complete), [(1, 1), (1, 2)]);

    let wrong = MapRoot { names: 1, ..naive(&one, 702).1 };
    store(&mut one, wrong.body());
    let source = sealed(&folder.path().join("b"), 1, &one);
    let scratch = tempfile::tempdir().unwrap();
    let keys = [MapKey(Hash([0; 32])); 2];
    let gathered = gather(&source, signer(1).verifier(), keys, scratch.path());
    assert!(matches!(&gathered, Err(GatherError::MapRoot(text)) if text.contains("entry 704")));
}
