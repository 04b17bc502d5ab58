//! What the system knows: names, RRsets, requests, ledger entries, and the state they fold into.

mod codec;
pub mod entry;
mod record;
pub mod request;
mod rrset;
pub mod settings;
pub mod snapshot;
mod state;
mod step;
pub mod tree;

pub use record::{History, NameRecord, RrSets, WriterTag};
pub use rrset::{RrSet, RrSetRef, borrowed, find};
pub use state::{FoldError, State, Zone, Zones};
pub use step::{Publication, Step, StepKind, Steps};

/// A site's log: the site's number, and how often it had to begin a new log (`berlin`,
/// `berlin/2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Number of the site.
    pub site: u16,
    /// 1 for its first log.
    pub generation: u16,
}

/// The place of an entry: a log and an index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The log.
    pub origin: Origin,
    /// Index of the entry's last part in that log, from 0.
    pub index: u64,
}
