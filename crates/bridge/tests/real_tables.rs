//! Every format from and to the real host tables.

mod tables;

use einhorn_bridge::codec::{Format, Options};
use einhorn_bridge::convert::convert;
use einhorn_bridge::report::Report;
use tables::{TABLES, folder};

fn tables() -> Vec<(&'static str, Vec<u8>)> {
    let folder = folder();
    let tables: Vec<_> = TABLES
        .into_iter()
        .filter_map(|name| Some((name, std::fs::read(folder.join(name)).ok()?)))
        .collect();
    if tables.is_empty() {
        eprintln!("SKIPPED: no host tables in {}", folder.display());
    } else {
        assert_eq!(tables.len(), TABLES.len(), "tables are missing in {}", folder.display());
    }
    tables
}

fn run(from: Format, to: Format, octets: &[u8]) -> (Vec<u8>, Report) {
    convert(from, to, octets, &Options::default()).expect("accepted")
}

/// Lines that begin with a keyword: each begins an entry.
fn entries(octets: &[u8]) -> u64 {
    let begins = |line: &&[u8]| {
        [&b"HOST "[..], b"NET ", b"GATEWAY ", b"DOMAIN "].iter().any(|word| line.starts_with(word))
    };
    octets.split(|octet| *octet == b'\n').filter(begins).count() as u64
}

#[test]
fn every_entry_is_accounted_for_and_the_file_comes_back() {
    for (name, octets) in tables() {
        let (output, report) = run(Format::HostsTxt, Format::HostsTxt, &octets);
        assert!(output == octets, "{name} came back changed");
        assert_eq!(report.entries, entries(&octets), "{name}: {report}");
        assert_eq!(report.losses, [], "{name}");
        let quarantined: Vec<_> =
            report.quarantined.iter().map(|entry| (entry.code.code(), entry.line)).collect();
        // The table of April 1984 has one entry that is broken in the middle of an address.
        let expected: &[_] = if name.contains("19840427") { &[("broken-entry", 717)] } else { &[] };
        assert_eq!(quarantined, expected, "{name}: {:?}", report.quarantined);
        let ends: Vec<_> = (0..octets.len()).filter(|at| octets[*at] == b'\n').collect();
        for quirk in &report.quirks {
            let line = 1 + ends.partition_point(|end| *end < quirk.offset as usize) as u64;
            let is_end = quirk.offset as usize == octets.len();
            assert!(quirk.line == line || is_end, "{name}: {quirk:?} is in line {line}");
            let rest = &octets[quirk.offset as usize..];
            let here = String::from_utf8_lossy(&rest[..rest.len().min(200)]);
            let shown = quirk.text.trim_end_matches('\u{fffd}');
            assert!(here.starts_with(shown), "{name}: {quirk:?} is not at its offset");
        }
    }
}

#[test]
fn known_oddities_are_found() {
    let expected = [
        ("19830119", "old-dialect", None),
        ("19830119", "form-feed", Some(5)),
        ("19830119", "not-ascii", Some(1)),
        ("19840427", "odd-name", Some(1)),
        ("19881128", "leading-zero", Some(3)),
        ("19881128", "many-addresses", None),
        ("19881128", "many-names", None),
        ("19881128", "long-name", Some(697)),
        ("19881128", "duplicate-name", None),
        ("19900830", "long-line", None),
        ("19900830", "lower-case", None),
    ];
    for (name, octets) in tables() {
        let (_, report) = run(Format::HostsTxt, Format::HostsTxt, &octets);
        for (_, code, count) in expected.iter().filter(|(table, ..)| name.contains(table)) {
            let found = report.counts.quirks.get(code).copied().unwrap_or(0);
            assert!(
                found > 0 && count.is_none_or(|count| count == found),
                "{name}: {code} {found}"
            );
        }
    }
}

#[test]
fn json_gives_back_every_octet() {
    for (name, octets) in tables() {
        let (json, report) = run(Format::HostsTxt, Format::Json, &octets);
        assert_eq!((&*report.losses, report.records_written), (&[][..], report.records), "{name}");
        let (again, report) = run(Format::Json, Format::HostsTxt, &json);
        assert!(again == octets, "{name} came back changed: {report}");
    }
}

/// What is written anew, without the octets it was read from, says the same.
#[test]
fn every_format_gives_back_what_it_did_not_declare_lost() {
    for (name, octets) in tables() {
        for format in [Format::EtcHosts, Format::Zone, Format::Rfc606, Format::DhcpdLeases] {
            let (there, lost) = run(Format::HostsTxt, format, &octets);
            let (same, passed) = run(format, format, &there);
            assert!(same == there, "{name}: {format:?} came back changed: {passed}");
            assert_eq!(passed.quarantined, [], "{name}: {format:?}");
            let omitted = lost.records - lost.records_written;
            let declared = lost.losses.iter().filter(|loss| loss.field.name() == "name").count();
            assert!(declared as u64 >= omitted, "{name}: {format:?}: {omitted} left out: {lost}");
            let (back, report) = run(format, Format::HostsTxt, &there);
            let (again, second) = run(Format::HostsTxt, format, &back);
            let is_whole = report.losses.is_empty() && format != Format::Zone;
            assert!(again == there || !is_whole, "{name}: {format:?}: {second}");
            assert_eq!(report.quarantined, [], "{name}");
        }
    }
}
