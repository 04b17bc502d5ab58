//! All changes of a name with the proof that none is missing: made from ledgers, checked alone.

use super::{ANNA, EINHORN, Running, fill};
use einhorn_core::agent::{Advice, Path as Decision, Reason};
use einhorn_core::ledger::map::{Leaf, MapKey, RootBuilder, Touch};
use einhorn_core::ledger::{Algorithm, SignerKey};
use einhorn_core::model::entry::{Body, Cause, Change, Entry, NameChange};
use einhorn_core::model::request::{Commitment, Identity, RequestId};
use einhorn_core::model::{Origin, Position, RrSet};
use einhorn_harness::{Ran, ZONE, run, scratch};
use einhorn_store::ledger::{OsFiles, Sealer};
use einhorn_wire::{Name, RecordType};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn einhorn(arguments: &[&str]) -> Ran {
    let mut command = Command::new(EINHORN);
    run(command.arg("ledger").args(arguments))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_name_is_complete_from_a_folder_and_over_http() {
    let running = Running::start();
    fill(&running.site.client());
    running.set(ANNA, 7);
    running.set(ANNA, 8);
    running.history(ANNA, 2);
    let (folder, vkey) = (running.folder.path(), running.vkey());
    let (one, two) = (folder.join("one.einhorn-history"), folder.join("two"));
    let (data, url) = (text(&running.site.data), &running.site.ledger_url);
    let make = |name: &str, from: &str, output: &Path, more: &[&str]| {
        let output = ["--output", text(output)];
        let given = [&["complete", name, "--zone", ZONE, "--from", from][..], &output, more];
        einhorn(&given.concat())
    };
    let said = make(ANNA, data, &one, &[]).good();
    assert!(said.contains("these are all 2 changes"), "{said}");
    make(ANNA, url, &two, &["--key", &vkey]).good();
    let nobody = folder.join("nobody");
    make("nobody.fleet.example.", data, &nobody, &[]).good();
    assert!(make(ANNA, url, &two, &[]).failed(2).contains("--key"));
    assert!(make("a.elsewhere.", data, &two, &[]).failed(2).contains("not in the zone"));
    assert!(make(ANNA, "/nonexistent", &two, &[]).failed(3).contains("/nonexistent"));
    running.site.kill();

    for file in [&one, &two] {
        let said = einhorn(&["check-complete", text(file), "--key", &vkey]).good();
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[0].starts_with("1. On 20") && lines[1].contains("+ 60 A 192.0.2.7"),
            "{said}"
        );
        assert!(said.contains("- 60 A 192.0.2.7\n     + 60 A 192.0.2.8"), "{said}");
        assert!(said.contains("proved: these are all 2 changes of anna.fleet.example."), "{said}");
        assert!(said.contains("all that it had signed"), "{said}");
    }
    let said = einhorn(&["check-complete", text(&nobody), "--key", &vkey]).good();
    assert!(said.starts_with("proved: nobody.fleet.example. of zone"), "{said}");
    let other = Running::start().vkey();
    let said = einhorn(&["check-complete", text(&one), "--key", &other]).failed(1);
    assert!(said.contains("not proven"), "{said}");
    assert!(
        einhorn(&["check-complete", "/nonexistent", "--key", &vkey]).failed(3).contains("/non")
    );
    assert!(einhorn(&["check-complete", text(&one), "--key", "x"]).failed(2).contains("--key"));
    // Without its last line, the newest entry of the log.
    let whole = fs::read_to_string(&one).expect("the history");
    let cut = whole.trim_end().rfind('\n').expect("lines");
    fs::write(&one, &whole[..=cut]).expect("written");
    let said = einhorn(&["check-complete", text(&one), "--key", &vkey]).failed(1);
    assert!(said.contains("not proven"), "{said}");
}

// ---------------------------------------------------------------------------------------------
// Two sites, from entries made here

const ZONE_NAME: &str = "example.";
const PHONE: &str = "phone.example.";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn position(site: u16, index: u64) -> Position {
    Position { origin: Origin { site, generation: 1 }, index }
}

fn change(site: u16, home: u16, sequence: u64, previous: Option<Position>) -> Body {
    let after = RrSet::new(RecordType::A, 60, [&[192, 0, 2, sequence as u8][..]]);
    let names = vec![NameChange {
        owner: name(PHONE),
        home: Origin { site: home, generation: 1 },
        epoch: 1,
        version: sequence,
        sequence,
        previous,
        before: vec![(RecordType::A, None)],
        after: after.into_iter().collect(),
        leases: Vec::new(),
    }];
    Body::Change(Change {
        zone: name(ZONE_NAME),
        incarnation: 1,
        request: RequestId([7; 32]),
        remember_until_seconds: 9,
        who: Identity::Operator,
        entered_site: site,
        audit_commitment: Commitment([8; 32]),
        decision: None,
        stands_for: Vec::new(),
        advice: Advice { path: Decision::Fast, reason: Reason::NoHazard, model: *b"rules-v1" },
        path: Decision::Fast,
        cause: Cause::Update,
        names,
    })
}

/// The map root of a log whose only name is the phone's.
fn map_root(at: u64, last: u64, sequence: u64, count: u64) -> Body {
    let key = MapKey::of_name(&name(ZONE_NAME), &name(PHONE));
    let leaf = Leaf { count, ..Leaf::touched(None, &Touch { key, index: last, sequence }) };
    let mut builder = RootBuilder::default();
    assert!(builder.push(key, leaf.hash(), |_, _| {}));
    builder.root(at).body()
}

/// A folder of ledger files with these entries; gives its key.
fn seal(folder: &Path, site: u16, bodies: Vec<Body>) -> String {
    let log = format!("site{site}/log");
    let seed = [site as u8; 32];
    let signer = SignerKey::from_seed(&log, Algorithm::Ed25519, &seed).expect("a key");
    let origin = Origin { site, generation: 1 };
    let genesis = Body::Genesis { origin, name: log, previous: None };
    let mut stored = Vec::new();
    for (second, body) in (1..).zip([genesis].into_iter().chain(bodies)) {
        let entry = Entry { time_ms: second * 1000 + u64::from(site), body };
        entry.encode(&mut Vec::new(), |part| stored.push(part.to_vec()));
    }
    let files = Arc::new(OsFiles::open(folder).expect("a folder"));
    let vkey = signer.verifier().to_string();
    Sealer::open(files, signer).expect("open").seal(0, &stored).expect("sealed");
    vkey
}

/// A phone's name that begins at site 1 and moves to site 2; each log has a map root.
fn moved(folder: &Path) -> [String; 2] {
    let one =
        vec![change(1, 1, 1, None), change(1, 2, 2, Some(position(1, 1))), map_root(3, 2, 2, 2)];
    let two = vec![
        change(2, 2, 3, Some(position(1, 2))),
        map_root(2, 1, 3, 1),
        change(2, 2, 4, Some(position(2, 1))),
    ];
    [seal(&folder.join("one"), 1, one), seal(&folder.join("two"), 2, two)]
}

#[test]
fn a_name_that_moved_is_complete_with_both_ledgers() {
    let folder = scratch();
    let [key_one, key_two] = moved(folder.path());
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let output = folder.path().join("phone.einhorn-history");
    let make = ["complete", PHONE, "--zone", ZONE_NAME, "--output", text(&output)];
    let keys = ["--key", &key_one, "--key", &key_two];
    let both = ["--from", text(&one), "--from", text(&two)];
    einhorn(&[&make[..], &both, &keys].concat()).good();
    let check = [&["check-complete", text(&output)][..], &keys].concat();
    let said = einhorn(&check).good();
    assert!(said.contains("; moved to site 2 (entry 2 of site 1, change 2 of the name)"), "{said}");
    assert!(said.contains("proved: these are all 4 changes of phone.example."), "{said}");
    assert!(said.contains("site2/log (site 2), its first 4 entries: all that it had signed; by its map of the first 2"), "{said}");
    // With one of them: either it is known that something follows, or that something came before.
    let said = einhorn(&[&make[..], &both[..2], &keys].concat()).good();
    assert!(said.contains("not covered: the name moved to site 2"), "{said}");
    let said = einhorn(&[&make[..], &both[2..], &keys].concat()).failed(1);
    assert!(said.contains("entry 1 of site 2 follows entry 2 of site 1"), "{said}");
    assert!(said.contains("--from"), "{said}");
}

#[test]
fn a_map_root_is_recomputed_when_a_ledger_is_verified() {
    let folder = scratch();
    let data = |log: &str| folder.path().join(log);
    let verify =
        |data: &Path, vkey: &str| einhorn(&["verify", "--data", text(data), "--vkey", vkey]);
    let right = vec![change(1, 1, 1, None), map_root(2, 1, 1, 1)];
    let vkey = seal(&data("right").join("ledger"), 1, right);
    let wrong = vec![change(1, 1, 1, None), map_root(2, 1, 1, 7)];
    seal(&data("wrong").join("ledger"), 1, wrong);
    let said = verify(&data("wrong"), &vkey).failed(1);
    assert!(said.contains("entry 2: the map of the first 2 entries"), "{said}");
    // The data folder has no engine, which is another finding, and the only one.
    let said = verify(&data("right"), &vkey).failed(1);
    assert!(!said.contains("map"), "{said}");
}
