//! The host tables of 1983 to 1990, applied one after the other.

use super::support::{Bridge, EINHORN, records, source};
use einhorn_harness::{ZONE, run};
use std::path::PathBuf;
use std::process::Command;

/// In the order of their years.
const TABLES: [&str; 6] = [
    "HOSTS-19830119.TXT",
    "HOSTS-19840312.TXT",
    "HOSTS-19840327.TXT",
    "HOSTS-19840427.TXT",
    "HOSTS-19881128.TXT",
    "HOSTS-19900830.TXT",
];

/// Where they are; `None`, said loudly, when they are not there.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/hosts");
    let folder =
        std::env::var_os("EINHORN_HOST_TABLES").map_or_else(|| beside.into(), PathBuf::from);
    if !folder.join(TABLES[0]).is_file() {
        eprintln!("SKIPPED: there are no host tables in {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn the_zone_becomes_the_last_table_less_its_losses() {
    let Some(folder) = folder() else { return };
    let bridge = Bridge::start(&source("missing-generations = 1\n"));
    let before = bridge.records();
    for table in TABLES {
        let file = folder.join(table);
        let said = bridge.apply(&file);
        println!("{said}");
        if table.contains("198403") {
            // In March 1984 all hosts got a domain behind their names.
            let renamed = said.split(", ").find_map(|part| part.strip_suffix(" renamed"));
            let renamed: usize = renamed.and_then(|count| count.parse().ok()).expect("a count");
            assert_eq!(renamed > 700, table == "HOSTS-19840327.TXT", "{said}");
        }
        let again = bridge.bridge("apply", &[&file]).good();
        assert!(again.contains("applied already"), "{again}");
    }
    let expected = bridge.path().join("last.zone");
    let mut convert = Command::new(EINHORN);
    convert.args(["bridge", "convert", "--from", "hosts-txt", "--to", "zone", "--origin", ZONE]);
    convert.arg(folder.join(TABLES[5])).arg("--output").arg(&expected);
    run(&mut convert).good();
    let expected = records(&std::fs::read_to_string(expected).expect("a zone file"));
    let now: Vec<String> =
        bridge.records().into_iter().filter(|record| !before.contains(record)).collect();
    let missing: Vec<_> =
        expected.iter().filter(|record| now.binary_search(record).is_err()).collect();
    let surplus: Vec<_> =
        now.iter().filter(|record| expected.binary_search(record).is_err()).collect();
    assert!(expected.len() > 10_000, "{}", expected.len());
    assert!(missing.is_empty() && surplus.is_empty(), "{missing:#?} {surplus:#?}");
    assert!(before.iter().all(|record| bridge.records().contains(record)), "what was there stays");
}
