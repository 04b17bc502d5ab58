//! The sockets that devices speak to, the ones to the sites, and the one for operators: each a task that
//! waits and hands over.

use crate::engine::Engine;
use crate::reply::From;
use einhorn_serve::answer::Transport;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Octets of a datagram at most.
const DATAGRAM_OCTETS_MAX: usize = 65_535;
/// Connections of devices open at once.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may stay without a message.
const IDLE: Duration = Duration::from_secs(30);
/// Answers that may wait for one connection.
const ANSWERS_WAITING_MAX: usize = 256;
/// How long one long update may take to a site and back.
const LONG_TIMEOUT: Duration = Duration::from_secs(5);
/// Long updates under way at once.
const LONG_MAX: usize = 64;

pub(crate) type Shared = Rc<RefCell<Engine>>;

/// Datagrams of devices.
pub(crate) async fn datagrams(engine: Shared, socket: Rc<UdpSocket>) {
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let from = From::Udp(Rc::clone(&socket));
                engine.borrow_mut().message(&buffer[..length], peer, Transport::Udp, from);
            }
            Err(error) => tracing::debug!(%error, "a datagram could not be received"),
        }
    }
}

/// Connections of devices.
pub(crate) async fn connections(engine: Shared, listener: TcpListener) {
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files: others close.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else { continue };
        let engine = Rc::clone(&engine);
        tokio::task::spawn_local(async move {
            if let Err(error) = connection(engine, stream, peer).await {
                tracing::debug!(%peer, %error, "a connection ended");
            }
            drop(place);
        });
    }
}

async fn connection(engine: Shared, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let (mut incoming, mut outgoing) = stream.into_split();
    let (answers, mut waiting) = mpsc::channel::<Vec<u8>>(ANSWERS_WAITING_MAX);
    tokio::task::spawn_local(async move {
        while let Some(answer) = waiting.recv().await {
            let mut frame = (answer.len() as u16).to_be_bytes().to_vec();
            frame.extend_from_slice(&answer);
            if !matches!(timeout(IDLE, outgoing.write_all(&frame)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    loop {
        let read = timeout(IDLE, read_frame(&mut incoming)).await;
        let octets = read.map_err(|_| io::ErrorKind::TimedOut)??;
        let from = From::Tcp(answers.clone());
        engine.borrow_mut().message(&octets, peer, Transport::Tcp, from);
    }
}

async fn read_frame(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut octets).await?;
    Ok(octets)
}

/// What a site answers.
pub(crate) async fn site(engine: Shared, number: usize, socket: Rc<UdpSocket>) {
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => engine.borrow_mut().heard(number, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                engine.borrow_mut().unreachable(number);
            }
            Err(error) => tracing::debug!(%error, "a site's datagram could not be received"),
        }
    }
}

/// Updates that are too long for a datagram go to their sites by connections of their own.
pub(crate) async fn long_updates(engine: Shared, mut updates: mpsc::Receiver<(usize, Vec<u8>)>) {
    let places = std::sync::Arc::new(Semaphore::new(LONG_MAX));
    while let Some((site, octets)) = updates.recv().await {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
        let engine = Rc::clone(&engine);
        tokio::task::spawn_local(async move {
            let address = engine.borrow().sites[site].address;
            match timeout(LONG_TIMEOUT, exchange(address, &octets)).await {
                Ok(Ok(answer)) => engine.borrow_mut().heard(site, &answer),
                Ok(Err(error)) => tracing::debug!(%error, "a long update got no answer"),
                Err(_) => tracing::debug!("a long update got no answer in time"),
            }
            drop(place);
        });
    }
}

async fn exchange(address: SocketAddr, octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut frame = (octets.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(octets);
    stream.write_all(&frame).await?;
    read_frame(&mut stream).await
}

/// Tells operators how it is.
pub(crate) async fn status(engine: Shared, listener: UnixListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let status = engine.borrow().status();
        let Ok(text) = serde_json::to_vec(&status) else { return };
        if let Err(error) = stream.write_all(&text).await {
            tracing::debug!(%error, "nobody waited for the status");
        }
    }
}
