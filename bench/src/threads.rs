//! How a server's processor time divides among its threads.
//!
//! Threads are told apart by their names, which they give themselves; threads of one name count
//! together. It only reads `/proc`.

use crate::phase::Usage;
use crate::process::parse_stat;
use crate::statistics::median;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

/// The name of Einhorn's thread that seals entries into the ledger's files.
pub(crate) const LEDGER_THREAD: &str = "ledger";

/// How often a thread that is to come to rest is looked at.
const REST_CHECK: Duration = Duration::from_millis(200);

/// By thread identifier: its name and the processor time it has used so far.
pub(crate) type ThreadTimes = BTreeMap<u32, (String, Duration)>;

/// The processor time of each thread of a process; `None` if the process is gone.
pub(crate) fn thread_times(process_id: u32) -> Option<ThreadTimes> {
    let mut times = ThreadTimes::new();
    for entry in fs::read_dir(format!("/proc/{process_id}/task")).ok()? {
        let entry = entry.ok()?;
        let identifier = entry.file_name().to_str()?.parse().ok()?;
        // A thread may end between being listed and being read.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let (name, time) = parse_stat(&text)?;
        times.insert(identifier, (name.to_owned(), time));
    }
    Some(times)
}

/// The processor time of all threads of one name.
fn time_of(times: &ThreadTimes, name: &str) -> Duration {
    times.values().filter(|(candidate, _)| candidate == name).map(|(_, time)| *time).sum()
}

/// Waits until the threads of one name have used no processor time for `rest`, at most for
/// `patience`. `false` if they never came to rest.
pub(crate) fn wait_for_rest(
    process_id: u32,
    name: &str,
    rest: Duration,
    patience: Duration,
) -> bool {
    let begin = Instant::now();
    let (mut last, mut since) = (None, begin);
    while begin.elapsed() < patience {
        let Some(times) = thread_times(process_id) else { return false };
        let time = Some(time_of(&times, name));
        if time != last {
            (last, since) = (time, Instant::now());
        } else if since.elapsed() >= rest {
            return true;
        }
        std::thread::sleep(REST_CHECK);
    }
    false
}

/// What part of a server's processor time each of its threads took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shares(BTreeMap<String, f64>);

impl Shares {
    /// The shares of the time used between two looks; `None` if none was used.
    pub(crate) fn between(before: &Usage, after: &Usage) -> Option<Shares> {
        let total = after.server.checked_sub(before.server).filter(|total| !total.is_zero())?;
        let mut shares = BTreeMap::new();
        for (identifier, (name, time)) in &after.threads {
            let earlier = before.threads.get(identifier).map_or(Duration::ZERO, |(_, time)| *time);
            let used = time.saturating_sub(earlier);
            *shares.entry(name.clone()).or_default() += used.as_secs_f64() / total.as_secs_f64();
        }
        Some(Shares(shares))
    }

    #[cfg(test)]
    pub(crate) fn of_pairs(pairs: &[(&str, f64)]) -> Shares {
        Shares(pairs.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect())
    }

    /// By name the median over several; `None` without any.
    pub(crate) fn median_of(several: &[&Shares]) -> Option<Shares> {
        let names: BTreeSet<&str> = several.iter().flat_map(|shares| shares.names()).collect();
        let middle = |name: &str| {
            // Threads that were not there took nothing.
            let values: Vec<f64> = several.iter().map(|s| s.of(name).unwrap_or(0.0)).collect();
            Some((name.to_owned(), median(&values)?))
        };
        (!several.is_empty()).then(|| Shares(names.into_iter().filter_map(middle).collect()))
    }

    /// The share of the threads of one name.
    pub(crate) fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The names of all threads.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(server: u64, threads: &[(u32, &str, u64)]) -> Usage {
        let threads = threads.iter().map(|(identifier, name, seconds)| {
            (*identifier, ((*name).to_owned(), Duration::from_secs(*seconds)))
        });
        Usage {
            server: Duration::from_secs(server),
            threads: threads.collect(),
            everybody: Duration::ZERO,
        }
    }

    #[test]
    fn shares_are_of_the_time_between_and_by_name() {
        let before = usage(10, &[(1, "commit", 4), (2, "ledger", 1), (3, "udp", 5)]);
        // Thread 3 has ended, thread 4 is new.
        let after = usage(20, &[(1, "commit", 6), (2, "ledger", 2), (4, "commit", 3)]);
        let shares = Shares::between(&before, &after).expect("time was used");
        assert_eq!(shares.of("commit"), Some(0.5));
        assert_eq!(shares.of(LEDGER_THREAD), Some(0.1));
        assert_eq!(shares.names().collect::<Vec<_>>(), ["commit", "ledger"]);
    }

    #[test]
    fn medians_count_absent_threads_as_idle() {
        let shares = Shares::of_pairs;
        let rounds = [
            shares(&[("udp", 0.5), ("ledger", 0.2)]),
            shares(&[("udp", 0.7)]),
            shares(&[("udp", 0.6)]),
        ];
        let middle = Shares::median_of(&rounds.iter().collect::<Vec<_>>());
        assert_eq!(middle, Some(shares(&[("ledger", 0.0), ("udp", 0.6)])));
        assert_eq!(Shares::median_of(&[]), None);
    }

    #[test]
    fn without_time_there_are_no_shares() {
        assert_eq!(Shares::between(&usage(5, &[]), &usage(5, &[])), None);
    }

    #[test]
    fn this_programs_own_threads_are_found_by_name() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("odd (name)".to_owned()).spawn(move || {
            ready.send(()).expect("the test waits for it");
            // Ends when the test drops its side.
            let _ = stopped.recv();
        });
        let thread = thread.expect("a thread can be started");
        is_ready.recv().expect("the thread lives");
        let times = thread_times(std::process::id()).expect("this process lives");
        drop(stop);
        thread.join().expect("the thread ended well");
        assert!(times.values().any(|(name, _)| name == "odd (name)"), "{times:?}");
    }
}
