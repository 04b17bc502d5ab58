//! NSD: answers from memory, one process for each processor; takes no updates.

use super::{Ability, Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer = Peer {
    name: "NSD",
    program: "nsd",
    version_argument: "-v",
    ability: Ability::SignedTransfers,
    prepare,
};

fn prepare(site: &Site) -> Result<Setup, String> {
    let configuration = format!(
        r#"server:
    server-count: {processors}
    ip-address: 127.0.0.1@{port}
    reuseport: yes
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    xfrdir: "{folder}"
    logfile: "{folder}/nsd.log"
    rrl-ratelimit: 0
    minimal-responses: yes
    tcp-count: 100
remote-control:
    control-enable: no
key:
    name: {KEY_NAME}
    algorithm: hmac-sha256
    secret: "{KEY_SECRET}"
zone:
    name: {ZONE}
    zonefile: {zone}
    provide-xfr: 127.0.0.1 {KEY_NAME}
"#,
        processors = site.processors,
        port = site.port,
        folder = site.folder.display(),
        zone = site.zone_file.display(),
    );
    let path = site.write("nsd.conf", &configuration)?;
    let arguments = ["-d", "-c", &path.display().to_string()].map(str::to_owned);
    Ok(Setup { arguments: arguments.to_vec(), configuration })
}
