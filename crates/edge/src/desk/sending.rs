//! When an update is sent, where, and when again.

use super::{Attempt, Desk, Now, Output};
use crate::record::Taken;
use einhorn_wire::message::Rcode;

/// Updates at the sites at once: what a socket holds without loss.
const UNDER_WAY_MAX: usize = 128;
/// A sending that is older will not be done any more if it was not: twice what a site lets an update
/// wait, in milliseconds.
const OUTSTANDING_MS: u64 = 6_000;
/// How long to wait after a site said that it cannot now, at first and at most, in milliseconds.
const BACK_OFF_MS: [u64; 2] = [100, 5_000];
/// How long to wait at most for an answer before sending again, in milliseconds.
const RESEND_MS_MAX: u64 = 2_000;
/// Sendings without an answer, after which the next nearest site is asked.
const UNANSWERED_MAX: u32 = 2;

/// A site that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Its place in the configuration.
    pub(crate) site: usize,
    /// How long an answer may take before the update is sent again, in milliseconds.
    pub(crate) resend_ms: u64,
}

/// How far the sending of one update is.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Number and time of each sending that was not answered, in milliseconds.
    outstanding: Vec<(u32, u64)>,
    sent: u32,
    /// In a row.
    unanswered: u32,
    refusals: u32,
    /// How many of the nearer sites are passed over.
    passed_over: usize,
    site: Option<usize>,
    is_under_way: bool,
    due_ms: Option<u64>,
    /// What the last site said that could not.
    problem: Option<String>,
}

impl Sending {
    /// An earlier run of this program may have sent it.
    pub(super) fn was_perhaps_sent(&mut self, now_ms: u64) {
        self.sent = 1;
        self.outstanding.push((1, now_ms));
    }

    pub(super) fn was_sent(&self) -> bool {
        self.sent > 0
    }

    /// Whether nothing is planned for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_under_way && self.due_ms.is_none()
    }

    /// What a device is told that has waited in vain.
    pub(super) fn why_late(&self) -> String {
        match (&self.problem, self.sent) {
            (Some(problem), _) => problem.clone(),
            (None, 0) => {
                "no site could be asked in time, or an earlier update of the name is not settled"
                    .into()
            }
            (None, _) => "no site has answered in time; it may still be done".into(),
        }
    }
}

impl<R> Desk<R> {
    /// Plans when an update is sent, in place of what was planned before.
    pub(super) fn schedule(&mut self, sequence: u64, at_ms: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        let sending = &mut entry.sending;
        let set = if sending.is_under_way { &mut self.again } else { &mut self.due };
        if let Some(before_ms) = sending.due_ms {
            set.remove(&(before_ms, sequence));
        }
        sending.due_ms = at_ms;
        if let Some(at_ms) = at_ms {
            set.insert((at_ms, sequence));
        }
    }

    pub(super) fn set_under_way(&mut self, sequence: u64, is_under_way: bool) {
        self.schedule(sequence, None);
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        entry.sending.is_under_way = is_under_way;
        if is_under_way {
            self.under_way.insert(sequence);
        } else {
            self.under_way.remove(&sequence);
        }
    }

    /// Sends what is due to these sites, the nearest first.
    pub(crate) fn send_due(&mut self, now: Now, ways: &[Way], out: &mut Vec<Output<R>>) {
        if ways.is_empty() {
            return;
        }
        while let Some((at_ms, sequence)) = self.again.first().copied()
            && at_ms <= now.mono_ms
        {
            self.counters.resent += 1;
            self.send(now, sequence, ways, out);
        }
        while self.under_way.len() < UNDER_WAY_MAX
            && let Some((at_ms, sequence)) = self.due.first().copied()
            && at_ms <= now.mono_ms
        {
            self.send(now, sequence, ways, out);
        }
    }

    fn send(&mut self, now: Now, sequence: u64, ways: &[Way], out: &mut Vec<Output<R>>) {
        self.set_under_way(sequence, true);
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        let sending = &mut entry.sending;
        if sending.unanswered >= UNANSWERED_MAX {
            (sending.unanswered, sending.passed_over) = (0, sending.passed_over + 1);
        }
        let way = ways[sending.passed_over % ways.len()];
        sending.sent += 1;
        let wait_ms = way.resend_ms << sending.unanswered.min(4);
        sending.unanswered += 1;
        sending.site = Some(way.site);
        let is_over = |(_, sent_ms): &mut (u32, u64)| *sent_ms + OUTSTANDING_MS <= now.mono_ms;
        sending.outstanding.retain_mut(|one| !is_over(one));
        sending.outstanding.push((sending.sent, now.mono_ms));
        let attempt = Attempt { sequence, number: sending.sent };
        self.schedule(sequence, Some(now.mono_ms + wait_ms.min(RESEND_MS_MAX)));
        // What makes it pointless comes too late now.
        self.superseded.remove(&sequence);
        out.push(Output::Send { site: way.site, attempt });
    }

    /// A site has answered, with words for people.
    pub(crate) fn answered(
        &mut self,
        now: Now,
        attempt: Attempt,
        rcode: Rcode,
        reason: Option<String>,
        out: &mut Vec<Output<R>>,
    ) {
        let Attempt { sequence, number } = attempt;
        let Some(entry) = self.entries.get_mut(&sequence) else { return };
        let sending = &mut entry.sending;
        let is_outstanding = |(_, sent_ms): &(u32, u64)| *sent_ms + OUTSTANDING_MS > now.mono_ms;
        sending.outstanding.retain(|one| one.0 != number && is_outstanding(one));
        match rcode {
            Rcode::NOERROR => {
                self.counters.done += 1;
                self.settle(sequence, rcode, None, out);
            }
            Rcode::SERVFAIL => {
                sending.problem = reason;
                sending.unanswered = 0;
                sending.passed_over += 1;
                let doubled = sending.refusals.min(16);
                sending.refusals += 1;
                let wait_ms = (BACK_OFF_MS[0] << doubled).min(BACK_OFF_MS[1]);
                self.set_under_way(sequence, false);
                self.schedule(sequence, Some(now.mono_ms + wait_ms));
            }
            // Another copy, still on its way, might be done after all: ask again until one alone was
            // sent and that was refused.
            _ if !sending.outstanding.is_empty() => {
                let last = sending.outstanding.iter().map(|(_, sent_ms)| *sent_ms).max();
                let at_ms = last.map_or(now.mono_ms, |sent_ms| sent_ms + OUTSTANDING_MS);
                self.set_under_way(sequence, false);
                self.schedule(sequence, Some(at_ms.max(now.mono_ms + BACK_OFF_MS[0])));
            }
            _ => self.settle(sequence, rcode, reason, out),
        }
    }

    /// A site does not answer any more: what was sent there is sent elsewhere now.
    pub(crate) fn site_lost(&mut self, now: Now, site: usize) {
        let is_there = |entry: &super::Entry<R>| entry.sending.site == Some(site);
        let lost: Vec<u64> = (self.under_way.iter().copied())
            .filter(|sequence| self.entries.get(sequence).is_some_and(is_there))
            .collect();
        for sequence in lost {
            self.schedule(sequence, Some(now.mono_ms));
            if let Some(entry) = self.entries.get_mut(&sequence) {
                (entry.sending.unanswered, entry.sending.passed_over) = (0, 0);
            }
        }
    }

    /// When something is to be done again, in milliseconds of the clock that is never set.
    pub(crate) fn next_ms(&self, anyone_there: bool) -> Option<u64> {
        let deadline = self.deadlines.first().map(|(at_ms, _)| *at_ms);
        let again = self.again.first().map(|(at_ms, _)| *at_ms);
        let is_free = self.under_way.len() < UNDER_WAY_MAX;
        let due = self.due.first().map(|(at_ms, _)| *at_ms).filter(|_| is_free);
        let sends = again.into_iter().chain(due).filter(|_| anyone_there);
        deadline.into_iter().chain(sends).min()
    }

    /// The update that an attempt sends, if it is still kept.
    pub(crate) fn taken(&self, sequence: u64) -> Option<&Taken> {
        self.entries.get(&sequence).map(|entry| &entry.taken)
    }
}
