//! DNS over TCP (RFC 7766): pipelined, answered in whatever order answers are ready.

use crate::dispatch::{Arrival, Dispatch, Transfer, dispatch};
use crate::reply::Reply;
use crate::{Ingress, ListenError, Submission, now_ms};
use einhorn_serve::answer::Transport;
use einhorn_serve::transfer::{self, Content};
use einhorn_wire::message::Rcode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Connections open at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 10_000;
/// Updates that one connection may have under way; it is read no further until replies leave.
const UNDER_WAY_MAX: usize = 4_096;
/// Replies that may wait for a client to take them, beyond those of updates under way.
const REPLIES_WAITING_MAX: usize = 64;
/// How long a connection may stay without a message, and how long a client may take to accept
/// what it is sent (RFC 7766 §6.2.3).
const IDLE: Duration = Duration::from_secs(30);
/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;

/// Writes the length of the message behind the first two octets of `frame` into them.
pub(crate) fn set_length(frame: &mut [u8]) {
    let length = frame.len() - 2;
    assert!(u16::try_from(length).is_ok(), "messages are bounded when they are written");
    frame[..2].copy_from_slice(&(length as u16).to_be_bytes());
}

/// Opens a listener on `address`.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let error = |source| ListenError::new("TCP", address, source);
    let listener = std::net::TcpListener::bind(address).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}

/// Serves `listener` until the task is dropped.
pub async fn serve(ingress: Arc<Ingress>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let ingress = Arc::clone(&ingress);
                tokio::spawn(async move {
                    connection(ingress, stream, peer).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to close.
                tracing::warn!(%error, "cannot accept a TCP connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(ingress: Arc<Ingress>, stream: TcpStream, peer: SocketAddr) {
    // Replies are small and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let (mut read, write) = stream.into_split();
    let (outgoing, replies) = mpsc::channel(UNDER_WAY_MAX + REPLIES_WAITING_MAX);
    let writer = tokio::spawn(write_replies(write, replies));
    let mut session =
        Session { ingress, peer, outgoing, permits: Arc::new(Semaphore::new(UNDER_WAY_MAX)) };
    let mut buffer = Vec::with_capacity(READ_OCTETS);
    // A client that does not take its replies stops the writer, which ends the session.
    while let Ok(Ok(count)) = timeout(IDLE, read.read_buf(&mut buffer)).await {
        if count == 0 || !session.messages(&mut buffer).await {
            break;
        }
        buffer.reserve(READ_OCTETS);
    }
    drop(session);
    // Whatever is still under way is answered before the connection closes.
    if let Err(error) = writer.await {
        tracing::warn!(%peer, %error, "the writer of a connection failed");
    }
}

async fn write_replies(mut write: OwnedWriteHalf, mut replies: mpsc::Receiver<Vec<u8>>) {
    let mut batch = Vec::new();
    let mut octets = Vec::new();
    while replies.recv_many(&mut batch, UNDER_WAY_MAX).await > 0 {
        octets.clear();
        batch.drain(..).for_each(|frame| octets.extend_from_slice(&frame));
        if !matches!(timeout(IDLE, write.write_all(&octets)).await, Ok(Ok(()))) {
            return;
        }
    }
}

struct Session {
    ingress: Arc<Ingress>,
    peer: SocketAddr,
    outgoing: mpsc::Sender<Vec<u8>>,
    permits: Arc<Semaphore>,
}

impl Session {
    /// Handles all whole messages in `buffer` and leaves the rest in it; false ends the session.
    async fn messages(&mut self, buffer: &mut Vec<u8>) -> bool {
        let mut at = 0;
        while let Some([high, low]) = buffer.get(at..at + 2) {
            let end = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
            if end > buffer.len() {
                break;
            }
            if !self.message(&buffer[at + 2..end]).await {
                return false;
            }
            at = end;
        }
        buffer.drain(..at);
        true
    }

    async fn message(&mut self, octets: &[u8]) -> bool {
        let now_seconds = now_ms() / 1000;
        let arrival = Arrival { peer: self.peer, transport: Transport::Tcp, now_seconds };
        let mut frame = vec![0, 0];
        match dispatch(&self.ingress, octets, arrival, &mut frame) {
            Dispatch::Ignore => return true,
            Dispatch::Reply => {}
            Dispatch::Submit(request, echo) => {
                let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                    return false;
                };
                let reply = Reply::Tcp { outgoing: self.outgoing.clone(), permit, echo };
                match self.ingress.submissions.try_send(Submission { request: *request, reply }) {
                    Ok(()) => return true,
                    Err(rejected) => {
                        let Reply::Tcp { echo, .. } = rejected.into_inner().reply else {
                            return false;
                        };
                        echo.write(
                            Rcode::SERVFAIL,
                            Some("too many updates are waiting"),
                            now_seconds,
                            &mut frame,
                        );
                    }
                }
            }
            Dispatch::Transfer(transfer) => return self.transfer(*transfer, now_seconds).await,
        }
        set_length(&mut frame);
        self.outgoing.send(frame).await.is_ok()
    }

    /// Writes the messages of a transfer on a thread that may block on a slow client.
    async fn transfer(&self, transfer: Transfer, now_seconds: u64) -> bool {
        let outgoing = self.outgoing.clone();
        let published = self.ingress.zones.clone();
        let peer = self.peer;
        let sent = tokio::task::spawn_blocking(move || {
            let Transfer { zone, since, id, question, signed } = transfer;
            let content = match since {
                None => Content::Whole,
                Some(serial) => {
                    transfer::incremental(&zone, serial, || published.steps_since(&zone, serial))
                }
            };
            tracing::info!(%peer, zone = %zone.apex, serial = zone.serial, since, %content, "transfer");
            let mut signer = signed.map(|signed| signed.response_signer());
            let reserve_octets = signer.as_ref().map_or(0, |signer| signer.octets());
            transfer::messages(&zone, &content, id, &question, reserve_octets, |mut message| {
                if let Some(signer) = &mut signer {
                    signer.sign(&mut message, 0, now_seconds);
                }
                message.splice(0..0, [0, 0]);
                set_length(&mut message);
                outgoing.blocking_send(message).is_ok()
            });
        });
        sent.await.is_ok()
    }
}
