//! How fast the engine is beside etcd's own puts, both in one run on one machine.

use std::time::{Duration, Instant};

use einhorn_store::engine::Engine;
use einhorn_store::engine::etcd::EtcdEngine;
use etcd_client::Client;

use super::Cluster;
use crate::support::{LOG, append_one, batch_of};

/// Entries of one append: what comes together under load.
const ENTRIES: usize = 256;

/// The octets of an entry.
const ENTRY_BYTES: usize = 250;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed(rounds: usize, mut run: impl FnMut()) -> Vec<Duration> {
    let one = |_| {
        let begin = Instant::now();
        run();
        begin.elapsed()
    };
    (0..rounds).map(one).collect()
}

/// Appends of one and of many entries, beside puts of as many octets, in turns, since the machine
/// is not equally fast all the time.
#[test]
#[ignore = "a measurement: run with --ignored --nocapture on a quiet machine"]
fn measure_beside_etcds_own_puts() {
    let Some(cluster) = Cluster::start() else { return };
    let mut engine = EtcdEngine::open(&cluster.place()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // The same member as the engine's.
    let endpoints = [cluster.etcd.endpoints().swap_remove(0)];
    let mut client = runtime.block_on(Client::connect(endpoints, None)).unwrap();
    let entry = [5; ENTRY_BYTES];
    let one = batch_of([&entry[..]]);
    let many = batch_of(std::iter::repeat_n(&entry[..], ENTRIES));
    let (mut engine_one, mut put_one) = (Vec::new(), Vec::new());
    let (mut engine_many, mut put_many) = (Vec::new(), Vec::new());
    for turn in 0..10 {
        let mut put = |octets: usize| {
            let (key, value) = (format!("own/{turn}"), vec![5; octets]);
            runtime.block_on(client.put(key, value, None)).unwrap();
        };
        put_one.extend(timed(50, || put(ENTRY_BYTES)));
        engine_one.extend(timed(50, || append_one(&mut engine, 1, &one).unwrap()));
        put_many.extend(timed(30, || put(ENTRY_BYTES * ENTRIES)));
        engine_many.extend(timed(30, || append_one(&mut engine, 1, &many).unwrap()));
    }
    let total: Duration = engine_many.iter().sum();
    let rate = (engine_many.len() * ENTRIES) as f64 / total.as_secs_f64();
    let (engine_one, put_one) = (median(engine_one), median(put_one));
    let ratio = engine_one.as_secs_f64() / put_one.as_secs_f64();
    eprintln!(
        "one entry: p50 {engine_one:?}, etcd's own put {put_one:?} ({ratio:.2} times); \
         {ENTRIES} entries: p50 {:?}, own put of as many octets {:?}; {rate:.0} entries/s",
        median(engine_many),
        median(put_many),
    );
    let mut reader = engine.reader().unwrap();
    let (end, mut next) = (engine.next_index(LOG), 0);
    let begin = Instant::now();
    while next < end {
        next = reader.read(LOG, next, 1 << 18, &mut |_, _, _| {}).unwrap();
    }
    eprintln!("read {:.0} entries/s", end as f64 / begin.elapsed().as_secs_f64());
    assert!(rate >= 10_000.0, "{rate} entries/s");
    assert!(ratio <= 2.0, "{ratio} times etcd's own put");
}
