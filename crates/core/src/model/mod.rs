//! What the system knows: names, RRsets, requests, ledger entries, and the state they fold into.

pub(crate) mod codec;
pub mod device;
pub mod edge;
pub mod entry;
mod fold_error;
pub mod lease;
mod points;
mod record;
pub mod registry;
pub mod request;
mod requests;
pub mod review;
mod rrset;
pub mod settings;
pub mod snapshot;
pub mod source;
pub(crate) mod state;
mod step;
pub mod transaction;
pub mod tree;
mod zone;

pub use fold_error::FoldError;
pub use lease::Lease;
pub use record::{History, NameRecord, RrSets, WriterTag};
pub use registry::{Registry, Site};
pub use rrset::{RrSet, RrSetRef, borrowed, changed_types, find, same_rrsets};
pub use state::{Closed, Effects, Log, MapRootLogged, State};
pub use step::{Changed, Publication, Retrace, Step, StepKind};
pub use transaction::{Transaction, TransactionId};
pub use zone::{Zone, Zones};

/// A site's log: the site's number, and how often it had to begin a new log (`berlin`,
/// `berlin/2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Origin {
    /// Number of the site.
    pub site: u16,
    /// 1 for its first log.
    pub generation: u16,
}

impl Origin {
    /// The log of a site that has none yet: no entry is ever in it.
    pub const NONE: Origin = Origin { site: 0, generation: 0 };
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.generation {
            1 => write!(f, "{}", self.site),
            generation => write!(f, "{}/{generation}", self.site),
        }
    }
}

/// The place of an entry: a log and an index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The log.
    pub origin: Origin,
    /// Index of the entry's last part in that log, from 0.
    pub index: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.origin, self.index)
    }
}
