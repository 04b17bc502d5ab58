//! Copies of the other sites' logs: followed, folded, made durable, and cosigned.
//!
//! Each entry is rehashed here. A checkpoint of the log's own site is cosigned only when the tree
//! over exactly these entries has its root, when all of them are durable here, and when every query
//! here sees them. Once a checkpoint does not fit, nothing of that log is taken or cosigned any
//! more: one of the two histories is false, and a person must look.

use super::bug::{Bug, has};
use super::causal::Arrived;
use super::{Append, Batch, Commit, Cosignature, Output, Rebuild};
use crate::ledger::{Checkpoint, Frontier, Hash, SignedCheckpoint, leaf_hash};
use crate::link::Message;
use crate::model::entry::{Assembler, Body, Entry};
use crate::model::{FoldError, Origin, Position};
use std::collections::{BTreeMap, VecDeque};

/// What a site holds of another one's log when it starts.
#[derive(Debug, Default)]
pub struct CopyStart {
    /// The parts of an entry whose last part is not there yet.
    pub assembler: Assembler,
    /// How many parts that are.
    pub parts: u64,
    /// Stored entries.
    pub next: u64,
    /// The tree over some of them …
    pub frontier: Frontier,
    /// … and the hashes of the rest.
    pub leaves: VecDeque<Hash>,
    /// Entries that this site has cosigned.
    pub cosigned: u64,
}

/// Why nothing goes on with the state as it is.
pub(super) enum Stop {
    /// Another site sent what cannot be.
    Wrong(String),
    /// A takeover came after entries that it does not count, or ended this site's log.
    Overtaken(String),
}

/// A copy of a log.
#[derive(Default)]
pub(super) struct Copy {
    assembler: Assembler,
    parts: u64,
    /// What has come and is not taken yet.
    pub(super) arrived: Arrived,
    /// Stored entries, those in the open batch included.
    pub(super) next: u64,
    /// Those that are durable, and visible.
    pub(super) durable: u64,
    frontier: Frontier,
    /// Hashes of entries that are not in `frontier` yet.
    leaves: VecDeque<Hash>,
    /// The newest checkpoint that is signed by the log but not cosigned here.
    checkpoint: Option<SignedCheckpoint>,
    /// A newer one. The older is kept until it is cosigned: under load there is always a newer one
    /// before everything that it covers is here.
    newest: Option<SignedCheckpoint>,
    /// The last cosignature, as it was said to the other sites.
    pub(super) said: Option<Vec<u8>>,
    /// Entries came that do not follow: they are to be asked for anew.
    has_gap: bool,
    /// Entries cosigned.
    pub(super) cosigned: u64,
    /// The site that it is followed from.
    pub(super) source: Option<u16>,
    /// Entries up to which it differs from what its site signed.
    pub(super) fork: Option<u64>,
}

/// All copies.
pub(super) struct Copies(BTreeMap<Origin, Copy>);

impl Copies {
    pub(super) fn new(starts: BTreeMap<Origin, CopyStart>) -> Copies {
        let copy = |start: CopyStart| Copy {
            assembler: start.assembler,
            parts: start.parts,
            next: start.next,
            durable: start.next,
            frontier: start.frontier,
            leaves: start.leaves,
            cosigned: start.cosigned,
            ..Copy::default()
        };
        Copies(starts.into_iter().map(|(origin, start)| (origin, copy(start))).collect())
    }

    pub(super) fn get_mut(&mut self, origin: Origin) -> &mut Copy {
        self.0.entry(origin).or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Origin, &Copy)> {
        self.0.iter().map(|(origin, copy)| (*origin, copy))
    }

    /// Stored entries of a log that are durable here.
    pub(super) fn durable(&self, origin: Origin) -> u64 {
        self.0.get(&origin).map_or(0, |copy| copy.durable)
    }

    pub(super) fn all_durable(&self) -> impl Iterator<Item = (Origin, u64)> {
        self.0.iter().map(|(origin, copy)| (*origin, copy.durable))
    }

    /// Has everything asked for anew that came with something missing before it.
    pub(super) fn close_gaps(&mut self) {
        for copy in self.0.values_mut() {
            if std::mem::take(&mut copy.has_gap) {
                copy.source = None;
            }
        }
    }

    /// Logs of which something has come that is not taken yet.
    pub(super) fn arrived(&self) -> impl Iterator<Item = Origin> {
        self.iter().filter(|(_, copy)| copy.arrived.count() > 0).map(|(origin, _)| origin)
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        self.0.values_mut().for_each(|copy| copy.arrived.set_back(by_ms));
    }

    /// A site that copies were followed from has gone.
    pub(super) fn lost_source(&mut self, site: u16) {
        for copy in self.0.values_mut().filter(|copy| copy.source == Some(site)) {
            copy.source = None;
            // It may come back with less than it had.
            if let Some(assembler) = copy.arrived.forget() {
                copy.assembler = assembler;
            }
        }
    }
}

fn wrong(origin: Origin, index: u64, what: String) -> Stop {
    Stop::Wrong(format!("entry {index} of log {origin}, as another site sent it, is wrong: {what}"))
}

impl<R> Commit<R> {
    /// Follows each log from its own site where that is connected, and else from whoever has more
    /// of it.
    pub(super) fn choose_sources(&mut self, out: &mut Vec<Output<R>>) {
        let mut logs: Vec<Origin> = self.state.registry.logs().collect();
        if self.state.registry.sites.is_empty() {
            // A site that joins learns from the first that it meets which others there are.
            logs.extend(self.peers.up().flat_map(|(_, peer)| peer.held.keys().copied()));
        }
        logs.sort_unstable();
        logs.dedup();
        for origin in logs {
            self.state.expect(origin);
            self.choose_source(origin, out);
        }
    }

    fn choose_source(&mut self, origin: Origin, out: &mut Vec<Output<R>>) {
        let is_own = origin == self.state.origin;
        let end = self.state.log(origin).and_then(|log| log.closed).map(|closed| closed.end);
        if is_own && self.proof.is_given() {
            return;
        }
        let endorsed = self.bound(origin).filter(|_| end.is_none());
        let is_frozen = endorsed.is_some();
        // Whoever has endorsed a successor takes no more than that one has: this it will count.
        let successor = endorsed.filter(|_| !self.takeovers.is_mine(origin));
        let successor = successor.map(|endorsed| endorsed.successor.site);
        let next = if is_own { self.state.next_index() } else { self.copies.get_mut(origin).next };
        let copy = self.copies.get_mut(origin);
        if is_own {
            (copy.next, copy.durable) = (next.max(copy.next), self.durable.max(copy.durable));
        }
        if copy.fork.is_some() || end.is_some_and(|end| copy.next >= end) {
            return;
        }
        let has_more = |site: u16| self.peers.held(site, origin) > copy.next;
        let is_home_up = self.peers.is_up(origin.site) && !is_own && !is_frozen;
        let source = if is_home_up && end.is_none() {
            Some(origin.site)
        } else {
            let keep = copy.source.filter(|site| self.peers.is_up(*site) && has_more(*site));
            keep.or_else(|| {
                let sites = self.peers.up().map(|(site, _)| site);
                let others = sites.filter(|site| !(is_frozen && *site == origin.site));
                others
                    .filter(|site| successor.is_none_or(|successor| *site == successor))
                    .filter(|site| has_more(*site))
                    .max_by_key(|site| self.peers.held(*site, origin))
            })
        };
        if let Some(source) = source
            && copy.source != Some(source)
        {
            copy.source = Some(source);
            copy.arrived.forget_behind();
            let message = Message::Follow { origin, from: copy.next + copy.arrived.count() };
            out.push(Output::Send(source, message.encode()));
        }
    }

    /// Entries of a log have come.
    pub(super) fn copied(
        &mut self,
        now_ms: u64,
        site: u16,
        origin: Origin,
        first: u64,
        entries: &[Vec<u8>],
        out: &mut Vec<Output<R>>,
    ) {
        let is_own = origin == self.state.origin;
        let copy = self.copies.get_mut(origin);
        let is_wanted = copy.source == Some(site) && copy.fork.is_none();
        if !is_wanted || (is_own && self.proof.is_given()) {
            return;
        }
        let next = copy.next + copy.arrived.count();
        if first > next {
            copy.has_gap = true;
            return;
        }
        let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
        copy.has_gap |= !entries.iter().skip(skip).all(|octets| copy.arrived.push(octets));
        self.take_arrived(now_ms, out);
    }

    /// The entry whose last part this is.
    pub(super) fn assemble(
        &mut self,
        origin: Origin,
        octets: &[u8],
    ) -> Result<Option<Entry>, Stop> {
        let copy = self.copies.get_mut(origin);
        let index = copy.next;
        copy.assembler.next(octets).map_err(|error| wrong(origin, index, error.to_string()))
    }

    /// Takes the next stored entry of a log into the open batch, and folds the entry that ends with it.
    pub(super) fn take_copied(
        &mut self,
        now_ms: u64,
        origin: Origin,
        octets: &[u8],
        entry: Option<Entry>,
    ) -> Result<(), Stop> {
        let is_own = origin == self.state.origin;
        let copy = self.copies.get_mut(origin);
        let index = copy.next;
        let batches = &mut self.open.copies;
        let batch = batches.entry(origin).or_insert_with(|| Batch::starting_at(index));
        batch.push(octets, &[]);
        copy.next += 1;
        copy.parts += 1;
        copy.leaves.push_back(leaf_hash(octets));
        let Some(entry) = entry else { return Ok(()) };
        let parts = std::mem::take(&mut copy.parts);
        match self.state.fold(origin, &entry, parts, &mut self.open.effects) {
            Ok(()) => {}
            Err(error @ FoldError::Overtaken { .. }) => {
                return Err(Stop::Overtaken(error.to_string()));
            }
            Err(error) => return Err(wrong(origin, index, error.to_string())),
        }
        self.note_leases(&entry);
        self.note_for_agent(now_ms, &entry);
        self.note_unpublished(now_ms);
        if is_own {
            self.open.batch.first_index = self.state.next_index();
        }
        if let Body::Takeover { lost, is_attested, .. } = entry.body {
            self.takeovers.note_folded();
            let at = Position { origin, index: self.state.next_of(origin) - 1 };
            self.endings.note_folded(lost, at, is_attested);
            if lost == self.state.origin {
                return Err(Stop::Overtaken(self.why_not_append()));
            }
        }
        Ok(())
    }

    /// Nothing goes on in this process: what is durable must be folded anew. What has come of
    /// other logs is kept first where that is why.
    pub(super) fn stop(&mut self, stop: Stop, out: &mut Vec<Output<R>>) {
        let copies = std::mem::take(&mut self.open.copies);
        match stop {
            Stop::Wrong(reason) => {
                self.refuse_from_now_on(&reason, out);
                out.push(Output::Rebuild(reason));
            }
            // Whatever refuses already calls for a restart; the disk may be in doubt.
            Stop::Overtaken(_) if self.failure.is_some() => {}
            Stop::Overtaken(reason) => {
                self.refuse_from_now_on(&reason, out);
                self.rebuild = Some(Rebuild { reason, copies, is_appending: false });
            }
        }
    }

    /// Pieces of copies are durable and visible: says so, and cosigns.
    pub(super) fn copies_are_durable(
        &mut self,
        now_ms: u64,
        append: &Append,
        out: &mut Vec<Output<R>>,
    ) {
        for (origin, batch) in &append.copies {
            let copy = self.copies.get_mut(*origin);
            copy.durable = batch.end();
            if *origin == self.state.origin {
                self.durable = batch.end();
            }
            if let Some(source) = copy.source {
                let message = Message::Have { origin: *origin, next: batch.end() };
                out.push(Output::Send(source, message.encode()));
            }
            self.cosign(now_ms, *origin, out);
        }
        if !append.copies.is_empty() {
            self.unpark(now_ms, out);
            self.prove_again(now_ms, out);
        }
    }

    /// A checkpoint of a log has come.
    pub(super) fn checkpointed(
        &mut self,
        now_ms: u64,
        origin: Origin,
        note: &str,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(key) = self.state.registry.log_key(origin) else { return };
        // Whoever sends it: the log's signature counts. What does not verify says nothing.
        let Some(signed) = self.signatures.checkpoint(note, key) else { return };
        let copy = self.copies.get_mut(origin);
        let size = signed.checkpoint.size;
        // After a restart it is said again what was cosigned before.
        let is_new = size > copy.cosigned || (size == copy.cosigned && copy.said.is_none());
        if !is_new {
            return;
        }
        let smaller = |known: &SignedCheckpoint| known.checkpoint.size < size;
        if copy.checkpoint.is_none() {
            copy.checkpoint = Some(signed);
        } else if copy.checkpoint.as_ref().is_some_and(smaller)
            && copy.newest.as_ref().is_none_or(smaller)
        {
            copy.newest = Some(signed);
        }
        self.cosign(now_ms, origin, out);
    }

    /// Cosigns what it can: what an endorsement kept it from, which does not bind any more.
    pub(super) fn cosign_again(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let waiting = self.copies.iter().filter(|(_, copy)| copy.checkpoint.is_some());
        let waiting: Vec<Origin> = waiting.map(|(origin, _)| origin).collect();
        waiting.into_iter().for_each(|origin| self.cosign(now_ms, origin, out));
    }

    /// Cosigns the newest checkpoint of a log, if everything that it covers is here.
    fn cosign(&mut self, now_ms: u64, origin: Origin, out: &mut Vec<Output<R>>) {
        let own = self.state.origin;
        // Whoever has endorsed a takeover vouches for the lost log no more.
        let is_frozen = self.is_frozen(origin);
        let Some(mirror) = &self.mirror else { return };
        let copy = self.copies.get_mut(origin);
        let Some(signed) = copy.checkpoint.take_if(|signed| {
            let here = if has(Bug::CosignedEarly) { copy.next } else { copy.durable };
            signed.checkpoint.size <= here && !is_frozen && copy.fork.is_none()
        }) else {
            return;
        };
        copy.checkpoint = copy.newest.take();
        let Checkpoint { size, root, .. } = signed.checkpoint;
        if size < copy.frontier.size() {
            return self.cosign(now_ms, origin, out);
        }
        while copy.frontier.size() < size
            && let Some(leaf) = copy.leaves.pop_front()
        {
            copy.frontier.push(leaf, |_, _| {});
        }
        if copy.frontier.root() != root {
            copy.fork = Some(size);
            let message = Message::Fork { origin, size };
            out.push(Output::Send(origin.site, message.encode()));
            return;
        }
        copy.cosigned = size;
        let body = signed.checkpoint.body();
        let Some(line) = self.signatures.cosign(mirror, &body, now_ms / 1000) else { return };
        let note = format!("{body}\n{line}");
        out.push(Output::Checkpoint(origin, signed));
        out.push(Output::Cosignature(Cosignature { origin, site: own.site, size, note }));
        self.levels.note_cosigned(origin, own.site, size);
        let message = Message::Cosignature { origin, size, root, line };
        self.copies.get_mut(origin).said = Some(message.encode());
        self.tell_all(&message, out);
        self.release_levels(out);
        self.cosign(now_ms, origin, out);
    }

    /// A site says that it cosigned a checkpoint.
    pub(super) fn cosigned(
        &mut self,
        site: u16,
        origin: Origin,
        size: u64,
        root: Hash,
        line: &str,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(log) = self.state.log(origin).map(|log| log.name.clone()) else { return };
        let Some(known) = self.state.registry.sites.get(&site) else { return };
        let body = Checkpoint { origin: log, size, root }.body();
        let note = format!("{body}\n{line}");
        if self.levels.cosigned(origin, site) >= size {
            return;
        }
        let signatures = &mut self.signatures;
        if !known.mirror_keys.iter().rev().any(|key| signatures.is_cosigned(&note, key)) {
            return;
        }
        if self.levels.note_cosigned(origin, site, size) {
            out.push(Output::Cosignature(Cosignature { origin, site, size, note }));
            self.release_levels(out);
        }
    }

    /// A map root that a log's site logged is not the map of its entries: nothing more of that log
    /// is taken or cosigned.
    pub fn distrust(&mut self, origin: Origin, at: u64, out: &mut Vec<Output<R>>) {
        self.copies.get_mut(origin).fork = Some(at);
        out.push(Output::Send(origin.site, Message::Fork { origin, size: at }.encode()));
    }

    /// A site holds something else than what this site signed.
    pub(super) fn forked(
        &mut self,
        site: u16,
        origin: Origin,
        size: u64,
        out: &mut Vec<Output<R>>,
    ) {
        if origin == self.state.origin {
            let name = self.state.registry.name_of(site);
            let reason = format!(
                "site {name} holds other entries of this log below entry {size}: this data is a copy that went on by itself"
            );
            self.refuse_from_now_on(&reason, out);
        }
    }
}
