//! The ledger's files on honest, failing, forgetful and lying disks.

mod cosigned;
mod crash;
mod damage;
mod disk;
mod files;
mod mirror;
mod seal;
mod speed;

use std::sync::Arc;

use einhorn_core::ledger::{
    Algorithm, Checkpoint, Frontier, Hash, SignedCheckpoint, SignerKey, VerifierKey, leaf_hash,
};

use super::{Copied, Files, LogKey, Mirror, Options, Report, SealError, Sealer, Writer, verify};
use disk::Disk;

const ORIGIN: &str = "berlin.example/log";

fn signer() -> SignerKey {
    SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[1; 32]).unwrap()
}

fn key() -> VerifierKey {
    signer().verifier().clone()
}

/// Entry `index` of every log in these tests: of any length, the empty one included.
fn entry(index: u64) -> Vec<u8> {
    let length = (index * 7 % 97) as usize;
    index.to_be_bytes().into_iter().cycle().take(length).collect()
}

fn range(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(entry).collect()
}

/// The root of the first `size` entries, computed by the plain in-memory tree.
fn root_of(size: u64) -> Hash {
    let mut frontier = Frontier::new();
    for index in 0..size {
        frontier.push(leaf_hash(&entry(index)), |_, _| {});
    }
    frontier.root()
}

/// The checkpoint that the log signs at this size.
fn checkpoint_at(size: u64) -> SignedCheckpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: root_of(size) }.sign(&signer()).unwrap()
}

/// What writes a log's files: the log itself, or a copy that is given the true checkpoints.
trait Subject: LogKey + Sized {
    fn open(disk: Arc<Disk>) -> Result<Writer<Self>, SealError>;

    /// Seals up to a checkpoint that ends with the entries, or at the one that is held.
    fn seal<E: AsRef<[u8]>>(
        writer: &mut Writer<Self>,
        first_index: u64,
        entries: &[E],
    ) -> Result<Option<SignedCheckpoint>, SealError>;
}

impl Subject for SignerKey {
    fn open(disk: Arc<Disk>) -> Result<Sealer, SealError> {
        Sealer::open(disk, signer())
    }

    fn seal<E: AsRef<[u8]>>(
        writer: &mut Sealer,
        first_index: u64,
        entries: &[E],
    ) -> Result<Option<SignedCheckpoint>, SealError> {
        writer.seal(first_index, entries)
    }
}

impl Subject for Copied {
    fn open(disk: Arc<Disk>) -> Result<Mirror, SealError> {
        Mirror::open(disk, key())
    }

    fn seal<E: AsRef<[u8]>>(
        writer: &mut Mirror,
        first_index: u64,
        entries: &[E],
    ) -> Result<Option<SignedCheckpoint>, SealError> {
        let size = (first_index + entries.len() as u64).max(writer.signed_size());
        writer.seal(first_index, entries, &checkpoint_at(size))
    }
}

/// Runs tests, written for any [`Subject`], over the log itself and over a copy.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod log {
            $(#[test] fn $test() { super::$test::<einhorn_core::ledger::SignerKey>(); })*
        }
        mod copy {
            $(#[test] fn $test() { super::$test::<crate::ledger::Copied>(); })*
        }
    };
}
use over_both;

fn open(disk: &Arc<Disk>) -> Sealer {
    open_as(disk)
}

fn open_as<K: Subject>(disk: &Arc<Disk>) -> Writer<K> {
    K::open(disk.clone()).unwrap()
}

/// Seals up to `size` from wherever the writer is.
fn seal_to<K: Subject>(writer: &mut Writer<K>, size: u64) -> Option<SignedCheckpoint> {
    let next = writer.sealed();
    K::seal(writer, next, &range(next, size)).unwrap()
}

fn report(files: &dyn Files) -> Report {
    let mut next = 0;
    let report = verify(files, &key(), Options::default(), &mut |index, bytes| {
        if index == next && bytes == entry(index) {
            next += 1;
        }
    });
    if report.is_sound() {
        assert_eq!((next, next), (report.entries, report.checkpoint.as_ref().unwrap().size));
    }
    report
}

#[track_caller]
fn assert_sound(files: &dyn Files) {
    let report = report(files);
    assert!(report.is_sound(), "{report:#?}");
}
