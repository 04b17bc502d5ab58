//! Removing things: audit values, forgotten logs, history that nobody needs.
//!
//! It must never touch an entry of a log that the root has.

use std::ops::Range;

use etcd_client::{CompactionOptions, Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp};

use super::super::batch::{Frames, push_frame};
use super::super::{EngineError, LogId};
use super::EtcdEngine;
use super::chunk::Chunk;
use super::connection::Members;
use super::keys::{self, Family};
use super::root::End;
use super::snapshot::delete_all_pieces;

/// Runs of audit values that are looked at together.
const ERASED_RUNS_AT_ONCE: i64 = 32;

/// Keys of a forgotten log that one step frees.
const FREED_KEYS_AT_ONCE: i64 = 128;

/// Revisions after which the history of what was replaced is dropped. Followers that are behind
/// read anew.
const HISTORY_REVISIONS: i64 = 10_000;

impl EtcdEngine {
    /// Erases values, and drops the history that still has them.
    pub(super) fn erase_values(
        &mut self,
        log: LogId,
        indices: Range<u64>,
    ) -> Result<u64, EngineError> {
        let Some(end) = self.writer.root.end(log) else { return Ok(0) };
        let stop = indices.end.min(end.next);
        let (mut erased, mut from) = (0, indices.start);
        while from < stop {
            let runs = self.audit_runs(end, from)?;
            let Some(last) = runs.last() else { break };
            for run in &runs {
                erased += self.erase_run(end, run, from..stop)?;
            }
            from = self.decode_audit(end, last)?.end().max(from + 1);
        }
        if erased > 0 {
            // A write of the root makes late repetitions of these writes fail.
            let root = self.writer.root.clone();
            self.writer.commit(&self.connection, "erase audit values", root, Vec::new())?;
            self.drop_history(true)?;
        }
        Ok(erased)
    }

    /// The runs of audit values from an index on.
    fn audit_runs(&self, end: End, from: u64) -> Result<Vec<KeyValue>, EngineError> {
        let keys = &self.connection.place.keys;
        let key = keys.value(Family::Audit, end.id, from);
        let options = GetOptions::new()
            .with_range(keys.behind(Family::Audit, end.id))
            .with_limit(ERASED_RUNS_AT_ONCE);
        let mut response = self.connection.call("read audit values", move |client| {
            let (key, options) = (key.clone(), options.clone());
            async move { Members::reading(&client).get(key, Some(options)).await }
        })?;
        Ok(response.take_kvs())
    }

    fn decode_audit<'a>(&self, end: End, run: &'a KeyValue) -> Result<Chunk<'a>, EngineError> {
        Chunk::decode(run.value(), Family::Audit, end.log, end.id).ok_or_else(|| {
            EngineError::Corrupt {
                path: self.connection.place.name().into(),
                place: format!("audit values of log {}", end.log),
                what: "their checksum does not hold".to_owned(),
            }
        })
    }

    /// Puts a run without the values in `indices`, or deletes it if none is left.
    fn erase_run(&self, end: End, run: &KeyValue, indices: Range<u64>) -> Result<u64, EngineError> {
        let chunk = self.decode_audit(end, run)?;
        let (mut bytes, mut erased, mut left) = (Vec::with_capacity(chunk.bytes.len()), 0, 0);
        for (index, value) in (chunk.first..).zip(Frames::new(chunk.bytes)) {
            let is_erased = indices.contains(&index) && !value.is_empty();
            let kept = if is_erased { &[] } else { value };
            erased += u64::from(is_erased);
            left += usize::from(!kept.is_empty());
            push_frame(&mut bytes, kept);
        }
        if erased > 0 {
            let keys = &self.connection.place.keys;
            let operation = match left {
                0 => TxnOp::delete(run.key(), None),
                _ => Chunk { bytes: &bytes, ..chunk }.put(keys, Family::Audit, end.log, end.id),
            };
            // Only while it is as it was read: a late repetition must not bring values back.
            let compare = Compare::mod_revision(run.key(), CompareOp::Equal, run.mod_revision());
            let guarded = Txn::new().when([compare]).and_then([operation]);
            self.writer.stage(&self.connection, "erase audit values", vec![TxnOp::txn(guarded)])?;
        }
        Ok(erased)
    }

    /// Removes a log and all snapshots; its values are freed later.
    pub(super) fn hide_log(&mut self, log: LogId) -> Result<(), EngineError> {
        let Some(root) = self.writer.root.without(log) else { return Ok(()) };
        let delete = delete_all_pieces(&self.connection.place.keys);
        self.writer.commit(&self.connection, "forget a log", root, vec![delete])
    }

    /// Frees some values of a forgotten log.
    pub(super) fn free_some(&mut self) -> Result<(), EngineError> {
        const DOING: &str = "free a forgotten log";
        let Some(&id) = self.writer.root.forgotten.first() else { return Ok(()) };
        for family in [Family::Log, Family::Audit] {
            let keys = &self.connection.place.keys;
            let (first, behind) = (keys.value(family, id, 0), keys.behind(family, id));
            let options = GetOptions::new()
                .with_range(behind)
                .with_keys_only()
                .with_limit(FREED_KEYS_AT_ONCE);
            let from = first.clone();
            let response = self.connection.call(DOING, move |mut client| {
                let (from, options) = (from.clone(), options.clone());
                async move { client.get(from, Some(options)).await }
            })?;
            if let Some(last) = response.kvs().last() {
                // What lies before the successor of the last key.
                let end = [last.key(), &[0]].concat();
                let delete = keys::delete(first, end);
                return self.writer.stage(&self.connection, DOING, vec![delete]);
            }
        }
        let mut root = self.writer.root.clone();
        root.forgotten.remove(0);
        self.writer.commit(&self.connection, DOING, root, Vec::new())
    }

    /// Drops what was replaced or deleted, once there is enough of it.
    pub(super) fn drop_history_if_due(&mut self) {
        if self.writer.revision() - self.compacted < HISTORY_REVISIONS {
            return;
        }
        if let Err(error) = self.drop_history(false) {
            tracing::warn!(log = %self.connection.place.name(), %error, "etcd keeps its history");
            // It is tried again, but not at each write.
            self.compacted = self.writer.revision();
        }
    }

    /// Drops what was replaced or deleted before the last write. `physical` waits until it is gone
    /// from etcd's database, where only free pages still have its octets.
    fn drop_history(&mut self, physical: bool) -> Result<(), EngineError> {
        let revision = self.writer.revision();
        let result = self.connection.call("drop etcd's history", move |mut client| async move {
            let options = physical.then(|| CompactionOptions::new().with_physical());
            client.compact(revision, options).await
        });
        // A compaction that came before is as good: by another client, or by an attempt whose
        // answer was lost.
        match result {
            Ok(_) => {}
            Err(error) if error.is_compacted() => {}
            Err(error) => return Err(error),
        }
        self.compacted = revision;
        Ok(())
    }
}
