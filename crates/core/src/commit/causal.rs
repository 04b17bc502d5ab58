//! Entries of other logs are folded after what they build upon, whichever came first.
//!
//! A change of several names lies in one log, and the next change of one of them in another. Who followed
//! the second log faster than the first would show that one name as it is after both, and the others as
//! they were before: a part of a change. So an entry waits until the entry before it of each of its
//! names is here, and with it all that comes behind it in its log. The site that wrote it had seen that
//! entry, so somebody has it; what nobody can send any more is not waited for longer than
//! [`WAIT_MS_MAX`].

use super::copies::Stop;
use super::{Commit, Output};
use crate::model::entry::{Assembler, Entry};
use crate::model::{Origin, Position};
use std::collections::VecDeque;

/// How long an entry waits for what it builds upon, in milliseconds.
const WAIT_MS_MAX: u64 = 5_000;
/// Octets that wait behind such an entry; more are asked for again.
const BEHIND_OCTETS_MAX: usize = 16 << 20;

/// What has come of a log and is not taken yet.
#[derive(Default)]
pub(super) struct Arrived {
    /// The next entry, which waits.
    waits: Option<Waits>,
    /// What comes after it.
    behind: VecDeque<Vec<u8>>,
    octets: usize,
}

/// An entry that waits for another one.
struct Waits {
    octets: Vec<u8>,
    entry: Entry,
    needs: Position,
    since_ms: u64,
}

impl Arrived {
    /// Stored entries that are here and not taken.
    pub(super) fn count(&self) -> u64 {
        self.waits.iter().count() as u64 + self.behind.len() as u64
    }

    /// Forgets all but the entry that waits: the rest is asked for again.
    pub(super) fn forget_behind(&mut self) {
        self.behind.clear();
        self.octets = 0;
    }

    /// Forgets everything. Gives what the parts are put together with that were taken before the entry
    /// that waited.
    pub(super) fn forget(&mut self) -> Option<Assembler> {
        let waits = std::mem::take(self).waits?;
        let mut parts = Vec::new();
        waits.entry.encode(&mut Vec::new(), |part| parts.push(part.to_vec()));
        parts.pop();
        let mut assembler = Assembler::default();
        // What was put together comes apart again.
        let is_whole = parts.iter().all(|part| assembler.next(part).is_ok());
        is_whole.then_some(assembler)
    }

    /// Adds what came last; `false` if there is no room for it.
    pub(super) fn push(&mut self, octets: &[u8]) -> bool {
        let fits = self.octets + octets.len() <= BEHIND_OCTETS_MAX || self.behind.is_empty();
        if fits {
            self.octets += octets.len();
            self.behind.push_back(octets.to_vec());
        }
        fits
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let octets = self.behind.pop_front()?;
        self.octets -= octets.len();
        Some(octets)
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        if let Some(waits) = &mut self.waits {
            super::clock::back(&mut waits.since_ms, by_ms);
        }
    }
}

impl<R> Commit<R> {
    /// Takes what has come of other logs, as far as nothing is missing before it.
    pub(super) fn take_arrived(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        let logs: Vec<Origin> = self.copies.arrived().collect();
        // What one log brings may be what another one waits for.
        let mut goes_on = true;
        while goes_on {
            goes_on = false;
            for origin in &logs {
                loop {
                    match self.take_next(now_ms, *origin) {
                        Ok(true) => goes_on = true,
                        Ok(false) => break,
                        Err(stop) => return self.stop(stop, out),
                    }
                }
            }
        }
        self.unpark(now_ms, out);
    }

    /// Takes the next stored entry of a log, if it is here and need not wait.
    fn take_next(&mut self, now_ms: u64, origin: Origin) -> Result<bool, Stop> {
        let end = self.state.log(origin).and_then(|log| log.closed).map(|closed| closed.end);
        let is_frozen = self.is_frozen(origin) && !self.takeovers.is_mine(origin) && end.is_none();
        let copy = self.copies.get_mut(origin);
        if (is_frozen && copy.source.is_none()) || copy.fork.is_some() {
            return Ok(false);
        }
        if end.is_some_and(|end| copy.next >= end) {
            copy.arrived.forget();
            return Ok(false);
        }
        if let Some(waits) = copy.arrived.waits.take() {
            let is_over = now_ms >= waits.since_ms + WAIT_MS_MAX;
            if !is_over && let Some(needs) = self.still_needs(origin, &waits) {
                self.copies.get_mut(origin).arrived.waits = Some(Waits { needs, ..waits });
                return Ok(false);
            }
            return self
                .take_copied(now_ms, origin, &waits.octets, Some(waits.entry))
                .map(|()| true);
        }
        let Some(octets) = copy.arrived.pop() else { return Ok(false) };
        let entry = self.assemble(origin, &octets)?;
        match entry.as_ref().and_then(|entry| self.needs(origin, entry)).zip(entry.as_ref()) {
            Some((needs, entry)) => {
                let waits = Waits { octets, entry: entry.clone(), needs, since_ms: now_ms };
                self.copies.get_mut(origin).arrived.waits = Some(waits);
                Ok(false)
            }
            None => self.take_copied(now_ms, origin, &octets, entry).map(|()| true),
        }
    }

    /// What an entry waits for now.
    fn still_needs(&self, origin: Origin, waits: &Waits) -> Option<Position> {
        if self.is_folded(waits.needs) {
            self.needs(origin, &waits.entry)
        } else {
            Some(waits.needs)
        }
    }

    /// The first entry that this one builds upon and that is not here.
    fn needs(&self, origin: Origin, entry: &Entry) -> Option<Position> {
        let names = entry.body.all_changes().iter().flat_map(|change| &change.names);
        let before = names.filter_map(|name| name.previous);
        let mut others = before.filter(|before| before.origin != origin);
        others.find(|before| !self.is_folded(*before))
    }

    /// Whether an entry is folded here, or does not count.
    fn is_folded(&self, at: Position) -> bool {
        let end = self.state.log(at.origin).and_then(|log| log.closed).map(|closed| closed.end);
        at.index < self.state.next_of(at.origin) || end.is_some_and(|end| at.index >= end)
    }
}
