//! What is measured: how long changes of two homes take, how soon orphaned intents are gone, and
//! what a hot pair of names comes to.

use super::client::{Answered, Values, key_names};
use super::{BERLIN, FRANKFURT, HOT_CLIENTS, MUENCHEN};
use crate::statistics::percentile;
use einhorn_harness::{Fleet, FleetStart, await_that};
use einhorn_wire::message::Rcode;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at a site's intents.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long intents may take to be there, or to be gone.
const INTENTS_PATIENCE: Duration = Duration::from_secs(20);
/// A request's deadline, by default.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);
/// The links on which intents are orphaned: long enough to see an intent before its decision.
pub(super) const ORPHAN_ROUND_TRIP: Duration = Duration::from_millis(200);

/// One way of asking, at one length of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One name, asked at its home: what a local commit takes.
    OneHere,
    /// One name, asked elsewhere.
    OneForwarded,
    /// Two names, asked at the home that decides.
    AtAnchor,
    /// Two names, asked at the other home.
    AtOtherHome,
    /// Two names, asked where neither is at home.
    AtThird,
}

impl Way {
    pub(super) const EVERY: [Way; 5] =
        [Way::OneHere, Way::OneForwarded, Way::AtAnchor, Way::AtOtherHome, Way::AtThird];

    pub(super) fn name(self) -> &'static str {
        match self {
            Way::OneHere => "one name, at its home",
            Way::OneForwarded => "one name, at another site",
            Way::AtAnchor => "two homes, at the anchor's site",
            Way::AtOtherHome => "two homes, at the other home",
            Way::AtThird => "two homes, at a third site",
        }
    }

    fn site(self) -> usize {
        match self {
            Way::OneHere | Way::AtAnchor => BERLIN,
            Way::OneForwarded | Way::AtOtherHome => FRANKFURT,
            Way::AtThird => MUENCHEN,
        }
    }

    fn labels(self) -> &'static [&'static str] {
        match self {
            Way::OneHere | Way::OneForwarded => &["left"],
            Way::AtAnchor | Way::AtOtherHome | Way::AtThird => &["left", "right"],
        }
    }
}

/// Times of one way in one round, sorted, in nanoseconds.
#[derive(Default)]
pub(super) struct Times {
    pub(super) nanoseconds: Vec<u64>,
    pub(super) failed: u64,
}

impl Times {
    pub(super) fn milliseconds(&self, percent: u32) -> Option<f64> {
        percentile(&self.nanoseconds, percent).map(|nanoseconds| nanoseconds as f64 / 1e6)
    }
}

/// Three sites with names that several of them decide on.
fn start(program: &Path, round_trip: Option<Duration>, values: &Values) -> Result<Fleet, String> {
    let program = program.to_str().ok_or("the program's path is not UTF-8")?;
    let start = FleetStart { round_trip, more_keys: &key_names(), ..FleetStart::usual(program) };
    let fleet = start.start().ok_or("this machine has no loopback")?;
    for (site, label) in
        [(BERLIN, "left"), (FRANKFURT, "right"), (MUENCHEN, "third"), (BERLIN, "beside")]
    {
        values.register(&fleet, site, label)?;
    }
    fleet.settle();
    Ok(fleet)
}

/// Changes one after the other, in each way in turn.
pub(super) fn latencies(
    program: &Path,
    round_trip: Duration,
    count: usize,
) -> Result<Vec<Times>, String> {
    let values = Values::new()?;
    let fleet = start(program, Some(round_trip), &values)?;
    let mut found: Vec<Times> = Way::EVERY.iter().map(|_| Times::default()).collect();
    for _ in 0..count {
        for (way, times) in Way::EVERY.into_iter().zip(&mut found) {
            let Answered { rcode, time } = values.change(fleet.dns(way.site()), way.labels());
            match rcode {
                Some(Rcode::NOERROR) => times.nanoseconds.push(time.as_nanos() as u64),
                _ => times.failed += 1,
            }
            // What the change has left to do, such as closing intents, is not the next one's matter.
            std::thread::sleep(round_trip);
        }
    }
    for (way, times) in Way::EVERY.into_iter().zip(&mut found) {
        times.nanoseconds.sort_unstable();
        eprintln!(
            "  {} ms, {}: p50 {:.1} ms, p99 {:.1} ms, {} failed",
            round_trip.as_millis(),
            way.name(),
            times.milliseconds(50).unwrap_or_default(),
            times.milliseconds(99).unwrap_or_default(),
            times.failed,
        );
    }
    Ok(found)
}

/// Who is killed once intents are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphan {
    /// A coordinator that is no home, before the anchor has heard of the change.
    Coordinator,
    /// The coordinator, which is the anchor too; it is started again at once.
    Anchor,
}

impl Orphan {
    pub(super) const EVERY: [Orphan; 2] = [Orphan::Coordinator, Orphan::Anchor];

    pub(super) fn name(self) -> &'static str {
        match self {
            Orphan::Coordinator => "a coordinator that is no home, gone for good",
            Orphan::Anchor => "the coordinator that is the anchor too, started again",
        }
    }
}

/// When an orphaned intent was gone at all that ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved {
    /// After the later of the deadline and the moment from which all could be reached.
    pub(super) late: Duration,
    pub(super) since_kill: Duration,
}

/// Kills the coordinator of a change once a home has logged its intent.
pub(super) fn orphan(program: &Path, kind: Orphan) -> Result<Resolved, String> {
    let values = Values::new()?;
    let mut fleet = start(program, Some(ORPHAN_ROUND_TRIP), &values)?;
    let (coordinator, home, labels) = match kind {
        Orphan::Coordinator => (FRANKFURT, MUENCHEN, ["left", "third"]),
        Orphan::Anchor => (BERLIN, FRANKFURT, ["left", "right"]),
    };
    let server = fleet.dns(coordinator);
    if kind == Orphan::Coordinator {
        // The connection of Berlin and Frankfurt goes through this link alone. It stays cut: what is
        // under way must not arrive after all.
        fleet.link(FRANKFURT).cut();
    }
    let sent = Instant::now();
    // Nobody waits for the answer, which cannot come.
    let asked = std::thread::spawn(move || values.change(server, &labels));
    await_intents(&fleet, &[home], |open| open > 0)?;
    fleet.kill(coordinator);
    let killed = Instant::now();
    if kind == Orphan::Anchor {
        fleet.start(coordinator);
    }
    let others: Vec<usize> = (fleet.running().into_iter())
        .filter(|site| kind == Orphan::Coordinator || *site != coordinator)
        .collect();
    let reachable = match kind {
        // The others never lost sight of each other.
        Orphan::Coordinator => killed,
        Orphan::Anchor => {
            await_links(&fleet);
            Instant::now()
        }
    };
    await_intents(&fleet, &others, |open| open == 0)?;
    let gone = Instant::now();
    let due = reachable.max(sent + DEADLINE);
    let found = Resolved { late: gone.saturating_duration_since(due), since_kill: gone - killed };
    eprintln!(
        "  {}: resolved {:.2} s after the deadline, {:.2} s after the kill",
        kind.name(),
        found.late.as_secs_f64(),
        found.since_kill.as_secs_f64()
    );
    asked.join().map_err(|_| "a client failed")?;
    Ok(found)
}

/// Waits until the sites have so many open intents of their own and of others.
fn await_intents(
    fleet: &Fleet,
    sites: &[usize],
    is_enough: impl Fn(u64) -> bool,
) -> Result<(), String> {
    let end = Instant::now() + INTENTS_PATIENCE;
    loop {
        let mut open = Vec::new();
        for site in sites {
            open.push(fleet.status(*site)?["open-intents"].as_u64().unwrap_or_default());
        }
        if open.iter().all(|open| is_enough(*open)) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("open intents: {open:?} for {} s", INTENTS_PATIENCE.as_secs()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Waits until all that run see each other.
fn await_links(fleet: &Fleet) {
    let running = fleet.running();
    for site in &running {
        await_that("sites that see each other", || {
            let status = fleet.status(*site)?;
            let sites = status["sites"].as_array().cloned().unwrap_or_default();
            let here = sites.iter().filter(|site| site["state"] != "away").count();
            if here == running.len() { Ok(()) } else { Err(format!("{status:#}")) }
        });
    }
}

/// What clients at three sites came to who all want the same two names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hot {
    pub(super) per_second: f64,
    /// Of 100 answers.
    pub(super) servfail_percent: f64,
    /// Of 100 changes that were done, those with several homes.
    pub(super) several_percent: f64,
    /// Attempts that were decided against, for each change of several homes that was done.
    pub(super) aborts_per_change: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// Changes of both names by clients at all sites, each of which sends when it has its answer.
pub(super) fn hot(
    program: &Path,
    round_trip: Option<Duration>,
    labels: [&str; 2],
    duration: Duration,
) -> Result<Hot, String> {
    let values = Values::new()?;
    let fleet = start(program, round_trip, &values)?;
    let begin = Instant::now();
    let answers: Vec<Answered> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..fleet.count() * HOT_CLIENTS)
            .map(|client| {
                let (server, values) = (fleet.dns(client % fleet.count()), &values);
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while begin.elapsed() < duration {
                        answers.push(values.change(server, &labels));
                    }
                    answers
                })
            })
            .collect();
        clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect()
    });
    let elapsed = begin.elapsed().as_secs_f64();
    let is_done = |answered: &&Answered| answered.rcode == Some(Rcode::NOERROR);
    let mut times: Vec<u64> =
        answers.iter().filter(is_done).map(|answered| answered.time.as_nanos() as u64).collect();
    times.sort_unstable();
    let (done, all) = (times.len() as f64, answers.len() as f64);
    let milliseconds = |percent| percentile(&times, percent).map(|ns| ns as f64 / 1e6);
    let (commits, aborts) = decisions(&fleet)?;
    Ok(Hot {
        per_second: done / elapsed,
        servfail_percent: (all - done) / all.max(1.0) * 100.0,
        several_percent: commits / done.max(1.0) * 100.0,
        aborts_per_change: (commits > 0.0).then(|| aborts / commits),
        p50_ms: milliseconds(50),
        p99_ms: milliseconds(99),
    })
}

/// How many decisions for a change of several homes, and against one, are in the logs of all sites.
fn decisions(fleet: &Fleet) -> Result<(f64, f64), String> {
    fleet.settle();
    let (mut commits, mut aborts) = (0_u32, 0_u32);
    for site in fleet.running() {
        let text = fleet.operate(site, &["ledger", "export"]);
        if text.code != Some(0) {
            return Err(text.stderr);
        }
        for line in text.stdout.lines() {
            let entry: serde_json::Value =
                serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            match entry["committed"].as_bool() {
                Some(true) => commits += 1,
                Some(false) => aborts += 1,
                None => {}
            }
        }
    }
    Ok((f64::from(commits), f64::from(aborts)))
}
