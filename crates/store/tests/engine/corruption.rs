//! Flipped bits: a reader finds them or is not concerned; it never returns other bytes.

use einhorn_sim::random::Random;
use einhorn_store::engine::{
    Batch, Engine, EngineError, EngineReader, LogId, SqliteEngine, SqliteReader,
};
use rusqlite::Connection;

use crate::support::{
    DATABASE, Entry, LOG, LOGS, Logs, Machine, WAL, append, append_one, batch_of, extend,
    latest_snapshot, random_parts, read_all,
};

/// What a log with one flipped bit turned out as.
#[derive(Debug, Default)]
struct Tally {
    sound: u32,
    refused: u32,
    found_reading: u32,
    /// The last transactions of the write-ahead log were taken for uncommitted.
    shortened: u32,
}

fn filled(machine: &Machine, is_copied: bool) -> Logs {
    let mut engine = machine.open();
    let mut logs = Logs::new();
    let mut random = Random::new(machine.disk.seed());
    for _ in 0..25 {
        let parts = random_parts(&mut random);
        append(&mut engine, 1, &parts).unwrap();
        extend(&mut logs, 1, &parts);
    }
    drop(engine);
    if is_copied {
        drop(machine.open());
        let wal = machine.disk.open(WAL, false).unwrap();
        machine.disk.set_len(wal, 0).unwrap();
    }
    logs
}

fn flip(file: &str, is_copied: bool, seeds: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let machine = Machine::new(seed % 8);
        let logs = filled(&machine, is_copied);
        let mut random = Random::new(seed);
        let id = machine.disk.open(file, false).unwrap();
        let length = machine.disk.len(id).unwrap() as u64;
        // Half of the bits in the first pages, where the structure is.
        let range = if random.one_in(2) { length } else { length.min(40_960) };
        let offset = random.below(range) as usize;
        machine.disk.flip_bit(file, offset, random.below(8) as u8);
        let context = format!("seed {seed}, byte {offset} of {file}");
        let Ok(engine) = machine.try_open() else {
            tally.refused += 1;
            continue;
        };
        check(&engine, &logs, &context, &mut tally);
    }
    tally
}

fn check(engine: &dyn Engine, logs: &Logs, context: &str, tally: &mut Tally) {
    let Ok(mut reader) = engine.reader() else {
        tally.refused += 1;
        return;
    };
    let (mut is_whole, mut is_found) = (true, false);
    for log in LOGS {
        let Some(entries) = logs.get(&log) else { continue };
        match read_to_end(&mut *reader, log, entries, context) {
            Ok(next) => {
                assert_eq!(next, engine.next_index(log), "{context}");
                is_whole &= next == entries.len() as u64;
            }
            Err(_) => is_found = true,
        }
    }
    let count = match (is_found, is_whole) {
        (true, _) => &mut tally.found_reading,
        (false, true) => &mut tally.sound,
        (false, false) => &mut tally.shortened,
    };
    *count += 1;
}

fn read_to_end(
    reader: &mut dyn EngineReader,
    log: LogId,
    entries: &[Entry],
    context: &str,
) -> Result<u64, EngineError> {
    let mut next = 0;
    loop {
        let reached = reader.read(log, next, 9_000, &mut |index, epoch, entry| {
            let (known_epoch, known) = &entries[index as usize];
            assert!(
                epoch == *known_epoch && entry == known,
                "{context}: wrong bytes at {index} of log {log}"
            );
        })?;
        if reached == next {
            return Ok(next);
        }
        next = reached;
    }
}

#[test]
fn a_flipped_bit_in_the_database_is_found_or_harmless() {
    let tally = flip(DATABASE, true, 400);
    assert_eq!(tally.shortened, 0, "{tally:?}");
    assert!(tally.found_reading > 50 && tally.refused > 0 && tally.sound > 0, "{tally:?}");
}

/// SQLite ends the log at the first frame whose checksum fails: whole batches may be missing at
/// the end (which checkpoints and cosignatures find), but nothing else is ever returned.
#[test]
fn a_flipped_bit_in_the_write_ahead_log_never_changes_an_entry() {
    let tally = flip(WAL, false, 150);
    assert!(tally.shortened > 0, "{tally:?}");
}

#[test]
fn the_damaged_row_is_named_and_the_rows_around_it_are_read() {
    let machine = Machine::new(1);
    let mut engine = machine.open();
    for byte in [b'a', b'b', b'c'] {
        let batch = batch_of([&[byte; 6_000][..], &[byte; 10]]);
        append_one(&mut engine, 1, &batch).unwrap();
    }
    drop(engine);
    let engine = machine.open();
    let offset = position(&machine, &[b'b'; 3_000]);
    machine.disk.flip_bit(DATABASE, offset, 0);
    let mut reader = engine.reader().unwrap();
    let mut seen = Vec::new();
    let next = reader.read(LOG, 0, usize::MAX, &mut |index, _, _| seen.push(index)).unwrap();
    assert_eq!((next, &seen[..]), (2, &[0, 1][..]));
    let error = reader.read(LOG, 2, usize::MAX, &mut |_, _, _| panic!("damaged")).unwrap_err();
    let EngineError::Corrupt { place, path, .. } = &error else { panic!("{error}") };
    assert_eq!(place, "the row of log 131073 that begins at index 2");
    assert_eq!(path.to_str(), Some(DATABASE));
    assert_eq!(
        reader.read(LOG, 4, usize::MAX, &mut |_, _, entry| assert_eq!(entry[0], b'c')).unwrap(),
        6
    );
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let machine = Machine::new(1);
    let mut engine = machine.open();
    append_one(&mut engine, 0, &batch_of([&b"x"[..]])).unwrap();
    engine.save_snapshot(0, &[b'o'; 9_000]).unwrap();
    engine.save_snapshot(1, &[b'n'; 9_000]).unwrap();
    drop(engine);
    // Opened before the damage: opening copies the write-ahead log, which would repair it.
    let engine = machine.open();
    machine.disk.flip_bit(DATABASE, position(&machine, &[b'n'; 3_000]), 3);
    let found = latest_snapshot(engine.reader().unwrap().as_mut());
    assert!(found == Some((0, vec![b'o'; 9_000])), "{:?}", found.map(|(index, _)| index));
}

#[test]
fn erased_audit_values_are_nowhere_on_the_disk() {
    let machine = Machine::new(1);
    let mut engine = machine.open();
    let mut batch = Batch::new();
    batch.push(b"entry", b"secret-one").unwrap();
    batch.push(b"entry", b"kept-value").unwrap();
    batch.push(b"entry", &b"secret-two".repeat(900)).unwrap();
    let mut other = Batch::new();
    other.push(b"entry", b"other-value").unwrap();
    append(&mut engine, 0, &[(LOG, batch), (LOGS[1], other)]).unwrap();
    assert!(find(&machine, b"secret").is_some());
    assert_eq!(engine.erase_audit(LOG, 0..1).unwrap(), 1);
    assert_eq!(engine.erase_audit(LOG, 2..u64::MAX).unwrap(), 1);
    assert_eq!(engine.erase_audit(LOGS[2], 0..9).unwrap(), 0, "a log never seen");
    assert_eq!(find(&machine, b"secret"), None);
    let mut reader = engine.reader().unwrap();
    assert_eq!(reader.audit(LOG, 0).unwrap(), None);
    assert_eq!(reader.audit(LOG, 1).unwrap().as_deref(), Some(&b"kept-value"[..]));
    assert_eq!(reader.audit(LOGS[1], 0).unwrap().as_deref(), Some(&b"other-value"[..]));
    assert_eq!(reader.audit(LOGS[1], u64::MAX).unwrap(), None);
}

/// What a damaged row says about its pages is not to be believed: freeing them could free
/// another log's.
#[test]
fn a_damaged_row_of_a_forgotten_log_is_left_alone_and_harms_nobody() {
    let machine = Machine::new(1);
    let mut engine = machine.open();
    let bad = batch_of([&[b'b'; 50_000][..]]);
    let parts = vec![(LOG, batch_of([&[b'a'; 9_000][..]])), (LOGS[1], bad)];
    let mut logs = Logs::new();
    append(&mut engine, 1, &parts).unwrap();
    extend(&mut logs, 1, &parts[..1]);
    drop(engine);
    let mut engine = machine.open();
    let offset = position(&machine, &[b'b'; 3_000]);
    machine.disk.flip_bit(DATABASE, offset, 0);
    engine.forget_log(LOGS[1]).unwrap();
    for round in 0..20 {
        engine.maintain().unwrap();
        let parts =
            vec![(LOG, batch_of([&[round; 9_000][..]])), (LOGS[1], batch_of([&b"new"[..]]))];
        append(&mut engine, 1, &parts).unwrap();
        extend(&mut logs, 1, &parts);
    }
    drop(engine);
    // Opening copies what was appended into the database, wherever there was room.
    assert_eq!(read_all(&machine.open(), 9_000).unwrap(), logs);
    let database = machine.disk.open(DATABASE, false).unwrap();
    let mut bytes = vec![0; machine.disk.len(database).unwrap()];
    machine.disk.read(database, 0, &mut bytes).unwrap();
    let left = bytes.iter().filter(|byte| **byte == b'b').count();
    assert!(left >= 49_999, "its room was used: {left} octets are left");
}

/// Two logs of the same shape, whose tables a damaged schema would confuse.
#[test]
fn a_row_of_another_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = SqliteEngine::open(folder.path()).unwrap();
    let parts = [(LOG, batch_of([&b"mine"[..]])), (LOGS[1], batch_of([&b"others"[..]]))];
    append(&mut engine, 1, &parts).unwrap();
    drop(engine);
    Connection::open(folder.path().join("log.db"))
        .unwrap()
        .execute_batch(
            "ALTER TABLE log_0 RENAME TO x; ALTER TABLE log_1 RENAME TO log_0;
             ALTER TABLE x RENAME TO log_1;",
        )
        .unwrap();
    let mut reader = SqliteReader::open(folder.path()).unwrap();
    for log in [LOG, LOGS[1]] {
        let error = reader.read(log, 0, 9_000, &mut |_, _, _| panic!("another's")).unwrap_err();
        assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
    }
}

/// Where in the database these bytes stand.
fn position(machine: &Machine, needle: &[u8]) -> usize {
    match find(machine, needle) {
        Some((path, offset)) if path == DATABASE => offset,
        found => panic!("not in the database: {found:?}"),
    }
}

/// The first file, by name, that holds these bytes, and where.
fn find(machine: &Machine, needle: &[u8]) -> Option<(String, usize)> {
    machine.disk.list("/").into_iter().find_map(|path| {
        let id = machine.disk.open(&path, false).unwrap();
        let mut bytes = vec![0; machine.disk.len(id).unwrap()];
        machine.disk.read(id, 0, &mut bytes).unwrap();
        let offset = bytes.windows(needle.len()).position(|window| window == needle)?;
        Some((path, offset))
    })
}
