//! Servers that hold the same zone: how each group is configured and started.
//!
//! The first server takes the updates, the others show them. All are set up to be as quick as they
//! can be while an acknowledged update is on the first one's disk. Everything stays in the folder
//! that it is given.

use crate::peers::{self, BIND, EINHORN, KNOT, Peer};
use crate::probe;
use crate::process::{self, Server};
use crate::workload::{KEY_NAME, KEY_SECRET, Workload, ZONE};
use einhorn_wire::Name;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Servers and generator share the processors that the kernel gives them.
const PROCESSORS: [usize; 2] = [0, 1];
/// What every server must answer before a group counts as started.
const PROBED: (&str, [u8; 4]) = ("ns1", [127, 0, 0, 1]);
/// Servers tidy up after loading.
const REST_SHARE: f64 = 0.05;
const REST_PATIENCE: Duration = Duration::from_secs(20);
/// The sites, in the order in which they are added.
pub(super) const SITES: [&str; 3] = ["berlin", "frankfurt", "muenchen"];

/// A kind of group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many sites of Einhorn, and how far a change must come before it is acknowledged.
    Sites { count: usize, level: &'static str },
    /// A primary that sends NOTIFY at once, and a secondary.
    BindNotify,
    /// A primary that sends none, and a secondary that asks every few seconds.
    BindPolling,
    /// A primary that sends NOTIFY, and a secondary.
    Knot,
}

/// What a group is started with.
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    /// Emptied first.
    pub(super) folder: &'a Path,
    pub(super) zone_file: &'a Path,
}

/// Servers that run.
pub(super) struct Group {
    servers: Vec<Server>,
    pub(super) addresses: Vec<SocketAddr>,
    /// Of all servers, for the report.
    pub(super) configuration: String,
}

impl Kind {
    /// The program that it needs.
    pub(super) fn peer(self) -> &'static Peer {
        match self {
            Kind::Sites { .. } => &EINHORN,
            Kind::BindNotify | Kind::BindPolling => &BIND,
            Kind::Knot => &KNOT,
        }
    }

    /// Starts the group and waits until each server answers and nothing is left to do.
    pub(super) fn start(self, start: &Start<'_>) -> Result<Group, String> {
        let folder = start.folder;
        if folder.exists() {
            fs::remove_dir_all(folder)
                .map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
        }
        create(folder)?;
        let mut group =
            Group { servers: Vec::new(), addresses: Vec::new(), configuration: String::new() };
        match self {
            Kind::Sites { count, level } => group.start_sites(start, count, level)?,
            Kind::BindNotify => group.start_pair(start, &bind_primary, &bind_secondary)?,
            Kind::BindPolling => group.start_pair(start, &bind_silent, &bind_secondary)?,
            Kind::Knot => group.start_pair(start, &knot_primary, &knot_secondary)?,
        }
        group.wait_until_ready()?;
        Ok(group)
    }
}

impl Group {
    /// Processor time that each server has used so far.
    pub(super) fn processor_times(&self) -> Vec<Duration> {
        let time = |server: &Server| process::processor_time(server.process_id());
        self.servers.iter().map(|server| time(server).unwrap_or_default()).collect()
    }

    /// Fails if a server has ended by itself.
    pub(super) fn check_running(&mut self) -> Result<(), String> {
        self.servers.iter_mut().try_for_each(Server::check_running)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let (label, address) = PROBED;
        let name: Name =
            format!("{label}.{ZONE}").parse().map_err(|error| format!("{label}: {error}"))?;
        for (server, at) in self.servers.iter_mut().zip(&self.addresses) {
            probe::wait_for_address(*at, &name, address, || server.check_running())?;
        }
        for server in &self.servers {
            process::wait_for_rest(server.process_id(), REST_SHARE, REST_PATIENCE);
        }
        Ok(())
    }

    fn add(
        &mut self,
        folder: &Path,
        program: &Path,
        arguments: &[String],
        port: u16,
    ) -> Result<(), String> {
        self.servers.push(Server::start(folder, program, arguments, &PROCESSORS)?);
        self.addresses.push(address(port));
        Ok(())
    }

    /// Starts a primary and a secondary.
    fn start_pair(
        &mut self,
        start: &Start<'_>,
        primary: &dyn Fn(&Place<'_>) -> Result<Vec<String>, String>,
        secondary: &dyn Fn(&Place<'_>) -> Result<Vec<String>, String>,
    ) -> Result<(), String> {
        let ports = [peers::free_port()?, peers::free_port()?];
        for (name, prepare, port, other) in
            [("primary", primary, ports[0], ports[1]), ("secondary", secondary, ports[1], ports[0])]
        {
            let folder = start.folder.join(name);
            create(&folder)?;
            let place = Place { folder: &folder, zone_file: start.zone_file, port, other };
            let arguments = prepare(&place)?;
            self.note(name, &folder.join(CONFIGURATION))?;
            self.add(&folder, start.program, &arguments, port)?;
        }
        Ok(())
    }

    /// Starts sites that know each other; the zone is at home at the first.
    fn start_sites(&mut self, start: &Start<'_>, count: usize, level: &str) -> Result<(), String> {
        let card = |site: &str| start.folder.join(site).join(format!("{site}.site"));
        for (at, site) in SITES.iter().enumerate().take(count) {
            let (listen, link) = (address(peers::free_port()?), address(peers::free_port()?));
            let folder = start.folder.join(site);
            let mut arguments: Vec<String> =
                ["init", "site", site, "--data"].map(str::to_owned).to_vec();
            arguments.push(folder.display().to_string());
            arguments.extend(["--listen".to_owned(), listen.to_string()]);
            arguments.extend(["--link".to_owned(), link.to_string()]);
            if at > 0 {
                arguments.extend(["--join".to_owned(), card(SITES[0]).display().to_string()]);
            }
            run(start.program, &arguments)?;
            let path = folder.join("einhorn.toml");
            let mut text = read(&path)?;
            text.push_str(&site_rights());
            if at == 0 {
                let file = start.zone_file.display();
                text.push_str(&format!(
                    "[[zone]]\nname = \"{ZONE}\"\nfile = \"{file}\"\nack = \"{level}\"\n"
                ));
            }
            write(&path, &text)?;
            self.note(site, &path)?;
            let serve = ["serve", "--config", &path.display().to_string()].map(str::to_owned);
            self.add(&folder, start.program, &serve, listen.port())?;
        }
        // The control socket is there when queries are answered.
        let workload = Workload::new()?;
        let first = self.addresses[0];
        probe::wait_until_ready(first, &workload, || self.servers[0].check_running())?;
        for site in SITES.iter().take(count).skip(1) {
            let data = start.folder.join(SITES[0]);
            let words = ["site", "add", &card(site).display().to_string(), "--data"];
            let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
            arguments.push(data.display().to_string());
            run(start.program, &arguments)?;
        }
        Ok(())
    }

    /// Adds a configuration to what the report shows.
    fn note(&mut self, name: &str, path: &Path) -> Result<(), String> {
        self.configuration.push_str(&format!("# {name}\n{}\n", read(path)?));
        Ok(())
    }
}

/// Where one server of a pair runs.
struct Place<'a> {
    folder: &'a Path,
    zone_file: &'a Path,
    port: u16,
    /// The other server's port.
    other: u16,
}

const CONFIGURATION: &str = "configuration";

fn site_rights() -> String {
    format!(
        "[[key]]\nname = \"{KEY_NAME}.\"\nsecret = \"{KEY_SECRET}\"\n[[grant]]\nkey = \"{KEY_NAME}.\"\nzone = \"{ZONE}\"\nnames = [\"*\"]\ntransfer = true\n"
    )
}

fn bind_primary(place: &Place<'_>) -> Result<Vec<String>, String> {
    let notify = format!("notify explicit; also-notify {{ 127.0.0.1 port {}; }};", place.other);
    bind_updatable(place, &notify)
}

fn bind_silent(place: &Place<'_>) -> Result<Vec<String>, String> {
    bind_updatable(place, "notify no;")
}

fn bind_updatable(place: &Place<'_>, notify: &str) -> Result<Vec<String>, String> {
    let file = place.folder.join("zone");
    fs::copy(place.zone_file, &file)
        .map_err(|error| format!("cannot copy to {}: {error}", file.display()))?;
    let key = format!("{{ key \"{KEY_NAME}\"; }}");
    bind(
        place,
        &format!("type primary; file \"zone\"; allow-update {key}; allow-transfer {key}; {notify}"),
    )
}

fn bind_secondary(place: &Place<'_>) -> Result<Vec<String>, String> {
    let other = place.other;
    bind(
        place,
        &format!(
            "type secondary; file \"zone\"; primaries {{ 127.0.0.1 port {other} key \"{KEY_NAME}\"; }}; notify no;"
        ),
    )
}

fn bind(place: &Place<'_>, zone: &str) -> Result<Vec<String>, String> {
    let configuration = format!(
        r#"options {{
    directory "{folder}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file "named.pid";
    session-keyfile "session.key";
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    minimal-responses yes;
    update-quota 5000;
    notify-delay 0;
    notify-rate 1000;
    startup-notify-rate 1000;
    serial-query-rate 1000;
    min-refresh-time 1;
    min-retry-time 1;
    transfers-per-ns 100;
    ixfr-from-differences yes;
}};
controls {{ }};
logging {{
    category default {{ null; }};
    category update {{ null; }};
    category update-security {{ null; }};
}};
key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY_SECRET}"; }};
zone "{ZONE}" {{ {zone} }};
"#,
        folder = place.folder.display(),
        port = place.port,
    );
    let path = place.folder.join(CONFIGURATION);
    write(&path, &configuration)?;
    Ok(["-4", "-g", "-c", &path.display().to_string()].map(str::to_owned).to_vec())
}

fn knot_primary(place: &Place<'_>) -> Result<Vec<String>, String> {
    let zone = format!(
        "zonefile-load: difference\n    file: {}\n    notify: other\n    acl: [update]",
        place.zone_file.display()
    );
    knot(place, &zone)
}

fn knot_secondary(place: &Place<'_>) -> Result<Vec<String>, String> {
    knot(place, "zonefile-load: none\n    master: other\n    acl: [notify]")
}

fn knot(place: &Place<'_>, zone: &str) -> Result<Vec<String>, String> {
    for name in ["run", "storage"] {
        create(&place.folder.join(name))?;
    }
    let configuration = format!(
        r#"server:
    listen: 127.0.0.1@{port}
    rundir: {folder}/run
log:
  - target: stderr
    any: error
database:
    storage: {folder}/storage
    journal-db-mode: robust
key:
  - id: {KEY_NAME}
    algorithm: hmac-sha256
    secret: {KEY_SECRET}
remote:
  - id: other
    address: 127.0.0.1@{other}
    key: {KEY_NAME}
acl:
  - id: update
    address: 127.0.0.1
    key: {KEY_NAME}
    action: [update, transfer]
  - id: notify
    address: 127.0.0.1
    key: {KEY_NAME}
    action: notify
zone:
  - domain: {ZONE}
    storage: {folder}/storage
    zonefile-sync: -1
    journal-content: all
    journal-max-depth: 100000
    {zone}
"#,
        port = place.port,
        other = place.other,
        folder = place.folder.display(),
    );
    let path = place.folder.join(CONFIGURATION);
    write(&path, &configuration)?;
    Ok(vec!["-c".to_owned(), path.display().to_string()])
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn run(program: &Path, arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    process::run_checked(program, &arguments)
}
