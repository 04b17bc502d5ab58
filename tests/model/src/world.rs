//! The state of the whole system: the logs, who holds how much of them, and what is not in logs.

use crate::entry::{Entry, NAMES, SITES, Site, TRANSACTIONS};

/// The logs that take part in a transaction, by name.
pub type Participants = [Site; NAMES];

/// Everything at one moment. Messages are not listed: whatever was once sent may arrive at any
/// later time, any number of times, or never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// What each log's site has written. Of a log that was taken over some may not count.
    pub logs: [Vec<Entry>; SITES],
    /// Entries of its own log that a site has made durable.
    pub durable: [u8; SITES],
    /// Entries that a site holds, by site and log.
    pub held: [[u8; SITES]; SITES],
    /// The homes of a transaction's names, once it was asked for.
    pub asked: [Option<Participants>; TRANSACTIONS],
    /// How many decisions on a transaction a site has forgotten, by site.
    pub forgotten: [[u8; TRANSACTIONS]; SITES],
    /// Every transaction that a site has forgotten has a lower number than this, by site and the
    /// transaction's gateway.
    pub watermark: [[u8; SITES]; SITES],
    /// Sites that have stopped for good.
    pub is_stopped: [bool; SITES],
    /// Some site held entries of a log that turned out not to count.
    pub is_tail_seen: bool,
    /// Updates that may still happen, by name.
    pub updates: [u8; NAMES],
    /// A name has moved.
    pub has_moved: bool,
    /// Crashes that may still happen.
    pub crashes: u8,
}

/// The participant that decides.
pub(crate) fn anchor(participants: Participants) -> Site {
    participants.into_iter().fold(SITES, Site::min)
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A gateway looks up the homes of a transaction's names and asks them.
    Ask(usize),
    /// A prepare arrives at a site that takes part, which logs an intent.
    Prepare(Site, usize),
    /// A site changes a name by itself.
    Update(Site, usize),
    /// A site gives a name to another one.
    Move(Site, usize),
    /// A site receives the next entry of another one's log.
    Copy {
        /// The site.
        to: Site,
        /// The log.
        log: Site,
    },
    /// A site that has all votes commits.
    Commit(Site, usize),
    /// A site is asked to have a transaction decided, and decides against it.
    Abort(Site, usize),
    /// A site finishes a transaction for a participant that it is, or has taken over.
    Finish(Site, usize, Site),
    /// A site drops an intent by itself. Only with [`crate::Bug::UnilateralAbort`].
    Drop(Site, usize),
    /// A site forgets a transaction that all participants have finished.
    Forget(Site, usize),
    /// A site vouches for a successor of the lost one.
    Endorse(Site, Site),
    /// A successor goes on for the lost site.
    TakeOver(Site),
    /// The lost site stops for good.
    Stop,
    /// A site makes durable what it has written.
    Sync(Site),
    /// A site crashes and starts again.
    Crash(Site),
}
