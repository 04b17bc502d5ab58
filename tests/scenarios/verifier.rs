//! Every ledger at every moment passes an independent verifier, and a flipped bit does not.

use crate::load::{Shared, Transport, clients, under_load};
use crate::tlog::{Auditor, Source};
use einhorn_harness::{Site, Start, scratch};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a log under load may take to get a few checkpoints.
const GROWTH_MAX: Duration = Duration::from_secs(60);

fn start(folder: &Path) -> Site {
    let start = Start { program: env!("CARGO_BIN_EXE_einhorn"), folder };
    start.start().unwrap_or_else(|error| panic!("no start: {error}"))
}

#[test]
fn a_ledger_verifies_at_any_moment_under_load() {
    let folder = scratch();
    let site = start(folder.path());
    let ledger = site.data.join("ledger");
    let mut auditor = Auditor::of_folder(&site.data);
    let mut sources = [Source::http(&site.ledger_url), Source::Folder(ledger.clone())];
    sources[0].wait_for_checkpoint();
    let shared = Shared::new();
    let mut clients = clients(&[Transport::Udp, Transport::Tcp, Transport::Tcp], 40);
    let audits = under_load(&mut clients, site.dns, &shared, || {
        let mut audits = 0;
        let begun = Instant::now();
        // The log must have grown between audits.
        while shared.acknowledged() < 6_000 || audits < 40 || auditor.checkpoints_seen() < 6 {
            assert!(
                begun.elapsed() < GROWTH_MAX,
                "only {} checkpoints",
                auditor.checkpoints_seen()
            );
            for source in &mut sources {
                auditor.audit(source).unwrap_or_else(|error| panic!("audit {audits}: {error}"));
                audits += 1;
            }
        }
        audits
    });
    site.kill();
    let mut from_disk = Source::Folder(ledger);
    auditor.audit(&mut from_disk).expect("sound after a kill");
    let site = start(folder.path());
    let audit = auditor.audit(&mut Source::http(&site.ledger_url)).expect("sound after a restart");
    let acknowledged = shared.acknowledged();
    assert!(audit.checkpoint.size > acknowledged, "all that was acknowledged is sealed");
    println!(
        "{audits} audits over {} checkpoints, {acknowledged} updates",
        auditor.checkpoints_seen()
    );
}

/// All files below `folder`, without folders.
pub(crate) fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let folder = scratch();
    let site = start(folder.path());
    let (data, ledger) = (site.data.clone(), site.data.join("ledger"));
    let shared = Shared::new();
    let mut clients = clients(&[Transport::Udp], 20);
    under_load(&mut clients, site.dns, &shared, || shared.wait_for(400));
    assert_eq!(site.stop(), Some(0));
    let mut source = Source::Folder(ledger.clone());
    let size = Auditor::of_folder(&data).audit(&mut source).expect("sound").checkpoint.size;
    let (mut found, mut needless) = (0, BTreeSet::new());
    for path in files_below(&ledger) {
        let before = std::fs::read(&path).expect("a file");
        for at in [0, before.len() / 2, before.len().saturating_sub(1)] {
            let mut damaged = before.clone();
            let Some(octet) = damaged.get_mut(at) else { continue };
            *octet ^= 0x04;
            std::fs::write(&path, &damaged).expect("written");
            match Auditor::of_folder(&data).audit(&mut source) {
                Err(_) => found += 1,
                Ok(_) => _ = needless.insert(path.display().to_string()),
            }
        }
        std::fs::write(&path, &before).expect("written");
    }
    // Files that the newest checkpoint does not need: older widths, and the program's own.
    let edge = [format!(".p/{}", size % 256), format!(".p/{}", size / 256)];
    for path in &needless {
        let needed = path.ends_with("/checkpoint")
            || path.contains("/tile/") && !path.contains(".p/")
            || edge.iter().any(|width| path.ends_with(width));
        assert!(!needed, "a flipped bit in {path} was not found");
    }
    println!("{found} damages found; not needed by the verifier: {needless:?}");
    assert!(found >= 15, "checkpoint, two bundles and three tiles at least");
}
