//! A site whose data is put back to an old copy: it fetches what it lost before it adds anything,
//! and there is never a second history.

use crate::sites::history;
use crate::sites::support::{
    BERLIN, FRANKFURT, MUENCHEN, await_value, change, fleet, insist, set, value,
};
use einhorn_harness::Fleet;
use einhorn_wire::message::Rcode;
use std::fs;
use std::path::{Path, PathBuf};

/// Changes that an old copy lacks.
const LOST: usize = 20;

#[test]
fn a_backup_is_put_back() {
    let mut fleet = fleet("all");
    update(&fleet, &[FRANKFURT], 3);
    fleet.stop(FRANKFURT);
    let copy = copied(&fleet, FRANKFURT);
    fleet.start(FRANKFURT);
    update(&fleet, &[FRANKFURT], LOST);
    let entries = fleet.status(FRANKFURT).expect("a status")["entries"].as_u64();
    fleet.stop(FRANKFURT);
    put_back(&fleet, FRANKFURT, &copy);
    fleet.start(FRANKFURT);
    // The very first request waits until everything is there again.
    let value = value();
    assert_eq!(insist(&[fleet.dns(FRANKFURT)], &set("first", value)), Rcode::NOERROR);
    let status = fleet.status(FRANKFURT).expect("a status");
    assert!(status["entries"].as_u64() >= entries, "{entries:?} before: {status:#}");
    await_value(&fleet, "first", Some(value));
    fleet.settle();
    history::check(&fleet);

    // Once more, and the others go on meanwhile.
    fleet.stop(FRANKFURT);
    put_back(&fleet, FRANKFURT, &copy);
    fleet.operate(BERLIN, &["site", "suspend", "frankfurt"]).good();
    update(&fleet, &[BERLIN, MUENCHEN], LOST);
    fleet.operate(BERLIN, &["site", "resume", "frankfurt"]).good();
    fleet.start(FRANKFURT);
    update(&fleet, &[FRANKFURT, MUENCHEN], LOST);
    fleet.check_end();
    history::check(&fleet);
}

#[test]
fn a_virtual_machine_is_set_back() {
    let mut fleet = fleet("all");
    for site in 0..fleet.count() {
        update(&fleet, &[site], 3);
        // As a snapshot of a running machine: at one moment, in the middle of whatever it does.
        fleet.pause(site);
        let copy = copied(&fleet, site);
        fleet.wake(site);
        fleet.settle();
        update(&fleet, &[site, (site + 1) % 3], LOST);
        fleet.kill(site);
        put_back(&fleet, site, &copy);
        fleet.start(site);
        update(&fleet, &[site], LOST);
    }
    fleet.check_end();
    history::check(&fleet);
}

/// Changes names through each of these sites; the last value is to be seen everywhere.
fn update(fleet: &Fleet, sites: &[usize], count: usize) {
    for site in sites {
        for number in 0..count {
            let label = format!("name{site}-{}", number % 5);
            let value = value();
            change(fleet.dns(*site), &set(&label, value));
            if number + 1 == count {
                await_value(fleet, &label, Some(value));
            }
        }
    }
}

/// A copy of a site's data folder as it is now.
fn copied(fleet: &Fleet, site: usize) -> PathBuf {
    let copy = fleet.folder().join(format!("copy-of-{}", fleet.name(site)));
    copy_folder(fleet.data(site), &copy);
    copy
}

/// Puts a copy in the place of a site's data.
fn put_back(fleet: &Fleet, site: usize, copy: &Path) {
    fs::remove_dir_all(fleet.data(site)).expect("the folder is removed");
    copy_folder(copy, fleet.data(site));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (kind, to) = (entry.file_type().expect("a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &to);
        } else if kind.is_file() {
            // With its permissions: keys must stay secret.
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
