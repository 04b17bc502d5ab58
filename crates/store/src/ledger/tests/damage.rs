//! Flipped bits: before sealing they stop it, after it they are found and named.

use super::super::{Problem, SealError, TileSource as _};
use super::*;

super::over_both!(
    a_bit_flipped_while_it_is_written_is_never_signed,
    a_bit_flipped_in_the_unfinished_files_stops_sealing,
    a_bit_flipped_before_a_sync_is_found_by_it,
    one_flipped_bit_anywhere_is_found_and_its_file_named,
    missing_and_cut_files_are_named,
);

/// A ledger with full and partial files of two levels, older partial files and records.
fn small_ledger<K: Subject>() -> Arc<Disk> {
    let disk = Arc::new(Disk::default());
    let mut sealer = open_as::<K>(&disk);
    for size in [100, 520, 600] {
        seal_to(&mut sealer, size);
        sealer.sync_full().unwrap();
    }
    seal_to(&mut sealer, 601);
    disk
}

fn one_flipped_bit_anywhere_is_found_and_its_file_named<K: Subject>() {
    let disk = small_ledger::<K>();
    assert_sound(&*disk);
    let paths = disk.paths();
    for path in ["synced", "tile/entries/002.p/88", "tile/1/000.p/2"] {
        assert!(paths.contains(&path.to_owned()), "{path}: {paths:?}");
    }
    for path in paths {
        let bits = disk.read(&path).unwrap().unwrap().len() * 8;
        for bit in (0..bits).step_by(bits / 97 + 1).chain([bits - 1]) {
            disk.flip(&path, bit);
            let report = report(&*disk);
            let named: Vec<&str> = report.findings.iter().map(|f| f.path.as_str()).collect();
            assert!(
                !named.is_empty() && named.iter().all(|n| *n == path),
                "{path} {bit}: {report:#?}"
            );
            if path.starts_with("tile/0/") || path.starts_with("tile/1/") {
                assert_eq!(report.findings[0].index, Some(bit as u64 / 256), "{path}");
            }
            disk.flip(&path, bit);
        }
    }
    assert_sound(&*disk);
}

#[test]
fn the_entry_is_named_by_its_index() {
    let disk = small_ledger::<SignerKey>();
    let before: usize = (512..550).map(|index| 2 + entry(index).len()).sum();
    disk.flip("tile/entries/002.p/89", (before + 2) * 8);
    let report = report(&*disk);
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert_eq!(report.findings[0].index, Some(550));
    assert_eq!(report.findings[0].problem, Problem::Altered);
}

fn missing_and_cut_files_are_named<K: Subject>() {
    let disk = small_ledger::<K>();
    for path in disk.paths() {
        if is_optional(&path) {
            continue;
        }
        let bytes = disk.state().seen.remove(&path).unwrap();
        let gone = report(&*disk);
        assert!(gone.findings.iter().all(|f| f.path == path && f.problem == Problem::Missing));
        assert_eq!(gone.findings.len(), 1, "{path} {gone:#?}");
        disk.state().seen.insert(path.clone(), bytes[..bytes.len() - 1].to_vec());
        let cut = report(&*disk);
        assert!(!cut.is_sound() && cut.findings.iter().all(|f| f.path == path), "{cut:#?}");
        disk.state().seen.insert(path, bytes);
    }
}

fn is_optional(path: &str) -> bool {
    path == "synced"
        || path == "checkpoint.signed"
        || (path.contains(".p/") && !path.ends_with(".p/89") && !path.ends_with("tile/1/000.p/2"))
}

/// An entry changed together with its own tile is caught by the tile above.
#[test]
fn a_consistent_forgery_of_the_lowest_files_is_found() {
    let disk = small_ledger::<SignerKey>();
    let mut bytes = disk.read("tile/entries/001").unwrap().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = leaf_hash(&bytes[bytes.len() - entry(511).len()..]);
    let mut tile = disk.read("tile/0/001").unwrap().unwrap();
    tile[255 * 32..].copy_from_slice(&forged.0);
    disk.state().seen.insert("tile/entries/001".to_owned(), bytes);
    disk.state().seen.insert("tile/0/001".to_owned(), tile);
    let report = report(&*disk);
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    assert_eq!(report.findings[0].path, "tile/0/001");
}

#[test]
fn findings_are_bounded_and_counted() {
    let disk = small_ledger::<SignerKey>();
    for bit in 0..100 {
        disk.flip("tile/0/000", bit * 256);
    }
    let options = Options { findings_max: 7 };
    let report = verify(&*disk, &key(), options, &mut |_, _| {});
    assert_eq!((report.findings.len(), report.findings_omitted), (7, 93));
    assert!(!report.is_sound());
    let other = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[2; 32]).unwrap();
    let report = verify(&*disk, other.verifier(), Options::default(), &mut |_, _| {});
    assert!(report.checkpoint.is_none() && report.findings[0].path == "checkpoint");
}

/// A disk that writes something else than it was given.
fn a_bit_flipped_while_it_is_written_is_never_signed<K: Subject>() {
    let start = small_ledger::<K>();
    let mut written: Vec<String> = Vec::new();
    {
        let mut sealer = open_as::<K>(&start);
        let before = start.paths();
        seal_to(&mut sealer, 1300);
        written.extend(start.paths().into_iter().filter(|path| !before.contains(path)));
    }
    written.extend(["checkpoint.signed".to_owned(), "checkpoint".to_owned()]);
    assert!(written.len() >= 10, "{written:?}");
    for path in written {
        let disk = small_ledger::<K>();
        let mut sealer = open_as::<K>(&disk);
        disk.state().flip_in = Some(path.clone());
        let signed = disk.state().checkpoints.len();
        let result = K::seal(&mut sealer, 601, &range(601, 1300));
        assert!(matches!(result, Err(SealError::Damaged { .. })), "{path} {result:?}");
        if path.starts_with("tile") {
            assert_eq!(disk.state().checkpoints.len(), signed, "{path}: signed");
        }
        disk.state().flip_in = None;
        assert_eq!(sealer.sealed(), 601);
        seal_to(&mut sealer, 1300);
        assert_sound(&*disk);
    }
}

/// The unfinished tile or bundle was damaged since the last seal: no further signature, until
/// the ledger is opened again and has the damaged part built anew.
fn a_bit_flipped_in_the_unfinished_files_stops_sealing<K: Subject>() {
    for path in ["tile/0/002.p/89", "tile/entries/002.p/89", "tile/1/000.p/2"] {
        let disk = small_ledger::<K>();
        let mut sealer = open_as::<K>(&disk);
        disk.flip(path, 100);
        let signed = disk.state().checkpoints.len();
        for _ in 0..2 {
            let result = K::seal(&mut sealer, 601, &range(601, 700));
            assert!(
                matches!(&result, Err(SealError::Damaged { path: p, .. }) if p == path),
                "{result:?}"
            );
        }
        assert_eq!(disk.state().checkpoints.len(), signed);
        let mut sealer = open_as::<K>(&disk);
        assert_eq!(sealer.signed_size(), 601);
        assert!(sealer.sealed() == 512 || path.starts_with("tile/1"));
        seal_to(&mut sealer, 700);
        assert_sound(&*disk);
    }
}

/// A full file damaged before it is synced is found by the sync's second reading.
fn a_bit_flipped_before_a_sync_is_found_by_it<K: Subject>() {
    for path in ["tile/0/003", "tile/entries/003"] {
        let disk = small_ledger::<K>();
        let mut sealer = open_as::<K>(&disk);
        seal_to(&mut sealer, 1100);
        disk.flip(path, 999);
        let result = sealer.sync_full();
        assert!(matches!(&result, Err(SealError::Damaged { .. })), "{result:?}");
        let mut sealer = open_as::<K>(&disk);
        assert_eq!(sealer.sealed(), 768);
        seal_to(&mut sealer, 1100);
        assert_eq!(sealer.sync_full().unwrap(), 1024);
        assert_sound(&*disk);
    }
}
