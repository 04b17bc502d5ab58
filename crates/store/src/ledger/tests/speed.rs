//! Speeds, printed: `cargo test --release -p einhorn-store --lib ledger::tests::speed -- --ignored
//! --nocapture`.

use std::time::Instant;

use super::super::OsFiles;
use super::*;

const BATCH: u64 = 4_500;

#[test]
#[ignore = "measures, and writes 300 MB"]
fn speeds_on_a_real_folder() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(OsFiles::open(folder.path()).unwrap());
    let mut sealer = Sealer::open(files.clone(), signer()).unwrap();
    let entries = vec![vec![0x5a_u8; 250]; BATCH as usize];
    let rate = |count: u64, start: Instant| count as f64 / start.elapsed().as_secs_f64();
    for batches in [10, 200] {
        let start = Instant::now();
        for _ in 0..batches {
            sealer.seal(sealer.sealed(), &entries).unwrap();
        }
        println!("seal {BATCH}: {:.0} entries/s", rate(batches * BATCH, start));
    }
    let start = Instant::now();
    for _ in 0..500 {
        sealer.seal(sealer.sealed(), &entries[..1]).unwrap();
    }
    println!("seal 1: {:.0} seals/s", rate(500, start));
    let (start, before) = (Instant::now(), sealer.durable());
    let durable = sealer.sync_full().unwrap();
    println!("sync_full: {:.0} entries/s", rate(durable - before, start));
    let start = Instant::now();
    let report = verify(&*files, &key(), Options::default(), &mut |_, _| {});
    assert!(report.is_sound(), "{report:?}");
    println!("verify: {:.0} entries/s", rate(report.entries, start));
    sealer.sync_full().unwrap();
    let start = Instant::now();
    assert_eq!(Sealer::open(files, signer()).unwrap().sealed(), sealer.sealed());
    println!("open at {}: {:.1} ms", sealer.sealed(), start.elapsed().as_secs_f64() * 1e3);
}
