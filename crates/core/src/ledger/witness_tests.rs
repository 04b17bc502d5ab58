//! The standard's example, each refusal, and proofs of random sizes.

use super::super::hash::leaf_hash;
use super::super::note::{Algorithm, SignerKey};
use super::super::tile::Tile;
use super::super::tree::{Frontier, consistency_proof};
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const ORIGIN: &str = "einhorn/berlin";

/// From C2SP tlog-witness, "add-checkpoint".
const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

fn log() -> SignerKey {
    SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[1; 32]).unwrap()
}

fn keys() -> Vec<VerifierKey> {
    vec![log().verifier().clone()]
}

/// The log's trees; entry `i` is its number.
struct Tree {
    tiles: HashMap<Tile, Vec<Hash>>,
    size: u64,
}

impl Tree {
    fn new(size: u64) -> Tree {
        let (mut frontier, mut tiles) = (Frontier::new(), HashMap::new());
        for index in 0..size {
            frontier.push(leaf_hash(&index.to_be_bytes()), |tile, hashes| {
                tiles.insert(tile, hashes.to_vec());
            });
        }
        tiles.extend(frontier.partial_tiles().map(|(tile, hashes)| (tile, hashes.to_vec())));
        Tree { tiles, size }
    }

    fn proof(&self, old: u64) -> Vec<Hash> {
        consistency_proof(old, self.size, |tile| Ok::<_, ()>(self.tiles[&tile].clone())).unwrap()
    }
}

fn head(size: u64) -> Head {
    let mut frontier = Frontier::new();
    for index in 0..size {
        frontier.push(leaf_hash(&index.to_be_bytes()), |_, _| {});
    }
    Head { size, root: frontier.root() }
}

fn note(head: Head) -> String {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: head.size, root: head.root };
    checkpoint.sign(&log()).unwrap().note
}

fn judge(old_size: u64, proof: &[Hash], note: &str, last: Head) -> Result<Head, Refusal> {
    let body = Request { old_size, proof: proof.to_vec(), note }.encode();
    let request = Request::parse(body.as_bytes())?;
    let accepted = request.judge(&keys(), last)?;
    Ok(Head { size: accepted.checkpoint.size, root: accepted.checkpoint.root })
}

#[test]
fn the_specifications_example_is_read_and_written() {
    let request = Request::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
    assert_eq!(request.origin().as_deref(), Ok("example.com/behind-the-sofa"));
    assert_eq!(request.encode(), EXAMPLE);
    assert_eq!(request.judge(&[], Head::default()), Err(Refusal::UnknownOrigin));
    assert_eq!(request.judge(&keys(), Head::default()), Err(Refusal::BadSignature));
}

/// The example of C2SP tlog-cosignature has the form of a cosignature, with a time.
#[test]
fn the_example_of_a_cosignature_has_its_time() {
    let text = "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";
    let note = Note::parse(text.as_bytes()).unwrap();
    let times: Vec<Option<u64>> = note.signatures.iter().map(|s| s.cosigned_at()).collect();
    assert_eq!(times, [None, Some(1_679_315_147)]);
    assert!(text.ends_with(&note.signatures[1].line()));
}

#[test]
fn other_texts_are_malformed() {
    let good = Request { old_size: 0, proof: vec![head(1).root], note: &note(head(1)) }.encode();
    assert!(Request::parse(good.as_bytes()).is_ok());
    let hash = format!("{}\n", head(1).root);
    let long = good.replacen(&hash, &hash.repeat(64), 1);
    let fits = good.replacen(&hash, &hash.repeat(63), 1);
    assert!(Request::parse(fits.as_bytes()).is_ok());
    for bad in [
        String::new(),
        good.replacen("old 0", "old 00", 1),
        good.replacen("old 0", "old  0", 1),
        good.replacen("old 0", "old -1", 1),
        good.replacen("old 0", "old", 1),
        good.replacen("old 0", "old 18446744073709551616", 1),
        good.replacen("old 0\n", "", 1),
        good.replacen(&hash, "AAAA\n", 1),
        good.replacen(&hash, &format!(" {hash}"), 1),
        good.replacen('\n', "\r\n", 1),
        long,
        "old 0\n".into(),
        "old 0\n\n".into(),
        "old 0\n\nnot a note\n".into(),
        format!("old 0\n\n{}", log().sign("not a checkpoint\n").unwrap()),
        format!("{good}{}", "x".repeat(REQUEST_OCTETS_MAX)),
    ] {
        let found = Request::parse(bad.as_bytes()).and_then(|request| request.origin());
        assert!(matches!(found, Err(Refusal::Malformed(_))), "{bad:?}: {found:?}");
    }
    let not_text = Request::parse(b"old 0\n\n\xff");
    assert_eq!(not_text, Err(Refusal::Malformed("not UTF-8")));
}

#[test]
fn each_refusal_has_its_status() {
    let tree = Tree::new(300);
    let (new, old, proof) = (note(head(300)), head(7), tree.proof(7));
    assert_eq!(judge(7, &proof, &new, old), Ok(head(300)));
    let other = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[2; 32]).unwrap();
    let at = Checkpoint { origin: ORIGIN.into(), size: 300, root: head(300).root };
    let forged = at.clone().sign(&other).unwrap().note;
    let cases = [
        (judge(301, &proof, &new, old), Refusal::OldTooLarge, 400),
        (judge(7, &proof, &forged, old), Refusal::BadSignature, 403),
        (judge(6, &tree.proof(6), &new, old), Refusal::Conflict { size: 7 }, 409),
        (judge(0, &[], &new, old), Refusal::Conflict { size: 7 }, 409),
        (judge(7, &[], &new, old), Refusal::Proof, 422),
        (judge(7, &tree.proof(8), &new, old), Refusal::Proof, 422),
        (judge(7, &proof, &new, Head { size: 7, root: head(8).root }), Refusal::Proof, 422),
        (judge(0, &proof, &new, Head::default()), Refusal::Proof, 422),
        // The same size with another root, and with a proof where none is due.
        (
            judge(300, &[], &new, Head { size: 300, root: head(7).root }),
            Refusal::Conflict { size: 300 },
            409,
        ),
        (judge(300, &proof, &new, head(300)), Refusal::Proof, 422),
        // Smaller than what was cosigned: a rollback.
        (judge(7, &[], &note(head(7)), head(300)), Refusal::Conflict { size: 300 }, 409),
        // A root that no empty tree has.
        (
            judge(0, &[], &note(Head { size: 0, root: head(1).root }), Head::default()),
            Refusal::Conflict { size: 0 },
            409,
        ),
    ];
    for (place, (found, expected, status)) in cases.into_iter().enumerate() {
        assert_eq!(found, Err(expected), "{place}");
        assert_eq!(expected.status(), status, "{place}");
    }
    assert_eq!((Refusal::UnknownOrigin.status(), Refusal::Malformed("").status()), (404, 400));
    assert_eq!(judge(300, &[], &new, head(300)), Ok(head(300)), "again the same");
    assert_eq!(judge(0, &[], &new, Head::default()), Ok(head(300)), "the first one");
    assert_eq!(judge(0, &[], &note(head(0)), Head::default()), Ok(head(0)), "the empty one");
    // Signatures of strangers beside the log's are ignored.
    let crowded = format!("{new}{}", forged.rsplit_once("\n\n").unwrap().1);
    let both = format!("{crowded}— stranger AAAAAAAA\n");
    assert_eq!(judge(7, &proof, &both, old), Ok(head(300)));
}

/// Other logs write lines after the root; they are cosigned with the rest.
#[test]
fn extension_lines_are_cosigned() {
    let body = format!("{ORIGIN}\n1\n{}\nextension\n", head(1).root);
    let note = log().sign(&body).unwrap();
    let request = Request { old_size: 0, proof: Vec::new(), note: &note };
    let accepted = request.judge(&keys(), Head::default()).unwrap();
    assert_eq!(accepted.text, body);
}

#[test]
fn a_witness_answer_is_believed_only_by_its_key() {
    let witness = |seed| SignerKey::from_seed("w", Algorithm::CosignatureV1, &[seed; 32]).unwrap();
    let text = note(head(1)).split_once("\n\n").unwrap().0.to_owned() + "\n";
    let (ours, other) = (witness(1), witness(2));
    let (good, bad) = (ours.cosign(&text, 5).unwrap(), other.cosign(&text, 5).unwrap());
    let find = |answer: &str| find_cosignature(&text, answer, ours.verifier());
    assert_eq!(find(&good), Some(good.clone()));
    assert_eq!(find(&format!("{bad}nonsense\n{good}")), Some(good.clone()));
    for answer in ["", "\n", "nonsense\n", &bad, &ours.cosign("another\n", 5).unwrap()] {
        assert_eq!(find(answer), None, "{answer:?}");
    }
}

#[test]
fn sizes_are_read_strictly() {
    assert_eq!(parse_size(b"0\n"), Some(0));
    assert_eq!(parse_size(b"20852163\n"), Some(20_852_163));
    for bad in [&b""[..], b"\n", b"5", b"05\n", b" 5\n", b"5\n\n", b"\xff\n", b"-5\n"] {
        assert_eq!(parse_size(bad), None, "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked, in whatever order, all that is ever cosigned are trees of one history.
    #[test]
    fn any_history_is_consistent(sizes in prop::collection::vec((0u64..2000, any::<bool>(), any::<bool>()), 1..12)) {
        let mut last = Head::default();
        for (size, guess_right, wrong_proof) in sizes {
            let tree = Tree::new(size);
            let old = if guess_right { last.size } else { size / 2 };
            let mut proof = if old <= size { tree.proof(old) } else { Vec::new() };
            if wrong_proof {
                proof.push(leaf_hash(b"wrong"));
            }
            let expected = if old > size {
                Err(Refusal::OldTooLarge)
            } else if old != last.size {
                Err(Refusal::Conflict { size: last.size })
            } else if wrong_proof {
                Err(Refusal::Proof)
            } else {
                Ok(head(size))
            };
            let found = judge(old, &proof, &note(head(size)), last);
            prop_assert_eq!(found, expected);
            if let Ok(new) = found {
                prop_assert!(new.size >= last.size);
                last = new;
            }
        }
    }

    #[test]
    fn requests_round_trip(old_size: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..64)) {
        let proof: Vec<Hash> = proof.into_iter().map(Hash).collect();
        let note = note(head(1));
        let request = Request { old_size, proof, note: &note };
        let body = request.encode();
        prop_assert_eq!(Request::parse(body.as_bytes()), Ok(request));
    }
}
