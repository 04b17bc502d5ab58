//! The ledger's files on honest, failing, forgetful and lying disks.

mod crash;
mod damage;
mod disk;
mod files;
mod seal;
mod speed;

use std::sync::Arc;

use einhorn_core::ledger::{
    Algorithm, Frontier, Hash, SignedCheckpoint, SignerKey, VerifierKey, leaf_hash,
};

use super::{Files, Options, Report, Sealer, verify};
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

fn open(disk: &Arc<Disk>) -> Sealer {
    Sealer::open(disk.clone(), signer()).unwrap()
}

/// Seals up to `size` from wherever the sealer is.
fn seal_to(sealer: &mut Sealer, size: u64) -> Option<SignedCheckpoint> {
    sealer.seal(sealer.sealed(), &range(sealer.sealed(), size)).unwrap()
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
