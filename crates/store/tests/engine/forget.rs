//! Removing a copy of a log: gone at once, its room used again, the other logs as they were.

use einhorn_store::engine::{Engine, EngineError, LogId};

use crate::support::{
    DATABASE, LOG, LOGS, Logs, Machine, Parts, append, batch_of, extend, lengths, read_all,
};

/// Appends of 40 times 50,000 octets to each log.
const APPENDS: usize = 40;

fn fill(engine: &mut dyn Engine, logs: &mut Logs, which: &[LogId]) {
    for round in 0..APPENDS {
        let batch = batch_of(std::iter::repeat_n(&[round as u8; 500][..], 100));
        let parts: Parts = which.iter().map(|log| (*log, batch.clone())).collect();
        append(engine, 1, &parts).unwrap();
        extend(logs, 1, &parts);
    }
}

/// The length of the database once everything is copied into it.
fn length(machine: &Machine) -> usize {
    drop(machine.open());
    let database = machine.disk.open(DATABASE, false).unwrap();
    machine.disk.len(database).unwrap()
}

#[test]
fn a_reader_meets_the_end_at_once_and_the_log_begins_anew() {
    let machine = Machine::new(1);
    let mut engine = machine.open();
    let mut logs = Logs::new();
    fill(&mut engine, &mut logs, &LOGS[..3]);
    engine.save_snapshot(7, b"of three logs").unwrap();
    let mut reader = engine.reader().unwrap();
    reader.read(LOGS[1], 50, 1000, &mut |_, _, _| {}).unwrap();
    engine.forget_log(LOGS[1]).unwrap();
    let result = reader.read(LOGS[1], 52, 1000, &mut |_, _, _| panic!("it is gone"));
    assert!(matches!(result, Err(EngineError::PastEnd { asked: 52, next: 0, .. })), "{result:?}");
    assert_eq!(reader.latest_snapshot(&mut |_| panic!("it folds the log")).unwrap(), None);
    logs.remove(&LOGS[1]);
    let parts = vec![(LOGS[1], batch_of([&b"the right one"[..]])), (LOG, batch_of([&b"on"[..]]))];
    append(&mut engine, 1, &parts).unwrap();
    extend(&mut logs, 1, &parts);
    let found = read_all(&engine, 9_000).unwrap();
    assert!(found == logs, "{:?}, not {:?}", lengths(&found), lengths(&logs));
    // What was never there can be forgotten, and costs no snapshot.
    engine.save_snapshot(7, b"of the logs now").unwrap();
    engine.forget_log(LOGS[3]).unwrap();
    assert_eq!(reader.latest_snapshot(&mut |_| {}).unwrap(), Some(7));
}

#[test]
fn its_room_is_used_again_also_after_a_restart() {
    let machine = Machine::new(2);
    let mut engine = machine.open();
    let mut logs = Logs::new();
    fill(&mut engine, &mut logs, &LOGS[..3]);
    drop(engine);
    let before = length(&machine);
    for round in 0..4 {
        let mut engine = machine.open();
        engine.forget_log(LOGS[1]).unwrap();
        logs.remove(&LOGS[1]);
        engine.maintain().unwrap();
        drop(engine);
        let mut engine = machine.open();
        // At most 4 MiB are freed at once: here all audit values, all rows, and the slot.
        for _ in 0..3 {
            engine.maintain().unwrap();
        }
        fill(&mut engine, &mut logs, &[LOGS[1]]);
        assert!(read_all(&engine, 9_000).unwrap() == logs, "round {round}");
        drop(engine);
        let after = length(&machine);
        assert!(after < before + 100_000, "round {round}: {after} octets, not {before}");
    }
}
