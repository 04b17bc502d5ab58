//! A cluster of micro-VMs for a test, and what clients do with it.

use einhorn_harness::{
    Client, KEY, Ran, Reply, SITES, SignedRequest, ZONE, ZONE_FILE, address, await_that,
    changes_of_names, free_address, key, now_seconds, optional_peer, record, run, transfer,
    update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, Record, RecordType};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");
/// Says which program goes into the image; `cargo xtask test unicorn` does.
const PROGRAM: &str = "EINHORN_UNICORN_PROGRAM";
/// More than a site lets a request wait.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
/// How long a client insists.
const INSIST_MAX: Duration = Duration::from_secs(60);
/// How long it waits after an answer that says to try again.
const INSIST_PAUSE: Duration = Duration::from_millis(50);
/// Clusters run one after the other, and build their image one after the other.
static TURN: Mutex<()> = Mutex::new(());
static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// Sites, each in a machine. They end when this is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    image: PathBuf,
    dns: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Builds the image, and a description of as many sites as there are faults, whose zone has this acknowledgement
    /// level, and whose machines have these faults; `None`, said loudly, where there is no QEMU or no program for it.
    pub(crate) fn describe(ack: &str, faults: &[&str]) -> Option<Cluster> {
        optional_peer("qemu-system-x86_64")?;
        let Some(program) = std::env::var_os(PROGRAM).map(PathBuf::from) else {
            eprintln!("SKIPPED: {PROGRAM} names no program; run `cargo xtask test unicorn`");
            return None;
        };
        // A failed test leaves nothing half done.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The kernel's package stays beside the program, and is fetched once.
        let image = program.parent().expect("a folder").join("image");
        run(Command::new(EINHORN)
            .args(["unicorn", "image", "build", "--binary"])
            .arg(&program)
            .arg("--output")
            .arg(&image))
        .good();
        // The paths of sockets are short.
        let folder = tempfile::Builder::new().prefix("eu-").tempdir_in("/tmp").expect("a folder");
        let addresses = || faults.iter().map(|_| free_address()).collect();
        let cluster = Cluster { folder, image, dns: addresses(), http: addresses(), _turn: turn };
        cluster.write_files(&cluster.image, ack, faults);
        Some(cluster)
    }

    fn write_files(&self, image: &Path, ack: &str, faults: &[&str]) {
        let write = |name: &str, text: &str| {
            fs::write(self.folder.path().join(name), text).expect("a file");
        };
        let secret = KEY.rsplit(':').next().unwrap_or_default();
        let keys = format!(
            "[[key]]\nname = \"phone.\"\nsecret = \"{secret}\"\n[[grant]]\nkey = \"phone.\"\nzone = \"*\"\nnames = [\"*\"]\ntransfer = true\n"
        );
        let zone = format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\nack = \"{ack}\"\n");
        write("others.toml", &keys);
        write("first.toml", &(keys + &zone));
        write("fleet.zone", ZONE_FILE);
        let mut text = format!("image = \"{}\"\n", image.display());
        for (place, name) in SITES.iter().take(faults.len()).enumerate() {
            let (dns, http) = (self.dns[place], self.http[place]);
            let (config, files) = match place {
                0 => ("first.toml", "files = [\"fleet.zone\"]\n"),
                _ => ("others.toml", ""),
            };
            text += &format!(
                "[[site]]\nname = \"{name}\"\ndns = \"{dns}\"\nhttp = \"{http}\"\nconfig = \"{config}\"\n{files}[site.faults]\n{}\n",
                faults[place]
            );
        }
        write("cluster.toml", &text);
    }

    /// Starts all machines, and waits until their sites are one cluster.
    pub(crate) fn up(&self) {
        let file = self.folder.path().join("cluster.toml");
        let ran = self.order(&["up", &file.display().to_string()]);
        eprintln!("{}", ran.good());
    }

    /// Runs `einhorn unicorn ARGUMENTS`.
    pub(crate) fn order(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path().join("c");
        run(Command::new(EINHORN).arg("unicorn").arg("--dir").arg(folder).args(arguments))
    }

    /// Where a site answers DNS on the host.
    pub(crate) fn dns(&self, site: usize) -> SocketAddr {
        self.dns[site]
    }

    /// The folder of a site on the host.
    pub(crate) fn data(&self, site: usize) -> PathBuf {
        self.folder.path().join("c").join(SITES[site])
    }

    /// The folder of the image.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// What `einhorn unicorn status --json` says of the machine of a site.
    pub(crate) fn machine(&self, site: usize) -> Value {
        let ran = self.order(&["status", "--json"]).good();
        let status: Value = serde_json::from_str(&ran).expect("JSON");
        status["machines"][site].clone()
    }

    /// Runs `einhorn ARGUMENTS --data` on a site.
    pub(crate) fn operate(&self, site: usize, arguments: &[&str]) -> Ran {
        run(Command::new(EINHORN).args(arguments).arg("--data").arg(self.data(site)))
    }

    /// What a site says of itself and the others (`einhorn status --json`).
    pub(crate) fn status(&self, site: usize) -> Result<Value, String> {
        let ran = self.operate(site, &["status", "--json"]);
        serde_json::from_str(&ran.stdout).map_err(|error| format!("{error}: {}", ran.stderr))
    }

    /// Waits until every site sees all others, lacks nothing of them and serves the same serial.
    pub(crate) fn settle(&self) {
        await_that("sites that have everything of each other", || {
            let mut serials = Vec::new();
            for (site, name) in SITES.iter().take(self.dns.len()).enumerate() {
                let status = self.status(site)?;
                let list = |of: &str| status[of].as_array().cloned().unwrap_or_default();
                let away = list("sites").iter().any(|site| site["state"] == "away");
                let lacks =
                    list("lags").iter().any(|lag| lag["held"].as_u64() < lag["known"].as_u64());
                if away || lacks || !status["problem"].is_null() {
                    return Err(format!("{name}: {status:#}"));
                }
                serials.push(status["zones"][0]["serial"].clone());
            }
            match serials.iter().all(|serial| *serial == serials[0]) {
                true => Ok(()),
                false => Err(format!("serials {serials:?}")),
            }
        });
    }

    /// All sites give the same zone with these addresses in it, and their ledgers tell one history.
    pub(crate) fn check(&self, acknowledged: &[(String, u32)]) {
        self.settle();
        let zones: Vec<_> = self.dns.iter().map(|dns| transfer(*dns)).collect();
        assert!(zones.iter().all(|zone| *zone == zones[0]), "{zones:#?}");
        for (label, value) in acknowledged {
            for dns in &self.dns {
                assert_eq!(values(*dns, label), [*value], "{label} at {dns}");
            }
        }
        let changes = await_that("a whole history", || {
            let log = |site: usize| Ok((SITES[site].to_owned(), self.entries(site)?));
            let logs: Vec<_> = (0..self.dns.len()).map(log).collect::<Result<_, String>>()?;
            changes_of_names(&logs)
        });
        eprintln!("{changes} changes of names in the ledgers, each once");
        assert!(changes >= acknowledged.len());
    }

    /// All entries in the ledger of a site, as it serves and signs them.
    fn entries(&self, site: usize) -> Result<Vec<Value>, String> {
        let key = fs::read_to_string(self.data(site).join("ledger.vkey")).expect("a key");
        let url = format!("http://{}/ledger/{}/", self.http[site], SITES[site]);
        let ran = run(Command::new(EINHORN).args([
            "ledger",
            "export",
            "--url",
            &url,
            "--vkey",
            key.trim(),
        ]));
        if ran.code != Some(0) {
            return Err(ran.stderr);
        }
        let json =
            |line: &str| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"));
        ran.stdout.lines().map(json).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for site in &SITES[..self.dns.len()] {
                eprintln!("---- {site} has said\n{}", self.order(&["logs", site]).stdout);
            }
        }
        // What runs no more has nothing to end.
        let ended = self.order(&["down"]);
        eprintln!("{}{}", ended.stdout, ended.stderr);
    }
}

/// A signed update that replaces the addresses of `label`.
pub(crate) fn set(label: &str, value: u32) -> Vec<u8> {
    let owner = format!("{label}.{ZONE}");
    signed(&[
        record(&owner, RecordType::A, Class::ANY, 0, &[]),
        address(&owner, value.to_be_bytes()),
    ])
}

/// A signed update.
pub(crate) fn signed(updates: &[Record]) -> Vec<u8> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    SignedRequest::new(update_message(id, ZONE, &[], updates, None), &key(), now_seconds()).octets
}

/// Sends a message once; `None` when no answer comes.
pub(crate) fn send(dns: SocketAddr, octets: &[u8]) -> Option<Rcode> {
    Some(Reply::parse(Client::new(dns).udp_within(octets, ANSWER_TIME_MAX)?).rcode)
}

/// Sends the same message again until it is acknowledged.
pub(crate) fn change(dns: SocketAddr, octets: &[u8]) {
    let end = Instant::now() + INSIST_MAX;
    loop {
        let last = send(dns, octets);
        match last {
            Some(Rcode::NOERROR) => return,
            None | Some(Rcode::SERVFAIL) if Instant::now() < end => {
                std::thread::park_timeout(INSIST_PAUSE);
            }
            _ => panic!("{last:?} from {dns}"),
        }
    }
}

/// The addresses that a server has for `label`, as numbers.
pub(crate) fn values(dns: SocketAddr, label: &str) -> Vec<u32> {
    let reply = Client::new(dns).query(&format!("{label}.{ZONE}"), RecordType::A);
    let answers = reply.answers.iter();
    answers.map(|record| u32::from_be_bytes(record.rdata[..].try_into().expect("four"))).collect()
}
