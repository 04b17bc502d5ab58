//! Who a client has shown to be, and where it is: the way from authenticated queries to whoever
//! keeps the addresses of devices.
//!
//! Nothing here decides what becomes of it. A secret is never printed.

use std::fmt;
use std::net::IpAddr;

/// The SHA-256 of a certificate's DER.
pub type Fingerprint = [u8; 32];

/// What a client has shown. Nothing of TLS early data (RFC 8446 §2.3), which anyone could send
/// again, ever gets here: no listener accepts it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// The secret at the end of its path, `/dns-query/TOKEN`; not yet known to be anyone's.
    Token(&'a str),
    /// The certificate with which it has finished the handshake, issued by the configured
    /// authority.
    Certificate(&'a Fingerprint),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Token(_) => f.write_str("Token(secret)"),
            Credential::Certificate(fingerprint) => {
                f.write_str("Certificate(")?;
                fingerprint.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
                f.write_str(")")
            }
        }
    }
}

/// Messages came from a client with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// What it has shown.
    pub credential: Credential<'a>,
    /// Where its connection comes from.
    pub address: IpAddr,
}

/// Told of every request with a credential, before it is answered; called by many tasks at once.
pub trait Devices: Send + Sync {
    /// Whether the credential is one of ours: a path with an unknown token is not there. Must not
    /// block: what takes longer goes into a queue.
    fn seen(&self, seen: &Seen<'_>) -> bool;
}

/// No device has a credential.
#[derive(Debug, Clone, Copy)]
pub struct NoDevices;

impl Devices for NoDevices {
    fn seen(&self, _seen: &Seen<'_>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_no_secret() {
        let address = IpAddr::from([192, 0, 2, 7]);
        let seen = Seen { credential: Credential::Token("s3cret"), address };
        assert_eq!(format!("{seen:?}"), "Seen { credential: Token(secret), address: 192.0.2.7 }");
        assert!(!NoDevices.seen(&seen));
        let certificate = format!("{:?}", Credential::Certificate(&[0xab; 32]));
        assert_eq!(certificate, format!("Certificate({})", "ab".repeat(32)));
    }
}
