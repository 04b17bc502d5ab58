//! DNS over TCP (RFC 7766): accepts connections, and has each served as a session.

use crate::connections::Connections;
use crate::devices::NoDevices;
use crate::session::{self, Client, Shared};
use crate::{Ingress, ListenError};
use einhorn_serve::answer::Transport;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Opens a listener on `address`.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    crate::listen("TCP", address)
}

/// Serves `listener` until the task is dropped.
pub async fn serve(ingress: Arc<Ingress>, listener: TcpListener) {
    let table = Arc::new(Connections::default());
    // Nobody is authenticated here.
    let shared = Shared::new(ingress, Arc::new(NoDevices));
    loop {
        let (stream, peer, place) = table.accept(&shared.ingress, &listener).await;
        let shared = shared.clone();
        tokio::spawn(async move {
            let client = Client { peer, transport: Transport::Tcp, certificate: None };
            let (read, write) = stream.into_split();
            session::run(shared, Arc::clone(&place.connection), client, read, write).await;
        });
    }
}

#[cfg(test)]
mod tests;
