//! How fast a large zone is read. Run it with
//! `cargo test --release -p einhorn-wire speed -- --ignored --nocapture`.

use crate::Name;
use crate::zonefile::{load, load_with};
use std::fmt::Write;
use std::path::Path;

const NAMES: usize = 1_000_000;

/// What this thread has used of the processor, in nanoseconds: neighbours do not count.
fn processor_time_ns() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
#[ignore = "a measurement, of some seconds"]
fn speed_of_addresses() {
    let mut text = String::from(
        "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n",
    );
    for i in 0..NAMES {
        let (a, b, c) = (i >> 16 & 255, i >> 8 & 255, i & 255);
        let _ = writeln!(
            text,
            "host{i} A 10.{a}.{b}.{c}\nhost{i} AAAA 2001:db8::{:x}:{:x}",
            i >> 16,
            i & 0xffff
        );
    }
    let origin: Name = "fleet.example.".parse().expect("a name");
    let read = &mut |_: &Path| Ok(text.clone().into_bytes());
    let mut fastest = [u128::MAX; 2];
    let mut count = 0;
    for _ in 0..5 {
        let mut octets = 0;
        count = 0;
        let begun = processor_time_ns();
        let streamed = load_with(Path::new("z"), &origin, read, &mut |record| {
            count += 1;
            octets += record.rdata.len();
            Ok(())
        });
        fastest[0] = fastest[0].min(processor_time_ns() - begun);
        streamed.expect("a zone");
        let begun = processor_time_ns();
        let records = load(Path::new("z"), &origin, read).expect("a zone");
        fastest[1] = fastest[1].min(processor_time_ns() - begun);
        assert_eq!((records.len() as u128, octets), (count, 20 * NAMES + 86), "{:?}", records[0]);
    }
    let [streamed, collected] = fastest.map(|time| time / count);
    let length = text.len();
    println!(
        "{count} records in {length} octets, the fastest of 5: load_with {streamed} ns a record, load {collected} ns"
    );
}
