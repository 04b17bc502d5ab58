//! The faults that a test can order from a simulated disk, and the errors that come of them.
//!
//! A fault must never fire by chance: each is scheduled by the test, by count.

use std::error::Error;
use std::fmt;

/// What a file operation on the simulated disk fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The device failed (EIO), or the world stands still since the power failed.
    Io,
    /// The disk is full (ENOSPC).
    NoSpace,
    /// No file of that name.
    NotFound,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "input/output error on the simulated disk",
            Self::NoSpace => "no space left on the simulated disk",
            Self::NotFound => "no such file on the simulated disk",
        })
    }
}

impl Error for DiskError {}

/// The kinds of file operation that a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading bytes.
    Read,
    /// Writing bytes, or changing a file's length.
    Write,
    /// Making a file or a folder durable.
    Sync,
}

/// How much of an operation took place although it reported failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing. A failed sync moreover *forgets* what it should have written: it stays readable
    /// and a later sync does not write it, as with Linux's page cache.
    NotPersisted,
    /// All of it.
    Persisted,
    /// A seeded part: some sectors of a sync, the first half of a write or read.
    Torn,
}

/// One scheduled fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind of operation to fail.
    pub access: Access,
    /// Only files whose path ends with this; an empty text means every file.
    pub path_ends_with: String,
    /// How many matching operations still succeed first.
    pub after: u64,
    /// What the operation reports.
    pub error: DiskError,
    /// What the operation nevertheless did.
    pub outcome: Outcome,
    /// Whether every later matching operation fails as well.
    pub lasting: bool,
}

impl Fault {
    /// A fault of the very next operation of kind `access` on any file: EIO, nothing persisted.
    pub fn next(access: Access) -> Self {
        Self {
            access,
            path_ends_with: String::new(),
            after: 0,
            error: DiskError::Io,
            outcome: Outcome::NotPersisted,
            lasting: false,
        }
    }

    /// Only files whose path ends with `suffix`.
    pub fn on(mut self, suffix: &str) -> Self {
        suffix.clone_into(&mut self.path_ends_with);
        self
    }

    /// Lets `count` matching operations succeed first.
    pub fn after(mut self, count: u64) -> Self {
        self.after = count;
        self
    }

    /// Reports `error`.
    pub fn error(mut self, error: DiskError) -> Self {
        self.error = error;
        self
    }

    /// Nevertheless does `outcome`.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Fails every later matching operation as well.
    pub fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    faults: Vec<Fault>,
}

impl FaultPlan {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Counts one operation; returns what it fails with, if it does.
    pub(super) fn hit(&mut self, access: Access, path: &str) -> Option<(DiskError, Outcome)> {
        let mut fired = None;
        self.faults.retain_mut(|fault| {
            let matches = fault.access == access && path.ends_with(&fault.path_ends_with);
            if !matches || fired.is_some() {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            fired = Some((fault.error, fault.outcome));
            fault.lasting
        });
        fired
    }
}
