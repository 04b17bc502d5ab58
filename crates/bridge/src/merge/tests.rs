//! Tests of the merge: cases, and the properties that hold for all states.

use super::*;
use crate::record::{Address, Field, Fields, HostId, Key};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(name: &str) -> Key {
    Key { kind: Kind::Host, name: name.into() }
}

fn host(name: &str, fields: Fields) -> Shared {
    let key = key(name);
    Shared::new(Entry { id: HostId::first_seen("t", &key), key, fields })
}

fn says(address: u8, nicknames: &[&str], machine: &str) -> Fields {
    Fields {
        addresses: Field::list(vec![Address::V4([10, 0, 0, address].into())]),
        nicknames: Field::list(nicknames.iter().map(|name| Text::from(*name)).collect()),
        machine: Field::text(machine.as_bytes()),
        ..Fields::default()
    }
}

fn state(entries: &[(&str, Fields)]) -> State {
    let entries = entries.iter().map(|(name, fields)| host(name, fields.clone()));
    let (state, duplicates) = State::new(entries);
    assert_eq!(duplicates, []);
    state
}

fn policy() -> Policy {
    Policy { missing_generations: 1, ..Policy::new(Format::HostsTxt) }
}

fn run(base: &State, ours: &State, theirs: &State, policy: &Policy) -> Merge {
    run_as(base, ours, theirs, policy, &InputKind::Full)
}

fn run_as(base: &State, ours: &State, theirs: &State, policy: &Policy, kind: &InputKind) -> Merge {
    merge(&Sides {
        base,
        base_revision: 1,
        ours,
        theirs,
        duplicates: &[],
        quarantined: &[],
        kind,
        missing: &BTreeMap::new(),
        policy,
    })
}

fn whats(merge: &Merge) -> Vec<(String, What)> {
    let outcomes = merge.outcomes.iter();
    outcomes.map(|outcome| (outcome.key.name.to_string(), outcome.what.clone())).collect()
}

fn conflict(name: &str, conflict: Conflict) -> (String, What) {
    (name.to_owned(), What::Conflict(conflict))
}

#[test]
fn changes_of_both_sides_meet_field_by_field() {
    let base = state(&[("A", says(1, &["X", "Y"], "VAX")), ("B", says(2, &[], "PDP"))]);
    let ours = state(&[("A", says(1, &["X", "Y", "OURS"], "VAX")), ("B", says(2, &[], "SUN"))]);
    let theirs = state(&[("A", says(1, &["Y", "THEIRS"], "IBM")), ("B", says(2, &[], "DEC"))]);
    let merged = run(&base, &ours, &theirs, &policy());
    assert_eq!(
        whats(&merged),
        [("A".to_owned(), What::Updated), conflict("B", Conflict::BothChanged(FieldName::Machine))]
    );
    let a = merged.merged.get(&key("a")).expect("A");
    assert_eq!(a.fields, says(1, &["Y", "OURS", "THEIRS"], "IBM"));
    assert_eq!(merged.merged.get(&key("B")), ours.get(&key("B")), "ours stays");
    assert_eq!(merged.base.get(&key("B")), base.get(&key("B")), "the base does not advance");
    assert_eq!(merged.base.get(&key("A")), theirs.get(&key("A")));
}

#[test]
fn a_name_in_other_letters_is_the_same_host_and_is_changed() {
    let base = state(&[("sri-nic", says(1, &[], "VAX")), ("other", says(2, &[], "VAX"))]);
    let theirs = state(&[("SRI-NIC", says(1, &[], "VAX")), ("other", says(2, &[], "VAX"))]);
    let merge = run(&base, &base, &theirs, &policy());
    assert_eq!(whats(&merge), [("SRI-NIC".to_owned(), What::Updated)]);
    assert_eq!(merge.merged.get(&key("sri-nic")).map(|entry| &entry.key), Some(&key("SRI-NIC")));
    let ours = state(&[("Sri-Nic", says(1, &[], "VAX")), ("other", says(2, &[], "VAX"))]);
    let merge = run(&base, &ours, &theirs, &policy());
    assert_eq!(merge.merged.get(&key("sri-nic")).map(|entry| &entry.key), Some(&key("Sri-Nic")));
}

#[test]
fn what_a_format_cannot_hold_is_never_changed_by_it() {
    let with = |status: Field<Text>| Fields { status, ..says(1, &[], "VAX") };
    let base = state(&[("A", with(Field::Unset))]);
    let ours = state(&[("A", with(Field::text(b"SERVER")))]);
    let merged = run(&base, &ours, &state(&[("A", says(1, &[], "SUN"))]), &policy());
    let a = merged.merged.get(&key("A")).expect("A");
    assert_eq!(a.fields.status, Field::text(b"SERVER"));
    assert_eq!(a.fields.machine, Field::text(b"SUN"));
}

#[test]
fn owners_come_before_merging() {
    let mut policy = policy();
    policy.owners.push((FieldName::Machine, Owner::Cluster));
    policy.owners.push((FieldName::System, Owner::Legacy));
    let base = state(&[("A", says(1, &[], "VAX")), ("B", says(2, &[], ""))]);
    let theirs = state(&[("A", says(1, &[], "SUN")), ("B", says(2, &[], ""))]);
    let system = Fields { system: Field::text(b"ITS"), ..says(2, &[], "") };
    let ours = state(&[("A", says(1, &[], "VAX")), ("B", system)]);
    let merged = run(&base, &ours, &theirs, &policy);
    assert_eq!(whats(&merged), [conflict("A", Conflict::NotOwner(FieldName::Machine))]);
}

#[test]
fn deletes_and_names_in_use_conflict() {
    let base = state(&[("A", says(1, &[], "")), ("B", says(2, &[], "")), ("C", says(3, &[], ""))]);
    let ours =
        state(&[("A", says(1, &[], "SUN")), ("C", says(3, &[], "")), ("D", says(4, &["N"], ""))]);
    let theirs = state(&[("B", says(2, &[], "VAX")), ("C", says(3, &["N"], ""))]);
    let merged = run(&base, &ours, &theirs, &policy());
    let expected = [
        conflict("A", Conflict::DeleteAgainstEdit),
        conflict("B", Conflict::DeleteAgainstEdit),
        conflict("C", Conflict::NameTaken("N".into())),
    ];
    assert_eq!(whats(&merged), expected);
    assert_eq!(merged.merged, ours);
}

#[test]
fn a_renamed_host_stays_the_same_host() {
    let base = state(&[
        ("SRI-NIC", says(1, &["NIC"], "F2")),
        ("X", says(2, &[], "")),
        ("Y", says(2, &[], "")),
    ]);
    let theirs =
        state(&[("SRI-NIC.ARPA", says(1, &["SRI-NIC", "NIC"], "F2")), ("Z", says(2, &[], ""))]);
    let ours = state(&[
        ("SRI-NIC", says(1, &["NIC"], "F3")),
        ("X", says(2, &[], "")),
        ("Y", says(2, &[], "")),
    ]);
    let merged = run(&base, &ours, &theirs, &policy());
    let expected = [
        ("SRI-NIC.ARPA".to_owned(), What::Renamed(key("SRI-NIC"))),
        conflict("X", Conflict::AmbiguousRename),
        conflict("Y", Conflict::AmbiguousRename),
        conflict("Z", Conflict::AmbiguousRename),
    ];
    assert_eq!(whats(&merged), expected);
    let nic = merged.merged.get(&key("SRI-NIC.ARPA")).expect("renamed");
    assert_eq!(nic.id, HostId::first_seen("t", &key("SRI-NIC")));
    assert_eq!(nic.fields, says(1, &["SRI-NIC", "NIC"], "F3"));
    assert_eq!(merged.merged.get(&key("SRI-NIC")), None);
}

#[test]
fn truncation_is_found_before_it_happens() {
    let policy = Policy { name_octets_max: Some(8), ..policy() };
    let base = state(&[("STANFORD-A", says(1, &[], ""))]);
    let theirs = state(&[("STANFORD-A", says(1, &[], "")), ("STANFORD-B", says(2, &[], ""))]);
    let merged = run(&base, &base, &theirs, &policy);
    let expected = [conflict("STANFORD-B", Conflict::Truncation("STANFORD-B".into()))];
    assert_eq!(whats(&merged), expected);
    assert_eq!(truncation_collisions(theirs.entries().iter(), 8), 1);
    assert_eq!(truncation_collisions(theirs.entries().iter(), 24), 0);
}

#[test]
fn absence_is_evidence_in_a_full_file_alone() {
    let base = state(&[("A", says(1, &[], "")), ("B", says(2, &[], ""))]);
    let theirs = state(&[("A", says(1, &[], ""))]);
    let two = Policy { missing_generations: 2, ..policy() };
    let merged = run(&base, &base, &theirs, &two);
    assert_eq!(whats(&merged), [("B".to_owned(), What::Missing(1))]);
    assert_eq!((&merged.merged, &merged.base), (&base, &base));
    let again = merge(&Sides {
        base: &base,
        base_revision: 1,
        ours: &base,
        theirs: &theirs,
        duplicates: &[],
        quarantined: &[],
        kind: &InputKind::Full,
        missing: &merged.missing,
        policy: &two,
    });
    assert_eq!(whats(&again), [("B".to_owned(), What::Deleted)]);
    assert_eq!(again.merged, theirs);

    let partial = InputKind::Partial(Scope::Suffix("A".into()));
    let merged = run_as(&base, &base, &theirs, &policy(), &partial);
    assert_eq!((whats(&merged), &merged.merged), (vec![], &base));
    let outside = state(&[("Q", says(9, &[], ""))]);
    let merged = run_as(&base, &base, &outside, &policy(), &partial);
    assert_eq!(whats(&merged), [conflict("Q", Conflict::OutOfScope)]);

    let unread = merge(&Sides {
        base: &base,
        base_revision: 1,
        ours: &base,
        theirs: &theirs,
        duplicates: &[],
        quarantined: &[None],
        kind: &InputKind::Full,
        missing: &BTreeMap::new(),
        policy: &policy(),
    });
    assert_eq!(unread.merged, base, "the entry that cannot be read may be B");
}

#[test]
fn a_delta_says_nothing_by_silence() {
    let base = state(&[("A", says(1, &["N"], "VAX")), ("B", says(2, &[], ""))]);
    let change =
        Fields { machine: Field::text(b"-"), system: Field::text(b"ITS"), ..Fields::default() };
    let delta = state(&[("A", change)]);
    let merged = run_as(&base, &base, &delta, &policy(), &InputKind::Delta { revision: 1 });
    let expected = Fields { system: Field::text(b"ITS"), ..says(1, &["N"], "") };
    assert_eq!(merged.merged, state(&[("A", expected), ("B", says(2, &[], ""))]));
    let stale = run_as(&base, &base, &delta, &policy(), &InputKind::Delta { revision: 0 });
    assert_eq!(whats(&stale), [conflict("A", Conflict::StaleRevision)]);
}

fn input(generation: u64, theirs: &State) -> Input {
    Input {
        source: "nic".to_owned(),
        generation,
        file_sha256: [generation as u8; 32],
        kind: InputKind::Full,
        theirs: theirs.clone(),
        duplicates: Vec::new(),
        quarantined: Vec::new(),
    }
}

#[test]
fn plans_are_applied_once_and_held_when_they_do_much() {
    let full = state(&[("A", says(1, &[], "")), ("B", says(2, &[], ""))]);
    let start = SourceState::default();
    let empty = State::default();
    let first = plan(&start, &empty, &input(1, &full), &policy()).expect("a plan");
    assert_eq!(first.holds, []);
    let after = apply(&first, &start, &empty, None).expect("applied");
    assert_eq!(after.ours, full);
    let again = plan(&after.state, &after.ours, &input(1, &full), &policy());
    assert_eq!(again, Err(PlanError::AlreadyApplied(first.apply_id)));
    let mut other = input(1, &full);
    other.file_sha256 = [9; 32];
    let other = plan(&after.state, &after.ours, &other, &policy());
    assert_eq!(other, Err(PlanError::OtherContent(1)));

    let nothing = plan(&after.state, &after.ours, &input(3, &empty), &policy()).expect("a plan");
    let holds =
        [Hold::Deletes { count: 2, of: 2 }, Hold::Empty, Hold::Generation { last: 1, this: 3 }];
    assert_eq!(nothing.holds, holds);
    let held = apply(&nothing, &after.state, &after.ours, None);
    assert_eq!(held, Err(Held::Unconfirmed(holds.to_vec())));
    let wrong = apply(&nothing, &after.state, &after.ours, Some(first.hash));
    assert_eq!(wrong, Err(Held::OtherPlan));
    let stale = apply(&nothing, &after.state, &empty, Some(nothing.hash));
    assert_eq!(stale, Err(Held::Stale));
    let done = apply(&nothing, &after.state, &after.ours, Some(nothing.hash)).expect("confirmed");
    assert_eq!(done.ours, empty);
}

/// Records whose names, nicknames and addresses are their own, so that nothing collides and no
/// new name looks like a vanished one.
fn any_state() -> impl Strategy<Value = State> {
    let any_host = (
        0usize..12,
        0u8..4,
        proptest::sample::subsequence(vec![0, 1, 2], 0..=3),
        proptest::sample::select(vec!["", "VAX", "SUN"]),
        proptest::bool::ANY,
    );
    proptest::collection::btree_map(0usize..12, any_host, 0..10).prop_map(|hosts| {
        let entries = hosts.into_iter().map(|(n, (_, address, nicknames, machine, ttl))| {
            let fields = Fields {
                addresses: Field::list(vec![Address::V4([10, n as u8, 0, address].into())]),
                nicknames: Field::list(
                    nicknames.iter().map(|i| Text::from(format!("N{n}-{i}"))).collect(),
                ),
                machine: Field::text(machine.as_bytes()),
                ttl_seconds: if ttl { Field::Value(60) } else { Field::Unset },
                ..Fields::default()
            };
            host(&format!("H{n}"), fields)
        });
        State::new(entries).0
    })
}

/// In a format that holds everything.
fn whole() -> Policy {
    Policy { missing_generations: 1, ..Policy::new(Format::Json) }
}

/// The content with sets in order, without ids.
fn content(state: &State, without: &[Key]) -> Vec<(Key, Fields)> {
    let entries = state.entries().iter().filter(|entry| !without.contains(&entry.key));
    entries
        .map(|entry| {
            let mut fields = entry.fields.clone();
            if let Field::Value(addresses) = &mut fields.addresses {
                addresses.sort();
            }
            if let Field::Value(nicknames) = &mut fields.nicknames {
                nicknames.sort();
            }
            (entry.key.clone(), fields)
        })
        .collect()
}

fn frozen(merge: &Merge) -> Vec<Key> {
    let outcomes = merge.outcomes.iter();
    outcomes
        .filter(|outcome| matches!(outcome.what, What::Conflict(_)))
        .map(|outcome| outcome.key.clone())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_the_source_left_alone_is_ours(base in any_state(), ours in any_state()) {
        let merged = run(&base, &ours, &base, &whole());
        prop_assert_eq!(&merged.merged, &ours);
        prop_assert_eq!(merged.outcomes, vec![]);
    }

    #[test]
    fn what_we_left_alone_is_theirs(base in any_state(), theirs in any_state()) {
        let merged = run(&base, &base, &theirs, &whole());
        prop_assert_eq!(&merged.merged, &theirs);
        prop_assert_eq!(&merged.base, &theirs);
    }

    #[test]
    fn a_second_merge_changes_nothing(
        base in any_state(), ours in any_state(), theirs in any_state(),
    ) {
        let first = run(&base, &ours, &theirs, &whole());
        let second = run(&first.base, &first.merged, &theirs, &whole());
        prop_assert_eq!(&second.merged, &first.merged);
        prop_assert_eq!(&second.base, &first.base);
        prop_assert_eq!(frozen(&second), frozen(&first));
        prop_assert_eq!(second.outcomes.len(), frozen(&first).len());
    }

    #[test]
    fn both_sides_count_the_same(
        base in any_state(), ours in any_state(), theirs in any_state(),
    ) {
        let one = run(&base, &ours, &theirs, &whole());
        let other = run(&base, &theirs, &ours, &whole());
        let without = frozen(&one);
        prop_assert_eq!(&without, &frozen(&other));
        prop_assert_eq!(content(&one.merged, &without), content(&other.merged, &without));
    }

    #[test]
    fn no_record_is_lost(
        base in any_state(), ours in any_state(), theirs in any_state(),
        unread in proptest::collection::vec(0usize..12, 0..3),
    ) {
        let quarantined: Vec<_> = unread.iter().map(|n| Some(key(&format!("H{n}")))).collect();
        let kept = theirs.entries().iter().filter(|e| !quarantined.contains(&Some(e.key.clone())));
        let (theirs, _) = State::new(kept.cloned());
        let merged = merge(&Sides {
            base: &base, base_revision: 1, ours: &ours, theirs: &theirs, duplicates: &[],
            quarantined: &quarantined, kind: &InputKind::Full, missing: &BTreeMap::new(),
            policy: &whole(),
        });
        let with_theirs = merged.outcomes.iter().filter(|outcome| outcome.theirs.is_some());
        prop_assert_eq!(with_theirs.count() + merged.unchanged, theirs.len());
        for outcome in &merged.outcomes {
            let is_gone = outcome.what == What::Deleted;
            prop_assert!(is_gone || outcome.ours.is_none() || merged.merged.get(&outcome.key).is_some());
        }
        for key in quarantined.iter().flatten() {
            prop_assert_eq!(merged.merged.get(key), ours.get(key), "quarantined is unchanged");
        }
    }
}
