//! The ledger's files: sealing entries into tiles and checkpoints, and reading them back for
//! proofs and verification.
//!
//! Entries are opaque bytes here. The engine's log is what makes an entry durable; these files are
//! built from it and can be built again, with one exception: a signed checkpoint is a promise that
//! is never taken back. So nothing here signs what was not read back from disk and rehashed, and
//! nothing signs a tree that contradicts one signed before.
//!
//! Files below the ledger's folder, besides those of C2SP tlog-tiles:
//! - `checkpoint.signed`: the last checkpoint signed, durable before `checkpoint` shows it. Other
//!   sites that are waited for may have been told of a newer one, of entries that are durable.
//! - `synced`: a checkpoint's text without signature, for a size below which all full tiles are on
//!   disk, so that opening checks only what came later.
//! - `cosignatures`: for each cosigner the newest checkpoint that it has cosigned
//!   ([`einhorn_core::ledger::Cosignatures`]). `checkpoint` carries those of its own size besides.
//!
//! The files of another site's log are written in the same way, only that nothing signs there:
//! `checkpoint.signed` is then the last checkpoint of that log that was found to be true.
//! - `map/<size>`: maps of the log's names ([`map`]), which can be built again from the entries.

mod confirm;
mod cosigned;
mod error;
mod files;
pub mod map;
mod mirror;
mod partials;
mod prove;
mod recover;
mod seal;
mod sync;
mod verify;
mod witness;

pub use confirm::{Confirmation, Confirmations, Doubt, Standing};
pub use cosigned::Cosigned;
pub use error::SealError;
pub use files::{Files, OsFiles, TileSource};
pub use mirror::{Copied, Mirror};
pub use prove::{
    ReadError, prove_consistency, prove_entry, prove_inclusion, prove_prefix, read_entries,
    read_entry,
};
pub use seal::{LogKey, Sealer, Writer};
pub use verify::{Finding, Options, Problem, Report, verify};
pub use witness::{Witness, WitnessError};

const CHECKPOINT: &str = "checkpoint";
const SIGNED: &str = "checkpoint.signed";
const SYNCED: &str = "synced";
const COSIGNATURES: &str = "cosignatures";

#[cfg(test)]
mod tests;
