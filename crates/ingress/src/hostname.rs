//! The hostname server (RFC 953) on TCP: one line in, one answer out, then close.
//!
//! A connection has a place among the others (see `connections`), so much time for its line, and takes its
//! answer at its own pace within bounds. Looking into zones takes threads that may take their time; a
//! table is made as the client takes it, and only so many at once.

use crate::connections::{Connection, Connections};
use crate::{Ingress, ListenError};
use einhorn_bridge::hostname_server::{COMMAND_OCTETS_MAX, Question, Table, View};
use einhorn_wire::Name;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

/// Names and addresses that are looked up at once: each looks at every name of the zones.
const LOOKUPS_MAX: usize = 4;
/// Tables that are under way at once; more are told to try again.
const TABLES_MAX: usize = 8;
/// Octets of an answer that are sent together.
const PIECE_OCTETS: usize = 64 << 10;
/// Pieces that may wait for the client to take them.
const PIECES_WAITING_MAX: usize = 4;
/// How long a client may take to accept a piece.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to accept its answer as a whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a client may go on talking behind its line: what is unread when a connection closes makes the
/// system throw away the answer.
const REST_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a listener on `address`.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    crate::listen("hostname server", address)
}

/// Answers from `zones` until the task is dropped.
pub async fn serve(ingress: Arc<Ingress>, listener: TcpListener, zones: Arc<[Name]>) {
    let table = Arc::new(Connections::default());
    let server = Arc::new(Server {
        ingress,
        zones,
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        tables: Arc::new(Semaphore::new(TABLES_MAX)),
    });
    loop {
        let (stream, peer, place) = table.accept(&server.ingress, &listener).await;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            if let Err(error) = server.connection(&place.connection, stream).await {
                tracing::debug!(%peer, %error, "hostname server");
            }
        });
    }
}

struct Server {
    ingress: Arc<Ingress>,
    zones: Arc<[Name]>,
    lookups: Arc<Semaphore>,
    tables: Arc<Semaphore>,
}

impl Server {
    async fn connection(
        self: &Arc<Self>,
        entry: &Arc<Connection>,
        mut stream: TcpStream,
    ) -> std::io::Result<()> {
        let line = tokio::select! {
            biased;
            () = entry.close.notified() => return Ok(()),
            line = self.line(&mut stream) => line?,
        };
        let Some(line) = line else { return Ok(()) };
        let _busy = entry.busy();
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut pieces = self.answer(Question::of(&line)).await;
        while let Some(piece) = pieces.recv().await {
            let until = deadline.min(Instant::now() + WRITE_TIMEOUT);
            timeout_at(until, stream.write_all(&piece)).await??;
        }
        self.ingress.hostname_answers.fetch_add(1, Ordering::Relaxed);
        stream.shutdown().await?;
        let mut rest = [0; COMMAND_OCTETS_MAX];
        let rest = async {
            while stream.read(&mut rest).await? > 0 {}
            std::io::Result::Ok(())
        };
        timeout(REST_TIMEOUT, rest).await?
    }

    /// What the client says up to the end of its first line, or as much as is looked at; `None` if it says
    /// nothing or takes too long.
    async fn line(&self, stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
        let seconds = self.ingress.settings.load().limits.tcp_message_seconds;
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        let mut line = Vec::with_capacity(COMMAND_OCTETS_MAX);
        loop {
            let Ok(count) = timeout_at(deadline, stream.read_buf(&mut line)).await else {
                return Ok(None);
            };
            let count = count?;
            let end = line.iter().position(|octet| *octet == b'\n');
            if let Some(end) = end {
                line.truncate(end);
                return Ok(Some(line));
            }
            if count == 0 || line.len() >= COMMAND_OCTETS_MAX {
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
        }
    }

    /// Makes the answer on a thread that may take its time, and wait for a slow client.
    async fn answer(self: &Arc<Self>, question: Question) -> mpsc::Receiver<Vec<u8>> {
        let (send, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let permit = self.permit(&question).await;
        let server = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let zones = server.ingress.zones.snapshot();
            let expired = server.ingress.zones.expired();
            // Who finds no room is told so, as if there were no table.
            let table = permit.as_ref().and_then(|_| Table::new(&zones, &expired, &server.zones));
            let view = table.as_ref().map(|table| table as &dyn View);
            let mut piece = Vec::new();
            let answered = question.answer(view, &mut |octets| {
                piece.extend_from_slice(octets);
                if piece.len() < PIECE_OCTETS {
                    return ControlFlow::Continue(());
                }
                match send.blocking_send(std::mem::take(&mut piece)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            if answered.is_continue() && !piece.is_empty() {
                // Whether it comes through or not, nothing follows it.
                _ = send.blocking_send(piece);
            }
        });
        pieces
    }

    /// The right to look into the zones. Lookups wait for each other; tables, which are as slow as the
    /// clients that take them, do not.
    async fn permit(&self, question: &Question) -> Option<OwnedSemaphorePermit> {
        match question {
            Question::Table(_) => Arc::clone(&self.tables).try_acquire_owned().ok(),
            _ => Arc::clone(&self.lookups).acquire_owned().await.ok(),
        }
    }
}

#[cfg(test)]
#[path = "hostname_tests.rs"]
mod tests;
