//! A copy has the same files as the log, and nothing contradictory gets into it.

use super::super::TileSource as _;
use super::*;
use einhorn_core::ledger::checkpoint;
use proptest::prelude::*;

fn open_copy(disk: &Arc<Disk>) -> Mirror {
    open_as(disk)
}

/// What a test compares before and after something that must change nothing.
fn published(disk: &Disk) -> Vec<(String, Vec<u8>)> {
    let of_log = |path: &String| path.starts_with("checkpoint") || path == "cosignatures";
    let paths = disk.paths().into_iter().filter(of_log);
    paths.map(|path| (path.clone(), disk.read(&path).unwrap().unwrap())).collect()
}

#[test]
fn a_copy_made_in_parts_has_the_files_of_the_log() {
    let (original, disk) = (Arc::new(Disk::default()), Arc::new(Disk::default()));
    let mut copy = open_copy(&disk);
    assert_eq!((copy.size(), copy.sealed(), copy.signed_size()), (0, 0, 0));
    let whole = seal_to(&mut open(&original), 1300).unwrap();
    for (from, to) in [(0, 100), (100, 600), (600, 1299)] {
        assert_eq!(copy.seal(from, &range(from, to), &whole).unwrap(), None);
        assert_eq!((copy.size(), copy.sealed()), (0, to));
        assert_eq!(copy.sync_full().unwrap(), 0, "nothing unproven is vouched for");
        assert!(published(&disk).is_empty());
    }
    let done = copy.seal(1299, &range(1299, 1300), &whole).unwrap();
    assert_eq!(done.as_ref(), Some(&whole));
    assert_eq!((copy.size(), copy.frontier().root()), (1300, root_of(1300)));
    assert_eq!(copy.sync_full().unwrap(), 1280);
    assert_sound(&*disk);
    for path in original.paths() {
        assert_eq!(original.read(&path).unwrap(), disk.read(&path).unwrap(), "{path}");
    }
    let again = open_copy(&disk);
    assert_eq!((again.size(), again.frontier().root()), (1300, root_of(1300)));
    assert_eq!(again.published(), Some(whole));
}

#[test]
fn the_checkpoint_of_an_empty_log_is_copied() {
    let disk = Arc::new(Disk::default());
    let mut copy = open_copy(&disk);
    let empty = checkpoint_at(0);
    assert_eq!(copy.seal(0, &range(0, 0), &empty).unwrap(), Some(empty));
    assert_sound(&*disk);
    assert_eq!(seal_to(&mut open_copy(&disk), 3).unwrap().checkpoint.size, 3);
}

#[test]
fn what_the_log_has_not_signed_is_refused() {
    let disk = Arc::new(Disk::default());
    let mut copy = open_copy(&disk);
    seal_to(&mut copy, 300);
    let before = published(&disk);

    let other = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[2; 32]).unwrap();
    let at = |size, root| Checkpoint { origin: ORIGIN.to_owned(), size, root };
    let forged = at(310, root_of(310)).sign(&other).unwrap();
    let result = copy.seal(300, &range(300, 310), &forged);
    assert!(matches!(result, Err(SealError::Checkpoint { .. })), "{result:?}");
    let older = checkpoint_at(299);
    let result = copy.seal(300, &range(0, 0), &older);
    assert!(matches!(result, Err(SealError::Older { held: 300, given: 299 })), "{result:?}");
    let result = copy.seal(300, &range(300, 311), &checkpoint_at(310));
    assert!(matches!(result, Err(SealError::NotCovered { covered: 310, end: 311 })), "{result:?}");
    let result = copy.seal(299, &range(299, 310), &checkpoint_at(310));
    assert!(matches!(result, Err(SealError::WrongIndex { expected: 300, found: 299 })));
    // Two trees of one size, both signed.
    let fork = at(300, root_of(299)).sign(&signer()).unwrap();
    let result = copy.seal(300, &range(0, 0), &fork);
    assert!(matches!(result, Err(SealError::Contradiction { size: 300, .. })), "{result:?}");
    assert_eq!((copy.sealed(), copy.size()), (300, 300));
    assert_eq!(published(&disk), before);
    seal_to(&mut copy, 310);
    assert_sound(&*disk);
}

/// Entries that are not the log's, in the last part or long before it.
#[test]
fn a_fork_changes_nothing() {
    for wrong in [301, 520, 1099] {
        let disk = Arc::new(Disk::default());
        let mut copy = open_copy(&disk);
        seal_to(&mut copy, 300);
        let before = published(&disk);
        let whole = checkpoint_at(1100);
        let mut entries = range(0, 1100);
        entries[wrong] = b"another".to_vec();
        assert_eq!(copy.seal(300, &entries[300..600], &whole).unwrap(), None);
        let result = copy.seal(600, &entries[600..], &whole);
        let Err(SealError::Contradiction { size: 1100, signed, computed }) = result else {
            panic!("{result:?}");
        };
        assert!(signed == root_of(1100) && computed != signed);
        assert_eq!((copy.sealed(), copy.size(), copy.signed_size()), (300, 300, 300));
        assert_eq!(copy.frontier().root(), root_of(300));
        assert_eq!(published(&disk), before);
        assert_sound(&*disk);
        assert_eq!(copy.sync_full().unwrap(), 256);
        // The right ones go on from there, also after a restart.
        if wrong == 520 {
            copy = open_copy(&disk);
        }
        seal_to(&mut copy, 1100);
        assert_eq!(copy.sync_full().unwrap(), 1024);
        assert_sound(&*disk);
        assert_eq!(open_copy(&disk).sealed(), 1100);
    }
}

/// Full files were forged while the unfinished ones were lost: no checkpoint fits what is found,
/// and the copy starts from the first entry without having to be opened again.
#[test]
fn forged_files_below_lost_ones_do_not_block_a_copy() {
    let (disk, forged) = (Arc::new(Disk::default()), Arc::new(Disk::default()));
    seal_to(&mut open_copy(&disk), 600);
    let mut entries = range(0, 600);
    entries[5] = b"another".to_vec();
    open(&forged).seal(0, &entries).unwrap();
    for (path, bytes) in &forged.state().seen {
        if !path.starts_with("checkpoint") {
            disk.state().seen.insert(path.clone(), bytes.clone());
        }
    }
    disk.state().seen.retain(|path, _| !path.starts_with("tile/entries/002.p"));
    let mut copy = open_copy(&disk);
    assert_eq!((copy.sealed(), copy.size(), copy.signed_size()), (512, 512, 600));
    let result = copy.seal(512, &range(512, 600), &checkpoint_at(600));
    assert!(matches!(result, Err(SealError::Contradiction { .. })), "{result:?}");
    assert_eq!((copy.sealed(), copy.size()), (0, 0));
    seal_to(&mut copy, 700);
    assert_eq!(copy.sync_full().unwrap(), 512);
    assert_sound(&*disk);
    assert_eq!(open_copy(&disk).sealed(), 700);
}

#[derive(Clone, Debug)]
enum Step {
    /// So many entries, towards a checkpoint so far away.
    Give {
        count: u64,
        towards: u64,
    },
    /// One of them is not the log's.
    GiveWrong {
        count: u64,
        towards: u64,
    },
    Sync,
    Reopen,
    PowerCut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = || 0u64..400;
    prop_oneof![
        6 => (size(), size()).prop_map(|(count, towards)| Step::Give { count, towards }),
        2 => (1u64..400, size()).prop_map(|(count, towards)| Step::GiveWrong { count, towards }),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever it is given, what the copy publishes is the log's.
    #[test]
    fn only_the_logs_own_history_is_published(steps in prop::collection::vec(step(), 1..30)) {
        let disk = Arc::new(Disk::default());
        let (mut copy, mut goal, mut tainted) = (open_copy(&disk), 0, false);
        // Full files found after a power cut are proven only together with the unfinished ones.
        let (mut may_be_tainted, mut any_wrong) = (false, false);
        for step in steps {
            let next = copy.sealed();
            match step {
                Step::Give { count, towards } | Step::GiveWrong { count, towards } => {
                    goal = goal.max(next + towards).max(copy.signed_size());
                    let end = goal.min(next + count);
                    let mut entries = range(next, end);
                    if matches!(step, Step::GiveWrong { .. }) && let Some(last) = entries.last_mut() {
                        *last = b"another".to_vec();
                        (tainted, any_wrong) = (true, true);
                    }
                    match copy.seal(next, &entries, &checkpoint_at(goal)) {
                        Ok(None) => prop_assert!(end < goal),
                        Ok(Some(signed)) => {
                            prop_assert!(!tainted && end == goal && signed.checkpoint.size == goal);
                        }
                        Err(error) => {
                            prop_assert!(matches!(error, SealError::Contradiction { .. }), "{}", error);
                            prop_assert!(tainted || may_be_tainted);
                            prop_assert_eq!(copy.sealed(), copy.size());
                            (tainted, may_be_tainted) = (false, false);
                        }
                    }
                }
                Step::Sync => drop(copy.sync_full().unwrap()),
                Step::Reopen | Step::PowerCut(_) => {
                    if let Step::PowerCut(random) = step {
                        disk.cut_power(random);
                    }
                    copy = open_copy(&disk);
                    may_be_tainted = any_wrong && copy.size() < copy.signed_size();
                    tainted = false;
                }
            }
            prop_assert!(copy.size() <= copy.sealed());
            let shown = disk.read("checkpoint").unwrap();
            if let Some(Ok(shown)) = shown.map(|bytes| checkpoint::verify(&bytes, &key())) {
                prop_assert_eq!(shown.root, root_of(shown.size));
            }
        }
        if tainted || may_be_tainted {
            let next = copy.sealed();
            goal = goal.max(copy.signed_size());
            let result = copy.seal(next, &range(next, goal), &checkpoint_at(goal));
            let refused = matches!(result, Err(SealError::Contradiction { .. }));
            prop_assert!(refused || (result.is_ok() && !tainted), "{:?}", result);
        }
        seal_to(&mut copy, goal + 10);
        copy.sync_full().unwrap();
        assert_sound(&*disk);
    }
}
