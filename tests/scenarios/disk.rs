//! A full disk under the running program: updates are refused with a reason, queries go on,
//! nothing acknowledged is lost, and the program goes on once there is space.

use crate::crash::check_acknowledged_are_in;
use crate::load::{Client, Shared, Transport, check_served, clients, under_load};
use crate::tlog::{Auditor, Source};
use einhorn_harness::{Client as Asker, Reply, Site, Start, ZONE, scratch, update_message};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use einhorn_wire::{Class, Record, RecordType};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file system in memory of limited size. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said loudly, where this user may not mount.
    fn mount(folder: &Path, size: &str) -> Option<SmallDisk> {
        let mounted =
            mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "einhorn-test"], folder);
        if let Err(reason) = mounted {
            eprintln!("SKIPPED: a small disk needs root to mount a tmpfs: {reason}");
            return None;
        }
        Some(SmallDisk(folder.to_owned()))
    }

    fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0).expect("remounted");
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(folder).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Sizes at which another file meets the end of the disk first: with and without room for the
/// log's reserve of 8 MB, and with different remainders.
const SIZES: [&str; 4] = ["3m", "5m", "11m", "12500k"];

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    for size in SIZES {
        let folder = scratch();
        let Some(disk) = SmallDisk::mount(folder.path(), size) else { return };
        fill(&disk, size);
    }
}

fn fill(disk: &SmallDisk, size: &str) {
    let start = Start { program: env!("CARGO_BIN_EXE_einhorn"), folder: &disk.0 };
    let site = start.start().unwrap_or_else(|error| panic!("{size}: no start: {error}"));
    let mut auditor = Auditor::of_folder(&site.data);
    Source::http(&site.ledger_url).wait_for_checkpoint();
    let shared = Shared::new();
    let mut clients = clients(&[Transport::Udp, Transport::Tcp, Transport::Tcp], 30);
    under_load(&mut clients, site.dns, &shared, || shared.wait_for(u64::MAX));
    let acknowledged = shared.acknowledged();
    while_full(&site, &clients, &shared, size);
    auditor.audit(&mut Source::http(&site.ledger_url)).unwrap_or_else(|e| panic!("{size}: {e}"));
    let said = site.stderr();
    site.stop();

    match start.start() {
        Err(reason) => {
            eprintln!("{size}: on the full disk it does not start: {reason}");
            assert!(says_what_to_do(&reason), "{size}: {reason}");
        }
        Ok(site) => {
            eprintln!("{size}: on the full disk it starts");
            check_served(&clients, &site.client(), size);
            site.stop();
        }
    }

    disk.resize("64m");
    let site = start.start().unwrap_or_else(|error| panic!("{size}: no start: {error}"));
    assert!(!site.stderr().contains("READ ONLY"), "{size}: {}", site.stderr());
    check_served(&clients, &site.client(), size);
    under_load(&mut clients, site.dns, &shared, || {
        let before = shared.acknowledged();
        shared.refused.store(0, std::sync::atomic::Ordering::Relaxed);
        shared.wait_for(before + 500);
    });
    assert_eq!(shared.refused.load(std::sync::atomic::Ordering::Relaxed), 0, "{size}: refused");
    check_served(&clients, &site.client(), size);
    let data = site.data.clone();
    assert_eq!(site.stop(), Some(0));
    let audit = auditor.audit(&mut Source::Folder(data.join("ledger"))).expect("sound at the end");
    check_acknowledged_are_in(&clients, &audit.entries);
    eprintln!("{size}: full after {acknowledged} updates; it said: {said}");
}

/// The node cannot write any more, and says so to everybody.
fn while_full(site: &Site, clients: &[Client], shared: &Shared, size: &str) {
    let asker = site.client();
    for id in 0..3 {
        let answer = asker.udp(&update_with_edns(id, &shared.key)).expect("an answer");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let reply = Reply::parse(answer);
        assert_eq!(reply.rcode, Rcode::SERVFAIL, "{size}: an update on a full disk");
        let is_said = text.contains("disk is full") || text.contains("No space left");
        assert!(is_said, "{size}: no extended error: {text:?}");
    }
    check_served(clients, &asker, size);
    let said = site.stderr();
    assert!(says_what_to_do(&said), "{size}: it said {said}");
}

fn says_what_to_do(text: &str) -> bool {
    text.contains("disk is full") && text.contains("free some space")
}

/// A signed update with an OPT record, so that its answer may carry an extended error.
fn update_with_edns(id: u16, key: &Arc<Key>) -> Vec<u8> {
    let record = Record {
        owner: format!("late.{ZONE}").parse().expect("a name"),
        rtype: RecordType::A,
        class: Class::IN,
        ttl: 60,
        rdata: [192, 0, 2, id as u8].into(),
    };
    let mut octets = update_message(id, ZONE, &[], &[record], None);
    // The root, type 41, 1232 octets over UDP, nothing else; one more additional record.
    octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    octets[11] += 1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    key.sign_request(&mut octets, 0, now);
    octets
}

/// The answer to an update of one name: whether the node takes updates.
pub(crate) fn try_update(asker: &Asker, key: &Arc<Key>, id: u16) -> (Rcode, String) {
    let answer = asker.udp(&update_with_edns(id, key)).expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    (Reply::parse(answer).rcode, text)
}
