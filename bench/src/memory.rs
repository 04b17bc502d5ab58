//! The benchmark of memory: a large zone, what it takes, and how soon it is served, at first from
//! a zone file and again after a stop.
//!
//! It never counts what an empty server takes as the zone's.

use crate::contest;
use crate::machine::{self, GENERATOR_PROCESSOR, Stolen};
use crate::options::Options;
use crate::peers::{self, ONE_PROCESSOR, Start};
use crate::place::{Conditions, Place, server_notes};
use crate::probe;
use crate::process::{self, Memory};
use crate::query::mix;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use crate::verdict::{DISTURBED, ratio_target};
use einhorn_wire::Name;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Hosts in the zone, and in that of a quick run.
const HOSTS: u32 = 1_000_000;
const HOSTS_QUICK: u32 = 20_000;
/// Servers tidy up after loading; memory is looked at when they have come to rest.
const REST_SHARE: f64 = 0.02;
const REST_PATIENCE: Duration = Duration::from_secs(60);
/// Octets for each record, and times, against the best peer's.
const OCTETS_FACTOR_MAX: f64 = 1.0;
const LOAD_FACTOR_MAX: f64 = 1.0;
const OTHERS_SHARE_MAX: f64 = 0.2;
const STOLEN_SHARE_MAX: f64 = 0.05;

const OCTETS_EACH: &str = "octets/record";
const LOADING: &str = "s from the zone file";
const STARTING_AGAIN: &str = "s to start again";

/// One round of one server.
struct Measurement {
    empty: Memory,
    loaded: Memory,
    restarted: Memory,
    loading: Duration,
    starting_again: Duration,
    /// How much of the server's processor others used while it started.
    others: f64,
    stolen: f64,
}

type Server = contest::Server<Measurement>;

/// What a round needs.
struct Stage<'a> {
    program: &'a Path,
    folder: PathBuf,
    zone_file: &'a Path,
    empty_zone_file: &'a Path,
    hosts: u32,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let hosts = options.hosts(HOSTS, HOSTS_QUICK);
    let place = Place::new("memory")?;
    let conditions = Conditions::look();
    let (zone_file, empty_zone_file) = (place.zone_file(hosts)?, place.zone_file(1)?);
    machine::pin_this_thread(GENERATOR_PROCESSOR);
    let mut servers: Vec<Server> = contest::choose(options, &peers::ANSWERING);
    contest::take_turns(&mut servers, options.rounds, &place, |server, program, folder| {
        let (zone_file, empty_zone_file) = (&*zone_file, &*empty_zone_file);
        let stage = Stage { program, folder, zone_file, empty_zone_file, hosts };
        let measurement = stage.play(server)?;
        eprintln!("  {}", one_line(&measurement, hosts));
        Ok(measurement)
    });
    Ok(sheet(&servers, hosts, options.rounds, command_line, conditions))
}

impl<'a> Stage<'a> {
    fn start(&'a self, zone_file: &'a Path) -> Start<'a> {
        Start { program: self.program, folder: &self.folder, zone_file, processors: &ONE_PROCESSOR }
    }

    fn play(&'a self, server: &mut Server) -> Result<Measurement, String> {
        let empty = {
            let mut started = server.peer.start(self.start(self.empty_zone_file))?;
            probe_host(started.address(), 0, &mut started.server)?;
            rested_memory(started.server.process_id())?
        };
        let (busy, stolen) = (machine::busy_time(machine::SERVER_PROCESSOR), Stolen::now());
        let begin = Instant::now();
        let mut started = server.peer.start(self.start(self.zone_file))?;
        server.command_line = started.server.command_line();
        server.configuration.clone_from(&started.configuration);
        let address = started.address();
        let loading = probe_host(address, self.hosts - 1, &mut started.server)? - begin;
        let process_id = started.server.process_id();
        let used = process::family_time(process_id);
        let busy = busy.zip(machine::busy_time(machine::SERVER_PROCESSOR));
        let others = busy.zip(used).map_or(0.0, |((before, after), used)| {
            (after - before).saturating_sub(used).as_secs_f64() / loading.as_secs_f64()
        });
        let stolen = stolen.as_ref().and_then(machine::stolen_share).unwrap_or_default();
        let loaded = rested_memory(process_id)?;
        let begin = started.server.restart()?;
        let starting_again = probe_host(address, self.hosts - 1, &mut started.server)? - begin;
        let restarted = rested_memory(started.server.process_id())?;
        Ok(Measurement { empty, loaded, restarted, loading, starting_again, others, stolen })
    }
}

fn probe_host(
    address: std::net::SocketAddr,
    host: u32,
    server: &mut process::Server,
) -> Result<Instant, String> {
    let text = mix::host_name(host);
    let name: Name = text.parse().map_err(|error| format!("{text}: {error}"))?;
    probe::wait_for_address(address, &name, mix::address4(host), || server.check_running())
}

fn rested_memory(process_id: u32) -> Result<Memory, String> {
    if !process::wait_for_rest(process_id, REST_SHARE, REST_PATIENCE) {
        eprintln!("  it did not come to rest in {} s", REST_PATIENCE.as_secs());
    }
    process::family_memory(process_id)
        .ok_or_else(|| "cannot read the server's memory from /proc".to_owned())
}

impl Measurement {
    /// Octets for each record, by what each server alone takes.
    fn octets_each(&self, hosts: u32) -> f64 {
        let zone = self.loaded.proportional.saturating_sub(self.empty.proportional);
        zone as f64 / mix::records_of(hosts) as f64
    }
}

fn one_line(measurement: &Measurement, hosts: u32) -> String {
    format!(
        "{:.0} MB (PSS), {:.0} octets/record, loaded in {:.2} s, again in {:.2} s ({:.0} MB), others {:.0} %",
        measurement.loaded.proportional as f64 / 1e6,
        measurement.octets_each(hosts),
        measurement.loading.as_secs_f64(),
        measurement.starting_again.as_secs_f64(),
        measurement.restarted.proportional as f64 / 1e6,
        measurement.others * 100.0,
    )
}

fn table(servers: &[Server], hosts: u32) -> Table {
    let megabytes = |octets: u64| octets as f64 / 1e6;
    let row = |server: &Server| {
        let cell = |get: &dyn Fn(&Measurement) -> f64| {
            Cell::of(&server.measurements.iter().map(get).collect::<Vec<_>>())
        };
        Row {
            name: server.peer.name.to_owned(),
            cells: vec![
                cell(&|m| megabytes(m.loaded.proportional)),
                cell(&|m| megabytes(m.loaded.resident)),
                cell(&|m| megabytes(m.empty.proportional)),
                cell(&|m| m.octets_each(hosts)),
                cell(&|m| m.loading.as_secs_f64()),
                cell(&|m| m.starting_again.as_secs_f64()),
                cell(&|m| megabytes(m.restarted.proportional)),
                cell(&|m| m.others * 100.0),
            ],
        }
    };
    Table {
        title: format!("{hosts} names with two addresses each"),
        note: "PSS divides what processes share among them; RSS counts it for each. Octets for each record leave out what the server takes with one name. Peers start again as they do: from their zone file; Einhorn from its engine.".to_owned(),
        columns: vec![
            Column::plotted("memory MB (PSS)", 0),
            Column::plain("memory MB (RSS)", 0),
            Column::plain("empty MB (PSS)", 0),
            Column::plotted(OCTETS_EACH, 0),
            Column::plotted(LOADING, 2),
            Column::plotted(STARTING_AGAIN, 2),
            Column::plain("memory MB (PSS) then", 0),
            Column::plain("others on its processor %", 0),
        ],
        rows: servers.iter().map(row).collect(),
        compares: true,
    }
}

fn targets(table: &Table, is_disturbed: bool) -> Vec<Target> {
    let against_best = |column: &str, title: &str, most: f64, unjudged| {
        let others = table.rows.iter().filter(|row| row.name != peers::OURS);
        let best = others
            .filter_map(|row| Some((table.value(&row.name, column)?, row.name.as_str())))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let name = best.map_or("none measured", |(_, name)| name);
        ratio_target(
            format!("{title}: at most {most} times the best peer's ({name})"),
            table.value(peers::OURS, column),
            best.map(|(value, _)| value),
            |found| found <= most,
            unjudged,
        )
    };
    // Other work takes time, but no memory of the servers'.
    let disturbed = is_disturbed.then_some(DISTURBED);
    vec![
        against_best(OCTETS_EACH, "memory for each record", OCTETS_FACTOR_MAX, None),
        against_best(LOADING, "time to load a zone file", LOAD_FACTOR_MAX, disturbed),
        against_best(STARTING_AGAIN, "time to start again", LOAD_FACTOR_MAX, disturbed),
    ]
}

fn sheet(
    servers: &[Server],
    hosts: u32,
    rounds: u32,
    command_line: String,
    conditions: Conditions,
) -> Sheet {
    let table = table(servers, hosts);
    let mut warnings: Vec<String> = conditions.warning.into_iter().collect();
    let mut checks = Vec::new();
    let mut is_disturbed = false;
    for server in servers {
        let name = server.peer.name;
        let medians = |get: &dyn Fn(&Measurement) -> f64| {
            Cell::of(&server.measurements.iter().map(get).collect::<Vec<_>>())
                .map_or(0.0, |cell| cell.value)
        };
        let (others, stolen) = (medians(&|m| m.others), medians(&|m| m.stolen));
        if others > OTHERS_SHARE_MAX || stolen > STOLEN_SHARE_MAX {
            is_disturbed = true;
            warnings.push(format!(
                "{name} was disturbed while it loaded: others used {:.0} % of its processor, and the host took {:.0} %",
                others * 100.0,
                stolen * 100.0
            ));
        }
        checks.push(match &server.program {
            None => format!("{name}: not installed, not measured"),
            Some(_) => format!(
                "{name}: gave the last host's right address in {} round(s)",
                server.measurements.len()
            ),
        });
        checks
            .extend(server.failures.iter().map(|failure| format!("{name}: **failed**: {failure}")));
    }
    Sheet {
        benchmark: "memory".to_owned(),
        title: "Memory and start".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: format!(
            "A zone of {hosts} hosts ({} records) from a zone file, each server on processor 0; times from the start of its process to the first right answer about the last host. Medians of {rounds} round(s), servers in turn. Memory when the server has come to rest.",
            mix::records_of(hosts)
        ),
        warnings,
        targets: targets(&table, is_disturbed),
        tables: vec![table],
        checks,
        servers: server_notes(servers.iter().map(|server| {
            (server.peer, &server.version, &server.command_line, &server.configuration)
        })),
        is_sound: servers.iter().all(|server| server.failures.is_empty()),
    }
}
