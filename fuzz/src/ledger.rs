//! What the ledger and the log hold, as an auditor or a restart after damage may find it.

use crate::world::LOG_KEY_SEED;
use einhorn_core::ledger::checkpoint::verify_note;
use einhorn_core::ledger::map::{History, verify_parsed};
use einhorn_core::ledger::tile::{self, append_entry, encode_tile, parse_bundle, parse_tile};
use einhorn_core::ledger::witness::{Head, Request, parse_size};
use einhorn_core::ledger::{
    Algorithm, Checkpoint, Cosignatures, Note, SignerKey, TlogProof, VerifierKey,
};
use einhorn_core::model::entry::Assembler;
use einhorn_core::model::snapshot as state_snapshot;
use einhorn_core::model::{Effects, Origin, State};
use std::sync::LazyLock;

static SIGNER: LazyLock<SignerKey> = LazyLock::new(|| {
    match SignerKey::from_seed("einhorn/fuzz", Algorithm::Ed25519, &LOG_KEY_SEED) {
        Ok(key) => key,
        Err(error) => unreachable!("{error}"),
    }
});

/// Stored entries behind their 16-bit lengths. What is read is written so that it reads the same;
/// folding it never panics.
pub(crate) fn entry(octets: &[u8]) {
    let (mut assembler, mut parts) = (Assembler::default(), 0);
    let origin = Origin { site: 1, generation: 1 };
    let mut state = State::empty(origin);
    let mut rest = octets;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (stored, behind) = behind.split_at(length);
        rest = behind;
        parts += 1;
        let Ok(entry) = assembler.next(stored) else { return };
        let Some(entry) = entry else { continue };
        let mut again = Assembler::default();
        let mut read = None;
        entry.encode(&mut Vec::new(), |part| match again.next(part) {
            Ok(entry) => read = entry,
            Err(error) => panic!("written, but not read: {error}"),
        });
        assert_eq!(read.as_ref(), Some(&entry), "another entry comes back");
        if state.fold(origin, &entry, parts, &mut Effects::default()).is_err() {
            return;
        }
        parts = 0;
    }
}

/// A snapshot that is read is written so that it reads the same; in pieces it is read the same.
pub(crate) fn snapshot(octets: &[u8]) {
    let decoded = state_snapshot::decode(octets);
    for piece in [1, 7, 300] {
        let mut decoder = state_snapshot::Decoder::default();
        octets.chunks(piece).for_each(|piece| decoder.push(piece));
        let pieces = decoder.finish().map(|state| state_snapshot::encode(&state));
        let whole = decoded.as_ref().map(state_snapshot::encode);
        assert_eq!(pieces.ok(), whole.ok(), "in pieces of {piece}");
    }
    let Ok(state) = decoded else { return };
    let written = state_snapshot::encode(&state);
    let again = state_snapshot::decode(&written);
    let again = again.unwrap_or_else(|error| panic!("written, but not read: {error}"));
    assert_eq!(state_snapshot::encode(&again), written, "another state comes back");
}

pub(crate) fn note(octets: &[u8]) {
    let Ok(note) = Note::parse(octets) else { return };
    let _ = note.verify(SIGNER.verifier());
    let _ = note.cosigned_at(SIGNER.verifier());
}

/// A checkpoint's text has one form only.
pub(crate) fn checkpoint(octets: &[u8]) {
    if let Ok(text) = std::str::from_utf8(octets)
        && let Ok(checkpoint) = Checkpoint::parse_body(text)
    {
        let again = Checkpoint::parse_body(&checkpoint.body());
        assert_eq!(again.as_ref().ok(), Some(&checkpoint));
    }
    if let Ok(signed) = verify_note(octets, SIGNER.verifier()) {
        assert_eq!(signed.checkpoint.origin, SIGNER.verifier().name());
    }
}

/// A request to a witness has one form only, and none is ever granted to a stranger.
pub(crate) fn add_checkpoint(octets: &[u8]) {
    let _ = parse_size(octets);
    let Ok(request) = Request::parse(octets) else { return };
    assert_eq!(request.encode().as_bytes(), octets, "another request comes back");
    let Ok(origin) = request.origin() else { return };
    if let Ok(accepted) = request.judge(&[SIGNER.verifier().clone()], Head::default()) {
        assert_eq!(accepted.checkpoint.origin, origin);
        assert!(
            Note::parse(request.note.as_bytes()).is_ok_and(|n| n.verify(SIGNER.verifier()).is_ok())
        );
    }
}

/// Stored cosignatures have one form only.
pub(crate) fn cosignatures(octets: &[u8]) {
    let Ok(mut known) = Cosignatures::parse(octets) else { return };
    assert_eq!(known.encode().as_bytes(), octets, "other cosignatures come back");
    let _ = known.forget_unproven(&[SIGNER.verifier().clone()]);
}

pub(crate) fn proof(octets: &[u8]) {
    let Ok(proof) = TlogProof::parse(octets) else { return };
    let _ = proof.verify(b"an entry", SIGNER.verifier());
}

/// A history has one form only, and whatever is verified is of the log whose key it is.
pub(crate) fn history(octets: &[u8]) {
    let Ok(history) = History::parse(octets) else { return };
    assert_eq!(history.to_string().as_bytes(), octets, "another history comes back");
    let Ok(complete) = verify_parsed(&history, &[SIGNER.verifier().clone()]) else { return };
    assert_eq!((complete.zone, complete.owner), (history.zone, history.owner));
    for log in &complete.logs {
        assert_eq!(log.checkpoint.origin, SIGNER.verifier().name());
        assert!(log.complete_to <= log.checkpoint.size);
        let within = complete.events.iter().all(|e| e.position.index < log.complete_to);
        assert!(within, "an event where nothing is proved");
    }
}

pub(crate) fn verifier_key(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(key) = VerifierKey::parse(text) {
        // The key id may be in either case.
        assert!(key.to_string().eq_ignore_ascii_case(text), "{key}, but {text}");
    }
    if let Ok(key) = SignerKey::parse(text) {
        let again = key.to_secret_text();
        assert!(again.eq_ignore_ascii_case(text), "{again}, but {text}");
    }
}

/// A path has one form only, since others would get the same file under two names.
pub(crate) fn tile_path(octets: &[u8]) {
    let path = match tile::Path::parse(octets) {
        Ok(tile::Path::Checkpoint) => "checkpoint".to_owned(),
        Ok(tile::Path::Tile(tile)) => tile.path(),
        Ok(tile::Path::Bundle(bundle)) => bundle.path(),
        Err(_) => return,
    };
    assert_eq!(path.as_bytes(), octets);
}

/// The width, less one, then the tile.
pub(crate) fn tile(octets: &[u8]) {
    let Some((width, octets)) = octets.split_first() else { return };
    let Ok(hashes) = parse_tile(octets, u16::from(*width) + 1) else { return };
    assert_eq!(encode_tile(&hashes), octets);
}

/// The width, less one, then the bundle.
pub(crate) fn bundle(octets: &[u8]) {
    let Some((width, octets)) = octets.split_first() else { return };
    let Ok(entries) = parse_bundle(octets, u16::from(*width) + 1) else { return };
    assert_eq!(entries.len(), usize::from(*width) + 1);
    let mut written = Vec::new();
    let all = entries.iter().try_for_each(|entry| append_entry(&mut written, entry));
    assert!(all.is_ok() && written == octets, "another bundle comes back");
}
