//! What a site makes of its disk when it starts: which logs have ended where, what is folded, and
//! which log it goes on with. Pure; whoever owns the disk reads the entries.
//!
//! First every stored entry is looked at ([`find_takeover`]), then those that count are folded
//! ([`Folding`]), then the site's own log is chosen ([`own_log`]).

use super::CopyStart;
use crate::model::codec::Malformed;
use crate::model::entry::{self, Assembler, Body, Entry, Previous};
use crate::model::state::Closed;
use crate::model::{Effects, FoldError, Origin, Position, State};
use std::collections::BTreeMap;

/// The first log of the first site.
pub const FIRST: Origin = Origin { site: 1, generation: 1 };

/// A takeover that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub at: Position,
    /// The log that it ends.
    pub lost: Origin,
    /// Entries of that log that count.
    pub end: u64,
}

/// The takeover that a stored entry is, if it is one. Few are, so that others are not read.
pub fn find_takeover(at: Position, octets: &[u8]) -> Option<Found> {
    if !entry::is_takeover(octets) {
        return None;
    }
    // What cannot be read is found where the log is folded.
    match Assembler::default().next(octets) {
        Ok(Some(Entry { body: Body::Takeover { lost, end, .. }, .. })) => {
            Some(Found { at, lost, end })
        }
        _ => None,
    }
}

/// The logs that have ended, as all takeovers say that are stored here. One that stands behind the
/// end of its own log does not count.
pub fn ended(found: &[Found]) -> BTreeMap<Origin, Closed> {
    let mut ended = BTreeMap::new();
    let mut counting: Vec<&Found> =
        found.iter().filter(|takeover| counts(takeover, found, found.len())).collect();
    counting.sort_unstable_by_key(|takeover| takeover.at);
    for takeover in counting {
        let closed = Closed { end: takeover.end, successor: takeover.at.origin };
        ended.entry(takeover.lost).or_insert(closed);
    }
    ended
}

/// Whether a takeover stands where its log counts. `depth` bounds what was made up.
fn counts(takeover: &Found, found: &[Found], depth: usize) -> bool {
    let cuts = |other: &&Found| {
        other.lost == takeover.at.origin && other.end <= takeover.at.index && depth > 0
    };
    !found.iter().filter(cuts).any(|other| counts(other, found, depth - 1))
}

/// Stored entries that are not what this site once wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldingError {
    /// Octets that are no entry.
    #[error("entry {at}: {source}")]
    Malformed {
        /// Where.
        at: Position,
        /// What is wrong.
        source: Malformed,
    },
    /// An entry that does not follow.
    #[error("log {origin}: {source}")]
    Fold {
        /// The log.
        origin: Origin,
        /// What is wrong.
        source: FoldError,
    },
}

/// Folds all logs that are stored, one after the other or mixed.
pub struct Folding {
    state: State,
    logs: BTreeMap<Origin, Stored>,
}

#[derive(Default)]
struct Stored {
    assembler: Assembler,
    parts: u64,
    next: u64,
}

impl Folding {
    /// Goes on from `state`, an empty one or a snapshot; of each log the entries from its next one
    /// are wanted. `stored` are all logs that there are any entries of.
    ///
    /// # Errors
    /// [`FoldError::Overtaken`] when the snapshot has folded what does not count: begin with an
    /// empty state.
    pub fn new(
        mut state: State,
        ended: &BTreeMap<Origin, Closed>,
        stored: impl IntoIterator<Item = Origin>,
    ) -> Result<Folding, FoldError> {
        for (lost, closed) in ended {
            state.close(*lost, *closed)?;
        }
        // Points of a snapshot may have waited for what does not count.
        state.wait_for_points(&mut Effects::default());
        let mut logs = BTreeMap::new();
        for origin in stored {
            state.expect(origin);
            logs.insert(origin, Stored { next: state.next_of(origin), ..Stored::default() });
        }
        Ok(Folding { state, logs })
    }

    /// Takes the next stored entry of a log.
    ///
    /// # Errors
    /// [`FoldingError`]; nothing of this is to be used then.
    pub fn take(
        &mut self,
        origin: Origin,
        octets: &[u8],
        effects: &mut Effects,
    ) -> Result<(), FoldingError> {
        let log = self.logs.entry(origin).or_default();
        let at = Position { origin, index: log.next };
        log.next += 1;
        log.parts += 1;
        let entry = log.assembler.next(octets);
        let entry = entry.map_err(|source| FoldingError::Malformed { at, source })?;
        let Some(entry) = entry else { return Ok(()) };
        let parts = std::mem::take(&mut log.parts);
        let folded = self.state.fold(origin, &entry, parts, effects);
        folded.map_err(|source| FoldingError::Fold { origin, source })
    }

    /// The state so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state, and what is held of each log. What a copy was cosigned and hashed to is for the
    /// caller to say.
    pub fn finish(self) -> (State, BTreeMap<Origin, CopyStart>) {
        let copy = |stored: Stored| CopyStart {
            assembler: stored.assembler,
            parts: stored.parts,
            next: stored.next,
            ..CopyStart::default()
        };
        let logs = self.logs.into_iter().map(|(origin, stored)| (origin, copy(stored)));
        (self.state, logs.collect())
    }
}

/// The log that the site with this name appends to from now on: its newest, or the one after it if
/// that has ended. [`Origin::NONE`] for a site that the others have not added yet. `is_first` says
/// that this is the site that began alone, which has a log before there is a registry.
pub fn own_log(state: &State, name: &str, is_first: bool) -> Origin {
    let number = state.registry.named(name).map(|(number, _)| number);
    let Some(site) = number.or_else(|| is_first.then_some(FIRST.site)) else {
        return Origin::NONE;
    };
    let registered = state.registry.logs().filter(|log| log.site == site);
    let stored = state.logs().map(|(log, _)| log).filter(|log| log.site == site);
    let first = Origin { site, generation: 1 };
    let newest = registered.chain(stored).max().unwrap_or(first);
    let generation = newest.generation + u16::from(state.in_charge(newest) != newest);
    Origin { site, generation }
}

/// A log that is to be begun, once nobody has anything of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The name in its checkpoints.
    pub name: String,
    /// The site's log before it.
    pub previous: Option<Previous>,
    /// What only this site had of its logs before, for people to see.
    pub leftovers: Vec<(Position, Vec<u8>)>,
}
