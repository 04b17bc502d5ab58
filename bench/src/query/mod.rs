//! The benchmark of answers: how many, at what cost, how soon; on one processor and on two; and
//! while updates are applied.
//!
//! Every answer is compared with the zone; one wrong answer makes the run void. Servers take
//! turns within each round. It never compares figures from different runs.

mod client;
mod generator;
pub(crate) mod mix;
mod scenes;
mod tables;
mod updating;

use crate::echo::Echo;
use crate::machine::{self, GENERATOR_PROCESSOR, SERVER_PROCESSOR};
use crate::options::Options;
use crate::peers::{self, Peer};
use crate::place::{Conditions, Place};
use crate::process::Memory;
use crate::sheet::Sheet;
use client::Counts;
use generator::{Load, Pressure};
use mix::Mix;
use scenes::Scene;
use std::path::PathBuf;
use std::time::Duration;

/// Hosts in the zone, and in that of a quick run.
const HOSTS: u32 = 100_000;
const HOSTS_QUICK: u32 = 10_000;
const DURATION_QUICK: Duration = Duration::from_millis(400);
/// The ceiling is the same in every round: one look at it is enough.
const ECHO_DURATION: Duration = Duration::from_secs(2);
/// Queries under way in the closed loop: what fits the receive buffer of a server that leaves
/// the kernel's default (212,992 octets, 768 of them for each query).
const IN_FLIGHT: usize = 192;
/// Sockets of a generator. Some servers share their work out by the client's address and port.
const SOCKETS: usize = 4;

/// One phase of one server.
#[derive(Debug, Clone)]
struct Measurement {
    per_second: f64,
    /// Processor time of the server and all processes it started, for each answer.
    microseconds_each: Option<f64>,
    /// How much of its processors the server used: near 1 where the server is the limit.
    busy: Option<f64>,
    /// How much of the server's processor others used.
    others: Option<f64>,
    stolen: Option<f64>,
    p50: Option<u64>,
    p99: Option<u64>,
    counts: Counts,
}

/// All rounds of one server.
struct Server {
    peer: &'static Peer,
    program: Option<PathBuf>,
    version: String,
    command_line: String,
    configuration: String,
    /// By scene, one for each round.
    measurements: Vec<(Scene, Measurement)>,
    memory: Vec<Memory>,
    /// Updates acknowledged a second in each phase with updates.
    updates_per_second: Vec<f64>,
    failures: Vec<String>,
}

/// All that a run found.
struct Findings {
    hosts: u32,
    rounds: u32,
    duration: Duration,
    /// Whether server and generator had a processor each.
    is_pinned: bool,
    /// What the generator reaches against a responder that does no work.
    ceiling: Measurement,
    servers: Vec<Server>,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let hosts = options.hosts(HOSTS, HOSTS_QUICK);
    let place = Place::new("query")?;
    let conditions = Conditions::look();
    let zone_file = place.zone_file(hosts)?;
    let mix = Mix::new(hosts)?;
    let is_pinned =
        machine::pin_this_thread(SERVER_PROCESSOR) && machine::pin_this_thread(GENERATOR_PROCESSOR);
    let ceiling = measure_ceiling(&mix)?;
    let servers = options.choose(&peers::ANSWERING).into_iter().map(|peer| find(peer, options));
    let mut findings = Findings {
        hosts,
        rounds: options.rounds,
        duration: options.duration(DURATION_QUICK),
        is_pinned,
        ceiling,
        servers: servers.collect(),
    };
    let count = findings.servers.len();
    for round in 0..options.rounds {
        // Each round begins with another server.
        for turn in 0..count {
            let server = &mut findings.servers[(turn + round as usize) % count];
            let Some(program) = server.program.clone() else { continue };
            eprintln!("round {} of {}: {}", round + 1, options.rounds, server.peer.name);
            let stage = scenes::Stage {
                mix: &mix,
                program: &program,
                folder: place.folder().join(format!("{round}-{}", server.peer.program)),
                zone_file: &zone_file,
                duration: findings.duration,
                first_query: round * 7919,
            };
            if let Err(message) = stage.play(server) {
                eprintln!("  failed: {message}");
                server.failures.push(message);
            }
        }
    }
    Ok(tables::sheet(&findings, command_line, conditions))
}

fn find(peer: &'static Peer, options: &Options) -> Server {
    let (program, version) = peer.found(options.einhorn.as_deref());
    Server {
        peer,
        program,
        version,
        command_line: String::new(),
        configuration: String::new(),
        measurements: Vec::new(),
        memory: Vec::new(),
        updates_per_second: Vec::new(),
        failures: Vec::new(),
    }
}

fn measure_ceiling(mix: &Mix) -> Result<Measurement, String> {
    let echo = Echo::start()?;
    let load = Load {
        mix,
        server: echo.address(),
        sockets: SOCKETS,
        pressure: Pressure::Closed { in_flight: IN_FLIGHT },
        duration: ECHO_DURATION,
        is_shared: false,
        check: false,
        first_query: 0,
    };
    let measurement = scenes::measure(&load, &|| None, 1, &mut scenes::Nothing)?;
    eprintln!("the generator's own ceiling, against an echo: {:.0}/s", measurement.per_second);
    Ok(measurement)
}
