//! What operators ask about the sites, and what they are told.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change of which sites there are, or of what they do.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum SiteCommand {
    /// A site joins, or is known by other addresses and keys.
    Add {
        /// Its card.
        card: String,
    },
    /// A site leaves for good.
    Remove {
        /// Its name.
        site: String,
    },
    /// A site counts for no acknowledgement level until further notice, or does again.
    Suspend {
        /// Its name.
        site: String,
        /// Whether it is suspended.
        is_suspended: bool,
    },
    /// This site goes on for one that is lost.
    FailOver {
        /// Its name.
        site: String,
        /// Whether the operator vouches that it has stopped.
        is_attested: bool,
    },
    /// What happens when a site stays away.
    FailoverPolicy {
        /// The others take over by themselves after so many seconds; never if left out.
        after_seconds: Option<u64>,
    },
    /// Old certificates and cosigning keys of a site are not believed any more.
    Retire {
        /// Its name.
        site: String,
    },
    /// The operator vouches that this site's data is the newest there is, though not all other
    /// sites can be asked.
    Vouch,
    /// This site gets a new key.
    Renew {
        /// Which.
        key: SiteKey,
    },
}

/// A key of a site.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SiteKey {
    /// What its links show: a certificate.
    Link,
    /// What it cosigns other logs with.
    Mirror,
    /// What it signs its log with; a log has one key for ever, so the site begins its next log.
    Ledger,
}

/// How a site sees itself and the others.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct SiteStatus {
    /// Its name.
    pub site: String,
    /// Its number; 0 until it has one.
    pub number: u16,
    /// Its log.
    pub log: String,
    /// Durable entries of it.
    pub entries: u64,
    /// Why nothing is acknowledged, if so.
    pub problem: Option<String>,
    /// Requests that wait for something.
    pub waiting: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_waiting_ms: u64,
    /// Parts of changes of names with different homes that are not decided; their names cannot be
    /// changed until then.
    pub open_intents: usize,
    /// Changes that wait for a person.
    pub open_reviews: usize,
    /// Names at home here with records that stay for a time only.
    pub leased: usize,
    /// Those whose time is over, but that are so many at once that a person must let them go.
    pub leases_held: usize,
    /// Requests that wait for the commit.
    pub queued: usize,
    /// `manual`, or after how many seconds others take over.
    pub failover: String,
    /// Octets that the data folder holds.
    pub disk_used_octets: u64,
    /// Octets that it may hold before operators are warned, if that was said.
    pub disk_budget_octets: Option<u64>,
    /// Octets that are free where it lies.
    pub disk_free_octets: u64,
    /// The hostname server, if there is one.
    #[serde(default)]
    pub hostname_server: Option<HostnameLine>,
    /// Devices whose records are frozen, since their secrets were used at two places at once.
    #[serde(default)]
    pub frozen_devices: Vec<String>,
    /// The site's agent, if it is not switched off.
    #[serde(default)]
    pub agent: Option<AgentLine>,
    /// All sites, this one among them.
    pub sites: Vec<SiteLine>,
    /// How far each site is behind each log.
    pub lags: Vec<LagLine>,
    /// Where names are at home.
    pub zones: Vec<ZoneHomes>,
    /// Entries of lost logs that only their own site had, as `log:index`.
    pub leftovers: Vec<String>,
}

/// What a site's agent says of itself, since the node's start.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct AgentLine {
    /// The first octets of the SHA-256 of its model, in hexadecimal.
    pub model: String,
    /// Why the model is not trusted now, if so.
    pub alarm: Option<String>,
    /// The last batch that began at another time than it used to, and when, if any did.
    pub moved: Option<String>,
    /// The knobs in force.
    pub knobs: KnobsLine,
    /// How often each path was advised.
    pub paths: Vec<(String, u64)>,
    /// How often who spoke.
    pub speakers: Vec<(String, u64)>,
    /// Names that it remembers something of.
    pub names: usize,
    /// Requests that entered here and are under way.
    pub pending: usize,
    /// Predictions whose outcome is known.
    pub settled: u64,
    /// Those that met another identity's change.
    pub met: u64,
    /// What a forwarded change takes, in microseconds: measured, or else what is usual.
    pub forward_us: u32,
    /// What a prepared change takes, in microseconds.
    pub multi_phase_us: u32,
}

/// What an agent's decisions leave open, as it is set now.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct KnobsLine {
    /// How much of an intervention's price counts, in percent.
    pub caution_percent: u16,
    /// How long the change of a flapping device is held, in milliseconds.
    pub coalesce_ms: u16,
    /// A home does not move before so many changes in a row from elsewhere.
    pub move_after: u8,
}

/// The hostname server (RFC 953).
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct HostnameLine {
    /// Where it listens.
    pub address: String,
    /// The zones whose hosts it shows.
    pub zones: Vec<String>,
    /// Questions answered since the start.
    pub answers: u64,
}

/// A site, as another one sees it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct SiteLine {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Its log now.
    pub log: String,
    /// `here`, `connected` or `away`.
    pub state: String,
    /// For how long it has been so, in milliseconds.
    pub for_ms: u64,
    /// What went wrong last between it and this one, if anything.
    pub problem: Option<String>,
    /// Whether it counts for no level.
    pub is_suspended: bool,
    /// The site that took over from its log, if one did.
    pub taken_over_by: Option<String>,
    /// Entries of this site's log that it has cosigned.
    pub cosigned: u64,
    /// Its clock less this one's, in milliseconds, the way between them included.
    pub clock_ahead_ms: i64,
    /// Requests that wait there.
    pub waiting: u32,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_waiting_ms: u64,
}

/// How far a site is behind a log.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct LagLine {
    /// The site whose log it is.
    pub of: String,
    /// The log.
    pub log: String,
    /// The site that follows it.
    pub at: String,
    /// Entries there.
    pub held: u64,
    /// Entries that there are, as far as is known.
    pub known: u64,
    /// Why it goes no further, if so.
    pub problem: Option<String>,
}

/// Where the names of a zone are at home.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneHomes {
    /// Apex.
    pub zone: String,
    /// Serial of the last publication point reached.
    pub serial: u32,
    /// Its acknowledgement level.
    pub ack: String,
    /// The site that decides on the zone as a whole.
    pub home: String,
    /// Names with records, by the site where they are at home.
    pub names: BTreeMap<String, usize>,
}
