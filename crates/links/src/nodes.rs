//! Connections between the nodes of one site. All of them hold the site's secret, and know each
//! other by nothing else: each shows the public key that is made from it (RFC 7250), in TLS 1.3.
//!
//! Frames go both ways until the connection ends. Which node connects to which, and what frames
//! say, is the caller's.

use crate::IdentityError;
use crate::dial::HANDSHAKE_TIME_MAX;
use crate::frame::Frame;
use crate::identity::provider;
use crate::tls::{self, Judge, Verifier};
use crate::{KEEPALIVE_INTERVAL, SILENCE_MAX};
use rustls::Error;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// What nodes speak.
const PROTOCOL: &[u8] = b"einhorn-node";
/// What comes before an Ed25519 seed in PKCS #8 (RFC 8410 section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Octets of frames that are written at once, if so much waits.
const BATCH_OCTETS: usize = 64 << 10;
/// Octets of room made before each read.
const READ_OCTETS: usize = 64 << 10;

/// What a node needs to connect to others of its site, and to let them connect.
#[derive(Clone)]
pub struct Nodes {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Nodes {
    /// For the site with this secret: 32 octets that nobody else can guess.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`].
    pub fn new(secret: &[u8; 32]) -> Result<Nodes, IdentityError> {
        let unusable = |error: Error| IdentityError::Unusable(error.to_string());
        let provider = Arc::new(provider());
        let octets = [&PKCS8_HEAD[..], secret].concat();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(octets));
        let key = provider.key_provider.load_private_key(key).map_err(unusable)?;
        let public = key.public_key().map(|public| public.as_ref().to_vec());
        let public = public
            .ok_or_else(|| IdentityError::Unusable("no public key comes of it".to_owned()))?;
        let same = Arc::new(Verifier::new(SameKey { public: public.clone() }, &provider));
        let shown = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key));
        let server_shows = Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&shown)));
        let server = tls::server(&provider, Arc::clone(&same), server_shows, PROTOCOL);
        let client_shows = Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown));
        let client = tls::client(&provider, same, client_shows, PROTOCOL);
        Ok(Nodes {
            acceptor: TlsAcceptor::from(server.map_err(unusable)?),
            connector: TlsConnector::from(client.map_err(unusable)?),
        })
    }

    /// Connects to the node that listens there.
    ///
    /// # Errors
    /// Whatever keeps it from being reached in time, or from being a node of this site.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<NodeLink> {
        in_time(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::IpAddress(address.ip().into());
            Ok(NodeLink(self.connector.connect(name, stream).await?.into()))
        })
        .await
    }

    /// Lets a node in that has connected.
    ///
    /// # Errors
    /// If it is not one of this site, or is too slow.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<NodeLink> {
        in_time(async {
            stream.set_nodelay(true)?;
            Ok(NodeLink(self.acceptor.accept(stream).await?.into()))
        })
        .await
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(HANDSHAKE_TIME_MAX, work).await?
}

/// A connection between two nodes.
pub struct NodeLink(TlsStream<TcpStream>);

impl NodeLink {
    /// Sends what comes out of `outgoing`, and has `hear` look at what the other node sends, until the
    /// connection ends or `outgoing` does; returns why.
    pub async fn run(
        self,
        outgoing: &mut UnboundedReceiver<Vec<u8>>,
        hear: impl FnMut(&[u8]),
    ) -> String {
        let (reading, writing) = tokio::io::split(self.0);
        tokio::select! {
            reason = read(reading, hear) => reason,
            reason = write(writing, outgoing) => reason,
        }
    }
}

async fn read(mut reading: ReadHalf<TlsStream<TcpStream>>, mut hear: impl FnMut(&[u8])) -> String {
    let mut buffer = Vec::new();
    loop {
        let mut start = 0;
        loop {
            match Frame::parse(&buffer[start..]) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    start += length;
                    if let Frame::Data(octets) = frame {
                        hear(octets);
                    }
                }
                Err(error) => return format!("the other node sent {error}"),
            }
        }
        buffer.drain(..start);
        buffer.reserve(READ_OCTETS);
        match timeout(SILENCE_MAX, reading.read_buf(&mut buffer)).await {
            Ok(Ok(0)) => return "the other node closed it".to_owned(),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("nothing came for {} s", SILENCE_MAX.as_secs()),
        }
    }
}

async fn write(
    mut writing: WriteHalf<TlsStream<TcpStream>>,
    outgoing: &mut UnboundedReceiver<Vec<u8>>,
) -> String {
    let mut alive = interval(KEEPALIVE_INTERVAL);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            frame = outgoing.recv() => match frame {
                Some(octets) => Frame::Data(&octets).write(&mut batch),
                None => return "it is not needed any more".to_owned(),
            },
            _ = alive.tick() => Frame::Alive.write(&mut batch),
        }
        while batch.len() < BATCH_OCTETS
            && let Ok(octets) = outgoing.try_recv()
        {
            Frame::Data(&octets).write(&mut batch);
        }
        let written = async {
            writing.write_all(&batch).await?;
            writing.flush().await
        };
        if let Err(error) = written.await {
            return error.to_string();
        }
        batch.clear();
    }
}

/// Accepts who shows the key that this node shows itself.
#[derive(Debug)]
struct SameKey {
    public: Vec<u8>,
}

impl Judge for SameKey {
    const RAW_KEYS: bool = true;

    fn accepts(&self, shown: &CertificateDer<'_>) -> bool {
        shown.as_ref() == self.public
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::unbounded_channel;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn nodes_of_one_site_exchange_frames() {
        runtime().block_on(async {
            let nodes = Nodes::new(&[7; 32]).expect("nodes");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let address = listener.local_addr().expect("an address");
            let other = nodes.clone();
            let echo = tokio::spawn(async move {
                let stream = listener.accept().await.expect("a connection").0;
                let link = other.accept(stream).await.expect("a node");
                let (send, mut outgoing) = unbounded_channel();
                link.run(&mut outgoing, |octets| drop(send.send(octets.to_vec()))).await
            });
            let link = nodes.connect(address).await.expect("a node");
            let (send, mut outgoing) = unbounded_channel();
            let (tell, mut told) = unbounded_channel();
            let run = tokio::spawn(async move {
                link.run(&mut outgoing, |octets| drop(tell.send(octets.to_vec()))).await
            });
            for length in [0, 1, 100_000] {
                send.send(vec![5; length]).expect("it is taken");
                assert_eq!(told.recv().await.map(|octets| octets.len()), Some(length));
            }
            drop(send);
            assert_eq!(run.await.expect("it ends"), "it is not needed any more");
            echo.await.expect("it ends");
        });
    }

    #[test]
    fn a_node_of_another_site_is_refused() {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let address = listener.local_addr().expect("an address");
            let stranger = Nodes::new(&[8; 32]).expect("nodes");
            let connecting = tokio::spawn(async move { stranger.connect(address).await.map(drop) });
            let stream = listener.accept().await.expect("a connection").0;
            let accepted = Nodes::new(&[7; 32]).expect("nodes").accept(stream).await;
            assert!(accepted.is_err());
            assert!(connecting.await.expect("it ends").is_err());
        });
    }
}
