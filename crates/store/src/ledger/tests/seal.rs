//! Sealing on an honest disk: the same tree however it is cut, proofs, and what is refused.

use einhorn_core::ledger::tree::{verify_consistency, verify_inclusion};
use einhorn_core::ledger::{Bundle, EMPTY_ROOT, Path, Tile};
use proptest::prelude::*;

use super::super::{
    ReadError, SealError, TileSource as _, prove_consistency, prove_entry, prove_inclusion,
    read_entry,
};
use super::*;

/// Every file that C2SP tlog-tiles asks for, and the signed root.
fn assert_published(disk: &Disk, size: u64) {
    assert_sound(disk);
    let paths = disk.paths();
    for path in Tile::all(size).map(|t| t.path()).chain(Bundle::all(size).map(|b| b.path())) {
        assert!(paths.contains(&path), "{path}");
    }
    assert_eq!(report(disk).checkpoint.unwrap().root, root_of(size));
}

#[test]
fn an_empty_log_has_a_checkpoint_too() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open(&disk);
    assert_eq!((sealer.sealed(), sealer.signed_size()), (0, 0));
    let signed = seal_to(&mut sealer, 0).unwrap();
    assert_eq!(signed.checkpoint.root, EMPTY_ROOT);
    assert_eq!(sealer.signed(), Some(&signed));
    assert_published(&disk, 0);
    let operations = disk.state().operations;
    assert_eq!(seal_to(&mut sealer, 0), Some(signed));
    assert_eq!(disk.state().operations, operations, "nothing to seal, nothing written");
    assert_eq!(seal_to(&mut open(&disk), 3).unwrap().checkpoint.size, 3);
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open(&disk);
    seal_to(&mut sealer, 5);
    for found in [0, 4, 6] {
        let result = sealer.seal(found, &[b"x"]);
        assert!(matches!(result, Err(SealError::WrongIndex { expected: 5, .. })), "{result:?}");
    }
    let long = vec![0; 65_536];
    let result = sealer.seal(5, &[b"x", &long[..]]);
    assert!(matches!(result, Err(SealError::EntryTooLong { index: 6, bytes: 65_536 })));
    let before = sealer.sealed();
    seal_to(&mut sealer, 6);
    assert_eq!(before, 5);
    assert_published(&disk, 6);
    let other = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[2; 32]).unwrap();
    assert!(matches!(Sealer::open(disk, other), Err(SealError::Checkpoint { .. })));
}

#[test]
fn partial_files_stay_for_one_interval_and_then_go() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open(&disk);
    seal_to(&mut sealer, 100);
    seal_to(&mut sealer, 300);
    let partial = |disk: &Disk| {
        let paths = disk.paths();
        let of_first = |p: &&String| p.contains("/000.p/") && !p.starts_with("tile/1");
        paths.iter().filter(of_first).count()
    };
    assert_eq!(sealer.durable(), 0);
    assert_eq!(sealer.sync_full().unwrap(), 256);
    assert_eq!(partial(&disk), 2);
    // A restart in between forgets nothing.
    let mut sealer = open(&disk);
    sealer.sync_full().unwrap();
    assert_eq!(partial(&disk), 2);
    sealer.sync_full().unwrap();
    assert_eq!(partial(&disk), 0);
    assert!(disk.paths().contains(&"tile/1/000.p/1".to_owned()));
    assert_eq!((open(&disk).durable(), sealer.durable()), (256, 256));
    assert_published(&disk, 300);
}

#[test]
fn opening_does_not_read_the_whole_log() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open(&disk);
    for size in [70_000, 70_300] {
        seal_to(&mut sealer, size);
        sealer.sync_full().unwrap();
    }
    sealer.sync_full().unwrap();
    // Bundles below the mark are not needed to open, nor tiles that a full one covers.
    disk.state().seen.retain(|path, _| {
        let bundle = path.starts_with("tile/entries/") && path.as_str() < "tile/entries/272";
        let tile = path.starts_with("tile/0/") && path.as_str() < "tile/0/256";
        !(bundle || tile)
    });
    let mut sealer = open(&disk);
    assert_eq!((sealer.sealed(), sealer.durable()), (70_300, 70_144));
    assert_eq!(seal_to(&mut sealer, 70_301).unwrap().checkpoint.root, root_of(70_301));
}

#[test]
fn proofs_come_from_the_files_alone() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open(&disk);
    let mut signed = Vec::new();
    for size in [1, 2, 100, 256, 300, 511, 66_000, 66_100] {
        signed.push(seal_to(&mut sealer, size).unwrap().checkpoint);
    }
    for _ in 0..3 {
        sealer.sync_full().unwrap();
    }
    let last = signed.last().unwrap();
    for index in [0, 1, 255, 256, 65_535, 65_536, 66_099] {
        let (bytes, proof) = prove_entry(&*disk, &key(), index).unwrap();
        assert_eq!(bytes, entry(index));
        let file = proof.to_string();
        let parsed = einhorn_core::ledger::TlogProof::parse(file.as_bytes()).unwrap();
        assert_eq!(&parsed.verify(&entry(index), &key()).unwrap(), last);
        // Against an older checkpoint, whose partial files are gone, the full ones serve.
        let old = signed.iter().find(|c| c.size > index).unwrap();
        let proof = prove_inclusion(&*disk, old.size, index).unwrap();
        verify_inclusion(leaf_hash(&entry(index)), index, old.size, old.root, &proof).unwrap();
        assert_eq!(read_entry(&*disk, old.size, index).unwrap(), entry(index));
    }
    for (old, new) in signed.iter().zip(&signed[1..]) {
        let proof = prove_consistency(&*disk, old.size, new.size).unwrap();
        verify_consistency(old.size, old.root, new.size, new.root, &proof).unwrap();
    }
    assert!(matches!(read_entry(&*disk, 10, 10), Err(ReadError::Range)));
    assert!(matches!(prove_entry(&*disk, &key(), 66_100), Err(ReadError::Range)));
    disk.flip("tile/entries/000", 20);
    assert!(prove_entry(&*disk, &key(), 1).is_err());
    disk.state().seen.remove("tile/entries/000");
    assert!(matches!(read_entry(&*disk, 66_100, 1), Err(ReadError::Missing { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the entries are cut into batches, and wherever the ledger is opened again, the
    /// files are the same as in one go.
    #[test]
    fn any_cut_gives_the_same_files(cuts in prop::collection::vec((0u64..400, any::<bool>(), any::<bool>()), 1..12)) {
        let disk = Arc::new(Disk::default());
        let mut sealer = open(&disk);
        let mut size = 0;
        for (count, reopen, sync) in cuts {
            size += count;
            seal_to(&mut sealer, size);
            if sync {
                sealer.sync_full().unwrap();
            }
            if reopen {
                sealer = open(&disk);
                prop_assert_eq!((sealer.sealed(), sealer.signed_size()), (size, size));
            }
        }
        assert_published(&disk, size);
        let once = Arc::new(Disk::default());
        seal_to(&mut open(&once), size);
        for path in once.paths() {
            prop_assert_eq!(once.read(&path).unwrap(), disk.read(&path).unwrap(), "{}", path);
            let named = Path::parse(path.as_bytes()).is_ok();
            prop_assert!(named || path == "checkpoint.signed", "{}", path);
        }
    }
}
