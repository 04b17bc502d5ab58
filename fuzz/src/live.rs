//! What the bridge's own process and a node say to each other, and the records that the ledger keeps.

use einhorn_bridge::live::stored;
use einhorn_core::exchange::{decode_frozen, decode_step, decode_view, encode_frozen, encode_step};

/// A step that is read is its own octets.
pub(crate) fn step(octets: &[u8]) {
    if let Ok(step) = decode_step(octets) {
        assert_eq!(decode_step(&encode_step(&step)), Ok(step));
    }
}

/// So are records for the review queue.
pub(crate) fn frozen(octets: &[u8]) {
    if let Ok(frozen) = decode_frozen(octets) {
        assert_eq!(decode_frozen(&encode_frozen(&frozen)), Ok(frozen));
    }
}

/// A view is read, or refused, and never takes more room than its octets justify.
pub(crate) fn view(octets: &[u8]) {
    if let Ok(view) = decode_view(octets) {
        assert!(view.names.len() <= octets.len() && view.frozen.len() <= octets.len());
    }
}

/// A record that is read is its own octets.
pub(crate) fn stored(octets: &[u8]) {
    if let Ok((entry, sidecar)) = stored::decode(octets) {
        assert_eq!(&stored::encode(&entry, &sidecar)[..], octets);
    }
}
