//! Why entries do not fold.

use super::Origin;
use einhorn_wire::Name;

/// An entry that does not follow from the ones before it: the log is not what it was, or was
/// written by another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The log does not begin with its genesis entry, or has a second one.
    #[error("entry {index}: a log has one genesis entry, its first")]
    Genesis {
        /// Index of the entry.
        index: u64,
    },
    /// An entry about a zone that does not exist.
    #[error("entry {index}: zone {zone} does not exist")]
    NoZone {
        /// Index of the entry.
        index: u64,
        /// Apex it names.
        zone: Name,
    },
    /// A change of a name does not continue that name's history.
    #[error("entry {index}: {owner} has sequence {actual}, but its history wants {expected}")]
    Sequence {
        /// Index of the entry.
        index: u64,
        /// Owner name.
        owner: Name,
        /// Sequence the state wants next.
        expected: u64,
        /// Sequence in the entry.
        actual: u64,
    },
    /// Entries of a log were folded that came after its takeover, before that was known here: the
    /// state must be folded anew.
    #[error("log {lost} ended at entry {end} when it was taken over, but {folded} were folded")]
    Overtaken {
        /// The log.
        lost: Origin,
        /// Entries of it that count.
        end: u64,
        /// Entries folded.
        folded: u64,
    },
}
