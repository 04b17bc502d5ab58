//! Damaged, missing and outdated files at the start: the program heals from what it has twice,
//! or serves what it can prove and takes no updates, or does not start and says why. It never
//! signs what contradicts an earlier checkpoint and never loses an acknowledged update silently.

use crate::crash::{check_acknowledged_are_in, missing_values};
use crate::disk::try_update;
use crate::load::{Client, Shared, Transport, clients, under_load};
use crate::tlog::{Auditor, Source};
use crate::verifier::files_below;
use einhorn_harness::{Site, Start, scratch};
use einhorn_sim::random::Random;
use einhorn_wire::message::Rcode;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long sealing may take after the last update.
const SEALED_MAX: Duration = Duration::from_secs(10);

/// A folder of a site that was ended, with everything acknowledged under a checkpoint.
struct Base {
    _scratch: tempfile::TempDir,
    folder: PathBuf,
    verifier_key: String,
    /// Newest checkpoint and an older one.
    notes: Vec<Vec<u8>>,
    clients: Vec<Client>,
    shared: Shared,
    /// The data folder as it was half-way.
    older: PathBuf,
}

/// How the site ends whose folder is damaged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Its write-ahead log holds the last updates.
    Killed,
    /// It left a snapshot of its state.
    Stopped,
}

fn copy_folder(from: &Path, to: &Path) {
    for path in files_below(from) {
        // The control socket is made anew by every start.
        if path.extension().is_some_and(|extension| extension == "sock") {
            continue;
        }
        let target = to.join(path.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        fs::copy(&path, &target).expect("copied");
    }
}

fn start(folder: &Path) -> Result<Site, String> {
    Start { program: env!("CARGO_BIN_EXE_einhorn"), folder }.start()
}

/// Waits until a checkpoint covers all that was acknowledged.
fn wait_until_sealed(data: &Path, clients: &[Client]) {
    let begun = Instant::now();
    let mut source = Source::Folder(data.join("ledger"));
    source.wait_for_checkpoint();
    loop {
        let audit = Auditor::of_folder(data).audit(&mut source).expect("a sound ledger");
        let missing = missing_values(clients, &audit.entries);
        if missing.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SEALED_MAX, "never sealed: {missing:?}");
    }
}

impl Base {
    fn make(end: End) -> Base {
        let scratch = scratch();
        let (folder, older) = (scratch.path().join("base"), scratch.path().join("older"));
        fs::create_dir_all(&folder).expect("made");
        let (shared, mut clients) = (Shared::new(), clients(&[Transport::Udp, Transport::Tcp], 12));
        let mut notes = Vec::new();
        for round in 0..2 {
            let site = start(&folder).expect("ready");
            let enough = shared.acknowledged() + 700;
            under_load(&mut clients, site.dns, &shared, || shared.wait_for(enough));
            for name in clients.iter_mut().flat_map(|client| &mut client.names) {
                // So that there is one right value: whatever was under way is now done.
                let sent = name.under_way.clone();
                let Some(sent) = sent else { continue };
                site.client().udp(&sent.octets).expect("an answer");
                name.acknowledge();
            }
            let data = site.data.clone();
            let mut ledger = Source::Folder(data.join("ledger"));
            match end {
                End::Stopped => assert_eq!(site.stop(), Some(0)),
                End::Killed => {
                    wait_until_sealed(&data, &clients);
                    site.kill();
                }
            }
            notes.push(ledger.read("checkpoint").expect("readable").expect("a checkpoint"));
            if round == 0 {
                copy_folder(&data, &older);
            }
        }
        let verifier_key = fs::read_to_string(folder.join("data/ledger.vkey")).expect("a key");
        Base { _scratch: scratch, folder, verifier_key, notes, clients, shared, older }
    }

    fn auditor(&self) -> Auditor {
        let mut auditor = Auditor::new(&self.verifier_key);
        self.notes.iter().for_each(|note| _ = auditor.checkpoint(note).expect("a checkpoint"));
        auditor
    }

    /// Starts on a damaged copy and says what came of it; panics when that is not sound.
    fn outcome(&self, what: &str, damage: impl FnOnce(&Path)) -> &'static str {
        let scratch = scratch();
        copy_folder(&self.folder, scratch.path());
        let data = scratch.path().join("data");
        damage(&data);
        let site = match start(scratch.path()) {
            Ok(site) => site,
            Err(text) => {
                assert!(!text.contains("panicked"), "{what}: {text}");
                assert!(text.contains("einhorn: ") && text.len() > 30, "{what}: says only {text}");
                self.check_nothing_newer(&data, what);
                return "refuses to start";
            }
        };
        let said = site.stderr();
        let read_only = said.contains("READ ONLY");
        self.check_answers(&site, read_only, what);
        let (rcode, text) = try_update(&site.client(), &self.shared.key, 99);
        let expected = if read_only { Rcode::SERVFAIL } else { Rcode::NOERROR };
        assert_eq!(rcode, expected, "{what}: an update; {text:?}; it said {said}");
        let code = site.stop();
        if read_only {
            self.check_nothing_newer(&data, what);
            return "read only";
        }
        assert_eq!(code, Some(0), "{what}");
        let audit = self.auditor().audit(&mut Source::Folder(data.join("ledger")));
        let audit = audit.unwrap_or_else(|error| panic!("{what}: healed, but {error}"));
        check_acknowledged_are_in(&self.clients, &audit.entries);
        "heals"
    }

    /// A healthy node serves what was acknowledged last; one that is read only, what was once
    /// acknowledged, or nothing.
    fn check_answers(&self, site: &Site, read_only: bool, what: &str) {
        let asker = site.client();
        for name in self.clients.iter().flat_map(|client| &client.names) {
            if !read_only {
                let (served, possible) = (name.served(&asker), name.possible());
                assert!(possible.contains(&served), "{what}: {served:?}, not {possible:?}");
                continue;
            }
            let owner = name.owner.to_string();
            let reply = asker.query(&owner, einhorn_wire::RecordType::A);
            let known: Vec<[u8; 4]> = name
                .earlier
                .iter()
                .chain(&name.acknowledged)
                .map(|sent| sent.value.to_be_bytes())
                .collect();
            for record in &reply.answers {
                let is_known = known.iter().any(|value| *value == record.rdata[..]);
                assert!(is_known, "{what}: {owner} is {record:?}");
            }
        }
    }

    /// No checkpoint but those signed before the damage.
    fn check_nothing_newer(&self, data: &Path, what: &str) {
        let mut auditor = self.auditor();
        let size = auditor.size_seen();
        for file in ["checkpoint", "checkpoint.signed"] {
            let Ok(note) = fs::read(data.join("ledger").join(file)) else { continue };
            // What does not verify is the damage itself.
            let Ok(checkpoint) = auditor.checkpoint(&note) else { continue };
            assert!(checkpoint.size <= size, "{what}: signed a tree of {}", checkpoint.size);
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    change(&mut octets);
    fs::write(path, octets).expect("written");
}

fn flip(path: &Path, at: usize) {
    change(path, |octets| octets[at] ^= 0x20);
}

/// Octets up to the last one that is not zero: the write-ahead log is reserved beyond its content.
fn used_octets(path: &Path) -> usize {
    let octets = fs::read(path).expect("readable");
    octets.iter().rposition(|octet| *octet != 0).map_or(0, |at| at + 1)
}

/// How often each outcome came, by kind of damage.
#[derive(Default)]
struct Outcomes(BTreeMap<String, BTreeMap<&'static str, u32>>);

impl Outcomes {
    fn add(&mut self, kind: &str, outcome: &'static str) {
        *self.0.entry(kind.to_owned()).or_default().entry(outcome).or_default() += 1;
    }
}

impl Drop for Outcomes {
    fn drop(&mut self) {
        self.0.iter().for_each(|(kind, outcomes)| eprintln!("{kind}: {outcomes:?}"));
    }
}

fn flipped_bits(end: End, flips_per_file: u64, seed: u64) {
    eprintln!("seed {seed}");
    let base = Base::make(end);
    let mut random = Random::new(seed);
    let mut outcomes = Outcomes::default();
    let data = base.folder.join("data");
    for path in files_below(&data) {
        let file = path.strip_prefix(&data).expect("below").display().to_string();
        let length = used_octets_of(&path);
        if length == 0 {
            continue;
        }
        let is_log = file.starts_with("log.db");
        for _ in 0..if is_log { 8 * flips_per_file } else { flips_per_file } {
            let at = random.below(length as u64) as usize;
            let what = format!("{end:?}, seed {seed}, {file}, octet {at} of {length} flipped");
            let outcome = base.outcome(&what, |data| flip(&data.join(&file), at));
            outcomes.add(&kind_of(&file), outcome);
        }
    }
}

fn used_octets_of(path: &Path) -> usize {
    // Neither is read: a socket, and the shared memory that SQLite makes anew.
    let is_skipped = path.extension().is_some_and(|extension| extension == "sock")
        || path.ends_with("log.db-shm");
    if is_skipped { 0 } else { used_octets(path) }
}

/// Files of one purpose together.
fn kind_of(file: &str) -> String {
    let kind = [("ledger/tile/entries", "bundles"), ("ledger/tile", "tiles")];
    let kind = kind.iter().find(|(start, _)| file.starts_with(start));
    format!("flipped in {}", kind.map_or(file, |(_, kind)| kind))
}

#[test]
fn flipped_bits_heal_or_are_said() {
    flipped_bits(End::Killed, 1, 1);
    flipped_bits(End::Stopped, 1, 2);
}

#[test]
#[ignore = "long: some minutes"]
fn many_flipped_bits_heal_or_are_said() {
    for seed in 10..20 {
        flipped_bits(End::Killed, 4, seed);
        flipped_bits(End::Stopped, 4, 1000 + seed);
    }
}

/// Damage to whole files: its name and what it does to the data folder.
type Damage<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);

/// Each file of the data folder, damaged in each of the usual ways.
fn damages_of_each_file(base: &Base) -> Vec<Damage<'_>> {
    let mut damages: Vec<Damage<'_>> = Vec::new();
    let files = [
        "log.db",
        "log.db-wal",
        "ledger.key",
        "ledger.vkey",
        "ledger/checkpoint",
        "ledger/checkpoint.signed",
        "ledger/synced",
        "ledger/tile/0/000",
        "ledger/tile/entries/000",
    ];
    for file in files.map(|file| file.to_owned()) {
        // Some files are there only after a clean stop, or only after a sync.
        if !base.folder.join("data").join(&file).exists() {
            continue;
        }
        let damage = |how: &str, damage: fn(&Path)| -> Damage<'_> {
            let name = format!("{file} {how}").leak() as &str;
            let file = file.clone();
            (name, Box::new(move |data: &Path| damage(&data.join(&file))))
        };
        damages.push(damage("removed", |path| fs::remove_file(path).expect("removed")));
        damages.push(damage("emptied", |path| change(path, Vec::clear)));
        damages.push(damage("halved", |path| change(path, |o| o.truncate(o.len() / 2))));
        damages.push(damage("replaced by garbage", |path| change(path, |o| o.fill(0xa5))));
    }
    damages
}

/// Damage that takes more than one file, or knowledge of one.
fn special_damages(base: &Base) -> Vec<Damage<'_>> {
    let mut damages: Vec<Damage<'_>> = Vec::new();
    damages.push((
        "log.db with its write-ahead log removed",
        Box::new(|data| {
            for file in ["log.db", "log.db-wal", "log.db-shm"] {
                let _ = fs::remove_file(data.join(file));
            }
        }),
    ));
    damages.push((
        "ledger removed",
        Box::new(|data| fs::remove_dir_all(data.join("ledger")).expect("removed")),
    ));
    damages.push((
        "older log put back",
        Box::new(|data| {
            let _ = fs::remove_file(data.join("log.db-shm"));
            for file in ["log.db", "log.db-wal"] {
                let _ = fs::remove_file(data.join(file));
                if base.older.join(file).exists() {
                    fs::copy(base.older.join(file), data.join(file)).expect("copied");
                }
            }
        }),
    ));
    damages.push((
        "older checkpoints put back",
        Box::new(|data| {
            for file in ["ledger/checkpoint", "ledger/checkpoint.signed"] {
                fs::copy(base.older.join(file), data.join(file)).expect("copied");
            }
        }),
    ));
    damages.push((
        "another log's key",
        Box::new(|data| {
            change(&data.join("ledger.key"), |octets| {
                let at = octets.len() - 10;
                octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
            })
        }),
    ));
    damages.push((
        "the end of the write-ahead log overwritten",
        Box::new(|data| {
            let path = data.join("log.db-wal");
            let Ok(metadata) = fs::metadata(&path) else { return };
            assert!(metadata.len() > 0);
            let used = used_octets(&path);
            change(&path, |octets| octets[used.saturating_sub(100)..used].fill(0x5a));
        }),
    ));
    damages
}

#[test]
fn damaged_files_heal_or_are_said() {
    for end in [End::Killed, End::Stopped] {
        let base = Base::make(end);
        for (name, damage) in damages_of_each_file(&base).into_iter().chain(special_damages(&base))
        {
            let what = format!("{end:?}, {name}");
            let outcome = base.outcome(&what, damage);
            eprintln!("{what}: {outcome}");
        }
    }
}
