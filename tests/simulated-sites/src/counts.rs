//! How often what happened: a fault that never fires tests nothing.

use crate::world::World;
use einhorn_core::agent::Reason;
use einhorn_core::model::entry::{Body, Cause, Entry};
use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Debug, Clone, Default)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Takes those of another seed in.
    pub fn merge(&mut self, other: &Counts) {
        other.0.iter().for_each(|(what, times)| self.add(what, *times));
    }

    /// How often something happened.
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|(what, times)| format!("{what} {times}")).collect();
        f.write_str(&words.join(", "))
    }
}

impl World {
    pub(crate) fn count(&mut self, what: &'static str) {
        self.counts.add(what, 1);
    }

    /// What an entry that counts says that happened; `parts` are how many it is stored in.
    pub(crate) fn count_entry(&mut self, entry: &Entry, parts: u64) {
        self.counts.add("entries in parts", u64::from(parts > 1));
        for decision in entry.body.changes().iter().filter_map(|change| change.decision.as_ref()) {
            self.count("changes that an agent looked at");
            self.counts.add(
                "changes by rules for want of trust",
                u64::from(decision.reason == Reason::Distrusted),
            );
        }
        match &entry.body {
            Body::Decision { is_commit: true, transaction, .. }
                if transaction.participants.len() == 1 =>
            {
                self.count("careful changes");
            }
            Body::Takeover { is_attested: true, .. } if self.plan.sites > 2 => {
                self.count("takeovers attested of three sites");
            }
            Body::Takeover { is_attested: true, .. } => self.count("takeovers attested"),
            Body::Takeover { .. } if self.plan.is_auto() => self.count("takeovers automatic"),
            Body::Takeover { .. } => self.count("takeovers manual"),
            Body::Withdrawal { round, .. } => {
                self.count("withdrawals");
                self.counts.add("second withdrawals", u64::from(*round > 1));
            }
            Body::Endorsement { round, .. } => {
                self.count("endorsements");
                self.counts.add("endorsements in second rounds", u64::from(*round > 1));
            }
            Body::Decision { is_commit: false, .. } => self.count("decisions against"),
            Body::Decision { .. } => self.count("decisions for"),
            Body::Leftover { .. } => self.count("leftovers"),
            Body::Publication { .. } => self.count("points"),
            Body::Review(_) => self.count("reviews opened"),
            Body::Changes(_) => self.count("changes of several zones"),
            Body::Change(change) => {
                self.counts.add(
                    "zones removed",
                    u64::from(matches!(change.cause, Cause::ZoneRemoval { .. })),
                );
                self.counts.add("leases ended", u64::from(change.cause == Cause::Expiry));
                self.counts.add("tombstones returned", u64::from(change.cause == Cause::Move));
                self.counts.add(
                    "reviews resolved",
                    u64::from(matches!(change.cause, Cause::Review { .. })),
                );
                let moved = change.names.iter().filter(|name| name.version > 1 && name.epoch > 1);
                self.counts.add("changes of moved names", moved.count() as u64);
                let deleted = change.names.iter().filter(|name| name.after.is_empty());
                self.counts.add("deletions", deleted.count() as u64);
            }
            _ => {}
        }
    }
}
