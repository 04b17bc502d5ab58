//! Catalogs (RFC 9432): ours at BIND and Knot, Knot's at ours, and ours at ours.

use crate::neighbours::{await_same, configure, dig_at, einhorn, operate, serial};
use einhorn_harness::{Kind, Server, ZONE_FILE, await_that, free_address, scratch};
use std::net::SocketAddr;
use std::path::Path;

const CATALOG: &str = "catalog.invalid.";

fn await_gone(dns: SocketAddr, zone: &str) {
    await_that("the zone's end", || match serial(dns, zone) {
        Ok(serial) => Err(format!("{zone} is there, with serial {serial}")),
        Err(said) => {
            let text = dig_at(dns, &[zone, "SOA"]);
            if text.contains("REFUSED") { Ok(()) } else { Err(format!("{said} {text}")) }
        }
    });
}

fn consumer(kind: Kind, primary: SocketAddr) -> String {
    let port = primary.port();
    match kind {
        Kind::Bind => format!(
            "options {{ $OPTIONS allow-transfer {{ any; }}; allow-notify {{ key phone.; }}; catalog-zones {{ zone \"{CATALOG}\" default-primaries {{ 127.0.0.1 port {port} key phone.; }} min-update-interval 1; }}; }};\nzone \"{CATALOG}\" {{ type secondary; file \"catalog.db\"; primaries {{ 127.0.0.1 port {port} key phone.; }}; }};\n"
        ),
        Kind::Knot => format!(
            "remote:\n  - id: e\n    address: 127.0.0.1@{port}\n    key: phone.\nacl:\n  - id: n\n    key: phone.\n    action: [notify, transfer]\ntemplate:\n  - id: default\n    storage: \"$FOLDER\"\n  - id: member\n    storage: \"$FOLDER\"\n    master: e\n    acl: n\nzone:\n  - domain: {CATALOG}\n    master: e\n    acl: n\n    catalog-role: interpret\n    catalog-template: member\n"
        ),
    }
}

fn write_zone(folder: &Path) -> String {
    let file = folder.join("any.zone");
    std::fs::write(&file, ZONE_FILE).expect("a zone file");
    file.display().to_string()
}

fn ours_at(kind: Kind) {
    let folder = scratch();
    let (ours, theirs) = (free_address(), free_address());
    let Some(mut peer) = Server::new(kind, folder.path(), theirs, &consumer(kind, ours)) else {
        return;
    };
    let file = write_zone(folder.path());
    let notify = format!("{theirs} key phone.");
    let config = format!(
        "[[zone]]\nname = \"{CATALOG}\"\ncatalog-role = \"producer\"\nnotify = [\"{notify}\"]\n"
    );
    let site = einhorn(&folder.path().join("e"), ours, &config);
    peer.start();
    let add = |zone: &str| {
        operate(
            &site,
            &["zone", "add", zone, "--file", &file, "--catalog", CATALOG, "--notify", &notify],
        )
    };
    for zone in ["one.example.", "two.example."] {
        add(zone);
        await_same(zone, ours, theirs);
    }
    operate(&site, &["zone", "remove", "one.example."]);
    await_gone(theirs, "one.example.");
    add("three.example.");
    await_same("three.example.", ours, theirs);
    assert!(serial(theirs, "two.example.").is_ok());
}

#[test]
fn bind_consumes_our_catalog() {
    ours_at(Kind::Bind);
}

#[test]
fn knot_consumes_our_catalog() {
    ours_at(Kind::Knot);
}

/// A Knot that serves these zones, listed in a catalog.
fn producer(consumer: SocketAddr, zones: &[&str]) -> String {
    let port = consumer.port();
    let mut config = format!(
        "remote:\n  - id: e\n    address: 127.0.0.1@{port}\n    key: phone.\nacl:\n  - id: t\n    key: phone.\n    action: transfer\ntemplate:\n  - id: default\n    storage: \"$FOLDER\"\n    notify: e\n    acl: t\nzone:\n  - domain: {CATALOG}\n    catalog-role: generate\n"
    );
    for zone in zones {
        config += &format!(
            "  - domain: {zone}\n    file: any.zone\n    catalog-role: member\n    catalog-zone: {CATALOG}\n    zonefile-sync: -1\n"
        );
    }
    config
}

#[test]
fn we_consume_knots_catalog() {
    let folder = scratch();
    let (ours, theirs) = (free_address(), free_address());
    let config = producer(ours, &["one.example.", "two.example."]);
    let Some(mut peer) = Server::new(Kind::Knot, folder.path(), theirs, &config) else { return };
    write_zone(peer.folder());
    peer.start();
    let file = write_zone(folder.path());
    // One of the names is here for another reason: no catalog touches it.
    let config = format!(
        "[[zone]]\nname = \"{CATALOG}\"\ncatalog-role = \"consumer\"\nprimary = [\"{theirs} key phone.\"]\n[[zone]]\nname = \"own.example.\"\nfile = \"{file}\"\n"
    );
    let site = einhorn(&folder.path().join("e"), ours, &config);
    for zone in ["one.example.", "two.example."] {
        await_same(zone, theirs, ours);
    }
    peer.configure(&producer(ours, &["two.example.", "three.example.", "own.example."]));
    peer.reload();
    await_same("three.example.", theirs, ours);
    await_gone(ours, "one.example.");
    site.await_line(0, "own.example., which is kept here for another reason");
    let list = operate(&site, &["zone", "list"]);
    assert_eq!(list.matches("member of catalog.invalid.").count(), 2, "{list}");
    assert!(!list.contains("one.example."), "{list}");
    // A restart changes nothing, and forgets nothing.
    assert_eq!(site.stop(), Some(0));
    let site = einhorn(&folder.path().join("e"), ours, &config);
    let again = operate(&site, &["zone", "list"]);
    assert_eq!(again.matches("member of catalog.invalid.").count(), 2, "{again}");
    // A catalog that is not kept any more takes its zones with it.
    operate(&site, &["zone", "remove", CATALOG]);
    await_gone(ours, "two.example.");
    assert!(serial(ours, "own.example.").is_ok());
}

#[test]
#[ignore = "takes some minutes; run by hand, and by the long tests"]
fn ten_thousand_zones_are_imported_listed_and_followed() {
    const ZONES: usize = 10_000;
    let folder = scratch();
    let (first, second) = (free_address(), free_address());
    let a = folder.path().join("a");
    std::fs::create_dir(&a).expect("a folder");
    let catalog = format!(
        "[[zone]]\nname = \"{CATALOG}\"\ncatalog-role = \"producer\"\nnotify = [\"{second} key phone.\"]\n"
    );
    let names: Vec<String> = (0..ZONES).map(|i| format!("z{i}.example")).collect();
    let files: Vec<String> = names
        .iter()
        .map(|name| {
            let file = a.join(format!("{name}.zone"));
            std::fs::write(&file, ZONE_FILE).expect("a zone file");
            file.display().to_string()
        })
        .collect();
    let site = einhorn(&a, first, &catalog);
    for files in files.chunks(1_000) {
        let mut arguments = vec!["zone", "import"];
        arguments.extend(files.iter().map(String::as_str));
        operate(&site, &arguments);
    }
    assert_eq!(operate(&site, &["zone", "list"]).lines().count(), ZONES + 1);
    assert_eq!(site.stop(), Some(0));
    let site = einhorn(&a, first, &catalog);
    assert_eq!(operate(&site, &["zone", "list"]).lines().count(), ZONES + 1);
    let follower = einhorn(
        &folder.path().join("b"),
        second,
        &format!(
            "[[zone]]\nname = \"{CATALOG}\"\ncatalog-role = \"consumer\"\nprimary = [\"{first} key phone.\"]\n"
        ),
    );
    let listed: String = names
        .iter()
        .map(|name| {
            format!(
                "[[zone]]\nname = \"{name}\"\nfile = \"{name}.zone\"\ncatalog = \"{CATALOG}\"\n"
            )
        })
        .collect();
    configure(&a, first, &(catalog + &listed));
    operate(&site, &["reload"]);
    await_that("all zones at the follower", || {
        let list = operate(&follower, &["zone", "list"]);
        let fresh = list.lines().filter(|line| line.contains("fresh")).count();
        if fresh == ZONES + 1 { Ok(()) } else { Err(format!("{fresh} are fresh")) }
    });
    await_same("z9999.example.", first, second);
}
