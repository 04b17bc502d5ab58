//! The three sites of the demonstration: their folders, and a process for each, which is this
//! program itself. They end when this process does, however it ends, since each waits for the end
//! of its standard input.

use super::{KEY_NAME, ZONE, ZONE_FILE, demo_key};
use crate::init::{CONFIG_FILE, card_file, make_local};
use crate::{Failure, Outcome};
use einhorn_ingress::control::{self, Answer, Command as Ask, SiteCommand, SiteStatus};
use einhorn_node::config::Config;
use einhorn_wire::tsig::Key;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The sites; the others join the first one, which decides on the zones.
pub(super) const NAMES: [&str; 3] = ["berlin", "frankfurt", "muenchen"];
/// A zone whose changes are acknowledged when every site has them.
pub(super) const ALL_ZONE: &str = "sync.example.";
/// A zone whose addresses bring their PTR records with them, and the zone of these.
pub(super) const PHONE_ZONE: &str = "phones.example.";
pub(super) const REVERSE_ZONE: &str = "2.0.192.in-addr.arpa.";
/// A zone that joins changes of flapping names, and leaves contested ones to a person.
pub(super) const CARE_ZONE: &str = "care.example.";
/// For how long it holds changes, in milliseconds.
pub(super) const COALESCE_MS: u16 = 300;
/// Somebody else's key.
pub(super) const OTHER_KEY_NAME: &str = "other.";
/// A zone with nothing in it yet.
const EMPTY_ZONE_FILE: &str = "@ 300 SOA ns.fleet.example. hostmaster.fleet.example. 2026010100 3600 600 86400 60\n@ 300 NS ns.fleet.example.\n";
/// Names of the files of keys and zones in the folder of the demonstration.
pub(super) struct ZoneFiles {
    /// The demonstration's own key, and somebody else's.
    pub(super) keys: [&'static str; 2],
    /// A zone with hosts.
    pub(super) full: &'static str,
    /// See [`EMPTY_ZONE_FILE`].
    pub(super) empty: &'static str,
}
pub(super) const ZONE_FILES: ZoneFiles =
    ZoneFiles { keys: ["demo.key", "other.key"], full: "fleet.example.zone", empty: "empty.zone" };
/// Ports of each site: DNS, HTTP, links.
pub(super) const PORTS_EACH: u16 = 3;
/// Ports for listening are looked for from here on, below those that systems give to connections.
const FREE_PORTS: std::ops::Range<u16> = 10_000..32_000;
/// Places that are tried.
const FREE_ATTEMPTS: usize = 200;
/// How long anything that is awaited may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long sites may take to end in order.
const STOP_MAX: Duration = Duration::from_secs(10);

/// One site.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) data: PathBuf,
    pub(super) dns: SocketAddr,
    pub(super) http: SocketAddr,
    /// What it says.
    pub(super) log: PathBuf,
}

/// The processes, while they run.
#[derive(Default)]
struct Processes {
    children: [Option<Child>; NAMES.len()],
    /// No more are to be started.
    is_over: bool,
}

/// All sites.
pub(super) struct Fleet {
    pub(super) key: Arc<Key>,
    /// Somebody else's.
    pub(super) other_key: Arc<Key>,
    pub(super) key_file: PathBuf,
    pub(super) members: Vec<Member>,
    processes: Mutex<Processes>,
}

impl Fleet {
    /// Makes the folders of those sites that have none.
    pub(super) fn prepare(folder: &Path, port_base: Option<u16>) -> Result<Fleet, Failure> {
        let trouble = |error: std::io::Error| {
            Failure::finding(format!("cannot use {}: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(trouble)?;
        let folder = folder.canonicalize().map_err(trouble)?;
        let key_file = folder.join(ZONE_FILES.keys[0]);
        let key = Arc::new(demo_key(&key_file, KEY_NAME)?);
        let other_key_file = folder.join(ZONE_FILES.keys[1]);
        let other_key = Arc::new(demo_key(&other_key_file, OTHER_KEY_NAME)?);
        let zone_file = folder.join(ZONE_FILES.full);
        let empty_zone_file = folder.join(ZONE_FILES.empty);
        write_zone_files(&folder).map_err(trouble)?;
        let is_new = |name: &&str| !folder.join(name).join(CONFIG_FILE).is_file();
        let base = match port_base {
            Some(base) => base,
            None if NAMES.iter().any(is_new) => free_ports()?,
            None => FREE_PORTS.start,
        };
        if base.checked_add(PORTS_EACH * NAMES.len() as u16 - 1).is_none() || base == 0 {
            return Err(Failure::usage("--port-base: the ports are from 1 to 65535"));
        }
        let mut members = Vec::new();
        for (name, first_port) in NAMES.into_iter().zip((base..).step_by(PORTS_EACH.into())) {
            let data = folder.join(name);
            let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, first_port + offset));
            if is_new(&name) {
                let is_first = name == NAMES[0];
                let first_card = folder.join(NAMES[0]).join(card_file(NAMES[0]));
                let keys = [(KEY_NAME, &*key_file), (OTHER_KEY_NAME, &*other_key_file)];
                let mut more = keys_config(keys);
                if is_first {
                    more += &zones_config(&zone_file, &empty_zone_file);
                }
                let join = (!is_first).then_some(first_card);
                make_local(name, &data, [at(0), at(1), at(2)], join, &more)?;
            }
            let config = Config::load(&data.join(CONFIG_FILE)).map_err(Failure::finding)?;
            let (Some(&dns), Some(http)) = (config.listen.first(), config.http) else {
                return Err(Failure::finding(format!("the site {name} has no addresses")));
            };
            if port_base.is_some() && dns != at(0) {
                return Err(Failure::usage(format!(
                    "--port-base {base}: the sites in {} have their ports already; leave it out",
                    folder.display()
                )));
            }
            let log = folder.join(format!("{name}.log"));
            members.push(Member { name, data, dns, http, log });
        }
        Ok(Fleet::of(members, key, other_key, key_file))
    }

    /// Sites that are there.
    pub(super) fn of(
        members: Vec<Member>,
        key: Arc<Key>,
        other_key: Arc<Key>,
        key_file: PathBuf,
    ) -> Fleet {
        Fleet { key, other_key, key_file, members, processes: Mutex::default() }
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts all sites, and waits until they are one cluster.
    pub(super) fn start(&self) -> Outcome {
        for site in 0..NAMES.len() {
            self.spawn(site)?;
        }
        for site in 0..NAMES.len() {
            self.await_ready(site)?;
        }
        for member in &self.members[1..] {
            let path = member.data.join(card_file(member.name));
            let card = fs::read_to_string(&path).map_err(Failure::finding)?;
            crate::source::ask(&self.members[0].data, &Ask::Site(SiteCommand::Add { card }))?;
        }
        self.await_together()
    }

    /// Starts one site.
    pub(super) fn spawn(&self, site: usize) -> Outcome {
        let member = &self.members[site];
        let trouble = |error: std::io::Error| {
            Failure::finding(format!("cannot start the site {}: {error}", member.name))
        };
        let log = fs::File::options().create(true).append(true).open(&member.log);
        let mut command = Command::new(std::env::current_exe().map_err(trouble)?);
        command
            .args(["serve", "--exit-with-stdin", "--config"])
            .arg(member.data.join(CONFIG_FILE))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.map_err(trouble)?)
            // Ctrl-C is for the demonstration, which then ends its sites in order.
            .process_group(0);
        let mut processes = self.processes();
        if processes.is_over {
            return Err(Failure::finding("the demonstration is over"));
        }
        processes.children[site] = Some(command.spawn().map_err(trouble)?);
        Ok(())
    }

    /// Waits until a site answers.
    pub(super) fn await_ready(&self, site: usize) -> Outcome {
        let member = &self.members[site];
        await_that(&format!("the site {} is ready", member.name), || {
            if let Some(child) = &mut self.processes().children[site]
                && let Some(status) = child.try_wait().map_err(Failure::finding)?
            {
                return Err(Failure::finding(format!(
                    "the site {} has ended ({status}): {}",
                    member.name,
                    last_line(&member.log)
                )));
            }
            Ok(self.status(site).map(drop))
        })
    }

    /// What a running site says of itself and the others.
    pub(super) fn status(&self, site: usize) -> Option<SiteStatus> {
        match control::ask(&self.members[site].data, &Ask::Status) {
            Ok(Answer::Status { status }) => Some(*status),
            _ => None,
        }
    }

    /// Waits until every site sees the others and has all entries of each.
    pub(super) fn await_together(&self) -> Outcome {
        await_that("every site has everything of the others", || {
            let statuses: Option<Vec<_>> = (0..NAMES.len()).map(|site| self.status(site)).collect();
            let is_whole = statuses.is_some_and(|statuses| statuses.iter().all(has_all));
            Ok(is_whole.then_some(()))
        })
    }

    /// The process of a site; 0 for one that does not run.
    pub(super) fn pid(&self, site: usize) -> u32 {
        self.processes().children[site].as_ref().map_or(0, Child::id)
    }

    /// Ends a site at once (SIGKILL).
    pub(super) fn kill(&self, site: usize) -> Outcome {
        let child = self.processes().children[site].take();
        let Some(mut child) = child else { return Ok(()) };
        child.kill().and_then(|()| child.wait()).map_err(Failure::finding)?;
        Ok(())
    }

    /// Ends all sites in order, and lets none be started any more.
    pub(super) fn stop(&self) {
        let mut processes = self.processes();
        processes.is_over = true;
        let mut children: Vec<Child> =
            processes.children.iter_mut().filter_map(Option::take).collect();
        // The end of its standard input tells each.
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        let deadline = Instant::now() + STOP_MAX;
        for child in &mut children {
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    // One that is gone by now needs it no more.
                    let _ = child.kill();
                }
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
    }

    /// The number of the site in this place.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a site misses nobody and nothing.
fn has_all(status: &SiteStatus) -> bool {
    let is_there = |zone: &str| status.zones.iter().any(|one| one.zone == zone && one.serial > 0);
    status.problem.is_none()
        && status.sites.len() == NAMES.len()
        && status.sites.iter().all(|site| site.state != "away")
        && status.lags.iter().all(|lag| lag.held >= lag.known && lag.problem.is_none())
        && [ZONE, ALL_ZONE, PHONE_ZONE, REVERSE_ZONE, CARE_ZONE].into_iter().all(is_there)
}

/// Writes the zones as they begin.
pub(super) fn write_zone_files(folder: &Path) -> std::io::Result<()> {
    fs::write(folder.join(ZONE_FILES.full), ZONE_FILE)?;
    fs::write(folder.join(ZONE_FILES.empty), EMPTY_ZONE_FILE)
}

/// Who may do what.
pub(super) fn keys_config(keys: [(&str, &Path); 2]) -> String {
    let one = |(name, file): (&str, &Path)| {
        let file = file.display();
        format!(
            "\n[[key]]\nfile = \"{file}\"\n\n[[grant]]\nkey = \"{name}\"\nzone = \"*\"\nnames = [\"*\"]\ntransfer = true\n"
        )
    };
    keys.map(one).concat()
}

/// The zones, at the site that decides on them.
pub(super) fn zones_config(zone_file: &Path, empty_zone_file: &Path) -> String {
    let care = format!("coalesce-ms = {COALESCE_MS}\ncontested = \"review\"");
    let zones = [
        (ZONE, zone_file, "ack = \"local\""),
        (ALL_ZONE, zone_file, "ack = \"all\""),
        (PHONE_ZONE, empty_zone_file, "reverse = \"auto\""),
        (REVERSE_ZONE, empty_zone_file, ""),
        (CARE_ZONE, empty_zone_file, &care),
    ];
    let one = |(name, file, more): (&str, &Path, &str)| {
        let file = file.display();
        format!("\n[[zone]]\nname = \"{name}\"\nfile = \"{file}\"\n{more}\n")
    };
    zones.map(one).concat()
}

/// The first of enough ports in a row that were free a moment ago.
pub(super) fn free_ports() -> Result<u16, Failure> {
    let count = PORTS_EACH * NAMES.len() as u16;
    let mut random = [0; 2];
    for _ in 0..FREE_ATTEMPTS {
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(Failure::finding)?;
        let first = FREE_PORTS.start + u16::from_ne_bytes(random) % FREE_PORTS.len() as u16;
        let is_free = |port: u16| {
            let address = (Ipv4Addr::LOCALHOST, port);
            Some((TcpListener::bind(address).ok()?, UdpSocket::bind(address).ok()?))
        };
        let held: Option<Vec<_>> = (first..first + count).map(is_free).collect();
        if held.is_some() {
            return Ok(first);
        }
    }
    Err(Failure::finding(format!("no {count} free ports in a row: give --port-base")))
}

fn last_line(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next_back().unwrap_or("it has said nothing").to_owned()
}

/// Waits for what `look` gives.
pub(super) fn await_that<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::finding(format!("not so within {seconds} s: {what}")));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
