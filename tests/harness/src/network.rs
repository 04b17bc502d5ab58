//! A network of its own for several sites: a namespace and a pair of virtual interfaces for each,
//! joined by a bridge, so that links between sites can be cut while clients reach all of them.
//!
//! Addresses are from 198.18.0.0/15, which no real network uses (RFC 2544, appendix C.2.2).

use crate::peers::optional_peer;
use crate::run::{Ran, run};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Networks that can exist at once.
const NETWORKS_MAX: u8 = 250;
/// The last octet of the address of the host, where the tests' clients are.
const HOST: u8 = 254;

/// A network. Removed when dropped.
pub struct Network {
    number: u8,
    sites: u8,
    ip: PathBuf,
}

impl Network {
    /// A network for so many sites; `None`, said loudly, where that cannot be had: it takes an
    /// administrator, `ip` (Debian: iproute2) and `nft` (Debian: nftables).
    ///
    /// # Panics
    /// When it could be had, but something goes wrong.
    pub fn new(sites: usize) -> Option<Network> {
        let ip = optional_peer("ip")?;
        optional_peer("nft")?;
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only an administrator can make network namespaces");
            return None;
        }
        let sites = u8::try_from(sites).expect("a few sites");
        for number in 1..NETWORKS_MAX {
            let network = Network { number, sites, ip: ip.clone() };
            if network.begin() {
                return network.is_usable().then_some(network);
            }
            // Another test's.
            std::mem::forget(network);
        }
        panic!("all {NETWORKS_MAX} test networks are in use");
    }

    /// Claims the number; false if another process has it.
    fn begin(&self) -> bool {
        let bridge = self.bridge();
        let alias = Path::new("/sys/class/net").join(&bridge).join("ifalias");
        if let Ok(owner) = std::fs::read_to_string(alias) {
            let is_stale =
                !owner.trim().is_empty() && !Path::new("/proc").join(owner.trim()).exists();
            if !is_stale {
                return false;
            }
            self.remove();
        }
        self.ip(&["link", "add", "name", &bridge, "type", "bridge"]).code == Some(0) && self.make()
    }

    /// Whether this machine could make all of it.
    fn is_usable(&self) -> bool {
        let nft = self.command(0, "nft").args(["list", "ruleset"]).output();
        let is_usable = nft.is_ok_and(|output| output.status.success());
        if !is_usable {
            eprintln!("SKIPPED: this machine cannot make network namespaces, bridges or filters");
        }
        is_usable
    }

    fn make(&self) -> bool {
        let bridge = self.bridge();
        let address = format!("{}/24", self.host());
        let owner = std::process::id().to_string();
        self.ip(&["link", "set", &bridge, "alias", &owner]);
        self.ip(&["addr", "add", &address, "dev", &bridge]);
        self.ip(&["link", "set", &bridge, "up"]);
        for site in 0..usize::from(self.sites) {
            let space = self.space(site);
            let (outer, address) = (format!("{space}v"), format!("{}/24", self.address(site)));
            self.ip(&["netns", "add", &space]);
            let pair = ["type", "veth", "peer", "name", "eth0", "netns", &space];
            self.ip(&[&["link", "add", "name", &outer][..], &pair].concat());
            self.ip(&["link", "set", &outer, "master", &bridge, "up"]);
            self.ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"]);
            self.ip(&["-n", &space, "link", "set", "eth0", "up"]);
            self.ip(&["-n", &space, "link", "set", "lo", "up"]);
        }
        // What is missing is found by `is_usable`.
        true
    }

    fn remove(&self) {
        for site in 0..usize::from(self.sites.max(8)) {
            let space = self.space(site);
            if Path::new("/run/netns").join(&space).exists() {
                self.ip(&["netns", "del", &space]);
            }
        }
        self.ip(&["link", "del", &self.bridge()]);
    }

    fn ip(&self, arguments: &[&str]) -> Ran {
        run(Command::new(&self.ip).args(arguments))
    }

    fn bridge(&self) -> String {
        format!("ehbr{}", self.number)
    }

    fn space(&self, site: usize) -> String {
        format!("eh{}-{site}", self.number)
    }

    /// The address of a site.
    pub fn address(&self, site: usize) -> IpAddr {
        let last = u8::try_from(site).expect("a few sites") + 1;
        Ipv4Addr::new(198, 18, self.number, last).into()
    }

    /// The address of the host.
    pub fn host(&self) -> IpAddr {
        Ipv4Addr::new(198, 18, self.number, HOST).into()
    }

    /// A command that runs `program` where the site is.
    pub fn command(&self, site: usize, program: &str) -> Command {
        let mut command = Command::new(&self.ip);
        command.args(["netns", "exec", &self.space(site), program]);
        command
    }

    /// Cuts every link between a site of `one` and a site of `other`: packets are dropped, as on
    /// a broken line. What was cut before is healed.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn cut(&self, one: &[usize], other: &[usize]) {
        self.heal();
        for (from, to) in [(one, other), (other, one)] {
            let list: Vec<_> = to.iter().map(|site| self.address(*site).to_string()).collect();
            let list = list.join(", ");
            let rules = format!(
                "table ip cut {{ chain in {{ type filter hook input priority 0; ip saddr {{ {list} }} drop; }}\n chain out {{ type filter hook output priority 0; ip daddr {{ {list} }} drop; }}\n }}"
            );
            for site in from {
                run(self.command(*site, "nft").arg(&rules)).good();
            }
        }
    }

    /// Heals every link.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn heal(&self) {
        for site in 0..usize::from(self.sites) {
            run(self.command(site, "nft").args(["flush", "ruleset"])).good();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}
