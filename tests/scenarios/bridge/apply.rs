//! Plans and applies of small tables, beside devices.

use super::support::{Bridge, OPEN, TOKEN, source};
use std::path::Path;

const FIRST: &str = "\
; Version number 1
HOST : 10.0.0.1 : SRI-NIC,NIC : DEC-2060 : TOPS20 : TCP/TELNET :
HOST : 10.0.0.2 : MIT-MC : PDP-10 : ITS : :
HOST : 10.0.0.3 : UCLA : VAX : UNIX : :
";

fn has(bridge: &Bridge, line: &str) -> bool {
    bridge.records().iter().any(|record| record.replace('"', "") == line)
}

#[test]
fn a_table_is_applied_once_and_stays_beside_what_devices_say() {
    let bridge = Bridge::start(&source(OPEN));
    bridge.device("annas-iphone", [10, 9, 9, 9]);
    let first = bridge.file("HOSTS.1", FIRST);
    let (_, text) = bridge.plan(&first);
    assert!(text.contains("+ HOST SRI-NIC addresses=10.0.0.1"), "{text}");
    assert!(text.contains("not in the zone (field-not-held): protocols TCP/TELNET"), "{text}");
    assert!(!has(&bridge, "sri-nic 86400 a 10.0.0.1"), "a plan changes nothing");
    let said = bridge.apply(&first);
    assert!(said.contains("3 added"), "{said}");
    assert!(has(&bridge, "nic 86400 cname sri-nic"), "{:#?}", bridge.records());
    assert!(has(&bridge, "sri-nic 86400 hinfo dec-2060 tops20"), "{:#?}", bridge.records());
    assert!(has(&bridge, "annas-iphone 60 a 10.9.9.9"), "{:#?}", bridge.records());
    let revision = bridge.report()["revision"].clone();
    for subcommand in ["plan", "apply"] {
        let said = bridge.bridge(subcommand, &[&first]).good();
        assert!(said.contains("applied already"), "{said}");
    }
    assert_eq!(bridge.report()["revision"], revision, "the second commits nothing");
    // The same generation, and other octets.
    let other = bridge.file("HOSTS.1b", &FIRST.replace("10.0.0.3", "10.0.0.4"));
    let said = bridge.bridge("apply", &[&other]).failed(1);
    assert!(said.contains("generation 1 was applied already, with other content"), "{said}");
    // A file that is not there is an error, never an empty table.
    bridge.bridge("apply", &[Path::new("/nowhere/HOSTS.TXT")]).failed(1);
    assert_eq!(bridge.report()["revision"], revision);
}

#[test]
fn a_conflict_waits_in_the_review_queue_with_the_record_as_it_was_read() {
    let bridge = Bridge::start(&source(OPEN));
    bridge.apply(&bridge.file("HOSTS.1", FIRST));
    // A device takes a name over that the next table deletes.
    bridge.device("mit-mc", [10, 7, 7, 7]);
    let second = FIRST.replace("number 1", "number 2").replace("10.0.0.3", "10.0.0.33");
    let second: String =
        second.lines().filter(|line| !line.contains("MIT-MC")).map(|l| format!("{l}\n")).collect();
    let said = bridge.apply(&bridge.file("HOSTS.2", &second));
    assert!(said.contains("1 changed") && said.contains("1 conflicts"), "{said}");
    assert!(said.contains("conflict: HOST MIT-MC: delete-against-edit"), "{said}");
    assert!(has(&bridge, "mit-mc 60 a 10.7.7.7"), "what is served stays");
    assert!(has(&bridge, "ucla 86400 a 10.0.0.33"), "others go on");
    let listed = bridge.review(&["list"]).good();
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = bridge.review(&["show", &id]).good();
    assert!(shown.contains("conflict with source nic: delete-against-edit"), "{shown}");
    assert!(shown.contains("HOST MIT-MC is gone"), "{shown}");
    bridge.review(&["resolve", &id, "keep"]).good();
    // What was decided is not asked again.
    let third = second.replace("number 2", "number 3").replace("10.0.0.33", "10.0.0.34");
    let said = bridge.apply(&bridge.file("HOSTS.3", &third));
    assert!(said.contains("0 conflicts"), "{said}");
    assert!(has(&bridge, "mit-mc 60 a 10.7.7.7"));
    assert_eq!(bridge.review(&["list"]).good().trim(), "nothing waits");
}

#[test]
fn two_hosts_of_one_name_are_for_a_person_to_decide() {
    let bridge = Bridge::start(&source(OPEN));
    bridge.device("mit-ai", [10, 7, 7, 7]);
    let table = format!("{FIRST}HOST : 10.2.0.6 : MIT-AI : PDP-10 : ITS : :\n");
    let said = bridge.apply(&bridge.file("HOSTS.1", &table));
    assert!(said.contains("3 added") && said.contains("1 conflicts"), "{said}");
    let listed = bridge.review(&["list"]).good();
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = bridge.review(&["show", &id]).good();
    assert!(shown.contains("HOSTS.1, line 5, octet "), "{shown}");
    assert!(shown.contains("HOST MIT-AI addresses=10.2.0.6 machine=PDP-10 system=ITS"), "{shown}");
    // The record as it was read, in octets and in letters.
    assert!(shown.contains("48 4f 53 54 20 3a 20 31"), "{shown}");
    assert!(shown.contains("HOST : 10.2.0.6 "), "{shown}");
    assert!(shown.contains("has now      60 A 10.7.7.7"), "{shown}");
    bridge.review(&["resolve", &id, "take"]).good();
    assert!(has(&bridge, "mit-ai 60 a 10.2.0.6"), "{:#?}", bridge.records());
    let report = bridge.report();
    assert_eq!((&report["records"], &report["reviews"]), (&4.into(), &serde_json::json!([])));
}

#[test]
fn a_guard_holds_a_table_until_its_hash_is_confirmed() {
    let bridge = Bridge::start(&source("missing-generations = 1\n"));
    let first = bridge.file("HOSTS.1", FIRST);
    bridge.apply(&first);
    let fewer: String =
        FIRST.replace("number 1", "number 2").lines().take(2).collect::<Vec<_>>().join("\n");
    let second = bridge.file("HOSTS.2", &(fewer + "\n"));
    let said = bridge.bridge("apply", &[&second]).failed(1);
    assert!(said.contains("2 of 3 records would be deleted"), "{said}");
    let wrong = "0".repeat(64);
    bridge.bridge("apply", &[&second, "--plan".as_ref(), wrong.as_ref()]).failed(1);
    assert!(has(&bridge, "ucla 86400 a 10.0.0.3"), "nothing happened");
    let (hash, text) = bridge.plan(&second);
    assert!(text.contains("held: 2 of 3"), "{text}");
    let said = bridge.bridge("apply", &[&second, "--plan".as_ref(), hash.as_ref()]).good();
    assert!(said.contains("2 deleted"), "{said}");
    assert!(!has(&bridge, "ucla 86400 a 10.0.0.3"), "{:#?}", bridge.records());
    let empty = bridge.file("HOSTS.3", "; Version number 3\n");
    let said = bridge.bridge("apply", &[&empty]).failed(1);
    assert!(said.contains("the file has no records"), "{said}");
}

#[test]
fn a_restart_and_a_replay_of_the_ledger_know_what_was_applied() {
    let mut bridge = Bridge::start(&source(OPEN));
    bridge.apply(&bridge.file("HOSTS.1", FIRST));
    let before = (bridge.records(), bridge.report());
    bridge.kill();
    bridge.restart();
    assert_eq!((bridge.records(), bridge.report()), before);
    let second = FIRST.replace("number 1", "number 2").replace("SRI-NIC,NIC", "NIC-SRI,SRI-NIC");
    let said = bridge.apply(&bridge.file("HOSTS.2", &second));
    assert!(said.contains("1 renamed"), "{said}");
    assert!(has(&bridge, "sri-nic 86400 cname nic-sri"), "{:#?}", bridge.records());
}

#[test]
fn the_node_refuses_strangers_and_nonsense() {
    let bridge = Bridge::start(&source(OPEN));
    let base = bridge.site().ledger_url.split("/ledger/").next().unwrap_or_default().to_owned();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(agent);
    let get = |path: &str, token: &str| {
        let request = agent.get(format!("{base}/bridge/{path}"));
        let answer = request.header("Authorization", format!("Bearer {token}")).call();
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!(get("nic", TOKEN), 200);
    assert_eq!(get("nic", "another token"), 401);
    assert_eq!(get("mit", TOKEN), 404);
    let post = |path: &str, body: &[u8]| {
        let request = agent.post(format!("{base}/bridge/nic/{path}"));
        let answer = request.header("Authorization", format!("Bearer {TOKEN}")).send(body);
        answer.expect("an answer").status().as_u16()
    };
    for path in ["apply", "freeze"] {
        for body in [&b""[..], b"\x01", b"\x02\0\0\0\0", &[1; 90]] {
            assert_eq!(post(path, body), 400, "{path} {body:?}");
        }
    }
    // A table that is refused as a whole, or of which an entry makes no sense.
    let before = bridge.records();
    let odd = "HOST : 10.0.0.1 : A ::::\nHOST : 1.2.3.999 : B ::::\n\u{0}\n";
    let said = bridge.apply(&bridge.file("HOSTS.1", odd));
    assert!(said.contains("1 added") && said.contains("1 quarantined"), "{said}");
    assert!(said.contains("quarantined: line 2: an address part above 255"), "{said}");
    assert_eq!(bridge.records().len(), before.len() + 1);
}
