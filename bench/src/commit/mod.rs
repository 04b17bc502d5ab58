//! The benchmark of changes that several sites decide on: what they take over links of some length,
//! how soon a killed coordinator's intents are gone, and what becomes of names that everybody wants.
//!
//! Sites are real processes on this machine; their links go through a proxy that delays them, so that
//! what is measured is mostly waiting, and a busy machine spoils less of it than of other figures.

mod client;
mod scenes;
mod tables;

use crate::options::Options;
use crate::peers::EINHORN;
use crate::place::Conditions;
use crate::sheet::Sheet;
use scenes::{Hot, Orphan, Resolved, Times};
use std::path::Path;
use std::time::Duration;

const BERLIN: usize = 0;
const FRANKFURT: usize = 1;
const MUENCHEN: usize = 2;
/// Links of a region, a country and a continent.
const ROUND_TRIPS_MS: [u64; 3] = [10, 30, 80];
/// Changes in each way, one after the other.
const CHANGES: usize = 50;
const CHANGES_QUICK: usize = 10;
/// Clients at each site that want the same names.
const HOT_CLIENTS: usize = 2;
const DURATION_QUICK: Duration = Duration::from_secs(2);

/// A load on two names that everybody wants.
#[derive(Debug, Clone, Copy)]
struct HotScene {
    name: &'static str,
    labels: [&'static str; 2],
    round_trip_ms: Option<u64>,
}

const HOT_SCENES: [HotScene; 4] = [
    HotScene { name: "two homes", labels: ["left", "right"], round_trip_ms: None },
    HotScene { name: "one home", labels: ["left", "beside"], round_trip_ms: None },
    HotScene { name: "two homes, 10 ms", labels: ["left", "right"], round_trip_ms: Some(10) },
    HotScene { name: "one home, 10 ms", labels: ["left", "beside"], round_trip_ms: Some(10) },
];

/// What all rounds found: by scene, then by round.
#[derive(Default)]
struct Found {
    latencies: [Vec<Vec<Times>>; ROUND_TRIPS_MS.len()],
    orphans: [Vec<Resolved>; Orphan::EVERY.len()],
    hot: [Vec<Hot>; HOT_SCENES.len()],
    failures: Vec<String>,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let conditions = Conditions::look();
    let (program, version) = EINHORN.found(options.einhorn.as_deref());
    let program = program.ok_or("einhorn is not beside this program: say where with --einhorn")?;
    let mut found = Found::default();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        found.round(&program, options);
    }
    let method = format!(
        "Three sites on this machine, `ack = local`, signed updates of one name or two, over links of a fixed length (a proxy delays each direction by half of the round trip). Every update has the condition that its names exist, so that none is joined with another. {} changes in each way and round, one after the other; {HOT_CLIENTS} clients at each site for the hot names, {} s. Medians of {} round(s).",
        options.changes(CHANGES, CHANGES_QUICK),
        options.duration(DURATION_QUICK).as_secs(),
        options.rounds,
    );
    Ok(tables::sheet(&found, method, command_line, conditions, version))
}

impl Found {
    /// What fails is noted, and the rest goes on.
    fn round(&mut self, program: &Path, options: &Options) {
        let count = options.changes(CHANGES, CHANGES_QUICK);
        for (at, ms) in ROUND_TRIPS_MS.into_iter().enumerate() {
            match scenes::latencies(program, Duration::from_millis(ms), count) {
                Ok(times) => self.latencies[at].push(times),
                Err(failure) => self.failures.push(format!("links of {ms} ms: {failure}")),
            }
        }
        for (at, kind) in Orphan::EVERY.into_iter().enumerate() {
            match scenes::orphan(program, kind) {
                Ok(resolved) => self.orphans[at].push(resolved),
                Err(failure) => self.failures.push(format!("{}: {failure}", kind.name())),
            }
        }
        for (at, scene) in HOT_SCENES.into_iter().enumerate() {
            let round_trip = scene.round_trip_ms.map(Duration::from_millis);
            let duration = options.duration(DURATION_QUICK);
            match scenes::hot(program, round_trip, scene.labels, duration) {
                Ok(hot) => {
                    eprintln!("  {}: {hot:?}", scene.name);
                    self.hot[at].push(hot);
                }
                Err(failure) => self.failures.push(format!("{}: {failure}", scene.name)),
            }
        }
    }
}
