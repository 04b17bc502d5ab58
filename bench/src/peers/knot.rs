//! Knot DNS: gathers updates and syncs its journal once for all of them.

use super::{Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer =
    Peer { name: "Knot", program: "knotd", version_argument: "--version", prepare };

fn prepare(site: &Site) -> Result<Setup, String> {
    let run_folder = site.create_folder("run")?;
    let storage = site.create_folder("storage")?;
    let configuration = format!(
        r#"server:
    listen: 127.0.0.1@{port}
    rundir: {run}
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
    action: update
template:
  - id: default
    storage: {storage}
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: all
    journal-max-depth: 100000
zone:
  - domain: {ZONE}
    file: {zone}
    acl: update
"#,
        port = site.port,
        run = run_folder.display(),
        storage = storage.display(),
        zone = site.zone_file.display(),
    );
    let path = site.write("knot.conf", &configuration)?;
    Ok(Setup { arguments: vec!["-c".to_owned(), path.display().to_string()], configuration })
}
