//! Power loss at any moment: what was acknowledged is there, whole and in order, and what was in
//! doubt is there in all logs or in none.

use einhorn_sim::disk::{Access, Fault, Outcome};
use einhorn_sim::random::Random;
use einhorn_store::engine::{Batch, Engine, EngineError, LogId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{
    LOGS, Logs, Machine, Parts, append, extend, latest_snapshot, lengths, random_parts, read_all,
};

const SEEDS: u64 = 300;

/// Power losses per seed, each followed by a restart.
const LOSSES: u64 = 4;

/// What an engine holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    logs: Logs,
    snapshot: Option<(u64, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Write {
    Append(u64, Parts),
    Snapshot(Vec<u8>),
    DropSnapshots,
    Forget(LogId),
    Maintain,
}

impl Content {
    /// The content after a write.
    fn take(&mut self, write: &Write) {
        match write {
            Write::Append(epoch, parts) => extend(&mut self.logs, *epoch, parts),
            Write::Snapshot(bytes) => self.snapshot = Some((self.entries(), bytes.clone())),
            Write::DropSnapshots => self.snapshot = None,
            Write::Forget(log) => {
                if self.logs.remove(log).is_some() {
                    self.snapshot = None;
                }
            }
            Write::Maintain => {}
        }
    }

    fn entries(&self) -> u64 {
        self.logs.values().map(|entries| entries.len() as u64).sum()
    }

    fn of(engine: &dyn Engine, context: &str) -> Content {
        let logs = read_all(engine, 100_000).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(engine.logs(), logs.keys().copied().collect::<Vec<_>>(), "{context}");
        for (log, entries) in &logs {
            assert_eq!(engine.next_index(*log), entries.len() as u64, "{context}: log {log}");
        }
        Content { logs, snapshot: latest_snapshot(engine.reader().unwrap().as_mut()) }
    }

    fn describe(&self) -> String {
        format!("{:?}, snapshot {:?}", lengths(&self.logs), self.snapshot.as_ref().map(|s| s.0))
    }
}

/// What the test was promised, and what it was not told about.
#[derive(Default)]
struct Promises {
    acknowledged: Content,
    epoch: u64,
    in_doubt: Option<Write>,
}

impl Promises {
    /// Performs a write; false if it failed.
    fn write(&mut self, engine: &mut dyn Engine, write: Write) -> bool {
        let result = match &write {
            Write::Append(epoch, parts) => append(engine, *epoch, parts),
            Write::Snapshot(bytes) => engine.save_snapshot(self.acknowledged.entries(), bytes),
            Write::DropSnapshots => engine.drop_snapshots(),
            Write::Forget(log) => engine.forget_log(*log),
            Write::Maintain => engine.maintain(),
        };
        match result {
            Ok(()) => self.acknowledged.take(&write),
            Err(EngineError::Io { .. } | EngineError::Poisoned { .. }) => {
                self.in_doubt = Some(write);
                return false;
            }
            Err(error) => panic!("{error}"),
        }
        true
    }

    /// Compares with what is there; says whether an append in doubt was kept.
    fn check(&mut self, engine: &dyn Engine, context: &str) -> Option<bool> {
        let found = Content::of(engine, context);
        let in_doubt = self.in_doubt.take();
        let mut possible = self.acknowledged.clone();
        in_doubt.iter().for_each(|write| possible.take(write));
        let is_kept = found != self.acknowledged;
        assert!(
            found == possible || !is_kept,
            "{context}: found {}, acknowledged {}, possible {}",
            found.describe(),
            self.acknowledged.describe(),
            possible.describe()
        );
        self.acknowledged = found;
        assert!(engine.epoch() <= self.epoch, "{context}");
        matches!(in_doubt, Some(Write::Append(..))).then_some(is_kept)
    }
}

#[test]
fn every_acknowledged_append_survives() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let machine = Machine::new(seed);
        let mut random = Random::new(!seed);
        let mut promises = Promises::default();
        for _ in 0..LOSSES {
            if random.one_in(2) {
                // Sometimes the power already fails while the logs are opened.
                let longest = if random.one_in(4) { 20 } else { 600 };
                machine.disk.halt_after(random.below(longest));
            } else {
                // The power fails within a sync: a part of what it should write is written.
                let sync = Fault::next(Access::Sync).after(random.below(30));
                machine.disk.schedule(sync.outcome(Outcome::Torn).lasting());
            }
            if let Ok(mut engine) = machine.try_open() {
                while random_writes(&mut engine, &mut promises, &mut random) {}
            }
            machine.disk.crash();
            let engine = machine.open();
            match promises.check(&engine, &format!("seed {seed}")) {
                Some(true) => kept += 1,
                Some(false) => lost += 1,
                None => {}
            }
        }
    }
    // Both outcomes of an append in doubt must occur, or the test proves little.
    assert!(kept > 10 && lost > 10, "in doubt: {kept} kept, {lost} lost");
}

/// An append, and now and then something else; false once one failed.
fn random_writes(engine: &mut dyn Engine, promises: &mut Promises, random: &mut Random) -> bool {
    promises.epoch += random.below(2);
    let log = LOGS[random.below(4) as usize];
    let snapshot = Write::Snapshot(vec![random.next_u64() as u8; 3_000_000]);
    let writes = [
        (30, snapshot),
        (60, Write::DropSnapshots),
        (20, Write::Forget(log)),
        (1, Write::Append(promises.epoch, random_parts(random))),
        (3, Write::Maintain),
    ];
    writes
        .into_iter()
        .all(|(rarity, write)| !random.one_in(rarity) || promises.write(engine, write))
}

fn any_write() -> impl Strategy<Value = Write> {
    let batch = vec((0..600_usize, 0..30_usize), 1..8).prop_map(|lengths| {
        let mut batch = Batch::new();
        for (index, (entry, audit)) in lengths.into_iter().enumerate() {
            batch.push(&vec![index as u8; entry], &vec![7; audit]).unwrap();
        }
        batch
    });
    let log = || prop::sample::select(LOGS.to_vec());
    let parts = vec((log(), batch), 1..=4);
    prop_oneof![
        8 => parts.prop_map(|mut parts| {
            // One part for each log: `append` finds where each begins.
            parts.sort_by_key(|(log, _)| *log);
            parts.dedup_by_key(|(log, _)| *log);
            Write::Append(1, parts)
        }),
        1 => (0..3000_usize).prop_map(|length| Write::Snapshot(vec![9; length])),
        1 => Just(Write::DropSnapshots),
        2 => log().prop_map(Write::Forget),
        2 => Just(Write::Maintain),
    ]
}

/// Runs the writes with the power failing after so many steps of the disk; false if it never did.
fn fails_after(steps: u64, seed: u64, writes: &[Write]) -> bool {
    let context = format!("power lost after {steps} steps");
    let machine = Machine::new(seed);
    let mut promises = Promises { epoch: 1, ..Promises::default() };
    machine.disk.halt_after(steps);
    let is_halted = match machine.try_open() {
        Ok(mut engine) => !writes.iter().all(|write| promises.write(&mut engine, write.clone())),
        Err(_) => true,
    };
    machine.disk.crash();
    let mut engine = machine.open();
    promises.check(&engine, &context);
    // What is there can be gone on with, and forgotten logs make room.
    let again = writes.iter().all(|write| promises.write(&mut engine, write.clone()));
    assert!(again, "{context}: {:?}", promises.in_doubt);
    promises.check(&engine, &context);
    is_halted
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 16, ..ProptestConfig::default()
    })]

    #[test]
    fn all_parts_of_an_append_or_none_at_every_step(
        seed in any::<u64>(), writes in vec(any_write(), 1..10)
    ) {
        let mut steps = 0;
        while fails_after(steps, seed, &writes) {
            steps += 1;
        }
    }
}
