//! That this site's log is the newest there is of it.
//!
//! A data folder may be an old copy: a backup put back, a virtual machine set back. Appending to it
//! would make a second history beside the one that the other sites hold. So at a start nothing is
//! appended until the others have said how far they hold this log; what they hold and this site does
//! not is fetched from them first. All that count are waited for, and after a while so many of them
//! that one of any majority is among them: less than that could miss what was acknowledged, and
//! with less than all of them an entry that never got so far may be known to a site that is away.

use super::bug::{Bug, has};
use super::clock::back;
use super::{Commit, Output};
use crate::model::Origin;
use std::collections::BTreeSet;

/// How long sites are waited for that are not needed, once enough have answered, in milliseconds.
pub(super) const PROOF_WAIT_MS: u64 = 3_000;

/// What the other sites said so far.
pub(super) struct Proof {
    is_wanted: bool,
    /// Sites that hold nothing of this log that is missing here.
    sites: BTreeSet<u16>,
    /// Entries of this log that somebody said to hold.
    known: u64,
    /// When enough had answered, in milliseconds since 1970.
    enough_ms: Option<u64>,
}

impl Proof {
    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        self.enough_ms.iter_mut().for_each(|since_ms| back(since_ms, by_ms));
    }

    pub(super) fn new(is_wanted: bool) -> Proof {
        let is_wanted = is_wanted && !has(Bug::ProofSkipped);
        Proof { is_wanted, sites: BTreeSet::new(), known: 0, enough_ms: None }
    }

    /// Whether this site may append.
    pub(super) fn is_given(&self) -> bool {
        !self.is_wanted
    }
}

impl<R> Commit<R> {
    /// A site said how far it is.
    pub(super) fn prove(&mut self, now_ms: u64, site: u16, out: &mut Vec<Output<R>>) {
        if self.proof.is_given() {
            return;
        }
        let own = self.state.origin;
        let held = self.peers.get(site).map(|peer| peer.held.get(&own).copied().unwrap_or(0));
        self.proof.known = self.proof.known.max(held.unwrap_or(0));
        if held.is_some_and(|held| held <= self.durable) {
            self.proof.sites.insert(site);
        }
        self.weigh_proof(now_ms, out);
    }

    /// Whether what was said is proof by now.
    pub(super) fn weigh_proof(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if self.proof.is_given() {
            return;
        }
        let own = self.state.origin;
        let registry = &self.state.registry;
        let counted: Vec<u16> = registry.counted().filter(|site| *site != own.site).collect();
        let proven = counted.iter().filter(|site| self.proof.sites.contains(site)).count();
        // Of any majority that this site was once part of, one at least must be among those asked.
        let enough = (counted.len() + 1).saturating_sub(registry.majority() - 1);
        let is_missing = self.proof.known > self.durable;
        let mut is_given = proven == counted.len();
        if proven >= enough.min(counted.len()) {
            let since_ms = *self.proof.enough_ms.get_or_insert(now_ms);
            is_given |= now_ms >= since_ms.saturating_add(PROOF_WAIT_MS);
        }
        if own == Origin::NONE || (is_given && !is_missing) {
            self.give_proof(now_ms, out);
        }
    }

    /// An operator vouches that this data is the newest there is: nobody need be asked.
    pub fn vouch(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if !self.proof.is_given() {
            self.give_proof(now_ms, out);
        }
    }

    fn give_proof(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        self.proof.is_wanted = false;
        self.open.batch.first_index = self.state.next_index();
        self.begin_if_proven(now_ms);
        self.unpark(now_ms, out);
    }

    /// More of this log has come from other sites.
    pub(super) fn prove_again(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let sites: Vec<u16> = self.peers.up().map(|(site, _)| site).collect();
        sites.into_iter().for_each(|site| self.prove(now_ms, site, out));
    }

    /// Why nothing can be added to the log now, for people.
    pub(super) fn why_not_append(&self) -> String {
        let own = self.state.origin;
        if own == Origin::NONE {
            return "this site has not been added by the others yet".to_owned();
        }
        if self.state.log(own).is_some_and(|log| log.closed.is_some()) {
            return "another site took over what was at home here; this one starts anew".to_owned();
        }
        let registry = &self.state.registry;
        let silent: Vec<_> = registry
            .counted()
            .filter(|site| *site != own.site && !self.proof.sites.contains(site))
            .map(|site| registry.name_of(site))
            .collect();
        format!(
            "this site has just started, and must hear from {} how far they hold its log before it adds to it",
            silent.join(", ")
        )
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
