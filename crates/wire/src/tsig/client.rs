//! The client's half: signing requests and checking responses.

use super::FUDGE_SECONDS;
use super::key::{Key, MacBuffer};
use super::record::{Fields, Parsed};
use crate::message::{Message, Rcode};
use std::sync::Arc;
use subtle::ConstantTimeEq;

impl Key {
    /// Signs a request at `buffer[base..]`; the returned value verifies its response.
    pub fn sign_request(
        self: &Arc<Self>,
        buffer: &mut Vec<u8>,
        base: usize,
        now: u64,
    ) -> PendingResponse {
        let original_id = u16::from_be_bytes([buffer[base], buffer[base + 1]]);
        let fields = Fields {
            time: now,
            fudge: FUDGE_SECONDS,
            original_id,
            error: Rcode::NOERROR,
            other: &[],
        };
        let mac = self.append(buffer, base, &[], fields, false);
        let mac = MacBuffer::new(&mac.as_slice()[..self.algorithm.mac_octets()]);
        PendingResponse { key: Arc::clone(self), prior: mac, first: true, unsigned: Vec::new() }
    }
}

/// The client's half: checks the messages of one response in order.
pub struct PendingResponse {
    key: Arc<Key>,
    prior: MacBuffer,
    first: bool,
    /// Messages since the last signed one (RFC 8945 §5.3.1).
    unsigned: Vec<u8>,
}

/// A response that cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It should carry a signature and does not.
    #[error("the response is not signed")]
    Unsigned,
    /// Its signature does not fit, or the record is malformed.
    #[error("the signature of the response does not fit")]
    BadSig,
    /// The server refused the request's signature with this error.
    #[error("the server refused the signature: TSIG error {0:?}")]
    Refused(Rcode),
}

impl PendingResponse {
    /// Checks the next message of the response.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn verify(&mut self, message: &Message<'_>) -> Result<(), ResponseError> {
        let parsed = match Parsed::of(message) {
            None if self.first => return Err(ResponseError::Unsigned),
            None => {
                self.unsigned.extend_from_slice(message.octets);
                return Ok(());
            }
            Some(parsed) => parsed.map_err(|_| ResponseError::BadSig)?,
        };
        if parsed.mac.is_empty() && parsed.error != Rcode::NOERROR {
            return Err(ResponseError::Refused(parsed.error));
        }
        let expected = parsed.expected_mac(
            message,
            &self.key,
            self.prior.as_slice(),
            &self.unsigned,
            !self.first,
        );
        let algorithm = self.key.algorithm;
        let fits = (algorithm.mac_octets_min()..=algorithm.mac_octets())
            .contains(&parsed.mac.len())
            && bool::from(expected.as_slice()[..parsed.mac.len()].ct_eq(parsed.mac));
        if !fits {
            return Err(ResponseError::BadSig);
        }
        if parsed.error != Rcode::NOERROR {
            return Err(ResponseError::Refused(parsed.error));
        }
        self.prior = MacBuffer::new(parsed.mac);
        self.first = false;
        self.unsigned.clear();
        Ok(())
    }
}
