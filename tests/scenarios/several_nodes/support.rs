//! A site of several nodes, each with proxies of its own between it and etcd's members.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use einhorn_harness::{
    Client, Etcd, KEY, Proxy, Reply, SignedRequest, Site, ZONE, ZONE_FILE, address, await_that,
    free_address, key, now_seconds, record, scratch, try_transfer, update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, Record, RecordType};
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub(super) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");
/// The site's keys in etcd.
const PREFIX: &str = "einhorn/berlin";
/// More than a node lets a request wait.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
/// How long a client waits for an answer before it asks somebody else.
const PATIENCE: Duration = Duration::from_secs(4);
static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// A node in its own folder, on addresses that it keeps.
pub(super) struct Node {
    pub(super) folder: PathBuf,
    pub(super) dns: SocketAddr,
    /// Where it takes requests of other nodes.
    relay: SocketAddr,
    /// Its ways to etcd's members.
    proxies: Vec<Proxy>,
    site: Option<Site>,
}

impl Node {
    pub(super) fn new(folder: &Path, name: &str, etcd: &Etcd) -> Node {
        let members = 0..etcd.endpoints().len();
        let proxies = members.map(|number| Proxy::start(etcd.address(number))).collect();
        let (dns, relay) = (free_address(), free_address());
        let node = Node { folder: folder.join(name), dns, relay, proxies, site: None };
        fs::create_dir_all(node.data()).expect("a folder");
        fs::write(node.folder.join("fleet.zone"), ZONE_FILE).expect("the zone file");
        fs::write(node.config(), node.text(true)).expect("the configuration");
        fs::write(node.alone_config(), node.text(false)).expect("the configuration");
        node
    }

    fn text(&self, is_in_etcd: bool) -> String {
        let secret = KEY.rsplit(':').next().expect("a secret");
        let endpoints: Vec<_> =
            self.proxies.iter().map(|proxy| format!("http://{}", proxy.address)).collect();
        let etcd = format!("[etcd]\nendpoints = {endpoints:?}\nlisten = \"{}\"\n", self.relay);
        format!(
            "site = \"berlin\"\ndata = \"data\"\nlisten = [\"{}\"]\n{}\
             [[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n\
             [[key]]\nname = \"phone.\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{secret}\"\n\
             [[grant]]\nkey = \"phone.\"\nzone = \"{ZONE}\"\nnames = [\"*\"]\ntransfer = true\n",
            self.dns,
            if is_in_etcd { etcd } else { String::new() }
        )
    }

    /// The configuration with etcd.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("einhorn.toml")
    }

    /// The one without it.
    pub(super) fn alone_config(&self) -> PathBuf {
        self.folder.join("alone.toml")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn start(&mut self) -> &Site {
        let config = self.config();
        self.start_as(&config).unwrap_or_else(|said| panic!("{said}"));
        self.site()
    }

    pub(super) fn start_as(&mut self, config: &Path) -> Result<(), String> {
        let mut command = Command::new(EINHORN);
        command.args(["serve", "--config"]).arg(config);
        self.site = Some(Site::spawn(command, self.data())?);
        Ok(())
    }

    pub(super) fn site(&self) -> &Site {
        self.site.as_ref().expect("it runs")
    }

    pub(super) fn is_running(&self) -> bool {
        self.site.is_some()
    }

    pub(super) fn kill(&mut self) {
        self.site.take().expect("it runs").kill();
    }

    pub(super) fn stop(&mut self) -> Option<i32> {
        self.site.take().expect("it runs").stop()
    }

    /// Cuts it off from etcd, or lets it go back.
    pub(super) fn cut_off(&self, is_cut: bool) {
        self.proxies.iter().for_each(|it| if is_cut { it.fall_silent() } else { it.speak() });
    }

    /// Gives it the site's key, which only the node that began the log has.
    pub(super) fn take_key_of(&self, other: &Node) {
        for file in ["ledger.key", "ledger.vkey"] {
            fs::copy(other.data().join(file), self.data().join(file)).expect("the keys");
        }
    }
}

/// A site of three nodes on an etcd of three members.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) etcd: Etcd,
    pub(super) folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts all nodes; the first of them leads. `None`, said loudly, where etcd is not installed.
    pub(super) fn start(arguments: &[&str]) -> Option<Cluster> {
        let folder = scratch();
        let etcd = Etcd::start(folder.path(), 3, arguments)?;
        let names = ["first", "second", "third"];
        let nodes = names.iter().map(|name| Node::new(folder.path(), name, &etcd)).collect();
        let mut cluster = Cluster { nodes, etcd, folder };
        cluster.nodes[0].start();
        for number in 1..3 {
            cluster.nodes[number].take_key_of(&cluster.nodes[0]);
            cluster.nodes[number].start();
        }
        Some(cluster)
    }

    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.dns).collect()
    }

    /// The number of the node that leads, as etcd says; waits for one.
    pub(super) fn leader(&self) -> usize {
        await_that("a node that leads", || self.try_leader())
    }

    fn try_leader(&self) -> Result<usize, String> {
        let wanted = json!({ "key": STANDARD.encode(format!("{PREFIX}/leader")) });
        let members = 0..self.etcd.endpoints().len();
        let asked = members.map(|number| self.etcd.post(number, "/v3/kv/range", &wanted));
        let found = asked.filter_map(Result::ok).next().ok_or("no member answers")?;
        let value = found["kvs"][0]["value"].as_str().ok_or("nobody")?;
        let name = STANDARD.decode(value).map_err(|error| error.to_string())?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let leads = |node: &Node| node.relay.to_string() == name;
        self.nodes.iter().position(leads).ok_or(name)
    }

    /// Waits until another node than `number` leads.
    pub(super) fn await_other_leader(&self, number: usize) -> usize {
        await_that("another node that leads", || match self.try_leader()? {
            same if same == number => Err("the same one leads".to_owned()),
            other => Ok(other),
        })
    }

    /// Waits until all running nodes have the same zone, and gives its serial and its records.
    pub(super) fn await_equal(&self) -> (u32, Vec<String>) {
        await_that("the same zone at all nodes", || {
            let running = self.nodes.iter().filter(|node| node.is_running());
            let zones: Result<Vec<_>, _> = running
                .map(|node| {
                    let zone = try_transfer(node.dns);
                    zone.map_err(|error| format!("{}: {error}: {}", node.dns, node.site().stderr()))
                })
                .collect();
            let mut zones = zones?;
            let first = zones.pop().ok_or("no node runs")?;
            match zones.iter().all(|zone| *zone == first) {
                true => Ok(first),
                false => Err(format!(
                    "serials {:?} and {}",
                    zones.iter().map(|zone| zone.0).collect::<Vec<_>>(),
                    first.0
                )),
            }
        })
    }
}

/// A signed update that adds one address, and one that may be sent again and again.
pub(super) fn add(label: &str, value: u32) -> Vec<u8> {
    signed(&[], &[address(&format!("{label}.{ZONE}"), value.to_be_bytes())])
}

/// The same for a name that nobody has.
pub(super) fn add_new(label: &str, value: u32) -> Vec<u8> {
    let owner = format!("{label}.{ZONE}");
    let absent = record(&owner, RecordType::ANY, Class::NONE, 0, &[]);
    signed(&[absent], &[address(&owner, value.to_be_bytes())])
}

pub(super) fn signed(prerequisites: &[Record], updates: &[Record]) -> Vec<u8> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let octets = update_message(id, ZONE, prerequisites, updates, None);
    SignedRequest::new(octets, &key(), now_seconds()).octets
}

/// Sends a message once; `None` when no answer comes.
pub(super) fn send(server: SocketAddr, octets: &[u8]) -> Option<Rcode> {
    Some(Reply::parse(Client::new(server).udp_within(octets, PATIENCE)?).rcode)
}

/// The addresses that a server has for `label`.
pub(super) fn values(server: SocketAddr, label: &str) -> Vec<u32> {
    let reply = Client::new(server).query(&format!("{label}.{ZONE}"), RecordType::A);
    let number = |record: &Record| record.rdata[..].try_into().map(u32::from_be_bytes);
    reply.answers.iter().map(|record| number(record).expect("an address")).collect()
}
