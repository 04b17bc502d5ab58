//! A real full disk: a small file system in memory, filled to the brim. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use einhorn_store::engine::{EngineError, SqliteEngine};

use crate::support::{LOG, Logs, append, batch_of, extend, read_all};

/// A mounted tmpfs, unmounted when dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(folder: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "einhorn-test"]).arg(folder);
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_really_full_disk_is_said_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(folder.path(), "64m") else {
        eprintln!("SKIPPED: a_really_full_disk_is_said_and_survived cannot mount a tmpfs");
        return;
    };
    let ballast = mount.0.join("ballast");
    fs::write(&ballast, vec![1; 32 << 20]).unwrap();
    let mut engine = SqliteEngine::open(mount.0).unwrap();
    let parts = vec![(LOG, batch_of(std::iter::repeat_n(&[3; 1000][..], 100)))];
    let mut logs = Logs::new();
    let error = loop {
        match append(&mut engine, 1, &parts) {
            Ok(()) => extend(&mut logs, 1, &parts),
            Err(error) => break error,
        }
    };
    let cause = match &error {
        EngineError::Poisoned { cause } => Arc::as_ref(cause),
        error => error,
    };
    assert!(matches!(cause, EngineError::DiskFull { .. }), "{error}");
    assert!(read_all(&engine, 9_000).unwrap() == logs, "reading goes on");
    drop(engine);
    fs::remove_file(&ballast).unwrap();
    let mut engine = SqliteEngine::open(mount.0).unwrap();
    let found = read_all(&engine, 9_000).unwrap();
    if found != logs {
        extend(&mut logs, 1, &parts);
    }
    assert!(found == logs, "the append in doubt is there whole or not at all");
    append(&mut engine, 1, &parts).unwrap();
    drop(engine);
}
