//! Sources on a node that is a commit in memory.

mod world;

use super::apply::{Node, Problem, Source, apply, look};
use super::file::Reader;
use super::image::Placing;
use super::lift::{Content, lift};
use super::plan::Known;
use super::show::Summary;
use crate::cards::{self, Card};
use crate::codec::{Format, Layout, Options, encoder};
use crate::item::{Item, Output};
use crate::merge::{InputKind, PlanError, Policy, State as Records};
use crate::record::{Address, Field, Fields, HostId, Key, Kind};
use einhorn_core::model::request::{Action, Identity, Operation};
use einhorn_core::model::review::Choice;
use einhorn_core::model::snapshot;
use einhorn_wire::RecordType;
use proptest::prelude::*;
use std::collections::BTreeMap;
use world::{Memory, Octets, ZONE, name};

fn source() -> Source {
    let format = Format::HostsTxt;
    let mut policy = Policy::new(format);
    (policy.deletes_percent_max, policy.updates_percent_max) = (100, 100);
    policy.missing_generations = 1;
    Source {
        name: "nic".to_owned(),
        placing: Placing { zone: name(ZONE), format, ttl_seconds: 60 },
        options: Options { source: "nic".to_owned(), ..Options::default() },
        kind: InputKind::Full,
        policy,
    }
}

fn try_apply(memory: &mut Memory, text: &str) -> Result<Summary, Problem> {
    let mut input = Octets(text.as_bytes().to_vec());
    let plan = look(&source(), memory, &mut input)?.planned.plan.hash;
    apply(&source(), memory, &mut input, Some(plan), &mut |_, _| {})
}

fn applied(memory: &mut Memory, text: &str) -> Summary {
    try_apply(memory, text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

const FIRST: &str = "\
HOST : 10.0.0.1 : A,AA : VAX : UNIX : TCP/TELNET :
HOST : 10.0.0.2, 10.0.1.2 : B : PDP-10 : ITS : :
NET : 10.0.0.0 : ARPANET :
GATEWAY : 10.0.0.9 : GW : C30 : :
";

#[test]
fn a_table_is_applied_once() {
    let mut memory = Memory::new();
    let summary = applied(&mut memory, FIRST);
    assert_eq!((summary.added, summary.conflicts), (4, 0), "{summary:?}");
    let expected = [
        "A 60 A 10.0.0.1",
        "A 60 HINFO VAX UNIX",
        "AA 60 CNAME A.arpa.example.",
        "ARPANET 60 PTR 0.0.0.10.in-addr.arpa.",
        "B 60 A 10.0.0.2",
        "B 60 A 10.0.1.2",
        "B 60 HINFO PDP-10 ITS",
        "GW 60 A 10.0.0.9",
    ];
    let records: Vec<_> = memory.records();
    for line in expected {
        let is_there = records.iter().any(|one| one.replace('"', "") == line);
        assert!(is_there, "{line} in {records:#?}");
    }
    let entries = memory.entries;
    let again = try_apply(&mut memory, FIRST);
    assert!(
        matches!(again, Err(Problem::Plan(PlanError::AlreadyApplied(_)))),
        "{:?}",
        again.map(|summary| summary.to_json())
    );
    assert_eq!(memory.entries, entries, "nothing is committed");
    let decoded = snapshot::decode(&snapshot::encode(memory.state())).expect("a snapshot");
    assert_eq!(snapshot::encode(&decoded), snapshot::encode(memory.state()));
}

#[test]
fn each_side_s_changes_stay() {
    let mut memory = Memory::new();
    applied(&mut memory, FIRST);
    memory.device(&name("b.arpa.example."), Some([10, 0, 0, 77]));
    memory.device(&name("phone.arpa.example."), Some([10, 9, 9, 9]));
    let second = FIRST.replace("10.0.0.1 ", "10.0.0.5 ").replace("A,AA", "A,AB");
    let summary = applied(&mut memory, &second);
    assert_eq!((summary.updated, summary.conflicts, summary.deleted), (1, 0, 0), "{summary:?}");
    let records = memory.records().join("\n");
    for line in ["A 60 A 10.0.0.5", "AB 60 CNAME", "B 60 A 10.0.0.77", "phone 60 A 10.9.9.9"] {
        assert!(records.contains(line), "{line} in {records}");
    }
    assert!(!records.contains("AA 60 CNAME"), "{records}");
    let third = second.replace("HOST : 10.0.0.5 : A,AB : VAX", "HOST : 10.0.0.5 : NEW,A : VAX");
    let summary = applied(&mut memory, &third);
    assert_eq!((summary.renamed, summary.added, summary.deleted), (1, 0, 0), "{summary:?}");
    let records = memory.records().join("\n");
    assert!(records.contains("NEW 60 A 10.0.0.5"), "{records}");
    assert!(records.contains("A 60 CNAME NEW."), "{records}");
    assert!(!records.contains("AB 60"), "{records}");
}

#[test]
fn what_both_changed_waits_for_a_person_and_nothing_else_does() {
    for choice in Choice::ALL {
        let mut memory = Memory::new();
        applied(&mut memory, FIRST);
        // The machine is one value, which only one of them can have its way with.
        let operations = vec![
            Operation::DeleteRrSet(name("a.arpa.example."), RecordType(13)),
            Operation::Add {
                owner: name("a.arpa.example."),
                rtype: RecordType(13),
                ttl: 60,
                rdata: b"\x05PHONE\x03IOS"[..].into(),
            },
        ];
        let action = Action::Update { prerequisites: Vec::new(), operations, lease: None };
        memory.run(Identity::Key(name("phone.")), action);
        let second = FIRST.replace(": VAX :", ": CRAY :").replace("PDP-10", "PDP-11");
        let summary = applied(&mut memory, &second);
        assert_eq!((summary.updated, summary.conflicts), (1, 1), "{summary:?}");
        let records = memory.records().join("\n");
        assert!(records.contains("PHONE"), "what is served stays: {records}");
        assert!(records.contains("PDP-11"), "others go on: {records}");
        let (_, open) = memory.state().reviews.iter().next().expect("a review");
        let legacy = open.review.legacy.clone().expect("a record");
        assert_eq!(legacy.conflict, "both-changed: machine");
        assert_eq!(legacy.raw, b"HOST : 10.0.0.1 : A,AA : CRAY : UNIX : TCP/TELNET :\n");
        assert!(legacy.text.contains("machine=CRAY"), "{}", legacy.text);
        assert!(legacy.place.contains("line 1, octet 0"), "{}", legacy.place);
        // The next file says the same of it: nothing new waits.
        let third = second.replace("C30", "C40");
        let summary = applied(&mut memory, &third);
        assert_eq!(summary.conflicts, 1, "{summary:?}");
        assert_eq!(memory.state().reviews.count(), 1);
        memory.decide(choice);
        let records = memory.records().join("\n");
        assert_eq!(records.contains("CRAY"), choice != Choice::Keep, "{choice}: {records}");
        let summary = applied(&mut memory, &third.replace("C40", "C50"));
        assert_eq!((summary.conflicts, summary.updated), (0, 1), "{choice}: {summary:?}");
        assert_eq!(memory.state().reviews.count(), 0, "{choice}");
    }
}

#[test]
fn a_device_that_is_faster_is_merged_and_not_overwritten() {
    let mut memory = Memory::new();
    applied(&mut memory, FIRST);
    let second = FIRST.replace("10.0.0.1 ", "10.0.0.5 ");
    let mut input = Octets(second.into_bytes());
    memory.meanwhile = vec![(name("a.arpa.example."), Some([10, 7, 7, 7]))];
    let summary = apply(&source(), &mut memory, &mut input, None, &mut |_, _| {});
    let summary = summary.expect("applied");
    assert_eq!(summary.updated, 1, "{summary:?}");
    let records = memory.records().join("\n");
    // Addresses are a set: both sides replaced the one that there was.
    assert!(records.contains("A 60 A 10.0.0.5"), "{records}");
    assert!(records.contains("A 60 A 10.7.7.7"), "{records}");
    assert!(!records.contains("A 60 A 10.0.0.1\n"), "{records}");
}

#[test]
fn other_octets_of_the_same_generation_are_rejected() {
    let mut memory = Memory::new();
    let first = format!("; DoD Internet Host Table\n; Version number 7\n{FIRST}");
    let stated = {
        let none = Records::default();
        let mut reader =
            Reader::new(Format::HostsTxt, &Options::default(), &none).expect("a reader");
        reader.push(first.as_bytes()).expect("read");
        reader.finish().expect("read").generation
    };
    applied(&mut memory, &first);
    let other = first.replace("10.0.0.1", "10.0.0.5");
    let refused = try_apply(&mut memory, &other);
    let is_refused = matches!(refused, Err(Problem::Plan(PlanError::OtherContent(_))));
    assert_eq!(is_refused, stated.is_some(), "{:?}", refused.map(|summary| summary.to_json()));
}

#[test]
fn a_guard_holds_until_the_hash_is_confirmed() {
    let mut memory = Memory::new();
    applied(&mut memory, FIRST);
    let mut guarded = source();
    guarded.policy.deletes_percent_max = 10;
    let fewer: String = FIRST.lines().skip(1).map(|line| format!("{line}\n")).collect();
    let mut input = Octets(fewer.into_bytes());
    let held = apply(&guarded, &mut memory, &mut input, None, &mut |_, _| {});
    let text = held.expect_err("held").to_string();
    assert!(text.contains("would be deleted") && text.contains("--plan"), "{text}");
    let wrong = apply(&guarded, &mut memory, &mut input, Some([1; 32]), &mut |_, _| {});
    assert!(matches!(wrong, Err(Problem::NotConfirmed(_))));
    let plan = look(&guarded, &mut memory, &mut input).expect("a plan").planned.plan.hash;
    let done = apply(&guarded, &mut memory, &mut input, Some(plan), &mut |_, _| {});
    assert_eq!(done.expect("applied").deleted, 1);
}

#[test]
fn a_name_that_another_zone_has_is_not_touched() {
    let mut memory = Memory::new();
    let operations = vec![Operation::Add {
        owner: name("sub.arpa.example."),
        rtype: RecordType::NS,
        ttl: 60,
        rdata: name("ns.arpa.example.").as_wire().into(),
    }];
    let action = Action::Update { prerequisites: Vec::new(), operations, lease: None };
    memory.run(Identity::Operator, action);
    let table = "HOST : 10.0.0.1 : X.SUB ::::\nHOST : 10.0.0.2 : Y ::::\n";
    let summary = applied(&mut memory, table);
    assert_eq!(summary.conflicts, 1, "{summary:?}");
    let records = memory.records().join("\n");
    assert!(records.contains("Y 60 A 10.0.0.2"), "{records}");
    assert!(!records.contains("X.SUB"), "{records}");
}

/// A small table: hosts by number, each with address and machine.
fn table(hosts: &BTreeMap<u8, (u8, u8)>) -> String {
    let line = |(host, (address, machine)): (&u8, &(u8, u8))| {
        format!("HOST : 10.0.0.{address} : H{host},N{host} : M{machine} : : :\n")
    };
    hosts.iter().map(line).collect()
}

fn tables() -> impl Strategy<Value = BTreeMap<u8, (u8, u8)>> {
    proptest::collection::btree_map(0u8..6, (1u8..9, 0u8..3), 0..6)
}

/// A record of a base: its key, what it is, in how many files it was missing.
type Based = (Vec<u8>, Option<Vec<u8>>, u32);

/// What must be the same whether an apply was interrupted or not.
fn outcome(memory: &Memory) -> (Vec<String>, Vec<Based>, Vec<Vec<u8>>) {
    let source = memory.state().sources.get("nic").expect("the source");
    let records = source.records().filter(|record| record.record().is_some());
    let records = records.map(|record| {
        (record.key().to_vec(), record.record().map(<[u8]>::to_vec), record.missing())
    });
    let mut waiting: Vec<Vec<u8>> = (memory.state().reviews.iter())
        .filter_map(|(_, open)| open.review.legacy.as_ref().map(|legacy| legacy.key.to_vec()))
        .collect();
    waiting.sort();
    (memory.records(), records.collect(), waiting)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_apply_that_is_killed_anywhere_goes_on_where_it_was(
        before in tables(),
        after in tables(),
        devices in proptest::collection::vec((0u8..8, proptest::option::of(1u8..9)), 0..5),
        missing_generations in 1u32..3,
    ) {
        let run = |dies: Option<(usize, bool)>| {
            let mut memory = Memory::new();
            let mut source = source();
            source.policy.missing_generations = missing_generations;
            let mut input = Octets(table(&before).into_bytes());
            let plan = look(&source, &mut memory, &mut input).map(|s| s.planned.plan.hash);
            let plan = plan.expect("a plan");
            apply(&source, &mut memory, &mut input, Some(plan), &mut |_, _| {}).expect("applied");
            for (host, address) in &devices {
                let owner = name(&format!("h{host}.arpa.example."));
                memory.device(&owner, address.map(|last| [10, 0, 1, last]));
            }
            let mut input = Octets(table(&after).into_bytes());
            let plan = match look(&source, &mut memory, &mut input) {
                Ok(shown) => shown.planned.plan.hash,
                Err(Problem::Plan(PlanError::AlreadyApplied(_))) => return (memory, 0),
                Err(problem) => panic!("{problem}"),
            };
            memory.dies = dies;
            let mut calls = 0;
            let first = apply(&source, &mut memory, &mut input, Some(plan), &mut |_, _| calls += 1);
            memory.dies = None;
            if first.is_err() {
                // The same command again, with the same hash.
                match apply(&source, &mut memory, &mut input, Some(plan), &mut |_, _| {}) {
                    Ok(_) | Err(Problem::Plan(PlanError::AlreadyApplied(_))) => {}
                    Err(problem) => panic!("{problem}"),
                }
            }
            (memory, calls)
        };
        let (whole, _) = run(None);
        let expected = outcome(&whole);
        for calls in 0..5 {
            for after_done in [false, true] {
                let (memory, _) = run(Some((calls, after_done)));
                prop_assert_eq!(outcome(&memory), expected.clone(), "{} {}", calls, after_done);
            }
        }
    }

    #[test]
    fn what_was_applied_is_what_the_zone_says(
        tables in proptest::collection::vec(tables(), 1..4),
        devices in proptest::collection::vec((0u8..8, proptest::option::of(1u8..9)), 0..6),
    ) {
        let mut memory = Memory::new();
        for (round, hosts) in tables.iter().enumerate() {
            match try_apply(&mut memory, &table(hosts)) {
                Ok(summary) => {
                    let all = summary.added + summary.updated + summary.renamed
                        + summary.unchanged + summary.conflicts;
                    prop_assert!(all >= hosts.len(), "no record is lost: {:?}", summary);
                }
                Err(Problem::Plan(PlanError::AlreadyApplied(_))) => {}
                Err(problem) => panic!("{problem}"),
            }
            // Lifting what the zone says gives the base back where nobody changed anything.
            let view = memory.look().expect("a view");
            let source = source();
            let known = Known::new(&view, &source.placing).expect("a base");
            let content = Content::new(&view.names);
            let ours = lift(&source.placing, &known.state.base, &Records::default(), &content);
            if round == 0 {
                for entry in known.state.base.entries() {
                    prop_assert_eq!(ours.get(&entry.key), Some(entry));
                }
            }
            for (host, address) in &devices {
                let owner = name(&format!("h{host}.arpa.example."));
                memory.device(&owner, address.map(|last| [10, 0, 2, last]));
            }
        }
    }
}

/// A deck of cards, which say all the same of a host as its base does.
fn deck(cards: Vec<Card>) -> Octets {
    let mut out = Output::default();
    let mut encode = encoder(Format::Cards, &card_options()).expect("a layout");
    for card in cards {
        let id = HostId::first_seen("nic", &card.key);
        encode.push(Item::Record(Box::new(card.into_record(id))), &mut out).expect("a card");
    }
    encode.finish(&mut out).expect("a deck");
    Octets(out.octets)
}

fn card_options() -> Options {
    let layout = Layout {
        copybook: include_str!("../../../../tests/interop/mainframe/cards.cpy").to_owned(),
        layout: include_str!("../../../../tests/interop/mainframe/cards.toml").to_owned(),
    };
    Options { source: "nic".to_owned(), layout: Some(layout), ..Options::default() }
}

fn card(action: cards::Action, name: &str, address: Option<[u8; 4]>) -> Card {
    let key = Key { kind: Kind::Host, name: name.into() };
    let addresses =
        Field::list(address.map(|octets| Address::V4(octets.into())).into_iter().collect());
    let fields = Fields { addresses, ..Fields::default() };
    Card { action, key, fields, cleared: Vec::new(), base_revision: None }
}

#[test]
fn cards_add_change_and_delete_at_once_and_what_they_cannot_waits() {
    use cards::Action::{Add, Change, Delete};
    let mut source = source();
    source.placing.format = Format::Cards;
    source.policy.format = Format::Cards;
    source.policy.missing_generations = 2;
    source.options = card_options();
    source.kind = InputKind::Delta { revision: 0 };
    let mut memory = Memory::new();
    let run = |memory: &mut Memory, cards: Vec<Card>| {
        apply(&source, memory, &mut deck(cards), None, &mut |_, _| {}).expect("applied")
    };
    let first = vec![card(Add, "A", Some([10, 0, 0, 1])), card(Add, "B", Some([10, 0, 0, 2]))];
    let summary = run(&mut memory, first);
    assert_eq!((summary.added, summary.conflicts), (2, 0), "{summary:?}");
    source.policy.deletes_percent_max = 100;
    let run = |memory: &mut Memory, cards: Vec<Card>| {
        apply(&source, memory, &mut deck(cards), None, &mut |_, _| {}).expect("applied")
    };
    let second = vec![
        card(Change, "A", Some([10, 0, 0, 3])),
        card(Delete, "B", None),
        card(Change, "C", Some([10, 0, 0, 4])),
    ];
    let summary = run(&mut memory, second);
    assert_eq!((summary.updated, summary.deleted), (1, 1), "{summary:?}");
    assert_eq!(summary.conflicts_listed, ["HOST C: delete-against-edit"], "{summary:?}");
    assert_eq!(memory.state().reviews.count(), 1);
    let records = memory.records().join("\n");
    assert!(records.contains("A 60 A 10.0.0.3") && !records.contains("B 60"), "{records}");
    // A deck that does not mention the record that waits leaves it waiting; a person decides.
    run(&mut memory, vec![card(Add, "D", Some([10, 0, 0, 5]))]);
    assert_eq!(memory.state().reviews.count(), 1);
    memory.decide(Choice::Take);
    let records = memory.records().join("\n");
    assert!(records.contains("C 60 A 10.0.0.4") && records.contains("D 60 A"), "{records}");
}
