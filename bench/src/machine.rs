//! The machine: which processor runs what, and what the report says about it.
//!
//! It only looks; apart from pinning its own threads it never changes anything.

use crate::statistics::percentile;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where the servers run. Knot pins its first UDP worker there whatever anybody says.
pub(crate) const SERVER_PROCESSOR: usize = 0;
/// Where the generator runs.
pub(crate) const GENERATOR_PROCESSOR: usize = 1;

/// Linux counts processor time for user programs in these units, on every architecture that
/// the benchmark runs on.
const TICKS_PER_SECOND: u64 = 100;
/// Appends measured to tell how fast the disk is.
const SYNC_SAMPLES: usize = 300;
/// Octets of each append.
const SYNC_OCTETS: usize = 4096;

/// Keeps the calling thread, and those it starts, on one processor. `false` where the machine
/// has no such processor.
pub(crate) fn pin_this_thread(processor: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).is_ok()
}

/// Time that a processor has spent so far on anything but waiting, stolen time included.
pub(crate) fn busy_time(processor: usize) -> Option<Duration> {
    parse_busy_time(&fs::read_to_string("/proc/stat").ok()?, processor)
}

fn parse_busy_time(stat: &str, processor: usize) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{processor} ")))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests count as user already.
    let [user, nice, system, _, _, interrupt, soft_interrupt, stolen, ..] = ticks[..] else {
        return None;
    };
    Some(ticks_to_time(user + nice + system + interrupt + soft_interrupt + stolen))
}

/// Time from the units of `/proc`.
pub(crate) fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Processor time that the calling thread has used so far.
pub(crate) fn this_threads_time() -> Duration {
    // It is never negative, which is the only reason to fail.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Octets that an ordinary user may still write to the file system of `folder`.
pub(crate) fn free_octets(folder: &Path) -> Result<u64, String> {
    let status = rustix::fs::statvfs(folder)
        .map_err(|error| format!("cannot tell the free space at {}: {error}", folder.display()))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

/// Part of the machine's time since `before` that the host gave to somebody else.
pub(crate) fn stolen_share(before: &Stolen) -> Option<f64> {
    let now = Stolen::now()?;
    let total = now.total.checked_sub(before.total).filter(|total| *total > 0)?;
    Some(now.stolen.saturating_sub(before.stolen) as f64 / total as f64)
}

/// Time stolen from this machine so far, and all time, in the kernel's units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stolen {
    stolen: u64,
    total: u64,
}

impl Stolen {
    /// What the kernel says now.
    pub(crate) fn now() -> Option<Stolen> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // Guests, the last two fields, count as user already.
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        Some(Stolen { stolen: *ticks.get(7)?, total: ticks.iter().sum() })
    }
}

/// Part of both processors' time that anything used during a moment in which the benchmark does
/// nothing. Sleeps for that moment.
pub(crate) fn idle_moment_share(moment: Duration) -> Option<f64> {
    let busy = || Some(busy_time(SERVER_PROCESSOR)? + busy_time(GENERATOR_PROCESSOR)?);
    let before = busy()?;
    std::thread::sleep(moment);
    Some((busy()?.saturating_sub(before)).as_secs_f64() / moment.as_secs_f64() / 2.0)
}

/// One line about processor, kernel and load.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, model)| model.trim())
        })
        .unwrap_or("unknown processor");
    let processors = information.lines().filter(|line| line.starts_with("processor")).count();
    let load = read("/proc/loadavg");
    format!(
        "{model}, {processors} processors, Linux {}, load average at the start {}",
        read("/proc/sys/kernel/osrelease").trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}

/// The median time in nanoseconds of appending to a file in `folder` and syncing it.
pub(crate) fn sync_nanoseconds(folder: &Path) -> Result<u64, String> {
    let path = folder.join("sync-sample");
    let measure = || -> std::io::Result<Vec<u64>> {
        let mut file = File::create(&path)?;
        let mut samples = Vec::with_capacity(SYNC_SAMPLES);
        for _ in 0..SYNC_SAMPLES {
            let begin = Instant::now();
            file.write_all(&[0x55; SYNC_OCTETS])?;
            file.sync_data()?;
            samples.push(begin.elapsed().as_nanos() as u64);
        }
        fs::remove_file(&path)?;
        Ok(samples)
    };
    let mut samples = measure()
        .map_err(|error| format!("cannot measure the disk at {}: {error}", path.display()))?;
    samples.sort_unstable();
    percentile(&samples, 50).ok_or_else(|| "no samples of the disk were taken".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_leaves_out_idleness() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 10 50 7000 900 1 20 19 5 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(parse_busy_time(stat, 0), Some(Duration::from_secs(2)));
        assert_eq!(parse_busy_time(stat, 7), None);
    }
}
