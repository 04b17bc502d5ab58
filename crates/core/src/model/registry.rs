//! The sites that there are, as all of them know them: who counts for a majority, which keys speak
//! for whom, where to connect to.
//!
//! The registry is state like everything else: each change of it is an entry that carries the
//! whole registry, ordered by the one site that is its home. It never says which sites can be
//! reached; that is seen, not known.

use super::Origin;
use super::codec::{Malformed, Put, Take};
use std::collections::BTreeMap;

/// Sites at most: each keeps a copy of every other one's log, and a connection to it.
pub const SITES_MAX: usize = 64;

/// All sites.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// Counts its changes; the highest is the one in force. 0 for a site that is alone.
    pub version: u64,
    /// The log that orders its changes, unless another one took it over.
    pub home: Option<Origin>,
    /// What happens when a site stays away.
    pub failover: Failover,
    /// The sites by number.
    pub sites: BTreeMap<u16, Site>,
}

/// What happens when a site stays away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failover {
    /// An operator decides.
    #[default]
    Manual,
    /// The first of the others takes over what was at home there, after so many milliseconds.
    Auto {
        /// How long it must have been away, in milliseconds.
        after_ms: u64,
    },
}

/// A site, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What people call it.
    pub name: String,
    /// Where its links listen, as `host:port`.
    pub addresses: Vec<String>,
    /// Verifier keys of its logs, by generation (C2SP signed-note text).
    pub logs: BTreeMap<u16, String>,
    /// Verifier keys of its cosignatures, the newest last.
    pub mirror_keys: Vec<String>,
    /// SHA-256 of the certificates it may show.
    pub certificates: Vec<[u8; 32]>,
    /// Whether it does not count for any level until further notice.
    pub is_suspended: bool,
}

impl Registry {
    /// Whether there is no other site to agree with.
    pub fn is_alone(&self) -> bool {
        self.sites.len() <= 1
    }

    /// Numbers of the sites that count for levels.
    pub fn counted(&self) -> impl Iterator<Item = u16> {
        self.sites.iter().filter(|(_, site)| !site.is_suspended).map(|(number, _)| *number)
    }

    /// How many sites are a majority of those that count.
    pub fn majority(&self) -> usize {
        self.counted().count() / 2 + 1
    }

    /// The verifier key of a log, as text.
    pub fn log_key(&self, origin: Origin) -> Option<&str> {
        Some(self.sites.get(&origin.site)?.logs.get(&origin.generation)?)
    }

    /// Every log that any site has or had.
    pub fn logs(&self) -> impl Iterator<Item = Origin> {
        self.sites.iter().flat_map(|(number, site)| {
            let site = (*number, site);
            site.1
                .logs
                .keys()
                .map(move |generation| Origin { site: site.0, generation: *generation })
        })
    }

    /// The site with this name.
    pub fn named(&self, name: &str) -> Option<(u16, &Site)> {
        self.sites.iter().find(|(_, site)| site.name == name).map(|(number, site)| (*number, site))
    }

    /// What people call the site; its number where it has gone.
    pub fn name_of(&self, site: u16) -> String {
        self.sites.get(&site).map_or_else(|| format!("site {site}"), |site| site.name.clone())
    }

    /// Number for the next site.
    pub fn next_number(&self) -> u16 {
        // Numbers are not used again: a log's origin is for ever.
        self.sites.keys().next_back().map_or(1, |last| last + 1)
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.u64(self.version);
        put.option(self.home, |put, home| put.origin(home));
        match self.failover {
            Failover::Manual => put.u64(0),
            Failover::Auto { after_ms } => put.u64(after_ms.max(1)),
        }
        put.count(self.sites.len());
        for (number, site) in &self.sites {
            put.u16(*number);
            site.put(put);
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Registry, Malformed> {
        let version = take.u64()?;
        let home = take.option(Take::origin)?;
        let failover = match take.u64()? {
            0 => Failover::Manual,
            after_ms => Failover::Auto { after_ms },
        };
        let sites = take.map(20, |take| Ok((take.u16()?, Site::take(take)?)))?;
        Ok(Registry { version, home, failover, sites })
    }
}

impl Site {
    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.text(&self.name);
        put.count(self.addresses.len());
        self.addresses.iter().for_each(|address| put.text(address));
        put.count(self.logs.len());
        for (generation, key) in &self.logs {
            put.u16(*generation);
            put.text(key);
        }
        put.count(self.mirror_keys.len());
        self.mirror_keys.iter().for_each(|key| put.text(key));
        put.count(self.certificates.len());
        self.certificates.iter().for_each(|certificate| put.bytes(certificate));
        put.flag(self.is_suspended);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Site, Malformed> {
        Ok(Site {
            name: take.text()?,
            addresses: take.list(4, Take::text)?,
            logs: take.map(6, |take| Ok((take.u16()?, take.text()?)))?,
            mirror_keys: take.list(4, Take::text)?,
            certificates: take.list(32, Take::array)?,
            is_suspended: take.flag()?,
        })
    }
}

/// A change of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryChange {
    /// A site joins, or what is known of it changes: its card says so.
    Put {
        /// What it says of itself. Generations and keys that are known already stay known.
        site: Site,
    },
    /// A site leaves for good.
    Remove {
        /// Its number.
        site: u16,
    },
    /// A site counts for no level any more, or does again.
    Suspend {
        /// Its number.
        site: u16,
        /// Whether it is suspended.
        is_suspended: bool,
    },
    /// Certificates or keys that are not to be believed any more, when newer ones are in use.
    Retire {
        /// Its number.
        site: u16,
    },
    /// What happens when a site stays away.
    Failover(Failover),
}

impl RegistryChange {
    pub(crate) fn put(&self, put: &mut Put<'_>) {
        match self {
            RegistryChange::Put { site } => {
                put.u8(1);
                site.put(put);
            }
            RegistryChange::Remove { site } => {
                put.u8(2);
                put.u16(*site);
            }
            RegistryChange::Suspend { site, is_suspended } => {
                put.u8(3);
                put.u16(*site);
                put.flag(*is_suspended);
            }
            RegistryChange::Retire { site } => {
                put.u8(4);
                put.u16(*site);
            }
            RegistryChange::Failover(failover) => {
                put.u8(5);
                match failover {
                    Failover::Manual => put.u64(0),
                    Failover::Auto { after_ms } => put.u64((*after_ms).max(1)),
                }
            }
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<RegistryChange, Malformed> {
        Ok(match take.u8()? {
            1 => RegistryChange::Put { site: Site::take(take)? },
            2 => RegistryChange::Remove { site: take.u16()? },
            3 => RegistryChange::Suspend { site: take.u16()?, is_suspended: take.flag()? },
            4 => RegistryChange::Retire { site: take.u16()? },
            5 => RegistryChange::Failover(match take.u64()? {
                0 => Failover::Manual,
                after_ms => Failover::Auto { after_ms },
            }),
            _ => return Err(Malformed("change of the sites")),
        })
    }
}
