//! What one server goes through in a round.

use super::generator::{Aside, Load, Outcome, Pressure};
use super::mix::Mix;
use super::updating::Updating;
use super::{IN_FLIGHT, Measurement, SOCKETS, Server};
use crate::machine::{self, GENERATOR_PROCESSOR, SERVER_PROCESSOR, Stolen};
use crate::peers::{self, ONE_PROCESSOR, Start, Started};
use crate::probe;
use crate::process;
use crate::workload::Workload;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A server with two processors, which it shares with the generator.
const TWO_PROCESSORS: [usize; 2] = [SERVER_PROCESSOR, GENERATOR_PROCESSOR];

/// The phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// As many queries as it can answer, on a processor of its own.
    Most,
    /// Half of that, at even intervals.
    Half,
    /// As many queries as it can answer while it takes updates.
    MostUpdated,
    /// Half of what it answers without updates, while it takes them.
    HalfUpdated,
    /// Server and generator together on one processor.
    AllOnOne,
    /// Server and generators together on two processors.
    AllOnTwo,
}

impl Scene {
    /// How a person calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Scene::Most => "full load",
            Scene::Half => "half load",
            Scene::MostUpdated => "full load with updates",
            Scene::HalfUpdated => "half load with updates",
            Scene::AllOnOne => "all on one processor",
            Scene::AllOnTwo => "all on two processors",
        }
    }
}

/// Nothing beside the queries.
pub(super) struct Nothing;

impl Aside for Nothing {
    fn turn(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// What a round needs.
pub(super) struct Stage<'a> {
    pub(super) mix: &'a Mix,
    pub(super) program: &'a Path,
    pub(super) folder: PathBuf,
    pub(super) zone_file: &'a Path,
    pub(super) duration: Duration,
    pub(super) first_query: u32,
}

impl Stage<'_> {
    /// Takes one server through all scenes.
    pub(super) fn play(&self, server: &mut Server) -> Result<(), String> {
        let mut started = self.start(server, &ONE_PROCESSOR)?;
        server.command_line = started.server.command_line();
        server.configuration.clone_from(&started.configuration);
        // Some servers answer from a cache: at the usual rates this meets the whole mix once.
        let load = self.load(&started, self.most());
        measure(&load, &|| None, 1, &mut Nothing)?;
        let most = self.note(server, &mut started, Scene::Most, self.most(), &mut Nothing)?;
        server.memory.extend(process::family_memory(started.server.process_id()));
        let half = Pressure::Open { per_second: most.per_second / 2.0 };
        self.note(server, &mut started, Scene::Half, half, &mut Nothing)?;
        if server.peer.name == peers::OURS {
            for (scene, pressure) in [(Scene::MostUpdated, self.most()), (Scene::HalfUpdated, half)]
            {
                let mut workload = Workload::new()?;
                let mut updating = Updating::new(started.address(), &mut workload)?;
                self.note(server, &mut started, scene, pressure, &mut updating)?;
                server.updates_per_second.push(updating.finish());
            }
        }
        let on_one = self.together(&started, &ONE_PROCESSOR);
        self.keep(server, &mut started, Scene::AllOnOne, on_one)?;
        drop(started);
        let mut started = self.start(server, &TWO_PROCESSORS)?;
        let on_two = self.together(&started, &TWO_PROCESSORS);
        self.keep(server, &mut started, Scene::AllOnTwo, on_two).map(drop)
    }

    fn start(&self, server: &Server, processors: &[usize]) -> Result<Started, String> {
        let mut started = server.peer.start(Start {
            program: self.program,
            folder: &self.folder,
            zone_file: self.zone_file,
            processors,
        })?;
        let workload = Workload::new()?;
        probe::wait_until_ready(started.address(), &workload, || started.server.check_running())?;
        Ok(started)
    }

    fn most(&self) -> Pressure {
        Pressure::Closed { in_flight: IN_FLIGHT }
    }

    fn load(&self, started: &Started, pressure: Pressure) -> Load<'_> {
        Load {
            mix: self.mix,
            server: started.address(),
            sockets: SOCKETS,
            pressure,
            duration: self.duration,
            is_shared: false,
            check: true,
            first_query: self.first_query,
        }
    }

    fn note(
        &self,
        server: &mut Server,
        started: &mut Started,
        scene: Scene,
        pressure: Pressure,
        aside: &mut dyn Aside,
    ) -> Result<Measurement, String> {
        let process_id = started.server.process_id();
        let usage = || process::family_time(process_id);
        let outcome = measure(&self.load(started, pressure), &usage, 1, aside);
        self.keep(server, started, scene, outcome)
    }

    fn keep(
        &self,
        server: &mut Server,
        started: &mut Started,
        scene: Scene,
        outcome: Result<Measurement, String>,
    ) -> Result<Measurement, String> {
        started.server.check_running()?;
        let measurement = outcome?;
        eprintln!("  {}: {}", scene.title(), one_line(&measurement));
        server.measurements.push((scene, measurement.clone()));
        Ok(measurement)
    }

    /// A generator on each of the processors, which are the server's too.
    fn together(&self, started: &Started, processors: &[usize]) -> Result<Measurement, String> {
        let process_id = started.server.process_id();
        let run_one = |nth: usize, processor: usize| {
            machine::pin_this_thread(processor);
            let load = Load {
                is_shared: true,
                first_query: self.first_query + nth as u32 * 100_003,
                ..self.load(started, Pressure::Closed { in_flight: IN_FLIGHT / processors.len() })
            };
            measure(&load, &|| process::family_time(process_id), processors.len(), &mut Nothing)
        };
        let outcomes: Vec<Result<Measurement, String>> = thread::scope(|scope| {
            let run_one = &run_one;
            let threads: Vec<_> = processors
                .iter()
                .enumerate()
                .map(|(nth, processor)| scope.spawn(move || run_one(nth, *processor)))
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err("a generator panicked".to_owned()))
            };
            threads.into_iter().map(join).collect()
        });
        merge(outcomes.into_iter().collect::<Result<_, _>>()?)
    }
}

/// What several generators measured at the same time.
fn merge(parts: Vec<Measurement>) -> Result<Measurement, String> {
    let mut merged = parts.first().cloned().ok_or("there is no processor to measure on")?;
    let per_second: f64 = parts.iter().map(|part| part.per_second).sum();
    // Each saw the whole server's processor time, but only its own answers.
    merged.microseconds_each =
        merged.microseconds_each.map(|each| each * merged.per_second / per_second);
    merged.per_second = per_second;
    for part in &parts[1..] {
        merged.counts.add(&part.counts);
        merged.p50 = merged.p50.max(part.p50);
        merged.p99 = merged.p99.max(part.p99);
    }
    Ok(merged)
}

/// Runs a phase and looks at the server before and after.
pub(super) fn measure(
    load: &Load<'_>,
    usage: &dyn Fn() -> Option<Duration>,
    processors: usize,
    aside: &mut dyn Aside,
) -> Result<Measurement, String> {
    let look = || (usage(), machine::busy_time(SERVER_PROCESSOR), Stolen::now());
    let (mut before, mut after) = ((None, None, None), (None, None, None));
    let Outcome { per_second, answered, elapsed, p50, p99, counts } =
        load.run(aside, &mut || before = look(), &mut || after = look())?;
    let used = before.0.zip(after.0).map(|(before, after)| after.saturating_sub(before));
    let everybody = before.1.zip(after.1).map(|(before, after)| after.saturating_sub(before));
    let seconds = elapsed.as_secs_f64();
    let others = used
        .zip(everybody)
        .filter(|_| !load.is_shared)
        .map(|(used, everybody)| everybody.saturating_sub(used).as_secs_f64() / seconds);
    Ok(Measurement {
        per_second,
        microseconds_each: used
            .filter(|_| answered > 0)
            .map(|used| used.as_secs_f64() * 1e6 / answered as f64),
        busy: used.map(|used| used.as_secs_f64() / seconds / processors as f64),
        others,
        stolen: before.2.as_ref().and_then(machine::stolen_share),
        p50,
        p99,
        counts,
    })
}

fn one_line(measurement: &Measurement) -> String {
    let microseconds = |value: Option<u64>| value.map_or(0.0, |n| n as f64 / 1000.0);
    let counts = measurement.counts;
    format!(
        "{:.0}/s, server {:.2} µs each, busy {:.0} %, p50 {:.0} µs, p99 {:.0} µs, others {:.0} %; {} lost, {} wrong, {} stray",
        measurement.per_second,
        measurement.microseconds_each.unwrap_or_default(),
        measurement.busy.unwrap_or_default() * 100.0,
        microseconds(measurement.p50),
        microseconds(measurement.p99),
        measurement.others.unwrap_or_default() * 100.0,
        counts.lost,
        counts.wrong,
        counts.stray,
    )
}
