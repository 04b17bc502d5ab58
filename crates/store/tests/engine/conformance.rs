//! The suite that every engine passes: random operations, compared with logs in memory.

use std::collections::BTreeMap;

use einhorn_store::engine::{Batch, Engine, EngineError, EngineReader, LogId, Part, SqliteEngine};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{LOGS, Machine, latest_snapshot};

/// Where an engine's log lives; opening again after dropping the engine finds the same log.
pub(crate) trait Host {
    fn open(&mut self) -> Box<dyn Engine>;
}

/// Which of [`LOGS`].
type Which = usize;

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Append { parts: Vec<(Which, Values)>, raise_epoch: u64 },
    Conflict { which: Which, off_by: u64 },
    Fence,
    Read { which: Which, from: prop::sample::Index, max_bytes: usize },
    ReadPastEnd { which: Which },
    Snapshot { at: prop::sample::Index, bytes: Vec<u8> },
    DropSnapshots,
    Audit { which: Which, index: prop::sample::Index },
    Erase { which: Which, from: prop::sample::Index, count: u64 },
    Forget { which: Which },
    Maintain,
    Reopen,
}

/// Entries with their audit values.
type Values = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    let index = any::<prop::sample::Index>;
    let which = || 0..LOGS.len();
    let part = (which(), vec((bytes(400), bytes(40)), 0..12));
    prop_oneof![
        8 => (vec(part, 0..5), 0..2_u64)
            .prop_map(|(parts, raise_epoch)| Operation::Append { parts, raise_epoch }),
        1 => (which(), vec((Just(vec![7; 65_535]), Just(vec![])), 1..40))
            .prop_map(|part| Operation::Append { parts: vec![part], raise_epoch: 0 }),
        1 => (which(), 1..9_u64).prop_map(|(which, off_by)| Operation::Conflict { which, off_by }),
        1 => Just(Operation::Fence),
        4 => (which(), index(), 1..5000_usize)
            .prop_map(|(which, from, max_bytes)| Operation::Read { which, from, max_bytes }),
        1 => which().prop_map(|which| Operation::ReadPastEnd { which }),
        2 => (index(), bytes(5000)).prop_map(|(at, bytes)| Operation::Snapshot { at, bytes }),
        1 => Just(Operation::DropSnapshots),
        2 => (which(), index()).prop_map(|(which, index)| Operation::Audit { which, index }),
        2 => (which(), index(), 0..30_u64)
            .prop_map(|(which, from, count)| Operation::Erase { which, from, count }),
        1 => which().prop_map(|which| Operation::Forget { which }),
        2 => Just(Operation::Maintain),
        2 => Just(Operation::Reopen),
    ]
}

/// A log in memory: epochs, entries and audit values.
type Log = Vec<(u64, Vec<u8>, Vec<u8>)>;

#[derive(Default)]
struct Model {
    logs: [Log; LOGS.len()],
    epoch: u64,
    snapshots: BTreeMap<u64, Vec<u8>>,
}

/// Runs the operations on the host's engine and on the model, and compares every answer.
pub(crate) fn conforms(host: &mut dyn Host, operations: Vec<Operation>) {
    let mut model = Model::default();
    let mut engine = host.open();
    let mut reader = engine.reader().unwrap();
    for operation in operations {
        if matches!(operation, Operation::Reopen) {
            drop((engine, reader));
            engine = host.open();
            reader = engine.reader().unwrap();
        } else if !model.read(&operation, reader.as_mut()) {
            model.write(operation, engine.as_mut());
        }
        let ends = model.ends();
        let logs: Vec<_> = ends.iter().map(|(log, _)| *log).collect();
        assert_eq!((engine.logs(), reader.logs().unwrap()), (logs.clone(), logs));
        assert_eq!(reader.ends().unwrap(), ends);
        for (log, known) in LOGS.iter().zip(&model.logs) {
            assert_eq!(engine.next_index(*log), known.len() as u64);
            assert_eq!(reader.next_index(*log).unwrap(), known.len() as u64);
        }
        assert_eq!(engine.epoch(), model.epoch);
        let snapshot = model.snapshots.last_key_value().map(|(at, bytes)| (*at, bytes.clone()));
        assert_eq!(latest_snapshot(reader.as_mut()), snapshot);
    }
    for which in 0..LOGS.len() {
        model.read_from(which, 0, usize::MAX, reader.as_mut());
    }
}

impl Model {
    /// Where an index into a log points, the end included.
    fn place(&self, which: Which, index: &prop::sample::Index) -> u64 {
        index.index(self.logs[which].len() + 1) as u64
    }

    fn next(&self, which: Which) -> u64 {
        self.logs[which].len() as u64
    }

    fn entries(&self) -> u64 {
        self.logs.iter().map(|log| log.len() as u64).sum()
    }

    fn ends(&self) -> Vec<(LogId, u64)> {
        let ends = LOGS.iter().zip(&self.logs).map(|(log, known)| (*log, known.len() as u64));
        let mut ends: Vec<_> = ends.filter(|(_, end)| *end > 0).collect();
        ends.sort_unstable();
        ends
    }

    fn read_from(&self, which: Which, from: u64, max_bytes: usize, reader: &mut dyn EngineReader) {
        let mut seen = Vec::new();
        let reached = reader.read(LOGS[which], from, max_bytes, &mut |index, epoch, entry| {
            assert_eq!(index, from + seen.len() as u64);
            seen.push((epoch, entry.to_vec()));
        });
        assert_eq!(reached.unwrap(), from + seen.len() as u64);
        assert!(from == self.next(which) || !seen.is_empty(), "a read makes progress");
        for ((epoch, entry), known) in seen.iter().zip(&self.logs[which][from as usize..]) {
            assert_eq!((epoch, entry), (&known.0, &known.1));
        }
        let bytes: usize = seen.iter().skip(1).map(|(_, entry)| entry.len()).sum();
        assert!(bytes <= max_bytes, "a read is bounded");
    }

    /// Performs a reading operation; false if it is none.
    fn read(&self, operation: &Operation, reader: &mut dyn EngineReader) -> bool {
        match operation {
            Operation::Read { which, from, max_bytes } => {
                self.read_from(*which, self.place(*which, from), *max_bytes, reader);
            }
            Operation::ReadPastEnd { which } => {
                let next = self.next(*which);
                let nothing = &mut |_, _, _: &[u8]| panic!("nothing is there");
                let result = reader.read(LOGS[*which], next + 1, 1, nothing);
                let asked = next + 1;
                assert!(
                    matches!(result, Err(EngineError::PastEnd { log, asked: a, next: n })
                        if log == LOGS[*which] && a == asked && n == next),
                    "{result:?}"
                );
            }
            Operation::Audit { which, index } => {
                let index = self.place(*which, index);
                let known = self.logs[*which].get(index as usize).map(|entry| entry.2.clone());
                let known = known.filter(|audit| !audit.is_empty());
                assert_eq!(reader.audit(LOGS[*which], index).unwrap(), known);
            }
            _ => return false,
        }
        true
    }

    /// Performs a writing operation.
    fn write(&mut self, operation: Operation, engine: &mut dyn Engine) {
        match operation {
            Operation::Append { parts, raise_epoch } => self.append(parts, raise_epoch, engine),
            Operation::Conflict { which, off_by } => self.conflict(which, off_by, engine),
            Operation::Fence => {
                let Some(old) = self.epoch.checked_sub(1) else { return };
                let result = engine.append(old, &[]);
                assert!(matches!(result, Err(EngineError::Fenced { .. })), "{result:?}");
            }
            Operation::Snapshot { at, bytes } => {
                let at = at.index(self.entries() as usize + 1) as u64;
                engine.save_snapshot(at, &bytes).unwrap();
                self.snapshots.insert(at, bytes);
                while self.snapshots.len() > 2 {
                    self.snapshots.pop_first();
                }
                let past_end = engine.save_snapshot(self.entries() + 1, b"");
                assert!(matches!(past_end, Err(EngineError::SnapshotPastEnd { .. })));
            }
            Operation::DropSnapshots => {
                engine.drop_snapshots().unwrap();
                self.snapshots.clear();
            }
            Operation::Erase { which, from, count } => {
                let from = self.place(which, &from);
                let mut erased = 0;
                let entries = self.logs[which].iter_mut();
                for (_, _, audit) in entries.skip(from as usize).take(count as usize) {
                    erased += u64::from(!audit.is_empty());
                    audit.clear();
                }
                assert_eq!(engine.erase_audit(LOGS[which], from..from + count).unwrap(), erased);
            }
            Operation::Forget { which } => {
                engine.forget_log(LOGS[which]).unwrap();
                if !self.logs[which].is_empty() {
                    self.logs[which].clear();
                    self.snapshots.clear();
                }
            }
            Operation::Maintain => engine.maintain().unwrap(),
            Operation::Read { .. }
            | Operation::ReadPastEnd { .. }
            | Operation::Audit { .. }
            | Operation::Reopen => unreachable!("handled before"),
        }
    }

    fn append(&mut self, parts: Vec<(Which, Values)>, raise_epoch: u64, engine: &mut dyn Engine) {
        self.epoch += raise_epoch;
        let mut batches = Vec::new();
        for (which, values) in parts {
            let (mut batch, expected_next) = (Batch::new(), self.next(which));
            for (entry, audit) in values {
                batch.push(&entry, &audit).unwrap();
                self.logs[which].push((self.epoch, entry, audit));
            }
            batches.push((which, expected_next, batch));
        }
        let parts: Vec<_> = batches
            .iter()
            .map(|(which, expected_next, batch)| Part {
                log: LOGS[*which],
                expected_next: *expected_next,
                batch,
            })
            .collect();
        engine.append(self.epoch, &parts).unwrap();
    }

    /// One wrong part among right ones, and in another epoch: nothing of it is written.
    fn conflict(&self, which: Which, off_by: u64, engine: &mut dyn Engine) {
        let next = self.next(which);
        let mut batch = Batch::new();
        batch.push(b"never", b"").unwrap();
        let batch = &batch;
        let other = (which + 1) % LOGS.len();
        let right = Part { log: LOGS[other], expected_next: self.next(other), batch };
        for wrong in [Some(next + off_by), next.checked_sub(off_by)].into_iter().flatten() {
            let wrong_part = Part { log: LOGS[which], expected_next: wrong, batch };
            let result = engine.append(self.epoch + 1, &[right, wrong_part]);
            assert!(
                matches!(result, Err(EngineError::Conflict { log, expected, actual })
                    if log == LOGS[which] && expected == wrong && actual == next),
                "{result:?}"
            );
        }
    }
}

struct RealFolder(tempfile::TempDir);

impl Host for RealFolder {
    fn open(&mut self) -> Box<dyn Engine> {
        Box::new(SqliteEngine::open(self.0.path()).unwrap())
    }
}

impl Host for Machine {
    fn open(&mut self) -> Box<dyn Engine> {
        Box::new(Machine::open(self))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 40, ..ProptestConfig::default()
    })]

    #[test]
    fn sqlite_on_a_real_folder(operations in vec(operation(), 1..60)) {
        conforms(&mut RealFolder(tempfile::tempdir().unwrap()), operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 100, ..ProptestConfig::default()
    })]

    #[test]
    fn sqlite_on_a_simulated_disk(seed in any::<u64>(), operations in vec(operation(), 1..60)) {
        conforms(&mut Machine::new(seed), operations);
    }
}
