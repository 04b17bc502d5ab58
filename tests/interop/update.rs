//! RFC 2136 with `nsupdate` and `knsupdate`: what updates do to a zone.

use crate::support::{Tool, dig, short, site};
use einhorn_harness::KEY;

#[test]
fn nsupdate_changes_what_dig_sees() {
    let (_folder, site) = site();
    let add = "update add anna.fleet.example. 60 A 192.0.2.7";
    let Some(updated) = Tool::Nsupdate.update(&site, KEY, add) else { return };
    assert_eq!(updated.outcome(), "NOERROR");
    let Some(text) = dig(&site, &["+short", "anna.fleet.example.", "A"]) else { return };
    assert_eq!(text, "192.0.2.7\n");
    assert_eq!(site.stop(), Some(0));
}

/// Updates in order, and what a name then has: lines, name, type, data.
const STEPS: &[(&str, &str, &str, &[&str])] = &[
    (
        "update add n.fleet.example. 60 A 192.0.2.1\nupdate add n.fleet.example. 60 A 192.0.2.2\nupdate add n.fleet.example. 60 TXT \"t\"",
        "n.fleet.example.",
        "A",
        &["192.0.2.1", "192.0.2.2"],
    ),
    // One record of two.
    ("update delete n.fleet.example. A 192.0.2.1", "n.fleet.example.", "A", &["192.0.2.2"]),
    // A record that is not there: nothing, without an error.
    ("update delete n.fleet.example. A 192.0.2.99", "n.fleet.example.", "A", &["192.0.2.2"]),
    // One RRset; the other stays.
    ("update delete n.fleet.example. A", "n.fleet.example.", "A", &[]),
    ("update add x.fleet.example. 60 A 192.0.2.1", "n.fleet.example.", "TXT", &["\"t\""]),
    // The whole name.
    ("update delete n.fleet.example.", "n.fleet.example.", "TXT", &[]),
    // Deletion and addition in order, in one message.
    (
        "update delete x.fleet.example. A\nupdate add x.fleet.example. 60 A 192.0.2.5",
        "x.fleet.example.",
        "A",
        &["192.0.2.5"],
    ),
    // The apex keeps its SOA and last NS (RFC 2136 §3.4.2.3, §3.4.2.4).
    (
        "update delete fleet.example. NS ns.fleet.example.",
        "fleet.example.",
        "NS",
        &["ns.fleet.example."],
    ),
    ("update delete fleet.example.", "fleet.example.", "NS", &["ns.fleet.example."]),
    // Nothing joins a CNAME, and a CNAME joins nothing (RFC 2136 §3.4.2.2).
    (
        "update add alias.fleet.example. 60 TXT no",
        "alias.fleet.example.",
        "TXT",
        &["host.fleet.example."],
    ),
    (
        "update add host.fleet.example. 60 CNAME text.fleet.example.",
        "host.fleet.example.",
        "CNAME",
        &[],
    ),
    // Data of a type that nobody knows (RFC 3597).
    (
        "update add odd.fleet.example. 60 TYPE65280 \\# 3 010203",
        "odd.fleet.example.",
        "TYPE65280",
        &["\\# 3 010203"],
    ),
];

#[test]
fn every_kind_of_update_does_what_it_says() {
    for tool in Tool::ALL {
        let (_folder, site) = site();
        for (lines, name, rtype, wanted) in STEPS {
            let Some(updated) = tool.update(&site, KEY, lines) else { break };
            assert_eq!(updated.outcome(), "NOERROR", "{tool:?}, {lines}");
            let Some(found) = short(&site, name, rtype) else { return };
            assert_eq!(found, *wanted, "{tool:?} after {lines}");
        }
    }
}

#[test]
fn the_serial_goes_up_with_each_change_and_only_then() {
    let (_folder, site) = site();
    let serial = || -> Option<u32> {
        let soa = short(&site, "fleet.example.", "SOA")?;
        Some(soa[0].split(' ').nth(2).expect("a serial").parse().expect("a number"))
    };
    let Some(before) = serial() else { return };
    let add = "update add anna.fleet.example. 60 A 192.0.2.7";
    let Some(updated) = Tool::Nsupdate.update(&site, KEY, add) else { return };
    assert_eq!(updated.outcome(), "NOERROR");
    assert_eq!(serial(), Some(before + 1));
    // The same again changes nothing.
    let again = Tool::Nsupdate.update(&site, KEY, add).expect("as before");
    assert_eq!(again.outcome(), "NOERROR");
    assert_eq!(serial(), Some(before + 1));
}

#[test]
fn two_thousand_records_come_in_one_update_over_tcp() {
    let lines: Vec<String> = (0..2_000)
        .map(|i| format!("update add n{i}.fleet.example. 60 A 192.0.{}.{}", i / 250, i % 250))
        .collect();
    for tool in Tool::ALL {
        let (_folder, site) = site();
        let Some(updated) = tool.run(&site, &["-v", "-y", KEY], &lines.join("\n")) else { return };
        assert_eq!(updated.outcome(), "NOERROR");
        let Some(text) = dig(&site, &["+noall", "+answer", "-y", KEY, "fleet.example.", "AXFR"])
        else {
            return;
        };
        let count = text.lines().filter(|line| line.starts_with('n') && line.contains("192.0."));
        // The 2,000, and `ns`.
        assert_eq!(count.count(), 2_001);
        assert_eq!(short(&site, "n1999.fleet.example.", "A"), Some(vec!["192.0.7.249".into()]));
    }
}
