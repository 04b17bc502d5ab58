//! EDNS(0): the OPT pseudo-record (RFC 6891 §6).

use crate::message::{Message, Rcode};
use crate::record::{Class, RecordType};
use crate::writer::{NoRoom, Section, Writer};

/// Smallest UDP payload any requestor is assumed to take (RFC 6891 §6.2.3), in octets.
pub const UDP_PAYLOAD_MIN: u16 = 512;
/// What we accept and send over UDP without fragments on nearly every path, in octets.
pub const UDP_PAYLOAD_OURS: u16 = 1232;
/// Octets of an OPT record without options.
pub const OPT_OCTETS: usize = 11;
/// Option code of extended errors (RFC 8914 §2).
const OPTION_EXTENDED_ERROR: u16 = 15;

/// What a request said in its OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// UDP payload the requestor takes, at least 512, in octets.
    pub udp_payload: u16,
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
}

impl Edns {
    /// The OPT record of `message`; `None` if it has none.
    pub fn of(message: &Message<'_>) -> Option<Edns> {
        message.opt.as_ref().map(|opt| Edns {
            udp_payload: opt.class.0.max(UDP_PAYLOAD_MIN),
            version: (opt.ttl >> 16) as u8,
            dnssec_ok: opt.ttl & 0x8000 != 0,
        })
    }
}

/// An extended error for the response to an EDNS request (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT, for people.
    pub text: String,
}

impl ExtendedError {
    /// "Other Error" (RFC 8914 §4.1).
    pub const OTHER: u16 = 0;
    /// "Not Ready" (RFC 8914 §4.15).
    pub const NOT_READY: u16 = 14;
    /// "Prohibited" (RFC 8914 §4.19).
    pub const PROHIBITED: u16 = 18;

    /// Octets this adds to an OPT record.
    pub fn octets(&self) -> usize {
        6 + self.text.len()
    }
}

/// Adds our OPT record; `rcode` gives its upper eight bits.
///
/// # Errors
/// [`NoRoom`].
pub fn write(
    writer: &mut Writer<'_>,
    request: Edns,
    rcode: Rcode,
    error: Option<&ExtendedError>,
) -> Result<(), NoRoom> {
    let dnssec_ok = if request.dnssec_ok { 0x8000 } else { 0 };
    let ttl = u32::from(rcode.0 >> 4) << 24 | dnssec_ok;
    let mut options = Vec::new();
    if let Some(error) = error {
        options.extend_from_slice(&OPTION_EXTENDED_ERROR.to_be_bytes());
        options.extend_from_slice(&(2 + error.text.len() as u16).to_be_bytes());
        options.extend_from_slice(&error.code.to_be_bytes());
        options.extend_from_slice(error.text.as_bytes());
    }
    writer.record(
        Section::Additional,
        &[0],
        RecordType::OPT,
        Class(UDP_PAYLOAD_OURS),
        ttl,
        &options,
    )
}
