//! What anybody asks of a site, in one form, whatever protocol it came by.

use super::registry::RegistryChange;
use super::review::Choice;
use super::settings::Settings;
use super::source::{Head, Item, LegacyRecord};
use super::{Position, RrSet};
use crate::agent::Advised;
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};
use std::net::IpAddr;

/// Identifies a request across retries: a hash, so its octets are as good as random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub [u8; 32]);

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..8].iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whoever holds this TSIG key.
    Key(Name),
    /// An operator at this site's control socket or command line.
    Operator,
    /// The server that a zone is followed from.
    Primary(IpAddr),
    /// The site with this number, on its own account.
    Site(u16),
    /// A source of the legacy bridge.
    Source(String),
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Key(name) => write!(f, "key {name}"),
            Identity::Operator => f.write_str("operator"),
            Identity::Primary(address) => write!(f, "primary {address}"),
            Identity::Site(number) => write!(f, "site {number}"),
            Identity::Source(name) => write!(f, "source {name}"),
        }
    }
}

/// A salted commitment to audit data that lies beside the log and can be erased there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commitment(pub [u8; 32]);

/// A condition on the zone's state (RFC 2136 §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prerequisite {
    /// The name owns at least one record (§2.4.4).
    NameInUse(Name),
    /// The name owns no record (§2.4.5).
    NameNotInUse(Name),
    /// There is such an RRset (§2.4.1).
    RrSetExists(Name, RecordType),
    /// There is no such RRset (§2.4.3).
    RrSetAbsent(Name, RecordType),
    /// There is exactly this RRset, TTL aside (§2.4.2).
    RrSetEquals(Name, RrSet),
}

impl Prerequisite {
    /// The name it looks at.
    pub fn name(&self) -> &Name {
        match self {
            Prerequisite::NameInUse(name) | Prerequisite::NameNotInUse(name) => name,
            Prerequisite::RrSetExists(name, _)
            | Prerequisite::RrSetAbsent(name, _)
            | Prerequisite::RrSetEquals(name, _) => name,
        }
    }
}

impl std::fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Prerequisite::NameInUse(name) => write!(f, "{name} is in use"),
            Prerequisite::NameNotInUse(name) => write!(f, "{name} is not in use"),
            Prerequisite::RrSetExists(name, rtype) => write!(f, "{name} has {rtype}"),
            Prerequisite::RrSetAbsent(name, rtype) => write!(f, "{name} has no {rtype}"),
            Prerequisite::RrSetEquals(name, set) => write!(f, "{name} has exactly {set:?}"),
        }
    }
}

/// A change to the zone's state (RFC 2136 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Add one record to an RRset (§2.5.1).
    Add {
        /// Owner name.
        owner: Name,
        /// Type.
        rtype: RecordType,
        /// TTL in seconds, which the whole RRset takes.
        ttl: u32,
        /// Uncompressed wire form.
        rdata: Box<[u8]>,
    },
    /// Delete an RRset (§2.5.2).
    DeleteRrSet(Name, RecordType),
    /// Delete all RRsets of a name (§2.5.3).
    DeleteName(Name),
    /// Delete one record from an RRset (§2.5.4).
    DeleteRecord {
        /// Owner name.
        owner: Name,
        /// Type.
        rtype: RecordType,
        /// Uncompressed wire form.
        rdata: Box<[u8]>,
    },
}

impl Operation {
    /// The name it changes.
    pub fn owner(&self) -> &Name {
        match self {
            Operation::Add { owner, .. } | Operation::DeleteRecord { owner, .. } => owner,
            Operation::DeleteRrSet(owner, _) | Operation::DeleteName(owner) => owner,
        }
    }

    /// The type it changes; `None` for all types of the name.
    pub fn rtype(&self) -> Option<RecordType> {
        match self {
            Operation::Add { rtype, .. } | Operation::DeleteRecord { rtype, .. } => Some(*rtype),
            Operation::DeleteRrSet(_, rtype) => Some(*rtype),
            Operation::DeleteName(_) => None,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// If all prerequisites hold, do all operations, in order, or none.
    Update {
        /// Conditions, checked in order.
        prerequisites: Vec<Prerequisite>,
        /// Changes, done in order.
        operations: Vec<Operation>,
        /// How long the records that it adds stay; `None` for good.
        lease: Option<UpdateLease>,
    },
    /// Create the zone with this content; it must not exist yet, or be empty.
    LoadZone {
        /// Owner names with their RRsets, each name once.
        names: Vec<(Name, Vec<RrSet>)>,
        /// SHA-256 of the zone file.
        source: [u8; 32],
    },
    /// Give names another content, if they are still as they were when this was planned.
    Replace {
        /// Why.
        reason: ReplaceReason,
        /// The names that change.
        names: Vec<PlannedName>,
    },
    /// Remove the zone with all its names.
    RemoveZone,
    /// Keep the zone like this; creates it, empty, if it does not exist.
    Configure(Settings),
    /// Change which sites there are. The request's zone does not matter.
    Sites(RegistryChange),
    /// Advance a source of the legacy bridge, and make the changes that belong to that.
    Advance(Box<SourceStep>),
    /// Put a record of a source into the review queue; the names would become this.
    Freeze(Box<LegacyRecord>, Vec<PlannedName>),
}

/// The next step of a source. What of it is not as it was planned, or not at home in the source's log,
/// is left out of the entry; its items show what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStep {
    /// The source's name.
    pub source: String,
    /// The revision that it must still have.
    pub revision: u64,
    /// The id of the apply that it belongs to.
    pub apply: [u8; 32],
    /// What is known of the source from now on.
    pub head: Head,
    /// Records with their names, each done as a whole or not at all.
    pub units: Vec<SourceUnit>,
}

/// Records of a source and the names that belong to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUnit {
    /// The records.
    pub items: Vec<Item>,
    /// The names that change with them; each name of a step once.
    pub names: Vec<PlannedName>,
}

/// One name of a [`Action::Replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedName {
    /// Owner name.
    pub owner: Name,
    /// The version it must still have; 0 for a name that was never there.
    pub version: u64,
    /// The epoch it must still have; `None` where the version alone tells. Links carry it with
    /// [`ReplaceReason::Source`] alone.
    pub epoch: Option<u32>,
    /// Its RRsets after.
    pub after: Vec<RrSet>,
}

/// Why names are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaceReason {
    /// The zone's content becomes what it was after this entry.
    Rollback {
        /// Index of the entry.
        target_index: u64,
    },
    /// The zone's file says so.
    Reload {
        /// SHA-256 of the zone file.
        source: [u8; 32],
    },
    /// Leases of records have ended.
    Expiry,
    /// A person has decided on a change that waited for that.
    Review {
        /// Where it was put into the queue.
        review: Position,
        /// What was decided.
        choice: Choice,
    },
    /// A source of the legacy bridge says so.
    Source {
        /// The id of the apply.
        apply: [u8; 32],
    },
    /// The zone's primary says so.
    Transfer {
        /// The serial that the zone must have now; `None` for one that was never transferred.
        from: Option<u32>,
        /// The serial that it gets.
        to: u32,
    },
}

impl ReplaceReason {
    /// Whether each home may do its part of it. What restores a zone's earlier content is checked
    /// against the whole.
    pub fn is_divisible(&self) -> bool {
        use ReplaceReason::{Expiry, Reload, Review, Source};
        matches!(self, Reload { .. } | Review { .. } | Expiry | Source { .. })
    }
}

/// One request, authenticated and authorised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The same for every retry of one request.
    pub id: RequestId,
    /// Until when a retry could arrive, in seconds since 1970.
    pub remember_until_seconds: u64,
    /// Who asks.
    pub who: Identity,
    /// The zone to change.
    pub zone: Name,
    /// What to do.
    pub action: Action,
    /// The site it entered at.
    pub entered_site: u16,
    /// Commits to `audit`.
    pub audit_commitment: Commitment,
    /// What the agent of the entry site said, if it was asked.
    pub decision: Option<Box<Advised>>,
    /// Salt and value of what must be erasable, such as the client's address.
    pub audit: Vec<u8>,
}

impl Request {
    /// Whether the agent of the entry site wants it to be prepared.
    pub(crate) fn is_careful(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.is_careful())
    }

    /// What belongs to it in a zone: the same request, doing this there.
    pub fn part(&self, zone: Name, action: Action) -> Request {
        Request {
            id: self.id,
            remember_until_seconds: self.remember_until_seconds,
            who: self.who.clone(),
            zone,
            action,
            entered_site: self.entered_site,
            audit_commitment: self.audit_commitment,
            decision: None,
            audit: self.audit.clone(),
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Committed in the entry there, now or by an earlier copy of the request.
    Done {
        /// The entry.
        at: Position,
    },
    /// Not done, and nothing of it was.
    Refused {
        /// What a DNS client is told.
        rcode: Rcode,
        /// For people.
        reason: String,
    },
}

impl Outcome {
    /// Not done for now, for this reason; perhaps another time.
    pub fn servfail(reason: impl Into<String>) -> Outcome {
        Outcome::Refused { rcode: Rcode::SERVFAIL, reason: reason.into() }
    }
}
