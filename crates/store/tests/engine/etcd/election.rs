//! Which node leads, and that whoever no longer does writes nothing.

use std::time::{Duration, Instant};

use einhorn_store::engine::etcd::{EtcdElection, EtcdEngine, EtcdLeadership};
use einhorn_store::engine::{Engine, EngineError};

use super::{Cluster, PATIENCE};
use crate::support::{LOG, append_one, batch_of, read_all};

/// How soon another node leads once a leader is dead.
const TAKEOVER_MAX: Duration = Duration::from_secs(3);

/// How soon the site goes on once the member of etcd that leads is dead.
const ETCD_TAKEOVER_MAX: Duration = Duration::from_secs(5);

fn lead(cluster: &Cluster, name: &str) -> EtcdLeadership {
    let election = EtcdElection::open(&cluster.place(), name).unwrap();
    election.campaign(PATIENCE).unwrap().expect("it leads")
}

#[test]
fn another_node_takes_over_from_a_dead_one_which_is_fenced() {
    let Some(cluster) = Cluster::start() else { return };
    let first = lead(&cluster, "first");
    let mut engine = EtcdEngine::open_as_leader(&first).unwrap();
    let epoch = first.epoch();
    append_one(&mut engine, epoch, &batch_of([&b"one"[..]])).unwrap();
    let second = EtcdElection::open(&cluster.place(), "second").unwrap();
    let leader = second.leader().unwrap().unwrap();
    assert_eq!((&leader.name[..], leader.epoch), ("first", epoch));
    assert!(second.campaign(Duration::from_millis(10)).unwrap().is_none(), "one leads already");
    let (new, took) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| second.campaign(PATIENCE).unwrap().expect("it leads"));
        // From here on the first gives no sign of life, as if it had been killed.
        let begin = Instant::now();
        drop(first);
        (waits.join().unwrap(), begin.elapsed())
    });
    eprintln!("another node led {took:?} after the leader's death");
    assert!(took < TAKEOVER_MAX, "{took:?}");
    assert!(new.epoch() > epoch);
    // Before the new one has written anything, and after.
    for _ in 0..2 {
        let result = append_one(&mut engine, epoch, &batch_of([&b"late"[..]]));
        assert!(
            matches!(result, Err(EngineError::Fenced { offered, stored })
                if offered == epoch && stored == new.epoch()),
            "{result:?}"
        );
    }
    let mut engine = EtcdEngine::open_as_leader(&new).unwrap();
    assert_eq!(engine.epoch(), new.epoch());
    append_one(&mut engine, new.epoch(), &batch_of([&b"two"[..]])).unwrap();
    let found = read_all(&engine, 1000).unwrap();
    assert_eq!(found[&LOG], [(epoch, b"one".to_vec()), (new.epoch(), b"two".to_vec())]);
}

#[test]
fn a_leader_hears_of_its_end_and_a_resignation_takes_no_time() {
    let Some(cluster) = Cluster::start() else { return };
    let first = lead(&cluster, "first");
    let second = EtcdElection::open(&cluster.place(), "second").unwrap();
    let (new, took) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| second.campaign(PATIENCE).unwrap().expect("it leads"));
        let begin = Instant::now();
        first.resign();
        (waits.join().unwrap(), begin.elapsed())
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    let mut engine = EtcdEngine::open_as_leader(&new).unwrap();
    assert!(!new.await_end(Duration::from_millis(1)));
    // Somebody takes its key away, as when its lease runs out while it is paused.
    let all = serde_json::json!({ "key": super::base64("einhorn/1/leader") });
    cluster.ask("/v3/kv/deleterange", all).unwrap();
    let result = append_one(&mut engine, new.epoch(), &batch_of([&b"late"[..]]));
    assert!(
        matches!(result, Err(EngineError::Fenced { stored, .. }) if stored > new.epoch()),
        "before anybody else leads: {result:?}"
    );
    let result = EtcdEngine::open_as_leader(&new).err();
    assert!(matches!(result, Some(EngineError::Fenced { .. })), "{result:?}");
}

#[test]
fn of_many_candidates_one_leads_at_a_time() {
    let Some(cluster) = Cluster::start() else { return };
    let place = cluster.place();
    let epochs = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (place, epochs) = (&place, &epochs);
            scope.spawn(move || {
                let election = EtcdElection::open(place, name).unwrap();
                for _ in 0..3 {
                    let leadership = election.campaign(PATIENCE).unwrap().expect("it leads");
                    let mut engine = EtcdEngine::open_as_leader(&leadership).unwrap();
                    let batch = batch_of([name.as_bytes()]);
                    append_one(&mut engine, leadership.epoch(), &batch).unwrap();
                    epochs.lock().unwrap().push(leadership.epoch());
                    leadership.resign();
                }
            });
        }
    });
    let epochs = epochs.into_inner().unwrap();
    assert!(epochs.is_sorted() && epochs.len() == 12, "{epochs:?}");
    let found = read_all(&EtcdEngine::open(&place).unwrap(), 10_000).unwrap();
    let written: Vec<_> = found[&LOG].iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(written, epochs);
}

#[test]
fn the_site_goes_on_when_etcd_loses_its_leader() {
    let Some(mut cluster) = Cluster::start() else { return };
    let first = lead(&cluster, "first");
    let mut engine = EtcdEngine::open_as_leader(&first).unwrap();
    append_one(&mut engine, first.epoch(), &batch_of([&b"one"[..]])).unwrap();
    let etcd_leader = cluster.etcd.leader();
    let begin = Instant::now();
    cluster.etcd.kill_member(etcd_leader);
    append_one(&mut engine, first.epoch(), &batch_of([&b"two"[..]])).unwrap();
    let took = begin.elapsed();
    eprintln!("the site went on {took:?} after the death of etcd's leader");
    assert!(took < ETCD_TAKEOVER_MAX, "{took:?}");
    // The lease outlived it, and is kept alive at the members that are left.
    assert!(!first.await_end(Duration::from_secs(4)), "the same node leads on");
    append_one(&mut engine, first.epoch(), &batch_of([&b"three"[..]])).unwrap();
    assert_eq!(read_all(&engine, 1000).unwrap()[&LOG].len(), 3);
}
