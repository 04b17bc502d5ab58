//! Which cosignatures are taken in, and that they are read as they were written.

use super::super::hash::leaf_hash;
use super::super::note::{Algorithm, SignerKey};
use super::*;
use proptest::prelude::*;

fn cosigner(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, Algorithm::CosignatureV1, &[seed; 32]).unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "einhorn/berlin".into(), size, root: leaf_hash(&size.to_be_bytes()) }
}

#[test]
fn only_what_a_listed_key_has_made_for_this_checkpoint_is_taken_in() {
    let (paris, rome) = (cosigner("paris", 1), cosigner("rome", 2));
    let keys = [paris.verifier().clone()];
    let at = checkpoint(7);
    let mut known = Cosignatures::new(&at.origin);
    let good = paris.cosign(&at.body(), 100).unwrap();
    let other = paris.cosign(&checkpoint(8).body(), 100).unwrap();
    let unlisted = rome.cosign(&at.body(), 100).unwrap();
    let namesake = cosigner("paris", 3).cosign(&at.body(), 100).unwrap();
    let log = SignerKey::from_seed("einhorn/berlin", Algorithm::Ed25519, &[9; 32]).unwrap();
    let log_line = log.sign(&at.body()).unwrap().split_off(at.body().len() + 1);
    for bad in [&other, &unlisted, &namesake, &log_line, "", "nonsense\n", "\n\n"] {
        assert_eq!(known.add(&at, bad, &keys), 0, "{bad}");
    }
    assert_eq!(known.add(&at, &format!("{unlisted}{good}nonsense\n{log_line}"), &keys), 1);
    assert_eq!(known.lines_for(&at), good);
    assert_eq!(known.lines_for(&checkpoint(8)), "");
    // Of another log with the same key name in its lines.
    let mut foreign = checkpoint(7);
    foreign.origin = "einhorn/oslo".into();
    assert_eq!(Cosignatures::new("einhorn/oslo").add(&foreign, &good, &keys), 0);
}

#[test]
fn the_newest_of_each_cosigner_stays() {
    let paris = cosigner("paris", 1);
    let keys = [paris.verifier().clone()];
    let mut known = Cosignatures::new("einhorn/berlin");
    let mut add = |size, time| {
        let at = checkpoint(size);
        let added = known.add(&at, &paris.cosign(&at.body(), time).unwrap(), &keys);
        (added, known.newest()[0].size, known.newest()[0].time_seconds)
    };
    assert_eq!(add(5, 100), (1, 5, 100));
    assert_eq!(add(5, 100), (0, 5, 100));
    assert_eq!(add(4, 200), (0, 5, 100));
    assert_eq!(add(5, 99), (0, 5, 100));
    assert_eq!(add(5, 101), (1, 5, 101));
    assert_eq!(add(6, 90), (1, 6, 90));
}

#[test]
fn what_does_not_verify_is_forgotten_and_what_nobody_lists_is_kept() {
    let (paris, rome) = (cosigner("paris", 1), cosigner("rome", 2));
    let keys = [paris.verifier().clone(), rome.verifier().clone()];
    let at = checkpoint(7);
    let mut known = Cosignatures::new(&at.origin);
    for key in [&paris, &rome] {
        assert_eq!(known.add(&at, &key.cosign(&at.body(), 1).unwrap(), &keys), 1);
    }
    let forged = known.encode().replacen("7 ", "8 ", 1);
    let mut forged = Cosignatures::parse(forged.as_bytes()).unwrap();
    assert_eq!(forged.forget_unproven(&keys[1..]), 0);
    assert_eq!(forged.forget_unproven(&keys), 1);
    assert_eq!(forged.newest().len(), 1);
    assert_eq!(forged.newest()[0].key_name, "rome");
}

#[test]
fn other_texts_are_refused() {
    let paris = cosigner("paris", 1);
    let at = checkpoint(7);
    let mut known = Cosignatures::new(&at.origin);
    known.add(&at, &paris.cosign(&at.body(), 1).unwrap(), &[paris.verifier().clone()]);
    let good = known.encode();
    assert_eq!(Cosignatures::parse(good.as_bytes()), Ok(known));
    let pair = good.split_once("berlin\n").unwrap().1;
    for bad in [
        String::new(),
        good[..good.len() - 1].to_owned(),
        format!("{good}\n"),
        format!("{good}{pair}"),
        good.replacen("7 ", "07 ", 1),
        good.replacen(" 1\n", " 2\n", 1),
        good.replacen("einhorn/berlin", "", 1),
        good.replacen("— paris", "- paris", 1),
    ] {
        assert!(Cosignatures::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn collections_round_trip(of in prop::collection::vec((0u8..20, 0u64..9, 0u64..9), 0..30)) {
        let keys: Vec<SignerKey> = (0..20).map(|n| cosigner(&format!("site-{}", n % 7), n)).collect();
        let public: Vec<VerifierKey> = keys.iter().map(|key| key.verifier().clone()).collect();
        let mut known = Cosignatures::new("einhorn/berlin");
        for (key, size, time) in of {
            let at = checkpoint(size);
            known.add(&at, &keys[usize::from(key)].cosign(&at.body(), time).unwrap(), &public);
        }
        let read = Cosignatures::parse(known.encode().as_bytes()).unwrap();
        prop_assert_eq!(&read, &known);
        prop_assert_eq!(read.clone().forget_unproven(&public), 0);
    }

    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>, text: String) {
        prop_assert!(Cosignatures::parse(&bytes).is_err());
        prop_assert!(Cosignatures::parse(text.as_bytes()).is_err());
    }
}
