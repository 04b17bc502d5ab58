//! docs/conformance.md is made from the cases, and checked against them.

use crate::case::Case;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// The document.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
/// Set to have the document written anew.
const WRITE: &str = "EINHORN_TEST_WRITE";

const HEAD: &str = "# Conformance

`tests/rfc` checks what the RFCs want of a server of zones, against Einhorn and, with the same cases
and zones, against BIND, Knot and NSD. The path of a test names the section and the implementation:
`rfc4592::section_3_3_1::closest_encloser::knot`. This page is made from the cases
(`EINHORN_TEST_WRITE=1 cargo test --release -p einhorn --test rfc conformance`), and a test compares
it with them.

## Deviations

An implementation that is listed here must fail the case in the way that is known; when it no longer
does, the test fails until the entry is removed. MUST: it breaks a MUST, or plain words that leave no
choice. SHOULD: it does not follow a recommendation. MAY: the text leaves it to the server, and the
others do otherwise. The peers are those of Debian 12, configured in `tests/rfc/servers`.

| section | case | server | level | why |
|---|---|---|---|---|
";

/// All cases, with `rfc4592` and `3.3.1`.
fn all() -> impl Iterator<Item = (String, String, &'static Case)> {
    crate::ALL.iter().copied().flatten().copied().flatten().map(|case| {
        let mut parts = case.module.split("::").skip(1);
        let mut next = || parts.next().expect("a module of an RFC and one of a section");
        let (rfc, section) = (next().to_owned(), next());
        let section = section.trim_start_matches("section_").replace('_', ".");
        (rfc, section, case)
    })
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut counts: BTreeMap<u32, BTreeMap<Vec<u32>, usize>> = BTreeMap::new();
    for (rfc, section, case) in all() {
        let number = rfc.trim_start_matches("rfc").parse().expect("a number");
        let parts = section.split('.').map(|part| part.parse().expect("a number")).collect();
        *counts.entry(number).or_default().entry(parts).or_default() += 1;
        for deviation in case.deviations {
            let name = case.name.replace('_', " ");
            let (server, level) = (deviation.server, deviation.level);
            let reason = deviation.reason;
            writeln!(text, "| RFC {number} §{section} | {name} | {server} | {level} | {reason} |")
                .expect("a string takes all");
        }
    }
    text.push_str(
        "\n## Random queries\n\n| server | level | how it differs from most |\n|---|---|---|\n",
    );
    for way in crate::differential::KNOWN {
        writeln!(text, "| {} | {} | {} |", way.server, way.level, way.what)
            .expect("a string takes all");
    }
    text.push_str("\n## Sections\n\n| RFC | sections, with the number of cases |\n|---|---|\n");
    for (number, sections) in counts {
        let list: Vec<String> = sections
            .iter()
            .map(|(parts, count)| {
                let parts: Vec<String> = parts.iter().map(u32::to_string).collect();
                format!("§{} ({count})", parts.join("."))
            })
            .collect();
        writeln!(text, "| {number} | {} |", list.join(", ")).expect("a string takes all");
    }
    text
}

#[test]
fn the_document_lists_what_the_cases_say() {
    let wanted = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PATH, &wanted).expect("the document is written");
    }
    let found = std::fs::read_to_string(PATH).unwrap_or_default();
    let differing = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        wanted == found,
        "docs/conformance.md is stale: run with {WRITE}=1; first difference: {differing:?}"
    );
}

/// A section that nobody lists would be missing from the document.
#[test]
fn every_case_is_listed() {
    let program = std::env::current_exe().expect("this program");
    let ran = einhorn_harness::run(Command::new(program).args(["--list", "--format", "terse"]));
    let tests = ran.good();
    let counted = tests.lines().filter(|line| line.starts_with("rfc")).count();
    assert_eq!(counted, 4 * all().count(), "a section is missing in the SECTIONS of its RFC");
}
