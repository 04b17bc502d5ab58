//! Speeds and memory, printed: `cargo test --release -p einhorn-store --lib map::tests::speed --
//! --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::*;

const NAMES: u64 = 1_000_000;

/// The most memory that this process has had, in octets.
fn peak_octets() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// The entry at an index, one name each, in the form of a device's update.
fn entry(index: u64) -> Vec<u8> {
    let number = index % NAMES;
    let owner = name(&format!("phone-{number}.fleet.example."));
    let mut stored = Vec::new();
    store(&mut stored, change(1, 1, vec![(owner, index / NAMES + 1, None)], 4));
    stored.remove(0)
}

#[test]
#[ignore = "measures"]
fn a_million_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
    let push = |builder: &mut MapBuilder, count: u64| {
        let mut seconds = 0.0;
        let from = builder.next_index();
        for first in (from..from + count).step_by(10_000) {
            let entries: Vec<_> = (first..first + 10_000).map(entry).collect();
            let start = Instant::now();
            for (index, octets) in (first..).zip(&entries) {
                builder.push(index, octets).unwrap();
            }
            seconds += start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        let root = builder.cut(from + count).unwrap();
        let merge = start.elapsed().as_secs_f64();
        println!(
            "{count} entries, then {} names: read {seconds:.2} s, merged {merge:.2} s, peak {} MB",
            root.names,
            peak_octets() >> 20
        );
    };
    push(&mut builder, NAMES);
    push(&mut builder, 10_000);
    push(&mut builder, NAMES);
    let start = Instant::now();
    let file = builder.file().unwrap();
    let opened = start.elapsed().as_secs_f64();
    let key = MapKey::of_name(&name("example."), &name("phone-7.fleet.example."));
    let start = Instant::now();
    file.prove(key).unwrap();
    let proved = start.elapsed().as_secs_f64();
    println!("opened in {:.1} ms, a proof in {:.2} ms", opened * 1e3, proved * 1e3);
}

#[test]
#[ignore = "measures"]
fn a_zone_of_a_million_names_loaded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let owner = |number| name(&format!("phone-{number}.fleet.example."));
    let names = (0..NAMES).map(|number| (owner(number), 1, None)).collect();
    let mut stored = Vec::new();
    store(&mut stored, change(1, 1, names, 4));
    let before = peak_octets();
    let mut builder = MapBuilder::open(folder.path(), ORIGIN).unwrap();
    let start = Instant::now();
    let root = advance(&mut builder, &stored, stored.len() as u64);
    println!(
        "{} parts, {} names: {:.2} s, peak {} MB before and {} MB after",
        stored.len(),
        root.names,
        start.elapsed().as_secs_f64(),
        before >> 20,
        peak_octets() >> 20
    );
}
