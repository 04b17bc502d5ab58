//! Takeover: another site goes on for one that is lost.
//!
//! The successor asks the others to endorse it. Each endorses at most one successor for a log, logs
//! that before it says so, and from then on takes of the lost log only what that successor has, and
//! cosigns nothing more of it. With
//! endorsements of a majority the successor fetches the longest prefix that any of them holds and
//! logs the takeover: the lost log ends there, and what was at home in it is at home in the
//! successor's. Whatever reached a majority lies within that prefix, since two majorities share a
//! site.
//!
//! A successor that gives up logs a withdrawal, and asks anew, if it ever does, in a higher round. An
//! endorsement binds until its successor withdraws its round, or is itself taken over, and it counts
//! for exactly as long: the successor judges that by its own log, where a takeover comes before the
//! withdrawal or after it, and the others by the same log, in the same order.

use super::bug::{Bug, has};
use super::clock::back;
use super::{Commit, Output};
use crate::link::Message;
use crate::model::entry::Body;
use crate::model::registry::Failover;
use crate::model::settings::Level;
use crate::model::state::Endorsed;
use crate::model::{Origin, Position};
use std::collections::{BTreeMap, BTreeSet};

/// How often a proposal is repeated, in milliseconds.
const PROPOSE_INTERVAL_MS: u64 = 500;

/// How long a site wants to go on for another one before it sets those free who agreed, in
/// milliseconds: while they are bound nothing of the lost log reaches a level.
const GIVE_UP_MS: u64 = 15_000;
/// How long a site that gave up leaves it to others before it tries by itself again, in
/// milliseconds.
const REST_MS: u64 = 10_000;

/// A takeover that this site wants.
struct Wanted {
    is_attested: bool,
    since_ms: u64,
    proposed_ms: u64,
}

/// A site wants to go on for another one.
pub(super) struct Proposal {
    pub(super) lost: Origin,
    pub(super) successor: Origin,
    pub(super) round: u32,
}

/// Takeovers under way.
#[derive(Default)]
pub(super) struct Takeovers {
    /// By lost log.
    wanted: BTreeMap<Origin, Wanted>,
    /// When this site gave up going on for a log, in milliseconds since 1970.
    given_up: BTreeMap<Origin, u64>,
    /// The last round in which this site asked the others, by lost log: some may have agreed in a log
    /// that does not count any more where they did, and are bound all the same.
    proposed: BTreeMap<Origin, u32>,
    /// The entry of this site's last takeover, until a majority holds it: before that nothing that
    /// rests on it is acknowledged.
    unconfirmed: Option<Position>,
    /// A takeover was folded since requests were last routed anew.
    is_folded: bool,
}

impl Takeovers {
    /// This site goes on for that log, its own before this one.
    pub(super) fn wanting(lost: Option<Origin>) -> Takeovers {
        let wanted = || Wanted { is_attested: false, since_ms: 0, proposed_ms: 0 };
        let wanted = lost.map(|lost| (lost, wanted()));
        Takeovers { wanted: wanted.into_iter().collect(), ..Takeovers::default() }
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        for wanted in self.wanted.values_mut() {
            back(&mut wanted.since_ms, by_ms);
            back(&mut wanted.proposed_ms, by_ms);
        }
        self.given_up.values_mut().for_each(|given_up_ms| back(given_up_ms, by_ms));
    }

    /// Whether this site is about to go on for that log.
    pub(super) fn is_mine(&self, lost: Origin) -> bool {
        self.wanted.contains_key(&lost)
    }

    pub(super) fn note_folded(&mut self) {
        self.is_folded = true;
    }

    /// The level that changes must reach, with a takeover behind them that is not confirmed.
    pub(super) fn level_at_least(&self, level: Level) -> Level {
        if self.unconfirmed.is_some() { level.max(Level::Majority) } else { level }
    }
}

impl<R> Commit<R> {
    /// Wants to take over what is at home at a site that is lost. With `is_attested` an operator
    /// vouches that it has stopped, and this site needs nobody else's word.
    ///
    /// # Errors
    /// Why that cannot be, for people.
    pub fn fail_over(
        &mut self,
        now_ms: u64,
        site: u16,
        is_attested: bool,
        out: &mut Vec<Output<R>>,
    ) -> Result<(), String> {
        let name = self.state.registry.name_of(site);
        if let Some(reason) = &self.failure {
            return Err(reason.clone());
        }
        let lost =
            self.state.log_of_site(site).ok_or_else(|| format!("there is no site {site}"))?;
        if site == self.state.origin.site {
            return Err("a site cannot take over from itself".to_owned());
        }
        if self.peers.is_up(site) {
            return Err(format!("site {name} is connected: stop it first"));
        }
        if let Some(closed) = self.state.log(lost).and_then(|log| log.closed) {
            let by = self.state.registry.name_of(closed.successor.site);
            return Err(format!("site {name} was taken over by {by} already"));
        }
        if !self.may_append() {
            return Err(self.why_not_append());
        }
        if !self.is_registered(self.state.origin) {
            return Err("the others do not know this site's new log yet: try again".to_owned());
        }
        self.can_agree(&name, is_attested)?;
        self.want_takeover(now_ms, lost, is_attested, out);
        Ok(())
    }

    /// Whether the sites know a log: what is at home in one that they cannot follow is lost to them.
    fn is_registered(&self, origin: Origin) -> bool {
        self.state.registry.log_key(origin).is_some()
    }

    /// Whether enough sites are connected to agree that one is lost. An operator's word stands in
    /// for those that are not, and for nothing else.
    fn can_agree(&self, lost: &str, is_attested: bool) -> Result<(), String> {
        let registry = &self.state.registry;
        let is_here = |site: u16| site == self.state.origin.site || self.peers.is_up(site);
        let (here, missing): (Vec<u16>, Vec<u16>) =
            registry.counted().partition(|site| is_here(*site));
        let (all, majority) = (here.len() + missing.len(), registry.majority());
        let missing: Vec<_> = missing.into_iter().map(|site| registry.name_of(site)).collect();
        match (here.len() >= majority, is_attested) {
            (false, false) => Err(format!(
                "{majority} of {all} sites must agree that {lost} is lost, and {} cannot be reached: connect them, or, if you have seen to it that {lost} has stopped, say --attest-stopped",
                missing.join(", ")
            )),
            (true, true) => Err(format!(
                "a majority of the sites is connected, and can agree that {lost} is lost: leave --attest-stopped away, with which changes could be lost that they hold"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn want_takeover(
        &mut self,
        now_ms: u64,
        lost: Origin,
        is_attested: bool,
        out: &mut Vec<Output<R>>,
    ) {
        let wanted = Wanted { is_attested, since_ms: now_ms, proposed_ms: 0 };
        self.takeovers.wanted.insert(lost, wanted);
        self.watch_takeovers(now_ms, out);
    }

    /// Whether this site has endorsed a successor for a log, which has not given up.
    pub(super) fn is_frozen(&self, lost: Origin) -> bool {
        self.bound(lost).is_some()
    }

    /// The endorsement that keeps this site from following a log, and from vouching for it.
    pub(super) fn bound(&self, lost: Origin) -> Option<Endorsed> {
        self.endorsed(lost).filter(|_| !has(Bug::EndorserFollows))
    }

    /// The successor that this site has endorsed for a log, and what it held of it then.
    pub(super) fn endorsed(&self, lost: Origin) -> Option<Endorsed> {
        let own = self.state.origin.site;
        let of_ours = self.state.endorsements(lost).filter(|(endorser, _)| endorser.site == own);
        let binds = |(endorser, by): &(Origin, Endorsed)| {
            self.state.binds(lost, *by) && !self.has_ended(lost, *endorser, *by)
        };
        of_ours.filter(binds).map(|(_, endorsed)| endorsed).last()
    }

    /// What this site held of a log when it vouched that it is lost, if it did.
    pub(super) fn held_when_endorsed(&self, lost: Origin) -> Option<u64> {
        self.bound(lost).map(|endorsed| endorsed.held)
    }

    /// The round in which this site asks to go on for a log.
    fn round(&self, lost: Origin) -> u32 {
        self.state.withdrawn(lost, self.state.origin) + 1
    }

    /// Logs an endorsement, unless another successor is endorsed, or this one gave up since.
    fn endorse(&mut self, now_ms: u64, Proposal { lost, successor, round }: Proposal) {
        let is_over = round <= self.state.withdrawn(lost, successor);
        let is_bound = self.endorsed(lost).is_some() && !has(Bug::TwoEndorsements);
        if is_over || is_bound || !self.may_append() {
            return;
        }
        // What is on its way to the disk is there no later than this entry.
        let copy = self.copies.get_mut(lost);
        let held = copy.next;
        if !has(Bug::EndorserFollows) {
            copy.source = None;
            copy.arrived.forget_behind();
        }
        self.stage(now_ms, Body::Endorsement { lost, successor, round, held }, &[]);
    }

    /// A site wants to go on for another one.
    pub(super) fn proposed(
        &mut self,
        now_ms: u64,
        site: u16,
        proposal: Proposal,
        out: &mut Vec<Output<R>>,
    ) {
        let Proposal { lost, successor, .. } = proposal;
        // A site speaks for itself, and a site that can be seen from here is not lost.
        let is_alive = self.peers.is_up(lost.site) && lost.site != successor.site;
        let is_open = self.state.log(lost).is_some_and(|log| log.closed.is_none());
        // Nor does one go on that was vouched to be lost itself: of two sites that each want to go
        // on for the other, a majority must choose one.
        let is_known = self.is_registered(successor) || lost.site == successor.site;
        let is_lost = self.is_frozen(successor) || self.state.in_charge(successor) != successor;
        if successor.site != site
            || is_alive
            || is_lost
            || !is_known
            || !is_open
            || lost == self.state.origin
        {
            return;
        }
        // Of two sites that both want to go on, the one with the lower number does.
        if self.takeovers.is_mine(lost) && successor.site < self.state.origin.site {
            self.takeovers.wanted.remove(&lost);
            self.withdraw_unwanted(now_ms);
        }
        self.endorse(now_ms, proposal);
        self.choose_sources(out);
    }

    /// Sets those free who vouched for this site's going on for a log, which it does not do any
    /// more: it gave way, the lost site came back, or it has restarted since.
    fn withdraw_unwanted(&mut self, now_ms: u64) {
        let own = self.state.origin;
        if !self.may_append() {
            return;
        }
        let is_open = |lost: Origin| self.state.log(lost).is_none_or(|log| log.closed.is_none());
        let proposed = self.takeovers.proposed.iter().map(|(lost, round)| (*lost, *round));
        let unwanted: BTreeMap<Origin, u32> = (self.state.endorsed_for(own).chain(proposed))
            .filter(|(lost, _)| !self.takeovers.is_mine(*lost) && is_open(*lost))
            .filter(|(lost, round)| *round > self.state.withdrawn(*lost, own))
            .fold(BTreeMap::new(), |mut last, (lost, round)| {
                let known = last.entry(lost).or_default();
                *known = round.max(*known);
                last
            });
        for (lost, round) in unwanted {
            self.stage(now_ms, Body::Withdrawal { lost, round }, &[]);
        }
    }

    /// Tells a site again which takeovers this one wants.
    pub(super) fn propose_again(&self, site: u16, out: &mut Vec<Output<R>>) {
        for lost in self.takeovers.wanted.keys() {
            let (successor, round) = (self.state.origin, self.round(*lost));
            let message = Message::Propose { lost: *lost, successor, round };
            out.push(Output::Send(site, message.encode()));
        }
    }

    /// Looks how far takeovers are, and whether one is called for.
    pub(super) fn watch_takeovers(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if std::mem::take(&mut self.takeovers.is_folded) {
            self.note_all_unpublished(now_ms);
            self.look_at_all_leases(now_ms);
            self.choose_sources(out);
            self.reroute(now_ms, out);
        }
        let majority = Level::Majority;
        if let Some(at) = self.takeovers.unconfirmed
            && self.is_confirmed(at, majority)
        {
            self.takeovers.unconfirmed = None;
        }
        self.fail_over_by_itself(now_ms, out);
        // A site that is connected is not lost.
        let peers = &self.peers;
        self.takeovers.wanted.retain(|lost, _| !peers.is_up(lost.site));
        self.give_up_takeovers(now_ms);
        self.withdraw_unwanted(now_ms);
        let wanted: Vec<Origin> = self.takeovers.wanted.keys().copied().collect();
        for lost in wanted {
            self.advance(now_ms, lost, out);
        }
    }

    /// Gives up what the others have not agreed to for long; a site's own log before this one it
    /// never does.
    fn give_up_takeovers(&mut self, now_ms: u64) {
        let own = self.state.origin.site;
        let is_over = |wanted: &Wanted| now_ms.saturating_sub(wanted.since_ms) > GIVE_UP_MS;
        let Takeovers { wanted, given_up, .. } = &mut self.takeovers;
        wanted.retain(|lost, wanted| {
            let is_given_up = lost.site != own && is_over(wanted);
            if is_given_up {
                given_up.insert(*lost, now_ms);
            }
            !is_given_up
        });
    }

    /// Proposes again, or takes over when everything is there for it.
    fn advance(&mut self, now_ms: u64, lost: Origin, out: &mut Vec<Output<R>>) {
        if self.state.log(lost).is_some_and(|log| log.closed.is_some()) {
            self.takeovers.wanted.remove(&lost);
            return;
        }
        let (own, round) = (self.state.origin, self.round(lost));
        let Some(wanted) = self.takeovers.wanted.get_mut(&lost) else { return };
        let is_attested = wanted.is_attested;
        if now_ms >= wanted.proposed_ms + PROPOSE_INTERVAL_MS {
            wanted.proposed_ms = now_ms;
            self.takeovers.proposed.insert(lost, round);
            let message = Message::Propose { lost, successor: own, round };
            self.tell_all(&message, out);
            self.choose_sources(out);
        }
        let counted: Vec<u16> = self.state.registry.counted().collect();
        let endorsed: Vec<_> = (self.state.endorsements(lost))
            .filter(|(_, endorsed)| endorsed.successor == own && self.state.binds(lost, *endorsed))
            .filter(|(endorser, _)| counted.contains(&endorser.site))
            .collect();
        // An operator's word stands in for the sites that are away; of those that are connected
        // each says what it holds of the lost log.
        let present = counted.iter().filter(|site| self.peers.is_up(**site)).count() + 1;
        let enough = if is_attested { present } else { self.state.registry.majority() };
        let enough = if has(Bug::LonelyTakeover) { 1 } else { enough };
        let longest = endorsed.iter().map(|(_, endorsed)| endorsed.held).max().unwrap_or(0);
        // A site that began another log may have vouched in both.
        let sites: BTreeSet<u16> = endorsed.iter().map(|(endorser, _)| endorser.site).collect();
        if !sites.contains(&own.site) {
            // Last, so that it binds itself only to what the others agree to.
            if sites.len() + 1 >= enough {
                self.endorse(now_ms, Proposal { lost, successor: own, round });
            }
            return;
        }
        let is_complete = self.copies.durable(lost) >= longest || has(Bug::ShortPrefix);
        if sites.len() < enough || !is_complete || !self.may_append() {
            return;
        }
        let endorsers = endorsed.into_iter().map(|(endorser, _)| endorser).collect();
        let end = self.state.next_of(lost);
        self.takeovers.wanted.remove(&lost);
        let body = Body::Takeover { lost, end, endorsers, is_attested };
        let index = self.stage(now_ms, body, &[]);
        self.endings.note_folded(lost, Position { origin: own, index }, is_attested);
        self.open.is_urgent = true;
        if !is_attested {
            self.takeovers.unconfirmed = Some(Position { origin: own, index });
        }
        self.note_all_unpublished(now_ms);
        self.look_at_all_leases(now_ms);
        self.reroute(now_ms, out);
    }

    /// With automatic failover the first of the sites that see each other goes on for one that has
    /// been away for long enough.
    fn fail_over_by_itself(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let registry = &self.state.registry;
        let Failover::Auto { after_ms } = registry.failover else { return };
        let own = self.state.origin.site;
        let present = |site: u16| site == own || self.peers.is_up(site);
        let counted: Vec<u16> = registry.counted().collect();
        let up: Vec<u16> = counted.iter().copied().filter(|site| present(*site)).collect();
        // Two sites cannot tell a lost one from a lost link.
        let is_majority = counted.len() >= 3 && up.len() >= registry.majority();
        if !is_majority || !self.may_append() || !self.is_registered(self.state.origin) {
            return;
        }
        // The first of those that have given up least often.
        let gave_up = |lost: Origin, site: u16| {
            let log = self.state.log_of_site(site);
            log.map_or(0, |log| self.state.withdrawn(lost, log))
        };
        let is_first = |lost: Origin| {
            up.iter().min_by_key(|site| (gave_up(lost, **site), **site)) == Some(&own)
        };
        let is_resting = |lost: Origin| {
            let since_ms = self.takeovers.given_up.get(&lost);
            since_ms.is_some_and(|since_ms| now_ms.saturating_sub(*since_ms) < REST_MS)
        };
        let lost: Vec<Origin> = (counted.iter())
            .filter(|site| !present(**site) && self.peers.away_ms(**site, now_ms) > after_ms)
            .filter_map(|site| self.state.log_of_site(*site))
            .filter(|lost| self.state.log(*lost).is_some_and(|log| log.closed.is_none()))
            .filter(|lost| !self.takeovers.is_mine(*lost))
            .filter(|lost| is_first(*lost) && !is_resting(*lost))
            .collect();
        for lost in lost {
            self.want_takeover(now_ms, lost, false, out);
        }
    }

    /// Keeps what only this site had of a log that was taken over, for people to see.
    pub fn keep_leftover(&mut self, now_ms: u64, position: Position, octets: Vec<u8>) {
        self.stage(now_ms, Body::Leftover { position, octets }, &[]);
    }
}
