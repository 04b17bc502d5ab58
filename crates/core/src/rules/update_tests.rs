//! RFC 2136, section by section.

use super::*;
use crate::agent::Rules;
use crate::commit::{Commit, Output};
use crate::model::request::{Action, Commitment, Identity, Request, RequestId};
use crate::model::{Origin, State, changed_types};
use crate::rules::zone::names_of_zone;
use einhorn_wire::zonefile;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn name(text: &str) -> Name {
    text.parse().expect("name")
}

fn records(text: &str) -> Vec<Record> {
    zonefile::load(Path::new("test"), &name("example."), &mut |_| Ok(text.as_bytes().to_vec()))
        .expect("records")
}

/// A zone with this content beside its SOA (serial 10) and NS.
fn zone(text: &str) -> Arc<Zone> {
    let text = format!("@ 60 SOA ns h 10 2 3 4 5\n@ 60 NS ns\n@ 60 NS ns2\n{text}");
    let names = names_of_zone(&name("example."), records(&text)).expect("zone");
    let request = Request {
        id: RequestId([1; 32]),
        remember_until_seconds: 60,
        who: Identity::Operator,
        zone: name("example."),
        action: Action::LoadZone { names, source: [0; 32] },
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: Vec::new(),
    };
    let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
    commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
    let mut out: Vec<Output<()>> = Vec::new();
    commit.request(0, request, (), &mut out);
    commit.flush(0, &mut out);
    commit.state().zones.get(&name("example.")).expect("the zone").clone()
}

/// `text` with another class, and TTL 0, without data unless `data`.
fn with_class(text: &str, class: Class, data: bool) -> Vec<Record> {
    records(text)
        .into_iter()
        .map(|r| Record { class, ttl: 0, rdata: if data { r.rdata } else { Box::default() }, ..r })
        .collect()
}

fn bare(owner: &str, rtype: RecordType, class: Class) -> Record {
    Record { owner: name(owner), rtype, class, ttl: 0, rdata: Box::default() }
}

/// The zone's records after operations, SOA and NS left out unless asked for.
fn after(zone: &Zone, updates: Vec<Record>, all: bool) -> Vec<String> {
    let touched = apply(zone, &operations(&zone.apex, updates).expect("valid"), None);
    let mut lines = Vec::new();
    for record in zone.names.iter() {
        let changed = touched.iter().find(|t| record.owner() == t.owner);
        let sets = changed.map_or_else(|| record.owned_rrsets(), |t| t.after.clone());
        lines.extend(sets.into_iter().map(|set| (record.owner().to_name(), set)));
    }
    for new in touched.iter().filter(|t| t.before.is_none()) {
        lines.extend(new.after.iter().map(|set| (new.owner.clone(), set.clone())));
    }
    lines.retain(|(_, set)| all || !matches!(set.rtype, RecordType::SOA | RecordType::NS));
    lines.iter().map(|(owner, set)| format!("{owner} {set:?}")).collect()
}

fn prereq(zone: &Zone, records: Vec<Record>) -> Rcode {
    let held = prerequisites(&zone.apex, records).and_then(|p| prerequisites_hold(zone, &p));
    held.map_or_else(|refusal| refusal.rcode, |()| Rcode::NOERROR)
}

#[test]
fn section_3_2_prerequisites() {
    let zone = zone("a 60 A 192.0.2.1\na 60 A 192.0.2.2\nb.ent 60 TXT x\nm 60 MX 10 Mail\n");
    let any = |owner, rtype| prereq(&zone, vec![bare(owner, rtype, Class::ANY)]);
    let none = |owner, rtype| prereq(&zone, vec![bare(owner, rtype, Class::NONE)]);
    assert_eq!(any("A.example.", RecordType::ANY), Rcode::NOERROR);
    assert_eq!(any("x.example.", RecordType::ANY), Rcode::NXDOMAIN);
    assert_eq!(
        any("ent.example.", RecordType::ANY),
        Rcode::NXDOMAIN,
        "an empty non-terminal is not in use"
    );
    assert_eq!(any("a.example.", RecordType::A), Rcode::NOERROR);
    assert_eq!(any("a.example.", RecordType::TXT), Rcode::NXRRSET);
    assert_eq!(none("a.example.", RecordType::ANY), Rcode::YXDOMAIN);
    assert_eq!(none("x.example.", RecordType::ANY), Rcode::NOERROR);
    assert_eq!(none("a.example.", RecordType::A), Rcode::YXRRSET);
    assert_eq!(none("a.example.", RecordType::TXT), Rcode::NOERROR);
    let equal = |text: &str| prereq(&zone, with_class(text, Class::IN, true));
    assert_eq!(equal("a 0 A 192.0.2.2\na 0 A 192.0.2.1\n"), Rcode::NOERROR);
    assert_eq!(equal("a 0 A 192.0.2.2\na 0 A 192.0.2.1\na 0 A 192.0.2.1\n"), Rcode::NOERROR);
    assert_eq!(equal("a 0 A 192.0.2.1\n"), Rcode::NXRRSET, "a part is not the set");
    assert_eq!(equal("a 0 A 192.0.2.1\na 0 A 192.0.2.2\na 0 A 192.0.2.3\n"), Rcode::NXRRSET);
    assert_eq!(equal("m 0 MX 10 mAIL\n"), Rcode::NOERROR, "names in data have no case");
}

#[test]
fn section_3_2_malformed_prerequisites() {
    let zone = zone("a 60 A 192.0.2.1\n");
    let one = |change: &dyn Fn(&mut Record)| {
        let mut record = bare("a.example.", RecordType::A, Class::ANY);
        change(&mut record);
        prereq(&zone, vec![record])
    };
    assert_eq!(one(&|_| ()), Rcode::NOERROR);
    assert_eq!(one(&|r| r.ttl = 1), Rcode::FORMERR);
    assert_eq!(one(&|r| r.rdata = Box::new([1, 2, 3, 4])), Rcode::FORMERR);
    assert_eq!(one(&|r| r.class = Class::CH), Rcode::FORMERR);
    assert_eq!(one(&|r| r.rtype = RecordType::AXFR), Rcode::FORMERR);
    assert_eq!(one(&|r| r.owner = name("elsewhere.")), Rcode::NOTZONE);
}

#[test]
fn section_3_4_1_prescan() {
    let apex = name("example.");
    let one = |owner: &str, rtype, class, ttl, rdata: &[u8]| {
        let record = Record { owner: name(owner), rtype, class, ttl, rdata: rdata.into() };
        operations(&apex, vec![record]).map_or_else(|refusal| refusal.rcode, |_| Rcode::NOERROR)
    };
    const ADDRESS: &[u8] = &[192, 0, 2, 1];
    assert_eq!(one("a.example.", RecordType::A, Class::IN, 60, ADDRESS), Rcode::NOERROR);
    assert_eq!(one("a.other.", RecordType::A, Class::IN, 60, ADDRESS), Rcode::NOTZONE);
    assert_eq!(one("a.example.", RecordType::A, Class::IN, 60, &[]), Rcode::FORMERR);
    for meta in
        [RecordType::ANY, RecordType::AXFR, RecordType::IXFR, RecordType::MAILA, RecordType::MAILB]
    {
        assert_eq!(one("a.example.", meta, Class::IN, 60, ADDRESS), Rcode::FORMERR);
        assert_eq!(one("a.example.", meta, Class::NONE, 0, &[]), Rcode::FORMERR);
    }
    assert_eq!(one("a.example.", RecordType::ANY, Class::ANY, 0, &[]), Rcode::NOERROR);
    assert_eq!(one("a.example.", RecordType::AXFR, Class::ANY, 0, &[]), Rcode::FORMERR);
    assert_eq!(one("a.example.", RecordType::A, Class::ANY, 1, &[]), Rcode::FORMERR);
    assert_eq!(one("a.example.", RecordType::A, Class::ANY, 0, ADDRESS), Rcode::FORMERR);
    assert_eq!(one("a.example.", RecordType::A, Class::NONE, 1, ADDRESS), Rcode::FORMERR);
    assert_eq!(one("a.example.", RecordType::A, Class::CH, 0, &[]), Rcode::FORMERR);
}

#[test]
fn section_3_4_2_2_add() {
    let zone = zone("a 60 A 192.0.2.1\nc 60 CNAME a\n");
    let add = |text: &str| after(&zone, records(text), false);
    assert_eq!(add("a 60 A 192.0.2.1\n"), add(""), "the same record changes nothing");
    assert!(
        add("a 30 A 192.0.2.2\n").contains(&"a.example. 30 A [192.0.2.1] [192.0.2.2]".to_owned())
    );
    assert!(add("a 30 A 192.0.2.1\n").contains(&"a.example. 30 A [192.0.2.1]".to_owned()));
    assert_eq!(add("c 60 A 192.0.2.9\n"), add(""), "nothing beside a CNAME");
    assert_eq!(add("a 60 CNAME c\n"), add(""), "no CNAME beside others");
    assert!(
        add("c 60 CNAME b\n").contains(&"c.example. 60 CNAME [b.example.]".to_owned()),
        "one CNAME, replaced"
    );
    assert!(add("n 60 TXT \"\"\n").contains(&"n.example. 60 TXT [\"\"]".to_owned()));
}

#[test]
fn section_3_4_2_2_add_soa() {
    let zone = zone("");
    let serial = |new: u32| {
        let all = after(&zone, records(&format!("@ 60 SOA ns h {new} 2 3 4 5\n")), true);
        all.iter()
            .find(|line| line.contains("SOA"))
            .expect("SOA")
            .split(' ')
            .nth(5)
            .expect("serial")
            .to_owned()
    };
    assert_eq!(serial(11), "11");
    assert_eq!(serial(10), "10");
    assert_eq!(serial(9), "10", "an older serial is ignored");
    assert_eq!(serial(10 + (1 << 31)), "10", "as is one that is not greater");
    let elsewhere = after(&zone, records("x 60 SOA ns h 11 2 3 4 5\n"), false);
    assert!(elsewhere.is_empty(), "only a zone's apex has an SOA: {elsewhere:?}");
}

#[test]
fn sections_3_4_2_3_and_4_delete() {
    let zone = zone("a 60 A 192.0.2.1\na 60 A 192.0.2.2\na 60 TXT x\n@ 60 TXT y\n");
    let gone = |owner, rtype, all| after(&zone, vec![bare(owner, rtype, Class::ANY)], all);
    assert_eq!(
        gone("a.example.", RecordType::A, false),
        ["example. 60 TXT [\"y\"]", "a.example. 60 TXT [\"x\"]"]
    );
    assert_eq!(gone("a.example.", RecordType::ANY, false), ["example. 60 TXT [\"y\"]"]);
    assert_eq!(gone("example.", RecordType::ANY, true).len(), 4, "the apex keeps SOA and NS");
    assert_eq!(gone("example.", RecordType::NS, true).len(), 5);
    assert_eq!(gone("example.", RecordType::SOA, true).len(), 5);
    assert_eq!(gone("nobody.example.", RecordType::ANY, true).len(), 5);
    let record = |text: &str, all| after(&zone, with_class(text, Class::NONE, true), all);
    assert_eq!(record("a 0 A 192.0.2.1\n", false)[1], "a.example. 60 A [192.0.2.2]");
    assert_eq!(record("a 0 A 192.0.2.1\na 0 A 192.0.2.2\n", false).len(), 2);
    assert_eq!(record("a 0 A 192.0.2.9\n", true).len(), 5);
    assert_eq!(record("@ 0 SOA ns h 10 2 3 4 5\n", true).len(), 5);
    let ns = record("@ 0 NS NS\n@ 0 NS ns2\n", true);
    assert!(ns.contains(&"example. 60 NS [ns2.example.]".to_owned()), "the last NS stays: {ns:?}");
}

#[test]
fn operations_are_done_in_order() {
    let zone = zone("a 60 A 192.0.2.1\n");
    let replace =
        [vec![bare("a.example.", RecordType::A, Class::ANY)], records("a 60 A 192.0.2.7\n")]
            .concat();
    assert_eq!(after(&zone, replace.clone(), false), ["a.example. 60 A [192.0.2.7]"]);
    let reversed = replace.into_iter().rev().collect();
    assert!(after(&zone, reversed, false).is_empty());
}

proptest! {
    /// `changed_types` is what turns one content back into the other.
    #[test]
    fn before_images_restore(ops in proptest::collection::vec((0u8..4, 0u8..4, 0u8..5), 0..12)) {
        let zone = zone("n0 60 A 192.0.2.0\nn1 60 TXT x\nn2 60 CNAME n0\n");
        let operations: Vec<_> = ops.iter().map(|&(owner, octet, kind)| {
            let owner = name(&format!("n{owner}.example."));
            match kind {
                0 | 1 => Operation::Add { owner, rtype: RecordType::A, ttl: 60, rdata: Box::new([192, 0, 2, octet]) },
                2 => Operation::DeleteName(owner),
                3 => Operation::DeleteRrSet(owner, RecordType::A),
                _ => Operation::Add { owner, rtype: RecordType::CNAME, ttl: 60, rdata: Box::new([1, b'a' + octet, 0]) },
            }
        }).collect();
        for touched in apply(&zone, &operations, None) {
            let before = changed_types(touched.rrsets_before(), borrowed(&touched.after));
            prop_assert!(!before.is_empty());
            let change = crate::model::entry::NameChange {
                owner: touched.owner.clone(), home: Origin::NONE, epoch: 1, version: 1, sequence: 1, previous: None,
                before, after: touched.after.clone(), leases: Vec::new(),
            };
            prop_assert!(same_rrsets(borrowed(&change.all_before()), touched.rrsets_before()));
        }
    }
}
