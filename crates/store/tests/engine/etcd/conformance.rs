//! The suite that every engine passes, on etcd. Its faults of a disk have no counterpart here: etcd's
//! members answer for their own disks, and a majority of them for each other.

use std::cell::Cell;

use einhorn_store::engine::etcd::{EtcdEngine, EtcdPlace};
use einhorn_store::engine::{Engine, EngineError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::Cluster;
use crate::conformance::{Host, conforms, operation};
use crate::support::{LOG, LOGS, Logs, append, append_one, batch_of, extend, read_all};

struct Prefix(EtcdPlace);

impl Host for Prefix {
    fn open(&mut self) -> Box<dyn Engine> {
        Box::new(EtcdEngine::open(&self.0).unwrap())
    }
}

#[test]
fn etcd_conforms() {
    let Some(cluster) = Cluster::start() else { return };
    let config =
        ProptestConfig { failure_persistence: None, cases: 12, ..ProptestConfig::default() };
    let number = Cell::new(0);
    TestRunner::new(config)
        .run(&vec(operation(), 1..50), |operations| {
            number.set(number.get() + 1);
            let prefix = format!("einhorn/case-{}", number.get());
            conforms(&mut Prefix(EtcdPlace::new(cluster.etcd.endpoints(), &prefix)), operations);
            Ok(())
        })
        .unwrap();
}

#[test]
fn long_appends_and_snapshots_are_whole_and_sites_apart() {
    let Some(cluster) = Cluster::start_with(1, &[]) else { return };
    let place = cluster.place();
    let mut other =
        EtcdEngine::open(&EtcdPlace::new(cluster.etcd.endpoints(), "einhorn/11")).unwrap();
    append_one(&mut other, 1, &batch_of([&b"of another site"[..]])).unwrap();
    let mut engine = EtcdEngine::open(&place).unwrap();
    let mut logs = Logs::new();
    // 6 MiB in runs of many lengths, several logs, and more than etcd takes in one request.
    let entry = |index: usize| vec![index as u8; (index * 7919) % 60_000];
    let entries: Vec<_> = (0..200).map(entry).collect();
    let batch = batch_of(entries.iter().map(|entry| &entry[..]));
    let parts: Vec<_> = LOGS[..2].iter().map(|log| (*log, batch.clone())).collect();
    append(&mut engine, 2, &parts).unwrap();
    extend(&mut logs, 2, &parts);
    let snapshot: Vec<u8> = (0..5_000_000_u32).map(|octet| (octet % 251) as u8).collect();
    engine.save_snapshot(400, &snapshot).unwrap();
    let mut reader = engine.reader().unwrap();
    let found = crate::support::latest_snapshot(reader.as_mut());
    assert!(found == Some((400, snapshot)), "the snapshot comes back whole");
    for max_bytes in [1, 5000, 700_000] {
        assert!(read_all(&engine, max_bytes).unwrap() == logs, "with {max_bytes} at once");
    }
    assert_eq!(other.reader().unwrap().ends().unwrap(), [(LOG, 1)]);
}

#[test]
fn what_was_staged_and_never_visible_is_gone() {
    let Some(cluster) = Cluster::start_with(1, &[]) else { return };
    let mut first = EtcdEngine::open(&cluster.place()).unwrap();
    append_one(&mut first, 1, &batch_of([&b"one"[..]])).unwrap();
    // A run and a piece behind the end, as a node leaves them that dies on the way.
    let before = cluster.keys();
    let (id, last) = ("0".repeat(16), format!("{:016x}", 9));
    cluster.put(&format!("einhorn/1/log/{id}/{last}"), "never visible");
    cluster.put(&format!("einhorn/1/piece/{}/{id}", "f".repeat(16)), "of no snapshot");
    assert_eq!(cluster.keys(), before + 2);
    let mut second = EtcdEngine::open(&cluster.place()).unwrap();
    assert_eq!(cluster.keys(), before, "opening removes them");
    append_one(&mut second, 1, &batch_of([&b"two"[..]])).unwrap();
    let result = append_one(&mut first, 1, &batch_of([&b"late"[..]]));
    assert!(matches!(result, Err(EngineError::Superseded { .. })), "{result:?}");
    let found = read_all(&second, 1000).unwrap();
    assert_eq!(found[&LOG], [(1, b"one".to_vec()), (1, b"two".to_vec())]);
}

#[test]
fn damage_is_seen_and_erased_values_are_in_no_revision() {
    let Some(cluster) = Cluster::start_with(1, &[]) else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let mut batch = batch_of([&b"one"[..]]);
    batch.push(b"two", b"who it was").unwrap();
    append_one(&mut engine, 1, &batch).unwrap();
    let revision = cluster.etcd.revision();
    assert_eq!(engine.erase_audit(LOG, 1..2).unwrap(), 1);
    let old = cluster.get_at("einhorn/1/audit/", revision);
    assert!(old.as_ref().is_err_and(|error| error.contains("compacted")), "{old:?}");
    let id = "0".repeat(16);
    cluster.put(&format!("einhorn/1/log/{id}/{:016x}", 1), "damage");
    let mut reader = engine.reader().unwrap();
    let result = reader.read(LOG, 0, 1000, &mut |_, _, _| panic!("it is damaged"));
    assert!(matches!(result, Err(EngineError::Corrupt { .. })), "{result:?}");
    cluster.put("einhorn/1/root", "damage");
    let result = EtcdEngine::open(&cluster.place()).err();
    assert!(matches!(result, Some(EngineError::NotALog { .. })), "{result:?}");
}
