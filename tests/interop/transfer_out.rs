//! Einhorn as primary: BIND and Knot follow it, and dig and kdig read its differences.

use crate::neighbours::{await_same, dig_at, einhorn, operate, serial, update};
use crate::support::kdig;
use einhorn_harness::{KEY, Kind, Server, ZONE, ZONE_FILE, await_that, free_address, scratch};
use std::net::SocketAddr;

/// A configuration that follows the usual zone from `primary`.
fn secondary(kind: Kind, primary: SocketAddr, has_key: bool) -> String {
    let port = primary.port();
    match kind {
        Kind::Bind => {
            let key = if has_key { "key phone." } else { "" };
            format!(
                "options {{ $OPTIONS allow-transfer {{ any; }}; }};\nzone \"{ZONE}\" {{ type secondary; file \"fleet.db\"; masterfile-format text; primaries {{ 127.0.0.1 port {port} {key}; }}; }};\n"
            )
        }
        Kind::Knot => {
            let key = if has_key { "    key: phone.\n" } else { "" };
            format!(
                "remote:\n  - id: e\n    address: 127.0.0.1@{port}\n{key}acl:\n  - id: n\n    address: 127.0.0.1\n{key}    action: [notify, transfer]\n  - id: t\n    key: phone.\n    action: transfer\nzone:\n  - domain: {ZONE}\n    storage: \"$FOLDER\"\n    master: e\n    acl: [n, t]\n"
            )
        }
    }
}

fn followed_by(kind: Kind, has_key: bool) {
    let folder = scratch();
    let (ours, theirs) = (free_address(), free_address());
    std::fs::create_dir(folder.path().join("e")).expect("a folder");
    std::fs::write(folder.path().join("e/fleet.zone"), ZONE_FILE).expect("a zone file");
    let Some(mut peer) = Server::new(kind, folder.path(), theirs, &secondary(kind, ours, has_key))
    else {
        return;
    };
    let (key, range) =
        if has_key { (" key phone.", "") } else { ("", "transfer-to = [\"127.0.0.0/8\"]") };
    let config = format!(
        "[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\nnotify = [\"{theirs}{key}\"]\n{range}\n"
    );
    let site = einhorn(&folder.path().join("e"), ours, &config);
    peer.start();
    await_same(ZONE, ours, theirs);
    update(ours, ZONE, 1, 200);
    await_same(ZONE, ours, theirs);
    let incremental = peer.incremental_transfers();
    assert!(incremental > 0, "{}", peer.log());
    // While they are away something changes.
    peer.stop();
    update(ours, ZONE, 2, 3);
    peer.start();
    await_same(ZONE, ours, theirs);
    assert_eq!(site.stop(), Some(0));
    let site = einhorn(&folder.path().join("e"), ours, &config);
    update(ours, ZONE, 3, 7);
    await_same(ZONE, ours, theirs);
    assert!(peer.incremental_transfers() > incremental, "{}", peer.log());
    // By hand, it is told once more.
    let said = operate(&site, &["zone", "notify", ZONE]);
    assert!(said.starts_with("telling 1 servers of serial"), "{said}");
}

#[test]
fn bind_follows_with_a_key() {
    followed_by(Kind::Bind, true);
}

#[test]
fn bind_follows_by_its_address() {
    followed_by(Kind::Bind, false);
}

#[test]
fn knot_follows_with_a_key() {
    followed_by(Kind::Knot, true);
}

#[test]
fn knot_follows_by_its_address() {
    followed_by(Kind::Knot, false);
}

#[test]
fn dig_and_kdig_read_differences() {
    let (_folder, site) = crate::support::site();
    let first = serial(site.dns, ZONE).expect("a serial");
    update(site.dns, ZONE, 4, 3);
    let question = format!("IXFR={first}");
    let text = dig_at(site.dns, &["-y", KEY, ZONE, &question]);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with(';') && !line.is_empty()).collect();
    // Three names are new: four SOAs and three records; and the signature, which dig prints too.
    assert_eq!(lines.len(), 8, "{text}");
    assert_eq!(lines.iter().filter(|line| line.contains("SOA")).count(), 4, "{text}");
    if let Some(text) = kdig(&site, &["-y", KEY, ZONE, &question]) {
        assert!(
            text.contains("n2.fleet.example.") && !text.contains("ns.fleet.example.\t"),
            "{text}"
        );
        assert!(!text.contains(";; ERROR") && !text.contains("WARNING"), "{text}");
    }
    // What is up to date gets one SOA.
    let now = serial(site.dns, ZONE).expect("a serial");
    let text = dig_at(site.dns, &["+noall", "+answer", "-y", KEY, ZONE, &format!("IXFR={now}")]);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_difference_larger_than_the_zone_is_the_zone() {
    let (_folder, site) = crate::support::site();
    let first = serial(site.dns, ZONE).expect("a serial");
    update(site.dns, ZONE, 5, 60);
    let question = format!("IXFR={first}");
    // 50 names are new, and the zone has some ten more: the difference is the smaller one.
    let text = dig_at(site.dns, &["-y", KEY, ZONE, &question]);
    assert!(!text.contains("hello"), "{text}");
    let lines: String = (0..50).map(|i| format!("update delete n{i}.fleet.example.\n")).collect();
    let tool = crate::support::Tool::Nsupdate;
    let Some(updated) = tool.update(&site, KEY, &lines) else { return };
    assert_eq!(updated.outcome(), "NOERROR", "{}", updated.text);
    let full = await_that("all names", || serial(site.dns, ZONE)) - 1;
    let text = dig_at(site.dns, &["-y", KEY, ZONE, &format!("IXFR={full}")]);
    assert!(text.contains("hello"), "fifty deletions are more than the ten records left: {text}");
}
