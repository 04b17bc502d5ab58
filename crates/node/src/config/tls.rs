//! `[tls]`: encrypted DNS, where it listens and what it shows to clients.

use super::{Checker, ConfigError};
use einhorn_ingress::tls::{Identity, IdentityFiles};
use einhorn_wire::Name;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Encrypted DNS.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// The name by which clients know this server.
    pub name: Name,
    /// Where DNS over TLS listens.
    pub dot: Vec<SocketAddr>,
    /// Where DNS over HTTPS listens.
    pub doh: Vec<SocketAddr>,
    /// What is shown to clients; read from the files with the rest of the configuration.
    pub identity: Arc<Identity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTls {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    dot: Vec<SocketAddr>,
    #[serde(default)]
    doh: Vec<SocketAddr>,
}

impl Checker<'_> {
    pub(super) fn tls(&self, raw: RawTls) -> Result<TlsConfig, ConfigError> {
        let name = self.name("tls.name", &raw.name)?;
        if raw.dot.is_empty() && raw.doh.is_empty() {
            let reason =
                "say where to listen: `dot = [\"0.0.0.0:853\"]`, `doh = [\"0.0.0.0:443\"]`";
            return Err(self.wrong("tls", reason));
        }
        let files = IdentityFiles {
            certificate: self.folder.join(raw.certificate),
            key: self.folder.join(raw.key),
            client_authority: raw.client_ca.map(|path| self.folder.join(path)),
            name: raw.name.trim_end_matches('.').to_owned(),
        };
        let identity = Identity::load(&files).map_err(|error| self.wrong("tls", error))?;
        Ok(TlsConfig { name, dot: raw.dot, doh: raw.doh, identity: Arc::new(identity) })
    }
}
