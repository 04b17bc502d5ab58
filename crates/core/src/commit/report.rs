//! How this site sees the others, for operators.

use super::Commit;
use crate::agent::AdvisorReport;
use crate::model::entry::NameChange;
use crate::model::request::{Action, PlannedName, ReplaceReason, RequestId};
use crate::model::review::{Choice, OpenReview};
use crate::model::source::{FrozenRecord, Source};
use crate::model::{MapRootLogged, NameRecord, Origin, Position, Registry, Zones};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a site knows of itself and the others, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its own log.
    pub origin: Origin,
    /// Entries of it that are durable.
    pub durable: u64,
    /// Why nothing is acknowledged, if so.
    pub failure: Option<String>,
    /// Why nothing can be added to the log, if so.
    pub is_waiting_for: Option<String>,
    /// Requests that wait here: for other sites, for levels, or for something to be seen.
    pub waiting: usize,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_ms: u64,
    /// Parts of changes of names with different homes that are not decided; their names are not
    /// changed until then.
    pub open_intents: usize,
    /// Changes that wait for a person.
    pub open_reviews: usize,
    /// Names at home here with records that stay for a time only.
    pub leased: usize,
    /// Those of them whose time is over, but that are so many at once that a person must say that
    /// they may go.
    pub leases_held: usize,
    /// What the site's agent says of itself, if it has one.
    pub agent: Option<AdvisorReport>,
    /// The other sites.
    pub peers: Vec<PeerReport>,
    /// The logs that this site follows.
    pub copies: Vec<CopyReport>,
    /// The sites.
    pub registry: Arc<Registry>,
    /// Whether this site decides on the sites.
    pub is_home_of_registry: bool,
    /// For each log that was taken over, the one that does now what it did.
    pub in_charge: BTreeMap<Origin, Origin>,
    /// Entries that keep what a lost log had and nobody else.
    pub leftovers: Vec<Position>,
    /// The last map root of each log.
    pub map_roots: BTreeMap<Origin, MapRootLogged>,
}

/// A change that waits for a person.
#[derive(Clone)]
pub struct ReviewReport {
    /// Where it was put into the queue.
    pub at: Position,
    /// What waits.
    pub open: OpenReview,
    /// What each of its names has now.
    pub now: Vec<Option<NameRecord>>,
}

/// What is known of a source of the legacy bridge, and of its zone, at one moment.
pub struct SourceReport {
    /// The source; `None` for one that has said nothing yet.
    pub source: Option<Arc<Source>>,
    /// Its records that wait for a person.
    pub frozen: Vec<FrozenRecord>,
    /// The zones.
    pub zones: Zones,
    /// Whether each of the requests was done that were asked about.
    pub done: Vec<bool>,
}

impl ReviewReport {
    /// What resolves it like this: done only if the names are still as they are here.
    pub fn resolution(&self, choice: Choice) -> Action {
        let plan = |(name, now): (&NameChange, &Option<NameRecord>)| {
            let current = now.as_ref().map_or_else(Vec::new, NameRecord::owned_rrsets);
            PlannedName {
                owner: name.owner.clone(),
                version: now.as_ref().map_or(0, |record| record.history().version),
                epoch: None,
                after: choice.outcome(&current, &name.after),
            }
        };
        let names = match choice {
            Choice::Keep => Vec::new(),
            Choice::Take | Choice::Both => {
                self.open.review.change.names.iter().zip(&self.now).map(plan).collect()
            }
        };
        Action::Replace { reason: ReplaceReason::Review { review: self.at, choice }, names }
    }
}

/// What a site knows of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// Its number.
    pub site: u16,
    /// Whether it is connected.
    pub is_up: bool,
    /// For how long it has been connected or away, in milliseconds.
    pub for_ms: u64,
    /// What it holds of each log.
    pub held: Vec<(Origin, u64)>,
    /// Entries of this site's log that it has cosigned.
    pub cosigned: u64,
    /// Its clock less ours, in milliseconds; the time on the way included.
    pub clock_ahead_ms: i64,
    /// Requests that wait there.
    pub waiting: u32,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_ms: u64,
}

/// How far a copy of a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// The log.
    pub origin: Origin,
    /// Entries here.
    pub durable: u64,
    /// Entries that its own site, or whoever is followed in its place, says there are.
    pub known: u64,
    /// Entries cosigned here.
    pub cosigned: u64,
    /// The site it is followed from.
    pub source: Option<u16>,
    /// Entries up to which it differs from what its site signed.
    pub fork: Option<u64>,
    /// Who went on for it, and where it ended.
    pub closed: Option<(Origin, u64)>,
}

impl<R> Commit<R> {
    /// How this site sees itself and the others.
    pub fn report(&self, now_ms: u64) -> Report {
        let own = self.state.origin;
        let oldest = self.forwarding.oldest_ms().map_or(0, |since| now_ms.saturating_sub(since));
        let sites = self.state.registry.sites.keys().copied().filter(|site| *site != own.site);
        Report {
            origin: own,
            durable: self.durable,
            failure: self.failure.clone(),
            is_waiting_for: (!self.may_append()).then(|| self.why_not_append()),
            waiting: self.requests_waiting(),
            open_intents: self.state.transactions.intents().count(),
            open_reviews: self.state.reviews.count(),
            leased: self.leases.count(),
            leases_held: self.leases.held(),
            oldest_ms: oldest,
            agent: self.advisor.as_ref().map(|advisor| advisor.report()),
            peers: sites.map(|site| self.peer_report(now_ms, site)).collect(),
            copies: self.copy_reports(),
            registry: Arc::clone(&self.state.registry),
            is_home_of_registry: self.state.home_of_registry() == own,
            in_charge: (self.state.logs())
                .filter(|(_, log)| log.closed.is_some())
                .map(|(origin, _)| (origin, self.state.in_charge(origin)))
                .collect(),
            leftovers: self.state.leftovers().to_vec(),
            map_roots: (self.state.logs())
                .filter_map(|(origin, log)| Some((origin, log.map_root?)))
                .collect(),
        }
    }

    /// The changes that wait for a person, each with what its names have now.
    pub fn reviews(&self) -> Vec<ReviewReport> {
        let report = |(at, open): (Position, &OpenReview)| {
            let zone = self.state.zones.get(&open.review.change.zone);
            let now = |name: &NameChange| zone.and_then(|zone| zone.name(&name.owner)).cloned();
            let now = open.review.change.names.iter().map(now).collect();
            ReviewReport { at, open: open.clone(), now }
        };
        self.state.reviews.iter().map(report).collect()
    }

    /// What is known of a source, and whether these requests were done.
    pub fn source(&self, name: &str, ids: &[RequestId]) -> SourceReport {
        let frozen = |(at, open): (Position, &OpenReview)| {
            let legacy = open.review.legacy.as_ref().filter(|legacy| legacy.source == name)?;
            let (key, record) = (legacy.key.clone(), legacy.record.clone());
            Some(FrozenRecord { at, key, record })
        };
        SourceReport {
            source: self.state.sources.get(name).cloned(),
            frozen: self.state.reviews.iter().filter_map(frozen).collect(),
            zones: self.state.zones.clone(),
            done: ids.iter().map(|id| self.state.done(id).is_some()).collect(),
        }
    }

    fn peer_report(&self, now_ms: u64, site: u16) -> PeerReport {
        let peer = self.peers.get(site).cloned().unwrap_or_default();
        PeerReport {
            site,
            is_up: peer.is_up,
            for_ms: if peer.is_up {
                now_ms.saturating_sub(peer.since_ms)
            } else {
                self.peers.away_ms(site, now_ms)
            },
            held: peer.held.into_iter().collect(),
            cosigned: self.levels.cosigned(self.state.origin, site),
            clock_ahead_ms: peer.clock_ahead_ms,
            waiting: peer.waiting,
            oldest_ms: peer.oldest_ms,
        }
    }

    fn copy_reports(&self) -> Vec<CopyReport> {
        let copies = self.copies.iter().filter(|(origin, _)| *origin != self.state.origin);
        copies
            .map(|(origin, copy)| {
                let held = |peer: &super::peers::Peer| peer.held.get(&origin).copied();
                let closed = self.state.log(origin).and_then(|log| log.closed);
                CopyReport {
                    origin,
                    durable: copy.durable,
                    known: self.peers.up().filter_map(|(_, peer)| held(peer)).max().unwrap_or(0),
                    cosigned: copy.cosigned,
                    source: copy.source,
                    fork: copy.fork,
                    closed: closed.map(|closed| (closed.successor, closed.end)),
                }
            })
            .collect()
    }
}
