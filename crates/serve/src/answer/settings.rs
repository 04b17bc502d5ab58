//! What an operator decides about answers.

use super::designated::Designated;
use einhorn_wire::cookie::Secret;
use einhorn_wire::edns::UDP_PAYLOAD_USUAL;

/// What an operator decides about answers; read by every query, replaced as a whole on reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSettings {
    /// Octets of the longest answer in a datagram to clients that take as much, and what we say
    /// we take: 512 to 4096.
    pub udp_payload_octets_max: u16,
    /// Answer to NSID (RFC 5001), at most [`NSID_OCTETS_MAX`]; none: the question is passed over.
    pub nsid: Option<Vec<u8>>,
    /// Answer to `version.bind` and `version.server`; none: refused.
    pub version: Option<String>,
    /// Answer to `hostname.bind` and `id.server` (RFC 4892); none: refused.
    pub identity: Option<String>,
    /// Answer to `authors.bind`; none: refused.
    pub authors: Option<String>,
    /// What server cookies are made with (RFC 9018): the first makes them, all are accepted;
    /// none: cookies are passed over.
    pub cookie_secrets: Vec<Secret>,
    /// What clients that ask are told about idle TCP connections (RFC 7828), in seconds.
    pub tcp_idle_seconds: u16,
    /// Answer to clients that ask where they may come encrypted (RFC 9462); none: as for any name.
    pub designated: Option<Designated>,
}

/// Octets of the longest NSID, so that it fits beside the longest question.
pub const NSID_OCTETS_MAX: usize = 128;
/// Octets of the longest text in the CHAOS class: one character-string.
pub const CHAOS_OCTETS_MAX: usize = 255;

impl Default for AnswerSettings {
    fn default() -> AnswerSettings {
        AnswerSettings {
            udp_payload_octets_max: UDP_PAYLOAD_USUAL,
            nsid: None,
            version: Some("einhorn".to_owned()),
            identity: None,
            authors: None,
            cookie_secrets: Vec::new(),
            tcp_idle_seconds: 30,
            designated: None,
        }
    }
}
