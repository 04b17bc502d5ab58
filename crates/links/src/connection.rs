//! One connection: a task that reads and writes until either fails, the other side falls silent, or
//! somebody asks it to close.
//!
//! It tells the caller of its beginning and end, and keeps the order that [`Event`] promises. It
//! never decides whether it should exist.

use crate::frame::{Frame, header_of_data};
use crate::identity::Fingerprint;
use crate::queue::{Queue, octets_counted};
use crate::table::{Candidate, Table};
use crate::{Event, KEEPALIVE_INTERVAL, SILENCE_MAX};
use crossbeam_channel::TrySendError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsStream;

/// How long a connection that is to close may take to say so.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(200);
/// How often it is tried again to hand over an event while the channel is full.
const FULL_CHANNEL_INTERVAL: Duration = Duration::from_millis(1);
/// Octets of room made before each read.
const READ_OCTETS: usize = 64 << 10;
/// A buffer that grew beyond this for a long frame is given back.
const KEPT_BUFFER_OCTETS_MAX: usize = 1 << 20;
/// Frames are copied together up to this many octets and written at once; longer ones are written
/// from where they are.
const BATCH_OCTETS: usize = 64 << 10;

/// What others know of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) site: u16,
    pub(crate) version: u16,
    pub(crate) fingerprint: Fingerprint,
    /// Of the other side.
    pub(crate) instance: u64,
    pub(crate) address: SocketAddr,
    pub(crate) dialled_here: bool,
    pub(crate) since: SystemTime,
    pub(crate) queue: Queue,
    closing: watch::Sender<Option<String>>,
}

impl Connection {
    pub(crate) fn new(id: u64, version: u16, candidate: &Candidate) -> Connection {
        Connection {
            id,
            site: candidate.site,
            version,
            fingerprint: candidate.fingerprint,
            instance: candidate.preface.instance,
            address: candidate.address,
            dialled_here: candidate.dialled_here,
            since: SystemTime::now(),
            queue: Queue::default(),
            closing: watch::Sender::new(None),
        }
    }

    /// Asks the connection to end; it takes no more frames from now on.
    pub(crate) fn close(&self, reason: &str) {
        self.queue.close();
        self.closing.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Waits until somebody asks it to end, and says why.
    async fn asked_to_close(&self) -> String {
        let mut closing = self.closing.subscribe();
        match closing.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender is part of `self`.
            Err(_) => String::new(),
        }
    }
}

/// The order of events between the connections of one site.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Whether the connection before this one has said all.
    pub(crate) previous: Option<watch::Receiver<bool>>,
    /// Whether this one has.
    pub(crate) ended: watch::Sender<bool>,
}

/// Waits until the connection before has said its last word.
async fn wait_for(previous: &mut Option<watch::Receiver<bool>>) {
    if let Some(previous) = previous {
        // An error is a task that is gone, which says nothing more either.
        let _ = previous.wait_for(|ended| *ended).await;
    }
}

/// What TLS carries before there are frames.
pub(crate) struct Opening {
    /// To be written before anything else.
    pub(crate) to_write: Vec<u8>,
    /// Came after the preface.
    pub(crate) received: Vec<u8>,
}

/// Runs an adopted connection until it ends.
pub(crate) async fn run(
    table: Arc<Table>,
    connection: Arc<Connection>,
    mut tail: Tail,
    stream: TlsStream<TcpStream>,
    opening: Opening,
) {
    let (reading, writing) = tokio::io::split(stream);
    let mut up = false;
    let reason = {
        let to_write = opening.to_write;
        let reader = async {
            wait_for(&mut tail.previous).await;
            read(&table, &connection, reading, opening.received, &mut up).await
        };
        let given_up = async {
            let reason = connection.asked_to_close().await;
            sleep(CLOSE_TIME_MAX).await;
            reason
        };
        tokio::select! {
            reason = reader => reason,
            reason = write(&connection, writing, to_write) => reason,
            reason = given_up => reason,
        }
    };
    connection.queue.close();
    table.ended(&connection, &reason);
    wait_for(&mut tail.previous).await;
    if up {
        tracing::warn!(site = connection.site, connection = connection.id, reason, "link ended");
        let (site, connection) = (connection.site, connection.id);
        deliver(&table, Event::Down { site, connection, reason }).await;
    }
    tail.ended.send_replace(true);
}

/// Hands an event to the caller, however long that takes; `false` if nobody is there any more.
async fn deliver(table: &Table, mut event: Event) -> bool {
    loop {
        event = match table.events.try_send(event) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(_)) if table.is_closed() => return false,
            Err(TrySendError::Full(event)) => event,
        };
        sleep(FULL_CHANNEL_INTERVAL).await;
    }
}

/// Hands everything that comes to the caller, and returns why that ended.
async fn read(
    table: &Table,
    connection: &Connection,
    mut reading: ReadHalf<TlsStream<TcpStream>>,
    mut buffer: Vec<u8>,
    up: &mut bool,
) -> String {
    let (site, version, id) = (connection.site, connection.version, connection.id);
    if !deliver(table, Event::Up { site, version, connection: id }).await {
        return "nobody listens".to_owned();
    }
    *up = true;
    tracing::info!(site, connection = id, version, address = %connection.address, "link is up");
    let mut silence = pin!(sleep(SILENCE_MAX));
    loop {
        if let Err(reason) = hand_over(table, connection, &mut buffer).await {
            return reason;
        }
        // Silence counts only while this side listens.
        let listening_since = Instant::now();
        buffer.reserve(READ_OCTETS);
        let read = loop {
            tokio::select! {
                biased;
                read = reading.read_buf(&mut buffer) => break read,
                () = &mut silence => {
                    // One timer for many reads: it looks again when it fires.
                    if listening_since.elapsed() >= SILENCE_MAX {
                        return format!("nothing came for {} s", SILENCE_MAX.as_secs());
                    }
                    silence.as_mut().reset(listening_since + SILENCE_MAX);
                }
            }
        };
        match read {
            Ok(0) => return "the other side closed the connection without a word".to_owned(),
            Ok(_) => {}
            Err(error) => return in_words(&error),
        }
    }
}

/// Hands over the frames that are complete, and keeps the rest in `buffer`.
async fn hand_over(
    table: &Table,
    connection: &Connection,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    let mut start = 0;
    while let Some((frame, length)) =
        Frame::parse(&buffer[start..]).map_err(|error| format!("the other side sent {error}"))?
    {
        start += length;
        match frame {
            Frame::Alive => {}
            Frame::Data(octets) => {
                let (site, connection) = (connection.site, connection.id);
                let event = Event::Frame { site, connection, octets: octets.to_vec() };
                if !deliver(table, event).await {
                    return Err("nobody listens".to_owned());
                }
            }
            Frame::Close(reason) => return Err(format!("the other side closed it: {reason}")),
            Frame::Welcome => return Err("the other side greeted twice".to_owned()),
        }
    }
    buffer.drain(..start);
    if buffer.is_empty() && buffer.capacity() > KEPT_BUFFER_OCTETS_MAX {
        *buffer = Vec::new();
    }
    Ok(())
}

/// Writes what the caller hands over, and returns why that ended.
async fn write(
    connection: &Connection,
    mut writing: WriteHalf<TlsStream<TcpStream>>,
    opening: Vec<u8>,
) -> String {
    let mut batch = opening;
    let mut frames = Vec::new();
    let mut alive = interval(KEEPALIVE_INTERVAL);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked_to_close = pin!(connection.asked_to_close());
    loop {
        let written = async {
            writing.write_all(&batch).await?;
            batch.clear();
            write_frames(connection, &mut writing, &mut batch, &mut frames).await?;
            writing.flush().await
        };
        if let Err(error) = written.await {
            return in_words(&error);
        }
        tokio::select! {
            biased;
            reason = &mut asked_to_close => {
                Frame::Close(&reason).write(&mut batch);
                // The other side may be gone, which is no reason to say something else.
                if writing.write_all(&batch).await.is_ok() {
                    let _ = writing.shutdown().await;
                }
                return reason;
            }
            () = connection.queue.take(&mut frames) => {}
            _ = alive.tick() => Frame::Alive.write(&mut batch),
        }
    }
}

/// Writes all frames, which the stream may keep until it is flushed.
async fn write_frames(
    connection: &Connection,
    writing: &mut WriteHalf<TlsStream<TcpStream>>,
    batch: &mut Vec<u8>,
    frames: &mut Vec<Vec<u8>>,
) -> io::Result<()> {
    let mut octets_batched = 0;
    for frame in frames.drain(..) {
        batch.extend_from_slice(&header_of_data(frame.len()));
        let long = frame.len() > BATCH_OCTETS;
        if !long {
            batch.extend_from_slice(&frame);
        }
        octets_batched += octets_counted(&frame);
        if long || batch.len() > BATCH_OCTETS {
            writing.write_all(batch).await?;
            batch.clear();
            if long {
                writing.write_all(&frame).await?;
            }
            connection.queue.written(octets_batched);
            octets_batched = 0;
        }
    }
    writing.write_all(batch).await?;
    batch.clear();
    connection.queue.written(octets_batched);
    Ok(())
}

/// What went wrong with a connection, for people.
pub(crate) fn in_words(error: &io::Error) -> String {
    use rustls::AlertDescription::{AccessDenied, NoApplicationProtocol};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(rustls::Error::AlertReceived(AccessDenied)), _) => {
            "the other site does not accept our certificate: has it been given our card?".to_owned()
        }
        (Some(rustls::Error::AlertReceived(NoApplicationProtocol)), _) => {
            "whoever listens there speaks TLS, but is not a site".to_owned()
        }
        (None, io::ErrorKind::UnexpectedEof) => "the other side closed the connection".to_owned(),
        _ => error.to_string(),
    }
}
