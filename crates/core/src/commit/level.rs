//! Acknowledgement levels: answers that wait until enough sites have cosigned.
//!
//! A cosignature over a checkpoint says that its site holds all entries below the checkpoint's
//! size, and shows them to clients. A level is reached when enough sites said so; it is never
//! lowered for one request. Sites that are registered and not suspended count.

use super::bug::{Bug, has};
use super::clock::back;
use super::forward::Asker;
use super::{Commit, Output, Waiting};
use crate::agent::Advice;
use crate::model::request::Outcome;
use crate::model::settings::Level;
use crate::model::{Origin, Position};
use std::collections::{BTreeMap, BTreeSet};

/// An answer that waits for its level: of an entry, and of the intents that it rests on.
struct Held<R> {
    /// The change.
    at: Position,
    reply: R,
    advice: Option<Advice>,
    level: Level,
    deadline_ms: u64,
}

/// Answers that wait for their level, and what is known of who holds what.
pub(super) struct Levels<R> {
    /// By log, index, and a number of its own.
    waiting: BTreeMap<(Origin, u64, u64), Held<R>>,
    /// In the order of their deadlines: what was decided elsewhere comes here late.
    deadlines: BTreeSet<(u64, (Origin, u64, u64))>,
    next_number: u64,
    /// Entries of a log that a site confirmed by a cosignature.
    cosigned: BTreeMap<(Origin, u16), u64>,
}

impl<R> Levels<R> {
    pub(super) fn new(cosigned: Vec<(Origin, u16, u64)>) -> Levels<R> {
        let cosigned = cosigned.into_iter().map(|(origin, site, size)| ((origin, site), size));
        Levels {
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_number: 0,
            cosigned: cosigned.collect(),
        }
    }

    /// Entries of a log that a site confirmed.
    pub(super) fn cosigned(&self, origin: Origin, site: u16) -> u64 {
        self.cosigned.get(&(origin, site)).copied().unwrap_or(0)
    }

    /// Takes note of a cosignature; whether it says anything new.
    pub(super) fn note_cosigned(&mut self, origin: Origin, site: u16, size: u64) -> bool {
        let known = self.cosigned.entry((origin, site)).or_default();
        let is_new = size > *known;
        *known = (*known).max(size);
        is_new
    }

    /// Answers that wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// When the first of them is given up.
    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        self.waiting.values_mut().for_each(|held| back(&mut held.deadline_ms, by_ms));
        let deadlines = std::mem::take(&mut self.deadlines).into_iter();
        self.deadlines = deadlines.map(|(at, key)| (at.saturating_sub(by_ms), key)).collect();
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }
}

impl<R> Commit<R> {
    /// Answers, once what the outcome says can be seen here and has reached its level.
    pub(super) fn settle(&mut self, waiting: Waiting<R>, out: &mut Vec<Output<R>>) {
        let Waiting { asker, outcome, advice, level } = waiting;
        let (Outcome::Done { at }, Asker::Here { .. }) = (&outcome, &asker) else {
            // The site where it entered waits for levels.
            return Self::tell(asker, outcome, advice, out);
        };
        let at = *at;
        let missing = match level {
            _ if !self.is_reached(at, level) => Some(at),
            Level::Local => None,
            _ if has(Bug::LevelOfIntents) => None,
            // A change of several homes is as safe as the intents that it rests on.
            _ => {
                let intents = self.state.transactions.rests_on(at).iter().copied();
                intents.into_iter().find(|intent| !self.is_reached(*intent, level))
            }
        };
        let Some(missing) = missing else { return Self::tell(asker, outcome, advice, out) };
        if let Asker::Here { reply, deadline_ms } = asker {
            let key = (missing.origin, missing.index, self.levels.next_number);
            self.levels.next_number += 1;
            self.levels.waiting.insert(key, Held { at, reply, advice, level, deadline_ms });
            self.levels.deadlines.insert((deadline_ms, key));
        }
    }

    /// Whether an entry can be seen here and has reached a level.
    fn is_reached(&self, at: Position, level: Level) -> bool {
        if at.origin == self.state.origin && level == Level::Local {
            return at.index < self.durable;
        }
        at.index < self.visible(at.origin)
            && (self.is_confirmed(at, level) || has(Bug::LevelNotReached))
    }

    /// Whether enough sites have confirmed an entry for a level.
    pub(super) fn is_confirmed(&self, at: Position, level: Level) -> bool {
        at.index < self.confirmed(at.origin, level)
    }

    /// Entries of a log that every query here sees.
    pub(super) fn visible(&self, origin: Origin) -> u64 {
        let here = self.held_durably(origin);
        // What came after a takeover is on the disk, and does not count.
        self.end_of(origin).map_or(here, |end| here.min(end))
    }

    /// Where a log has ended, if it has.
    fn end_of(&self, origin: Origin) -> Option<u64> {
        self.state.log(origin)?.closed.map(|closed| closed.end)
    }

    /// Entries of a log that have reached a level.
    fn confirmed(&self, origin: Origin, level: Level) -> u64 {
        let registry = &self.state.registry;
        if level == Level::Local || registry.is_alone() {
            return u64::MAX;
        }
        let is_open = self.state.log(origin).is_some_and(|log| log.closed.is_none());
        // What this site took of a log after it vouched that it is lost may not survive that.
        let vouched = self.held_when_endorsed(origin).filter(|_| is_open).unwrap_or(u64::MAX);
        let mut held: Vec<u64> = registry
            .counted()
            .map(|site| match site {
                // A home sends only what it holds itself.
                _ if site == origin.site && is_open => u64::MAX,
                _ if site == self.state.origin.site => self.visible(origin).min(vouched),
                _ if is_open => self.levels.cosigned(origin, site),
                // Nobody signs a log that has ended; what its site says of its disk must do.
                _ => self.levels.cosigned(origin, site).max(self.peers.held(site, origin)),
            })
            .collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        let place = match level {
            Level::All => held.len().checked_sub(1),
            _ => Some(registry.majority() - 1),
        };
        place.and_then(|place| held.get(place)).copied().unwrap_or(0)
    }

    /// Answers everything that has reached its level by now.
    pub(super) fn release_levels(&mut self, out: &mut Vec<Output<R>>) {
        if self.levels.waiting.is_empty() {
            return;
        }
        let logs: Vec<Origin> = {
            let mut logs: Vec<_> = self.levels.waiting.keys().map(|key| key.0).collect();
            logs.dedup();
            logs
        };
        for origin in logs {
            let visible = self.visible(origin);
            let confirmed = [Level::Local, Level::Majority, Level::All]
                .map(|level| self.confirmed(origin, level).min(visible));
            let last = confirmed.into_iter().max().unwrap_or(0);
            let reached: Vec<_> = (self.levels.waiting)
                .range((origin, 0, 0)..(origin, last, 0))
                .filter(|((_, index, _), held)| *index < confirmed[held.level as usize])
                .map(|(key, _)| *key)
                .collect();
            for key in reached {
                if let Some(held) = self.levels.waiting.remove(&key) {
                    self.levels.deadlines.remove(&(held.deadline_ms, key));
                    let Held { at, reply, advice, level, deadline_ms } = held;
                    let (asker, outcome) =
                        (Asker::Here { reply, deadline_ms }, Outcome::Done { at });
                    self.settle(Waiting { asker, outcome, advice, level }, out);
                }
            }
        }
    }

    /// Gives up on what has waited too long. The change stands; a retry waits again.
    pub(super) fn give_up_levels(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        while let Some((deadline_ms, key)) = self.levels.deadlines.first().copied()
            && deadline_ms <= now_ms
        {
            self.levels.deadlines.pop_first();
            let Some(held) = self.levels.waiting.remove(&key) else { continue };
            let at = Position { origin: key.0, index: key.1 };
            let missing = self.missing(at);
            let reason = format!(
                "committed as entry {at}, but not yet acknowledged at level {}: no cosignature from {missing}; a retry waits again",
                held.level
            );
            out.push(Output::Answer(held.reply, Outcome::servfail(reason), held.advice));
        }
    }

    /// The sites that have not confirmed an entry, for people.
    fn missing(&self, at: Position) -> String {
        let registry = &self.state.registry;
        let own = self.state.origin.site;
        let names: Vec<_> = registry
            .counted()
            .filter(|site| *site != at.origin.site && *site != own)
            .filter(|site| self.levels.cosigned(at.origin, *site) <= at.index)
            .map(|site| registry.name_of(site))
            .collect();
        names.join(", ")
    }

    pub(super) fn refuse_levels(&mut self, reason: &str, out: &mut Vec<Output<R>>) {
        self.levels.deadlines.clear();
        for (_, held) in std::mem::take(&mut self.levels.waiting) {
            out.push(Output::Answer(held.reply, Outcome::servfail(reason), held.advice));
        }
    }
}
