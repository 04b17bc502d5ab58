//! The configuration of an edge: one TOML file, checked as a whole before anything starts.

use einhorn_core::model::settings::Prefix;
use einhorn_wire::tsig::{Key, KeyRing};
use einhorn_wire::{Name, key_file};
use serde::Deserialize;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Updates kept at most if nothing else is configured: about 50 MB.
const QUEUE_MAX: usize = 100_000;
/// How long a device waits at most if nothing else is configured, in milliseconds: less than clients
/// wait before they ask again.
const DEADLINE_MS: u64 = 2_500;
/// Time between two probes of a site if nothing else is configured, in milliseconds.
const PROBE_MS: u64 = 200;
/// TTL of addresses of leases if nothing else is configured, in seconds.
const LEASE_TTL_SECONDS: u32 = 300;
/// Sites at most.
const SITES_MAX: usize = 64;

/// What an edge is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the queue.
    pub data: PathBuf,
    /// Addresses for DNS over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The edge's own key, which the sites know as one.
    pub key: Arc<Key>,
    /// The devices' keys.
    pub keys: KeyRing,
    /// The sites.
    pub sites: Vec<SiteConfig>,
    /// Whether devices are told that an update is done when it is kept here and no site answers.
    pub accept: bool,
    /// Updates kept at most.
    pub queue_max: usize,
    /// How long a device waits at most, in milliseconds.
    pub deadline_ms: u64,
    /// Time between two probes of a site, in milliseconds.
    pub probe_ms: u64,
    /// Who may send updates without a signature, and under which key's name.
    pub unsigned: Vec<Unsigned>,
    /// Lease files of DHCP servers.
    pub leases: Vec<LeasesConfig>,
}

/// A DHCP server's file of leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasesConfig {
    /// The file.
    pub file: PathBuf,
    /// Who writes it.
    pub format: LeaseFormat,
    /// The zone that hosts get their names in.
    pub zone: Name,
    /// TTL of their addresses, in seconds.
    pub ttl: u32,
}

/// Who writes a file of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseFormat {
    /// ISC dhcpd.
    Dhcpd,
    /// Kea's memfile backend, IPv4 or IPv6.
    Kea,
}

/// A site to send updates to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// For people.
    pub name: String,
    /// Where it listens for DNS.
    pub address: SocketAddr,
}

/// Devices that cannot sign.
#[derive(Debug, Clone)]
pub struct Unsigned {
    networks: Vec<Prefix>,
    /// The zone that they may change.
    zone: Name,
    /// The name of the key whose grants count at the sites.
    key: Name,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConfig {
    data: PathBuf,
    listen: Vec<SocketAddr>,
    edge_key: String,
    #[serde(default)]
    queue: Queue,
    queue_max: Option<usize>,
    deadline_ms: Option<u64>,
    probe_ms: Option<u64>,
    #[serde(default, rename = "site")]
    sites: Vec<RawSite>,
    #[serde(default, rename = "key")]
    keys: Vec<RawKey>,
    #[serde(default)]
    unsigned: Vec<RawUnsigned>,
    #[serde(default)]
    leases: Vec<RawLeases>,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Queue {
    #[default]
    Refuse,
    Accept,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    name: String,
    address: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    file: Option<PathBuf>,
    name: Option<String>,
    algorithm: Option<String>,
    secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnsigned {
    networks: Vec<String>,
    zone: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLeases {
    file: PathBuf,
    format: LeaseFormat,
    zone: String,
    ttl: Option<u32>,
}

impl Config {
    /// Reads and checks the file at `path`; relative paths in it start from its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = read(path)?;
        Config::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let checker = Checker { path, folder: path.parent().unwrap_or(Path::new(".")) };
        let raw: RawConfig = toml::from_str(text)
            .map_err(|error| checker.wrong(error.to_string().trim_end().to_owned()))?;
        let keys = checker.keys(&raw.keys)?;
        let own = checker.name("edge-key", &raw.edge_key)?;
        let key = keys.get(&own).cloned().ok_or_else(|| {
            checker.wrong(format!("edge-key = \"{own}\": there is no such [[key]]"))
        })?;
        let unsigned = raw.unsigned.iter().map(|raw| checker.unsigned(raw));
        let config = Config {
            data: checker.folder.join(raw.data),
            listen: raw.listen,
            key,
            keys,
            sites: raw
                .sites
                .into_iter()
                .map(|RawSite { name, address }| SiteConfig { name, address })
                .collect(),
            accept: raw.queue == Queue::Accept,
            queue_max: raw.queue_max.unwrap_or(QUEUE_MAX),
            deadline_ms: raw.deadline_ms.unwrap_or(DEADLINE_MS),
            probe_ms: raw.probe_ms.unwrap_or(PROBE_MS),
            unsigned: unsigned.collect::<Result<_, _>>()?,
            leases: raw
                .leases
                .into_iter()
                .map(|raw| checker.leases(raw))
                .collect::<Result<_, _>>()?,
        };
        checker.whole(&config)?;
        Ok(config)
    }

    /// The key under whose name an unsigned update of `zone` from there goes on; none if it may not.
    pub fn unsigned_as(&self, zone: &Name, from: IpAddr) -> Option<&Name> {
        let may = |rule: &&Unsigned| {
            rule.zone == *zone && rule.networks.iter().any(|network| network.contains(from))
        };
        self.unsigned.iter().find(may).map(|rule| &rule.key)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })
}

/// Turns raw values into checked ones and says where a wrong one stands.
struct Checker<'a> {
    path: &'a Path,
    folder: &'a Path,
}

impl Checker<'_> {
    fn wrong(&self, reason: String) -> ConfigError {
        ConfigError::Value { path: self.path.into(), reason }
    }

    fn name(&self, place: &str, text: &str) -> Result<Name, ConfigError> {
        let name: Result<Name, _> = text.parse();
        name.map(|name| name.to_lowercase())
            .map_err(|error| self.wrong(format!("{place} = \"{text}\": {error}")))
    }

    fn keys(&self, raw: &[RawKey]) -> Result<KeyRing, ConfigError> {
        let mut keys = KeyRing::default();
        for (index, raw) in raw.iter().enumerate() {
            for key in self.key(index, raw)? {
                if let Some(double) = keys.insert(key) {
                    return Err(self.wrong(format!("key \"{}\" is given twice", double.name())));
                }
            }
        }
        Ok(keys)
    }

    fn key(&self, index: usize, raw: &RawKey) -> Result<Vec<Key>, ConfigError> {
        let place = format!("key number {}", index + 1);
        match raw {
            RawKey { file: Some(file), name: None, algorithm: None, secret: None } => {
                let path = self.folder.join(file);
                key_file::parse(&read(&path)?)
                    .map_err(|error| self.wrong(format!("{}: {error}", path.display())))
            }
            RawKey { file: None, name: Some(name), algorithm, secret: Some(secret) } => {
                let algorithm = algorithm.as_deref().unwrap_or("hmac-sha256").parse();
                let key = algorithm.and_then(|algorithm| Key::from_text(name, algorithm, secret));
                Ok(vec![key.map_err(|error| self.wrong(format!("{place}: {error}")))?])
            }
            _ => Err(self.wrong(format!(
                "{place}: give either `file`, or `name`, `algorithm` and `secret`"
            ))),
        }
    }

    fn unsigned(&self, raw: &RawUnsigned) -> Result<Unsigned, ConfigError> {
        let network = |text: &String| {
            text.parse::<Prefix>()
                .map_err(|error| self.wrong(format!("unsigned.networks: {error}")))
        };
        if raw.networks.is_empty() {
            return Err(self.wrong(
                "unsigned.networks = []: name the networks of devices that cannot sign".into(),
            ));
        }
        Ok(Unsigned {
            networks: raw.networks.iter().map(network).collect::<Result<_, _>>()?,
            zone: self.name("unsigned.zone", &raw.zone)?,
            key: self.name("unsigned.key", &raw.key)?,
        })
    }

    fn leases(&self, raw: RawLeases) -> Result<LeasesConfig, ConfigError> {
        Ok(LeasesConfig {
            file: self.folder.join(raw.file),
            format: raw.format,
            zone: self.name("leases.zone", &raw.zone)?,
            ttl: raw.ttl.unwrap_or(LEASE_TTL_SECONDS),
        })
    }

    fn whole(&self, config: &Config) -> Result<(), ConfigError> {
        let wrong = |reason: &str| Err(self.wrong(reason.to_owned()));
        if config.listen.is_empty() {
            return wrong("listen = []: give an address, such as \"192.168.1.1:53\"");
        }
        if config.sites.is_empty() || config.sites.len() > SITES_MAX {
            return Err(self.wrong(format!("give 1 to {SITES_MAX} [[site]] with name and address")));
        }
        let mut seen = HashSet::new();
        if let Some(site) = config.sites.iter().find(|site| !seen.insert(site.address)) {
            return Err(self.wrong(format!("site address {} is given twice", site.address)));
        }
        let within = |name: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (first, last) = range.into_inner();
            Err(self.wrong(format!("{name} = {value}: use {first} to {last}")))
        };
        within("queue-max", config.queue_max as u64, 1..=10_000_000)?;
        within("deadline-ms", config.deadline_ms, 100..=60_000)?;
        within("probe-ms", config.probe_ms, 50..=200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
data = "queue"
listen = ["127.0.0.1:5353"]
edge-key = "edge.fleet.example."
queue = "accept"

[[site]]
name = "berlin"
address = "192.0.2.1:53"

[[key]]
name = "Edge.fleet.example"
secret = "c2VjcmV0"

[[unsigned]]
networks = ["192.168.1.0/24"]
zone = "fleet.example"
key = "printers.fleet.example"

[[leases]]
file = "/var/lib/dhcp/dhcpd.leases"
format = "dhcpd"
zone = "fleet.example"
"#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/einhorn/edge.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_taken() {
        let config = parse(GOOD).expect("a config");
        assert_eq!(config.data, Path::new("/etc/einhorn/queue"));
        assert!(config.accept && config.queue_max == QUEUE_MAX);
        assert_eq!(config.leases[0].format, LeaseFormat::Dhcpd);
        assert_eq!(config.leases[0].ttl, LEASE_TTL_SECONDS);
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let from = |text: &str| text.parse().expect("an address");
        let (zone, inside) = (name("Fleet.example."), from("192.168.1.9"));
        let key = config.unsigned_as(&zone, inside);
        assert_eq!(key, Some(&name("printers.fleet.example.")));
        assert_eq!(config.unsigned_as(&zone, from("192.168.2.9")), None);
        assert_eq!(config.unsigned_as(&name("other.example."), inside), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, wanted) in [
            ("edge-key = \"edge.", "edge-key = \"other.", "no such [[key]]"),
            ("queue = \"accept\"", "queue = \"maybe\"", "maybe"),
            ("listen", "listens", "listens"),
            ("[\"127.0.0.1:5353\"]", "[]", "give an address"),
            ("[\"192.168.1.0/24\"]", "[\"192.168.1.0/64\"]", "unsigned.networks"),
            ("\"dhcpd\"", "\"dnsmasq\"", "dnsmasq"),
            ("queue = \"accept\"", "probe-ms = 2", "use 50 to 200"),
            ("address = \"192.0.2.1:53\"", "address = \"192.0.2.1\"", "line 9"),
        ] {
            let said = parse(&GOOD.replace(from, to)).expect_err("a bad config");
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
    }
}
