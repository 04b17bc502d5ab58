//! What tests with several servers have in common: an Einhorn whose port is known before it
//! starts, and zones compared.

use crate::support::EINHORN;
use einhorn_harness::{KEY, Site, await_that, key, output, peer, run};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// The usual key, and what it may, for a configuration.
pub(crate) const KEY_CONFIG: &str = "[[key]]\nname = \"phone.\"\nsecret = \"c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=\"\n[[grant]]\nkey = \"phone.\"\nzone = \"*\"\nnames = [\"*\"]\ntransfer = true\n";

/// Starts a site in `folder` at this address, with the usual key.
pub(crate) fn einhorn(folder: &Path, dns: SocketAddr, config: &str) -> Site {
    std::fs::create_dir_all(folder).expect("a folder");
    configure(folder, dns, config);
    let mut command = Command::new(EINHORN);
    command.env("EINHORN_LOG", "info");
    command.args(["serve", "--config"]).arg(folder.join("einhorn.toml"));
    Site::spawn(command, folder.join("data")).unwrap_or_else(|said| panic!("not ready: {said}"))
}

/// Writes its configuration anew.
pub(crate) fn configure(folder: &Path, dns: SocketAddr, config: &str) {
    let config = format!("data = \"data\"\nlisten = [\"{dns}\"]\n{KEY_CONFIG}{config}");
    std::fs::write(folder.join("einhorn.toml"), config).expect("the configuration");
}

/// Runs a command of the program on a site's data.
pub(crate) fn operate(site: &Site, arguments: &[&str]) -> String {
    run(Command::new(EINHORN).args(arguments).arg("--data").arg(&site.data)).good()
}

/// What dig prints for these arguments.
pub(crate) fn dig_at(dns: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new(peer("dig").expect("dig is where named is"));
    command.env("HOME", "/nonexistent").arg(format!("@{}", dns.ip()));
    command.arg("-p").arg(dns.port().to_string()).args(arguments);
    output(&mut command, "").1
}

/// The serial that a server has of a zone.
pub(crate) fn serial(dns: SocketAddr, zone: &str) -> Result<u32, String> {
    let text = dig_at(dns, &["+short", "+tries=1", "+time=2", zone, "SOA"]);
    let serial = text.split_whitespace().nth(2).and_then(|serial| serial.parse().ok());
    serial.ok_or_else(|| format!("no serial of {zone}: {text}"))
}

/// Waits until both servers have the same serial of a zone, and checks that they have the same
/// records.
pub(crate) fn await_same(zone: &str, one: SocketAddr, other: SocketAddr) {
    await_that("the same serial", || {
        let serials = (serial(one, zone)?, serial(other, zone)?);
        if serials.0 == serials.1 { Ok(()) } else { Err(format!("{serials:?}")) }
    });
    let (ours, theirs) = (records(one, zone), records(other, zone));
    assert!(ours.len() > 1, "{ours:?}");
    assert_eq!(ours, theirs);
}

/// All records of a zone, sorted.
pub(crate) fn records(dns: SocketAddr, zone: &str) -> Vec<String> {
    let text = dig_at(dns, &["+noall", "+answer", "+onesoa", "-y", KEY, zone, "AXFR"]);
    let one_space = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().map(one_space).collect();
    lines.sort();
    lines
}

/// Sets addresses of `count` names of the usual zone, one update each. Another `round` sets other
/// addresses: the very same update within one second would be taken for a retry.
pub(crate) fn update(dns: SocketAddr, zone: &str, round: u8, count: u8) {
    let client = einhorn_harness::Client::new(dns);
    for i in 0..count {
        let name = format!("n{}.{zone}", i % 50);
        let rcode = client.set_address(&key(), zone, &name, [10, 0, round, i]);
        assert_eq!(rcode.to_string(), "NOERROR", "{name}");
    }
}
