//! The ledger's files: sealing entries into tiles and checkpoints, and reading them back for
//! proofs and verification.
//!
//! Entries are opaque bytes here. The engine's log is what makes an entry durable; these files are
//! built from it and can be built again, with one exception: a signed checkpoint is a promise that
//! is never taken back. So nothing here signs what was not read back from disk and rehashed, and
//! nothing signs a tree that contradicts one signed before.
//!
//! Files below the ledger's folder, besides those of C2SP tlog-tiles:
//! - `checkpoint.signed`: the last checkpoint signed, durable before anyone can see it.
//! - `synced`: a checkpoint's text without signature, for a size below which all full tiles are on
//!   disk, so that opening checks only what came later.
//! - `map/<size>`: maps of the log's names ([`map`]), which can be built again from the entries.

mod files;
pub mod map;
mod partials;
mod prove;
mod recover;
mod seal;
mod sync;
mod verify;

pub use files::{Files, OsFiles, TileSource};
pub use prove::{
    ReadError, prove_consistency, prove_entry, prove_inclusion, prove_prefix, read_entries,
    read_entry,
};
pub use seal::{SealError, Sealer};
pub use verify::{Finding, Options, Problem, Report, verify};

const CHECKPOINT: &str = "checkpoint";
const SIGNED: &str = "checkpoint.signed";
const SYNCED: &str = "synced";

#[cfg(test)]
mod tests;
