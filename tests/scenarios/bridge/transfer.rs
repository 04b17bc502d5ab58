//! A source that is the zone of a BIND, which knows nothing of the bridge and is only asked.

use super::support::{Bridge, OPEN};
use super::watch::Watcher;
use einhorn_harness::{
    Client, Kind, Reply, Server, ZONE, await_that, free_address, key, record, try_transfer,
    update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

const HOSTS: &str = "www 60 IN A 10.0.0.1\nmail 60 IN A 10.0.0.2\nmail 60 IN MX 10 mail\n\
                     post 60 IN CNAME mail\nold 60 IN TXT \"left; alone\"\n";

fn zone_file(serial: u32, hosts: &str) -> String {
    format!(
        "$ORIGIN {ZONE}\n@ 60 IN SOA ns h {serial} 1 1 60 60\n@ 60 IN NS ns\nns 300 IN A 192.0.2.53\n{hosts}"
    )
}

fn source(server: SocketAddr, key: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"nic\"\nzone = \"{ZONE}\"\nformat = \"zone\"\ninput = \"full\"\n\
         transfer = \"{server}{key}\"\n{more}"
    )
}

/// A bridge and the BIND that is its source; `None`, said loudly, where there is no BIND.
fn start(more: &str) -> Option<(Bridge, Server)> {
    let dns = free_address();
    let bridge = Bridge::start(&source(dns, " key phone.", more));
    let config = format!(
        "options {{ $OPTIONS notify no; allow-transfer {{ key phone.; }}; }};\n\
         zone \"{ZONE}\" {{ type primary; file \"theirs.zone\"; allow-update {{ key phone.; }}; }};\n"
    );
    let mut bind = Server::new(Kind::Bind, bridge.path(), dns, &config)?;
    std::fs::write(bind.folder().join("theirs.zone"), zone_file(7, HOSTS)).expect("a zone file");
    bind.start();
    await_transfer(&bind);
    Some((bridge, bind))
}

/// It answers before it has loaded its zones.
fn await_transfer(bind: &Server) {
    await_that("its zone", || try_transfer(bind.dns).map(drop).map_err(|error| error.to_string()));
}

fn has(bridge: &Bridge, line: &str) -> bool {
    bridge.records().iter().any(|record| record.replace('"', "") == line)
}

fn await_record(bridge: &Bridge, line: &str, is_there: bool) {
    await_that(line, || match has(bridge, line) == is_there {
        true => Ok(()),
        false => Err(format!("{:#?}", bridge.records())),
    });
}

/// What `nsupdate` does.
fn set(bind: &Server, label: &str, address: [u8; 4]) {
    let rcode =
        Client::new(bind.dns).set_address(&key(), ZONE, &format!("{label}.{ZONE}"), address);
    assert_eq!(rcode, Rcode::NOERROR, "{}", bind.log());
}

fn delete(bind: &Server, label: &str) {
    let gone = record(&format!("{label}.{ZONE}"), RecordType::ANY, Class::ANY, 0, &[]);
    let message = update_message(8, ZONE, &[], &[gone], Some(&key()));
    let answer = Client::new(bind.dns).udp(&message).expect("an answer");
    assert_eq!(Reply::parse(answer).rcode, Rcode::NOERROR, "{}", bind.log());
}

#[test]
fn a_zone_is_planned_and_applied_and_then_followed() {
    let Some((bridge, mut bind)) = start(OPEN) else { return };
    bridge.device("annas-iphone", [10, 9, 9, 9]);
    let before = bridge.records();
    let said = bridge.bridge("plan", &[]).good();
    assert!(said.contains("+ HOST www.fleet.example"), "{said}");
    assert_eq!(bridge.records(), before, "a plan changes nothing");
    let said = bridge.bridge("apply", &[]).good();
    assert!(said.contains("serial 7, generation 7"), "{said}");
    for line in [
        "www 60 a 10.0.0.1",
        "mail 60 mx 10 mail",
        "old 60 txt left; alone",
        "post 86400 cname mail",
        "annas-iphone 60 a 10.9.9.9",
    ] {
        assert!(has(&bridge, line), "{line} in {:#?}", bridge.records());
    }
    let revision = bridge.report()["revision"].clone();
    let said = bridge.bridge("apply", &[]).good();
    assert!(said.contains("applied already"), "{said}");
    assert_eq!(bridge.report()["revision"], revision, "the second commits nothing");

    let watcher = Watcher::start(&bridge);
    // Several serials further: none of those in between is missing.
    set(&bind, "www", [10, 0, 0, 11]);
    set(&bind, "www", [10, 0, 0, 12]);
    set(&bind, "new", [10, 0, 0, 3]);
    await_record(&bridge, "new 60 a 10.0.0.3", true);
    await_record(&bridge, "www 60 a 10.0.0.12", true);
    delete(&bind, "new");
    await_record(&bridge, "new 60 a 10.0.0.3", false);
    assert!(bind.log().contains("IXFR started"), "differences are asked for: {}", bind.log());
    // A device has a name now that the other server gives up: that is for a person to decide.
    bridge.device("www", [10, 7, 7, 7]);
    delete(&bind, "www");
    set(&bind, "other", [10, 0, 0, 4]);
    await_record(&bridge, "other 60 a 10.0.0.4", true);
    let listed = bridge.review(&["list"]).good();
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = bridge.review(&["show", &id]).good();
    assert!(shown.contains("conflict with source nic: delete-against-edit"), "{shown}");
    assert!(has(&bridge, "www 60 a 10.7.7.7"), "what is served stays: {:#?}", bridge.records());
    drop(watcher);

    // A server that is away is an error, and no empty zone.
    let before = (bridge.records(), bridge.report()["revision"].clone());
    bind.stop();
    for subcommand in ["plan", "apply"] {
        let said = bridge.bridge(subcommand, &[]).failed(1);
        assert!(said.contains(&format!("zone {ZONE} at {}", bind.dns)), "{said}");
    }
    let watcher = Watcher::start(&bridge);
    bind.start();
    await_transfer(&bind);
    set(&bind, "late", [10, 0, 0, 5]);
    await_record(&bridge, "late 60 a 10.0.0.5", true);
    drop(watcher);
    assert!(before.0.iter().all(|record| bridge.records().contains(record)));
}

#[test]
fn a_zone_that_went_back_is_held_and_one_of_the_same_serial_refused() {
    let Some((bridge, mut bind)) = start("") else { return };
    bridge.bridge("apply", &[]).good();
    let before = bridge.records();
    for (serial, wanted) in
        [(3, "generation 3 does not follow generation 7"), (7, "with other content")]
    {
        bind.stop();
        let path = bind.folder().join("theirs.zone");
        std::fs::write(path, zone_file(serial, "www 60 IN A 10.0.0.9\n")).expect("a zone file");
        // Whether there is a journal depends on what was changed.
        _ = std::fs::remove_file(bind.folder().join("theirs.zone.jnl"));
        bind.start();
        await_transfer(&bind);
        let said = bridge.bridge("apply", &[]).failed(1);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(bridge.records(), before);
    }
    // A zone that lost most of its names is held by the guard, as any file would be.
    bind.stop();
    std::fs::write(bind.folder().join("theirs.zone"), zone_file(9, "")).expect("a zone file");
    bind.start();
    await_transfer(&bind);
    let said = bridge.bridge("apply", &[]).failed(1);
    assert!(said.contains("records would be deleted"), "{said}");
    assert_eq!(bridge.records(), before);
}

/// Answers one AXFR question by the SOA and an address, and hangs up before the end.
fn hang_up(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("a client");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).expect("a question");
    let mut message = query[..2].to_vec();
    message.extend([0x84, 0, 0, 1, 0, 2, 0, 0, 0, 0]);
    message.extend_from_slice(&query[12..]);
    let record = |rtype: u8, rdata: &[u8]| {
        let mut octets = vec![0xc0, 12, 0, rtype, 0, 1, 0, 0, 0, 60, 0, rdata.len() as u8];
        octets.extend_from_slice(rdata);
        octets
    };
    let mut soa = vec![0xc0, 12, 0xc0, 12];
    [9u32, 1, 1, 60, 60].iter().for_each(|number| soa.extend(number.to_be_bytes()));
    message.extend(record(6, &soa));
    message.extend(record(1, &[10, 0, 0, 1]));
    stream.write_all(&(message.len() as u16).to_be_bytes()).expect("written");
    stream.write_all(&message).expect("written");
}

#[test]
fn half_a_transfer_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let bridge = Bridge::start(&source(address, "", OPEN));
    let before = bridge.records();
    for subcommand in ["plan", "apply"] {
        let said = std::thread::scope(|scope| {
            scope.spawn(|| hang_up(&listener));
            bridge.bridge(subcommand, &[]).failed(1)
        });
        assert!(said.contains(&format!("zone {ZONE} at {address}")), "{said}");
        println!("{said}");
    }
    assert_eq!(bridge.records(), before);
    let said = bridge.bridge("report", &[]).good();
    assert!(said.contains("nothing of source nic was applied yet"), "{said}");
}
