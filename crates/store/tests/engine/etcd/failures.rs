//! Members that die, hang, or are cut off while a writer writes: nothing is lost or done twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use einhorn_harness::Proxy;
use einhorn_store::engine::etcd::{EtcdEngine, EtcdLimits, EtcdPlace};
use einhorn_store::engine::{Engine, EngineError};

use super::Cluster;
use crate::support::{LOG, append_one, batch_of, read_all};

/// The entries that a test wrote: their numbers in order.
fn assert_entries(engine: &EtcdEngine, count: u64) {
    let found = read_all(engine, 10_000).unwrap();
    let numbers: Vec<_> = found[&LOG]
        .iter()
        .map(|(_, entry)| u64::from_le_bytes(entry[..].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

fn append_number(engine: &mut EtcdEngine, number: u64) -> Result<(), EngineError> {
    append_one(engine, 1, &batch_of([&number.to_le_bytes()[..]]))
}

#[test]
fn appends_go_on_while_members_die_hang_and_return() {
    let Some(mut cluster) = Cluster::start() else { return };
    let limits = EtcdLimits { attempt: Duration::from_millis(500), ..EtcdLimits::default() };
    let mut engine = EtcdEngine::open(&cluster.place().with_limits(limits)).unwrap();
    let is_over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    // Between two faults, appends go on.
    let await_progress = || {
        let before = done.load(Ordering::Relaxed);
        einhorn_harness::await_that("appends that go on", || {
            let now = done.load(Ordering::Relaxed);
            if now > before + 3 { Ok(()) } else { Err(format!("{now}, after {before}")) }
        });
    };
    let count = std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                append_number(&mut engine, number).unwrap();
                number += 1;
                done.store(number, Ordering::Relaxed);
            }
            number
        });
        for member in 0..3 {
            cluster.etcd.kill_member(member);
            await_progress();
            cluster.etcd.start_member(member);
            cluster.etcd.await_member(member);
        }
        for _ in 0..2 {
            let leader = cluster.etcd.leader();
            cluster.etcd.pause_member(leader, true);
            await_progress();
            cluster.etcd.pause_member(leader, false);
        }
        is_over.store(true, Ordering::Relaxed);
        writes.join().unwrap()
    });
    eprintln!("{count} appends went on meanwhile");
    assert_entries(&engine, count);
    assert_entries(&EtcdEngine::open(&cluster.place()).unwrap(), count);
}

#[test]
fn an_append_whose_answer_is_lost_is_done_once() {
    let Some(cluster) = Cluster::start() else { return };
    for round in 0..10 {
        // The first member's answers are lost from some moment on, its requests maybe not.
        let proxy = Proxy::start(cluster.etcd.address(0));
        let prefix = format!("einhorn/round-{round}");
        let endpoints = [format!("http://{}", proxy.address), cluster.etcd.endpoints().remove(1)];
        let limits = EtcdLimits { attempt: Duration::from_millis(300), ..EtcdLimits::default() };
        let place = EtcdPlace::new(endpoints, &prefix).with_limits(limits);
        let mut engine = EtcdEngine::open(&place).unwrap();
        let mut count = 0;
        let append = |engine: &mut EtcdEngine, count: &mut u64| {
            append_number(engine, *count).unwrap();
            *count += 1;
        };
        append(&mut engine, &mut count);
        std::thread::scope(|scope| {
            let writes = scope.spawn(|| (0..30).for_each(|_| append(&mut engine, &mut count)));
            proxy.lose_answers();
            writes.join().unwrap();
        });
        assert_entries(&engine, count);
    }
}

#[test]
fn without_a_majority_an_append_fails_and_reopening_tells_its_outcome() {
    let Some(mut cluster) = Cluster::start() else { return };
    let limits = EtcdLimits {
        attempt: Duration::from_millis(300),
        deadline: Duration::from_secs(1),
        ..EtcdLimits::default()
    };
    let place = cluster.place().with_limits(limits);
    let mut engine = EtcdEngine::open(&place).unwrap();
    append_number(&mut engine, 0).unwrap();
    cluster.etcd.kill_member(1);
    cluster.etcd.kill_member(2);
    let result = append_number(&mut engine, 1);
    assert!(matches!(result, Err(EngineError::Unavailable { .. })), "{result:?}");
    eprintln!("{}", result.unwrap_err());
    let result = append_number(&mut engine, 1);
    assert!(matches!(result, Err(EngineError::Poisoned { .. })), "{result:?}");
    cluster.etcd.start_member(1);
    cluster.etcd.await_member(1);
    let mut again = EtcdEngine::open(&cluster.place()).unwrap();
    let next = again.next_index(LOG);
    assert!(next == 1 || next == 2, "{next}");
    // What was on its way came before or never: the end does not move any more.
    append_number(&mut again, next).unwrap();
    assert_entries(&again, next + 1);
}

#[test]
fn a_refusal_is_told_as_it_is() {
    let Some(cluster) = Cluster::start_with(1, &["--max-request-bytes", "20000"]) else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    append_one(&mut engine, 1, &batch_of([&b"short"[..]])).unwrap();
    let result = append_one(&mut engine, 1, &batch_of([&[7; 50_000][..]]));
    assert!(
        matches!(&result, Err(EngineError::Refused { cause, .. }) if cause.contains("too large")),
        "{result:?}"
    );
    let nobody = EtcdPlace::new(Vec::<String>::new(), "einhorn/1");
    assert!(matches!(EtcdEngine::open(&nobody).err(), Some(EngineError::Refused { .. })));
}
