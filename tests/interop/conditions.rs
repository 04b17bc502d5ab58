//! Prerequisites (RFC 2136 §2.4), each form with the RCODE that the update clients report.

use crate::support::{Tool, short, site};
use einhorn_harness::KEY;

/// A prerequisite, and what comes of an update behind it.
const CASES: [(&str, &str); 20] = [
    ("prereq nxdomain new.fleet.example.", "NOERROR"),
    ("prereq nxdomain host.fleet.example.", "YXDOMAIN"),
    ("prereq yxdomain host.fleet.example.", "NOERROR"),
    ("prereq yxdomain new.fleet.example.", "NXDOMAIN"),
    // A name without records of its own is not in use (RFC 2136 §2.4.4).
    ("prereq yxdomain empty.fleet.example.", "NXDOMAIN"),
    ("prereq nxrrset host.fleet.example. TXT", "NOERROR"),
    ("prereq nxrrset new.fleet.example. A", "NOERROR"),
    ("prereq nxrrset host.fleet.example. A", "YXRRSET"),
    ("prereq yxrrset host.fleet.example. A", "NOERROR"),
    ("prereq yxrrset host.fleet.example. TXT", "NXRRSET"),
    ("prereq yxrrset new.fleet.example. A", "NXRRSET"),
    ("prereq yxrrset host.fleet.example. A 192.0.2.1", "NOERROR"),
    ("prereq yxrrset host.fleet.example. A 192.0.2.2", "NXRRSET"),
    ("prereq yxrrset new.fleet.example. A 192.0.2.1", "NXRRSET"),
    // The whole set, in any order, not a part of it (RFC 2136 §2.4.2).
    (
        "prereq yxrrset multi.fleet.example. A 192.0.2.11\nprereq yxrrset multi.fleet.example. A 192.0.2.10",
        "NOERROR",
    ),
    ("prereq yxrrset multi.fleet.example. A 192.0.2.10", "NXRRSET"),
    // Names compare without case.
    ("prereq yxrrset ALIAS.Fleet.Example. CNAME HOST.fleet.example.", "NOERROR"),
    ("prereq yxrrset text.fleet.example. TXT \"hello\"", "NOERROR"),
    ("prereq yxrrset text.fleet.example. TXT \"Hello\"", "NXRRSET"),
    // All of several.
    ("prereq yxdomain host.fleet.example.\nprereq nxrrset host.fleet.example. AAAA", "YXRRSET"),
];

#[test]
fn each_prerequisite_is_judged_and_its_rcode_reported() {
    for tool in Tool::ALL {
        let (_folder, site) = site();
        let below = "update add below.empty.fleet.example. 60 A 192.0.2.9";
        let Some(updated) = tool.update(&site, KEY, below) else { continue };
        assert_eq!(updated.outcome(), "NOERROR");
        for (number, (condition, wanted)) in CASES.iter().enumerate() {
            let lines =
                format!("{condition}\nupdate add mark{number}.fleet.example. 60 A 192.0.2.7");
            let updated = tool.update(&site, KEY, &lines).expect("it was there before");
            assert_eq!(updated.outcome(), *wanted, "{tool:?}, {condition}");
            // Nothing of a refused update is done.
            let Some(found) = short(&site, &format!("mark{number}.fleet.example."), "A") else {
                return;
            };
            let done: &[&str] = if *wanted == "NOERROR" { &["192.0.2.7"] } else { &[] };
            assert_eq!(found, done, "{tool:?}, {condition}");
        }
    }
}

#[test]
fn a_first_registration_is_won_once() {
    let (_folder, site) = site();
    let register = |address: &str| {
        let lines = format!(
            "prereq nxdomain anna.fleet.example.\nupdate add anna.fleet.example. 60 A {address}"
        );
        Tool::Nsupdate.update(&site, KEY, &lines).map(|updated| updated.outcome())
    };
    let Some(first) = register("192.0.2.7") else { return };
    assert_eq!(first, "NOERROR");
    assert_eq!(register("192.0.2.8").as_deref(), Some("YXDOMAIN"));
    assert_eq!(
        short(&site, "anna.fleet.example.", "A").unwrap_or_else(|| vec!["192.0.2.7".into()]),
        ["192.0.2.7"]
    );
}
