//! Notes and keys against the published vectors of the reference implementation, and properties.

use proptest::prelude::*;

use super::*;

// The example of the reference implementation's documentation.
const SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn cosigner(seed: u8) -> SignerKey {
    SignerKey::from_seed("mirror.example/m1", Algorithm::CosignatureV1, &[seed; 32]).unwrap()
}

#[test]
fn the_published_example_is_reproduced_byte_for_byte() {
    let signer = SignerKey::parse(SECRET).unwrap();
    assert_eq!(signer.verifier().to_string(), VKEY);
    assert_eq!(signer.to_secret_text(), SECRET);
    let note = signer.sign(TEXT).unwrap();
    assert_eq!(note, format!("{TEXT}\n{LINE}"));

    let key = VerifierKey::parse(VKEY).unwrap();
    assert_eq!((key.name(), key.id()), ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3]));
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.text, TEXT);
    parsed.verify(&key).unwrap();
}

#[test]
fn a_secret_is_never_printed() {
    let printed = format!("{:?}", SignerKey::parse(SECRET).unwrap());
    assert!(printed.contains(VKEY) && !printed.contains("AYEKFALV"), "{printed}");
}

#[test]
fn strangers_signatures_are_ignored_and_wrong_ones_of_the_key_are_not() {
    let key = VerifierKey::parse(VKEY).unwrap();
    let other = SignerKey::from_seed("other", Algorithm::Ed25519, &[7; 32]).unwrap();
    let same_name = SignerKey::from_seed("PeterNeumann", Algorithm::Ed25519, &[7; 32]).unwrap();
    let lines =
        |signer: &SignerKey| signer.sign(TEXT).unwrap().rsplit_once("\n\n").unwrap().1.to_owned();
    let both = format!("{TEXT}\n{}{LINE}{}", lines(&other), lines(&same_name));
    Note::parse(both.as_bytes()).unwrap().verify(&key).unwrap();

    let only = other.sign(TEXT).unwrap();
    assert_eq!(Note::parse(only.as_bytes()).unwrap().verify(&key), Err(NoteError::NotSigned));
    let changed = format!("{}\n{LINE}", TEXT.replace("answer", "Answer"));
    assert_eq!(Note::parse(changed.as_bytes()).unwrap().verify(&key), Err(NoteError::BadSignature));
    // One right and one wrong signature of the same key: the note is rejected.
    let wrong = LINE.replace("JnAM=", "JnAQ=");
    let mixed = format!("{TEXT}\n{LINE}{wrong}");
    assert_eq!(Note::parse(mixed.as_bytes()).unwrap().verify(&key), Err(NoteError::BadSignature));
}

#[test]
fn malformed_notes_are_refused() {
    let signed = format!("{TEXT}\n{LINE}");
    for (bad, error) in [
        (String::new(), NoteError::NoSignatures),
        (TEXT.to_owned(), NoteError::NoSignatures),
        (format!("{TEXT}\n"), NoteError::NoSignatures),
        (format!("{TEXT}{LINE}"), NoteError::NoSignatures),
        (signed.trim_end().to_owned(), NoteError::NoSignatures),
        (format!("{signed}\n"), NoteError::NoSignatures),
        (format!("{TEXT}\n\n"), NoteError::NoSignatures),
        (signed.replace('—', "-"), NoteError::SignatureLine { line: 1 }),
        (signed.replace("— ", "—"), NoteError::SignatureLine { line: 1 }),
        (signed.replace("AM=\n", "AM= \n"), NoteError::SignatureLine { line: 1 }),
        (signed.replace("AM=\n", "AM\n"), NoteError::SignatureLine { line: 1 }),
        (signed.replace("PeterNeumann", "Peter+Neumann"), NoteError::SignatureLine { line: 1 }),
        (
            signed.replace("PeterNeumann", "Peter\u{a0}Neumann"),
            NoteError::SignatureLine { line: 1 },
        ),
        (format!("{signed}— a AAAAAA==\n"), NoteError::SignatureLine { line: 2 }),
        (signed.replace("then", "then\t"), NoteError::NotText),
        (signed.replace('\n', "\r\n"), NoteError::NotText),
        (format!("{TEXT}\n{}", LINE.repeat(SIGNATURES_MAX + 1)), NoteError::TooLarge),
        ("a".repeat(NOTE_BYTES_MAX + 1), NoteError::TooLarge),
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), Err(error), "{bad:.200}");
    }
    assert_eq!(Note::parse(b"a\xff\n\n"), Err(NoteError::NotText));
    Note::parse(format!("{TEXT}\n{}", LINE.repeat(SIGNATURES_MAX)).as_bytes()).unwrap();
}

#[test]
fn only_text_that_can_be_read_back_is_signed() {
    let signer = SignerKey::parse(SECRET).unwrap();
    for text in ["", "no newline", "tab\t\n", "nul\0\n"] {
        assert_eq!(signer.sign(text), Err(NoteError::Unsignable), "{text:?}");
    }
}

#[test]
fn malformed_keys_are_refused() {
    for (bad, error) in [
        ("", KeyError::Malformed),
        ("PeterNeumann+c74f20a3", KeyError::Malformed),
        ("PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Malformed),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", KeyError::Malformed),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy", KeyError::Malformed),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Id),
        (
            "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            KeyError::UnknownType,
        ),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        // The neutral point, for which a signature of zeroes would verify.
        ("a+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", KeyError::Point),
    ] {
        assert_eq!(VerifierKey::parse(bad), Err(error), "{bad}");
    }
    assert_eq!(SignerKey::parse(VKEY).err(), Some(KeyError::Malformed));
    let wrong_id = SECRET.replace("c74f20a3", "c74f20a4");
    assert_eq!(SignerKey::parse(&wrong_id).err(), Some(KeyError::Id));
}

/// The signed message spelled out, so that a change of the format cannot pass both ways.
#[test]
fn cosignatures_have_the_form_of_the_specification() {
    let body =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let (log, mirror) = (SignerKey::parse(SECRET).unwrap(), cosigner(9));
    let line = mirror.cosign(body, 1_679_315_147).unwrap();
    let note = format!("{}{line}", log.sign(body).unwrap());
    let note = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(note.cosigned_at(mirror.verifier()), Ok(1_679_315_147));
    note.verify(log.verifier()).unwrap();

    let bytes = &note.signatures[1].bytes;
    assert_eq!(bytes.len(), 72);
    assert_eq!(bytes[..8], 1_679_315_147u64.to_be_bytes());
    let message = format!("cosignature/v1\ntime 1679315147\n{body}");
    let expected = SigningKey::from_bytes(&[9; 32]).sign(message.as_bytes());
    assert_eq!(bytes[8..], expected.to_bytes());
    let id = Sha256::new()
        .chain_update(b"mirror.example/m1\n\x04")
        .chain_update(SigningKey::from_bytes(&[9; 32]).verifying_key().as_bytes())
        .finalize();
    assert_eq!(note.signatures[1].key_id, id[..4]);

    let parsed = VerifierKey::parse(&mirror.verifier().to_string()).unwrap();
    assert_eq!(&parsed, mirror.verifier());
    assert_eq!(SignerKey::parse(&mirror.to_secret_text()).unwrap().verifier(), mirror.verifier());
}

#[test]
fn cosignatures_bind_time_text_and_key() {
    let body = "o\n1\nx\n";
    let mirror = cosigner(9);
    let log = SignerKey::parse(SECRET).unwrap();
    let cosigned = |text: &str, lines: &[String]| format!("{text}\n{}", lines.concat());
    let at = |note: &str, key: &VerifierKey| Note::parse(note.as_bytes()).unwrap().cosigned_at(key);

    let (first, second) = (mirror.cosign(body, 5).unwrap(), mirror.cosign(body, 7).unwrap());
    assert_eq!(at(&cosigned(body, &[second, first.clone()]), mirror.verifier()), Ok(7));
    let other_text = cosigned("o\n2\nx\n", std::slice::from_ref(&first));
    assert_eq!(at(&other_text, mirror.verifier()), Err(NoteError::BadSignature));
    let note = cosigned(body, &[first]);
    assert_eq!(at(&note, cosigner(8).verifier()), Err(NoteError::NotSigned));
    assert_eq!(at(&note, log.verifier()), Err(NoteError::WrongAlgorithm));
    assert_eq!(
        Note::parse(note.as_bytes()).unwrap().verify(mirror.verifier()),
        Err(NoteError::WrongAlgorithm)
    );
    assert_eq!(mirror.sign(body), Err(NoteError::WrongAlgorithm));
    assert_eq!(log.cosign(body, 5), Err(NoteError::WrongAlgorithm));
    assert_eq!(mirror.cosign(body, 1 << 63), Err(NoteError::Unsignable));
}

proptest! {
    #[test]
    fn any_text_signs_and_verifies(text in "[^\\x00-\\x1f]{0,20}(\n[^\\x00-\\x1f]{0,20}){0,5}\n", seed: [u8; 32]) {
        let signer = SignerKey::from_seed("a.example/log", Algorithm::Ed25519, &seed).unwrap();
        let note = signer.sign(&text).unwrap();
        let parsed = Note::parse(note.as_bytes()).unwrap();
        prop_assert_eq!(parsed.text, text);
        prop_assert_eq!(parsed.verify(signer.verifier()), Ok(()));
    }

    #[test]
    fn one_flipped_bit_never_verifies(at: prop::sample::Index, bit in 0u8..8) {
        let key = VerifierKey::parse(VKEY).unwrap();
        let mut note = format!("{TEXT}\n{LINE}").into_bytes();
        let at = at.index(note.len());
        note[at] ^= 1 << bit;
        prop_assert!(Note::parse(&note).and_then(|note| note.verify(&key)).is_err());
    }

    #[test]
    fn parsers_never_panic(bytes: Vec<u8>, text: String) {
        let _ = Note::parse(&bytes);
        let _ = VerifierKey::parse(&text);
        let _ = SignerKey::parse(&text);
    }
}
