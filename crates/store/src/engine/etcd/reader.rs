//! The reading side of the logs in etcd, on any node of the site.
//!
//! Each read takes the root and the runs at one revision, as a majority of etcd's members has it,
//! and trusts the root alone. It must never show what lies behind a log's end: that is staged.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp};

use super::super::batch::{FRAME_BYTES, Frames};
use super::super::ends::Ends as _;
use super::super::{EngineError, EngineReader, LogId, Visit};
use super::chunk::Chunk;
use super::connection::{Connection, EtcdPlace, Members};
use super::fence::{read_root, root_in, values_in};
use super::keys::Family;
use super::root::{End, Root};

/// The most runs asked for at once. All of them, if they are long, fit in an answer.
const RUNS_MAX: i64 = 64;

/// A reader.
pub struct EtcdReader {
    pub(super) connection: Arc<Connection>,
    /// The ids of logs, as last seen: only a guess, which each answer is checked against.
    ids: BTreeMap<LogId, u64>,
    /// How many runs to ask for, by what the last answer was like.
    runs: i64,
}

/// Runs of a log that was found to have this end.
struct Loaded {
    end: End,
    values: Vec<KeyValue>,
}

impl EtcdReader {
    /// Opens the logs at `place` for reading, on whichever node.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if the place's endpoints make no sense. Whether etcd can be
    /// reached shows at the first read.
    pub fn open(place: &EtcdPlace) -> Result<Self, EngineError> {
        Ok(Self::new(Connection::open(place)?))
    }

    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, ids: BTreeMap::new(), runs: 1 }
    }

    fn root(&self) -> Result<Root, EngineError> {
        Ok(read_root(&self.connection)?.root)
    }

    pub(super) fn corrupt(&self, place: String, what: &str) -> EngineError {
        let path = self.connection.place.name().into();
        EngineError::Corrupt { path, place, what: what.to_owned() }
    }

    /// The end of a log and, beyond `from`, up to `limit` of its values, at one revision. `None`
    /// if the log was never seen.
    fn load(
        &mut self,
        family: Family,
        log: LogId,
        from: u64,
        limit: i64,
    ) -> Result<Option<Loaded>, EngineError> {
        let keys = self.connection.place.keys.clone();
        loop {
            let guess = self.ids.get(&log).copied();
            let id = guess.unwrap_or(u64::MAX);
            let range = GetOptions::new().with_range(keys.behind(family, id)).with_limit(limit);
            let transaction = Txn::new().and_then([
                TxnOp::get(keys.root(), None),
                TxnOp::get(keys.value(family, id, from), Some(range)),
            ]);
            let response = self.connection.call("read the log", move |client| {
                let transaction = transaction.clone();
                async move { Members::reading(&client).txn(transaction).await }
            })?;
            let found = root_in(&self.connection, &response)?;
            let Some(end) = found.root.end(log) else {
                self.ids.remove(&log);
                return Ok(None);
            };
            if guess == Some(end.id) {
                let values = values_in(&response).pop().unwrap_or_default();
                return Ok(Some(Loaded { end, values }));
            }
            // Not known yet, or forgotten and begun anew.
            self.ids.insert(log, end.id);
        }
    }

    /// Asks for more runs next time if these were short.
    fn adapt(&mut self, values: &[KeyValue], max_bytes: usize) {
        let octets: usize = values.iter().map(|value| value.value().len()).sum();
        let each = (octets / values.len().max(1)).max(1);
        let wanted = i64::try_from(max_bytes / each + 1).unwrap_or(RUNS_MAX);
        self.runs = wanted.clamp(1, RUNS_MAX);
    }
}

/// Visits the entries of one run from `from` on; returns the index to go on from, and whether
/// there is room for more.
fn visit_run(
    chunk: &Chunk<'_>,
    from: u64,
    (visited, max_bytes): (&mut usize, usize),
    visit: &mut Visit<'_>,
) -> (u64, bool) {
    let mut next = from;
    for (index, entry) in (chunk.first..).zip(Frames::new(chunk.bytes)) {
        if index < from {
            continue;
        }
        if *visited > 0 && *visited + entry.len() > max_bytes {
            return (next, false);
        }
        visit(index, chunk.epoch, entry);
        *visited += entry.len() + FRAME_BYTES;
        next = index + 1;
    }
    (next, true)
}

impl EngineReader for EtcdReader {
    fn ends(&mut self) -> Result<Vec<(LogId, u64)>, EngineError> {
        Ok(self.root()?.ends.iter().map(|end| (end.log, end.next)).collect())
    }

    fn next_index(&mut self, log: LogId) -> Result<u64, EngineError> {
        Ok(self.root()?.next_index(log))
    }

    fn read(
        &mut self,
        log: LogId,
        from: u64,
        max_bytes: usize,
        visit: &mut Visit<'_>,
    ) -> Result<u64, EngineError> {
        let loaded = self.load(Family::Log, log, from, self.runs)?;
        let next = loaded.as_ref().map_or(0, |loaded| loaded.end.next);
        let Some(Loaded { end, values }) = loaded.filter(|_| from < next) else {
            let past_end = EngineError::PastEnd { log, asked: from, next };
            return if from == next { Ok(from) } else { Err(past_end) };
        };
        let (mut reached, mut visited) = (from, 0);
        for value in &values {
            let chunk = Chunk::decode(value.value(), Family::Log, log, end.id);
            let fits = |chunk: &Chunk<'_>| {
                let begins = chunk.first == reached || (reached == from && chunk.first < from);
                begins && chunk.end() > reached && chunk.end() <= end.next
            };
            let Some(chunk) = chunk.filter(fits) else { break };
            let room = (&mut visited, max_bytes);
            let (next, goes_on) = visit_run(&chunk, reached, room, visit);
            reached = next;
            if !goes_on {
                break;
            }
        }
        self.adapt(&values, max_bytes);
        if reached > from {
            return Ok(reached);
        }
        let what = match values.is_empty() {
            true => format!("no run holds it, although the log goes on to {next}"),
            false => "the run that should hold it is damaged".to_owned(),
        };
        Err(self.corrupt(format!("index {from} of log {log}"), &what))
    }

    fn latest_snapshot(
        &mut self,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<u64>, EngineError> {
        self.visit_latest_snapshot(visit)
    }

    fn audit(&mut self, log: LogId, index: u64) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(Loaded { end, values }) = self.load(Family::Audit, log, index, 1)? else {
            return Ok(None);
        };
        let Some(value) = values.first().filter(|_| index < end.next) else { return Ok(None) };
        let Some(chunk) = Chunk::decode(value.value(), Family::Audit, log, end.id) else {
            let place = format!("the audit values of log {log} from index {index} on");
            return Err(self.corrupt(place, "their checksum does not hold"));
        };
        // Entries without audit values may come before the run that was found.
        Ok(Frames::audit_value(chunk.bytes, chunk.first, index))
    }
}
