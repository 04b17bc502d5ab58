//! Knot DNS.

use super::{COOKIE_SECRET, IDENTITY, Setup, TRANSFER_SECRET};

/// Knot does not know the CLASS1 form of a class in zone files.
pub(super) const NOT_LOADED: [&str; 1] = ["class-form.test."];

/// Writes the configuration and gives the arguments.
pub(super) fn prepare(setup: &Setup<'_>) -> Vec<String> {
    let zones = setup.for_zones(|name, file| {
        format!("  - domain: \"{name}\"\n    file: {}\n    acl: transfer\n", file.display())
    });
    let configuration = format!(
        r#"server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    identity: {IDENTITY}
    version: {IDENTITY}
    nsid: {IDENTITY}
log:
  - target: stderr
    any: error
database:
    storage: {folder}
mod-cookies:
  - id: default
    secret: 0x{COOKIE_SECRET}
    badcookie-slip: 1
key:
  - id: transfer.
    algorithm: hmac-sha256
    secret: {TRANSFER_SECRET}
acl:
  - id: transfer
    key: transfer.
    action: transfer
template:
  - id: default
    storage: {folder}
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
    global-module: mod-cookies/default
zone:
{zones}"#,
        folder = setup.folder.display(),
        port = setup.port,
    );
    let path = setup.write("knot.conf", &configuration);
    vec!["-c".to_owned(), path.display().to_string()]
}
