//! Cosignatures: which are kept and where they are to be seen.

use super::super::{Confirmations, Cosigned, Doubt, Standing, TileSource as _};
use super::disk::Failure;
use super::*;
use einhorn_core::ledger::{Cosignatures, Note};

over_both!(
    the_published_checkpoint_carries_the_cosignatures_of_its_own_tree,
    only_true_cosignatures_are_kept,
    a_failed_write_loses_nothing,
    a_damaged_file_is_started_anew,
    cosigners_notice_a_rollback,
);

fn cosigner(name: &str) -> SignerKey {
    let seed = [name.len() as u8; 32];
    SignerKey::from_seed(name, Algorithm::CosignatureV1, &seed).unwrap()
}

fn keys() -> Vec<VerifierKey> {
    ["rome", "paris"].map(|name| cosigner(name).verifier().clone()).to_vec()
}

fn line(name: &str, size: u64, time: u64) -> String {
    cosigner(name).cosign(&checkpoint_at(size).checkpoint.body(), time).unwrap()
}

fn add<K: LogKey>(writer: &mut Writer<K>, size: u64, lines: &str) -> usize {
    writer.add_cosignatures(&checkpoint_at(size).checkpoint, lines).unwrap()
}

/// Names, sizes and times.
fn known<K: LogKey>(writer: &Writer<K>) -> Vec<(String, u64, u64)> {
    let of = |one: Cosigned| (one.key_name, one.size, one.timestamp_seconds);
    writer.cosigned().into_iter().map(of).collect()
}

fn cosigners_shown(disk: &Disk) -> Vec<String> {
    let bytes = disk.read("checkpoint").unwrap().unwrap();
    let note = Note::parse(&bytes).unwrap();
    for key in keys() {
        let shown = note.signatures.iter().any(|signature| signature.names(&key));
        assert_eq!(note.cosigned_at(&key).is_ok(), shown);
    }
    note.signatures[1..].iter().map(|signature| signature.name.to_owned()).collect()
}

fn the_published_checkpoint_carries_the_cosignatures_of_its_own_tree<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut writer = open_as::<K>(&disk);
    writer.trust(keys()).unwrap();
    seal_to(&mut writer, 300);
    assert_eq!(add(&mut writer, 300, &line("rome", 300, 7)), 1);
    assert_eq!(cosigners_shown(&disk), ["rome"]);
    seal_to(&mut writer, 600);
    assert_eq!(cosigners_shown(&disk), [""; 0]);
    assert_eq!(add(&mut writer, 300, &line("paris", 300, 8)), 1);
    assert_eq!(cosigners_shown(&disk), [""; 0]);
    assert_eq!(add(&mut writer, 600, &line("paris", 600, 9)), 1);
    assert_eq!(cosigners_shown(&disk), ["paris"]);
    let expected = [("paris".to_owned(), 600, 9), ("rome".to_owned(), 300, 7)];
    assert_eq!(known(&writer), expected);
    assert!(writer.published().unwrap().note.ends_with(&line("paris", 600, 9)));
    assert!(!writer.signed().unwrap().note.contains("paris"));

    // All of it survives a restart, and the loss of the published file.
    let before = disk.read("checkpoint").unwrap();
    disk.state().seen.remove("checkpoint");
    let mut writer = open_as::<K>(&disk);
    assert_eq!(known(&writer), []);
    writer.trust(keys()).unwrap();
    assert_eq!(known(&writer), expected);
    assert_eq!(disk.read("checkpoint").unwrap(), before);
    writer.trust(keys()[1..].to_vec()).unwrap();
    assert_eq!(known(&writer), expected[..1]);
    assert_sound(&*disk);
}

fn only_true_cosignatures_are_kept<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut writer = open_as::<K>(&disk);
    seal_to(&mut writer, 600);
    assert_eq!(add(&mut writer, 600, &line("rome", 600, 1)), 0, "nobody is trusted yet");
    writer.trust(keys()).unwrap();
    seal_to(&mut writer, 900);
    let bad = [line("oslo", 600, 1), line("rome", 601, 1), line("rome", 600, 1).replace('A', "B")];
    assert_eq!(add(&mut writer, 600, &bad.concat()), 0);
    assert!(disk.read("cosignatures").unwrap().is_none());
    // Of trees that are gone from the partial files long since.
    for _ in 0..3 {
        writer.sync_full().unwrap();
    }
    for size in [0, 1, 255, 256, 257, 511, 600, 768, 899] {
        assert_eq!(add(&mut writer, size, &line("rome", size, 1)), 1, "{size}");
    }
    // A cosigner that has seen another tree, or more than there is.
    for (size, root) in [(899, root_of(1)), (900, root_of(1)), (898, root_of(2))] {
        let other = Checkpoint { origin: ORIGIN.to_owned(), size, root };
        let line = cosigner("paris").cosign(&other.body(), 1).unwrap();
        let result = writer.add_cosignatures(&other, &line);
        assert!(matches!(result, Err(SealError::Contradiction { .. })), "{result:?}");
    }
    let more = checkpoint_at(901).checkpoint;
    let result = writer.add_cosignatures(&more, &line("paris", 901, 1));
    assert!(matches!(result, Err(SealError::NotHeld { size: 901, held: 900 })), "{result:?}");
    let mut foreign = checkpoint_at(900).checkpoint;
    foreign.origin.push('x');
    let line = cosigner("paris").cosign(&foreign.body(), 1).unwrap();
    assert_eq!(writer.add_cosignatures(&foreign, &line).unwrap(), 0);
    assert_eq!(known(&writer), [("rome".to_owned(), 899, 1)]);
}

fn a_failed_write_loses_nothing<K: Subject>() {
    for failure in [Failure::NotPersisted, Failure::Persisted] {
        for after in 0..2 {
            let disk = Arc::new(Disk::default());
            let mut writer = open_as::<K>(&disk);
            writer.trust(keys()).unwrap();
            seal_to(&mut writer, 10);
            add(&mut writer, 10, &line("rome", 10, 1));
            disk.fail_after(after, failure, false);
            let at = checkpoint_at(10).checkpoint;
            let result = writer.add_cosignatures(&at, &line("paris", 10, 1));
            assert!(matches!(result, Err(SealError::Io { .. })), "{result:?}");
            for restart in [false, true] {
                if restart {
                    disk.cut_power(after as u64);
                    writer = open_as::<K>(&disk);
                    writer.trust(keys()).unwrap();
                    seal_to(&mut writer, 10);
                }
                assert!(known(&writer).contains(&("rome".to_owned(), 10, 1)));
                add(&mut writer, 10, &line("paris", 10, 1));
                assert_eq!(cosigners_shown(&disk), ["paris", "rome"]);
            }
        }
    }
}

fn a_damaged_file_is_started_anew<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut writer = open_as::<K>(&disk);
    writer.trust(keys()).unwrap();
    seal_to(&mut writer, 10);
    add(&mut writer, 10, &format!("{}{}", line("rome", 10, 1), line("paris", 10, 1)));
    let good = disk.read("cosignatures").unwrap().unwrap();
    for at in 0..good.len() {
        disk.flip("cosignatures", at * 8);
        let mut writer = open_as::<K>(&disk);
        // A flip in a size may look like a rollback only if the signature were good.
        writer.trust(keys()).unwrap();
        for (_, size, time) in known(&writer) {
            assert_eq!((size, time), (10, 1));
        }
        add(&mut writer, 10, &format!("{}{}", line("rome", 10, 1), line("paris", 10, 1)));
        // A name that nobody lists stays.
        assert!(known(&writer).len() == 2, "{at}: {:?}", known(&writer));
        disk.state().seen.insert("cosignatures".to_owned(), good.clone());
    }
}

fn cosigners_notice_a_rollback<K: Subject>() {
    let disk = Arc::new(Disk::default());
    let mut writer = open_as::<K>(&disk);
    seal_to(&mut writer, 10);
    let old = disk.read("checkpoint").unwrap().unwrap();
    seal_to(&mut writer, 20);
    writer.trust(keys()).unwrap();
    add(&mut writer, 20, &line("rome", 20, 1));
    for path in ["checkpoint", "checkpoint.signed"] {
        disk.state().seen.insert(path.to_owned(), old.clone());
    }
    let mut writer = open_as::<K>(&disk);
    let result = writer.trust(keys());
    assert!(matches!(result, Err(SealError::RolledBack { signed: 10, synced: 20 })), "{result:?}");
}

/// A copy takes the cosignatures over from the notes that it is given.
#[test]
fn a_copy_takes_over_what_the_notes_carry() {
    let disk = Arc::new(Disk::default());
    let mut copy = open_as::<Copied>(&disk);
    copy.trust(keys()).unwrap();
    let mut given = checkpoint_at(5);
    given.note.push_str(&(line("rome", 5, 1) + &line("oslo", 5, 1)));
    let done = copy.seal(0, &range(0, 5), &given).unwrap();
    assert_eq!(done, Some(checkpoint_at(5)));
    assert_eq!(cosigners_shown(&disk), ["rome"]);
    // The same checkpoint with more of them.
    given.note.push_str(&line("paris", 5, 2));
    copy.seal(5, &range(5, 5), &given).unwrap();
    assert_eq!(cosigners_shown(&disk), ["paris", "rome"]);
    let stored = disk.read("cosignatures").unwrap().unwrap();
    assert_eq!(Cosignatures::parse(&stored).unwrap().newest().len(), 2);
}

/// What an auditor is told, by name.
fn standings(disk: &Disk, keys: &[VerifierKey]) -> Vec<(String, u64, Standing)> {
    let mut confirmations = Confirmations::read(disk, &key()).unwrap();
    let report = verify(disk, &key(), Options::default(), &mut |index, bytes| {
        confirmations.next(index, bytes)
    });
    assert!(report.is_sound(), "{report:#?}");
    let found = confirmations.finish(keys).into_iter();
    found.map(|one| (one.cosignature.key_name, one.cosignature.size, one.standing)).collect()
}

#[test]
fn an_auditor_is_told_who_has_confirmed_what() {
    use Standing::{Confirmed, Newer, Unverified, Wrong};
    let disk = Arc::new(Disk::default());
    let mut log = open(&disk);
    log.trust(keys()).unwrap();
    seal_to(&mut log, 300);
    assert_eq!(standings(&disk, &keys()), []);
    add(&mut log, 300, &line("rome", 300, 7));
    seal_to(&mut log, 600);
    add(&mut log, 600, &line("paris", 600, 7));
    let told = |disk: &Disk, keys: &[VerifierKey]| {
        let told = standings(disk, keys);
        assert_eq!((told[0].0.as_str(), told[2].0.as_str()), ("paris", "rome"), "{told:?}");
        assert_eq!((told[0].1, told[1].1, told[2].1), (600, 600, 300));
        [told[0].2, told[1].2, told[2].2]
    };
    assert_eq!(told(&disk, &keys()), [Confirmed; 3]);
    assert_eq!(told(&disk, &keys()[..1]), [Unverified, Unverified, Confirmed]);

    // Somebody else's signature, another tree, and one that is not published yet.
    let other = SignerKey::from_seed("rome", Algorithm::CosignatureV1, &[99; 32]).unwrap();
    assert_eq!(standings(&disk, &[other.verifier().clone()])[2].2, Unverified);
    let stored = String::from_utf8(disk.read("cosignatures").unwrap().unwrap()).unwrap();
    let put = |text: String| {
        disk.state().seen.insert("cosignatures".to_owned(), text.into_bytes());
        standings(&disk, &keys())
    };
    let (was, other) = (root_of(300).to_string(), root_of(299).to_string());
    let told = put(stored.replacen(&was, &other, 1));
    assert!(matches!(told[2].2, Wrong(Doubt::Signature(_))), "{told:?}");
    let at = Checkpoint { origin: ORIGIN.to_owned(), size: 300, root: root_of(299) };
    let forged = cosigner("rome").cosign(&at.body(), 8).unwrap();
    let mut text = stored.replacen(&was, &other, 1).replacen(&line("rome", 300, 7), &forged, 1);
    assert_eq!(put(text.clone())[2].2, Wrong(Doubt::Root));
    text = stored.replacen(&format!("300 {was}"), &format!("700 {}", root_of(700)), 1);
    text = text.replacen(&line("rome", 300, 7), &line("rome", 700, 7), 1);
    assert_eq!(put(text)[2].2, Newer);
    disk.state().seen.insert("cosignatures".to_owned(), b"nonsense".to_vec());
    assert!(Confirmations::read(&*disk, &key()).is_err());
}
