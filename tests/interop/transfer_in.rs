//! Einhorn as secondary: it follows BIND, Knot and itself.

use crate::neighbours::{await_same, dig_at, einhorn, operate, serial, update};
use einhorn_harness::{
    Client, Kind, Server, Site, ZONE, ZONE_FILE, await_that, free_address, key, scratch,
};
use std::net::SocketAddr;

/// A configuration that serves the usual zone and tells `secondary`.
fn primary(kind: Kind, secondary: SocketAddr) -> String {
    let port = secondary.port();
    match kind {
        Kind::Bind => format!(
            "options {{ $OPTIONS notify explicit; allow-transfer {{ key phone.; }}; }};\nzone \"{ZONE}\" {{ type primary; file \"fleet.zone\"; allow-update {{ key phone.; }}; also-notify {{ 127.0.0.1 port {port} key phone.; }}; }};\n"
        ),
        Kind::Knot => format!(
            "remote:\n  - id: e\n    address: 127.0.0.1@{port}\n    key: phone.\nacl:\n  - id: k\n    key: phone.\n    action: [update, transfer]\nzone:\n  - domain: {ZONE}\n    storage: \"$FOLDER\"\n    file: fleet.zone\n    zonefile-sync: -1\n    journal-content: all\n    zonefile-load: difference-no-serial\n    notify: e\n    acl: k\n"
        ),
    }
}

fn follower(primary: SocketAddr) -> String {
    format!("[[zone]]\nname = \"{ZONE}\"\nprimary = [\"{primary} key phone.\"]\n")
}

fn follows(kind: Kind) {
    let folder = scratch();
    let (ours, theirs) = (free_address(), free_address());
    let Some(mut peer) = Server::new(kind, folder.path(), theirs, &primary(kind, ours)) else {
        return;
    };
    std::fs::write(peer.folder().join("fleet.zone"), ZONE_FILE).expect("a zone file");
    let config = follower(theirs);
    // Ours is there first, and has nothing to say.
    let site = einhorn(&folder.path().join("e"), ours, &config);
    let early = dig_at(ours, &[ZONE, "SOA"]);
    assert!(early.contains("SERVFAIL"), "{early}");
    peer.start();
    await_same(ZONE, theirs, ours);
    update(theirs, ZONE, 1, 60);
    await_same(ZONE, theirs, ours);
    // What is less than the zone, by far, comes as a difference.
    update(theirs, ZONE, 2, 1);
    await_same(ZONE, theirs, ours);
    let said = site.stderr();
    assert!(said.contains("content=differences"), "{said}");
    let client = Client::new(ours);
    let refused = client.set_address(&key(), ZONE, &format!("x.{ZONE}"), [192, 0, 2, 1]);
    assert_eq!(refused.to_string(), "REFUSED");
    assert_eq!(site.stop(), Some(0));
    update(theirs, ZONE, 3, 5);
    let site = einhorn(&folder.path().join("e"), ours, &config);
    await_same(ZONE, theirs, ours);
    peer.stop();
    peer.start();
    // It answers before it has loaded its zones.
    await_that("its zone", || serial(theirs, ZONE));
    update(theirs, ZONE, 4, 9);
    await_same(ZONE, theirs, ours);
    let list = operate(&site, &["zone", "list"]);
    assert!(list.contains("fresh, next poll in"), "{list}");
    let said = operate(&site, &["zone", "refresh", ZONE]);
    assert!(said.starts_with("asking 127.0.0.1:"), "{said}");
}

#[test]
fn follows_bind() {
    follows(Kind::Bind);
}

#[test]
fn follows_knot() {
    follows(Kind::Knot);
}

/// An Einhorn with the usual zone, whose timers are as short as can be.
fn short_lived(folder: &std::path::Path, dns: SocketAddr, config: &str) -> Site {
    std::fs::create_dir_all(folder).expect("a folder");
    let zone = ZONE_FILE.replace("3600 600 86400 60", "1 1 3 60");
    std::fs::write(folder.join("fleet.zone"), zone).expect("a zone file");
    let config = format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n{config}");
    einhorn(folder, dns, &config)
}

#[test]
fn a_zone_whose_primary_is_away_expires_and_comes_back() {
    let folder = scratch();
    let (first, second) = (free_address(), free_address());
    let site = short_lived(&folder.path().join("a"), first, "");
    let follower = einhorn(&folder.path().join("b"), second, &follower(first));
    await_same(ZONE, first, second);
    site.kill();
    let status = || dig_at(second, &["+tries=1", &format!("host.{ZONE}"), "A"]);
    await_that("expiry", || {
        let text = status();
        if text.contains("SERVFAIL") { Ok(()) } else { Err(text) }
    });
    let list = operate(&follower, &["zone", "list"]);
    assert!(list.contains("expired for"), "{list}");
    // Said once, however often it was tried.
    let said = follower.stderr();
    assert_eq!(said.matches("cannot be refreshed").count(), 1, "{said}");
    let _site = short_lived(&folder.path().join("a"), first, "");
    await_that("its return", || {
        let text = status();
        if text.contains("192.0.2.1") { Ok(()) } else { Err(text) }
    });
    // It refreshes within a second or so, so it may be asking right now.
    let list = operate(&follower, &["zone", "list"]);
    assert!(list.contains("fresh"), "{list}");
}

#[test]
fn the_next_primary_is_asked_when_one_is_away() {
    let folder = scratch();
    let (away, first, second) = (free_address(), free_address(), free_address());
    let _site = short_lived(&folder.path().join("a"), first, "");
    let config = format!(
        "[[zone]]\nname = \"{ZONE}\"\nprimary = [\"{away} key phone.\", \"{first} key phone.\"]\n"
    );
    let _follower = einhorn(&folder.path().join("b"), second, &config);
    await_same(ZONE, first, second);
}

#[test]
fn a_chain_of_three_ends_with_the_same_zone() {
    let folder = scratch();
    let (first, second, third) = (free_address(), free_address(), free_address());
    let bind = format!(
        "options {{ $OPTIONS allow-transfer {{ any; }}; }};\nzone \"{ZONE}\" {{ type secondary; file \"fleet.db\"; primaries {{ 127.0.0.1 port {} key phone.; }}; }};\n",
        second.port()
    );
    let Some(mut bind) = Server::new(Kind::Bind, folder.path(), third, &bind) else { return };
    let notify = format!("notify = [\"{second} key phone.\"]\n");
    let _a = short_lived(&folder.path().join("a"), first, &notify);
    let config = format!("{}notify = [\"{third} key phone.\"]\n", follower(first));
    let _b = einhorn(&folder.path().join("b"), second, &config);
    await_same(ZONE, first, second);
    bind.start();
    await_same(ZONE, second, third);
    update(first, ZONE, 5, 100);
    let last = serial(first, ZONE).expect("a serial");
    await_that("the last serial at the end of the chain", || match serial(third, ZONE)? {
        serial if serial == last => Ok(()),
        serial => Err(format!("{serial}, not {last}")),
    });
    await_same(ZONE, first, third);
    assert!(bind.incremental_transfers() > 0, "{}", bind.log());
}
