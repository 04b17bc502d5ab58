//! etcd's space quota: a full one stops writes by name, loses nothing, and can be cured.

use einhorn_store::engine::etcd::EtcdEngine;
use einhorn_store::engine::{Engine, EngineError, LogId};

use super::Cluster;
use crate::support::{LOG, append_one, batch_of, latest_snapshot, read_all};

/// A quota of 4 MiB.
const QUOTA: &[&str] = &["--quota-backend-bytes", "4194304"];

#[test]
fn a_full_quota_loses_nothing_and_writes_go_on_once_there_is_room() {
    let Some(cluster) = Cluster::start_with(3, QUOTA) else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let entry = vec![7; 40_000];
    let mut count = 0;
    // Snapshots replace one another, so that there is history to drop.
    let error = loop {
        assert!(count < 1000, "the quota is never full");
        if let Err(error) = append_one(&mut engine, 1, &batch_of([&entry[..]])) {
            break error;
        }
        count += 1;
        if let Err(error) = engine.save_snapshot(count, &vec![count as u8; 200_000]) {
            break error;
        }
    };
    assert!(matches!(error, EngineError::QuotaFull { .. }), "{error:?}");
    let text = error.to_string();
    for word in ["quota-backend-bytes", "defrag", "alarm disarm"] {
        assert!(text.contains(word), "{text}");
    }
    eprintln!("after {count} appends: {text}");
    let result = append_one(&mut engine, 1, &batch_of([&entry[..]]));
    assert!(matches!(result, Err(EngineError::Poisoned { .. })), "{result:?}");
    assert_eq!(read_all(&engine, 100_000).unwrap()[&LOG].len() as u64, count, "reads go on");
    let result = EtcdEngine::open(&cluster.place()).err();
    assert!(matches!(result, Some(EngineError::QuotaFull { .. })), "{result:?}");

    cluster.etcd.compact();
    cluster.etcd.make_room();
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    assert_eq!(engine.next_index(LOG), count);
    append_one(&mut engine, 1, &batch_of([&entry[..]])).unwrap();
    let snapshot = latest_snapshot(engine.reader().unwrap().as_mut());
    assert!(snapshot.is_some_and(|(tag, bytes)| bytes == vec![tag as u8; 200_000]));
    assert_eq!(read_all(&engine, 100_000).unwrap()[&LOG].len() as u64, count + 1);
}

#[test]
fn forgotten_logs_and_dropped_snapshots_leave_no_keys() {
    let Some(cluster) = Cluster::start_with(1, &[]) else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let before = cluster.keys();
    for _ in 0..300 {
        let mut batch = batch_of([&b"entry"[..]]);
        batch.push(b"other", b"audit").unwrap();
        append_one(&mut engine, 1, &batch).unwrap();
    }
    engine.save_snapshot(1, &vec![7; 3 << 20]).unwrap();
    engine.forget_log(LOG).unwrap();
    assert_eq!(cluster.keys(), before + 600, "hidden, and still there");
    // At most 128 keys of one kind at once, and one step that finds nothing more.
    for _ in 0..7 {
        engine.maintain().unwrap();
    }
    assert_eq!(cluster.keys(), before, "the root is what is left");
    assert_eq!((engine.logs(), engine.next_index(LOG)), (Vec::<LogId>::new(), 0));
}
