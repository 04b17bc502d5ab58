//! Zones as a whole: settings, removal, new content, and that a restart folds to the same.

use super::tests::{ORIGIN, Site, done, load, name, rcode, request, set_a};
use super::*;
use crate::model::StepKind;
use crate::model::entry::Cause;
use crate::model::request::{Action, PlannedName, ReplaceReason, RequestId};
use crate::model::settings::{Role, Settings};
use crate::model::{Effects, RrSet, Zone, borrowed, same_rrsets, snapshot};
use crate::rules::catalog;
use crate::rules::replace::{self, Overwrite};
use crate::rules::zone::names_of_zone;
use einhorn_wire::{RecordType, zonefile};

fn followed() -> Settings {
    let primaries = vec!["192.0.2.53".parse().expect("a server")];
    Settings { primaries, ..Settings::default() }
}

fn names(text: &str) -> Vec<(Name, Vec<RrSet>)> {
    let path = std::path::Path::new("z");
    let records = zonefile::load(path, &name("example."), &mut |_| Ok(text.as_bytes().to_vec()));
    names_of_zone(&name("example."), records.expect("records")).expect("a zone")
}

fn transfer(from: Option<u32>, to: u32, names: Vec<PlannedName>) -> Action {
    Action::Replace { reason: ReplaceReason::Transfer { from, to }, names }
}

fn zone(site: &Site) -> &Zone {
    site.zones.get(&name("example.")).expect("the zone")
}

fn outcome(site: &mut Site, id: u8, action: Action) -> Rcode {
    site.run(&[request(id, action)]);
    rcode(&site.take().pop().expect("an answer").1)
}

fn same_after_restart(site: &Site) {
    let state = site.restart();
    let decoded = snapshot::decode(&snapshot::encode(&state)).expect("a snapshot");
    for zones in [&state.zones, &decoded.zones] {
        assert_eq!(zones.iter().count(), site.zones.iter().count());
        for (one, other) in zones.iter().zip(site.zones.iter()) {
            assert_eq!((&one.apex, one.serial), (&other.apex, other.serial));
            assert_eq!(one.settings, other.settings);
            assert_eq!(one.state_root(), other.state_root());
        }
    }
}

#[test]
fn a_followed_zone_takes_its_primarys_content_and_serial_and_no_updates() {
    let mut site = Site::new();
    assert_eq!(outcome(&mut site, 1, Action::RemoveZone), Rcode::NOERROR);
    assert_eq!(outcome(&mut site, 2, Action::Configure(followed())), Rcode::NOERROR);
    assert!(zone(&site).soa().is_none());
    let first = names("@ 60 SOA ns h 40 2 3 4 5\n@ 60 NS ns\na 60 A 192.0.2.1\n");
    let plan = replace::whole(zone(&site), first, Overwrite::All);
    let action = transfer(Some(7), 40, plan.names.clone());
    assert_eq!(outcome(&mut site, 3, action), Rcode::NXRRSET, "it has no serial yet");
    assert_eq!(outcome(&mut site, 4, transfer(None, 40, plan.names)), Rcode::NOERROR);
    assert_eq!((zone(&site).serial, site.a("a.example.")), (40, Some(vec![192, 0, 2, 1])));
    // A primary that was set up anew may go back.
    let second = names("@ 60 SOA ns h 7 2 3 4 5\n@ 60 NS ns\nb 60 A 192.0.2.2\n");
    let plan = replace::whole(zone(&site), second, Overwrite::All);
    let stale = transfer(Some(39), 7, plan.names.clone());
    assert_eq!(outcome(&mut site, 5, stale), Rcode::NXRRSET);
    assert_eq!(outcome(&mut site, 6, transfer(Some(40), 7, plan.names)), Rcode::NOERROR);
    assert_eq!((zone(&site).serial, site.a("a.example.")), (7, None));
    site.run(&[set_a(7, "a.example.", 9)]);
    assert_eq!(rcode(&site.take()[0].1), Rcode::REFUSED);
    let reload = ReplaceReason::Reload { source: [0; 32] };
    let reload = Action::Replace { reason: reload, names: Vec::new() };
    assert_eq!(outcome(&mut site, 8, reload), Rcode::REFUSED);
    same_after_restart(&site);
}

#[test]
fn a_zone_that_is_changed_here_takes_no_transfer() {
    let mut site = Site::new();
    let serial = zone(&site).serial;
    assert_eq!(outcome(&mut site, 1, transfer(Some(serial), 9, Vec::new())), Rcode::REFUSED);
}

#[test]
fn a_removed_zone_is_gone_and_may_come_back() {
    let mut site = Site::new();
    site.run(&[set_a(1, "a.example.", 9)]);
    let settings = Settings { role: Role::Producer, ..Settings::default() };
    assert_eq!(outcome(&mut site, 2, Action::Configure(settings)), Rcode::NOERROR);
    // In one batch: a change, the removal, and what comes after it.
    site.run(&[
        set_a(3, "a.example.", 8),
        request(4, Action::RemoveZone),
        set_a(5, "a.example.", 7),
    ]);
    let outcomes: Vec<_> = site.take().iter().map(|(id, o)| (*id, rcode(o))).collect();
    assert_eq!(outcomes, [(3, Rcode::NOERROR), (4, Rcode::NOERROR), (5, Rcode::NOTAUTH)]);
    assert_eq!(site.zones.iter().count(), 0);
    same_after_restart(&site);
    site.run(&[load()]);
    assert_eq!(site.take(), [(255, done(1))], "a copy of the first load");
    let Action::LoadZone { names, .. } = load().action else { panic!("a load") };
    let again = Action::LoadZone { names, source: [8; 32] };
    assert_eq!(outcome(&mut site, 6, again), Rcode::NOERROR);
    assert_eq!(site.a("a.example."), Some(vec![192, 0, 2, 1]));
    assert_eq!(*zone(&site).settings, Settings::default());
    same_after_restart(&site);
}

#[test]
fn a_reload_changes_what_differs_and_leaves_what_devices_wrote() {
    let mut site = Site::new();
    // The site's requests come from a key: all that they touch is a device's.
    site.run(&[set_a(1, "phone.example.", 77)]);
    let mut file = names(
        "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n@ 60 MX 1 a\na 60 A 192.0.2.1\nphone 60 A 192.0.2.3\n",
    );
    replace::keep_serial(zone(&site), &mut file);
    let own = replace::whole(zone(&site), file.clone(), Overwrite::Own);
    let touched = |plan: &replace::Plan| -> Vec<String> {
        plan.names.iter().map(|name| name.owner.to_string()).collect()
    };
    let kept: Vec<_> = own.kept.iter().map(ToString::to_string).collect();
    assert_eq!(
        (touched(&own), kept),
        (vec![], vec!["example.".to_owned(), "phone.example.".to_owned()])
    );
    let all = replace::whole(zone(&site), file.clone(), Overwrite::All);
    assert_eq!(touched(&all), ["example.", "phone.example."]);
    let reason = ReplaceReason::Reload { source: [3; 32] };
    let action = Action::Replace { reason, names: all.names };
    assert_eq!(outcome(&mut site, 2, action.clone()), Rcode::NOERROR);
    assert_eq!(site.a("phone.example."), Some(vec![192, 0, 2, 3]));
    let stale = Action::Replace {
        reason: ReplaceReason::Reload { source: [4; 32] },
        names: {
            let Action::Replace { names, .. } = action else { panic!("a replacement") };
            names
        },
    };
    assert_eq!(outcome(&mut site, 3, stale), Rcode::NXRRSET);
    same_after_restart(&site);
}

#[test]
fn steps_tell_what_was_published() {
    let mut site = Site::new();
    site.steps.clear();
    site.run(&[set_a(1, "a.example.", 5), set_a(2, "b.example.", 6)]);
    site.run(&[set_a(3, "a.example.", 5)]);
    site.run(&[request(4, Action::Configure(Settings::default()))]);
    let steps = std::mem::take(&mut site.steps);
    let [first, configured] = &steps[..] else { panic!("{steps:?}") };
    let StepKind::Changed { from, to, changes } = &first.kind else { panic!("{first:?}") };
    assert_eq!((*to, changes.len()), (from.wrapping_add(1), 2));
    assert_eq!(zone(&site).serial, *to);
    assert_eq!(configured.kind, StepKind::Configured);
}

#[test]
fn a_catalog_lists_what_settings_say_and_reads_back() {
    let mut site = Site::new();
    let (catalog, zone_name) = (name("catalog.test."), name("example."));
    let in_catalog = |id: u8, action: Action| {
        let mut request = request(id, action);
        request.zone = catalog.clone();
        request
    };
    let names = catalog::skeleton(&catalog);
    let producer = Settings { role: Role::Producer, ..Settings::default() };
    site.run(&[
        in_catalog(1, Action::Configure(producer)),
        in_catalog(2, Action::LoadZone { names, source: [0; 32] }),
    ]);
    let listed =
        Settings { role: Role::Listed { catalog: catalog.clone() }, ..Settings::default() };
    site.run(&[request(3, Action::Configure(listed))]);
    let members = |site: &Site| {
        let zone = site.zones.get(&catalog).expect("the catalog");
        catalog::members(zone).map(|members| members.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(members(&site), Ok(Vec::new()));
    let listing =
        |site: &Site| catalog::listing(site.zones.get(&catalog).expect("the catalog"), &site.zones);
    let update = |operations| Action::Update { prerequisites: Vec::new(), operations, lease: None };
    site.run(&[in_catalog(4, update(listing(&site)))]);
    assert_eq!(members(&site), Ok(vec![zone_name]));
    assert!(listing(&site).is_empty());
    site.run(&[request(5, Action::Configure(Settings::default()))]);
    site.run(&[in_catalog(6, update(listing(&site)))]);
    assert_eq!((members(&site), listing(&site)), (Ok(Vec::new()), Vec::new()));
    same_after_restart(&site);
}

#[test]
fn catalogs_that_say_something_else_are_refused() {
    let head = "@ 0 SOA invalid. invalid. 1 2 3 4 5\n@ 0 NS invalid.\n";
    let members = |text: &str| {
        let mut site = Site::new();
        let names = names(&format!("{head}{text}"));
        site.run(&[
            request(1, Action::RemoveZone),
            request(2, Action::LoadZone { names, source: [1; 32] }),
        ]);
        catalog::members(zone(&site)).map(|members| members.len())
    };
    let version = "version 0 TXT 2\n";
    assert_eq!(members(&format!("{version}a.zones 0 PTR x.\nb.zones 0 PTR y.\n")), Ok(2));
    assert_eq!(
        members(&format!("{version}a.zones 0 PTR x.\ngroup.a.zones 0 TXT g\nx.y.zones 0 PTR z.\n")),
        Ok(1)
    );
    for bad in [
        "a.zones 0 PTR x.\n".to_owned(),
        "version 0 TXT 1\n".to_owned(),
        "version 0 TXT 2\nversion 0 TXT 3\n".to_owned(),
        format!("{version}a.zones 0 PTR x.\na.zones 0 PTR y.\n"),
        format!("{version}a.zones 0 PTR x.\nb.zones 0 PTR X.\n"),
    ] {
        assert!(members(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_plan_makes_the_content_what_it_should_be() {
    let mut site = Site::new();
    site.run(&[set_a(1, "old.example.", 1), set_a(2, "same.example.", 2)]);
    let text = "@ 60 SOA ns h 4294967290 2 3 4 5\n@ 60 NS ns\nsame 60 A 192.0.2.2\nnew 60 TXT x\n";
    let mut wanted = names(text);
    replace::keep_serial(zone(&site), &mut wanted);
    let plan = replace::whole(zone(&site), wanted.clone(), Overwrite::All);
    assert!(!plan.names.iter().any(|planned| planned.owner == name("same.example.")));
    let reason = ReplaceReason::Reload { source: [3; 32] };
    assert_eq!(
        outcome(&mut site, 3, Action::Replace { reason, names: plan.names }),
        Rcode::NOERROR
    );
    let live = zone(&site).names.live_count();
    assert_eq!(live, wanted.len());
    for (owner, sets) in wanted.iter().filter(|(owner, _)| *owner != name("example.")) {
        let record = zone(&site).name(owner).expect("a name");
        assert!(same_rrsets(record.rrsets(), borrowed(sets)), "{owner}");
    }
    assert!(zone(&site).rrset(&name("a.example."), RecordType::A).is_none());
}

/// Logs are folded as they come: what another site did with the zone that was made anew may come
/// before the removal of the one before it.
#[test]
fn a_late_removal_leaves_the_zone_that_was_made_anew() {
    let other = Origin { site: 2, generation: 1 };
    let mut site = Site::new();
    site.run(&[request(1, Action::RemoveZone), Request { id: RequestId([2; 32]), ..load() }]);
    site.run(&[set_a(3, "new.example.", 3)]);
    let entries = site.entries();
    let is_change = |entry: &&(u64, Entry)| matches!(entry.1.body, Body::Change(_));
    let (_, mut last) = entries.iter().rfind(is_change).expect("a change").clone();
    if let Body::Change(change) = &mut last.body {
        assert_eq!((change.incarnation, &change.cause), (2, &Cause::Update));
        change.names.iter_mut().for_each(|name| name.home = other);
    }
    let genesis = Body::Genesis { origin: other, name: "other".to_owned(), previous: None };
    let mut state = State::empty(ORIGIN);
    state.expect(other);
    let mut effects = Effects::default();
    for (_, entry) in entries.iter().take(2) {
        state.fold(ORIGIN, entry, 1, &mut effects).expect("it folds");
    }
    for entry in [Entry { time_ms: 1, body: genesis }, last] {
        state.fold(other, &entry, 1, &mut effects).expect("it folds");
    }
    for (_, entry) in entries.iter().skip(2) {
        if !matches!(&entry.body, Body::Change(change) if change.request == RequestId([3; 32])) {
            state.fold(ORIGIN, entry, 1, &mut effects).expect("it folds");
        }
    }
    let zone = state.zones.get(&name("example.")).expect("the zone that was made anew");
    assert!(zone.name(&name("new.example.")).is_some(), "what came early is still there");
    assert!(zone.soa().is_some());
    let removed = effects.steps.iter().filter(|step| step.kind == StepKind::Removed);
    assert_eq!(removed.count(), 1, "{:?}", effects.steps);
}
