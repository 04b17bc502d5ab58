//! The benchmark of several servers with one zone: how soon a change that was acknowledged at one
//! is visible at another, and what it costs to wait for the others.
//!
//! All servers of a group share the machine's processors with the generator, so that what the
//! others do is seen in the figures of the first. Groups take turns within each round.

mod group;
mod tables;
mod targets;
mod visible;

use crate::machine;
use crate::mode::Mode;
use crate::options::Options;
use crate::peers::Peer;
use crate::phase::{Measurement, Phase};
use crate::place::{Conditions, Place};
use crate::process;
use crate::sheet::Sheet;
use crate::udp;
use crate::workload::{self, HOSTS, Workload};
use group::{Group, Kind, Start};
use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use visible::{Plan, Shown, Watch};

/// Updates a second: devices of a quiet network, and of a busy one.
const SLOW: u32 = 5;
const FAST: u32 = 200;
/// Few updates a second need more time for their percentiles.
const SLOW_FACTOR: u32 = 8;
const DURATION_QUICK: Duration = Duration::from_secs(2);
/// Interval at which a secondary without NOTIFY asks, and one at which none does by itself.
const REFRESH_POLLING_SECONDS: u32 = 5;
const REFRESH_SECONDS: u32 = 3600;
/// Registering all names from another site takes so long at most.
const REGISTERING_PATIENCE: Duration = Duration::from_secs(60);
/// What many in flight, and one, mean.
const MANY: Mode = Mode::udp(256);
const ONE: Mode = Mode::udp(1);

/// Something that is measured in each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Updates enter where the names are at home.
    Home,
    /// Updates enter at a site, names are at home at another, a third is watched.
    Forwarded,
    BindNotify,
    Knot,
    BindPolling,
    /// One site, for comparison.
    OneSite,
    Majority,
    All,
}

impl Scene {
    pub(crate) const EVERY: [Scene; 8] = [
        Scene::Home,
        Scene::Forwarded,
        Scene::BindNotify,
        Scene::Knot,
        Scene::BindPolling,
        Scene::OneSite,
        Scene::Majority,
        Scene::All,
    ];

    /// As on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Scene::Home => "home",
            Scene::Forwarded => "forwarded",
            Scene::BindNotify => "bind",
            Scene::Knot => "knot",
            Scene::BindPolling => "polling",
            Scene::OneSite => "one",
            Scene::Majority => "majority",
            Scene::All => "all",
        }
    }

    /// As it is called in tables.
    fn name(self) -> &'static str {
        match self {
            Scene::Home => "Einhorn",
            Scene::Forwarded => "Einhorn, forwarded",
            Scene::BindNotify => "BIND, NOTIFY",
            Scene::Knot => "Knot, NOTIFY",
            Scene::BindPolling => "BIND, polling",
            Scene::OneSite => "one site",
            Scene::Majority => "majority of three",
            Scene::All => "all of three",
        }
    }

    fn kind(self) -> Kind {
        let sites = |count, level| Kind::Sites { count, level };
        match self {
            Scene::Home | Scene::Forwarded => sites(3, "local"),
            Scene::OneSite => sites(1, "local"),
            Scene::Majority => sites(3, "majority"),
            Scene::All => sites(3, "all"),
            Scene::BindNotify => Kind::BindNotify,
            Scene::BindPolling => Kind::BindPolling,
            Scene::Knot => Kind::Knot,
        }
    }

    fn zone_text(self) -> String {
        match self {
            Scene::BindPolling => workload::zone_file_with(REFRESH_POLLING_SECONDS, HOSTS),
            // Its names are registered from another site.
            Scene::Forwarded => workload::zone_file_with(REFRESH_SECONDS, 0),
            _ => workload::zone_file_with(REFRESH_SECONDS, HOSTS),
        }
    }
}

/// Updates at one rate.
struct Paced {
    shown: Shown,
    /// Processor time of each server for each second.
    busy: Vec<f64>,
    /// The same of what is neither server nor generator.
    others: f64,
}

/// As many updates as there is room for.
struct Closed {
    measurement: Measurement,
    /// Processor time of each server for each second.
    busy: Vec<f64>,
}

/// One round of one scene.
#[derive(Default)]
struct Found {
    slow: Option<Paced>,
    fast: Option<Paced>,
    many: Option<Closed>,
    one: Option<Closed>,
}

/// All rounds of one scene.
struct Played {
    scene: Scene,
    peer: &'static Peer,
    program: Option<PathBuf>,
    version: String,
    configuration: String,
    rounds: Vec<Found>,
    failures: Vec<String>,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let place = Place::new("sync")?;
    let conditions = Conditions::look();
    let sync_ns = machine::sync_nanoseconds(place.folder())?;
    let is_chosen = |scene: &Scene| {
        let named = options.scenes.as_ref().is_none_or(|scenes| scenes.contains(scene));
        named && options.includes(scene.kind().peer())
    };
    let chosen = Scene::EVERY.into_iter().filter(is_chosen);
    let mut played: Vec<Played> = chosen.map(|scene| find(scene, options)).collect();
    let duration = options.duration(DURATION_QUICK);
    let count = played.len();
    for round in 0..options.rounds {
        for turn in 0..count {
            let one = &mut played[(turn + round as usize) % count];
            let Some(program) = one.program.clone() else { continue };
            eprintln!("round {} of {}: {}", round + 1, options.rounds, one.scene.name());
            let folder = place.folder().join(format!("{round}-{turn}"));
            match play(one, &program, &folder, duration) {
                Ok(found) => one.rounds.push(found),
                Err(message) => {
                    eprintln!("  failed: {message}");
                    one.failures.push(message);
                }
            }
        }
    }
    let method = format!(
        "A zone of {HOSTS} hosts; each update (TSIG, hmac-sha256) gives one of them an address that it never had, and is durable before it is acknowledged. All servers of a group and the generator share this machine's processors. A name is asked for again and again over UDP at the watched server while its update is under way; the time is from the acknowledgement at the client to the answer with the new address there, 0 where that came first. Medians of {} round(s), groups in turn; {} s at {FAST} updates/s, {} s at {SLOW}, at random moments. Appending 4 KiB and fdatasync takes {:.3} ms.",
        options.rounds,
        duration.as_secs(),
        (duration * SLOW_FACTOR).as_secs(),
        sync_ns as f64 / 1e6,
    );
    Ok(tables::sheet(&played, method, command_line, conditions))
}

fn find(scene: Scene, options: &Options) -> Played {
    let peer = scene.kind().peer();
    let (program, version) = peer.found(options.einhorn.as_deref());
    let (configuration, rounds, failures) = (String::new(), Vec::new(), Vec::new());
    Played { scene, peer, program, version, configuration, rounds, failures }
}

/// One turn of one scene, with fresh servers.
fn play(
    played: &mut Played,
    program: &Path,
    folder: &Path,
    duration: Duration,
) -> Result<Found, String> {
    let scene = played.scene;
    let zone_file = folder.with_extension("zone");
    fs::write(&zone_file, scene.zone_text())
        .map_err(|error| format!("cannot write {}: {error}", zone_file.display()))?;
    let mut group = scene.kind().start(&Start { program, folder, zone_file: &zone_file })?;
    played.configuration.clone_from(&group.configuration);
    let mut workload = Workload::new()?;
    let entry = group.addresses[0];
    let mut found = Found::default();
    match scene {
        Scene::Home | Scene::BindNotify | Scene::Knot | Scene::BindPolling => {
            let watched = [group.addresses[1]];
            (found.slow, found.fast) = both_rates(&group, &mut workload, &watched, duration)?;
        }
        Scene::Forwarded => {
            register(group.addresses[1], &mut workload)?;
            let watched = [group.addresses[2]];
            (found.slow, found.fast) = both_rates(&group, &mut workload, &watched, duration)?;
        }
        Scene::All | Scene::Majority => {
            // What a level promises is checked where it is promised.
            let (watched, watch) = match scene {
                Scene::All => (group.addresses.clone(), Watch::OnceAcknowledged),
                _ => (vec![group.addresses[1]], Watch::UntilShown),
            };
            let plan = Plan { entry, watched: &watched, watch, rate: FAST, duration };
            found.fast = Some(paced(&group, &mut workload, &plan)?);
        }
        Scene::OneSite => {}
    }
    if matches!(scene, Scene::Home | Scene::OneSite) {
        found.one = Some(closed(&group, &mut workload, entry, ONE, duration)?);
    }
    if matches!(scene, Scene::Home | Scene::OneSite | Scene::Majority | Scene::All) {
        found.many = Some(closed(&group, &mut workload, entry, MANY, duration)?);
    }
    group.check_running()?;
    Ok(found)
}

fn both_rates(
    group: &Group,
    workload: &mut Workload,
    watched: &[SocketAddr],
    duration: Duration,
) -> Result<(Option<Paced>, Option<Paced>), String> {
    let (entry, watch) = (group.addresses[0], Watch::UntilShown);
    let slow = Plan { entry, watched, watch, rate: SLOW, duration: duration * SLOW_FACTOR };
    let slow = paced(group, workload, &slow)?;
    let fast = paced(group, workload, &Plan { entry, watched, watch, rate: FAST, duration })?;
    Ok((Some(slow), Some(fast)))
}

/// Processor time used so far.
struct Look {
    at: Instant,
    servers: Vec<Duration>,
    generator: Duration,
    everybody: Duration,
}

impl Look {
    fn now(group: &Group) -> Look {
        let busy = [0, 1].map(|processor| machine::busy_time(processor).unwrap_or_default());
        Look {
            at: Instant::now(),
            servers: group.processor_times(),
            generator: process::processor_time(std::process::id()).unwrap_or_default(),
            everybody: busy.iter().sum(),
        }
    }

    /// Processor time for each second since `before`: of each server, and of what is neither
    /// server nor generator.
    fn since(&self, before: &Look) -> (Vec<f64>, f64) {
        let elapsed = (self.at - before.at).as_secs_f64();
        let share =
            |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / elapsed;
        let servers = self.servers.iter().zip(&before.servers);
        let busy: Vec<f64> = servers.map(|(now, then)| share(*now, *then)).collect();
        let ours = busy.iter().sum::<f64>() + share(self.generator, before.generator);
        (busy, (share(self.everybody, before.everybody) - ours).max(0.0))
    }
}

fn paced(group: &Group, workload: &mut Workload, plan: &Plan<'_>) -> Result<Paced, String> {
    let mut looks = Vec::new();
    let shown = plan.run(workload, &mut || looks.push(Look::now(group)))?;
    let (busy, others) = between(&looks);
    let text = |found: Option<f64>| found.map_or("–".to_owned(), |ms| format!("{ms:.2}"));
    eprintln!(
        "  {}/s: visible p50/p90/p99 {}/{}/{} ms after the acknowledgement, {} of {} before it; acknowledged {}/{}/{} ms; {} violations of {} checks, {} failed",
        plan.rate,
        text(shown.visible_ms(50)),
        text(shown.visible_ms(90)),
        text(shown.visible_ms(99)),
        shown.early,
        shown.visible.len(),
        text(shown.acknowledged_ms(50)),
        text(shown.acknowledged_ms(90)),
        text(shown.acknowledged_ms(99)),
        shown.violations,
        shown.checked,
        shown.failed,
    );
    Ok(Paced { shown, busy, others })
}

fn between(looks: &[Look]) -> (Vec<f64>, f64) {
    match looks {
        [before, .., after] => after.since(before),
        _ => (Vec::new(), 0.0),
    }
}

fn closed(
    group: &Group,
    workload: &mut Workload,
    server: SocketAddr,
    mode: Mode,
    duration: Duration,
) -> Result<Closed, String> {
    let looks = RefCell::new(Vec::new());
    let look = || {
        looks.borrow_mut().push(Look::now(group));
        None
    };
    let phase = Phase { mode, duration, server, check_signatures: true, usage: &look };
    let measurement = phase.run(workload)?;
    let (busy, _) = between(&looks.borrow());
    let shares: Vec<String> = busy.iter().map(|share| format!("{share:.2}")).collect();
    eprintln!(
        "  {}: {:.0} updates/s, p50 {:.2} ms, p99 {:.2} ms; processors used: {}",
        mode.title(),
        measurement.updates_per_second,
        measurement.p50.unwrap_or_default() as f64 / 1e6,
        measurement.p99.unwrap_or_default() as f64 / 1e6,
        shares.join(", "),
    );
    Ok(Closed { measurement, busy })
}

/// Registers every host at a site, which becomes their home.
fn register(site: SocketAddr, workload: &mut Workload) -> Result<(), String> {
    udp::send_each(site, workload, HOSTS, REGISTERING_PATIENCE)
}
