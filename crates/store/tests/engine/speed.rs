//! How fast the engine is on this machine's disk. Not run by default: it prints numbers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use einhorn_store::engine::{Engine, SqliteEngine};

use crate::support::batch_of;

fn percentile(times: &mut [Duration], hundredth: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * hundredth / 100]
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
fn measure() {
    for _ in 0..3 {
        let folder = tempfile::tempdir_in(".").unwrap();
        let raw = File::create(folder.path().join("raw")).unwrap();
        raw.write_all_at(&vec![0; 8 << 20], 0).unwrap();
        raw.sync_all().unwrap();
        let raw_times = |bytes: usize| {
            let zeros = vec![0; bytes];
            let mut times: Vec<_> = (0..1000)
                .map(|round| {
                    let start = Instant::now();
                    raw.write_all_at(&zeros, (round * bytes as u64) % (7 << 20)).unwrap();
                    raw.sync_data().unwrap();
                    start.elapsed()
                })
                .collect();
            percentile(&mut times, 50)
        };
        let (raw_small, raw_large) = (raw_times(12_288), raw_times(73_728));
        let mut engine = SqliteEngine::open(&folder.path().join("log")).unwrap();
        let mut append = |count: usize, bytes: usize, rounds: usize| {
            let entry = vec![5; bytes];
            let times: Vec<_> = (0..rounds)
                .map(|_| {
                    let start = Instant::now();
                    let batch = batch_of(std::iter::repeat_n(&entry[..], count));
                    engine.append(engine.next_index(), 1, &batch).unwrap();
                    let elapsed = start.elapsed();
                    engine.maintain().unwrap();
                    elapsed
                })
                .collect();
            times
        };
        let mut single = append(1, 300, 3000);
        let mut large = append(256, 250, 1000);
        let total = large.iter().sum::<Duration>();
        let mut huge = append(4096, 250, 100);
        let mut reader = engine.reader().unwrap();
        let (mut next, mut bytes) = (0, 0);
        let end = reader.next_index().unwrap();
        let start = Instant::now();
        while next < end {
            next = reader.read(next, 1 << 18, &mut |_, _, entry| bytes += entry.len()).unwrap();
        }
        let rate = end as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "raw p50 of 12 KiB {raw_small:?}, of 72 KiB {raw_large:?}; single append p50 {:?} p99 {:?} max {:?}; \
             batch of 256 p50 {:?} ({:?} per entry) p99 {:?} mean {:?}; batch of 4096 p50 {:?}; \
             read {rate:.0} entries/s ({bytes} bytes)",
            percentile(&mut single, 50),
            percentile(&mut single, 99),
            single.last().unwrap(),
            percentile(&mut large, 50),
            percentile(&mut large, 50) / 256,
            percentile(&mut large, 99),
            total / 1000,
            percentile(&mut huge, 50),
        );
    }
}
