//! Knot DNS: gathers updates and syncs its journal once for all of them.

use super::{Ability, Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer = Peer {
    name: "Knot",
    program: "knotd",
    version_argument: "--version",
    ability: Ability::Updates,
    prepare,
};

/// Without updates, so that nothing is kept for them.
pub(super) const ANSWERING: Peer = Peer { prepare: prepare_answering, ..PEER };

/// With updates that are kept to be transferred, but without a copy of the zone beside them.
pub(super) const TRANSFERRING: Peer = Peer { prepare: prepare_transferring, ..PEER };

fn prepare(site: &Site) -> Result<Setup, String> {
    set_up(
        site,
        "zonefile-load: difference\n    journal-content: all\n    journal-max-depth: 100000",
    )
}

fn prepare_answering(site: &Site) -> Result<Setup, String> {
    set_up(site, "zonefile-load: whole\n    journal-content: none")
}

fn prepare_transferring(site: &Site) -> Result<Setup, String> {
    set_up(
        site,
        "zonefile-load: whole\n    journal-content: changes\n    journal-max-depth: 100000",
    )
}

fn set_up(site: &Site, loading: &str) -> Result<Setup, String> {
    let run_folder = site.create_folder("run")?;
    let storage = site.create_folder("storage")?;
    let configuration = format!(
        r#"server:
    listen: 127.0.0.1@{port}
    rundir: {run}
    udp-workers: {workers}
log:
  - target: stderr
    any: error
database:
    storage: {storage}
    journal-db-mode: robust
key:
  - id: {KEY_NAME}
    algorithm: hmac-sha256
    secret: {KEY_SECRET}
acl:
  - id: update
    address: 127.0.0.1
    key: {KEY_NAME}
    action: [update, transfer]
template:
  - id: default
    storage: {storage}
    zonefile-sync: -1
    {loading}
zone:
  - domain: {ZONE}
    file: {zone}
    acl: update
"#,
        port = site.port,
        run = run_folder.display(),
        workers = site.processors,
        storage = storage.display(),
        zone = site.zone_file.display(),
    );
    let path = site.write("knot.conf", &configuration)?;
    Ok(Setup { arguments: vec!["-c".to_owned(), path.display().to_string()], configuration })
}
