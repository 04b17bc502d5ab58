//! Crashes, failed writes and power cuts at every step. Whatever happens, the files can be built
//! again from the entries, and no two signed checkpoints contradict each other.

use std::collections::BTreeMap;

use einhorn_core::ledger::{Checkpoint, checkpoint};
use proptest::prelude::*;

use super::super::SealError;
use super::disk::Failure;
use super::*;

super::over_both!(
    an_interruption_at_any_operation_is_survived,
    after_a_failed_sync_files_are_written_again,
    another_history_is_never_signed,
    a_torn_file_of_a_tree_never_signed_is_replaced,
    a_sync_never_vouches_for_more_than_is_signed_on_disk,
    a_checkpoint_whose_write_failed_binds_all_the_same,
    an_older_checkpoint_put_back_is_noticed,
    forged_files_are_built_again_from_the_first_entry,
);

/// Every checkpoint ever signed, also one whose write failed, is of the one history of entries,
/// and no smaller one was to be seen after a larger.
fn assert_no_contradiction(disk: &Disk) {
    let signed = disk.state().checkpoints.clone();
    let seen = disk.state().seen_checkpoints.clone();
    let sizes = |notes: &[String]| -> Vec<(u64, Hash)> {
        let verified = notes.iter().map(|n| checkpoint::verify(n.as_bytes(), &key()).unwrap());
        verified.map(|c| (c.size, c.root)).collect()
    };
    assert!(sizes(&seen).is_sorted_by_key(|(size, _)| *size), "{seen:?}");
    let mut roots = BTreeMap::new();
    for (size, found) in sizes(&signed) {
        let root = *roots.entry(size).or_insert_with(|| root_of(size));
        assert_eq!(found, root, "{size}");
    }
}

/// Opens again, seals what there is, and all must be well.
fn assert_recovers<K: Subject>(disk: &Arc<Disk>, size: u64) {
    let mut sealer = open_as::<K>(disk);
    assert!(sealer.signed_size() <= size);
    assert!(sealer.sealed() == sealer.signed_size() || sealer.sealed().is_multiple_of(256));
    let signed = seal_to(&mut sealer, size).unwrap();
    assert_eq!((signed.checkpoint.size, sealer.sealed()), (size, size));
    assert_eq!(sealer.sync_full().unwrap(), size / 256 * 256);
    assert_sound(&**disk);
    assert_no_contradiction(disk);
    assert_eq!(open_as::<K>(disk).sealed(), size);
}

/// One seal and one sync, interrupted at each operation, in each way, followed by nothing, a
/// restart, or a power cut.
fn an_interruption_at_any_operation_is_survived<K: Subject>() {
    for failure in [Failure::NotPersisted, Failure::Persisted] {
        for after in 0..3 {
            let mut at = 0;
            loop {
                let disk = Arc::new(Disk::default());
                let mut sealer = open_as::<K>(&disk);
                seal_to(&mut sealer, 300);
                sealer.sync_full().unwrap();
                seal_to(&mut sealer, 400);
                disk.fail_after(at, failure, after > 0);
                let result = K::seal(&mut sealer, 400, &range(400, 800))
                    .and_then(|_| sealer.sync_full())
                    .and_then(|_| K::seal(&mut sealer, 800, &range(800, 1100)))
                    .and_then(|_| sealer.sync_full());
                disk.repair();
                match after {
                    0 => {
                        let next = sealer.sealed();
                        assert!(K::seal(&mut sealer, next, &range(next, 1200)).unwrap().is_some());
                        assert_eq!(sealer.sync_full().unwrap(), 1024);
                        assert_sound(&*disk);
                    }
                    1 => drop(sealer),
                    _ => disk.cut_power(at as u64 * 77),
                }
                assert_recovers::<K>(&disk, 1200);
                if result.is_ok() {
                    assert!(at > 20, "{at}");
                    break;
                }
                at += 1;
            }
        }
    }
}

/// Checkpoints that others were shown before they were announced, interrupted at each operation,
/// in each way, followed by nothing, a restart, or a power cut.
#[test]
fn what_was_shown_unannounced_is_never_contradicted() {
    for failure in [Failure::NotPersisted, Failure::Persisted] {
        for after in 0..3 {
            let is_done = |at: usize| {
                let disk = Arc::new(Disk::default());
                let mut sealer = open(&disk);
                let mut shown = Vec::new();
                seal_to(&mut sealer, 300);
                disk.fail_after(at, failure, after > 0);
                let result = show_unannounced(&mut sealer, &mut shown);
                disk.repair();
                match after {
                    0 => {
                        seal_to(&mut sealer, 1200);
                        assert_sound(&*disk);
                    }
                    1 => drop(sealer),
                    _ => disk.cut_power(at as u64 * 77),
                }
                shown.iter().for_each(|shown| assert_eq!(shown.root, root_of(shown.size)));
                assert_recovers::<einhorn_core::ledger::SignerKey>(&disk, 1200);
                result.is_ok()
            };
            let steps = (0..).find(|at| is_done(*at));
            assert!(steps > Some(20), "{steps:?}");
        }
    }
}

/// Seals 800 entries, some in urgent steps, and syncs.
fn show_unannounced(sealer: &mut Sealer, shown: &mut Vec<Checkpoint>) -> Result<(), SealError> {
    for (from, to) in [(300, 400), (400, 401), (401, 700), (700, 800)] {
        let signed = sealer.seal_unannounced(from, &range(from, to))?;
        shown.extend(signed.map(|signed| signed.checkpoint));
        let on_disk = sealer.published().map(|signed| signed.checkpoint);
        assert_eq!(on_disk.as_ref(), shown.last());
        if to == 401 {
            sealer.announce()?;
            sealer.sync_full()?;
        }
    }
    // Nothing durable is to be larger than what is signed on the disk.
    assert!(sealer.sync_full()? <= 401);
    sealer.announce()?;
    sealer.sync_full().map(|_| ())
}

/// A sync that failed may have lost the data for good, though a later sync reports success.
fn after_a_failed_sync_files_are_written_again<K: Subject>() {
    for restart in [false, true] {
        let disk = Arc::new(Disk::default());
        let mut sealer = open_as::<K>(&disk);
        seal_to(&mut sealer, 600);
        disk.fail_after(0, Failure::NotPersisted, false);
        assert!(matches!(sealer.sync_full(), Err(SealError::Io { .. })));
        if restart {
            sealer = open_as::<K>(&disk);
        }
        assert_eq!(sealer.sync_full().unwrap(), 512);
        // Every coin falls on "lost": what is left is what was durable.
        for seed in 0..20 {
            let left = Arc::new(Disk::default());
            left.state().seen = disk.state().seen.clone();
            disk.cut_power(seed);
            assert!(open_as::<K>(&disk).sealed() >= 512);
        }
    }
}

/// Entries that differ from those sealed before are refused, also where the files are gone.
fn another_history_is_never_signed<K: Subject>() {
    let disk = Arc::new(Disk::default());
    seal_to(&mut open_as::<K>(&disk), 700);
    disk.state().seen.retain(|path, _| path.starts_with("checkpoint"));
    let signed = disk.state().checkpoints.len();
    let mut other = range(0, 800);
    other[650] = b"another".to_vec();
    let mut sealer = open_as::<K>(&disk);
    assert_eq!((sealer.sealed(), sealer.signed_size()), (0, 700));
    let result = K::seal(&mut sealer, 0, &other);
    assert!(matches!(result, Err(SealError::Contradiction { size: 700, .. })), "{result:?}");
    // In steps: below the signed size nothing is signed, at it the contradiction shows.
    assert_eq!(K::seal(&mut sealer, 0, &other[..690]).unwrap(), None);
    let result = K::seal(&mut sealer, 690, &other[690..]);
    assert!(matches!(result, Err(SealError::Contradiction { size: 700, .. })), "{result:?}");
    assert_eq!(disk.state().checkpoints.len(), signed, "nothing was signed");
    disk.state().seen.retain(|path, _| path.starts_with("checkpoint"));
    assert_recovers::<K>(&disk, 800);
}

/// A seal that failed before it signed leaves a partial file of a level that the tree does not
/// reach yet, and a power cut tears it: found by a property.
fn a_torn_file_of_a_tree_never_signed_is_replaced<K: Subject>() {
    let disk = Arc::new(Disk::default());
    seal_to(&mut open_as::<K>(&disk), 1);
    disk.state().seen.insert("tile/1/000.p/3".to_owned(), vec![7; 84]);
    let mut sealer = open_as::<K>(&disk);
    seal_to(&mut sealer, 2);
    seal_to(&mut sealer, 1024);
    assert_sound(&*disk);
}

/// The watermark rests while the checkpoint that covers it is not known to be on disk: found by
/// a property.
fn a_sync_never_vouches_for_more_than_is_signed_on_disk<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open_as::<K>(&disk);
    seal_to(&mut sealer, 644);
    assert_eq!(sealer.sync_full().unwrap(), 512);
    // Bundle, tile, and three partial files, then the signed checkpoint.
    disk.fail_after(5, Failure::NotPersisted, false);
    let result = K::seal(&mut sealer, 644, &range(644, 769));
    assert!(matches!(&result, Err(SealError::Io { path, .. }) if path == "checkpoint.signed"));
    assert_eq!(seal_to(&mut sealer, 768), None);
    assert_eq!(sealer.sync_full().unwrap(), 512);
    let mut sealer = open_as::<K>(&disk);
    assert_eq!(sealer.sealed(), 644);
    seal_to(&mut sealer, 800);
    assert_eq!(sealer.sync_full().unwrap(), 768);
    assert_recovers::<K>(&disk, 800);
}

/// The write of the signed checkpoint failed, and yet a reader may have seen it.
fn a_checkpoint_whose_write_failed_binds_all_the_same<K: Subject>() {
    for failure in [Failure::NotPersisted, Failure::Persisted] {
        let disk = Arc::new(Disk::default());
        let mut sealer = open_as::<K>(&disk);
        seal_to(&mut sealer, 10);
        // Tile, bundle, then the signed checkpoint.
        disk.fail_after(2, failure, false);
        assert!(
            matches!(K::seal(&mut sealer, 10, &range(10, 20)), Err(SealError::Io { path, .. }) if path == "checkpoint.signed")
        );
        assert_eq!((sealer.sealed(), sealer.signed_size()), (10, 20));
        let result = K::seal(&mut sealer, 10, &[b"another"; 10]);
        assert!(matches!(result, Err(SealError::Contradiction { size: 20, .. })), "{result:?}");
        assert_eq!(K::seal(&mut sealer, 10, &range(10, 15)).unwrap(), None);
        assert_eq!(seal_to(&mut sealer, 25).unwrap().checkpoint.size, 25);
        assert_recovers::<K>(&disk, 25);
    }
}

fn an_older_checkpoint_put_back_is_noticed<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut sealer = open_as::<K>(&disk);
    seal_to(&mut sealer, 100);
    let old = disk.state().checkpoints[0].clone().into_bytes();
    for size in [600, 900] {
        seal_to(&mut sealer, size);
        sealer.sync_full().unwrap();
    }
    for path in ["checkpoint", "checkpoint.signed"] {
        disk.state().seen.insert(path.to_owned(), old.clone());
    }
    let result = K::open(disk).err();
    assert!(
        matches!(result, Some(SealError::RolledBack { signed: 100, synced: 512 })),
        "{result:?}"
    );
}

/// Files that agree with each other but not with the signed root: built again from the start,
/// and a power cut in the middle of that is survived too.
fn forged_files_are_built_again_from_the_first_entry<K: Subject>() {
    let honest = Arc::new(Disk::default());
    let mut sealer = open_as::<K>(&honest);
    for size in [600, 900, 1000] {
        seal_to(&mut sealer, size);
        sealer.sync_full().unwrap();
    }
    let forged = Arc::new(Disk::default());
    let mut other = range(0, 1000);
    other[5] = b"another".to_vec();
    let mut sealer = open(&forged);
    for (from, to) in [(0, 600), (600, 900), (900, 1000)] {
        sealer.seal(from, &other[from as usize..to as usize]).unwrap();
        sealer.sync_full().unwrap();
    }
    {
        let mut state = honest.state();
        for (path, bytes) in &forged.state().seen {
            if !path.starts_with("checkpoint") {
                state.seen.insert(path.clone(), bytes.clone());
            }
        }
    }
    let mut sealer = open_as::<K>(&honest);
    assert_eq!((sealer.sealed(), sealer.signed_size(), sealer.durable()), (0, 1000, 0));
    assert_eq!(seal_to(&mut sealer, 800), None);
    honest.cut_power(3);
    assert_recovers::<K>(&honest, 1000);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Seal,
    SealPart(u64),
    Sync,
    Fail { after: usize, failure: Failure, for_good: bool },
    Restart,
    PowerCut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![Just(Failure::NotPersisted), Just(Failure::Persisted)];
    prop_oneof![
        4 => (0u64..350).prop_map(Step::Append),
        4 => Just(Step::Seal),
        2 => (1u64..300).prop_map(Step::SealPart),
        2 => Just(Step::Sync),
        3 => (0usize..14, failure, any::<bool>())
            .prop_map(|(after, failure, for_good)| Step::Fail { after, failure, for_good }),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

fn survives<K: Subject>(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let disk = Arc::new(Disk::default());
    let (mut sealer, mut size, mut durable) = (open_as::<K>(&disk), 0, 0);
    for step in steps {
        let next = sealer.sealed();
        let outcome = match step {
            Step::Append(count) => {
                size += count;
                Ok(())
            }
            Step::Seal => K::seal(&mut sealer, next, &range(next, size)).map(|_| ()),
            Step::SealPart(count) => {
                K::seal(&mut sealer, next, &range(next, size.min(next + count))).map(|_| ())
            }
            Step::Sync => sealer.sync_full().map(|watermark| durable = durable.max(watermark)),
            Step::Fail { after, failure, for_good } => {
                disk.fail_after(after, failure, for_good);
                Ok(())
            }
            Step::Restart | Step::PowerCut(_) => {
                disk.repair();
                if let Step::PowerCut(random) = step {
                    disk.cut_power(random);
                }
                sealer = open_as::<K>(&disk);
                // What a sync vouched for is there after any crash.
                prop_assert!(sealer.sealed() >= durable);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            prop_assert!(matches!(error, SealError::Io { .. }), "{}", error);
        }
    }
    disk.repair();
    assert_recovers::<K>(&disk, size);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_history_of_failures_is_survived(steps in prop::collection::vec(step(), 1..40)) {
        survives::<SignerKey>(steps)?;
    }

    #[test]
    fn a_copy_survives_any_history_of_failures(steps in prop::collection::vec(step(), 1..40)) {
        survives::<Copied>(steps)?;
    }
}
