//! Servers that answer over TLS and HTTPS: how each is configured and started.
//!
//! All show the same certificate, with a key of P-256, and keep idle connections for as long as
//! a round may take. Everything stays in the folder that is given.

use crate::peers::{self, ONE_PROCESSOR};
use crate::process::{self, Server};
use crate::workload::ZONE;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The name in the certificate.
pub(super) const NAME: &str = "ns1.bench.example";
/// Connections that a server must be able to hold, with some to spare.
const CONNECTIONS_MAX: usize = 12_000;
/// How long a connection may be idle; BIND counts in tenths of seconds.
const IDLE_SECONDS: usize = 110;

/// An authority, and a certificate of it for all servers.
pub(super) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Made by Einhorn's command line.
    pub(super) fn make(einhorn: &Path, folder: PathBuf) -> Result<Certificates, String> {
        let shown = folder.display().to_string();
        let arguments = ["tls", "init", "--dir", &shown, "--name", NAME, "--ip", "127.0.0.1"];
        process::run_checked(einhorn, &arguments)?;
        Ok(Certificates { folder })
    }

    /// What clients are to trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    fn certificate(&self) -> String {
        self.folder.join(format!("{NAME}.crt")).display().to_string()
    }

    fn key(&self) -> String {
        self.folder.join(format!("{NAME}.key")).display().to_string()
    }
}

/// A server that has been started.
pub(super) struct Started {
    pub(super) server: Server,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    /// None where it does not speak it.
    pub(super) https: Option<SocketAddr>,
    pub(super) configuration: String,
}

/// Starts the server of this name in an empty folder.
pub(super) fn start(
    name: &str,
    program: &Path,
    folder: &Path,
    zone_file: &Path,
    certificates: &Certificates,
) -> Result<Started, String> {
    let cannot = |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::hard_link(zone_file, folder.join("zone")).map_err(cannot)?;
    let ports = [peers::free_port()?, peers::free_port()?, peers::free_port()?];
    let (text, arguments): (_, &[&str]) = match name {
        "Einhorn" => (einhorn(ports, certificates), &["serve", "--config", "server.conf"]),
        "NSD" => (nsd(folder, ports, certificates), &["-d", "-c", "server.conf"]),
        "BIND" => {
            (bind(folder, ports, certificates), &["-4", "-g", "-n", "1", "-c", "server.conf"])
        }
        other => return Err(format!("{other} has no setup for this")),
    };
    fs::write(folder.join("server.conf"), &text).map_err(cannot)?;
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let server = Server::start(folder, program, &arguments, &ONE_PROCESSOR)?;
    let [plain, tls, https] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let https = (name != "NSD").then_some(https);
    Ok(Started { server, plain, tls, https, configuration: text })
}

fn einhorn([plain, tls, https]: [u16; 3], certificates: &Certificates) -> String {
    format!(
        r#"data = "data"
listen = ["127.0.0.1:{plain}"]
[tls]
name = "{NAME}"
certificate = "{}"
key = "{}"
dot = ["127.0.0.1:{tls}"]
doh = ["127.0.0.1:{https}"]
[limits]
tls-connections-max = {CONNECTIONS_MAX}
tcp-idle-seconds = {IDLE_SECONDS}
[[zone]]
name = "{ZONE}"
file = "zone"
"#,
        certificates.certificate(),
        certificates.key(),
    )
}

fn nsd(folder: &Path, [plain, tls, _]: [u16; 3], certificates: &Certificates) -> String {
    let folder = folder.display();
    format!(
        r#"server:
    server-count: 1
    ip-address: 127.0.0.1@{plain}
    ip-address: 127.0.0.1@{tls}
    tls-port: {tls}
    tls-service-pem: "{}"
    tls-service-key: "{}"
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
    tcp-count: {CONNECTIONS_MAX}
    tcp-timeout: {IDLE_SECONDS}
remote-control:
    control-enable: no
zone:
    name: {ZONE}
    zonefile: zone
"#,
        certificates.certificate(),
        certificates.key(),
    )
}

fn bind(folder: &Path, [plain, tls, https]: [u16; 3], certificates: &Certificates) -> String {
    let tenths = IDLE_SECONDS * 10;
    format!(
        r#"tls shown {{ cert-file "{}"; key-file "{}"; protocols {{ TLSv1.3; }}; }};
http local {{ endpoints {{ "/dns-query"; }}; listener-clients {CONNECTIONS_MAX}; streams-per-connection 100; }};
options {{
    directory "{}";
    listen-on port {plain} {{ 127.0.0.1; }};
    listen-on port {tls} tls shown {{ 127.0.0.1; }};
    listen-on port {https} tls shown http local {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file "named.pid";
    session-keyfile "session.key";
    recursion no;
    notify no;
    dnssec-validation no;
    empty-zones-enable no;
    minimal-responses yes;
    tcp-clients {CONNECTIONS_MAX};
    tcp-initial-timeout {tenths};
    tcp-idle-timeout {tenths};
    tcp-keepalive-timeout {tenths};
    tcp-advertised-timeout {tenths};
}};
controls {{ }};
logging {{ category default {{ null; }}; }};
zone "{ZONE}" {{ type primary; file "zone"; }};
"#,
        certificates.certificate(),
        certificates.key(),
        folder.display(),
    )
}
