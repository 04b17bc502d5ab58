//! `einhorn ledger` beside a running node, over HTTP, and on what a stopped one leaves.

mod complete;
mod damage;
mod proof;
mod rollback;

use einhorn_harness::{
    Client, KEY, Ran, SignedRequest, Site, Start, ZONE, address, key, now_seconds, record, run,
    scratch, update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");
const ANNA: &str = "anna.fleet.example.";

/// A site and its folder.
struct Running {
    folder: TempDir,
    site: Site,
}

impl Running {
    fn start() -> Running {
        let folder = scratch();
        let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
        Running { folder, site }
    }

    fn set(&self, name: &str, last: u8) {
        let rcode = self.site.client().set_address(&key(), ZONE, name, [192, 0, 2, last]);
        assert_eq!(rcode, Rcode::NOERROR);
    }

    fn remove(&self, name: &str) {
        let gone = record(name, RecordType::ANY, Class::ANY, 0, &[]);
        let message = update_message(3, ZONE, &[], &[gone], Some(&key()));
        let answer = self.site.client().udp(&message).expect("an answer");
        assert_eq!(answer[3] & 15, 0);
    }

    fn address(&self, name: &str) -> Option<u8> {
        let reply = self.site.client().query(name, RecordType::A);
        reply.answers.first().map(|record| record.rdata[3])
    }

    fn vkey(&self) -> String {
        vkey(&self.site.data)
    }

    /// `einhorn ledger ARGUMENTS --data DATA`.
    fn ledger(&self, arguments: &[&str]) -> Ran {
        ledger(&self.site.data, arguments)
    }

    /// `einhorn ledger ARGUMENTS --url URL --vkey KEY`.
    fn ledger_by_url(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(EINHORN);
        command.arg("ledger").args(arguments);
        run(command.args(["--url", &self.site.ledger_url, "--vkey", &self.vkey()]))
    }

    /// The changes of a name as JSON, once the checkpoint covers `count` of them: sealing may
    /// come a moment after the acknowledgement.
    fn history(&self, name: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let ran = self.ledger(&["history", name, "--json"]);
            // Before the first checkpoint there is nothing to read.
            if !ran.stderr.contains("checkpoint: missing") {
                let text = ran.good();
                let lines: Vec<Value> = text.lines().map(json).collect();
                if lines.len() >= count {
                    assert_eq!(lines.len(), count, "{text}");
                    return lines;
                }
            }
            assert!(Instant::now() < deadline, "{count} changes of {name} are not sealed in time");
        }
    }
}

fn ledger(data: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(EINHORN);
    run(command.arg("ledger").args(arguments).arg("--data").arg(data))
}

fn vkey(data: &Path) -> String {
    let text = fs::read_to_string(data.join("ledger.vkey")).expect("the public key");
    text.trim().to_owned()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// Three hundred names in one go, so that the log has more than one full tile.
fn fill(client: &Client) {
    let add = |i: u16| {
        let updates = [address(&format!("n{i}.fleet.example."), [10, 0, (i >> 8) as u8, i as u8])];
        let message = update_message(i, ZONE, &[], &updates, None);
        SignedRequest::new(message, &key(), now_seconds()).octets
    };
    let answers = client.tcp(&(0..300).map(add).collect::<Vec<_>>()).expect("answers");
    assert!(answers.iter().all(|answer| answer[3] & 15 == 0));
}

#[test]
fn a_sound_ledger_is_verified_from_its_folder_and_over_http() {
    let running = Running::start();
    fill(&running.site.client());
    running.set(ANNA, 7);
    running.history(ANNA, 1);
    for replay in [&["verify"][..], &["verify", "--replay"]] {
        for ran in [running.ledger(replay), running.ledger_by_url(replay)] {
            let text = ran.good();
            assert!(text.starts_with("einhorn/site is sound: 30"), "{text}");
        }
    }
    // Whoever checks with another key does not trust this log.
    let other = Running::start();
    let mut command = Command::new(EINHORN);
    command.args(["ledger", "verify", "--url", &running.site.ledger_url, "--vkey", &other.vkey()]);
    assert!(run(&mut command).failed(1).contains("checkpoint"));
    // Stopped, it is sound to the last entry.
    let data = running.site.data.clone();
    assert_eq!(running.site.stop(), Some(0));
    assert!(ledger(&data, &["verify", "--replay"]).good().contains("is sound"));
    drop(running.folder);
}

/// Whoever is told that the node is ready, and where its ledger is, can verify it.
#[test]
fn a_new_node_that_is_ready_has_a_ledger() {
    let running = Running::start();
    let text = running.ledger_by_url(&["verify", "--replay"]).good();
    assert!(text.starts_with("einhorn/site is sound: 3 entries"), "{text}");
}

#[test]
fn what_cannot_be_reached_is_3_and_what_was_not_said_is_2() {
    let folder = scratch();
    let gone = folder.path().join("gone");
    let key = "einhorn/site+e051b5f1+AV7Z9edYgL2athlS/oAVb7nLkDk1IgTAn46nh6Vc4nuj";
    // A port that was free a moment ago, on which nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("http://{}/ledger/site/", listener.local_addr().expect("an address"));
    drop(listener);
    for arguments in [
        &["verify"][..],
        &["history", ANNA],
        &["show", "1"],
        &["proof", "1", "--output", "/dev/null"],
        &["export"],
    ] {
        let mut command = Command::new(EINHORN);
        command.arg("ledger").args(arguments).args(["--url", &url, "--vkey", key]);
        let said = run(&mut command).failed(3);
        assert!(said.contains(&url), "{arguments:?}: {said}");
        let said = ledger(&gone, arguments).failed(3);
        assert!(said.contains("there is no ledger in"), "{arguments:?}: {said}");

        let mut command = Command::new(EINHORN);
        let said = run(command.arg("ledger").args(arguments)).failed(2);
        assert!(said.contains("--data DIR, or --url URL"), "{arguments:?}: {said}");
        let mut command = Command::new(EINHORN);
        let said = run(command.arg("ledger").args(arguments).args(["--url", &url])).failed(2);
        assert!(said.contains("needs --vkey"), "{arguments:?}: {said}");
        let mut command = Command::new(EINHORN);
        command.arg("ledger").args(arguments).args(["--url", &url, "--vkey", "nonsense"]);
        assert!(run(&mut command).failed(2).contains("--vkey"), "{arguments:?}");
    }
    let said = ledger(&gone, &["rollback", "--zone", ZONE, "--to", "1"]).failed(3);
    assert!(said.contains("no node answers in"), "{said}");
}

#[test]
fn history_has_all_changes_of_a_name_in_order() {
    let running = Running::start();
    for last in [1, 2, 3] {
        running.set(ANNA, last);
        running.set("ben.fleet.example.", last);
    }
    running.remove(ANNA);
    running.set(ANNA, 4);
    let lines = running.history(ANNA, 5);
    let after = |value: &Value| value["names"][0]["after"].to_string();
    let wanted = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "[]", "192.0.2.4"];
    for (place, (line, wanted)) in lines.iter().zip(wanted).enumerate() {
        assert!(after(line).contains(wanted), "{place}: {line}");
        assert_eq!(line["names"][0]["sequence"], place as u64 + 1);
        assert_eq!(line["names"][0]["owner"], ANNA);
        assert_eq!(line["names"].as_array().map(Vec::len), Some(1), "only this name");
        assert!(line["who"].as_str().is_some_and(|who| who.contains("phone.")), "{line}");
        if place > 0 {
            let previous = &line["names"][0]["previous"]["index"];
            assert_eq!(*previous, lines[place - 1]["index"], "the chain");
            assert_eq!(line["names"][0]["before"], lines[place - 1]["names"][0]["after"]);
        }
    }
    let text = running.ledger(&["history", "Anna.FLEET.example"]).good();
    let places: Vec<_> = (1..=5).map(|n| text.find(&format!("(change {n} of this name"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert!(text.contains("5 changes of Anna.FLEET.example., numbered without a gap"), "{text}");
    assert_eq!(
        running.ledger_by_url(&["history", ANNA]).good().lines().count(),
        text.lines().count()
    );
    // One that was there from the start, by the zone file.
    let host = running.history("host.fleet.example.", 1);
    assert!(host[0]["cause"].as_str().is_some_and(|cause| cause.starts_with("zone load")));
    let nobody = running.ledger(&["history", "nobody.fleet.example."]).good();
    assert!(nobody.starts_with("0 changes of nobody.fleet.example."), "{nobody}");
    assert!(running.ledger(&["history", "a..b"]).failed(2).contains("a..b"));
}

#[test]
fn show_says_who_changed_what_and_from_where() {
    let running = Running::start();
    running.set(ANNA, 1);
    running.set(ANNA, 2);
    let index = running.history(ANNA, 2)[1]["index"].to_string();
    let text = running.ledger(&["show", &index]).good();
    for part in [
        &format!("entry {index}, ")[..],
        "zone fleet.example.: update by key phone.",
        "- 60 A 192.0.2.1",
        "+ 60 A 192.0.2.2",
        "advised",
        "client udp 127.0.0.1:",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let value = json(running.ledger(&["show", &index, "--json"]).good().trim_end());
    assert_eq!(value["kind"], "change");
    assert_eq!(value["names"][0]["owner"], ANNA);
    assert_eq!(value["index"].to_string(), index);
    // The client's address stays on the node; auditors see the commitment alone.
    let remote = running.ledger_by_url(&["show", &index]).good();
    assert!(!remote.contains("127.0.0.1"), "{remote}");
    let genesis = json(running.ledger(&["show", "0", "--json"]).good().trim_end());
    assert_eq!((&genesis["kind"], &genesis["name"]), (&"genesis".into(), &"einhorn/site".into()));
    let said = running.ledger(&["show", "4711"]).failed(1);
    assert!(said.contains("there is no entry 4711: the ledger has"), "{said}");
}

#[test]
fn export_is_one_json_object_a_line() {
    let running = Running::start();
    fill(&running.site.client());
    running.set(ANNA, 7);
    running.history(ANNA, 1);
    let text = running.ledger(&["export"]).good();
    let lines: Vec<Value> = text.lines().map(json).collect();
    assert_eq!(lines[0]["kind"], "genesis");
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], place as u64, "every entry, in order");
        assert!(
            ["genesis", "change", "publication"].contains(&line["kind"].as_str().unwrap_or(""))
        );
    }
    assert!(lines.len() > 301, "{}", lines.len());
    assert_eq!(running.ledger_by_url(&["export"]).good(), text);
    let some = running.ledger(&["export", "--from", "5", "--to", "9"]).good();
    let wanted: Vec<&str> = text.lines().skip(5).take(4).collect();
    assert_eq!(some.lines().collect::<Vec<_>>(), wanted);
    assert!(KEY.split(':').nth(2).is_some_and(|secret| !text.contains(secret)), "no secrets");
}
