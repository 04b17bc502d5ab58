//! What tests of encrypted listeners have in common: an authority, a server that serves
//! `example.`, clients, and somebody who notes where devices are seen.

use super::*;
use crate::devices::{Credential, Seen};
use crate::dispatch::tests::ingress;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tokio_rustls::TlsConnector;

/// The name of the server.
pub(crate) const NAME: &str = "ns1.example";
/// The secret of the only device that has one.
pub(crate) const TOKEN: &str = "a-secret-of-annas-phone";

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct Noted(Mutex<Vec<(String, IpAddr)>>);

impl Devices for Noted {
    fn seen(&self, seen: &Seen<'_>) -> bool {
        let (text, is_known) = match seen.credential {
            Credential::Token(token) => (token.to_owned(), token == TOKEN),
            credential => (format!("{credential:?}"), true),
        };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push((text, seen.address));
        is_known
    }
}

impl Noted {
    pub(crate) fn all(&self) -> Vec<(String, IpAddr)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A certificate and its key, DER.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let certificate = certificate.der().clone();
        Authority { issuer: Issuer::new(parameters, key), certificate }
    }

    pub(crate) fn issue(&self, name: &str) -> Pair {
        let parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    /// A client that trusts this authority, shows `shown` and speaks `protocol`.
    pub(crate) fn client(&self, protocol: &str, shown: Option<Pair>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
                builder.with_client_auth_cert(vec![certificate], key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// What the server shows: a fresh certificate of `authority`, which is also that of clients.
pub(crate) fn identity(authority: &Authority, folder: &Path) -> Identity {
    let pair = authority.issue(NAME);
    let write = |file: &str, label: &str, der: &[u8]| {
        let path = folder.join(file);
        std::fs::write(&path, pem(label, der)).expect("written");
        path
    };
    Identity::load(&IdentityFiles {
        certificate: write("server.crt", "CERTIFICATE", &pair.certificate),
        key: write("server.key", "PRIVATE KEY", &pair.key),
        client_authority: Some(write("ca.crt", "CERTIFICATE", &authority.certificate)),
        name: NAME.to_owned(),
    })
    .expect("an identity")
}

/// A running listener.
pub(crate) struct Server {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) encrypted: Arc<Encrypted>,
    pub(crate) authority: Authority,
    pub(crate) noted: Arc<Noted>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
}

/// Starts a listener that `serve` serves.
pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
    limits: LimitSettings,
    serve: impl FnOnce(Arc<Ingress>, Arc<Encrypted>, TcpListener) -> F,
) -> Server {
    let ingress = ingress();
    ingress.settings.store(Arc::new(crate::Settings { limits, ..Default::default() }));
    let ingress = Arc::new(ingress);
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let identity = ArcSwap::from_pointee(identity(&authority, folder.path()));
    let noted = Arc::new(Noted::default());
    let encrypted = Arc::new(Encrypted { identity, devices: Arc::clone(&noted) as _ });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(Arc::clone(&ingress), Arc::clone(&encrypted), listener));
    Server { ingress, encrypted, authority, noted, address, folder }
}

impl Server {
    /// Connects and shakes hands.
    pub(crate) async fn connect(
        &self,
        client: &TlsConnector,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        client.connect(ServerName::try_from(NAME).expect("a name"), stream).await
    }
}
