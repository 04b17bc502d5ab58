//! Following the logs on a node that does not lead.
//!
//! A watch of the root wakes the follower, and does nothing else: what there is to read, the
//! root says, and indices are dense, so nothing can be missed. A watch may be late, break, be silent for
//! ever or lose its place to a compaction; it must never be what an entry depends on. It is made
//! anew when it breaks, and the root is looked at now and then in any case.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::Client;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::{EngineError, EngineReader, LogId};
use super::connection::{Connection, EtcdPlace, Members};
use super::reader::EtcdReader;

/// How long to wait before a watch that broke is made anew.
const WATCH_PAUSE: Duration = Duration::from_millis(100);

/// A reader that can wait for entries.
pub struct EtcdFollower {
    reader: EtcdReader,
    changed: Arc<Notify>,
    watcher: JoinHandle<()>,
}

impl EtcdFollower {
    /// Follows the logs at `place`.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if the place's endpoints make no sense.
    pub fn open(place: &EtcdPlace) -> Result<Self, EngineError> {
        let connection = Connection::open(place)?;
        let changed = Arc::new(Notify::new());
        let watcher = {
            let (members, changed) = (Arc::clone(&connection.members), Arc::clone(&changed));
            let key = connection.place.keys.root();
            connection.handle.spawn(async move { keep_watching(&members, &key, &changed).await })
        };
        Ok(Self { reader: EtcdReader::new(connection), changed, watcher })
    }

    /// The ends of all logs, as soon as they differ from `known`, or when `patience` is over. A log that
    /// is missing or ends earlier than it did was removed and begins anew.
    ///
    /// # Errors
    /// As [`EngineReader::ends`]. The follower goes on: call again.
    pub fn await_ends(
        &mut self,
        known: &[(LogId, u64)],
        patience: Duration,
    ) -> Result<Vec<(LogId, u64)>, EngineError> {
        let end = Instant::now() + patience;
        loop {
            let ends = self.reader.ends()?;
            let left = end.saturating_duration_since(Instant::now());
            if ends != known || left.is_zero() {
                return Ok(ends);
            }
            let connection = &self.reader.connection;
            let recheck = left.min(connection.limits().recheck);
            // Whether it was the watch or the time makes no difference. A change since the look is
            // remembered.
            let changed = Arc::clone(&self.changed).notified_owned();
            let wait = async move { tokio::time::timeout(recheck, changed).await.is_ok() };
            if connection.wait(wait).is_none() {
                return Ok(ends);
            }
        }
    }
}

impl Deref for EtcdFollower {
    type Target = EtcdReader;

    fn deref(&self) -> &EtcdReader {
        &self.reader
    }
}

impl DerefMut for EtcdFollower {
    fn deref_mut(&mut self) -> &mut EtcdReader {
        &mut self.reader
    }
}

impl Drop for EtcdFollower {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Watches a key for ever, at one member after the other, and tells of each change.
async fn keep_watching(members: &Members, key: &str, changed: &Notify) {
    loop {
        let (at, client) = members.preferred();
        if let Err(error) = watch(client, key, changed).await {
            tracing::debug!(member = at, %error, "a watch broke");
        }
        members.prefer_next_to(at);
        // There may have been changes until now, and there may be until the next watch begins.
        changed.notify_one();
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// Watches from now on, until the watch breaks.
async fn watch(mut client: Client, key: &str, changed: &Notify) -> Result<(), etcd_client::Error> {
    let mut stream = client.watch(key, None).await?;
    while let Some(message) = stream.message().await? {
        // Its first message says that it has begun: a change before that is found by the look
        // that follows.
        changed.notify_one();
        if message.canceled() {
            break;
        }
    }
    Ok(())
}
