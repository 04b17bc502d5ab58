//! Leases: they end in time and not before, are renewed, become permanent, and are held when something
//! else is wrong.

use super::tests::{Site, name, request, set_a};
use super::*;
use crate::model::entry::Cause;
use crate::model::request::{Action, Operation};
use einhorn_wire::RecordType;
use einhorn_wire::edns::UpdateLease;

const HOUR_MS: u64 = 3_600_000;

/// Asks for an address for so many seconds; `None` for good.
fn leased(id: u8, owner: &str, octet: u8, seconds: Option<u32>) -> Request {
    let mut request = set_a(id, owner, octet);
    if let Action::Update { lease, .. } = &mut request.action {
        *lease = seconds.map(|record_seconds| UpdateLease { record_seconds, key_seconds: None });
    }
    request
}

fn loaded() -> Site {
    let mut site = Site::new();
    // The first start is an outage too.
    site.pass(1);
    site
}

/// Lets time go by as a running site does, which looks at its leases all the time.
fn wait(site: &mut Site, milliseconds: u64) {
    let until_ms = site.now_ms() + milliseconds;
    while site.now_ms() < until_ms {
        site.pass((until_ms - site.now_ms()).min(1_000));
    }
}

fn expiries(site: &Site) -> usize {
    let entries = site.entries();
    let changes = entries.iter().flat_map(|(_, entry)| entry.body.changes());
    changes.filter(|change| change.cause == Cause::Expiry).count()
}

#[test]
fn a_lease_ends_in_time_and_not_before() {
    let mut site = loaded();
    site.run(&[leased(1, "b.example.", 7, Some(30)), leased(2, "c.example.", 8, None)]);
    wait(&mut site, 29_999);
    assert!(site.a("b.example.").is_some());
    wait(&mut site, 1_000);
    assert_eq!(site.a("b.example."), None);
    wait(&mut site, HOUR_MS);
    assert!(site.a("c.example.").is_some(), "what was added without a lease stays");
    assert_eq!(expiries(&site), 1);
}

#[test]
fn renewals_count_and_so_does_making_it_permanent() {
    let mut site = loaded();
    site.run(&[leased(1, "b.example.", 7, Some(30)), leased(2, "c.example.", 8, Some(30))]);
    wait(&mut site, 20_000);
    site.run(&[leased(3, "b.example.", 7, Some(30)), leased(4, "c.example.", 8, None)]);
    wait(&mut site, 29_000);
    assert!(site.a("b.example.").is_some(), "renewed");
    wait(&mut site, 2_000);
    assert_eq!((site.a("b.example."), expiries(&site)), (None, 1));
    wait(&mut site, HOUR_MS);
    assert!(site.a("c.example.").is_some(), "permanent");
}

#[test]
fn a_record_ends_and_those_beside_it_stay() {
    let mut site = loaded();
    let owner = name("b.example.");
    let text = |rdata: &[u8], ttl| Operation::Add {
        owner: owner.clone(),
        rtype: RecordType::TXT,
        ttl,
        rdata: rdata.into(),
    };
    let update =
        |operations, lease| Action::Update { prerequisites: Vec::new(), operations, lease };
    let lease = UpdateLease { record_seconds: 30, key_seconds: Some(60) };
    let key = Operation::Add {
        owner: owner.clone(),
        rtype: RecordType::KEY,
        ttl: 60,
        rdata: Box::from([1, 0, 3, 13, 7]),
    };
    site.run(&[
        request(1, update(vec![text(b"\x01a", 60)], None)),
        request(2, update(vec![text(b"\x01b", 60), key], Some(lease))),
    ]);
    let shown = |site: &Site| {
        let zone = site.zones.get(&name("example.")).expect("the zone");
        let record = zone.name(&owner).expect("the name");
        record.rrsets().map(|set| (set.rtype, set.count())).collect::<Vec<_>>()
    };
    assert_eq!(shown(&site), [(RecordType::TXT, 2), (RecordType::KEY, 1)]);
    wait(&mut site, 31_000);
    assert_eq!(shown(&site), [(RecordType::TXT, 1), (RecordType::KEY, 1)]);
    wait(&mut site, 30_000);
    assert_eq!(shown(&site), [(RecordType::TXT, 1)]);
}

#[test]
fn after_an_outage_there_is_time_to_renew() {
    let mut site = loaded();
    site.run(&[leased(1, "b.example.", 7, Some(60))]);
    // Nothing is heard of for an hour.
    site.pass(HOUR_MS);
    site.run(&[leased(2, "c.example.", 8, Some(60))]);
    wait(&mut site, 62_000);
    assert_eq!(site.a("c.example."), None, "it was added after the outage");
    assert!(site.a("b.example.").is_some());
    wait(&mut site, 540_000);
    assert_eq!(site.a("b.example."), None);
}

#[test]
fn very_many_at_once_are_held_until_a_person_lets_them_go() {
    let mut site = loaded();
    let names: Vec<String> = (0..30).map(|n| format!("n{n}.example.")).collect();
    let ask = |(id, name): (usize, &String)| leased(id as u8 + 1, name, id as u8, Some(30));
    site.run(&names.iter().enumerate().map(ask).collect::<Vec<_>>());
    wait(&mut site, HOUR_MS);
    assert_eq!(expiries(&site), 0);
    let report = site.report();
    assert_eq!((report.leased, report.leases_held), (30, 30));
    site.let_leases_end();
    wait(&mut site, 2_000);
    assert_eq!(expiries(&site), 30);
    assert_eq!(site.report().leases_held, 0);
}

#[test]
fn leases_are_in_the_log_and_in_snapshots() {
    let mut site = loaded();
    site.run(&[leased(1, "b.example.", 7, Some(30))]);
    let state = site.restart();
    let octets = crate::model::snapshot::encode(&state);
    assert_eq!(octets, crate::model::snapshot::encode(site.state()));
    let read = crate::model::snapshot::decode(&octets).expect("a snapshot");
    let zone = read.zones.get(&name("example.")).expect("the zone");
    let leases = zone.name(&name("b.example.")).expect("the name").leases();
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].until_ms, site.now_ms() + 30_000);
}
