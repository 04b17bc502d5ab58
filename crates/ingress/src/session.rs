//! Messages that follow each other in a stream (RFC 7766, RFC 7858): pipelined, answered in whatever
//! order answers are ready. The same over TCP and over TLS.

use crate::connections::Connection;
use crate::devices::{Credential, Devices, Fingerprint, Seen};
use crate::dispatch::{Arrival, Dispatch, Limiter, Transfer, dispatch};
use crate::rate_limit::RateLimit;
use crate::reply::{Echo, Reply};
use crate::{Ingress, Submission, now_ms};
use einhorn_core::model::request::Request;
use einhorn_serve::answer::Transport;
use einhorn_serve::transfer::{self, Content};
use einhorn_wire::message::Rcode;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

/// Updates that one connection may have under way; it is read no further until replies leave.
const UNDER_WAY_MAX: usize = 4_096;
/// Messages of a transfer that may wait for a client to take them; each has 16 KiB.
const TRANSFER_MESSAGES_WAITING_MAX: usize = 32;
/// Replies that may wait for a client to take them, beyond those of updates under way.
const REPLIES_WAITING_MAX: usize = 64;
/// How long a client may take to accept [`WRITE_OCTETS`].
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets read at once at least: most connections bring one query.
const READ_OCTETS_MIN: usize = 2 << 10;
/// Octets read at once at most, when a client pipelines.
const READ_OCTETS_MAX: usize = 64 << 10;
/// Octets written at once, and of answers that are collected before they are sent.
const WRITE_OCTETS: usize = 64 << 10;
/// Octets, and frames, for which an idle writer keeps room.
const WRITE_OCTETS_KEPT: usize = 1 << 10;
const FRAMES_KEPT: usize = 8;

/// Writes the length of the message behind the first two octets of `frame` into them.
pub(crate) fn set_length(frame: &mut [u8]) {
    let length = frame.len() - 2;
    assert!(u16::try_from(length).is_ok(), "messages are bounded when they are written");
    frame[..2].copy_from_slice(&(length as u16).to_be_bytes());
}

/// A client at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Where it is.
    pub(crate) peer: SocketAddr,
    /// How its messages travel.
    pub(crate) transport: Transport,
    /// The certificate that it has shown.
    pub(crate) certificate: Option<Fingerprint>,
}

/// What the sessions of a listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) ingress: Arc<Ingress>,
    /// Counts updates.
    pub(crate) updates: Arc<Mutex<RateLimit>>,
    /// Told where clients with a credential are.
    pub(crate) devices: Arc<dyn Devices>,
}

impl Shared {
    pub(crate) fn new(ingress: Arc<Ingress>, devices: Arc<dyn Devices>) -> Shared {
        let updates = Arc::new(Mutex::new(RateLimit::new(ingress.seed("rates"), 1)));
        Shared { ingress, updates, devices }
    }
}

/// Answers what comes from `read` into `write` until the client is done, too slow, or told to go.
pub(crate) async fn run<R, W>(
    shared: Shared,
    entry: Arc<Connection>,
    client: Client,
    mut read: R,
    write: W,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outgoing, replies) = mpsc::channel(UNDER_WAY_MAX + REPLIES_WAITING_MAX);
    let writer = tokio::spawn(write_replies(write, replies));
    let permits = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut session = Session { shared, entry, client, outgoing, permits };
    session.run(&mut read).await;
    drop(session);
    // Whatever is still under way is answered before the connection closes.
    if let Err(error) = writer.await {
        tracing::warn!(peer = %client.peer, %error, "the writer of a connection failed");
    }
}

/// Octets of the length in front of each message (RFC 1035 §4.2.2).
const LENGTH_OCTETS: usize = 2;

/// Messages on their way to the client, each behind its length.
pub struct Frame {
    octets: Vec<u8>,
    /// Given back when the client has taken the messages before these.
    _room: Option<OwnedSemaphorePermit>,
}

impl From<Vec<u8>> for Frame {
    fn from(octets: Vec<u8>) -> Frame {
        Frame { octets, _room: None }
    }
}

async fn write_replies<W: AsyncWrite + Unpin>(mut write: W, mut replies: mpsc::Receiver<Frame>) {
    let mut batch = Vec::new();
    let mut octets = Vec::new();
    while replies.recv_many(&mut batch, UNDER_WAY_MAX).await > 0 {
        octets.clear();
        batch.drain(..).for_each(|frame: Frame| octets.extend_from_slice(&frame.octets));
        for part in octets.chunks(WRITE_OCTETS) {
            if !matches!(timeout(WRITE_TIMEOUT, send(&mut write, part)).await, Ok(Ok(()))) {
                return;
            }
        }
        octets.shrink_to(WRITE_OCTETS_KEPT);
        batch.shrink_to(FRAMES_KEPT);
    }
    // TLS says that this is the end, and was not cut off (RFC 8446 §6.1).
    if !matches!(timeout(WRITE_TIMEOUT, write.shutdown()).await, Ok(Ok(()))) {
        tracing::debug!("a connection was gone before it was closed");
    }
}

/// Writes `part`, and waits until it is on its way.
async fn send<W: AsyncWrite + Unpin>(write: &mut W, part: &[u8]) -> std::io::Result<()> {
    write.write_all(part).await?;
    write.flush().await
}

struct Session {
    shared: Shared,
    entry: Arc<Connection>,
    client: Client,
    outgoing: mpsc::Sender<Frame>,
    permits: Arc<Semaphore>,
}

/// Why handling of messages stopped.
enum Step {
    /// No whole message is left.
    Done,
    /// Enough answers were collected to send them.
    Full,
    /// An update.
    Submit(Box<Request>, Box<Echo>),
    /// A transfer.
    Transfer(Box<Transfer>),
}

impl Session {
    /// Reads and handles messages until the client is done, too slow, or told to go.
    async fn run<R: AsyncRead + Unpin>(&mut self, read: &mut R) {
        let mut buffer = Vec::with_capacity(READ_OCTETS_MIN);
        let mut deadline = Instant::now() + self.idle();
        loop {
            let reading = timeout_at(deadline, read.read_buf(&mut buffer));
            let count = tokio::select! {
                biased;
                () = self.entry.close.notified() => return,
                count = reading => match count {
                    // A client that does not take its replies stops the writer, which ends the
                    // session with the next of them.
                    Ok(Ok(count)) if count > 0 => count,
                    _ => return,
                },
            };
            let was_partial = buffer.len() > count;
            let is_full = buffer.len() == buffer.capacity();
            let Some(handled) = self.messages(&buffer).await else { return };
            buffer.drain(..handled);
            if buffer.is_empty() {
                deadline = Instant::now() + self.idle();
            } else if handled > 0 || !was_partial {
                // A message has begun. However its octets dribble in, its time is fixed.
                deadline = Instant::now() + self.message_time();
            }
            if buffer.is_empty() && count < READ_OCTETS_MIN {
                // Thousands of connections wait for their next message: each with little.
                buffer.shrink_to(READ_OCTETS_MIN);
            }
            let room = if is_full { READ_OCTETS_MAX } else { READ_OCTETS_MIN };
            buffer.reserve(room);
        }
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.shared.ingress.settings.load().limits.tcp_idle_seconds.into())
    }

    fn message_time(&self) -> Duration {
        Duration::from_secs(self.shared.ingress.settings.load().limits.tcp_message_seconds.into())
    }

    /// Handles all whole messages in `octets`, and says how many octets these are. `None` ends
    /// the session.
    async fn messages(&mut self, octets: &[u8]) -> Option<usize> {
        let now_ms = now_ms();
        let mut at = 0;
        let mut frames = Vec::new();
        if let Some(certificate) = &self.client.certificate {
            // Whether it is known changes nothing here: it was verified, and opens nothing more.
            let credential = Credential::Certificate(certificate);
            self.shared.devices.seen(&Seen { credential, address: self.client.peer.ip() });
        }
        loop {
            let step = self.answers(octets, &mut at, now_ms / 1000, &mut frames);
            if !frames.is_empty() && !matches!(step, Step::Submit(..)) {
                self.outgoing.send(std::mem::take(&mut frames).into()).await.ok()?;
            }
            match step {
                Step::Done => {
                    if at > 0 {
                        self.entry.touch(now_ms);
                    }
                    return Some(at);
                }
                Step::Full => {}
                Step::Submit(request, echo) => {
                    let permit = match Arc::clone(&self.permits).try_acquire_owned() {
                        Ok(permit) => permit,
                        Err(_) => {
                            // Its replies may be what the client waits for.
                            if !frames.is_empty() {
                                self.outgoing
                                    .send(std::mem::take(&mut frames).into())
                                    .await
                                    .ok()?;
                            }
                            Arc::clone(&self.permits).acquire_owned().await.ok()?
                        }
                    };
                    self.submit(*request, echo, permit, now_ms / 1000, &mut frames);
                }
                Step::Transfer(transfer) => {
                    if !self.transfer(*transfer, now_ms / 1000).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Answers the messages in `octets` from `at` on into `frames`, until one takes longer.
    fn answers(
        &self,
        octets: &[u8],
        at: &mut usize,
        now_seconds: u64,
        frames: &mut Vec<u8>,
    ) -> Step {
        let view = self.shared.ingress.view();
        let Client { peer, transport, .. } = self.client;
        let arrival = Arrival { peer, transport, now_seconds };
        while let Some([high, low]) = octets.get(*at..*at + 2) {
            let start = *at + 2;
            let end = start + usize::from(u16::from_be_bytes([*high, *low]));
            let Some(message) = octets.get(start..end) else { return Step::Done };
            *at = end;
            let base = frames.len();
            frames.extend_from_slice(&[0, 0]);
            let limiter = Limiter::Shared(&self.shared.updates);
            match dispatch(&self.shared.ingress, &view, message, arrival, limiter, frames) {
                Dispatch::Reply => set_length(&mut frames[base..]),
                other => {
                    frames.truncate(base);
                    match other {
                        Dispatch::Submit(request, echo) => return Step::Submit(request, echo),
                        Dispatch::Transfer(transfer) => return Step::Transfer(transfer),
                        Dispatch::Ignore | Dispatch::Reply => {}
                    }
                }
            }
            if frames.len() >= WRITE_OCTETS {
                return Step::Full;
            }
        }
        Step::Done
    }

    /// Hands an update on; when there is no room for it, its reply goes into `frames`.
    fn submit(
        &self,
        request: Request,
        echo: Box<Echo>,
        permit: OwnedSemaphorePermit,
        now_seconds: u64,
        frames: &mut Vec<u8>,
    ) {
        let (outgoing, busy) = (self.outgoing.clone(), self.entry.busy());
        let reply = Reply::Tcp { outgoing, permit, busy, echo };
        if let Err(rejected) =
            self.shared.ingress.submissions.try_send(Submission { request, reply })
            && let Reply::Tcp { echo, .. } = rejected.into_inner().reply
        {
            let base = frames.len();
            frames.extend_from_slice(&[0, 0]);
            let reason = Some("too many updates are waiting");
            echo.write(Rcode::SERVFAIL, reason, now_seconds, frames);
            set_length(&mut frames[base..]);
        }
    }

    /// Writes the messages of a transfer on a thread that may block on a slow client.
    async fn transfer(&self, transfer: Transfer, now_seconds: u64) -> bool {
        let outgoing = self.outgoing.clone();
        let published = self.shared.ingress.zones.clone();
        let peer = self.client.peer;
        let _busy = self.entry.busy();
        let room = Arc::new(Semaphore::new(TRANSFER_MESSAGES_WAITING_MAX));
        let runtime = tokio::runtime::Handle::current();
        let sent = tokio::task::spawn_blocking(move || {
            let Transfer { zone, since, id, question, signed } = transfer;
            // What is newer than the serial is in the next one.
            let zone = zone.at_serial();
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
                    signer.sign(&mut message, LENGTH_OCTETS, now_seconds);
                }
                set_length(&mut message);
                // Where there is no more room, the client is slow: wait for it.
                let Ok(room) = runtime.block_on(Arc::clone(&room).acquire_owned()) else {
                    return false;
                };
                outgoing.blocking_send(Frame { octets: message, _room: Some(room) }).is_ok()
            });
        });
        sent.await.is_ok()
    }
}
