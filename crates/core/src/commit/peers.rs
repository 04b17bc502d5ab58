//! The other sites: who is connected, what they hold, what they say.

use super::clock::back;
use super::coordinate::Part;
use super::forward::Asker;
use super::prepare::{NoIntent, Prepare};
use super::takeover::Proposal;
use super::{Commit, Output};
use crate::ledger::SignedCheckpoint;
use crate::link::Message;
use crate::model::Origin;
use crate::rules::update::Refusal;
use std::collections::BTreeMap;

/// How often a site says how far it is, in milliseconds.
pub const STATE_INTERVAL_MS: u64 = 250;
/// A site that has not been connected for so long is away, in milliseconds: requests for it are
/// refused at once.
const AWAY_MS: u64 = 1_000;

/// What is known of a site that is or was connected.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    pub(super) is_up: bool,
    /// When it was connected or lost, in milliseconds since 1970.
    pub(super) since_ms: u64,
    /// The log that it appends to.
    pub(super) origin: Option<Origin>,
    /// What it holds of each log.
    pub(super) held: BTreeMap<Origin, u64>,
    /// Its clock less ours, in milliseconds, link time included.
    pub(super) clock_ahead_ms: i64,
    pub(super) waiting: u32,
    pub(super) oldest_ms: u64,
}

/// All sites heard of.
#[derive(Default)]
pub(super) struct Peers {
    peers: BTreeMap<u16, Peer>,
    /// When this site last said how far it is.
    said_ms: u64,
    /// When this site started, for those never heard of.
    started_ms: Option<u64>,
}

impl Peers {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn get(&self, site: u16) -> Option<&Peer> {
        self.peers.get(&site)
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        back(&mut self.said_ms, by_ms);
        self.started_ms.iter_mut().for_each(|started_ms| back(started_ms, by_ms));
        self.peers.values_mut().for_each(|peer| back(&mut peer.since_ms, by_ms));
    }

    /// What a site says it holds of a log.
    pub(super) fn held(&self, site: u16, origin: Origin) -> u64 {
        self.get(site).and_then(|peer| peer.held.get(&origin)).copied().unwrap_or(0)
    }

    pub(super) fn is_up(&self, site: u16) -> bool {
        self.peers.get(&site).is_some_and(|peer| peer.is_up)
    }

    /// Sites that are connected.
    pub(super) fn up(&self) -> impl Iterator<Item = (u16, &Peer)> {
        self.peers.iter().filter(|(_, peer)| peer.is_up).map(|(site, peer)| (*site, peer))
    }

    /// How long a site has been away, in milliseconds; 0 for one that is connected.
    pub(super) fn away_ms(&self, site: u16, now_ms: u64) -> u64 {
        match self.peers.get(&site) {
            Some(peer) if peer.is_up => 0,
            Some(peer) => now_ms.saturating_sub(peer.since_ms),
            None => now_ms.saturating_sub(self.started_ms.unwrap_or(now_ms)),
        }
    }

    pub(super) fn is_away(&self, site: u16, now_ms: u64) -> bool {
        self.away_ms(site, now_ms) > AWAY_MS
    }
}

impl<R> Commit<R> {
    /// A site is connected.
    pub fn peer_up(&mut self, now_ms: u64, site: u16, out: &mut Vec<Output<R>>) {
        let peer = self.peers.peers.entry(site).or_default();
        *peer = Peer { is_up: true, since_ms: now_ms, ..Peer::default() };
        self.followers.forget(site);
        self.copies.lost_source(site);
        out.push(Output::Send(site, self.own_state(now_ms).encode()));
        if let Some(checkpoint) = &self.checkpoint {
            let (origin, note) = (self.state.origin, checkpoint.note.clone());
            out.push(Output::Send(site, Message::Checkpoint { origin, note }.encode()));
        }
        // It may have missed what was said while it was away.
        let said = self.copies.iter().filter_map(|(_, copy)| copy.said.clone());
        out.extend(said.map(|frame| Output::Send(site, frame)));
        self.forward_again(now_ms, site, out);
        self.ask_again(site, out);
        self.propose_again(site, out);
    }

    /// A site is not connected any more.
    pub fn peer_down(&mut self, now_ms: u64, site: u16, out: &mut Vec<Output<R>>) {
        let peer = self.peers.peers.entry(site).or_default();
        (peer.is_up, peer.since_ms) = (false, now_ms);
        self.followers.forget(site);
        self.copies.lost_source(site);
        self.choose_sources(out);
    }

    /// A site says something.
    pub fn message(&mut self, now_ms: u64, site: u16, message: Message, out: &mut Vec<Output<R>>) {
        if self.failure.is_some() {
            return;
        }
        match message {
            Message::State { origin, held, time_ms, waiting, oldest_ms } => {
                let peer = self.peers.peers.entry(site).or_default();
                peer.origin = Some(origin).filter(|origin| *origin != Origin::NONE);
                peer.held = held.into_iter().collect();
                peer.clock_ahead_ms = time_ms.cast_signed() - now_ms.cast_signed();
                (peer.waiting, peer.oldest_ms) = (waiting, oldest_ms);
                self.prove(now_ms, site, out);
                self.choose_sources(out);
                self.tell_endings(site, out);
            }
            Message::Follow { origin, from } => self.follow(site, origin, from, out),
            Message::Entries { origin, first, entries } => {
                self.copied(now_ms, site, origin, first, &entries, out);
            }
            Message::Have { origin, next } => {
                if let Some(peer) = self.peers.peers.get_mut(&site) {
                    peer.held.insert(origin, next);
                }
                self.acknowledged(site, origin, next, out);
            }
            Message::Checkpoint { origin, note } => {
                self.checkpointed(now_ms, origin, &note, out);
            }
            Message::Cosignature { origin, size, root, line } => {
                self.cosigned(site, origin, size, root, &line, out);
            }
            Message::Forward { ticket, hops, seen, budget_ms, request } => {
                let deadline_ms = now_ms + budget_ms.min(self.deadline_ms);
                let asker = Asker::There { site, ticket, id: request.id, deadline_ms };
                self.forwarded_here(now_ms, asker, *request, seen, hops, out);
            }
            Message::Answer { ticket, request, outcome } => {
                self.answered(now_ms, ticket, request, outcome, out);
            }
            Message::Propose { lost, successor, round } => {
                self.proposed(now_ms, site, Proposal { lost, successor, round }, out);
            }
            Message::Ended { origin, end } => self.told_of_end(origin, end, out),
            Message::Fork { origin, size } => self.forked(site, origin, size, out),
            Message::Prepare { transaction, seen, is_exact, settings, requests } => {
                let until_ms = now_ms + self.deadline_ms;
                let part = Part { seen, is_exact, settings, requests };
                let prepare = Prepare { from: site, transaction, part, until_ms };
                self.prepare(now_ms, prepare, out);
            }
            Message::Refuse { id, is_final, rcode, reason } => {
                let refusal = Refusal { rcode, reason };
                let no_intent = NoIntent { is_final, ..NoIntent::for_good(refusal) };
                self.refused(now_ms, id, no_intent, out);
            }
            Message::Resolve { transaction } => self.resolve(now_ms, transaction),
        }
    }

    /// The own log's newest checkpoint is signed and published.
    pub fn sealed(&mut self, checkpoint: SignedCheckpoint, out: &mut Vec<Output<R>>) {
        let message =
            Message::Checkpoint { origin: self.state.origin, note: checkpoint.note.clone() };
        self.checkpoint = Some(checkpoint);
        self.tell_all(&message, out);
    }

    /// Time goes by: says how far this site is, gives up what waited too long, looks whether a
    /// site was lost. To be called about every [`Commit::next_wake_ms`].
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        self.see_clock(now_ms);
        self.peers.started_ms.get_or_insert(now_ms);
        self.begin_if_proven(now_ms);
        self.end_leases(now_ms, out);
        self.give_up_forwarded(now_ms, out);
        self.give_up_levels(now_ms, out);
        self.release_due(now_ms, out);
        if let Some(advisor) = &mut self.advisor {
            advisor.tick(now_ms);
        }
        if self.is_alone() {
            return;
        }
        if now_ms >= self.peers.said_ms + STATE_INTERVAL_MS {
            self.peers.said_ms = now_ms;
            let message = self.own_state(now_ms);
            self.tell_all(&message, out);
            self.return_tombstones(now_ms);
            self.recover_transactions(now_ms, out);
            self.copies.close_gaps();
            self.take_arrived(now_ms, out);
            self.cosign_again(now_ms, out);
            self.choose_sources(out);
        }
        self.watch_coordinated(now_ms, out);
        self.weigh_proof(now_ms, out);
        self.unpark(now_ms, out);
        self.watch_takeovers(now_ms, out);
    }

    /// When [`Commit::tick`] or [`Commit::flush`] has something to do, in milliseconds since 1970;
    /// `None` if nothing but inputs brings anything about.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let points = self.unpublished.iter().map(|(_, due_ms)| *due_ms);
        let point = points.min().filter(|_| self.may_append());
        let state = (!self.is_alone()).then_some(self.peers.said_ms + STATE_INTERVAL_MS);
        let begin = self.begin.as_ref().filter(|_| self.proof.is_given()).map(|_| 0);
        let waits = [
            self.forwarding.next_deadline_ms(),
            self.levels.next_deadline_ms(),
            self.coordination.next_wake_ms(),
            self.held.next_wake_ms(),
            self.leases.next_wake_ms(),
        ];
        point.into_iter().chain(begin).chain(state).chain(waits.into_iter().flatten()).min()
    }

    fn own_state(&self, now_ms: u64) -> Message {
        let mut held: Vec<_> = self.copies.all_durable().collect();
        if self.state.origin != Origin::NONE {
            held.push((self.state.origin, self.durable));
        }
        let oldest = self.forwarding.oldest_ms().map_or(0, |since| now_ms.saturating_sub(since));
        Message::State {
            origin: self.state.origin,
            held,
            time_ms: now_ms,
            waiting: self.requests_waiting() as u32,
            oldest_ms: oldest,
        }
    }

    /// Requests that wait for other sites.
    pub(super) fn requests_waiting(&self) -> usize {
        self.forwarding.count() + self.levels.count() + self.coordination.count()
    }

    /// Says something to every site that is connected.
    pub(super) fn tell_all(&self, message: &Message, out: &mut Vec<Output<R>>) {
        let frame = message.encode();
        out.extend(self.peers.up().map(|(site, _)| Output::Send(site, frame.clone())));
    }

    /// The registry changed: sites may have gone.
    pub(super) fn peers_changed(&mut self, out: &mut Vec<Output<R>>) {
        self.signatures.forget_keys();
        self.release_levels(out);
        self.choose_sources(out);
    }
}
