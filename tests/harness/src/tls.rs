//! A TLS client that trusts one authority, for speaking by hand what no program of others speaks.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection whose handshake is done.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Whom to trust, and what to show.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts the authority whose certificate is in this PEM file, speaks `protocol`, and shows the
    /// certificate and key in these files, if any.
    ///
    /// # Panics
    /// When a file is not what it should be.
    pub fn new(ca: &Path, protocol: &[u8], shown: Option<[&Path; 2]>) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).expect("a certificate")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some([certificate, key]) => {
                let chain =
                    vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsClient { config: Arc::new(config) }
    }

    /// Connects and shakes hands with a server of this name.
    ///
    /// # Errors
    /// What the connection says.
    ///
    /// # Panics
    /// When the name is none.
    pub fn connect(&self, server: SocketAddr, name: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}
