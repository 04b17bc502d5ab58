//! An edge as a real process before three real sites.

use crate::sites::history;
use crate::sites::support::{EINHORN, fleet};
use einhorn_harness::{Fleet, KEY, Ran, Site, ZONE, free_address, run};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

/// The edge's key at the sites.
const EDGE_KEY: &str = "edge.";

/// Three sites and an edge before them.
pub(crate) struct Edged {
    /// Killed before the sites, which its folder belongs to.
    edge: Option<Site>,
    pub(crate) fleet: Fleet,
    address: SocketAddr,
    data: PathBuf,
    config: PathBuf,
}

impl Edged {
    /// Starts the sites, makes the edge known to them, and starts it; `more` goes into its
    /// configuration.
    pub(crate) fn start(ack: &str, more: &str) -> Edged {
        let fleet = fleet(ack);
        let secret = KEY.rsplit(':').next().unwrap_or_default();
        let edge = format!("[[key]]\nname = \"{EDGE_KEY}\"\nsecret = \"{secret}\"\n");
        for site in 0..fleet.count() {
            let config = fleet.config(site);
            let made = fs::read_to_string(&config).expect("a configuration");
            let grant = format!(
                "[[edge]]\nkey = \"{EDGE_KEY}\"\ndevices = [\"phone.\"]\n[[grant]]\nkey = \"{EDGE_KEY}\"\nzone = \"*\"\nnames = [\"*\"]\n"
            );
            fs::write(&config, made + &edge + &grant).expect("the configuration");
            fleet.operate(site, &["reload"]).good();
        }
        let (address, data) = (free_address(), fleet.folder().join("edge"));
        let mut text = format!(
            "data = \"{}\"\nlisten = [\"{address}\"]\nedge-key = \"{EDGE_KEY}\"\n{more}\n{edge}[[key]]\nname = \"phone.\"\nsecret = \"{secret}\"\n",
            data.display()
        );
        for site in 0..fleet.count() {
            let (name, dns) = (fleet.name(site), fleet.dns(site));
            text += &format!("[[site]]\nname = \"{name}\"\naddress = \"{dns}\"\n");
        }
        let config = fleet.folder().join("edge.toml");
        fs::write(&config, text).expect("the edge's configuration");
        let mut edged = Edged { edge: None, fleet, address, data, config };
        edged.start_edge();
        edged
    }

    /// Starts the edge, which is not running, and waits until it knows a site.
    pub(crate) fn start_edge(&mut self) {
        let mut command = Command::new(EINHORN);
        command.env("EINHORN_LOG", "info").args(["edge", "--config"]).arg(&self.config);
        let running = Site::spawn(command, self.data.clone());
        self.edge = Some(running.unwrap_or_else(|said| panic!("the edge is not ready: {said}")));
    }

    /// kill -9.
    pub(crate) fn kill_edge(&mut self) {
        self.edge.take().expect("a running edge").kill();
    }

    /// Where devices send updates.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.address
    }

    /// `einhorn edge status`.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(EINHORN);
        run(command.args(["edge", "status", "--data"]).arg(&self.data).args(arguments))
    }

    /// What the edge says of itself.
    pub(crate) fn status(&self) -> Result<Value, String> {
        let ran = self.operate(&["--json"]);
        if ran.code != Some(0) {
            return Err(ran.stderr);
        }
        serde_json::from_str(&ran.stdout).map_err(|error| format!("{error}: {}", ran.stdout))
    }

    /// Waits until the edge says of itself what `look` wants.
    pub(crate) fn await_status(&self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        einhorn_harness::await_that(&format!("the edge: {what}"), || {
            let status = self.status()?;
            if look(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Waits until the edge has sent on everything.
    pub(crate) fn await_empty(&self) {
        self.await_status("an empty queue", |status| status["queued"] == 0);
    }

    /// Owner, version and new address of every change that a device made, in the order of each name.
    pub(crate) fn changes_of_devices(&self) -> Vec<(String, u64, u32)> {
        let mut changes = Vec::new();
        for site in 0..self.fleet.count() {
            let entries = history::entries(&self.fleet, site).expect("a ledger");
            for change in entries.iter().flat_map(history::changes) {
                let is_devices = change["who"] == "key phone.";
                let names = change["names"].as_array().into_iter().flatten().filter(|_| is_devices);
                changes.extend(names.map(|name| {
                    let line = name["after"][0].as_str().unwrap_or_default();
                    let address: Option<Ipv4Addr> =
                        line.split_whitespace().last().and_then(|word| word.parse().ok());
                    let address = address.unwrap_or_else(|| panic!("no address in {name}"));
                    let owner = name["owner"].as_str().unwrap_or_default().to_owned();
                    (owner, name["version"].as_u64().unwrap_or_default(), address.to_bits())
                }));
            }
        }
        changes.sort();
        changes
    }
}

/// A name of the zone.
pub(crate) fn owner(label: &str) -> String {
    format!("{label}.{ZONE}")
}
