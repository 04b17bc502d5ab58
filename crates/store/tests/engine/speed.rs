//! How fast the engine is on this machine's disk. Not run by default: it prints numbers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use einhorn_store::engine::{Engine, LogId, Part, SqliteEngine};

use crate::support::{LOG, LOGS, batch_of};

fn percentile(times: &mut [Duration], hundredth: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * hundredth / 100]
}

/// Appends to so many logs at once; returns how long each took.
fn appends(
    engine: &mut SqliteEngine,
    logs: usize,
    (count, bytes): (usize, usize),
    rounds: usize,
) -> Vec<Duration> {
    let entry = vec![5; bytes];
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let batch = batch_of(std::iter::repeat_n(&entry[..], count));
            let part = |log: &LogId| Part {
                log: *log,
                expected_next: engine.next_index(*log),
                batch: &batch,
            };
            let parts: Vec<_> = LOGS[..logs].iter().map(part).collect();
            engine.append(1, &parts).unwrap();
            let elapsed = start.elapsed();
            engine.maintain().unwrap();
            elapsed
        })
        .collect()
}

/// Medians by number of logs and entries; `follow` reads along in another thread.
fn measure_logs(folder: &Path, follow: bool) {
    for logs in [1, 3] {
        let mut engine = SqliteEngine::open(&folder.join(format!("logs-{logs}-{follow}"))).unwrap();
        let (mut reader, stop) = (engine.reader().unwrap(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = [0; LOGS.len()];
                while follow && !stop.load(Ordering::Relaxed) {
                    for (next, log) in next.iter_mut().zip(&LOGS[..logs]) {
                        *next = reader.read(*log, *next, 1 << 18, &mut |_, _, _| {}).unwrap();
                    }
                    std::thread::park_timeout(Duration::from_micros(500));
                }
            });
            for (count, rounds) in [(1, 2000), (16, 1000), (256, 500)] {
                let mut times = appends(&mut engine, logs, (count, 250), rounds);
                eprintln!(
                    "{logs} logs, {count} entries each, followed {follow}: p50 {:?}",
                    percentile(&mut times, 50)
                );
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
#[ignore = "a measurement: run with --ignored --nocapture"]
fn measure_several_logs() {
    for _ in 0..3 {
        let folder = tempfile::tempdir_in(".").unwrap();
        measure_logs(folder.path(), false);
        measure_logs(folder.path(), true);
    }
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
        let mut append = |count, bytes, rounds| appends(&mut engine, 1, (count, bytes), rounds);
        let mut single = append(1, 300, 3000);
        let mut sixteen = append(16, 250, 2000);
        let mut large = append(256, 250, 1000);
        let total = large.iter().sum::<Duration>();
        let mut huge = append(4096, 250, 100);
        let mut reader = engine.reader().unwrap();
        let (mut next, mut bytes) = (0, 0);
        let end = reader.next_index(LOG).unwrap();
        let start = Instant::now();
        while next < end {
            next =
                reader.read(LOG, next, 1 << 18, &mut |_, _, entry| bytes += entry.len()).unwrap();
        }
        let rate = end as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "raw p50 of 12 KiB {raw_small:?}, of 72 KiB {raw_large:?}; single append p50 {:?} p99 {:?} max {:?}; \
             batch of 16 p50 {:?}; batch of 256 p50 {:?} ({:?} per entry) p99 {:?} mean {:?}; batch of 4096 p50 {:?}; \
             read {rate:.0} entries/s ({bytes} bytes)",
            percentile(&mut single, 50),
            percentile(&mut single, 99),
            single.last().unwrap(),
            percentile(&mut sixteen, 50),
            percentile(&mut large, 50),
            percentile(&mut large, 50) / 256,
            percentile(&mut large, 99),
            total / 1000,
            percentile(&mut huge, 50),
        );
    }
}
