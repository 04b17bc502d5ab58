//! Requests and responses against each other, and each way a signature can be wrong.

use super::*;
use crate::record::{Class, RecordType};
use crate::writer::Writer;

const NOW: u64 = 1_800_000_000;
const ALL: [&str; 9] = [
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256",
    "hmac-sha256-128",
    "hmac-sha384",
    "hmac-sha384-192",
    "hmac-sha512",
    "hmac-sha512-256",
];

fn key(algorithm: &str) -> Arc<Key> {
    Arc::new(format!("{algorithm}:Phone.Example:c2VjcmV0IHNlY3JldCE=").parse().expect("a key"))
}

fn ring(key: &Key) -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key.clone());
    ring
}

fn request() -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = Writer::new(&mut buffer, 4711, 512);
    writer.question(b"\x07example\x00", RecordType::SOA, Class::IN).expect("room");
    buffer
}

fn parse(octets: &[u8]) -> Message<'_> {
    Message::parse(octets).expect("a message")
}

#[test]
fn every_algorithm_signs_and_verifies_both_ways() {
    for name in ALL {
        let key = key(name);
        let mut buffer = request();
        let mut pending = key.sign_request(&mut buffer, 0, NOW);
        // A forwarder may change the id; the signature covers the original one.
        buffer[0] ^= 0xFF;
        let signed = verify(&parse(&buffer), &ring(&key), NOW + 300).expect(name).expect("signed");
        let mut signer = signed.response_signer();
        for _ in 0..3 {
            let mut response = request();
            signer.sign(&mut response, 0, NOW);
            assert_eq!(pending.verify(&parse(&response)), Ok(()), "{name}");
        }
        let mut forged = request();
        signer.sign(&mut forged, 0, NOW);
        forged[13] ^= 0x20;
        assert_eq!(pending.verify(&parse(&forged)), Err(ResponseError::BadSig), "{name}");
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    let key = key("hmac-sha256");
    let mut buffer = request();
    key.sign_request(&mut buffer, 0, NOW);
    // The id is not covered, the original id is.
    for bit in 16..buffer.len() * 8 {
        let mut changed = buffer.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = Message::parse(&changed) else { continue };
        let outcome = verify(&message, &ring(&key), NOW);
        let case_only =
            outcome.as_ref().is_ok_and(|s| s.is_some()) && changed.eq_ignore_ascii_case(&buffer);
        assert!(case_only || !matches!(outcome, Ok(Some(_))), "bit {bit}");
    }
}

#[test]
fn each_refusal_has_its_answer() {
    let good = key("hmac-sha256");
    let other = Key::from_text("other.", Algorithm::HmacSha256, "YWJj").expect("a key");
    let wrong = Key::from_text("phone.example", Algorithm::HmacSha256, "YWJj").expect("a key");
    let mut buffer = request();
    let mut pending = good.sign_request(&mut buffer, 0, NOW);
    let message = parse(&buffer);
    let answer = |error: &TsigError| {
        let mut response = request();
        error.finish_response(&mut response, 0, NOW + 1000);
        response
    };

    let error = verify(&message, &ring(&other), NOW).expect_err("unknown key");
    assert!(matches!(error, TsigError::BadKey { .. }));
    assert_eq!(pending.verify(&parse(&answer(&error))), Err(ResponseError::Refused(Rcode::BADKEY)));

    let error = verify(&message, &ring(&wrong), NOW).expect_err("wrong secret");
    assert!(matches!(error, TsigError::BadSig { .. }));
    assert_eq!(pending.verify(&parse(&answer(&error))), Err(ResponseError::Refused(Rcode::BADSIG)));

    let error = verify(&message, &ring(&good), NOW + 301).expect_err("late");
    assert!(matches!(error, TsigError::BadTime { difference_seconds: 301, .. }));
    // The answer is signed, so the client may believe it and our time in it.
    assert_eq!(
        pending.verify(&parse(&answer(&error))),
        Err(ResponseError::Refused(Rcode::BADTIME))
    );
    assert_eq!(error.rcode(), Rcode::NOTAUTH);
}

/// Replaces the MAC of a signed request by its first `octets`.
fn cut_mac(buffer: &[u8], key: &Key, octets: usize) -> Vec<u8> {
    let mac = key.algorithm().mac_octets();
    let tail = 6; // original id, error, other length
    let mac_start = buffer.len() - tail - mac;
    let mut cut = buffer[..mac_start + octets].to_vec();
    cut.extend_from_slice(&buffer[buffer.len() - tail..]);
    cut[mac_start - 2..mac_start].copy_from_slice(&(octets as u16).to_be_bytes());
    let length_at = mac_start - 2 - 8 - key.algorithm().wire_name().len() - 2;
    let length =
        u16::from_be_bytes([buffer[length_at], buffer[length_at + 1]]) - (mac - octets) as u16;
    cut[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    cut
}

#[test]
fn truncated_macs_down_to_half_are_one_and_the_same_request() {
    let key = key("hmac-sha256");
    let mut buffer = request();
    key.sign_request(&mut buffer, 0, NOW);
    let full = verify(&parse(&buffer), &ring(&key), NOW).expect("valid").expect("signed");
    for octets in 16..=32 {
        let cut = cut_mac(&buffer, &key, octets);
        let signed = verify(&parse(&cut), &ring(&key), NOW).expect("valid").expect("signed");
        assert_eq!(signed.full_mac(), full.full_mac());
    }
    for octets in [0, 1, 10, 15] {
        let cut = cut_mac(&buffer, &key, octets);
        assert!(matches!(verify(&parse(&cut), &ring(&key), NOW), Err(TsigError::Malformed)));
    }
    let mut strict = (*key).clone();
    strict.set_mac_octets_min(20);
    let cut = cut_mac(&buffer, &key, 16);
    assert!(matches!(verify(&parse(&cut), &ring(&strict), NOW), Err(TsigError::BadTrunc { .. })));
}

#[test]
fn unknown_algorithms_are_echoed_as_they_came() {
    let key = key("hmac-sha256");
    let mut buffer = request();
    key.sign_request(&mut buffer, 0, NOW);
    let at = buffer.windows(12).position(|w| w == b"\x0bhmac-sha256").expect("the algorithm");
    buffer[at + 6..at + 12].copy_from_slice(b"foo256");
    let error = verify(&parse(&buffer), &ring(&key), NOW).expect_err("unknown algorithm");
    let mut response = request();
    error.finish_response(&mut response, 0, NOW);
    let parsed = Parsed::of(&parse(&response)).expect("TSIG").expect("well-formed");
    assert_eq!(parsed.algorithm_name.to_string(), "hmac-foo256.");
    assert_eq!((parsed.error, parsed.mac.len()), (Rcode::BADKEY, 0));
}
