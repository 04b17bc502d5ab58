//! The ledger by itself: what sealing costs for each entry in a small log and in a large one, how
//! fast a whole log is verified, and how long opening takes.
//!
//! It runs in the benchmark's process, in one thread, on the generator's processor. Batches on the
//! small and on the large log take turns, so that a machine that gets slower does so for both. It
//! measures processor time beside time by the clock, since the clock also sees the disk and
//! everybody else; and it never leaves its files behind.

use crate::machine::{self, GENERATOR_PROCESSOR};
use crate::options::{LEDGER_ENTRIES, LEDGER_ENTRIES_MIN};
use crate::statistics::median;
use einhorn_core::ledger::note::{Algorithm, SignerKey};
use einhorn_store::ledger::{Options, OsFiles, Sealer, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Octets of an entry: about what an update with one address makes.
pub(crate) const ENTRY_OCTETS: usize = 250;
/// Entries of a full bundle and tile (C2SP tlog-tiles).
const BUNDLE_ENTRIES: u64 = 256;
/// Entries sealed at once: the full bundles of 100 ms at a good rate of updates.
pub(crate) const BATCH_ENTRIES: u64 = 17 * BUNDLE_ENTRIES;
/// Entries of the small log when a measured batch joins it: 10 thousand, in full bundles.
pub(crate) const SMALL_ENTRIES: u64 = 39 * BUNDLE_ENTRIES;
/// After so many batches there is a new small log, since this one has grown.
const BATCHES_PER_SMALL_LOG: usize = 5;
const SMALL_LOGS: usize = 5;
/// Batches measured on the small logs, and on the large one.
pub(crate) const BATCHES: usize = SMALL_LOGS * BATCHES_PER_SMALL_LOG;
/// Entries between two syncs while the large log is made.
const SYNC_EVERY_ENTRIES: u64 = 500_000;
/// The files of one sync may go in the next.
const SYNCS_TO_SETTLE: usize = 2;
/// Times that the large log is opened.
const OPENINGS: usize = 5;
/// Octets on the disk for each entry, a little generously.
const DISK_OCTETS_PER_ENTRY: u64 = 320;
/// Octets on the disk that are left to others.
const DISK_RESERVE_OCTETS: u64 = 2 << 30;
const ORIGIN: &str = "bench.example/log";

type Entry = [u8; ENTRY_OCTETS];

/// Time by the clock and time of the processor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
}

/// What was found. Figures for each entry are in seconds.
#[derive(Debug, Clone)]
pub(crate) struct LedgerReport {
    /// Entries of the large log before the measured batches.
    pub(crate) entries: u64,
    /// Why there are fewer than asked for.
    pub(crate) reduced: Option<String>,
    /// Sealing all of the large log up to that size.
    pub(crate) filling: PerEntry,
    /// Making full tiles durable and reading them again, over all of the large log.
    pub(crate) syncing: PerEntry,
    /// Medians over the batches.
    pub(crate) small: PerEntry,
    pub(crate) large: PerEntry,
    pub(crate) verifying: PerEntry,
    pub(crate) opening: Times,
    /// How much of the processor others used while batches were sealed, and during verification.
    pub(crate) sealing_others: Option<f64>,
    pub(crate) verifying_others: Option<f64>,
}

impl LedgerReport {
    /// Whether the large log is as large as the target says, but for a bundle that is not full.
    pub(crate) fn is_large_enough(&self) -> bool {
        self.entries + BUNDLE_ENTRIES > LEDGER_ENTRIES
    }
}

/// Seconds for each entry.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PerEntry {
    pub(crate) wall: f64,
    pub(crate) processor: f64,
}

impl PerEntry {
    fn of(times: Times, entries: u64) -> PerEntry {
        let each = |time: Duration| time.as_secs_f64() / entries.max(1) as f64;
        PerEntry { wall: each(times.wall), processor: each(times.processor) }
    }

    /// The medians; `None` without samples.
    fn median_of(samples: &[PerEntry]) -> Option<PerEntry> {
        let over = |get: fn(&PerEntry) -> f64| median(&samples.iter().map(get).collect::<Vec<_>>());
        Some(PerEntry { wall: over(|s| s.wall)?, processor: over(|s| s.processor)? })
    }
}

impl Times {
    /// Runs `work` and tells what it took.
    fn measure<T>(work: impl FnOnce() -> T) -> (T, Times) {
        let (begin, before) = (Instant::now(), machine::this_threads_time());
        let result = work();
        let processor = machine::this_threads_time().saturating_sub(before);
        (result, Times { wall: begin.elapsed(), processor })
    }

    fn add(&mut self, other: Times) {
        self.wall += other.wall;
        self.processor += other.processor;
    }
}

/// Measures with a large log of `wanted` entries in `folder`, which is removed afterwards.
pub(crate) fn measure(folder: &Path, wanted: u64) -> Result<LedgerReport, String> {
    machine::pin_this_thread(GENERATOR_PROCESSOR);
    // An earlier run may have been interrupted.
    remove(folder)?;
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let outcome = machine::free_octets(folder)
        .and_then(|free| fitting(wanted, free))
        .and_then(|(entries, reduced)| measure_logs(folder, entries, SMALL_LOGS, reduced));
    remove(folder)?;
    outcome
}

fn remove(folder: &Path) -> Result<(), String> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder)
        .map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}

/// The entries of the large log that the disk has room for, in full bundles, and why they are
/// fewer than wanted.
fn fitting(wanted: u64, free_octets: u64) -> Result<(u64, Option<String>), String> {
    let room = free_octets.saturating_sub(DISK_RESERVE_OCTETS) / DISK_OCTETS_PER_ENTRY;
    let whole = |entries: u64| entries - entries % BUNDLE_ENTRIES;
    if room >= wanted {
        return Ok((whole(wanted), None));
    }
    let free = format!("{:.1} GB of disk are free", free_octets as f64 / 1e9);
    if room < LEDGER_ENTRIES_MIN {
        return Err(format!("{free}: too little for a log of {LEDGER_ENTRIES_MIN} entries"));
    }
    Ok((whole(room), Some(format!("{wanted} entries were asked for, but only {free}"))))
}

fn measure_logs(
    folder: &Path,
    entries: u64,
    small_logs: usize,
    reduced: Option<String>,
) -> Result<LedgerReport, String> {
    let mut large = Log::open(&folder.join("large"))?;
    eprintln!("  sealing {entries} entries");
    let (filling, mut syncing) = large.fill(entries)?;
    eprintln!("  sealing batches on small logs and on the large one");
    let samples = measure_batches(folder, small_logs, &mut large)?;
    for _ in 0..SYNCS_TO_SETTLE {
        syncing.add(large.sync()?);
    }
    let size = large.sealer.sealed();
    let path = large.path.clone();
    drop(large);
    eprintln!("  opening");
    let opening = measure_opening(&path, size)?;
    eprintln!("  verifying {size} entries");
    let mut verifying_others = Others::default();
    let verified = verifying_others.watch(|| measure_verifying(&path, size))?;
    let missing = || "no batch was measured".to_owned();
    Ok(LedgerReport {
        entries,
        reduced,
        filling: PerEntry::of(filling, entries),
        syncing: PerEntry::of(syncing, size),
        small: PerEntry::median_of(&samples.small).ok_or_else(missing)?,
        large: PerEntry::median_of(&samples.large).ok_or_else(missing)?,
        verifying: PerEntry::of(verified, size),
        opening,
        sealing_others: samples.others.share(),
        verifying_others: verifying_others.share(),
    })
}

/// What others used of this processor, out of how much time.
#[derive(Debug, Default)]
struct Others {
    used: Duration,
    wall: Duration,
}

impl Others {
    /// Runs `work` and counts what others use meanwhile.
    fn watch<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = machine::busy_time(GENERATOR_PROCESSOR);
        let (result, times) = Times::measure(work);
        if let Some((before, after)) = before.zip(machine::busy_time(GENERATOR_PROCESSOR)) {
            self.used += after.saturating_sub(before).saturating_sub(times.processor);
            self.wall += times.wall;
        }
        result
    }

    /// `None` where the machine does not tell.
    fn share(&self) -> Option<f64> {
        (!self.wall.is_zero()).then(|| self.used.as_secs_f64() / self.wall.as_secs_f64())
    }
}

/// Batches on small logs and on the large one.
#[derive(Debug, Default)]
struct Samples {
    small: Vec<PerEntry>,
    large: Vec<PerEntry>,
    others: Others,
}

impl Samples {
    /// Seals batches on both logs in turn.
    fn take(&mut self, small: &mut Log, large: &mut Log) -> Result<(), String> {
        let Samples { small: small_samples, large: large_samples, others } = self;
        others.watch(|| {
            for _ in 0..BATCHES_PER_SMALL_LOG {
                small_samples.push(PerEntry::of(small.seal(BATCH_ENTRIES)?, BATCH_ENTRIES));
                large_samples.push(PerEntry::of(large.seal(BATCH_ENTRIES)?, BATCH_ENTRIES));
            }
            Ok(())
        })
    }
}

fn measure_batches(folder: &Path, small_logs: usize, large: &mut Log) -> Result<Samples, String> {
    let mut samples = Samples::default();
    for number in 0..small_logs {
        let mut small = Log::open(&folder.join(format!("small-{number}")))?;
        small.fill(SMALL_ENTRIES)?;
        samples.take(&mut small, large)?;
    }
    Ok(samples)
}

/// The time of opening a log that was left in peace, as after an ordinary stop.
fn measure_opening(path: &Path, size: u64) -> Result<Times, String> {
    let (mut walls, mut processors) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let (opened, times) = Times::measure(|| Log::open(path));
        let found = opened?.sealer.sealed();
        if found != size {
            return Err(format!("a log of {size} entries opened with {found}"));
        }
        walls.push(times.wall.as_secs_f64());
        processors.push(times.processor.as_secs_f64());
    }
    let middle = |values: &[f64]| Duration::from_secs_f64(median(values).unwrap_or_default());
    Ok(Times { wall: middle(&walls), processor: middle(&processors) })
}

fn measure_verifying(path: &Path, size: u64) -> Result<Times, String> {
    let files = open_files(path)?;
    let key = signer()?;
    let (report, times) =
        Times::measure(|| verify(&files, key.verifier(), Options::default(), &mut |_, _| {}));
    if report.is_sound() && report.entries == size {
        return Ok(times);
    }
    Err(format!(
        "verification of {size} entries read {} and found {:?}",
        report.entries, report.findings
    ))
}

/// A log under measurement.
struct Log {
    path: PathBuf,
    sealer: Sealer,
}

impl Log {
    fn open(path: &Path) -> Result<Log, String> {
        let files = Arc::new(open_files(path)?);
        let sealer = Sealer::open(files, signer()?)
            .map_err(|error| format!("cannot open the log at {}: {error}", path.display()))?;
        Ok(Log { path: path.to_owned(), sealer })
    }

    /// Seals up to `size` entries, in batches, and syncs now and then; what sealing took, and
    /// what syncing took.
    fn fill(&mut self, size: u64) -> Result<(Times, Times), String> {
        let (mut sealing, mut syncing) = (Times::default(), Times::default());
        let mut sync_at = SYNC_EVERY_ENTRIES;
        while self.sealer.sealed() < size {
            sealing.add(self.seal(BATCH_ENTRIES.min(size - self.sealer.sealed()))?);
            if self.sealer.sealed() >= sync_at {
                sync_at += SYNC_EVERY_ENTRIES;
                syncing.add(self.sync()?);
                let each = PerEntry::of(sealing, self.sealer.sealed());
                eprintln!(
                    "  {} of {size}: {:.2} µs of processor and {:.2} µs by the clock for each entry",
                    self.sealer.sealed(),
                    each.processor * 1e6,
                    each.wall * 1e6,
                );
            }
        }
        // What is measured next begins with everything on the disk.
        syncing.add(self.sync()?);
        Ok((sealing, syncing))
    }

    /// Seals `count` new entries; what that took, without making the entries.
    fn seal(&mut self, count: u64) -> Result<Times, String> {
        let first = self.sealer.sealed();
        let entries: Vec<Entry> = (first..first + count).map(entry).collect();
        let (sealed, times) = Times::measure(|| self.sealer.seal(first, &entries));
        sealed.map_err(|error| format!("cannot seal entries from {first} on: {error}"))?;
        Ok(times)
    }

    fn sync(&mut self) -> Result<Times, String> {
        let (synced, times) = Times::measure(|| self.sealer.sync_full());
        synced.map_err(|error| format!("cannot sync the log: {error}"))?;
        Ok(times)
    }
}

fn open_files(path: &Path) -> Result<OsFiles, String> {
    OsFiles::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))
}

fn signer() -> Result<SignerKey, String> {
    SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[7; 32])
        .map_err(|error| format!("cannot make a key for `{ORIGIN}`: {error}"))
}

/// Entry `index` of every log: the same in each run, and unlike every other.
fn entry(index: u64) -> Entry {
    let mut entry = [0; ENTRY_OCTETS];
    let mut state = index;
    for chunk in entry.chunks_mut(8) {
        // SplitMix64: cheap, and spreads a counter over all bits.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
    }
    entry[..8].copy_from_slice(&index.to_be_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_takes_what_the_disk_has_and_says_so() {
        let gigabytes = |count: u64| count * 1_000_000_000;
        assert_eq!(fitting(10_000_000, gigabytes(60)), Ok((9_999_872, None)));
        let (entries, note) = fitting(10_000_000, gigabytes(4)).expect("room for a smaller one");
        assert!((5_000_000..6_000_000).contains(&entries), "{entries}");
        assert_eq!(entries % BUNDLE_ENTRIES, 0);
        assert!(note.is_some_and(|note| note.contains("only 4.0 GB")));
        assert!(fitting(10_000_000, gigabytes(2)).is_err());
    }

    #[test]
    fn entries_are_the_same_each_time_and_all_different() {
        let many: std::collections::BTreeSet<Entry> = (0..1000).map(entry).collect();
        assert_eq!(many.len(), 1000);
        assert_eq!(entry(5), entry(5));
        assert!(entry(0)[8..].iter().any(|octet| *octet != 0));
    }

    #[test]
    fn a_small_measurement_runs_to_its_end_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("einhorn-bench-{}", std::process::id()));
        let report = measure_logs(&folder, 4 * SMALL_ENTRIES, 1, None);
        remove(&folder).expect("the files can be removed");
        let report = report.expect("it can be measured");
        assert_eq!(report.entries, 4 * SMALL_ENTRIES);
        for each in [report.small, report.large, report.filling, report.syncing, report.verifying] {
            assert!(each.processor > 0.0 && each.wall > 0.0, "{report:?}");
        }
    }
}
