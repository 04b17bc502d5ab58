//! The queue as a state machine without I/O: numbers updates, keeps the order of each name, says what
//! to write down, what to send where and when again, and whom to tell what.
//!
//! Time is passed in; outputs come in the order in which they must happen. An update that was sent
//! leaves only by what a site says of it: until then nobody knows whether it was done, and a later one of
//! the same name must wait.

mod known;
mod output;
mod sending;

pub(crate) use output::{Attempt, Now, Output};
pub(crate) use sending::Way;

use crate::footprint::Footprint;
use crate::record::{Kept, Record, Taken};
use einhorn_core::rules::update::Refusal;
use einhorn_wire::Name;
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::message::{Message, Rcode};
use known::{Known, KnownTable};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Who may wait for one update: a device and its own repetitions.
const WAITERS_MAX: usize = 8;
/// Earlier updates of a name that are looked at for what a later one makes pointless.
const SUPERSEDED_LOOKED_AT_MAX: usize = 64;
/// Answers that are kept to recognise copies of updates that are settled.
const KNOWN_MAX: usize = 2_000_000;

/// How the desk behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether a device is told that its update is done once it is kept here, while no site answers.
    pub(crate) accept: bool,
    /// Updates kept at most.
    pub(crate) queue_max: usize,
    /// How long a device waits at most, in milliseconds.
    pub(crate) deadline_ms: u64,
}

/// An update as it came.
pub(crate) struct Asked {
    pub(crate) device: Name,
    pub(crate) hash: [u8; 32],
    pub(crate) until_seconds: u64,
    pub(crate) lease: Option<UpdateLease>,
    pub(crate) message: Vec<u8>,
    pub(crate) footprint: Footprint,
}

/// What became of it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It is kept, or was before.
    Kept,
    /// It is not; try again later.
    Refused,
}

struct Entry<R> {
    taken: Taken,
    footprint: Footprint,
    /// Whether somebody was told, or will be once it is on the disk, that it is done.
    is_promised: bool,
    /// Whether that is on the disk.
    is_synced: bool,
    waiting: Vec<(R, u64)>,
    sending: sending::Sending,
}

/// What an operator wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) taken: u64,
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    pub(crate) turned_away: u64,
    pub(crate) promised: u64,
    pub(crate) refused_after_promise: u64,
    pub(crate) resent: u64,
}

/// The queue.
pub(crate) struct Desk<R> {
    settings: Settings,
    entries: BTreeMap<u64, Entry<R>>,
    /// Updates that touch a name, in order; the first may be sent.
    by_name: HashMap<Name, VecDeque<u64>>,
    /// When updates are to be sent that are the first of all their names and not under way.
    due: BTreeSet<(u64, u64)>,
    /// When those under way are to be sent again.
    again: BTreeSet<(u64, u64)>,
    under_way: BTreeSet<u64>,
    /// When somebody gives up waiting.
    deadlines: BTreeSet<(u64, u64)>,
    /// Updates that a later one of the same device makes pointless, and that were never sent.
    superseded: BTreeSet<u64>,
    known: KnownTable,
    last: u64,
    pub(crate) counters: Counters,
}

impl<R> Desk<R> {
    /// A desk that goes on from what a file had. What was kept may have been sent before.
    pub(crate) fn new(settings: Settings, kept: Kept, now: Now) -> Desk<R> {
        let mut desk = Desk {
            settings,
            entries: BTreeMap::new(),
            by_name: HashMap::new(),
            due: BTreeSet::new(),
            again: BTreeSet::new(),
            under_way: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            superseded: BTreeSet::new(),
            known: KnownTable::default(),
            last: kept.last,
            counters: Counters::default(),
        };
        for (hash, (until_seconds, rcode)) in kept.known {
            desk.known.insert(hash, until_seconds, Known::Settled(Rcode(rcode)));
        }
        for (taken, is_promised) in kept.taken.into_values() {
            let footprint =
                Message::parse(&taken.message).ok().map(|message| Footprint::of(&message));
            let Some(Ok(footprint)) = footprint else { continue };
            desk.known.insert(taken.hash, taken.until_seconds, Known::Queued(taken.sequence));
            let mut sending = sending::Sending::default();
            sending.was_perhaps_sent(now.mono_ms);
            let is_synced = is_promised;
            let waiting = Vec::new();
            let entry = Entry { taken, footprint, is_promised, is_synced, waiting, sending };
            desk.push(now, entry);
        }
        desk
    }

    /// How many updates are kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest of them was taken, in milliseconds since 1970.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(_, entry)| entry.taken.taken_ms)
    }

    /// Takes an update. What nobody waits for is kept whatever comes, and written down at once.
    pub(crate) fn take(
        &mut self,
        now: Now,
        asked: Asked,
        reply: Option<R>,
        anyone_there: bool,
        out: &mut Vec<Output<R>>,
    ) -> Receipt {
        self.known.forget_before(now.wall_ms / 1_000);
        match self.known.get(&asked.hash) {
            Some(Known::Settled(rcode)) => {
                out.extend(reply.map(|reply| Output::Answer { reply, rcode, reason: None }));
                return Receipt::Kept;
            }
            Some(Known::Queued(sequence)) => {
                self.wait_again(now, sequence, reply, out);
                return Receipt::Kept;
            }
            None => {}
        }
        if let Some(reason) = self.objection(&asked, reply.is_some(), anyone_there, out) {
            self.counters.turned_away += 1;
            let rcode = Rcode::SERVFAIL;
            let reason = Some(reason.to_owned());
            out.extend(reply.map(|reply| Output::Answer { reply, rcode, reason }));
            return Receipt::Refused;
        }
        // By the clock, so that a number is never given twice, whatever became of the file.
        let sequence = (self.last + 1).max(now.wall_ms.saturating_mul(1_000));
        self.last = sequence;
        let lowest = self.entries.first_key_value().map_or(sequence, |(lowest, _)| *lowest);
        let Asked { device, hash, until_seconds, lease, message, footprint } = asked;
        let (taken_ms, message) = (now.wall_ms, message.into());
        let taken =
            Taken { sequence, lowest, taken_ms, lease, hash, until_seconds, device, message };
        out.push(Output::Write(Record::Taken(Box::new(taken.clone()))));
        self.known.insert(hash, until_seconds, Known::Queued(sequence));
        self.counters.taken += 1;
        // What nobody waits for is promised from the start.
        let is_promised = reply.is_none();
        let (waiting, sending) = (Vec::new(), sending::Sending::default());
        self.push(now, Entry { taken, footprint, is_promised, is_synced: false, waiting, sending });
        self.mark_superseded(sequence);
        if is_promised {
            out.push(Output::Write(Record::Promised { sequence }));
            out.push(Output::Sync(sequence));
        }
        self.wait(now, sequence, reply);
        if !anyone_there {
            self.promise(sequence, out);
        }
        Receipt::Kept
    }

    /// Why an update is not taken.
    fn objection(
        &mut self,
        asked: &Asked,
        is_awaited: bool,
        anyone_there: bool,
        out: &mut Vec<Output<R>>,
    ) -> Option<&'static str> {
        let may_promise = self.settings.accept && asked.footprint.is_unconditional;
        if is_awaited && !anyone_there && !may_promise {
            return Some("no site can be reached from this edge");
        }
        if self.known.len() >= KNOWN_MAX {
            return Some("this edge has too many updates to remember; try again later");
        }
        if self.entries.len() >= self.settings.queue_max && !self.drop_superseded(out) {
            return Some("the queue of this edge is full; try again later");
        }
        None
    }

    fn push(&mut self, now: Now, entry: Entry<R>) {
        let sequence = entry.taken.sequence;
        for name in &entry.footprint.names {
            self.by_name.entry(name.clone()).or_default().push_back(sequence);
        }
        let is_first = self.is_first(sequence, &entry.footprint);
        self.entries.insert(sequence, entry);
        if is_first {
            self.schedule(sequence, Some(now.mono_ms));
        }
    }

    /// Whether no earlier update touches any of its names.
    fn is_first(&self, sequence: u64, footprint: &Footprint) -> bool {
        let first = |name: &Name| self.by_name.get(name).and_then(VecDeque::front);
        footprint.names.iter().all(|name| first(name) == Some(&sequence))
    }

    /// Notes which earlier updates of the same device and name are pointless now.
    fn mark_superseded(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get(&sequence) else { return };
        let Some(name) = &entry.footprint.only_name else { return };
        let earlier = self.by_name.get(name).into_iter().flatten().rev().skip(1);
        for number in earlier.take(SUPERSEDED_LOOKED_AT_MAX) {
            let Some(before) = self.entries.get(number) else { break };
            // What depends on the name's content must find it as it would have been.
            if !before.footprint.is_unconditional || self.superseded.contains(number) {
                break;
            }
            let is_same = before.taken.device == entry.taken.device;
            if is_same
                && !before.sending.was_sent()
                && entry.footprint.supersedes(&before.footprint)
            {
                self.superseded.insert(*number);
            }
        }
    }

    fn drop_superseded(&mut self, out: &mut Vec<Output<R>>) -> bool {
        let Some(sequence) = self.superseded.pop_first() else { return false };
        self.counters.dropped += 1;
        out.push(Output::Dropped { sequence });
        // Whoever asked for it got it, as far as anybody can tell: the later value stands.
        self.settle(sequence, Rcode::NOERROR, None, out);
        true
    }

    fn wait(&mut self, now: Now, sequence: u64, reply: Option<R>) {
        let Some((entry, reply)) = self.entries.get_mut(&sequence).zip(reply) else { return };
        let deadline_ms = now.mono_ms + self.settings.deadline_ms;
        if entry.waiting.len() < WAITERS_MAX {
            entry.waiting.push((reply, deadline_ms));
            self.deadlines.insert((deadline_ms, sequence));
        }
    }

    /// A copy of something that is kept.
    fn wait_again(&mut self, now: Now, sequence: u64, reply: Option<R>, out: &mut Vec<Output<R>>) {
        let is_done = self.entries.get(&sequence).is_some_and(|e| e.is_promised && e.is_synced);
        match reply {
            Some(reply) if is_done => {
                out.push(Output::Answer { reply, rcode: Rcode::NOERROR, reason: None });
            }
            reply => self.wait(now, sequence, reply),
        }
    }

    /// Tells those who wait that it is done, once it is on the disk.
    fn promise(&mut self, sequence: u64, out: &mut Vec<Output<R>>) {
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        let may = self.settings.accept && entry.footprint.is_unconditional;
        if may && !entry.is_promised && !entry.waiting.is_empty() {
            entry.is_promised = true;
            self.counters.promised += 1;
            out.push(Output::Write(Record::Promised { sequence }));
            out.push(Output::Sync(sequence));
        }
    }

    /// Everything up to this promise is on the disk.
    pub(crate) fn synced(&mut self, sequence: u64, out: &mut Vec<Output<R>>) {
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        entry.is_synced = true;
        for (reply, _) in entry.waiting.drain(..) {
            out.push(Output::Answer { reply, rcode: Rcode::NOERROR, reason: None });
        }
    }

    /// Nobody answers any more: who may be told so is told that the update is kept.
    pub(crate) fn all_away(&mut self, out: &mut Vec<Output<R>>) {
        let waiting: Vec<u64> = self.deadlines.iter().map(|(_, sequence)| *sequence).collect();
        waiting.into_iter().for_each(|sequence| self.promise(sequence, out));
    }

    /// Gives up waits that are over.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Vec<Output<R>>) {
        while let Some((at_ms, sequence)) = self.deadlines.first().copied()
            && at_ms <= now.mono_ms
        {
            self.deadlines.pop_first();
            self.promise(sequence, out);
            let Some(entry) = self.entries.get_mut(&sequence) else { continue };
            if entry.is_promised {
                continue;
            }
            let is_over = |(_, deadline_ms): &mut (R, u64)| *deadline_ms <= now.mono_ms;
            let over: Vec<R> =
                entry.waiting.extract_if(.., is_over).map(|(reply, _)| reply).collect();
            let reason = entry.sending.why_late();
            for reply in over {
                let (rcode, reason) = (Rcode::SERVFAIL, Some(reason.clone()));
                out.push(Output::Answer { reply, rcode, reason });
            }
            if entry.waiting.is_empty() && !entry.sending.was_sent() {
                self.withdraw(sequence, out);
            }
        }
    }

    /// Nobody waits for it and no site has heard of it.
    fn withdraw(&mut self, sequence: u64, out: &mut Vec<Output<R>>) {
        if let Some(entry) = self.remove(sequence) {
            self.known.remove(&entry.taken.hash);
            out.push(Output::Write(Record::Withdrawn { sequence }));
        }
    }

    /// It is known what became of an update.
    fn settle(
        &mut self,
        sequence: u64,
        rcode: Rcode,
        reason: Option<String>,
        out: &mut Vec<Output<R>>,
    ) {
        let Some(entry) = self.remove(sequence) else { return };
        // Before anybody is told: a restart must not do what was refused.
        out.push(Output::Write(Record::Settled { sequence, rcode: rcode.0 }));
        self.known.insert(entry.taken.hash, entry.taken.until_seconds, Known::Settled(rcode));
        match rcode {
            Rcode::NOERROR => {}
            _ if entry.is_promised && entry.is_synced => {
                self.counters.refused_after_promise += 1;
                let refusal = Refusal::new(rcode, reason.clone().unwrap_or_default());
                out.push(Output::Lost { taken: Box::new(entry.taken), refusal });
            }
            _ => self.counters.refused += 1,
        }
        for (reply, _) in entry.waiting {
            out.push(Output::Answer { reply, rcode, reason: reason.clone() });
        }
    }

    /// All that a file must have so that another run goes on from here.
    pub(crate) fn kept(&self) -> Kept {
        let taken = self
            .entries
            .iter()
            .map(|(sequence, entry)| (*sequence, (entry.taken.clone(), entry.is_promised)));
        Kept { taken: taken.collect(), known: self.known.settled().collect(), last: self.last }
    }

    /// Takes an update out, and lets go on what waited for its names.
    fn remove(&mut self, sequence: u64) -> Option<Entry<R>> {
        self.set_under_way(sequence, false);
        self.superseded.remove(&sequence);
        let entry = self.entries.remove(&sequence)?;
        for (_, deadline_ms) in &entry.waiting {
            self.deadlines.remove(&(*deadline_ms, sequence));
        }
        let mut next = Vec::new();
        for name in &entry.footprint.names {
            if let Some(queue) = self.by_name.get_mut(name) {
                match queue.front() == Some(&sequence) {
                    true => drop(queue.pop_front()),
                    false => queue.retain(|number| *number != sequence),
                }
                next.extend(queue.front());
                if queue.is_empty() {
                    self.by_name.remove(name);
                }
            }
        }
        for number in next {
            let waiting = &self.entries[&number];
            let is_idle = waiting.sending.is_idle();
            if is_idle && self.is_first(number, &waiting.footprint) {
                self.schedule(number, Some(0));
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
