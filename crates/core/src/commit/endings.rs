//! That a log has ended, said to sites that do not follow the log that says so.
//!
//! Whoever has endorsed a takeover takes nothing more of the lost log, and can wait for ever: when the
//! site that it endorsed was itself taken over, and that is written in the very log that it does not
//! follow. So each site tells the others of takeovers whose entries they lack. An endorsement whose
//! successor has ended without having gone on for the lost log binds nobody ([`State::binds`]
//! says the same once the takeover is folded), nor does one that stands behind the end of the
//! endorser's own log.
//!
//! [`State::binds`]: crate::model::State::binds

use super::{Commit, Output};
use crate::link::Message;
use crate::model::settings::Level;
use crate::model::state::Endorsed;
use crate::model::{Origin, Position, State};
use std::collections::BTreeMap;

/// The entry of a takeover.
#[derive(Clone, Copy)]
struct Ending {
    at: Position,
    is_attested: bool,
}

/// Logs that have ended.
pub(super) struct Endings {
    /// Those whose takeover is folded here, to be told.
    folded: BTreeMap<Origin, Ending>,
    /// Entries that count of those of which another site said so.
    told: BTreeMap<Origin, u64>,
}

impl Endings {
    /// What is known at the start. Where the takeovers are in their logs is not known any more: they
    /// count as the last entry that is there.
    pub(super) fn new(state: &State) -> Endings {
        let closed = state.logs().filter_map(|(lost, log)| Some((lost, log.closed?.successor)));
        let ending = |origin| Ending {
            at: Position { origin, index: state.next_of(origin).saturating_sub(1) },
            is_attested: false,
        };
        let folded = closed.map(|(lost, successor)| (lost, ending(successor))).collect();
        Endings { folded, told: BTreeMap::new() }
    }

    pub(super) fn note_folded(&mut self, lost: Origin, at: Position, is_attested: bool) {
        self.folded.insert(lost, Ending { at, is_attested });
    }
}

impl<R> Commit<R> {
    /// Tells a site of logs that have ended, as far as it lacks the entries that say so. A takeover
    /// that could itself be cut off is not spoken of: a majority holds it, or an operator vouches.
    pub(super) fn tell_endings(&self, site: u16, out: &mut Vec<Output<R>>) {
        for (lost, Ending { at, is_attested }) in &self.endings.folded {
            let is_certain = self.visible(at.origin) > at.index
                && (*is_attested || self.is_confirmed(*at, Level::Majority));
            let closed = self.state.log(*lost).and_then(|log| log.closed);
            if let Some(closed) = closed.filter(|_| is_certain)
                && self.peers.held(site, at.origin) <= at.index
            {
                let message = Message::Ended { origin: *lost, end: closed.end };
                out.push(Output::Send(site, message.encode()));
            }
        }
    }

    /// A site says that a log has ended.
    pub(super) fn told_of_end(&mut self, origin: Origin, end: u64, out: &mut Vec<Output<R>>) {
        if self.endings.told.insert(origin, end).is_none() {
            self.choose_sources(out);
        }
    }

    /// Whether an endorsement does not bind any more: as its successor has ended, and nothing that
    /// counts of its log goes on for `lost`, or as the endorsement does not count itself.
    pub(super) fn has_ended(&self, lost: Origin, endorser: Origin, endorsed: Endorsed) -> bool {
        let end = |log| self.endings.told.get(&log).copied();
        let is_open = self.state.log(lost).is_none_or(|log| log.closed.is_none());
        let successor = endorsed.successor;
        end(endorser).is_some_and(|end| endorsed.index >= end)
            || is_open && end(successor).is_some_and(|end| self.state.next_of(successor) >= end)
    }
}
