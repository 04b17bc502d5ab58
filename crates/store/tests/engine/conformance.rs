//! The suite that every engine passes: random operations, compared with a log in memory.

use std::collections::BTreeMap;

use einhorn_store::engine::{Batch, Engine, EngineError, EngineReader, SqliteEngine};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Machine, latest_snapshot};

/// Where an engine's log lives; opening again after dropping the engine finds the same log.
pub(crate) trait Host {
    fn open(&mut self) -> Box<dyn Engine>;
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Append { entries: Vec<(Vec<u8>, Vec<u8>)>, raise_epoch: u64 },
    Conflict { off_by: u64 },
    Fence,
    Read { from: prop::sample::Index, max_bytes: usize },
    ReadPastEnd,
    Snapshot { at: prop::sample::Index, bytes: Vec<u8> },
    Audit { index: prop::sample::Index },
    Erase { from: prop::sample::Index, count: u64 },
    Maintain,
    Reopen,
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (vec((bytes(400), bytes(40)), 0..12), 0..2_u64)
            .prop_map(|(entries, raise_epoch)| Operation::Append { entries, raise_epoch }),
        1 => vec((Just(vec![7; 65_535]), Just(vec![])), 1..40)
            .prop_map(|entries| Operation::Append { entries, raise_epoch: 0 }),
        1 => (1..9_u64).prop_map(|off_by| Operation::Conflict { off_by }),
        1 => Just(Operation::Fence),
        4 => (index(), 1..5000_usize)
            .prop_map(|(from, max_bytes)| Operation::Read { from, max_bytes }),
        1 => Just(Operation::ReadPastEnd),
        2 => (index(), bytes(5000)).prop_map(|(at, bytes)| Operation::Snapshot { at, bytes }),
        2 => index().prop_map(|index| Operation::Audit { index }),
        2 => (index(), 0..30_u64).prop_map(|(from, count)| Operation::Erase { from, count }),
        1 => Just(Operation::Maintain),
        2 => Just(Operation::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    entries: Vec<(u64, Vec<u8>, Vec<u8>)>,
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
        let next = model.entries.len() as u64;
        assert_eq!(engine.next_index(), next);
        assert_eq!(engine.epoch(), model.epoch);
        assert_eq!(reader.next_index().unwrap(), next);
        let snapshot = model.snapshots.last_key_value().map(|(at, bytes)| (*at, bytes.clone()));
        assert_eq!(latest_snapshot(reader.as_mut()), snapshot);
    }
    let everything = Operation::Read { from: any_index(), max_bytes: usize::MAX };
    model.read(&everything, reader.as_mut());
}

fn any_index() -> prop::sample::Index {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    any::<prop::sample::Index>().new_tree(&mut runner).unwrap().current()
}

impl Model {
    /// Where an index into the log points, the end included.
    fn place(&self, index: &prop::sample::Index) -> u64 {
        index.index(self.entries.len() + 1) as u64
    }

    /// Performs a reading operation; false if it is none.
    fn read(&self, operation: &Operation, reader: &mut dyn EngineReader) -> bool {
        let next = self.entries.len() as u64;
        match operation {
            Operation::Read { from, max_bytes } => {
                let from = self.place(from);
                let mut seen = Vec::new();
                let reached = reader.read(from, *max_bytes, &mut |index, epoch, entry| {
                    assert_eq!(index, from + seen.len() as u64);
                    seen.push((epoch, entry.to_vec()));
                });
                assert_eq!(reached.unwrap(), from + seen.len() as u64);
                assert!(from == next || !seen.is_empty(), "a read makes progress");
                for ((epoch, entry), known) in seen.iter().zip(&self.entries[from as usize..]) {
                    assert_eq!((epoch, entry), (&known.0, &known.1));
                }
                let bytes: usize = seen.iter().skip(1).map(|(_, entry)| entry.len()).sum();
                assert!(bytes <= *max_bytes, "a read is bounded");
            }
            Operation::ReadPastEnd => {
                let result = reader.read(next + 1, 1, &mut |_, _, _| panic!("nothing is there"));
                let asked = next + 1;
                assert!(
                    matches!(result, Err(EngineError::PastEnd { asked: a, next: n })
                        if a == asked && n == next),
                    "{result:?}"
                );
            }
            Operation::Audit { index } => {
                let index = self.place(index);
                let known = self.entries.get(index as usize).map(|(_, _, audit)| audit.clone());
                let known = known.filter(|audit| !audit.is_empty());
                assert_eq!(reader.audit(index).unwrap(), known);
            }
            _ => return false,
        }
        true
    }

    /// Performs a writing operation.
    fn write(&mut self, operation: Operation, engine: &mut dyn Engine) {
        let next = self.entries.len() as u64;
        match operation {
            Operation::Append { entries, raise_epoch } => {
                self.epoch += raise_epoch;
                let mut batch = Batch::new();
                for (entry, audit) in entries {
                    batch.push(&entry, &audit).unwrap();
                    self.entries.push((self.epoch, entry, audit));
                }
                engine.append(next, self.epoch, &batch).unwrap();
            }
            Operation::Conflict { off_by } => {
                for wrong in [Some(next + off_by), next.checked_sub(off_by)].into_iter().flatten() {
                    let mut batch = Batch::new();
                    batch.push(b"never", b"").unwrap();
                    let result = engine.append(wrong, self.epoch, &batch);
                    assert!(
                        matches!(result, Err(EngineError::Conflict { expected, actual })
                            if expected == wrong && actual == next),
                        "{result:?}"
                    );
                }
            }
            Operation::Fence => {
                let Some(old) = self.epoch.checked_sub(1) else { return };
                let result = engine.append(next, old, &Batch::new());
                assert!(matches!(result, Err(EngineError::Fenced { .. })), "{result:?}");
            }
            Operation::Snapshot { at, bytes } => {
                let at = self.place(&at);
                engine.save_snapshot(at, &bytes).unwrap();
                self.snapshots.insert(at, bytes);
                while self.snapshots.len() > 2 {
                    self.snapshots.pop_first();
                }
                let past_end = engine.save_snapshot(next + 1, b"");
                assert!(matches!(past_end, Err(EngineError::PastEnd { .. })));
            }
            Operation::Erase { from, count } => {
                let from = self.place(&from);
                let mut erased = 0;
                for (_, _, audit) in
                    self.entries.iter_mut().skip(from as usize).take(count as usize)
                {
                    erased += u64::from(!audit.is_empty());
                    audit.clear();
                }
                assert_eq!(engine.erase_audit(from..from + count).unwrap(), erased);
            }
            Operation::Maintain => engine.maintain().unwrap(),
            Operation::Read { .. }
            | Operation::ReadPastEnd
            | Operation::Audit { .. }
            | Operation::Reopen => unreachable!("handled before"),
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
