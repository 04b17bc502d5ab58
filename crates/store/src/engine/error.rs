//! What an engine fails with, told so that an operator knows what to do.
//!
//! It must never blur the kinds: a caller decides by them whether to retry, step down or stop.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

use super::LogId;

/// A failure of an engine.
#[derive(Clone, Debug, Error)]
pub enum EngineError {
    /// No space is left for the log.
    #[error("the disk is full: cannot {doing} in {}; free some space and restart", path.display())]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The disk, or the file system, failed.
    #[error("cannot {doing} in {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What failed underneath.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// What the disk holds is not what was written.
    #[error(
        "{} is corrupt at {place}: {what}; check the disk, and restore this site's log from a peer",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the log.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// The log does not end where the writer thinks. Nothing was written.
    #[error("log {log} goes on at index {actual}, not at {expected}")]
    Conflict {
        /// The log.
        log: LogId,
        /// The writer's view.
        expected: u64,
        /// The next index.
        actual: u64,
    },
    /// A writer of a later epoch has taken over. Nothing was written.
    #[error("epoch {offered} is over: the log is in epoch {stored}")]
    Fenced {
        /// The writer's epoch.
        offered: u64,
        /// The log's epoch.
        stored: u64,
    },
    /// There is no such index yet.
    #[error("index {asked} lies behind the end of log {log}, {next}")]
    PastEnd {
        /// The log.
        log: LogId,
        /// The index asked for.
        asked: u64,
        /// The end.
        next: u64,
    },
    /// A snapshot claims to fold more than there is. Nothing was written.
    #[error("a snapshot cannot fold {tag} entries: all logs together hold {entries}")]
    SnapshotPastEnd {
        /// Its tag.
        tag: u64,
        /// The entries in all logs.
        entries: u64,
    },
    /// An earlier write failed, so that this engine can no longer promise durability.
    #[error("the log takes no writes until it is reopened, since an earlier one failed: {cause}")]
    Poisoned {
        /// The original failure.
        cause: Arc<EngineError>,
    },
    /// The log was written by a newer version of this program.
    #[error(
        "{} has format {found}; einhorn {} reads formats up to {supported}: upgrade einhorn",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version reads.
        supported: i64,
    },
    /// The log was written by an older version of this program, in a format no longer read.
    #[error(
        "{} has format {found}; einhorn {} reads formats from {supported} on: read it with the \
         version that wrote it, and begin with an empty folder",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    OlderFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The oldest format that this version reads.
        supported: i64,
    },
    /// The file is something else; it was left alone.
    #[error("{} is not a log of einhorn ({what}); it was left as it is", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What tells.
        what: String,
    },
    /// Another process runs on the same folder.
    #[error(
        "another process{} uses {}; a folder serves one node",
        by.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The process, where it left its number.
        by: Option<u32>,
    },
    /// Another connection was in the way for too long; nothing is damaged.
    #[error("cannot {doing} in {}: another connection holds the log; try again", path.display())]
    Busy {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// No member of etcd answered in time, or no majority of them runs. Whether the write was done
    /// is known after reopening.
    #[error(
        "cannot {doing} in {place}: {cause}; check that a majority of etcd's members runs and can \
         be reached"
    )]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The logs' place in etcd.
        place: String,
        /// What the last member that was asked said.
        cause: String,
    },
    /// etcd takes no more values.
    #[error(
        "cannot {doing} in {place}: etcd has used up its space quota (--quota-backend-bytes); \
         compact its history, run `etcdctl defrag --cluster`, raise the quota if that is not \
         enough, run `etcdctl alarm disarm`, and restart"
    )]
    QuotaFull {
        /// What was being done.
        doing: &'static str,
        /// The logs' place in etcd.
        place: String,
    },
    /// etcd does not take the request: it lacks a permission, or a limit of etcd is too low.
    #[error("cannot {doing} in {place}: {cause}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The logs' place in etcd.
        place: String,
        /// What etcd said.
        cause: String,
    },
    /// Another writer was opened on the same logs in the same epoch.
    #[error(
        "another node writes to {place} by now: a prefix in etcd serves one site, and needs an election if it has several nodes"
    )]
    Superseded {
        /// The logs' place in etcd.
        place: String,
    },
}

impl EngineError {
    /// Whether etcd has dropped the revision that was asked for.
    #[cfg(feature = "etcd")]
    pub(super) fn is_compacted(&self) -> bool {
        matches!(self, Self::Refused { cause, .. } if cause.contains("revision has been compacted"))
    }

    /// Sorts an error of SQLite into the kinds above.
    pub(super) fn from_sqlite(error: rusqlite::Error, doing: &'static str, path: &Path) -> Self {
        let path = path.to_owned();
        let corrupt = |what: String| Self::Corrupt {
            path: path.clone(),
            place: format!("an unknown place, when trying to {doing}"),
            what,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { doing, path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { doing, path },
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory,
            ) => Self::Io { doing, path, source: Arc::new(error) },
            // Our statements are fixed and valid, so whatever else SQLite has against them (no
            // such table, a value of another type, a constraint) comes from a damaged file.
            _ => corrupt(error.to_string()),
        }
    }

    pub(super) fn io(error: std::io::Error, doing: &'static str, path: &Path) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::DiskFull { doing, path: path.to_owned() };
        }
        Self::Io { doing, path: path.to_owned(), source: Arc::new(error) }
    }
}
