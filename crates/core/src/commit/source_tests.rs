//! Steps of a source: what is done together, what is left out, and what a batch holds.

use super::tests::{Site, name, request, set_a};
use super::*;
use crate::agent::Reason;
use crate::model::request::{Action, Identity, PlannedName, SourceStep, SourceUnit};
use crate::model::source::{Head, Item, LegacyRecord, OpenBatch};
use crate::model::{RrSet, snapshot};
use einhorn_wire::RecordType;

fn unit(key: &[u8], owner: &str, version: u64, last: u8) -> SourceUnit {
    let set = RrSet::new(RecordType::A, 60, [&[10, 0, 0, last][..]]);
    let (owner, epoch) = (name(owner), Some(u32::from(version > 0)));
    let after = set.into_iter().collect();
    SourceUnit {
        items: vec![Item::new(key.into(), Some(Box::from([last])))],
        names: vec![PlannedName { owner, version, epoch, after }],
    }
}

fn step(revision: u64, units: Vec<SourceUnit>) -> SourceStep {
    let head = Head::new(name("example."));
    SourceStep { source: "nic".to_owned(), revision, apply: [5; 32], head, units }
}

fn advance(site: &mut Site, id: u8, step: SourceStep) -> Outcome {
    let who = Identity::Source("nic".to_owned());
    let action = Action::Advance(Box::new(step));
    site.run(&[Request { who, ..request(id, action) }]);
    site.take().pop().expect("an answer").1
}

fn address(site: &Site, owner: &str) -> Option<Vec<u8>> {
    let zone = site.state().zones.get(&name("example."))?;
    Some(zone.rrset(&name(owner), RecordType::A)?.first().to_vec())
}

fn has(site: &Site, key: &[u8]) -> bool {
    let source = site.state().sources.get("nic");
    source.is_some_and(|source| source.record(key).is_some())
}

fn is_moved(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { rcode: Rcode::NXRRSET, .. })
}

#[test]
fn names_and_base_advance_together_and_only_as_planned() {
    let mut site = Site::new();
    let units = vec![unit(b"1", "one.example.", 0, 1), unit(b"2", "two.example.", 0, 2)];
    let done = advance(&mut site, 1, step(0, units));
    assert!(matches!(done, Outcome::Done { .. }), "{done:?}");
    assert_eq!(address(&site, "one.example."), Some(vec![10, 0, 0, 1]));
    assert!(has(&site, b"1") && has(&site, b"2"));
    // A device was faster with one of them.
    site.run(&[set_a(2, "two.example.", 99)]);
    site.take();
    let units = vec![unit(b"1", "one.example.", 1, 3), unit(b"2", "two.example.", 1, 4)];
    let late = step(1, units);
    advance(&mut site, 3, late.clone());
    assert_eq!(address(&site, "one.example."), Some(vec![10, 0, 0, 3]));
    assert_eq!(address(&site, "two.example."), Some(vec![192, 0, 2, 99]), "never overwritten");
    let source = site.state().sources.get("nic").expect("the source");
    assert_eq!(source.record(b"2").and_then(|record| record.record()), Some(&[2][..]));
    assert!(source.has(&late.units[0].items[0]) && !source.has(&late.units[1].items[0]));
    // The same again is of another revision by now; and a unit alone that is late is refused.
    assert!(is_moved(&advance(&mut site, 4, late)));
    let alone = step(2, vec![unit(b"2", "two.example.", 1, 4)]);
    assert!(is_moved(&advance(&mut site, 5, alone)));
    let state = site.state();
    let decoded = snapshot::decode(&snapshot::encode(state)).expect("a snapshot");
    assert_eq!(snapshot::encode(&decoded), snapshot::encode(state));
    assert_eq!(
        snapshot::encode(&site.restart()),
        snapshot::encode(state),
        "the log says all of it"
    );
}

#[test]
fn another_epoch_is_another_name() {
    let mut site = Site::new();
    advance(&mut site, 1, step(0, vec![unit(b"1", "one.example.", 0, 1)]));
    let mut taken_over = unit(b"1", "one.example.", 1, 3);
    taken_over.names[0].epoch = Some(2);
    assert!(is_moved(&advance(&mut site, 2, step(1, vec![taken_over]))));
    assert_eq!(address(&site, "one.example."), Some(vec![10, 0, 0, 1]));
}

#[test]
fn a_snapshot_without_sources_is_read_too() {
    let site = Site::new();
    let mut octets = snapshot::encode(site.state());
    // It ended before the list of sources, which is empty here.
    octets.truncate(octets.len() - 4);
    octets[0] -= 1;
    let decoded = snapshot::decode(&octets).expect("a snapshot of the form before");
    assert_eq!(snapshot::encode(&decoded), snapshot::encode(site.state()));
    octets[0] -= 1;
    assert!(snapshot::decode(&octets).is_err());
}

#[test]
fn a_device_is_told_to_be_careful_while_a_batch_holds_its_name() {
    let mut site = Site::new();
    let names = vec![name("held.example.")];
    let until_ms = site.now_ms() + 1_000;
    let batch = Some(OpenBatch { spool: 1, until_ms, names });
    let head = Head { spool: 1, batch, ..Head::new(name("example.")) };
    advance(&mut site, 1, SourceStep { head, ..step(0, Vec::new()) });
    let reason = |site: &mut Site, id: u8, owner: &str| {
        site.run(&[set_a(id, owner, id)]);
        site.take();
        site.entries().into_iter().rev().find_map(|(_, entry)| match entry.body {
            Body::Change(change) => Some(change.advice.reason),
            _ => None,
        })
    };
    assert_eq!(reason(&mut site, 2, "held.example."), Some(Reason::LegacyBatch));
    assert_eq!(reason(&mut site, 3, "free.example."), Some(Reason::NoHazard));
    site.pass(2_000);
    assert_ne!(reason(&mut site, 4, "held.example."), Some(Reason::LegacyBatch));
    assert_eq!(address(&site, "held.example."), Some(vec![192, 0, 2, 4]), "it is never refused");
}

#[test]
fn a_frozen_record_waits_once_and_leaves_the_queue_when_it_advances() {
    let mut site = Site::new();
    advance(&mut site, 1, step(0, vec![unit(b"1", "one.example.", 0, 1)]));
    let freeze = |site: &mut Site, id: u8, last: u8| {
        let legacy = LegacyRecord {
            source: "nic".to_owned(),
            key: Box::from(*b"1"),
            revision: 1,
            record: Some(Box::from([last])),
            conflict: "both-changed: machine".to_owned(),
            place: "HOSTS.TXT, line 1, octet 0".to_owned(),
            text: "HOST ONE".to_owned(),
            raw: b"HOST : 10.0.0.1 : ONE :\n".to_vec(),
        };
        let names = unit(b"1", "one.example.", 1, last).names;
        let who = Identity::Source("nic".to_owned());
        let action = Action::Freeze(Box::new(legacy), names);
        site.run(&[Request { who, ..request(id, action) }]);
        site.take().pop().expect("an answer").1
    };
    freeze(&mut site, 2, 7);
    let first = site.state().reviews.of_record("nic", b"1").expect("a review");
    assert_eq!(address(&site, "one.example."), Some(vec![10, 0, 0, 1]), "nothing changes");
    freeze(&mut site, 3, 8);
    let second = site.state().reviews.of_record("nic", b"1").expect("a review");
    assert_ne!(first, second);
    assert_eq!(site.state().reviews.count(), 1, "the second stands for the first");
    advance(&mut site, 4, step(1, vec![unit(b"1", "one.example.", 1, 9)]));
    assert_eq!(site.state().reviews.count(), 0);
    // A record that has advanced is not frozen as of before.
    assert!(is_moved(&freeze(&mut site, 5, 8)));
}
