//! Power loss at any moment: what was acknowledged is there, whole and in order.

use einhorn_sim::disk::{Access, Fault, Outcome};
use einhorn_sim::random::Random;
use einhorn_store::engine::{Batch, Engine, EngineError};

use crate::support::{Entry, Machine, extend, latest_snapshot, random_batch, read_all};

const SEEDS: u64 = 300;

/// Power losses per seed, each followed by a restart.
const LOSSES: u64 = 4;

/// What the test was promised, and what it was not told about.
#[derive(Default)]
struct Promises {
    acknowledged: Vec<Entry>,
    epoch: u64,
    in_doubt: Option<Batch>,
    snapshots: Vec<(u64, Vec<u8>)>,
    snapshot_in_doubt: Option<(u64, Vec<u8>)>,
}

#[test]
fn every_acknowledged_batch_survives() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let machine = Machine::new(seed);
        let mut random = Random::new(!seed);
        let mut promises = Promises::default();
        for _ in 0..LOSSES {
            if random.one_in(2) {
                // Sometimes the power already fails while the log is opened.
                let longest = if random.one_in(4) { 20 } else { 600 };
                machine.disk.halt_after(random.below(longest));
            } else {
                // The power fails within a sync: a part of what it should write is written.
                let sync = Fault::next(Access::Sync).after(random.below(30));
                machine.disk.schedule(sync.outcome(Outcome::Torn).lasting());
            }
            if let Ok(engine) = machine.try_open() {
                run_until_halt(engine, &mut promises, &mut random);
            }
            machine.disk.crash();
            let engine = machine.open();
            match promises.check(&engine, seed) {
                Some(true) => kept += 1,
                Some(false) => lost += 1,
                None => {}
            }
        }
    }
    // Both outcomes of an append in doubt must occur, or the test proves little.
    assert!(kept > 10 && lost > 10, "in doubt: {kept} kept, {lost} lost");
}

fn run_until_halt(mut engine: impl Engine, promises: &mut Promises, random: &mut Random) {
    loop {
        if random.one_in(30) {
            let snapshot = (engine.next_index(), vec![random.next_u64() as u8; 3_000_000]);
            let result = engine.save_snapshot(snapshot.0, &snapshot.1);
            if result.is_err() {
                promises.snapshot_in_doubt = Some(snapshot);
                return;
            }
            promises.snapshots.push(snapshot);
        }
        let batch = random_batch(random);
        promises.epoch += random.below(2);
        match engine.append(engine.next_index(), promises.epoch, &batch) {
            Ok(()) => extend(&mut promises.acknowledged, promises.epoch, &batch),
            Err(error) => {
                assert!(matches!(error, EngineError::Io { .. } | EngineError::Poisoned { .. }));
                promises.in_doubt = Some(batch);
                return;
            }
        }
        if random.one_in(3) && engine.maintain().is_err() {
            return;
        }
    }
}

impl Promises {
    /// Compares with what is there; says whether a batch in doubt was kept.
    fn check(&mut self, engine: &dyn Engine, seed: u64) -> Option<bool> {
        let found =
            read_all(engine, 100_000).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut possible = self.acknowledged.clone();
        let in_doubt = self.in_doubt.take();
        if let Some(batch) = &in_doubt {
            extend(&mut possible, self.epoch, batch);
        }
        let is_kept = found.len() > self.acknowledged.len();
        let expected = if is_kept { &possible } else { &self.acknowledged };
        assert!(found == *expected, "seed {seed}: {} entries, not {}", found.len(), expected.len());
        self.acknowledged = found;
        self.check_snapshot(engine, seed);
        self.epoch = self.epoch.max(engine.epoch());
        in_doubt.map(|_| is_kept)
    }

    fn check_snapshot(&mut self, engine: &dyn Engine, seed: u64) {
        let found = latest_snapshot(engine.reader().unwrap().as_mut());
        let in_doubt = self.snapshot_in_doubt.take();
        if in_doubt.is_some() && found == in_doubt {
            self.snapshots.extend(in_doubt);
        }
        assert!(found == self.snapshots.last().cloned(), "seed {seed}: another snapshot");
    }
}
