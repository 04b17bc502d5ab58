//! The ledger's arithmetic: a tamper-evident, append-only log as RFC 6962 trees, C2SP tiles,
//! checkpoints and proofs.
//!
//! Everything here is a pure function of its arguments, so that a site, a mirror, an auditor and
//! a browser compute the same thing. It must never read a file, a clock or a source of
//! randomness, never interpret what an entry says (but for [`map`], which finds entries by the
//! names they touch), and never panic on bytes it was given: each
//! parser takes `&[u8]` or `&str` and returns a typed error.

pub mod checkpoint;
pub mod cosignature;
pub mod hash;
pub mod map;
pub mod note;
pub mod offline;
pub mod tile;
pub mod tree;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use cosignature::{Cosignature, Cosignatures, CosignaturesError};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
pub use note::{Algorithm, KeyError, Note, NoteError, SignerKey, VerifierKey};
pub use offline::{OfflineError, TlogProof};
pub use tile::{Bundle, Path, PathError, Tile, TileError};
pub use tree::{BuildError, Frontier, ProofError};

/// Parses the decimal number of a C2SP text format: ASCII digits, no sign, no leading zero unless
/// the number is `0` itself. `None` for anything else, and for what does not fit 64 bits.
fn parse_decimal(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    text.parse().ok()
}
