//! The benchmark of durable, signed updates: rounds over servers over modes.
//!
//! Servers take turns within each round, so that a machine that gets slower or faster does so
//! for all of them. It never compares figures from different runs.

use crate::echo::Echo;
use crate::ledger::{self, LedgerReport};
use crate::machine::{self, GENERATOR_PROCESSOR, SERVER_PROCESSOR};
use crate::mode::Mode;
use crate::options::Options;
use crate::peers::{self, ONE_PROCESSOR, Peer, Start};
use crate::phase::{Measurement, Phase, Usage};
use crate::place::{Conditions, Place};
use crate::probe::{self, Verification};
use crate::process;
use crate::report::{self, Report, ServerReport};
use crate::sheet::Sheet;
use crate::threads::{self, LEDGER_THREAD, Shares};
use crate::update_sheet;
use crate::workload::{self, Workload};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The ceiling is the same in every round: one short look at it is enough.
const ECHO_DURATION: Duration = Duration::from_secs(2);
const DURATION_QUICK: Duration = Duration::from_secs(1);
/// Einhorn's ledger makes its files durable in two steps, each a second after the last update or
/// the last step: after a longer rest its work is done.
const LEDGER_REST: Duration = Duration::from_millis(2500);
const LEDGER_PATIENCE: Duration = Duration::from_secs(30);

/// Runs the benchmark; its figures, and its report.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<(Sheet, String), String> {
    let place = Place::new("update")?;
    let conditions = Conditions::look();
    let mut report = Report {
        command_line,
        machine: conditions.machine,
        pinned: machine::pin_this_thread(SERVER_PROCESSOR)
            && machine::pin_this_thread(GENERATOR_PROCESSOR),
        sync_nanoseconds: machine::sync_nanoseconds(place.folder())?,
        folder: place.folder().display().to_string(),
        rounds: options.rounds,
        duration: options.duration(DURATION_QUICK),
        modes: options.modes.clone(),
        ceiling: Vec::new(),
        servers: Vec::new(),
        ledger: None,
    };
    eprintln!("{}", report.machine);
    report.ceiling = measure_ceiling(&options.modes)?;
    report.servers = find_servers(options);
    measure_servers(options, &mut report.servers, place.folder());
    report.ledger = measure_ledger(options, place.folder());
    let sheet = update_sheet::sheet(&report, conditions.warning);
    Ok((sheet, report::render(&report)))
}

/// Rounds over servers; what fails is kept with the server.
fn measure_servers(options: &Options, servers: &mut [ServerReport], folder: &Path) {
    let zone_file = folder.join("zone");
    if let Err(error) = fs::write(&zone_file, workload::zone_file()) {
        let message = format!("cannot write {}: {error}", zone_file.display());
        servers.iter_mut().for_each(|server| server.failures.push(message.clone()));
        return;
    }
    let count = servers.len();
    for round in 0..options.rounds {
        // Each round begins with another server.
        for turn in 0..count {
            let server = &mut servers[(turn + round as usize) % count];
            let Some(program) = server.program.clone() else { continue };
            eprintln!("round {} of {}: {}", round + 1, options.rounds, server.peer.name);
            // A folder for each start: a file system that still keeps track of many files just
            // deleted is slower at creating new ones, which would be held against the next server.
            let folder = folder.join(round.to_string());
            if let Err(message) = run_server(options, server, &program, &folder, &zone_file) {
                eprintln!("  failed: {message}");
                server.failures.push(message);
            }
        }
    }
}

/// Einhorn's ledger by itself, after the servers, whom its files would disturb; `None` where it
/// is left out.
fn measure_ledger(options: &Options, folder: &Path) -> Option<Result<LedgerReport, String>> {
    let ours = options.choose(&peers::ALL).iter().any(|peer| peer.name == peers::OURS);
    if !ours || options.ledger_entries == 0 {
        return None;
    }
    eprintln!("the ledger by itself");
    let outcome = ledger::measure(&folder.join("ledger"), options.ledger_entries);
    if let Err(message) = &outcome {
        eprintln!("  failed: {message}");
    }
    Some(outcome)
}

fn find_servers(options: &Options) -> Vec<ServerReport> {
    let find = |peer: &'static Peer| {
        let (program, version) = peer.found(options.einhorn.as_deref());
        ServerReport {
            peer,
            program,
            version,
            command_line: String::new(),
            configuration: String::new(),
            measurements: vec![Vec::new(); options.modes.len()],
            whole_runs: Vec::new(),
            verification: Verification::default(),
            failures: Vec::new(),
        }
    };
    options.choose(&peers::ALL).into_iter().map(find).collect()
}

/// What the generator reaches when nobody does any work.
fn measure_ceiling(modes: &[Mode]) -> Result<Vec<Measurement>, String> {
    eprintln!("the generator's own ceiling, against a responder that only turns messages round");
    let echo = Echo::start()?;
    let mut workload = Workload::new()?;
    let mut measure = |mode: &Mode| {
        let phase = Phase {
            mode: *mode,
            duration: ECHO_DURATION,
            server: echo.address(),
            check_signatures: false,
            usage: &|| None,
        };
        let measurement = phase.run(&mut workload)?;
        print_progress(*mode, &measurement);
        Ok(measurement)
    };
    modes.iter().map(&mut measure).collect()
}

/// Takes one server through all modes, on fresh data.
fn run_server(
    options: &Options,
    report: &mut ServerReport,
    program: &Path,
    folder: &Path,
    zone_file: &Path,
) -> Result<(), String> {
    let mut workload = Workload::new()?;
    let server_folder = folder.join(report.peer.program);
    let mut started = report.peer.start(Start {
        program,
        folder: &server_folder,
        zone_file,
        processors: &ONE_PROCESSOR,
    })?;
    report.command_line = started.server.command_line();
    report.configuration.clone_from(&started.configuration);
    let address = started.address();
    probe::wait_until_ready(address, &workload, || started.server.check_running())?;
    let process_id = started.server.process_id();
    let before = usage(process_id);
    for (at, mode) in options.modes.iter().enumerate() {
        let phase = Phase {
            mode: *mode,
            duration: options.duration(DURATION_QUICK),
            server: address,
            check_signatures: true,
            usage: &|| usage(process_id),
        };
        let outcome = phase.run(&mut workload);
        started.server.check_running()?;
        match outcome {
            Ok(measurement) => {
                print_progress(*mode, &measurement);
                report.measurements[at].push(measurement);
            }
            Err(message) => report.failures.push(format!("{}: {message}", mode.title())),
        }
    }
    if report.peer.name == peers::OURS {
        report.whole_runs.extend(before.and_then(|before| whole_run(process_id, &before)));
    }
    let verification = probe::verify(address, &workload)?;
    eprintln!(
        "  verified: {} of {} sampled hosts answer what was acknowledged",
        verification.right(),
        verification.asked
    );
    report.verification.add(verification);
    Ok(())
}

/// What has run on the server's processor so far.
fn usage(process_id: u32) -> Option<Usage> {
    Some(Usage {
        server: process::processor_time(process_id)?,
        threads: threads::thread_times(process_id)?,
        everybody: machine::busy_time(SERVER_PROCESSOR)?,
    })
}

/// The threads' shares since `before`, with what the ledger has put off until there is less to
/// do; `None` if it never gets done.
fn whole_run(process_id: u32, before: &Usage) -> Option<Shares> {
    if !threads::wait_for_rest(process_id, LEDGER_THREAD, LEDGER_REST, LEDGER_PATIENCE) {
        eprintln!("  the ledger's thread did not come to rest in {} s", LEDGER_PATIENCE.as_secs());
        return None;
    }
    Shares::between(before, &usage(process_id)?)
}

fn print_progress(mode: Mode, measurement: &Measurement) {
    eprintln!("  {}: {}", mode.title(), report::one_line(measurement));
}
