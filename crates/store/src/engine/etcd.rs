//! The distributed engine: logs in etcd, so that several nodes form one site.
//!
//! Nothing is visible unless the *root* says so. The root is one key; it says where each log ends,
//! which epoch it is, and which snapshots there are. Each write replaces it in one etcd transaction that
//! compares its revision (and thereby the epoch and each log's next index at once) and, where there
//! is an election, that the leader's key is still the one of this leader. It must never write
//! anything without that comparison, never answer `Ok` before etcd has answered that the root
//! was replaced, and never let an entry's index be decided by anything but the root.
//!
//! # The keys
//! All lie below the place's prefix, such as `einhorn/1/`; numbers are 16 hexadecimal digits, so
//! that keys sort as numbers do.
//!
//! | key | value |
//! |---|---|
//! | `root` | writer, sequence, epoch, (log, id, next index) of each log, ids of forgotten logs, snapshots, a checksum |
//! | `log/ID/LAST` | a run of framed entries of the log with this id, the last of which has this index; epoch and checksum |
//! | `audit/ID/LAST` | the audit values of that run; left out if there are none |
//! | `piece/ID/NUMBER` | a piece of the snapshot with this id |
//! | `settled/NAME` | what the first node that said anything of NAME said: see [`EtcdElection::settle`] |
//! | `leader` | the name of the node that leads, under its lease; its create revision is the epoch |
//!
//! A run has its *last* index as key, so that the run that holds an index is the first one from
//! that index on: etcd finds it without sorting. Ids are given once, so that a log that was
//! forgotten and begins anew shares no key with what it was.
//!
//! # One transaction, or several
//! etcd takes requests of 1.5 MiB and 128 operations. What does not fit is *staged*: runs are put
//! behind the log's end in transactions of their own, each under the same comparison, and become
//! visible together when the last one replaces the root. What a writer staged and never made
//! visible is removed by the next one.
//!
//! # Unknown outcomes
//! A request that is not answered may have been done, or may be done later. It is sent again as it
//! is: its comparison lets only one of them through. The root names its writer, a number drawn at
//! opening, and counts its writes, so that a writer recognises its own. If etcd answers nothing
//! until the deadline, the engine is poisoned. Opening replaces the root, so that whatever is
//! still on its way comes too late.
//!
//! # What differs from a local disk
//! Erased audit values are gone from every revision that etcd shows, but etcd's own files keep the
//! octets until its members have been defragmented and have dropped their old write-ahead logs.
//! Nor can a failed sync or a full disk be told apart here: that is between etcd and its disks.

mod chunk;
mod connection;
mod election;
mod erase;
mod fence;
mod follow;
mod keys;
mod reader;
mod root;
mod snapshot;

use std::ops::Range;
use std::sync::Arc;

use etcd_client::TxnOp;
use tokio::sync::watch;

pub use self::connection::{EtcdLimits, EtcdPlace};
pub use self::election::{EtcdElection, EtcdLeader, EtcdLeadership};
pub use self::follow::EtcdFollower;
pub use self::reader::EtcdReader;

use self::chunk::Chunk;
use self::connection::Connection;
use self::fence::Writer;
use self::keys::Family;
use self::root::Root;
use super::ends::Ends as _;
use super::{Engine, EngineError, EngineReader, LogId, Part};

/// The most octets of entries, and of audit values, in one run: with both of them, a request stays
/// well below etcd's limit.
const CHUNK_BYTES_MAX: usize = 1 << 19;

/// The most entries of one run: bounds what a reader of one entry has to load.
const CHUNK_ENTRIES_MAX: usize = 4096;

/// The most octets that one transaction puts, keys and the root left out; etcd takes 1.5 MiB.
const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// The most operations of one transaction beside the root; etcd takes 128.
const TRANSACTION_OPERATIONS_MAX: usize = 100;

/// The writing side of the logs in etcd.
pub struct EtcdEngine {
    connection: Arc<Connection>,
    writer: Writer,
    /// The first failed write.
    poison: Option<Arc<EngineError>>,
    /// The revision up to which the history was dropped, as far as this engine knows.
    compacted: i64,
    /// Told when this engine can write no more, if it is a leader's.
    over: Option<Arc<watch::Sender<bool>>>,
}

impl EtcdEngine {
    /// Opens the logs at `place` without an election: every engine that was opened there before
    /// can write no more.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`], [`EngineError::Refused`] or [`EngineError::QuotaFull`] from
    /// etcd; [`EngineError::Corrupt`], [`EngineError::NewerFormat`], [`EngineError::NotALog`].
    pub fn open(place: &EtcdPlace) -> Result<Self, EngineError> {
        Self::open_on(Connection::open(place)?, None)
    }

    /// Opens the logs as the node that leads. The engine's epoch becomes that of the leadership,
    /// and its writes fail with [`EngineError::Fenced`] from the moment when that is over. It is
    /// also over once a write of this engine has failed: a leader that cannot write is none.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if the leadership is over already; else as [`EtcdEngine::open`].
    pub fn open_as_leader(leadership: &EtcdLeadership) -> Result<Self, EngineError> {
        let mut engine =
            Self::open_on(Arc::clone(leadership.connection()), Some(leadership.epoch()))?;
        engine.over = Some(leadership.over());
        Ok(engine)
    }

    fn open_on(connection: Arc<Connection>, leader: Option<u64>) -> Result<Self, EngineError> {
        let writer = Writer::open(&connection, leader)?;
        let compacted = writer.revision();
        let engine = Self { connection, writer, poison: None, compacted, over: None };
        engine.remove_staged()?;
        Ok(engine)
    }

    /// Removes what earlier writers staged behind the ends of the logs and never made visible.
    fn remove_staged(&self) -> Result<(), EngineError> {
        const DOING: &str = "remove what was never made visible";
        let keys = &self.connection.place.keys;
        let root = &self.writer.root;
        let mut deletes: Vec<_> =
            Family::ALL.iter().map(|family| keys.delete_ids_from(*family, root.next_id)).collect();
        for end in root.ends.iter() {
            deletes.push(keys.delete_from(Family::Log, end.id, end.next));
            deletes.push(keys.delete_from(Family::Audit, end.id, end.next));
        }
        for some in deletes.chunks(TRANSACTION_OPERATIONS_MAX) {
            self.writer.stage(&self.connection, DOING, some.to_vec())?;
        }
        Ok(())
    }

    /// Runs one write; a failure poisons the engine.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match self.poison.as_deref() {
            // Whoever is no longer the leader shall hear that each time.
            Some(fenced @ (EngineError::Fenced { .. } | EngineError::Superseded { .. })) => {
                return Err(fenced.clone());
            }
            Some(cause) => return Err(EngineError::Poisoned { cause: Arc::new(cause.clone()) }),
            None => {}
        }
        write(self).inspect_err(|error| {
            tracing::error!(log = %self.connection.place.name(), %error, "the log takes no more writes");
            self.poison = Some(Arc::new(error.clone()));
            self.over.iter().for_each(|over| {
                over.send_replace(true);
            });
        })
    }

    fn append_runs(&mut self, root: Root, parts: &[Part<'_>]) -> Result<(), EngineError> {
        const DOING: &str = "append";
        let mut group = Group::default();
        for part in parts {
            // Without entries, the log may not have begun.
            let Some(end) = root.end(part.log) else { continue };
            let mut first = part.expected_next;
            for run in part.batch.runs(CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX) {
                let chunk =
                    |bytes| Chunk { first, count: run.count as u32, epoch: root.epoch, bytes };
                let (entries, audit) = (chunk(run.entries), chunk(run.audit));
                let octets = run.entries.len() + run.audit.len();
                if !group.has_room_for(octets) {
                    let staged = std::mem::take(&mut group);
                    self.writer.stage(&self.connection, DOING, staged.operations)?;
                }
                let keys = &self.connection.place.keys;
                group.bytes += octets;
                group.operations.push(entries.put(keys, Family::Log, part.log, end.id));
                if !run.audit.is_empty() {
                    group.operations.push(audit.put(keys, Family::Audit, part.log, end.id));
                }
                first += run.count as u64;
            }
            debug_assert_eq!(first, part.expected_next + part.batch.len() as u64);
        }
        self.writer.commit(&self.connection, DOING, root, group.operations)
    }
}

/// What one transaction puts.
#[derive(Default)]
struct Group {
    operations: Vec<TxnOp>,
    bytes: usize,
}

impl Group {
    /// Whether a run of so many octets, entries and audit values, still fits in.
    fn has_room_for(&self, octets: usize) -> bool {
        self.operations.is_empty()
            || (self.bytes + octets <= TRANSACTION_BYTES_MAX
                && self.operations.len() + 2 <= TRANSACTION_OPERATIONS_MAX)
    }
}

impl Engine for EtcdEngine {
    fn logs(&self) -> Vec<LogId> {
        self.writer.root.ends.iter().map(|end| end.log).collect()
    }

    fn next_index(&self, log: LogId) -> u64 {
        self.writer.root.next_index(log)
    }

    fn epoch(&self) -> u64 {
        self.writer.root.epoch
    }

    fn append(&mut self, epoch: u64, parts: &[Part<'_>]) -> Result<(), EngineError> {
        let root = self.writer.root.after(epoch, parts)?;
        self.write(|engine| {
            if root == engine.writer.root {
                return Ok(());
            }
            engine.append_runs(root, parts)
        })
    }

    fn save_snapshot(&mut self, tag: u64, bytes: &[u8]) -> Result<(), EngineError> {
        let entries = self.writer.root.entries();
        if tag > entries {
            return Err(EngineError::SnapshotPastEnd { tag, entries });
        }
        self.write(|engine| engine.write_snapshot(tag, bytes))
    }

    fn drop_snapshots(&mut self) -> Result<(), EngineError> {
        self.write(Self::delete_snapshots)
    }

    fn forget_log(&mut self, log: LogId) -> Result<(), EngineError> {
        self.write(|engine| engine.hide_log(log))
    }

    fn erase_audit(&mut self, log: LogId, indices: Range<u64>) -> Result<u64, EngineError> {
        self.write(|engine| engine.erase_values(log, indices))
    }

    fn maintain(&mut self) -> Result<(), EngineError> {
        self.write(|engine| {
            engine.free_some()?;
            engine.drop_history_if_due();
            Ok(())
        })
    }

    fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError> {
        Ok(Box::new(EtcdReader::new(Arc::clone(&self.connection))))
    }
}
