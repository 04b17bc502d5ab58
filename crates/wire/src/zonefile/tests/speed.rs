//! How fast a large zone is read. Run it with
//! `cargo test --release -p einhorn-wire speed -- --ignored --nocapture`.

use crate::Name;
use crate::zonefile::{load, load_with};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

const NAMES: usize = 1_000_000;

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
    for round in 0..3 {
        let (mut count, mut octets) = (0u64, 0);
        let begun = Instant::now();
        let read = &mut |_: &Path| Ok(text.clone().into_bytes());
        load_with(Path::new("z"), &origin, read, &mut |record| {
            count += 1;
            octets += record.rdata.len();
            Ok(())
        })
        .expect("a zone");
        let streamed = begun.elapsed();
        let begun = Instant::now();
        let records = load(Path::new("z"), &origin, read).expect("a zone");
        let collected = begun.elapsed();
        let per_record = |time: std::time::Duration| time.as_nanos() / u128::from(count);
        println!(
            "round {round}: {count} records of {} octets, {octets} octets of data: load_with {} ns a record, load {} ns",
            text.len(),
            per_record(streamed),
            per_record(collected)
        );
        assert_eq!(records.len() as u64, count);
    }
}
