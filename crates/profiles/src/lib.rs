//! What is installed on a device so that it asks this fleet's servers: Apple configuration profiles
//! and declarations, signed, and the QR code that leads to them.
//!
//! Pure: it opens no file or socket, reads no clock and knows no random source but that of the
//! cryptography it calls.

mod cms;
mod der;
mod dns;
mod published;
mod qr;
mod signer;
mod value;

pub use dns::{DnsProfile, ProfileError};
pub use published::Unpublished;
pub use qr::{QrError, qr_code};
pub use signer::{Signer, SignerError, SignerPem, fingerprint};
pub use value::Value;

/// The media type of configuration profiles.
pub const MEDIA_TYPE: &str = "application/x-apple-aspen-config";
