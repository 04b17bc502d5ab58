//! What zones look like as host tables.

use super::*;
use crate::hostname_server::Question;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, Request, RequestId};
use einhorn_core::model::{Origin, State};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::zonefile;
use std::path::Path;

const FLEET: &str = "\
@ 60 SOA ns h 41 2 3 4 5
@ 60 NS ns
@ 60 A 192.0.2.80
ns 60 A 192.0.2.1
annas-iphone 60 A 10.9.9.9
annas-iphone 60 AAAA 2001:db8::9
annas-iphone 60 HINFO \"IPHONE, 15\" iOS
anna 60 CNAME annas-iphone
mail.lab 60 A 10.0.0.7
post 60 CNAME mail.elsewhere.example.
*.wild 60 A 10.0.0.8
six 60 AAAA 2001:db8::6
arpanet 60 PTR 0.0.0.10.in-addr.arpa.
com 60 NS ns.com
ns.com 60 A 192.0.2.53
below.com 60 A 10.6.6.6
";
const OTHER: &str = "\
@ 60 SOA ns.fleet.example. h 7 2 3 4 5
@ 60 NS ns.fleet.example.
annas-iphone 60 A 10.8.8.8
";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn zones(all: &[(&str, &'static str)]) -> Zones {
    let origin = Origin { site: 1, generation: 1 };
    let mut commit = Commit::new(State::empty(origin), Box::new(Rules));
    commit.begin_log(1, origin, "test".to_owned(), None);
    for (at, (apex, text)) in all.iter().enumerate() {
        let apex = name(apex);
        let read = &mut |_: &Path| Ok(text.as_bytes().to_vec());
        let records = zonefile::load(Path::new("zone"), &apex, read).expect("a zone");
        let names = names_of_zone(&apex, records).expect("a zone");
        let request = Request {
            id: RequestId([at as u8; 32]),
            remember_until_seconds: 1_000,
            who: Identity::Operator,
            zone: apex,
            action: Action::LoadZone { names, source: [0; 32] },
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        let mut out = Vec::new();
        commit.request(10, request, (), &mut out);
        commit.flush(10, &mut out);
        while !out.is_empty() {
            for output in std::mem::take(&mut out) {
                if let Output::Append(_) = output {
                    commit.appended(10, &mut out);
                }
            }
            commit.flush(10, &mut out);
        }
    }
    commit.state().zones.clone()
}

fn both() -> Zones {
    zones(&[("fleet.example.", FLEET), ("other.example.", OTHER)])
}

fn ask(zones: &Zones, apexes: &[&str], line: &str) -> String {
    let apexes: Vec<Name> = apexes.iter().map(|apex| name(apex)).collect();
    let table = Table::new(zones, &HashSet::new(), &apexes);
    let mut octets = Vec::new();
    let view = table.as_ref().map(|table| table as &dyn View);
    _ = Question::of(line.as_bytes()).answer(view, &mut |piece| {
        octets.extend_from_slice(piece);
        ControlFlow::Continue(())
    });
    String::from_utf8(octets).expect("text")
}

const PHONE: &str = "HOST : 10.9.9.9 : ANNAS-IPHONE,ANNA : IPHONE 15 : IOS : :\r\n";

#[test]
fn names_are_found_by_what_they_are_shown_as_and_in_full() {
    let zones = both();
    let fleet = |line: &str| ask(&zones, &["fleet.example."], line);
    for line in [
        "HNAME ANNAS-IPHONE",
        "HNAME annas-iphone.fleet.example",
        "HNAME Anna",
        "HNAME annas-iphone.fleet.example.",
        "HADDR 10.9.9.9",
        "HADDR 2001:db8::9",
    ] {
        assert_eq!(fleet(line).to_uppercase(), PHONE.to_uppercase(), "{line}");
    }
    assert_eq!(fleet("HNAME MAIL.LAB"), "HOST : 10.0.0.7 : MAIL.LAB : : : :\r\n");
    assert_eq!(fleet("HNAME ARPANET"), "NET : 10.0.0.0 : ARPANET :\r\n");
    assert_eq!(fleet("HADDR 10.0.0.0"), "NET : 10.0.0.0 : ARPANET :\r\n");
    assert_eq!(fleet("HNAME COM"), "DOMAIN : 192.0.2.53 : COM :\r\n");
    let apex =
        "HOST : 192.0.2.80 : FLEET.EXAMPLE : : : :\r\nDOMAIN : 192.0.2.1 : FLEET.EXAMPLE :\r\n";
    assert_eq!(fleet("HNAME FLEET.EXAMPLE"), apex);
    // Nothing of what others have authority for, of other zones, or that stands for many names.
    for name in ["BELOW.COM", "NS.COM", "POST", "LAB", "*.WILD", "SIX", "NOBODY", "a..b", "\u{1}"] {
        let said = fleet(&format!("HNAME {name}"));
        assert_eq!(said, "ERR : NAMNFD : Name not found :\r\n", "{name}");
    }
    assert_eq!(fleet("HADDR 10.6.6.6"), "ERR : ADRNFD : Address not found :\r\n");
}

#[test]
fn further_zones_are_shown_in_full() {
    let zones = both();
    let ask = |line: &str| ask(&zones, &["fleet.example.", "other.example."], line);
    let other = "HOST : 10.8.8.8 : ANNAS-IPHONE.OTHER.EXAMPLE : : : :\r\n";
    assert_eq!(ask("HNAME annas-iphone.other.example"), other);
    assert_eq!(ask("HNAME ANNAS-IPHONE").to_uppercase(), PHONE.to_uppercase());
    assert_eq!(ask("HADDR 10.8.8.8"), other);
    let table = ask("ALL");
    assert!(table.contains(other) && table.contains("DOMAIN : 192.0.2.1 : OTHER.EXAMPLE :\r\n"));
    assert_eq!(ask("VERSION"), "VERSION : 41.7 :\r\n");
}

#[test]
fn a_table_has_each_kind_in_its_turn() {
    let zones = both();
    let fleet = |line: &str| ask(&zones, &["fleet.example."], line);
    let lines: Vec<String> = fleet("ALL").lines().map(str::to_owned).collect();
    let kinds: Vec<_> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected = ["BEGIN", "NET", "HOST", "HOST", "HOST", "HOST", "DOMAIN", "DOMAIN", "END"];
    assert_eq!(kinds, expected, "{lines:#?}");
    assert_eq!(fleet("ALL-OLD").lines().count(), 7);
    assert_eq!(fleet("ALL-DOM").lines().count(), 4);
    assert_eq!(fleet("DOMAINS"), "BEGIN :\r\nDOMAIN : 192.0.2.53 : COM :\r\nEND :\r\n");
    assert_eq!(fleet("ALL-INGWAY"), "BEGIN :\r\nEND :\r\n");
}

#[test]
fn a_zone_that_is_not_served_is_no_empty_table() {
    let zones = both();
    let line = "HNAME ANNAS-IPHONE";
    let said = ask(&zones, &["fleet.example.", "gone.example."], line);
    assert!(said.starts_with("ERR : TMPSYS : "), "{said}");
    let expired = HashSet::from([name("fleet.example.")]);
    assert!(Table::new(&zones, &expired, &[name("fleet.example.")]).is_none());
}
