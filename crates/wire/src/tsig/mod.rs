//! Transaction signatures (RFC 8945): checking requests, signing responses, and the client's half
//! of both.
//!
//! Time is passed in as seconds since 1970. Nothing here remembers a message: recognising a
//! retry is the business of whoever holds state, for which [`Signed::full_mac`] is the key.

mod client;
mod key;
mod record;
#[cfg(test)]
mod tests;

pub use client::{PendingResponse, ResponseError};
pub use key::{Algorithm, Key, KeyError, KeyRing};

use crate::message::{Message, Rcode};
use crate::name::Name;
use key::MacBuffer;
use record::{Fields, Parsed};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Seconds a clock may be off, as recommended (RFC 8945 §10).
pub const FUDGE_SECONDS: u16 = 300;
/// A request whose signature holds.
#[derive(Clone)]
pub struct Signed {
    key: Arc<Key>,
    /// As received, perhaps truncated: responses are bound to it.
    request_mac: MacBuffer,
    full_mac: MacBuffer,
    time: u64,
    fudge: u16,
    original_id: u16,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({:?} at {})", self.key, self.time)
    }
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TsigError {
    /// The record or the MAC's length is malformed; answered with FORMERR.
    #[error("malformed TSIG record")]
    Malformed,
    /// No such key, or another algorithm than the key's.
    #[error("BADKEY: key {key} with algorithm {algorithm} is not known here")]
    BadKey {
        /// Key named in the request.
        key: Name,
        /// Algorithm named in the request.
        algorithm: Name,
        /// What the unsigned answer repeats.
        echo: Echo,
    },
    /// The MAC does not fit the message.
    #[error("BADSIG: the signature of key {key} does not fit the message")]
    BadSig {
        /// Key named in the request.
        key: Name,
        /// What the unsigned answer repeats.
        echo: Echo,
    },
    /// The clocks differ by more than the fudge.
    #[error(
        "BADTIME: signed {difference_seconds} s away from this server's clock (allowed: {fudge_seconds} s)"
    )]
    BadTime {
        /// Server's time minus the client's.
        difference_seconds: i64,
        /// Allowed difference.
        fudge_seconds: u16,
        /// For signing the answer.
        signed: Box<Signed>,
    },
    /// The MAC is right but shorter than this key may use.
    #[error("BADTRUNC: the MAC is cut shorter than key {} allows", signed.key.name)]
    BadTrunc {
        /// For signing the answer.
        signed: Box<Signed>,
    },
}

/// Fields of a rejected TSIG record that its unsigned answer repeats (RFC 8945 §5.3.2).
#[derive(Debug, Clone)]
pub struct Echo {
    algorithm_wire: Box<[u8]>,
    time: u64,
    fudge: u16,
    original_id: u16,
}

/// Checks a request's signature at `now` (RFC 8945 §5.2); `None` if it has none.
///
/// # Errors
/// [`TsigError`], which also writes its answer.
pub fn verify(
    message: &Message<'_>,
    keys: &KeyRing,
    now: u64,
) -> Result<Option<Signed>, TsigError> {
    let Some(parsed) = Parsed::of(message) else { return Ok(None) };
    let parsed = parsed?;
    let echo = || Echo {
        algorithm_wire: parsed.algorithm_name.as_wire().into(),
        time: parsed.time,
        fudge: parsed.fudge,
        original_id: parsed.original_id,
    };
    let key = keys.get(&parsed.key_name).filter(|key| {
        key.algorithm.wire_name().eq_ignore_ascii_case(parsed.algorithm_name.as_wire())
    });
    let Some(key) = key else {
        return Err(TsigError::BadKey {
            key: parsed.key_name.clone(),
            algorithm: parsed.algorithm_name.clone(),
            echo: echo(),
        });
    };
    // A full untruncated MAC on a truncating algorithm would be longer than its name says.
    if !(key.algorithm.mac_octets_min()..=key.algorithm.mac_octets()).contains(&parsed.mac.len()) {
        return Err(TsigError::Malformed);
    }
    let full_mac = parsed.expected_mac(message, key, &[], &[], false);
    if !bool::from(full_mac.as_slice()[..parsed.mac.len()].ct_eq(parsed.mac)) {
        return Err(TsigError::BadSig { key: parsed.key_name.clone(), echo: echo() });
    }
    let signed = Signed {
        key: Arc::clone(key),
        request_mac: MacBuffer::new(parsed.mac),
        full_mac,
        time: parsed.time,
        fudge: parsed.fudge,
        original_id: parsed.original_id,
    };
    if now.abs_diff(parsed.time) > u64::from(parsed.fudge) {
        return Err(TsigError::BadTime {
            difference_seconds: (now as i64).wrapping_sub(parsed.time as i64),
            fudge_seconds: parsed.fudge,
            signed: Box::new(signed),
        });
    }
    if parsed.mac.len() < key.mac_octets_min {
        return Err(TsigError::BadTrunc { signed: Box::new(signed) });
    }
    Ok(Some(signed))
}

impl TsigError {
    /// The RCODE of the whole answer: FORMERR or NOTAUTH (RFC 8945 §5.2).
    pub fn rcode(&self) -> Rcode {
        if matches!(self, TsigError::Malformed) { Rcode::FORMERR } else { Rcode::NOTAUTH }
    }

    /// Completes the answer at `buffer[base..]` with a TSIG record: unsigned for BADKEY and
    /// BADSIG, signed otherwise; none for a malformed request.
    pub fn finish_response(&self, buffer: &mut Vec<u8>, base: usize, now: u64) {
        let unsigned = |buffer: &mut Vec<u8>, key: &Name, echo: &Echo, error| {
            let fields = Fields {
                time: echo.time,
                fudge: echo.fudge,
                original_id: echo.original_id,
                error,
                other: &[],
            };
            fields.write_unsigned(buffer, base, key, &echo.algorithm_wire);
        };
        match self {
            TsigError::Malformed => {}
            TsigError::BadKey { key, echo, .. } => unsigned(buffer, key, echo, Rcode::BADKEY),
            TsigError::BadSig { key, echo } => unsigned(buffer, key, echo, Rcode::BADSIG),
            TsigError::BadTime { signed, .. } => {
                // RFC 8945 §5.2.3: the client's time signed, ours as other data.
                let [_, _, ours @ ..] = now.to_be_bytes();
                let fields = Fields {
                    time: signed.time,
                    fudge: signed.fudge,
                    original_id: signed.original_id,
                    error: Rcode::BADTIME,
                    other: &ours,
                };
                signed.key.append(buffer, base, signed.request_mac.as_slice(), fields, false);
            }
            TsigError::BadTrunc { signed } => {
                let fields = Fields {
                    time: now,
                    fudge: signed.fudge,
                    original_id: signed.original_id,
                    error: Rcode::BADTRUNC,
                    other: &[],
                };
                signed.key.append(buffer, base, signed.request_mac.as_slice(), fields, false);
            }
        }
    }
}

impl Signed {
    /// The key that signed.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The whole MAC, however much of it the request carried: cutting a MAC shorter does not
    /// make a request another one.
    pub fn full_mac(&self) -> &[u8] {
        self.full_mac.as_slice()
    }

    /// Server time in seconds since 1970 after which this very message is refused with BADTIME.
    pub fn acceptable_until(&self) -> u64 {
        self.time.saturating_add(u64::from(self.fudge))
    }

    /// Octets that signing adds to a response.
    pub fn response_octets(&self) -> usize {
        self.key.record_octets()
    }

    /// Signs the response at `buffer[base..]`.
    pub fn sign_response(&self, buffer: &mut Vec<u8>, base: usize, now: u64) {
        self.response_signer().sign(buffer, base, now);
    }

    /// A signer for a response of one or many messages (RFC 8945 §5.3.1).
    pub fn response_signer(&self) -> ResponseSigner {
        ResponseSigner {
            key: Arc::clone(&self.key),
            prior: self.request_mac,
            original_id: self.original_id,
            first: true,
        }
    }
}

/// Signs the messages of one response in order.
pub struct ResponseSigner {
    key: Arc<Key>,
    prior: MacBuffer,
    original_id: u16,
    first: bool,
}

impl ResponseSigner {
    /// Octets that signing adds to each message.
    pub fn octets(&self) -> usize {
        self.key.record_octets()
    }

    /// Signs the next message, at `buffer[base..]`.
    pub fn sign(&mut self, buffer: &mut Vec<u8>, base: usize, now: u64) {
        let fields = Fields {
            time: now,
            fudge: FUDGE_SECONDS,
            original_id: self.original_id,
            error: Rcode::NOERROR,
            other: &[],
        };
        let mac = self.key.append(buffer, base, self.prior.as_slice(), fields, !self.first);
        self.prior = MacBuffer::new(&mac.as_slice()[..self.key.algorithm.mac_octets()]);
        self.first = false;
    }
}
