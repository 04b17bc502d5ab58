//! Why a log's files were not written, or not opened.

use std::io;

use einhorn_core::ledger::{CheckpointError, Hash};
use thiserror::Error;

/// Why entries were not sealed, or a ledger was not opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// Reading or writing a file failed. Sealing the same entries again is sound.
    #[error("{path}: {source}")]
    Io {
        /// The file, below the ledger's folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The entries do not follow the last sealed one.
    #[error("entries start at {found}, the next one to seal is {expected}")]
    WrongIndex {
        /// [`Sealer::sealed`].
        expected: u64,
        /// The caller's first index.
        found: u64,
    },
    /// An entry is longer than a bundle can hold; none of the batch was sealed.
    #[error("entry {index} has {bytes} bytes, at most 65535 are possible")]
    EntryTooLong {
        /// The entry's index in the log.
        index: u64,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A file is not what was written there. Open the ledger again: it then tells from which
    /// entry on the files must be built anew.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file, below the ledger's folder.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The entries lead to another root than the one signed for this size: these are not the
    /// entries that were sealed before, or, of a copy, not those that the log has signed; or the
    /// log has signed two trees of one size. Never sign; find out why.
    #[error("the root of size {size} would be {computed}, but {signed} was signed")]
    Contradiction {
        /// Entries in the tree.
        size: u64,
        /// The root signed before.
        signed: Hash,
        /// The root of the entries given now.
        computed: Hash,
    },
    /// The files tell of a larger tree than the last signed checkpoint: an older copy of it was
    /// put back.
    #[error("files of size {synced} were completed, but the last checkpoint signed is of {signed}")]
    RolledBack {
        /// Size of the last signed checkpoint.
        signed: u64,
        /// Size that was complete on disk.
        synced: u64,
    },
    /// A checkpoint on disk is not one of this log.
    #[error("{path}: {error}")]
    Checkpoint {
        /// The file, below the ledger's folder.
        path: &'static str,
        /// What is wrong with it.
        error: CheckpointError,
    },
    /// The log itself shows an older checkpoint than one that its copy holds.
    #[error("a checkpoint of size {given} is older than that of size {held}, which is held")]
    Older {
        /// Size of the checkpoint that is held.
        held: u64,
        /// Size of the one given.
        given: u64,
    },
    /// More entries than the checkpoint covers: these must wait for a later one.
    #[error("entries up to {end} are given, but the checkpoint covers {covered}")]
    NotCovered {
        /// Entries that the checkpoint covers.
        covered: u64,
        /// Index after the last entry given.
        end: u64,
    },
    /// A tree was cosigned that is not in the files yet.
    #[error("a tree of size {size} was cosigned, but the files hold {held}")]
    NotHeld {
        /// Size of what was cosigned.
        size: u64,
        /// Size of what is held.
        held: u64,
    },
}
