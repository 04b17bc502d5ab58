//! The review queue: changes that wait for a person, since no rule can settle them.
//!
//! A review is opened by an entry that holds the change as it would have been made, with what the
//! names had before. The names stay as they are. It is closed by the change that the person's
//! decision makes, which says so as its cause. Both may be folded in any order: a name may have
//! moved to another log between them.

use super::codec::{Malformed, Put, Take};
use super::entry::{Cause, Change};
use super::request::RequestId;
use super::source::LegacyRecord;
use super::{Position, RrSet};
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, BTreeSet};

/// Why a change waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Another identity changed one of its names not long ago.
    Contested = 1,
    /// A source of the legacy bridge says what cannot be merged.
    Legacy = 2,
}

impl Reason {
    /// The reason with this number in entries.
    pub fn from_code(code: u8) -> Option<Reason> {
        [Reason::Contested, Reason::Legacy].into_iter().find(|reason| *reason as u8 == code)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Contested => f.write_str("another identity changed the name not long ago"),
            Reason::Legacy => f.write_str("what its source says cannot be merged"),
        }
    }
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Choice {
    /// The names keep what they have.
    Keep = 0,
    /// The change is made.
    Take = 1,
    /// Where there can be several records, the names get those of the change beside their own.
    Both = 2,
}

impl Choice {
    /// All of them.
    pub const ALL: [Choice; 3] = [Choice::Keep, Choice::Take, Choice::Both];

    /// The choice with this number in entries.
    pub fn from_code(code: u8) -> Option<Choice> {
        Choice::ALL.into_iter().find(|choice| *choice as u8 == code)
    }

    /// What a name has after this choice, which has `current` now and would have had `proposed`.
    pub fn outcome(self, current: &[RrSet], proposed: &[RrSet]) -> Vec<RrSet> {
        match self {
            Choice::Keep => current.to_vec(),
            Choice::Take => proposed.to_vec(),
            Choice::Both => both(current, proposed),
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Choice::Keep => "keep",
            Choice::Take => "take",
            Choice::Both => "both",
        })
    }
}

/// Text that is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a choice: write keep, take or both")]
pub struct ChoiceError(String);

impl std::str::FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Choice, ChoiceError> {
        let choice = Choice::ALL.into_iter().find(|choice| choice.to_string() == text);
        choice.ok_or_else(|| ChoiceError(text.to_owned()))
    }
}

/// The records of both, where a type may have several; else those of the first.
fn both(current: &[RrSet], proposed: &[RrSet]) -> Vec<RrSet> {
    let is_single =
        |rtype| matches!(rtype, RecordType::CNAME | RecordType::SOA | RecordType::DNAME);
    let has_cname = current.iter().any(|set| set.rtype == RecordType::CNAME);
    let mut joined = current.to_vec();
    for set in proposed.iter().filter(|set| !is_single(set.rtype) && !has_cname) {
        match joined.iter_mut().find(|known| known.rtype == set.rtype) {
            Some(known) => {
                let mut datas: Vec<&[u8]> = known.rdatas().collect();
                datas.extend(set.rdatas().filter(|data| !known.rdatas().any(|one| one == *data)));
                if let Some(union) = RrSet::new(set.rtype, known.ttl, datas) {
                    *known = union;
                }
            }
            None => joined.push(set.clone()),
        }
    }
    joined.sort_by_key(|set| set.rtype);
    joined
}

/// A change that waits for a person, as its entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Why.
    pub reason: Reason,
    /// The change as it would have been made.
    pub change: Change,
    /// The earlier one of the same asker for the same names, which this one stands for now.
    pub replaces: Option<Position>,
    /// The record of a source that it is about; there with [`Reason::Legacy`] alone.
    pub legacy: Option<LegacyRecord>,
}

impl Review {
    pub(super) fn put(&self, put: &mut Put<'_>) {
        put.u8(self.reason as u8);
        self.change.put(put);
        put.option(self.replaces, Put::position);
        self.legacy.iter().for_each(|legacy| legacy.put(put));
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Review, Malformed> {
        let reason = Reason::from_code(take.u8()?).ok_or(Malformed("reason of a review"))?;
        let (change, replaces) = (Change::take(take)?, take.option(Take::position)?);
        let legacy = match reason {
            Reason::Contested => None,
            Reason::Legacy => Some(LegacyRecord::take(take)?),
        };
        Ok(Review { reason, change, replaces, legacy })
    }
}

/// A review that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReview {
    /// When it was opened, in milliseconds since 1970.
    pub time_ms: u64,
    /// What waits.
    pub review: Review,
}

/// The open reviews, by where they were opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reviews {
    open: BTreeMap<Position, OpenReview>,
    by_request: BTreeMap<RequestId, Position>,
    /// By source and key of the record.
    by_record: BTreeMap<(String, Box<[u8]>), Position>,
    /// Closed before they were folded here.
    closed_early: BTreeSet<Position>,
}

impl Reviews {
    /// All open ones, the oldest of each log first.
    pub fn iter(&self) -> impl Iterator<Item = (Position, &OpenReview)> {
        self.open.iter().map(|(at, open)| (*at, open))
    }

    /// Number of open ones.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// The one opened there.
    pub fn get(&self, at: Position) -> Option<&OpenReview> {
        self.open.get(&at)
    }

    /// The one that this request opened.
    pub fn of_request(&self, request: &RequestId) -> Option<Position> {
        self.by_request.get(request).copied()
    }

    /// The one that waits for the same names of a zone by the same asker.
    pub fn like(&self, change: &Change) -> Option<Position> {
        let names = |change: &Change| -> Vec<Name> {
            change.names.iter().map(|name| name.owner.clone()).collect()
        };
        let is_like = |open: &&OpenReview| {
            let known = &open.review.change;
            known.zone == change.zone && known.who == change.who && names(known) == names(change)
        };
        self.open.iter().find(|(_, open)| is_like(open)).map(|(at, _)| *at)
    }

    /// Folds one that is opened; gives it back if a person has decided on it already.
    pub(super) fn fold_opened(
        &mut self,
        at: Position,
        time_ms: u64,
        review: &Review,
    ) -> Option<OpenReview> {
        if let Some(replaced) = review.replaces {
            self.close(replaced);
        }
        let open = OpenReview { time_ms, review: review.clone() };
        if self.closed_early.remove(&at) {
            return Some(open);
        }
        self.insert(at, open);
        None
    }

    /// Folds why a change was made; gives the review that a person has decided on with it.
    pub(super) fn fold_cause(&mut self, cause: &Cause) -> Option<OpenReview> {
        match cause {
            Cause::Review { review, .. } => self.close(*review),
            _ => None,
        }
    }

    /// The one that waits for a record of a source.
    pub fn of_record(&self, source: &str, key: &[u8]) -> Option<Position> {
        self.by_record.get(&(source.to_owned(), Box::from(key))).copied()
    }

    /// Closes that of a record which was frozen before its source had this revision.
    pub(super) fn close_record(&mut self, source: &str, key: &[u8], revision: u64) {
        let at = if self.by_record.is_empty() { None } else { self.of_record(source, key) };
        let legacy = |at| self.open.get(&at).and_then(|open| open.review.legacy.as_ref());
        if let Some(at) = at.filter(|at| legacy(*at).is_some_and(|one| one.revision < revision)) {
            self.close(at);
        }
    }

    /// Closes those of a zone that is gone.
    pub(super) fn remove_zone(&mut self, zone: &Name) {
        let of_zone = |open: &OpenReview| open.review.change.zone == *zone;
        let gone = self.open.iter().filter(|(_, open)| of_zone(open)).map(|(at, _)| *at);
        gone.collect::<Vec<_>>().into_iter().for_each(|at| _ = self.close(at));
    }

    fn insert(&mut self, at: Position, open: OpenReview) {
        self.by_request.insert(open.review.change.request, at);
        if let Some(legacy) = &open.review.legacy {
            self.by_record.insert((legacy.source.clone(), legacy.key.clone()), at);
        }
        self.open.insert(at, open);
    }

    fn close(&mut self, at: Position) -> Option<OpenReview> {
        let Some(open) = self.open.remove(&at) else {
            self.closed_early.insert(at);
            return None;
        };
        self.by_request.remove(&open.review.change.request);
        if let Some(legacy) = &open.review.legacy {
            let record = (legacy.source.clone(), legacy.key.clone());
            if self.by_record.get(&record) == Some(&at) {
                self.by_record.remove(&record);
            }
        }
        Some(open)
    }

    /// Writes them into a snapshot.
    pub(super) fn put(&self, put: &mut Put<'_>) {
        put.count(self.open.len());
        for (at, OpenReview { time_ms, review }) in &self.open {
            put.position(*at);
            put.u64(*time_ms);
            review.put(put);
        }
        put.count(self.closed_early.len());
        self.closed_early.iter().for_each(|at| put.position(*at));
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Reviews, Malformed> {
        let mut all = Reviews::default();
        let open = take.list(64, |take| {
            let (at, time_ms) = (take.position()?, take.u64()?);
            Ok((at, OpenReview { time_ms, review: Review::take(take)? }))
        })?;
        open.into_iter().for_each(|(at, open)| all.insert(at, open));
        all.closed_early = take.list(12, Take::position)?.into_iter().collect();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rtype: RecordType, datas: &[&[u8]]) -> RrSet {
        RrSet::new(rtype, 60, datas.iter().copied()).expect("records")
    }

    #[test]
    fn each_choice_does_what_it_says() {
        let (own, other) = ([1, 1, 1, 1], [2, 2, 2, 2]);
        let current = [set(RecordType::A, &[&own])];
        let proposed = [set(RecordType::A, &[&other]), set(RecordType::TXT, &[b"\x01x"])];
        assert_eq!(Choice::Keep.outcome(&current, &proposed), current);
        assert_eq!(Choice::Take.outcome(&current, &proposed), proposed);
        let both = Choice::Both.outcome(&current, &proposed);
        assert_eq!(both, [set(RecordType::A, &[&own, &other]), set(RecordType::TXT, &[b"\x01x"])]);
        assert_eq!(Choice::Both.outcome(&both, &proposed), both, "once more changes nothing");
        let alias = [set(RecordType::CNAME, &[b"\x01a\x00"])];
        assert_eq!(Choice::Both.outcome(&alias, &proposed), alias, "nothing stands beside a CNAME");
    }

    #[test]
    fn choices_are_written_as_people_do() {
        for choice in Choice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            assert_eq!(Choice::from_code(choice as u8), Some(choice));
        }
        assert!("neither".parse::<Choice>().is_err());
    }
}
