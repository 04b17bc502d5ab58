//! Trust by pinned certificates: a certificate is accepted if its fingerprint is one of a list.

use crate::identity::{Fingerprint, fingerprint};
use crate::tls::{self, Judge, Verifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, ServerConfig};
use std::sync::{Arc, OnceLock};

/// What sites speak.
const PROTOCOL: &[u8] = b"einhorn-link";

/// Judges the certificate of one handshake.
#[derive(Debug)]
pub(crate) struct Pinned {
    accepted: Vec<Fingerprint>,
    seen: OnceLock<Fingerprint>,
}

pub(crate) type Pin = Verifier<Pinned>;

impl Pin {
    pub(crate) fn accepting(accepted: Vec<Fingerprint>, provider: &CryptoProvider) -> Arc<Pin> {
        Arc::new(Verifier::new(Pinned { accepted, seen: OnceLock::new() }, provider))
    }

    /// What the other side showed, if it came to that. Unless the handshake succeeded, nobody has
    /// proved to hold its key.
    pub(crate) fn seen(&self) -> Option<Fingerprint> {
        self.judge.seen.get().copied()
    }
}

impl Judge for Pinned {
    const RAW_KEYS: bool = false;

    fn accepts(&self, shown: &CertificateDer<'_>) -> bool {
        let shown = fingerprint(shown);
        let _ = self.seen.set(shown);
        self.accepted.contains(&shown)
    }
}

/// What the listening side needs.
pub(crate) fn server(
    provider: &Arc<CryptoProvider>,
    key: &Arc<CertifiedKey>,
    pin: Arc<Pin>,
) -> Result<Arc<ServerConfig>, Error> {
    let shown = Arc::new(SingleCertAndKey::from(Arc::clone(key)));
    tls::server(provider, pin, shown, PROTOCOL)
}

/// What the dialling side needs.
pub(crate) fn client(
    provider: &Arc<CryptoProvider>,
    key: &Arc<CertifiedKey>,
    pin: Arc<Pin>,
) -> Result<Arc<ClientConfig>, Error> {
    let shown = Arc::new(SingleCertAndKey::from(Arc::clone(key)));
    tls::client(provider, pin, shown, PROTOCOL)
}
