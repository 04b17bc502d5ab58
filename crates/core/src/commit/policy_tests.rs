//! What zones may ask for: reverse records, reviews of contested names, joined changes of flapping
//! ones. At one site; with several the simulator and the scenarios have them.

use super::tests::{ORIGIN, Site, name, rcode, request, set_a};
use super::*;
use crate::agent::Path;
use crate::model::entry::{Cause, Change};
use crate::model::request::{Action, Identity, Operation, PlannedName, ReplaceReason};
use crate::model::review::Choice;
use crate::model::settings::{Contested, Reverse, Settings};
use crate::model::snapshot;
use einhorn_wire::{RecordType, zonefile};

const REVERSE: &str = "2.0.192.in-addr.arpa.";

fn load(id: u8, zone: &str) -> Request {
    let text = b"@ 60 SOA ns.example. h.example. 1 2 3 4 5\n@ 60 NS ns.example.\n".to_vec();
    let zone = name(zone);
    let records = zonefile::load(std::path::Path::new("z"), &zone, &mut |_| Ok(text.clone()));
    let names = crate::rules::zone::names_of_zone(&zone, records.expect("records")).expect("zone");
    let action = Action::LoadZone { names, source: [9; 32] };
    Request { zone, ..request(id, action) }
}

fn configured(settings: Settings) -> Site {
    let mut site = Site::new();
    let configure = request(200, Action::Configure(settings));
    site.run(&[load(201, REVERSE), configure]);
    assert_eq!(site.take().len(), 2);
    site
}

fn pointers(site: &Site, octet: u8) -> Vec<String> {
    let zone = site.zones.get(&name(REVERSE)).expect("the reverse zone");
    let set = zone.rrset(&name(&format!("{octet}.{REVERSE}")), RecordType::PTR);
    let text = |data: &[u8]| Name::from_wire(data).expect("a name").to_string();
    set.map_or_else(Vec::new, |set| set.rdatas().map(text).collect())
}

fn by(key: &str, request: Request) -> Request {
    Request { who: Identity::Key(name(key)), ..request }
}

fn same_after_restart(site: &Site) {
    let state = site.restart();
    assert_eq!(snapshot::encode(&state), snapshot::encode(site.state()));
    let read = snapshot::decode(&snapshot::encode(&state)).expect("a snapshot");
    assert_eq!(read.reviews, state.reviews);
}

#[test]
fn addresses_and_their_reverse_records_change_in_one_entry() {
    let mut site = configured(Settings { reverse: Reverse::Auto, ..Settings::default() });
    site.run(&[set_a(1, "b.example.", 7)]);
    assert_eq!(pointers(&site, 7), ["b.example."]);
    // Another name of the same address keeps its own record when the first one leaves.
    site.run(&[set_a(2, "c.example.", 7)]);
    assert_eq!(pointers(&site, 7), ["b.example.", "c.example."]);
    site.run(&[set_a(3, "b.example.", 8)]);
    assert_eq!(
        (pointers(&site, 7), pointers(&site, 8)),
        (vec!["c.example.".into()], vec!["b.example.".into()])
    );
    let removal = Operation::DeleteName(name("b.example."));
    let action =
        Action::Update { prerequisites: Vec::new(), operations: vec![removal], lease: None };
    site.run(&[request(4, action)]);
    assert_eq!((site.a("b.example."), pointers(&site, 8)), (None, Vec::new()));
    let both: Vec<usize> = (site.entries().iter())
        .filter_map(|(_, entry)| match &entry.body {
            Body::Changes(changes) => Some(changes.len()),
            _ => None,
        })
        .collect();
    assert_eq!(both, [2; 4], "each is one entry with both zones");
    assert!(site.take().iter().all(|(_, outcome)| rcode(outcome) == Rcode::NOERROR));
    // What is outside of any reverse zone kept here is nobody's business.
    let far = Operation::Add {
        owner: name("d.example."),
        rtype: RecordType::A,
        ttl: 60,
        rdata: Box::new([203, 0, 113, 1]),
    };
    let action = Action::Update { prerequisites: Vec::new(), operations: vec![far], lease: None };
    site.run(&[request(5, action)]);
    assert_eq!(rcode(&site.take()[0].1), Rcode::NOERROR);
    same_after_restart(&site);
}

#[test]
fn zones_that_do_not_ask_get_no_reverse_records() {
    let mut site = configured(Settings::default());
    site.run(&[set_a(1, "b.example.", 7)]);
    assert!(site.a("b.example.").is_some() && pointers(&site, 7).is_empty());
}

/// Two keys want one name; the second is held. Gives the site and where the review is.
fn contested() -> (Site, Position) {
    let mut site = configured(Settings { contested: Contested::Review, ..Settings::default() });
    site.run(&[by("one.", set_a(1, "b.example.", 1))]);
    site.run(&[by("two.", set_a(2, "b.example.", 2))]);
    let answers = site.take();
    assert_eq!(rcode(&answers[0].1), Rcode::NOERROR);
    assert_eq!(rcode(&answers[1].1), Rcode::REFUSED, "{answers:?}");
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 1]), "the old value stays");
    let at = site.state().reviews.iter().next().expect("a review").0;
    (site, at)
}

fn resolve(site: &mut Site, id: u8, review: Position, choice: Choice) -> Rcode {
    let open = site.state().reviews.get(review).cloned();
    let zone = site.state().zones.get(&name("example.")).cloned().expect("the zone");
    let planned = open.iter().flat_map(|open| &open.review.change.names).map(|one| {
        let now = zone.name(&one.owner).expect("a name");
        PlannedName {
            owner: one.owner.clone(),
            version: now.history().version,
            epoch: None,
            after: choice.outcome(&now.owned_rrsets(), &one.after),
        }
    });
    let names = if choice == Choice::Keep { Vec::new() } else { planned.collect() };
    let reason = ReplaceReason::Review { review, choice };
    let action = Action::Replace { reason, names };
    site.run(&[Request { who: Identity::Operator, ..request(id, action) }]);
    rcode(&site.take()[0].1)
}

#[test]
fn a_contested_change_waits_for_a_person() {
    let (mut site, at) = contested();
    // A retry is told the same, and another value of the same key replaces the first.
    site.run(&[by("two.", set_a(2, "b.example.", 2)), by("two.", set_a(3, "b.example.", 3))]);
    assert!(site.take().iter().all(|(_, outcome)| rcode(outcome) == Rcode::REFUSED));
    assert_eq!(site.state().reviews.count(), 1);
    let newer = site.state().reviews.iter().next().expect("a review").0;
    assert_ne!(newer, at);
    same_after_restart(&site);
    assert_eq!(resolve(&mut site, 4, newer, Choice::Take), Rcode::NOERROR);
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 3]));
    assert_eq!(site.state().reviews.count(), 0);
    assert_eq!(resolve(&mut site, 5, newer, Choice::Keep), Rcode::NXRRSET, "it is closed");
    // The name is its now: it may change it again, and the other one has to ask.
    site.run(&[by("two.", set_a(6, "b.example.", 6)), by("one.", set_a(7, "b.example.", 7))]);
    let answers = site.take();
    assert_eq!((rcode(&answers[0].1), rcode(&answers[1].1)), (Rcode::NOERROR, Rcode::REFUSED));
    same_after_restart(&site);
}

#[test]
fn keep_and_both_do_what_they_say() {
    let (mut site, at) = contested();
    assert_eq!(resolve(&mut site, 4, at, Choice::Keep), Rcode::NOERROR);
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 1]));
    let last = site.entries().pop().expect("an entry").1;
    let changes = last.body.changes();
    assert!(changes.is_empty() || matches!(changes[0].cause, Cause::Review { .. }), "{last:?}");
    let (mut site, at) = contested();
    assert_eq!(resolve(&mut site, 4, at, Choice::Both), Rcode::NOERROR);
    let zone = site.zones.get(&name("example.")).expect("the zone");
    let set = zone.rrset(&name("b.example."), RecordType::A).expect("addresses");
    assert_eq!(set.rdatas().count(), 2);
    same_after_restart(&site);
}

#[test]
fn zones_that_do_not_ask_take_the_latest() {
    let mut site = configured(Settings::default());
    let changes = [by("one.", set_a(1, "b.example.", 1)), by("two.", set_a(2, "b.example.", 2))];
    site.run(&changes);
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 2]));
}

#[test]
fn changes_of_a_flapping_name_are_joined_and_all_are_answered() {
    let mut site = configured(Settings { coalesce_ms: 100, ..Settings::default() });
    site.run(&[set_a(1, "b.example.", 1)]);
    let before = site.entries().len();
    // Within a moment of the first: held, and again.
    site.run(&[set_a(2, "b.example.", 2), set_a(3, "b.example.", 3), set_a(2, "b.example.", 2)]);
    assert_eq!(site.take().len(), 1, "only the first has its answer");
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 1]));
    // Another key's change comes after what is held, and finds it.
    site.run(&[by("other.", set_a(4, "b.example.", 4))]);
    let answers = site.take();
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers.iter().all(|(_, outcome)| rcode(outcome) == Rcode::NOERROR));
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 4]));
    let changes: Vec<Change> = site.entries()[before..]
        .iter()
        .flat_map(|(_, entry)| entry.body.changes().to_vec())
        .collect();
    assert_eq!(changes.len(), 2);
    assert_eq!((changes[0].path, changes[0].stands_for.len()), (Path::Coalesce, 1));
    // All of them are recognised afterwards.
    site.run(&[set_a(2, "b.example.", 2), set_a(3, "b.example.", 3)]);
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 4]));
    assert_eq!(site.take().len(), 2);
    same_after_restart(&site);
}

#[test]
fn what_is_held_is_let_go_when_its_time_is_over() {
    let mut site = configured(Settings { coalesce_ms: 100, ..Settings::default() });
    site.run(&[set_a(1, "b.example.", 1), set_a(2, "b.example.", 2)]);
    site.take();
    assert_eq!(site.next_wake_ms(), Some(site.now_ms() + 100));
    site.pass(99);
    assert!(site.take().is_empty());
    site.pass(1);
    assert_eq!(site.take().len(), 1);
    assert_eq!(site.a("b.example."), Some(vec![192, 0, 2, 2]));
    // Also by a clock that is set back meanwhile.
    site.pass(100_000);
    site.run(&[set_a(4, "c.example.", 4), set_a(5, "c.example.", 5)]);
    site.take();
    site.set_back(50_000);
    assert_eq!(site.next_wake_ms(), Some(site.now_ms() + 100));
    site.pass(100);
    assert_eq!(site.take().len(), 1);
    assert_eq!(site.state().origin, ORIGIN);
}
