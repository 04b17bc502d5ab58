//! What encrypted listeners show to clients, and whom they let show something: certificate, key,
//! and the authority of clients, from PEM files.
//!
//! TLS 1.3 alone, never early data (RFC 8446 §8: it could be sent again by anyone).

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is spoken over TLS, as the handshake says it (RFC 7301): DNS (RFC 7858 §3.2).
const ALPN_DOT: &[&[u8]] = &[b"dot"];
/// The same for HTTP: the newer first.
const ALPN_DOH: &[&[u8]] = &[b"h2", b"http/1.1"];
/// Tickets for each handshake, with which a client comes back without another one (RFC 8446
/// §4.6.1). They are sealed, not remembered.
const TICKETS_PER_HANDSHAKE: usize = 1;

/// Where it all lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The server's certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Certificates of authorities whose clients are asked for theirs; none: nobody is asked.
    pub client_authority: Option<PathBuf>,
    /// The name by which clients know the server.
    pub name: String,
}

/// Files that are of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct IdentityError {
    /// Which.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Everything that a handshake needs; replaced as a whole when the files are read again.
#[derive(Debug)]
pub struct Identity {
    pub(crate) dot: Arc<ServerConfig>,
    pub(crate) doh: Arc<ServerConfig>,
}

impl Identity {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// [`IdentityError`]: a file cannot be read or holds something else, the key is not the
    /// certificate's, or the certificate is another server's.
    pub fn load(files: &IdentityFiles) -> Result<Identity, IdentityError> {
        let bad = |path: &Path, reason: String| IdentityError { path: path.into(), reason };
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| bad(&files.key, format!("no private key in PEM: {error}")))?;
        let of_name = ServerName::try_from(files.name.as_str()).map_err(|error| error.to_string());
        let of_name = of_name.and_then(|name| {
            let shown = ParsedCertificate::try_from(&chain[0]);
            shown.and_then(|shown| verify_server_name(&shown, &name)).map_err(|e| e.to_string())
        });
        of_name.map_err(|error| {
            bad(&files.certificate, format!("not a certificate of {}: {error}", files.name))
        })?;
        let provider = Arc::new(ring::default_provider());
        let clients = match &files.client_authority {
            Some(path) => client_verifier(path, &provider)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = |protocols: &[&[u8]]| {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&TLS13])?
                .with_client_cert_verifier(Arc::clone(&clients))
                .with_single_cert(chain.clone(), key.clone_key())?;
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ticketer = ring::Ticketer::new()?;
            config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
            Ok(Arc::new(config))
        };
        let config = |protocols| {
            config(protocols).map_err(|error: rustls::Error| {
                let reason =
                    format!("cannot be used with {}: {error}", files.certificate.display());
                bad(&files.key, reason)
            })
        };
        Ok(Identity { dot: config(ALPN_DOT)?, doh: config(ALPN_DOH)? })
    }
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let bad = |reason: String| IdentityError { path: path.into(), reason };
    let all = all.map_err(|error| bad(format!("no certificates in PEM: {error}")))?;
    if all.is_empty() {
        return Err(
            bad("no certificate in it; PEM begins with -----BEGIN CERTIFICATE-----".into()),
        );
    }
    Ok(all)
}

/// Lets clients show a certificate of these authorities; who shows none is anybody.
fn client_verifier(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let bad = |reason: String| IdentityError { path: path.into(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(format!("not an authority: {error}")))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .allow_unauthenticated()
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| bad(error.to_string()))
}
