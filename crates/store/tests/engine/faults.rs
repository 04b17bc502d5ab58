//! Each failure of the disk twice: failed and not persisted, failed but persisted.

use std::sync::Arc;

use einhorn_sim::disk::{Access, DiskError, Fault, Outcome};
use einhorn_sim::random::Random;
use einhorn_store::engine::{Engine, EngineError};

use crate::support::{
    LOG, LOGS, Logs, Machine, Parts, append, append_one, batch_of, extend, lengths, random_parts,
    read_all,
};

const OUTCOMES: [Outcome; 3] = [Outcome::NotPersisted, Outcome::Persisted, Outcome::Torn];

/// Logs with a few batches, and what is in them.
fn filled(machine: &Machine) -> (impl Engine + use<>, Logs) {
    let mut engine = machine.open();
    let mut logs = Logs::new();
    let mut random = Random::new(machine.disk.seed());
    for _ in 0..10 {
        let parts = random_parts(&mut random);
        append(&mut engine, 1, &parts).unwrap();
        extend(&mut logs, 1, &parts);
    }
    (engine, logs)
}

/// Checks that the engine refuses every write, naming the cause, and that reading goes on.
fn assert_poisoned(engine: &mut dyn Engine, logs: &Logs, context: &str) {
    let results = [
        append_one(engine, 1, &batch_of([&b"later"[..]])),
        engine.append(2, &[]),
        engine.save_snapshot(1, b"later"),
        engine.drop_snapshots(),
        engine.forget_log(LOG),
        engine.erase_audit(LOG, 0..1).map(|_| ()),
        engine.maintain(),
    ];
    for result in results {
        let Err(EngineError::Poisoned { cause }) = result else {
            panic!("{context}: {result:?}");
        };
        let expected =
            matches!(Arc::as_ref(&cause), EngineError::Io { .. } | EngineError::DiskFull { .. });
        assert!(expected, "{context}: {cause}");
    }
    assert!(read_all(engine, 9_000).unwrap() == *logs, "{context}: reading goes on");
}

/// Reopens and checks that the append in doubt is there whole or not at all, that the logs take
/// writes again, and that these survive a power loss. Says whether the append is there.
fn check_reopened(machine: &Machine, known: &Logs, in_doubt: &Parts, context: &str) -> bool {
    let mut engine = machine.open();
    let mut found = read_all(&engine, 9_000).unwrap_or_else(|error| panic!("{context}: {error}"));
    let is_there = found != *known;
    let mut expected = known.clone();
    if is_there {
        extend(&mut expected, 1, in_doubt);
    }
    assert!(found == expected, "{context}: {:?} of {:?}", lengths(&found), lengths(&expected));
    let later: Parts = LOGS.map(|log| (log, batch_of([&b"after"[..]]))).into();
    append(&mut engine, 1, &later).unwrap();
    extend(&mut found, 1, &later);
    drop(engine);
    machine.disk.crash();
    let found_again = read_all(&machine.open(), 9_000);
    assert!(found_again.unwrap() == found, "{context}: acknowledged after reopening, then lost");
    is_there
}

/// Fails the `after`-th write or sync of an append, in each way, with and without power loss.
#[test]
fn a_failed_append_poisons_and_is_whole_or_absent() {
    let mut seen = [0; 2];
    for seed in 0..8 {
        for access in [Access::Write, Access::Sync] {
            for outcome in OUTCOMES {
                for after in [0, 1, 2, 5] {
                    for crash in [false, true] {
                        let context = format!("{seed} {access:?} {outcome:?} {after} {crash}");
                        let machine = Machine::new(seed);
                        let (mut engine, logs) = filled(&machine);
                        let error = if after == 1 { DiskError::NoSpace } else { DiskError::Io };
                        let fault = Fault::next(access).after(after).error(error).outcome(outcome);
                        machine.disk.schedule(fault);
                        let batch = batch_of([&[7; 5000][..], &[8; 300]]);
                        let parts = vec![(LOG, batch.clone()), (LOGS[2], batch)];
                        let result = append(&mut engine, 1, &parts);
                        machine.disk.clear_faults();
                        if result.is_ok() {
                            continue; // It took fewer operations: nothing failed.
                        }
                        assert_poisoned(&mut engine, &logs, &context);
                        drop(engine);
                        if crash {
                            machine.disk.crash();
                        }
                        let is_there = check_reopened(&machine, &logs, &parts, &context);
                        seen[usize::from(is_there)] += 1;
                    }
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "both must occur: {seen:?}");
}

#[test]
fn a_failed_sync_that_persisted_is_found_and_one_that_did_not_is_not() {
    for (outcome, expected) in [(Outcome::NotPersisted, false), (Outcome::Persisted, true)] {
        let machine = Machine::new(1);
        let (mut engine, logs) = filled(&machine);
        machine.disk.schedule(Fault::next(Access::Sync).outcome(outcome));
        let parts: Parts = LOGS.map(|log| (log, batch_of([&b"doubtful"[..]]))).into();
        let result = append(&mut engine, 1, &parts);
        assert!(matches!(result, Err(EngineError::Io { .. })), "{result:?}");
        drop(engine);
        machine.disk.crash();
        assert_eq!(check_reopened(&machine, &logs, &parts, "sync"), expected);
    }
}

/// Fails each write and sync of a checkpoint. Everything acknowledged stays.
#[test]
fn a_failed_checkpoint_loses_nothing() {
    let mut failures = 0;
    for access in [Access::Write, Access::Sync] {
        for outcome in OUTCOMES {
            for (after, crash) in [(0, false), (0, true), (1, false), (1, true), (300, true)] {
                let context = format!("{access:?} {outcome:?} {after} {crash}");
                let machine = Machine::new(after);
                let (mut engine, mut logs) = filled(&machine);
                while engine.next_index(LOG) < 4_000 || machine.disk.used_bytes() < 6 << 20 {
                    let parts = vec![(LOG, batch_of(std::iter::repeat_n(&[3; 1000][..], 500)))];
                    append(&mut engine, 1, &parts).unwrap();
                    extend(&mut logs, 1, &parts);
                }
                machine.disk.schedule(Fault::next(access).after(after).outcome(outcome));
                let result = engine.maintain();
                machine.disk.clear_faults();
                if result.is_err() {
                    failures += 1;
                    assert_poisoned(&mut engine, &logs, &context);
                }
                drop(engine);
                if crash {
                    machine.disk.crash();
                }
                check_reopened(&machine, &logs, &Parts::new(), &context);
            }
        }
    }
    assert!(failures > 15, "only {failures} checkpoints failed");
}

/// Fills the disk, frees some, and goes on: nothing acknowledged is lost.
#[test]
fn a_full_disk_is_said_and_survived() {
    for seed in 0..20 {
        let machine = Machine::new(seed);
        let (mut engine, mut logs) = filled(&machine);
        machine.disk.set_capacity(Some(machine.disk.used_bytes() + 20_000 * seed as usize));
        let mut random = Random::new(seed);
        let (parts, error) = loop {
            let parts = random_parts(&mut random);
            match append(&mut engine, 1, &parts) {
                Ok(()) => extend(&mut logs, 1, &parts),
                Err(error) => break (parts, error),
            }
        };
        let is_full = match &error {
            EngineError::DiskFull { .. } => true,
            // The append after a checkpoint that met the full disk.
            EngineError::Poisoned { cause } => {
                matches!(Arc::as_ref(cause), EngineError::DiskFull { .. })
            }
            _ => false,
        };
        assert!(is_full, "seed {seed}: {error}");
        assert_poisoned(&mut engine, &logs, &format!("seed {seed}"));
        drop(engine);
        machine.disk.set_capacity(None);
        check_reopened(&machine, &logs, &parts, &format!("full disk, seed {seed}"));
    }
}

#[test]
fn a_failing_read_is_an_error_and_passes() {
    let machine = Machine::new(5);
    let (mut engine, logs) = filled(&machine);
    engine.save_snapshot(1, b"copies the log into the database").unwrap();
    for fault in [Fault::next(Access::Read), Fault::next(Access::Read).outcome(Outcome::Torn)] {
        let fresh = machine.open();
        machine.disk.schedule(fault.on("log.db").lasting());
        read_all(&fresh, 9_000).unwrap_err();
        machine.disk.clear_faults();
        assert!(read_all(&fresh, 9_000).unwrap() == logs);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let machine = Machine::new(seed);
        let (engine, logs) = filled(&machine);
        drop(engine);
        machine.disk.crash();
        (read_all(&machine.open(), 9_000).unwrap() == logs, machine.disk.mutations())
    };
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
