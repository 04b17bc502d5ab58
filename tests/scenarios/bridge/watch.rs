//! `bridge watch` on a folder: files that are written slowly, renamed into place, half written, refused;
//! and a watcher that is killed.

use super::support::{Bridge, OPEN, source};
use einhorn_harness::await_that;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

const SETTLE_MS: &str = "300";
/// Longer than pieces of a file are apart, however busy the machine is.
const SETTLE_LONG_MS: &str = "4000";
/// Much longer than a file takes to settle.
const LONG: Duration = Duration::from_millis(1_500);

/// A watcher, killed when dropped.
pub(super) struct Watcher(Child);

impl Watcher {
    pub(super) fn start(bridge: &Bridge) -> Watcher {
        Watcher::patient(bridge, SETTLE_MS)
    }

    fn patient(bridge: &Bridge, settle_ms: &str) -> Watcher {
        let options = ["--settle-ms", settle_ms, "--rescan-ms", "200"].map(Path::new);
        Watcher(bridge.begin("watch", &options))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.kill().expect("it is killed");
        self.0.wait().expect("it ends");
    }
}

fn watched() -> Bridge {
    let bridge = Bridge::start(&source(&format!("{OPEN}folder = \"in\"\n")));
    std::fs::create_dir(bridge.path().join("in")).expect("a folder");
    bridge
}

fn table(generation: u32, hosts: u32) -> String {
    let mut text = format!("; Version number {generation}\n");
    for host in 0..hosts {
        let (high, low) = (host >> 8, host & 255);
        let line = format!("HOST : 10.{generation}.{high}.{low} : H{host} : VAX : UNIX : :\n");
        text.push_str(&line);
    }
    text
}

fn applies(bridge: &Bridge) -> u64 {
    bridge.report()["applies"].as_u64().unwrap_or(0)
}

fn await_applies(bridge: &Bridge, count: u64) {
    await_that("an apply", || match applies(bridge) {
        now if now == count => Ok(()),
        now => Err(format!("{now} files applied, not {count}")),
    });
}

fn records(bridge: &Bridge) -> u64 {
    bridge.report()["records"].as_u64().unwrap_or(0)
}

#[test]
fn a_file_that_is_written_slowly_is_read_once_and_whole() {
    let bridge = watched();
    let _watcher = Watcher::start(&bridge);
    let text = table(1, 40);
    // Never closed: a pause much longer than files take to settle does not make half a file whole.
    let mut file = File::create(bridge.path().join("in/HOSTS.1")).expect("a file");
    for piece in text.as_bytes().chunks(text.len() / 2 + 1) {
        file.write_all(piece).expect("written");
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            assert_eq!(applies(&bridge), 0, "half a file was read");
        }
    }
    drop(file);
    await_applies(&bridge, 1);
    assert_eq!(records(&bridge), 40);
}

/// The user `nobody`.
const NOBODY: u32 = 65_534;

#[test]
fn what_another_user_has_open_for_writing_is_not_whole() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can start a watcher as somebody else");
        return;
    }
    let bridge = watched();
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bridge.path(), readable).expect("a mode");
    let options = ["--settle-ms", SETTLE_MS, "--rescan-ms", "200"].map(Path::new);
    let mut watcher = Watcher(bridge.begin_as(Some(NOBODY), "watch", &options));
    // It is there, and does what it is to do.
    bridge.file("in/HOSTS.1", &table(1, 3));
    await_applies(&bridge, 1);
    let text = table(2, 40);
    let mut file = File::create(bridge.path().join("in/HOSTS.2")).expect("a file");
    // Whether anybody has it open cannot be seen in /proc.
    for piece in text.as_bytes().chunks(text.len() / 2 + 1) {
        file.write_all(piece).expect("written");
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            assert_eq!(applies(&bridge), 1, "half a file was read");
        }
    }
    drop(file);
    await_applies(&bridge, 2);
    assert_eq!(records(&bridge), 40);
    assert!(watcher.0.try_wait().expect("a status").is_none(), "it still watches");
}

#[test]
fn a_file_whose_writer_died_is_held_and_its_successor_applied() {
    let guarded = "missing-generations = 1\nfolder = \"in\"\n";
    let bridge = Bridge::start(&source(guarded));
    std::fs::create_dir(bridge.path().join("in")).expect("a folder");
    let _watcher = Watcher::start(&bridge);
    bridge.file("in/HOSTS.1", &table(1, 100));
    await_applies(&bridge, 1);
    let before = bridge.records();
    // Half of the next one, in the middle of an entry; nobody writes to it any more.
    let text = table(1, 100).replace("number 1", "number 2");
    bridge.file("in/HOSTS.2", &text[..text.len() / 2]);
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        assert_eq!(applies(&bridge), 1, "half a file was applied");
    }
    assert_eq!(bridge.records(), before);
    let whole = bridge.file("HOSTS.new", &text.replacen("10.1.0.0 ", "10.9.0.0 ", 1));
    std::fs::rename(whole, bridge.path().join("in/HOSTS.2")).expect("renamed");
    await_applies(&bridge, 2);
    assert_eq!(records(&bridge), 100);
    assert!(bridge.records().iter().any(|record| record == "h0 86400 a 10.9.0.0"));
}

#[test]
fn a_file_that_grows_by_pieces_is_read_when_it_has_settled() {
    let bridge = watched();
    let _watcher = Watcher::patient(&bridge, SETTLE_LONG_MS);
    let text = table(1, 40);
    let path = bridge.path().join("in/HOSTS.1");
    // Closed after each piece, and opened again soon.
    for piece in text.as_bytes().chunks(200) {
        let mut file = File::options().append(true).create(true).open(&path).expect("a file");
        file.write_all(piece).expect("written");
        drop(file);
        assert_eq!(applies(&bridge), 0, "half a file was read");
    }
    await_applies(&bridge, 1);
    assert_eq!(records(&bridge), 40);
}

#[test]
fn what_is_renamed_into_place_counts_at_once_and_in_order() {
    let bridge = watched();
    let _watcher = Watcher::start(&bridge);
    for generation in 1..=3 {
        let part = bridge.path().join("in/.HOSTS.part");
        std::fs::write(&part, table(generation, 3 + generation)).expect("a file");
        std::fs::rename(&part, bridge.path().join(format!("in/HOSTS.{generation}")))
            .expect("renamed");
        await_applies(&bridge, u64::from(generation));
        assert_eq!(records(&bridge), u64::from(3 + generation));
    }
    // One file that is replaced by rename again and again.
    std::fs::write(bridge.path().join("in/.new"), table(4, 9)).expect("a file");
    std::fs::rename(bridge.path().join("in/.new"), bridge.path().join("in/HOSTS.3"))
        .expect("renamed");
    await_applies(&bridge, 4);
    assert_eq!(records(&bridge), 9);
}

#[test]
fn a_watcher_that_is_killed_goes_on_and_applies_nothing_twice() {
    let mut bridge = watched();
    for generation in 1..=4 {
        bridge.file(&format!("in/HOSTS.{generation}"), &table(generation, 300));
        let mut watcher = Watcher::start(&bridge);
        // Killed at another moment each time, the last of them late enough.
        let until = Instant::now() + Duration::from_millis(u64::from(generation) * 140);
        await_that("the moment", || match watcher.0.try_wait().expect("a status") {
            Some(status) => panic!("the watcher ended: {status}"),
            None if Instant::now() >= until => Ok(()),
            None => Err("not yet".to_owned()),
        });
        drop(watcher);
        if generation == 2 {
            bridge.kill();
            bridge.restart();
        }
    }
    let _watcher = Watcher::start(&bridge);
    await_that("the last file", || {
        let report = bridge.report();
        let is_last = report["last"]["generation"] == 4 && report["under-way"] == false;
        if is_last { Ok(()) } else { Err(report.to_string()) }
    });
    let applied = applies(&bridge);
    assert!(applied <= 4, "{applied} applies of 4 files");
    assert!(bridge.records().iter().any(|record| record == "h299 86400 a 10.4.1.43"));
}
