//! What zones may ask for, with several sites: reverse records in one change with their addresses,
//! and a queue for contested names that any site shows and decides on.

use crate::sites::support::{
    ANSWER_TIME_MAX, BERLIN, FRANKFURT, INSIST_PAUSE, MUENCHEN, fleet, send, value,
};
use einhorn_core::rules::reverse::reverse_name;
use einhorn_harness::{
    Client, Fleet, Reply, SignedRequest, address, await_that, key, now_seconds, record,
    update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::{Algorithm, Key};
use einhorn_wire::{Class, Name, RecordType};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PHONES: &str = "phones.example.";
const PHONE: &str = "anna.phones.example.";
/// The addresses are 10.0.0.0/8.
const REVERSE: &str = "10.in-addr.arpa.";
/// Changes of the phone's address, spread over the sites.
const CHANGES: u32 = 60;

fn add_zone(fleet: &Fleet, zone: &str, more: &[&str]) {
    let file = fleet.folder().join(format!("{zone}zone"));
    let text = "@ 300 SOA ns.example. h.example. 1 3600 600 86400 60\n@ 300 NS ns.example.\n";
    std::fs::write(&file, text).expect("a zone file");
    let file = file.to_str().expect("a path");
    let arguments = [&["zone", "add", zone, "--file", file], more].concat();
    fleet.operate(BERLIN, &arguments).good();
    for site in fleet.running() {
        await_that(&format!("{zone} at {}", fleet.name(site)), || {
            let reply = Client::new(fleet.dns(site)).query(zone, RecordType::SOA);
            if reply.rcode == Rcode::NOERROR { Ok(()) } else { Err(format!("{}", reply.rcode)) }
        });
    }
}

fn of_number(number: u32) -> [u8; 4] {
    (0x0a00_0000 + number).to_be_bytes()
}

/// A signed update that gives `owner` this address.
fn set(zone: &str, owner: &str, number: u32, key: &Arc<Key>) -> Vec<u8> {
    let id = value() as u16;
    let removal = record(owner, RecordType::A, Class::ANY, 0, &[]);
    let updates = [removal, address(owner, of_number(number))];
    let octets = update_message(id, zone, &[], &updates, None);
    SignedRequest::new(octets, key, now_seconds()).octets
}

fn address_of(server: SocketAddr) -> Option<[u8; 4]> {
    let reply = Client::new(server).query(PHONE, RecordType::A);
    reply.answers.first().and_then(|record| record.rdata[..].try_into().ok())
}

fn has_pointer(server: SocketAddr, octets: [u8; 4]) -> bool {
    let reverse = reverse_name(&octets).expect("a name").to_string();
    let phone: Name = PHONE.parse().expect("a name");
    let reply = Client::new(server).query(&reverse, RecordType::PTR);
    reply.answers.iter().any(|record| *record.rdata == *phone.as_wire())
}

/// Looks until the end whether the phone's address and its PTR record go together; gives how many
/// addresses it saw.
fn watch(server: SocketAddr, is_over: &AtomicBool) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    while !is_over.load(Ordering::Relaxed) {
        let Some(before) = address_of(server) else { continue };
        let is_there = has_pointer(server, before);
        // No address comes twice: if it is the same still, it was the same when that was asked.
        if address_of(server) == Some(before) {
            assert!(is_there, "{server} has {PHONE} A {before:?} without its PTR record");
            if let Some(last) = seen.last().filter(|last| **last != before) {
                assert!(!has_pointer(server, *last), "{server} still has the PTR of {last:?}");
            }
            seen.insert(before);
        }
    }
    seen.len()
}

#[test]
fn addresses_and_their_ptr_records_go_together_at_every_site() {
    let fleet = fleet("local");
    add_zone(&fleet, REVERSE, &[]);
    add_zone(&fleet, PHONES, &["--reverse", "auto"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let watchers: Vec<_> = (0..fleet.count())
            .map(|site| {
                let server = fleet.dns(site);
                scope.spawn(move || watch(server, is_over))
            })
            .collect();
        for number in 1..=CHANGES {
            let server = fleet.dns(number as usize / 3 % fleet.count());
            let update = set(PHONES, PHONE, number, &key());
            await_that("a change of an address", || match send(server, &update) {
                Some(Rcode::NOERROR) => Ok(()),
                other => {
                    std::thread::park_timeout(INSIST_PAUSE);
                    Err(format!("{other:?}"))
                }
            });
        }
        for site in 0..fleet.count() {
            await_that("the last address", || {
                let found = address_of(fleet.dns(site));
                if found == Some(of_number(CHANGES)) { Ok(()) } else { Err(format!("{found:?}")) }
            });
        }
        is_over.store(true, Ordering::Relaxed);
        let seen: Vec<usize> =
            watchers.into_iter().map(|watcher| watcher.join().expect("a watcher")).collect();
        assert!(seen.iter().all(|seen| *seen > 1), "too little seen: {seen:?}");
    });
    for site in 0..fleet.count() {
        let left: Vec<u32> = (1..CHANGES)
            .filter(|number| has_pointer(fleet.dns(site), of_number(*number)))
            .collect();
        assert!(left.is_empty(), "PTR records of old addresses at {site}: {left:?}");
        assert!(has_pointer(fleet.dns(site), of_number(CHANGES)));
    }
    let is_transaction = |line: &str| line.contains("committed, since all agreed");
    fleet.settle();
    await_that("a change with several homes in the ledger", || {
        let ran = fleet.operate(BERLIN, &["ledger", "history", PHONE]);
        let is_told = ran.stdout.lines().any(is_transaction);
        if is_told { Ok(()) } else { Err(ran.stdout) }
    });
    fleet.check_end();
}

const TOKEN: &str = "a-token-for-operators";

/// Gives Frankfurt a token for operators, and says where it is asked.
fn let_operators_in(fleet: &mut Fleet) -> String {
    std::fs::write(fleet.data(FRANKFURT).join("operator.token"), TOKEN).expect("a token file");
    let config = fleet.config(FRANKFURT);
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let with_token = format!("operator-token-file = \"operator.token\"\n{text}");
    std::fs::write(&config, with_token).expect("the configuration");
    fleet.stop(FRANKFURT);
    fleet.start(FRANKFURT);
    fleet.settle();
    let http = text.lines().find_map(|line| line.strip_prefix("http = \""));
    http.expect("an address for HTTP").trim_end_matches('"').to_owned()
}

/// The same queue by HTTP, for who has the token.
fn over_http(fleet: &Fleet, http: &str) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    let get = |path: &str, token: &str| {
        let request = agent.get(format!("http://{http}/{path}"));
        let mut answer =
            request.header("Authorization", format!("Bearer {token}")).call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    };
    assert_eq!(get("reviews", "another token").0, 401);
    let (status, text) = get("reviews", TOKEN);
    assert_eq!(status, 200, "{text}");
    let listed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let id = listed["reviews"][0]["id"].as_str().expect("an id");
    let ran = fleet.operate(FRANKFURT, &["review", "list"]).good();
    assert!(ran.starts_with(id), "{ran} and {text}");
    assert_eq!(get(&format!("reviews/{id}"), TOKEN).0, 200);
    assert_eq!(get("reviews/9:9", TOKEN).0, 404);
}

#[test]
fn contested_changes_wait_at_every_site_for_a_person() {
    let mut fleet = fleet("local");
    let http = let_operators_in(&mut fleet);
    let other = Key::new("other.".parse().expect("a name"), Algorithm::HmacSha256, &[7; 32]);
    let other = Arc::new(other.expect("a key"));
    for site in 0..fleet.count() {
        let config = fleet.config(site);
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let more = format!(
            "\n[[key]]\nname = \"other.\"\nsecret = \"{}\"\n\n[[grant]]\nkey = \"other.\"\nzone = \"*\"\nnames = [\"*\"]\n",
            other.secret_base64()
        );
        std::fs::write(config, text + &more).expect("the configuration");
        fleet.operate(site, &["reload"]).good();
    }
    add_zone(&fleet, PHONES, &["--contested", "review"]);
    let changed = |site: usize, number: u32, key: &Arc<Key>| {
        let update = set(PHONES, PHONE, number, key);
        let answer = Client::new(fleet.dns(site)).udp_within(&update, ANSWER_TIME_MAX);
        Reply::parse(answer.expect("an answer")).rcode
    };
    assert_eq!(changed(FRANKFURT, 1, &key()), Rcode::NOERROR);
    // Sent to a site that is not the name's home.
    assert_eq!(changed(MUENCHEN, 2, &other), Rcode::REFUSED);
    for site in 0..fleet.count() {
        let line = await_that("the queue at every site", || {
            let ran = fleet.operate(site, &["review", "list", "--json"]);
            match ran.stdout.lines().next() {
                Some(line) if ran.code == Some(0) => Ok(line.to_owned()),
                _ => Err(format!("{ran:?}")),
            }
        });
        let review: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(review["who"], "key other.");
        assert_eq!(review["names"][0]["current"][0], "60 A 10.0.0.1", "{line}");
        assert_eq!(review["names"][0]["proposed"][0], "60 A 10.0.0.2", "{line}");
        assert_eq!(address_of(fleet.dns(site)), Some(of_number(1)), "the old value is served");
    }
    over_http(&fleet, &http);
    let listed = fleet.operate(BERLIN, &["review", "list"]).good();
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = fleet.operate(MUENCHEN, &["review", "show", &id]).good();
    assert!(shown.contains("`take` leaves 60 A 10.0.0.2"), "{shown}");
    let wrong = fleet.operate(BERLIN, &["review", "resolve", &id, "neither"]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("keep, take or both"), "{wrong:?}");
    fleet.operate(BERLIN, &["review", "resolve", &id, "take"]).good();
    for site in 0..fleet.count() {
        await_that("the decision at every site", || {
            let (found, queue) =
                (address_of(fleet.dns(site)), fleet.operate(site, &["review", "list"]).good());
            let is_over = found == Some(of_number(2)) && queue.trim() == "nothing waits";
            if is_over { Ok(()) } else { Err(format!("{found:?}, {queue}")) }
        });
    }
    let again = fleet.operate(BERLIN, &["review", "resolve", &id, "keep"]);
    assert!(again.code == Some(1) && again.stderr.contains("is open"), "{again:?}");
    fleet.check_end();
}
