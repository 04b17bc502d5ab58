//! One flipped bit in any file of a data folder's log is found, and the file is named.

use super::{ANNA, Running, fill, ledger};
use einhorn_harness::{files_below, flip_bit, flip_bit_in_row, rows};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A stopped node's folder with more than one full tile, and several checkpoints' partial ones.
fn stopped() -> Running {
    let running = Running::start();
    running.set(ANNA, 1);
    running.history(ANNA, 1);
    fill(&running.site.client());
    running.set(ANNA, 2);
    running.history(ANNA, 2);
    running
}

/// What `verify` finds, which must be something, with `name` in it.
fn found(data: &Path, name: &str, place: usize) {
    let ran = ledger(data, &["verify"]);
    assert_eq!(ran.code, Some(1), "a flipped bit in octet {place} of {name}: {ran:?}");
    assert!(ran.stderr.contains(name), "octet {place} of {name}: {}", ran.stderr);
}

#[test]
fn a_flipped_bit_in_any_file_of_the_ledger_is_found() {
    let running = stopped();
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    let folder = data.join("ledger");
    let mut kinds = BTreeSet::new();
    for file in files_below(&folder) {
        let name = file.strip_prefix(&folder).expect("below").to_str().expect("text");
        let length = fs::metadata(&file).expect("a file").len() as usize;
        assert!(length > 0, "{name} is empty");
        kinds.insert(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '/').to_owned());
        for place in [0, length / 3, length / 2, length - 1] {
            flip_bit(&file, place);
            found(&data, name, place);
            flip_bit(&file, place);
        }
    }
    // Full and partial tiles and bundles, a tile above, the checkpoint and the writer's records.
    for kind in ["checkpoint", "checkpoint.signed", "tile", "tile/0/000.p", "tile/entries/000.p"] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    assert!(folder.join("tile/0/000").is_file() && folder.join("tile/entries/000").is_file());
    assert!(ledger(&data, &["verify"]).good().contains("is sound"), "all was put back");
}

#[test]
fn a_missing_file_is_found() {
    let running = stopped();
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    for name in ["tile/0/000", "tile/entries/000", "checkpoint"] {
        let file = data.join("ledger").join(name);
        let octets = fs::read(&file).expect("it is there");
        fs::remove_file(&file).expect("it was there");
        found(&data, name, 0);
        fs::write(&file, octets).expect("put back");
    }
}

/// The name that was changed twice above.
const NAME: &[u8] = b"\x04anna\x05fleet";

/// Every place in `file` where it stands.
fn places(file: &Path) -> Vec<usize> {
    let octets = fs::read(file).expect("the log");
    octets.windows(NAME.len()).enumerate().filter(|(_, w)| *w == NAME).map(|(at, _)| at).collect()
}

#[test]
fn a_flipped_bit_in_the_engines_copy_is_found() {
    let running = stopped();
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    // In the write-ahead log the last frames matter: the log ends where one is damaged.
    let ahead = data.join("log.db-wal");
    let last = places(&ahead).pop().expect("the last change");
    flip_bit(&ahead, last + 1);
    found(&data, "log.db", last);
    flip_bit(&ahead, last + 1);
    assert!(ledger(&data, &["verify"]).good().contains("is sound"), "it was put back");

    let rows = rows(&data, "log");
    assert!(rows.len() >= 4, "the start, two changes and the batches between: {rows:?}");
    for first in rows {
        flip_bit_in_row(&data, "log", first);
        found(&data, "log.db", first as usize);
        flip_bit_in_row(&data, "log", first);
    }
    assert!(ledger(&data, &["verify"]).good().contains("is sound"), "it was put back");
}

/// The addresses of clients lie beside the log, where only a commitment of them is.
#[test]
fn a_flipped_bit_in_the_audit_values_is_found() {
    let running = stopped();
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    let rows = rows(&data, "audit");
    assert!(rows.len() >= 3, "two changes and the batches between: {rows:?}");
    for first in rows {
        flip_bit_in_row(&data, "audit", first);
        found(&data, "the audit values", first as usize);
        found(&data, "log.db", first as usize);
        flip_bit_in_row(&data, "audit", first);
    }
    assert!(ledger(&data, &["verify"]).good().contains("is sound"), "it was put back");
}

#[test]
fn history_and_export_of_a_damaged_ledger_fail() {
    let running = stopped();
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    let bundle = data.join("ledger/tile/entries/000");
    let length = fs::metadata(&bundle).expect("a file").len() as usize;
    // Wherever it is: in the framing, in a name, in a number that only looks different.
    for place in (0..length).step_by(length / 24) {
        flip_bit(&bundle, place);
        for arguments in [&["history", ANNA][..], &["export"]] {
            let ran = ledger(&data, arguments);
            assert_eq!(ran.code, Some(1), "octet {place}: {ran:?}");
            assert!(ran.stderr.contains("tile/entries/000"), "octet {place}: {}", ran.stderr);
        }
        flip_bit(&bundle, place);
    }
}
