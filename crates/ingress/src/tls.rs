//! DNS over TLS (RFC 7858), and the way in to DNS over HTTPS: accepts connections, shakes hands, and
//! has each served as a session.
//!
//! A connection has a place among those that shake hands, and gets one among the others when it
//! is done. So whoever opens connections and says nothing takes the place of others like him, and never
//! of a client that is served.

mod identity;

pub use identity::{Identity, IdentityError, IdentityFiles};

use crate::connections::{Connections, Place, Room};
use crate::devices::{Devices, Fingerprint};
use crate::rate_limit::LimitSettings;
use crate::session::{self, Client, Shared};
use crate::{Ingress, ListenError};
use arc_swap::ArcSwap;
use einhorn_serve::answer::Transport;
use rustls::{ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What all encrypted listeners share.
pub struct Encrypted {
    /// What they show; replaced on reload.
    pub identity: ArcSwap<Identity>,
    /// Told where clients with a credential are.
    pub devices: Arc<dyn Devices>,
}

/// Opens a listener for DNS over TLS.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    crate::listen("DNS over TLS", address)
}

/// Serves DNS over TLS until the task is dropped.
pub async fn serve(ingress: Arc<Ingress>, encrypted: Arc<Encrypted>, listener: TcpListener) {
    let gate = Gate::default();
    let shared = Shared::new(ingress, Arc::clone(&encrypted.devices));
    loop {
        let arrived = gate.accept(&shared.ingress, &listener).await;
        let config = Arc::clone(&encrypted.identity.load().dot);
        let shared = shared.clone();
        tokio::spawn(async move {
            let Some(admitted) = arrived.shake_hands(&shared.ingress, config).await else { return };
            let Admitted { stream, peer, place, certificate } = admitted;
            let client = Client { peer, transport: Transport::Tls, certificate };
            let (read, write) = tokio::io::split(stream);
            session::run(shared, Arc::clone(&place.connection), client, read, write).await;
        });
    }
}

/// Where connections of one listener wait until they may in.
pub(crate) struct Gate {
    /// Those that shake hands.
    outside: Arc<Connections>,
    /// Those that are served.
    inside: Arc<Connections>,
}

impl Default for Gate {
    fn default() -> Gate {
        let outside = |settings: &LimitSettings| Room {
            connections_max: settings.tls_handshakes_max,
            per_source_max: settings.tcp_connections_per_source_max,
        };
        let inside = |settings: &LimitSettings| Room {
            connections_max: settings.tls_connections_max,
            per_source_max: settings.tcp_connections_per_source_max,
        };
        Gate {
            outside: Arc::new(Connections::new(outside)),
            inside: Arc::new(Connections::new(inside)),
        }
    }
}

/// A connection that is to shake hands.
pub(crate) struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    inside: Arc<Connections>,
}

/// A connection that may speak.
pub(crate) struct Admitted {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    /// The certificate that the client has shown, if it was asked for one.
    pub(crate) certificate: Option<Fingerprint>,
}

impl Gate {
    /// The next connection.
    pub(crate) async fn accept(&self, ingress: &Ingress, listener: &TcpListener) -> Arrived {
        let (stream, peer, place) = self.outside.accept(ingress, listener).await;
        Arrived { stream, peer, place, inside: Arc::clone(&self.inside) }
    }
}

impl Arrived {
    /// Shakes hands; `None` if the client cannot, takes too long, or there is no place for it.
    pub(crate) async fn shake_hands(
        self,
        ingress: &Ingress,
        config: Arc<ServerConfig>,
    ) -> Option<Admitted> {
        let Arrived { stream, peer, place, inside } = self;
        let seconds = ingress.settings.load().limits.tls_handshake_seconds;
        let shaking = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::select! {
            biased;
            () = place.connection.close.notified() => return None,
            shaken = timeout(Duration::from_secs(seconds.into()), shaking) => match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "TLS");
                    return None;
                }
                Err(_) => return None,
            },
        };
        drop(place);
        let place = inside.place(ingress, peer)?;
        let certificate = certificate_of(stream.get_ref().1);
        Some(Admitted { stream, peer, place, certificate })
    }
}

/// What the client has shown.
fn certificate_of(connection: &ServerConnection) -> Option<Fingerprint> {
    let shown = connection.peer_certificates()?.first()?;
    Some(Sha256::digest(shown).into())
}

#[cfg(test)]
#[path = "tls/fixture.rs"]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
