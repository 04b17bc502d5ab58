//! NSD.

use super::{COOKIE_SECRET, IDENTITY, Setup, TRANSFER_SECRET};

/// Writes the configuration and gives the arguments.
pub(super) fn prepare(setup: &Setup<'_>) -> Vec<String> {
    let zones = setup.for_zones(|name, file| {
        format!(
            "zone:\n    name: \"{name}\"\n    zonefile: \"{}\"\n    \
             provide-xfr: 127.0.0.1 transfer.\n",
            file.display()
        )
    });
    let configuration = format!(
        r#"server:
    ip-address: 127.0.0.1
    port: {port}
    username: ""
    chroot: ""
    server-count: 1
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    xfrdir: "{folder}"
    zonelistfile: "{folder}/zone.list"
    identity: "{IDENTITY}"
    version: "{IDENTITY}"
    nsid: "ascii_{IDENTITY}"
    minimal-responses: yes
    refuse-any: yes
    rrl-ratelimit: 0
    answer-cookie: yes
    cookie-secret: "{COOKIE_SECRET}"
remote-control:
    control-enable: no
key:
    name: "transfer."
    algorithm: hmac-sha256
    secret: "{TRANSFER_SECRET}"
{zones}"#,
        folder = setup.folder.display(),
        port = setup.port,
    );
    let path = setup.write("nsd.conf", &configuration);
    vec!["-d".to_owned(), "-c".to_owned(), path.display().to_string()]
}
