//! PowerDNS: with its LMDB backend one synced transaction, or two, for each update; with its BIND
//! backend the zone in memory.

use super::{Ability, Peer, Setup, Site};
use crate::process::{find_program, run_checked};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer = Peer {
    name: "PowerDNS",
    program: "pdns_server",
    version_argument: "--version",
    ability: Ability::Updates,
    prepare,
};

/// Without updates, which the BIND backend does not take. Its transfers are not signed: the
/// backend would need a database for keys.
pub(super) const ANSWERING: Peer =
    Peer { ability: Ability::PlainTransfers, prepare: prepare_answering, ..PEER };

fn prepare_answering(site: &Site) -> Result<Setup, String> {
    let zones =
        format!("zone \"{ZONE}\" {{ type master; file \"{}\"; }};\n", site.zone_file.display());
    let zones_path = site.write("named.conf", &zones)?;
    let configuration = format!(
        "launch=bind\n\
         bind-config={zones}\n\
         bind-check-interval=0\n\
         local-address=127.0.0.1\n\
         local-port={port}\n\
         reuseport=yes\n\
         receiver-threads={threads}\n\
         allow-axfr-ips=127.0.0.0/8\n\
         zone-cache-refresh-interval=300\n\
         cache-ttl=600\n\
         query-cache-ttl=600\n\
         negquery-cache-ttl=600\n\
         socket-dir={folder}\n\
         setuid=\n\
         setgid=\n\
         daemon=no\n\
         guardian=no\n\
         disable-syslog=yes\n\
         loglevel=3\n",
        zones = zones_path.display(),
        port = site.port,
        threads = site.processors,
        folder = site.folder.display(),
    );
    site.write("pdns.conf", &configuration)?;
    let arguments = vec![format!("--config-dir={}", site.folder.display())];
    Ok(Setup { arguments, configuration: format!("{configuration}\n{zones}") })
}

fn prepare(site: &Site) -> Result<Setup, String> {
    let configuration = format!(
        "launch=lmdb\n\
         lmdb-filename={folder}/zones.lmdb\n\
         lmdb-sync-mode=sync\n\
         local-address=127.0.0.1\n\
         local-port={port}\n\
         dnsupdate=yes\n\
         allow-dnsupdate-from=127.0.0.0/8\n\
         socket-dir={folder}\n\
         setuid=\n\
         setgid=\n\
         daemon=no\n\
         guardian=no\n\
         disable-syslog=yes\n\
         loglevel=3\n",
        folder = site.folder.display(),
        port = site.port,
    );
    site.write("pdns.conf", &configuration)?;
    let utility = find_program("pdnsutil")
        .ok_or_else(|| "`pdnsutil` is missing: it comes with the package pdns-server".to_owned())?;
    let folder = format!("--config-dir={}", site.folder.display());
    let zone_file = site.zone_file.display().to_string();
    let steps: [&[&str]; 4] = [
        &["load-zone", ZONE, &zone_file],
        &["import-tsig-key", KEY_NAME, "hmac-sha256", KEY_SECRET],
        &["set-meta", ZONE, "SOA-EDIT-DNSUPDATE", "INCREASE"],
        &["set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", KEY_NAME],
    ];
    for step in steps {
        run_checked(&utility, &[&[folder.as_str()], step].concat())?;
    }
    Ok(Setup { arguments: vec![folder], configuration })
}
