//! What may be opened: one process per folder, our own files, formats that we know.

use std::fs;
use std::path::Path;

use einhorn_store::engine::{Engine, EngineError, EngineReader, SqliteEngine, SqliteReader};
use rusqlite::Connection;

use crate::support::{LOG, append_one, batch_of};

fn error_of(folder: &Path) -> EngineError {
    match SqliteEngine::open(folder) {
        Ok(_) => panic!("it must not open"),
        Err(error) => error,
    }
}

#[test]
fn a_second_node_is_refused_by_name_and_readers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new/site");
    let mut engine = SqliteEngine::open(&folder).unwrap();
    append_one(&mut engine, 3, &batch_of([&b"one"[..]])).unwrap();
    let error = error_of(&folder).to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    assert!(error.contains(folder.to_str().unwrap()), "{error}");
    let mut verifier = SqliteReader::open(&folder).unwrap();
    assert_eq!(verifier.next_index(LOG).unwrap(), 1);
    drop(engine);
    assert_eq!(SqliteEngine::open(&folder).unwrap().epoch(), 3);
}

#[test]
fn another_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteEngine::open(folder.path()).unwrap());
    let database = folder.path().join("log.db");
    let mark = |format: i64| {
        Connection::open(&database).unwrap().pragma_update(None, "user_version", format).unwrap();
    };
    mark(3);
    let error = error_of(folder.path());
    assert!(matches!(error, EngineError::NewerFormat { found: 3, supported: 2, .. }), "{error}");
    let error = SqliteReader::open(folder.path()).err().unwrap();
    assert!(matches!(error, EngineError::NewerFormat { .. }), "{error}");
    mark(1);
    let error = error_of(folder.path());
    assert!(matches!(error, EngineError::OlderFormat { found: 1, supported: 2, .. }), "{error}");
    let error = SqliteReader::open(folder.path()).err().unwrap();
    assert!(matches!(error, EngineError::OlderFormat { .. }), "{error}");
    mark(2);
    SqliteEngine::open(folder.path()).unwrap();
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("log.db");
    fs::write(&database, "; a zone file\n".repeat(1000)).unwrap();
    let before = fs::read(&database).unwrap();
    let error = error_of(folder.path());
    assert!(matches!(error, EngineError::NotALog { .. }), "{error}");
    assert_eq!(fs::read(&database).unwrap(), before);

    fs::remove_file(&database).unwrap();
    Connection::open(&database).unwrap().execute_batch("CREATE TABLE photos (x)").unwrap();
    let before = fs::read(&database).unwrap();
    let error = error_of(folder.path());
    assert!(matches!(error, EngineError::NotALog { .. }), "{error}");
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[test]
fn reading_needs_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteReader::open(folder.path()).err().unwrap();
    assert!(matches!(error, EngineError::Io { .. }), "{error}");
}
