//! The encrypted listeners of a node: what they share, and what everybody is told of them.

use crate::config::{Config, TlsConfig};
use arc_swap::ArcSwap;
use einhorn_ingress::Settings;
use einhorn_ingress::devices::Devices;
use einhorn_ingress::doh;
use einhorn_ingress::tls::Encrypted;
use einhorn_serve::answer::{Designated, Designation};
use einhorn_wire::cookie::Secret;
use std::net::SocketAddr;
use std::sync::Arc;

/// Encrypted DNS, where it listens now.
pub(crate) struct EncryptedSide {
    /// What the listeners share.
    pub(crate) shared: Arc<Encrypted>,
    /// Where DNS over TLS listens.
    pub(crate) dot: Vec<SocketAddr>,
    /// Where DNS over HTTPS listens.
    pub(crate) doh: Vec<SocketAddr>,
}

impl EncryptedSide {
    pub(crate) fn new(
        config: &TlsConfig,
        devices: Arc<dyn Devices>,
        [dot, doh]: [Vec<SocketAddr>; 2],
    ) -> EncryptedSide {
        let identity = ArcSwap::new(Arc::clone(&config.identity));
        EncryptedSide { shared: Arc::new(Encrypted { identity, devices }), dot, doh }
    }

    /// Shows from now on what the configuration says; who has shaken hands notices nothing.
    pub(crate) fn reload(&self, config: &TlsConfig) {
        self.shared.identity.store(Arc::clone(&config.identity));
    }

    /// What clients that came unencrypted are told.
    pub(crate) fn designated(&self, config: &TlsConfig) -> Designated {
        let designations =
            [Designation::Dot(self.dot.clone()), Designation::Doh(self.doh.clone(), doh::TEMPLATE)];
        Designated::new(&config.name, &designations)
    }
}

/// The configured answers and limits, as they are in force with these listeners; `random` makes
/// cookies where no secret is configured.
pub(crate) fn in_force(
    config: &Config,
    encrypted: Option<&EncryptedSide>,
    random: Secret,
) -> Settings {
    let mut settings = config.settings(random);
    let designated = encrypted.zip(config.tls.as_ref());
    settings.answer.designated = designated.map(|(side, config)| side.designated(config));
    settings
}
