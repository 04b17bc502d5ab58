//! The benchmark of zone transfers: a large zone out of each server, and what changed since.
//!
//! The client only counts and has a processor of its own. Transfers are signed where the server
//! can. It never takes a zone for differences: what came is told apart.

mod client;

use crate::contest;
use crate::machine::{self, GENERATOR_PROCESSOR, SERVER_PROCESSOR, Stolen};
use crate::options::Options;
use crate::peers::{self, Ability, ONE_PROCESSOR, Peer, Start, Started};
use crate::place::{Conditions, Place, server_notes};
use crate::process;
use crate::query::mix;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use crate::udp;
use crate::verdict::{DISTURBED, ratio_target};
use crate::workload::Workload;
use client::Transferred;
use einhorn_wire::Name;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Hosts in the zone, and in that of a quick run.
const HOSTS: u32 = 1_000_000;
const HOSTS_QUICK: u32 = 20_000;
/// Names changed before the differences are asked for.
const CHANGES: u32 = 1000;
const CHANGES_PATIENCE: Duration = Duration::from_secs(60);
/// Servers tidy up after loading.
const REST_SHARE: f64 = 0.02;
const REST_PATIENCE: Duration = Duration::from_secs(60);
/// Time against the best peer's.
const TIME_FACTOR_MAX: f64 = 1.0;
const OTHERS_SHARE_MAX: f64 = 0.2;
const STOLEN_SHARE_MAX: f64 = 0.05;

const SECONDS: &str = "AXFR s";

/// One round of one server.
struct Measurement {
    whole: Transferred,
    /// Processor time of the server for the whole zone.
    processor: Duration,
    others: f64,
    stolen: f64,
    /// `None` where the server takes no updates.
    differences: Option<Transferred>,
}

type Server = contest::Server<Measurement>;

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let hosts = options.hosts(HOSTS, HOSTS_QUICK);
    let place = Place::new("transfer")?;
    let conditions = Conditions::look();
    let zone_file = place.zone_file(hosts)?;
    machine::pin_this_thread(GENERATOR_PROCESSOR);
    let mut servers: Vec<Server> = contest::choose(options, &peers::TRANSFERRING);
    contest::take_turns(&mut servers, options.rounds, &place, |server, program, folder| {
        play(server, program, &folder, &zone_file, hosts)
    });
    Ok(sheet(&servers, hosts, options.rounds, command_line, conditions))
}

fn play(
    server: &mut Server,
    program: &Path,
    folder: &Path,
    zone_file: &Path,
    hosts: u32,
) -> Result<Measurement, String> {
    let start = Start { program, folder, zone_file, processors: &ONE_PROCESSOR };
    let mut started = server.peer.start(start)?;
    server.command_line = started.server.command_line();
    server.configuration.clone_from(&started.configuration);
    let text = mix::host_name(hosts - 1);
    let name: Name = text.parse().map_err(|error| format!("{text}: {error}"))?;
    let address = started.address();
    let right = mix::address4(hosts - 1);
    crate::probe::wait_for_address(address, &name, right, || started.server.check_running())?;
    process::wait_for_rest(started.server.process_id(), REST_SHARE, REST_PATIENCE);
    let measurement = whole_zone(server.peer, &started, hosts)?;
    let differences = match server.peer.ability {
        Ability::Updates => {
            change(address)?;
            let found = client::receive(address, Some(measurement.whole.serial), true)?;
            eprintln!("  differences: {found:?}");
            Some(found)
        }
        Ability::SignedTransfers | Ability::PlainTransfers => None,
    };
    started.server.check_running()?;
    Ok(Measurement { differences, ..measurement })
}

fn whole_zone(peer: &Peer, started: &Started, hosts: u32) -> Result<Measurement, String> {
    let process_id = started.server.process_id();
    let look = || (process::family_time(process_id), machine::busy_time(SERVER_PROCESSOR));
    let (before, stolen) = (look(), Stolen::now());
    let whole = client::receive(started.address(), None, peer.ability != Ability::PlainTransfers)?;
    let after = look();
    eprintln!("  whole: {whole:?}");
    let expected = mix::records_of(hosts) + 1;
    if whole.records != expected {
        return Err(format!("{} records came instead of {expected}", whole.records));
    }
    let between = |before: Option<Duration>, after: Option<Duration>| {
        before.zip(after).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before))
    };
    let processor = between(before.0, after.0);
    let others = between(before.1, after.1).saturating_sub(processor);
    Ok(Measurement {
        whole,
        processor,
        others: others.as_secs_f64() / whole.elapsed.as_secs_f64(),
        stolen: stolen.as_ref().and_then(machine::stolen_share).unwrap_or_default(),
        differences: None,
    })
}

/// Changes [`CHANGES`] names, each by an update of its own.
fn change(server: SocketAddr) -> Result<(), String> {
    udp::send_each(server, &mut Workload::new()?, CHANGES, CHANGES_PATIENCE)
}

fn table(servers: &[Server]) -> Table {
    let row = |server: &Server| {
        let cell = |get: &dyn Fn(&Measurement) -> Option<f64>| {
            Cell::of(&server.measurements.iter().filter_map(get).collect::<Vec<_>>())
        };
        let incremental = |m: &Measurement| m.differences.filter(|found| found.is_incremental);
        Row {
            name: server.peer.name.to_owned(),
            cells: vec![
                cell(&|m| Some(m.whole.elapsed.as_secs_f64())),
                cell(&|m| Some(m.whole.octets as f64 / 1e6 / m.whole.elapsed.as_secs_f64())),
                cell(&|m| Some(m.whole.octets as f64 / 1e6)),
                cell(&|m| Some(m.whole.messages as f64)),
                cell(&|m| Some(m.processor.as_secs_f64())),
                cell(&|m| Some(m.others * 100.0)),
                cell(&|m| Some(incremental(m)?.elapsed.as_secs_f64() * 1e3)),
                cell(&|m| Some(incremental(m)?.records as f64)),
            ],
        }
    };
    Table {
        title: "Out of the server".to_owned(),
        note: format!(
            "IXFR is asked for after {CHANGES} names were changed by an update each; there is no figure where the server takes no updates in this setup or sent the whole zone instead."
        ),
        columns: vec![
            Column::plotted(SECONDS, 2),
            Column::plotted("AXFR MB/s", 1),
            Column::plain("MB", 1),
            Column::plain("messages", 0),
            Column::plain("server CPU s", 2),
            Column::plain("others on its processor %", 0),
            Column::plotted("IXFR ms", 2),
            Column::plain("IXFR records", 0),
        ],
        rows: servers.iter().map(row).collect(),
        compares: true,
    }
}

fn target(table: &Table, is_disturbed: bool) -> Target {
    let others = table.rows.iter().filter(|row| row.name != peers::OURS);
    let best = others
        .filter_map(|row| Some((table.value(&row.name, SECONDS)?, row.name.as_str())))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    ratio_target(
        format!(
            "time of a whole zone: at most {TIME_FACTOR_MAX} times the best peer's ({})",
            best.map_or("none measured", |(_, name)| name)
        ),
        table.value(peers::OURS, SECONDS),
        best.map(|(seconds, _)| seconds),
        |found| found <= TIME_FACTOR_MAX,
        is_disturbed.then_some(DISTURBED),
    )
}

/// What there is to say about one server.
fn check(server: &Server) -> Vec<String> {
    let name = server.peer.name;
    let rounds = server.measurements.len();
    let mut checks = vec![match &server.program {
        None => format!("{name}: not installed, not measured"),
        Some(_) => format!("{name}: all records came, SOA first and last, in {rounds} round(s)"),
    }];
    if server.peer.ability == Ability::PlainTransfers {
        checks.push(format!("{name}: its transfers are not signed"));
    }
    let whole = |m: &&Measurement| m.differences.is_some_and(|found| !found.is_incremental);
    if server.measurements.iter().any(|m| whole(&m)) {
        checks.push(format!("{name}: asked for differences, it sent the whole zone"));
    }
    checks.extend(server.failures.iter().map(|failure| format!("{name}: **failed**: {failure}")));
    checks
}

fn sheet(
    servers: &[Server],
    hosts: u32,
    rounds: u32,
    command_line: String,
    conditions: Conditions,
) -> Sheet {
    let table = table(servers);
    let mut warnings: Vec<String> = conditions.warning.into_iter().collect();
    let disturbed = |server: &&Server| {
        let over = |get: &dyn Fn(&Measurement) -> f64, most: f64| {
            let values: Vec<f64> = server.measurements.iter().map(get).collect();
            Cell::of(&values).is_some_and(|cell| cell.value > most)
        };
        over(&|m| m.others, OTHERS_SHARE_MAX) || over(&|m| m.stolen, STOLEN_SHARE_MAX)
    };
    let disturbed: Vec<&str> =
        servers.iter().filter(disturbed).map(|server| server.peer.name).collect();
    if !disturbed.is_empty() {
        warnings.push(format!(
            "other work used the server's processor while these sent: {}",
            disturbed.join(", ")
        ));
    }
    Sheet {
        benchmark: "transfer".to_owned(),
        title: "Zone transfers".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: format!(
            "A zone of {hosts} hosts ({} records) over one TCP connection on the loopback interface; server on processor 0, a client that only counts on processor 1. Requests are signed (TSIG, hmac-sha256) where the server can. Medians of {rounds} round(s), servers in turn.",
            mix::records_of(hosts)
        ),
        warnings,
        targets: vec![target(&table, !disturbed.is_empty())],
        tables: vec![table],
        checks: servers.iter().flat_map(check).collect(),
        servers: server_notes(servers.iter().map(|server| {
            (server.peer, &server.version, &server.command_line, &server.configuration)
        })),
        is_sound: servers.iter().all(|server| server.failures.is_empty()),
    }
}
