//! The configuration: one TOML file, checked as a whole before anything starts.

mod answer;
mod devices;
mod edge;
mod etcd;
mod hostname;
mod link;
mod source;
mod tls;
mod witness;
mod zone;

pub use answer::AnswerConfig;
pub use devices::DevicesConfig;
pub use etcd::EtcdConfig;
pub use hostname::HostnameConfig;
pub use link::LinkConfig;
pub use source::{DeclaredInput, OutputConfig, OutputPlace, SourceConfig, SourceFormat};
pub use tls::TlsConfig;
pub use witness::WitnessedLog;
pub(crate) use zone::{check_source, zone_settings};

use einhorn_core::model::settings::Settings as ZoneKeeping;
use einhorn_core::rules::policy::{Grant, NamePattern, Policy};
use einhorn_ingress::witness::OutsideWitness;
use einhorn_ingress::{Access, Settings};
use einhorn_wire::cookie::Secret;
use einhorn_wire::tsig::{Key, KeyRing};
use einhorn_wire::{Name, RecordType, key_file};
use serde::Deserialize;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How unlike a known key a misspelt one may be to be suggested for it, 1 being the same.
const SUGGESTION_LIKENESS_MIN: f64 = 0.6;

/// What a node is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Short name of the site, such as `berlin`.
    pub site: String,
    /// The log's name in its checkpoints.
    pub ledger_name: String,
    /// Folder of everything durable.
    pub data: PathBuf,
    /// Addresses for DNS over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Address for HTTP.
    pub http: Option<SocketAddr>,
    /// DNS over TLS and over HTTPS; none if it is left out.
    pub tls: Option<TlsConfig>,
    /// The hostname server; none if it is left out.
    pub hostname_server: Option<HostnameConfig>,
    /// Whether the site's agent looks at requests; else fixed rules speak.
    pub agent: bool,
    /// Who has this may look at the review queue and decide, over HTTP; nobody if it is left out.
    pub operator_token: Option<String>,
    /// Zones and where their content comes from when they are new.
    pub zones: Vec<ZoneConfig>,
    /// Sources of the legacy bridge.
    pub sources: Vec<SourceConfig>,
    /// Keys.
    pub keys: Vec<Key>,
    /// What the keys may do.
    pub grants: Vec<Grant>,
    /// The devices, and what is about them alone.
    pub devices: DevicesConfig,
    /// Keys of daemons beside devices, each with the devices that it speaks for.
    pub edges: Vec<(Name, Vec<NamePattern>)>,
    /// What answers say, and how much anyone may ask.
    pub answer: AnswerConfig,
    /// The etcd that holds the site's log; without it the log lies in the data folder.
    pub etcd: Option<EtcdConfig>,
    /// How other sites are reached; without it this site is alone.
    pub link: Option<LinkConfig>,
    /// Who cosigns our log, besides the other sites.
    pub witnesses: Vec<OutsideWitness>,
    /// Whose logs we cosign, besides the other sites'.
    pub witnessed_logs: Vec<WitnessedLog>,
    /// Octets that the data folder may hold before operators are warned.
    pub disk_budget: Option<u64>,
    /// How long there is no other map root in the log after one.
    pub map_interval: Duration,
    /// Where this came from, to read keys and grants again.
    pub path: Option<PathBuf>,
}

/// A zone to serve.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// Apex.
    pub name: Name,
    /// Zone file it is created from. Later starts take the zone from the ledger.
    pub file: Option<PathBuf>,
    /// How it is kept.
    pub settings: ZoneKeeping,
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
    /// The text is not TOML of the right shape.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where, from the parser, with a suggestion.
        reason: String,
    },
    /// A value is wrong.
    #[error("{}: {place}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which setting.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConfig {
    #[serde(default = "default_site")]
    site: String,
    ledger_name: Option<String>,
    data: PathBuf,
    listen: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    tls: Option<tls::RawTls>,
    hostname_server: Option<hostname::RawHostname>,
    #[serde(default = "yes")]
    agent: bool,
    operator_token_file: Option<PathBuf>,
    #[serde(default, rename = "zone")]
    zones: Vec<zone::RawZone>,
    #[serde(default, rename = "source")]
    sources: Vec<source::RawSource>,
    #[serde(default, rename = "key")]
    keys: Vec<RawKey>,
    #[serde(default, rename = "grant")]
    grants: Vec<RawGrant>,
    devices: Option<devices::RawDevices>,
    #[serde(default, rename = "edge")]
    edges: Vec<edge::RawEdge>,
    #[serde(default)]
    answer: answer::RawAnswer,
    #[serde(default)]
    limits: answer::RawLimits,
    etcd: Option<etcd::RawEtcd>,
    link: Option<link::RawLink>,
    map_interval_seconds: Option<u64>,
    disk_budget_mb: Option<u64>,
    #[serde(default, rename = "witness")]
    witnesses: Vec<witness::RawWitness>,
    #[serde(default, rename = "witness-for")]
    witnessed_logs: Vec<witness::RawWitnessedLog>,
}

/// How long there is no other map root after one if nothing else is configured.
pub const MAP_INTERVAL: Duration = Duration::from_millis(einhorn_core::ledger::map::INTERVAL_MS);

fn yes() -> bool {
    true
}

fn default_site() -> String {
    "site".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawKey {
    file: Option<PathBuf>,
    name: Option<String>,
    algorithm: Option<String>,
    secret: Option<String>,
    mac_octets_min: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawGrant {
    key: String,
    zone: String,
    #[serde(default)]
    names: Vec<String>,
    types: Option<Vec<String>>,
    #[serde(default)]
    transfer: bool,
}

impl Config {
    /// Reads and checks the file at `path`; relative paths in it start from its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Config::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            reason: with_suggestion(error.to_string().trim_end()),
        })?;
        let checker = Checker { path, folder: path.parent().unwrap_or(Path::new(".")) };
        checker.site_name(&raw.site)?;
        let keys: Vec<Vec<Key>> = raw
            .keys
            .iter()
            .enumerate()
            .map(|(i, key)| checker.keys(i, key))
            .collect::<Result<_, _>>()?;
        let etcd = raw.etcd.map(|etcd| checker.etcd(etcd, &raw.site)).transpose()?;
        let config = Config {
            ledger_name: raw.ledger_name.unwrap_or_else(|| ledger_name(&raw.site)),
            site: raw.site,
            data: checker.folder.join(raw.data),
            listen: raw.listen,
            http: raw.http,
            tls: raw.tls.map(|tls| checker.tls(tls)).transpose()?,
            hostname_server: raw.hostname_server.map(|raw| checker.hostname(raw)).transpose()?,
            agent: raw.agent,
            operator_token: raw
                .operator_token_file
                .map(|file| checker.operator_token(&file))
                .transpose()?,
            zones: raw.zones.iter().map(|zone| checker.zone(zone)).collect::<Result<_, _>>()?,
            sources: checker.sources(raw.sources)?,
            keys: keys.into_iter().flatten().collect(),
            grants: raw
                .grants
                .iter()
                .map(|grant| checker.grant(grant))
                .collect::<Result<_, _>>()?,
            devices: raw
                .devices
                .map(|devices| checker.devices(devices))
                .transpose()?
                .unwrap_or_default(),
            edges: raw.edges.iter().map(|edge| checker.edge(edge)).collect::<Result<_, _>>()?,
            answer: checker.answer_and_limits(raw.answer, raw.limits)?,
            etcd,
            link: raw.link.map(|link| checker.link(link)).transpose()?,
            witnesses: raw
                .witnesses
                .iter()
                .map(|witness| checker.witness(witness))
                .collect::<Result<_, _>>()?,
            witnessed_logs: raw
                .witnessed_logs
                .iter()
                .map(|log| checker.witnessed_log(log))
                .collect::<Result<_, _>>()?,
            disk_budget: raw.disk_budget_mb.map(|megabytes| megabytes.saturating_mul(1_000_000)),
            map_interval: raw.map_interval_seconds.map_or(MAP_INTERVAL, Duration::from_secs),
            path: Some(path.to_owned()),
        };
        checker.references(&config)?;
        checker.doubles(&config)?;
        Ok(config)
    }

    /// The keys and what they may do. A device may set its own addresses.
    pub fn access(&self) -> Access {
        let mut keys = KeyRing::default();
        let enrolled = self.devices.enrolled();
        for key in self.keys.iter().chain(enrolled.clone().map(|device| &device.key)) {
            keys.insert(key.clone());
        }
        let own = enrolled.map(|device| Grant {
            key: device.key.name().clone(),
            zone: Some(device.zone.clone()),
            names: vec![NamePattern::OwnName],
            types: Some(vec![RecordType::A, RecordType::AAAA]),
            transfer: false,
        });
        let policy = Policy::new(self.grants.iter().cloned().chain(own));
        let add = |policy: Policy, (edge, devices): &(Name, Vec<NamePattern>)| {
            policy.with_edge(edge.clone(), devices.clone())
        };
        let policy = self.edges.iter().fold(policy, add);
        Access { keys, policy, proxies: self.devices.proxies.clone() }
    }

    /// What answers say and how much anyone may ask; `random` makes cookies where no secret is
    /// configured.
    pub fn settings(&self, random: Secret) -> Settings {
        self.answer.settings(random)
    }
}

/// The log's name when none is configured.
pub fn ledger_name(site: &str) -> String {
    format!("einhorn/{site}")
}

/// Adds "did you mean" to the parser's complaint about an unknown key.
fn with_suggestion(error: &str) -> String {
    let mut quoted = error
        .split("unknown field")
        .nth(1)
        .into_iter()
        .flat_map(|rest| rest.split('`').skip(1).step_by(2));
    let Some(unknown) = quoted.next() else { return error.to_owned() };
    let likeness = |known: &str| strsim::jaro_winkler(unknown, known);
    let best = quoted.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|best| likeness(best) >= SUGGESTION_LIKENESS_MIN) {
        Some(best) => format!("{error}\ndid you mean `{best}`?"),
        None => error.to_owned(),
    }
}

/// Turns raw values into checked ones and says where a wrong one stands.
struct Checker<'a> {
    path: &'a Path,
    folder: &'a Path,
}

impl Checker<'_> {
    fn wrong(&self, place: impl Into<String>, reason: impl ToString) -> ConfigError {
        ConfigError::Value {
            path: self.path.into(),
            place: place.into(),
            reason: reason.to_string(),
        }
    }

    fn site_name(&self, site: &str) -> Result<(), ConfigError> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !site.is_empty() && site.len() <= 63 && site.chars().all(good) {
            return Ok(());
        }
        Err(self.wrong(
            format!("site = \"{site}\""),
            "use 1 to 63 of a-z, 0-9 and -, since it is part of paths",
        ))
    }

    /// A token is long enough not to be guessed, and fits into a line of HTTP.
    fn operator_token(&self, file: &Path) -> Result<String, ConfigError> {
        const OCTETS_MIN: usize = 16;
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let token = text.trim();
        if token.len() < OCTETS_MIN || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            let reason = format!("write at least {OCTETS_MIN} printable characters into it");
            return Err(self.wrong(format!("operator-token-file {}", path.display()), reason));
        }
        Ok(token.to_owned())
    }

    fn name(&self, place: &str, text: &str) -> Result<Name, ConfigError> {
        text.parse().map_err(|error| self.wrong(format!("{place} = \"{text}\""), error))
    }

    fn keys(&self, index: usize, raw: &RawKey) -> Result<Vec<Key>, ConfigError> {
        let place = || format!("key number {}", index + 1);
        let mut keys = match raw {
            RawKey { file: Some(file), name: None, algorithm: None, secret: None, .. } => {
                let path = self.folder.join(file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                key_file::parse(&text)
                    .map_err(|error| self.wrong(path.display().to_string(), error))?
            }
            RawKey { file: None, name: Some(name), algorithm, secret: Some(secret), .. } => {
                let algorithm = algorithm.as_deref().unwrap_or("hmac-sha256").parse();
                let key = algorithm.and_then(|algorithm| Key::from_text(name, algorithm, secret));
                vec![key.map_err(|error| self.wrong(place(), error))?]
            }
            _ => {
                return Err(
                    self.wrong(place(), "give either `file`, or `name`, `algorithm` and `secret`")
                );
            }
        };
        if let Some(octets) = raw.mac_octets_min {
            keys.iter_mut().for_each(|key| key.set_mac_octets_min(octets));
        }
        Ok(keys)
    }

    fn grant(&self, raw: &RawGrant) -> Result<Grant, ConfigError> {
        let pattern = |text: &String| {
            text.parse::<NamePattern>()
                .map_err(|error| self.wrong(format!("grant.names: \"{text}\""), error))
        };
        let rtype = |text: &String| {
            text.parse::<RecordType>().map_err(|error| self.wrong("grant.types", error))
        };
        Ok(Grant {
            key: self.name("grant.key", &raw.key)?.to_lowercase(),
            zone: match &*raw.zone {
                "*" => None,
                zone => Some(self.name("grant.zone", zone)?),
            },
            names: raw.names.iter().map(pattern).collect::<Result<_, _>>()?,
            types: raw.types.as_ref().map(|types| types.iter().map(rtype).collect()).transpose()?,
            transfer: raw.transfer,
        })
    }

    /// Of two keys or zones with one name only one could count, and no address serves nobody.
    fn doubles(&self, config: &Config) -> Result<(), ConfigError> {
        if config.listen.is_empty() {
            return Err(self.wrong("listen = []", "give an address, such as \"127.0.0.1:5300\""));
        }
        let mut seen = HashSet::new();
        if let Some(key) = config.keys.iter().find(|key| !seen.insert(key.name())) {
            return Err(self.wrong(format!("key \"{}\"", key.name()), "is given twice"));
        }
        if let Some(device) = config.devices.all.iter().find(|it| seen.contains(it.key.name())) {
            let place = format!("key \"{}\"", device.key.name());
            return Err(self.wrong(place, "is also a device's, which has a key of its own"));
        }
        let mut seen = HashSet::new();
        if let Some(zone) = config.zones.iter().find(|zone| !seen.insert(&zone.name)) {
            return Err(self.wrong(format!("zone \"{}\"", zone.name), "is given twice"));
        }
        Ok(())
    }

    /// Grants and sources must name keys that exist: a misspelt one would silently deny. Zones come and go
    /// while the node runs; it says which it does not have.
    fn references(&self, config: &Config) -> Result<(), ConfigError> {
        for grant in &config.grants {
            let is_key = config.keys.iter().any(|key| *key.name() == grant.key);
            // A grant may outlive the device that it was for.
            if !is_key && config.devices.all.get(&grant.key).is_none() {
                return Err(self
                    .wrong(format!("grant.key = \"{}\"", grant.key), "there is no such [[key]]"));
            }
        }
        for (key, _) in &config.edges {
            if !config.keys.iter().any(|known| known.name() == key) {
                return Err(self.wrong(format!("edge.key = \"{key}\""), "there is no such [[key]]"));
            }
        }
        for source in &config.sources {
            let key = source.transfer.as_ref().and_then(|remote| remote.key.as_ref());
            if let Some(key) = key.filter(|name| config.keys.iter().all(|key| key.name() != *name))
            {
                let place = format!("source \"{}\": key {key}", source.name);
                return Err(self.wrong(place, "there is no such [[key]]"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
