//! Following: nothing is missed, whatever becomes of the watch.

use std::time::{Duration, Instant};

use einhorn_harness::Proxy;
use einhorn_store::engine::EngineReader;
use einhorn_store::engine::etcd::{EtcdEngine, EtcdFollower, EtcdLimits, EtcdPlace};

use super::{Cluster, PATIENCE};
use crate::support::{LOG, append_one, batch_of};

/// A follower, and how far it has read.
struct Follower {
    follower: EtcdFollower,
    next: u64,
}

impl Follower {
    fn open(place: &EtcdPlace) -> Self {
        Self { follower: EtcdFollower::open(place).unwrap(), next: 0 }
    }

    /// Waits for an entry behind what was read, and reads all there are; each says its index.
    fn await_more(&mut self) {
        let known: Vec<_> = (self.next > 0).then_some((LOG, self.next)).into_iter().collect();
        let ends = self.follower.await_ends(&known, PATIENCE).unwrap();
        assert_ne!(ends, known, "nothing came");
        let end = ends[0].1;
        while self.next < end {
            let mut index_expected = self.next;
            self.next = self
                .follower
                .read(LOG, self.next, 2000, &mut |index, _, entry| {
                    assert_eq!(index, index_expected);
                    assert_eq!(entry, index.to_le_bytes());
                    index_expected += 1;
                })
                .unwrap();
        }
    }
}

fn append(engine: &mut EtcdEngine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        append_one(engine, 1, &batch_of([&number.to_le_bytes()[..]])).unwrap();
    }
}

#[test]
fn a_watch_wakes_it_at_once() {
    let Some(cluster) = Cluster::start() else { return };
    // So rarely does it look by itself that only the watch can be what wakes it.
    let limits = EtcdLimits { recheck: PATIENCE * 3, ..EtcdLimits::default() };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let mut follower = Follower::open(&cluster.place().with_limits(limits));
    append(&mut engine, 0..1);
    follower.await_more();
    let mut times = Vec::new();
    for number in 1..50 {
        let begin = std::thread::scope(|scope| {
            let waits = scope.spawn(|| follower.await_more());
            let begin = Instant::now();
            append(&mut engine, number..number + 1);
            waits.join().unwrap();
            begin
        });
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    eprintln!("append and follow: p50 {:?}, most {:?}", times[times.len() / 2], times.last());
    assert!(times[times.len() / 2] < Duration::from_millis(500), "{times:?}");
}

#[test]
fn it_catches_up_behind_a_compaction() {
    let Some(cluster) = Cluster::start() else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    append(&mut engine, 0..10);
    let mut follower = Follower::open(&cluster.place());
    follower.await_more();
    assert_eq!(follower.next, 10);
    append(&mut engine, 10..60);
    cluster.etcd.compact();
    follower.await_more();
    assert_eq!(follower.next, 60);
    append(&mut engine, 60..61);
    follower.await_more();
    assert_eq!(follower.next, 61);
}

#[test]
fn it_goes_on_when_the_member_of_its_watch_dies() {
    let Some(mut cluster) = Cluster::start() else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let mut follower = Follower::open(&cluster.place());
    append(&mut engine, 0..1);
    follower.await_more();
    for member in 0..3 {
        cluster.etcd.kill_member(member);
        let next = follower.next;
        append(&mut engine, next..next + 3);
        while follower.next < next + 3 {
            follower.await_more();
        }
        cluster.etcd.start_member(member);
        cluster.etcd.await_member(member);
    }
}

#[test]
fn it_goes_on_when_its_watch_falls_silent() {
    let Some(cluster) = Cluster::start() else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let proxy = Proxy::start(cluster.etcd.address(0));
    let endpoints = [format!("http://{}", proxy.address), cluster.etcd.endpoints().remove(1)];
    let limits = EtcdLimits { attempt: Duration::from_millis(500), ..EtcdLimits::default() };
    let mut follower = Follower::open(&EtcdPlace::new(endpoints, "einhorn/1").with_limits(limits));
    append(&mut engine, 0..2);
    while follower.next < 2 {
        follower.await_more();
    }
    proxy.fall_silent();
    // Reads notice at once and go to the other member; the watch does not notice.
    let ends = follower.follower.await_ends(&[(LOG, 2)], Duration::ZERO).unwrap();
    assert_eq!(ends, [(LOG, 2)]);
    for number in 2..5 {
        let took = std::thread::scope(|scope| {
            let waits = scope.spawn(|| follower.await_more());
            let begin = Instant::now();
            append(&mut engine, number..number + 1);
            waits.join().unwrap();
            begin.elapsed()
        });
        eprintln!("found after {took:?} though the watch is silent");
        // Sooner than the connection of the watch is found dead.
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}
