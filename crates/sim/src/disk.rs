//! A simulated disk: files in memory that lose what was not synced when the power fails.
//!
//! [`SimDisk`] is the model (files, what is synced, faults, crashes) and knows nothing about who
//! uses it; [`SimVfs`] offers one disk to SQLite. It must never keep more than a real disk would
//! promise: what survives a crash without a sync is decided by the seed, sector by sector.

mod fault;
mod file;
mod model;
mod names;
mod vfs;

pub use fault::{Access, DiskError, Fault, Outcome};
pub use model::{FileId, SimDisk};
pub use vfs::SimVfs;

/// The unit, in bytes, that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
