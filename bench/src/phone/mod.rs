//! The benchmark of encrypted DNS: answers over TLS and HTTPS on connections that are open, and
//! what a connection costs that is idle.
//!
//! It never counts a server's answers that are lost or wrong.

mod load;
mod setup;

use crate::contest;
use crate::machine::{self, GENERATOR_PROCESSOR, SERVER_PROCESSOR, Stolen};
use crate::options::Options;
use crate::peers;
use crate::place::{Conditions, Place, server_notes};
use crate::probe;
use crate::process;
use crate::query::mix;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use crate::verdict::{DISTURBED, ratio_target};
use einhorn_harness::{TlsClient, TlsStream, framed, question_message, read_message};
use einhorn_wire::message::Opcode;
use einhorn_wire::{Class, Name, RecordType};
use load::{CONNECTIONS, Client, Found, IN_FLIGHT_EACH, Way};
use setup::{Certificates, Started};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Hosts in the zone, and in that of a quick run.
const HOSTS: u32 = 100_000;
const HOSTS_QUICK: u32 = 10_000;
const DURATION_QUICK: Duration = Duration::from_secs(2);
/// Connections that are opened and then left alone.
const IDLE: usize = 10_000;
const IDLE_QUICK: usize = 500;
/// KiB that an idle connection may cost.
const IDLE_KIB_MAX: f64 = 20.0;
const REST_SHARE: f64 = 0.02;
const REST_PATIENCE: Duration = Duration::from_secs(20);
const OTHERS_SHARE_MAX: f64 = 0.2;
const STOLEN_SHARE_MAX: f64 = 0.05;

const OVER_TLS: &str = "over TLS, µs each";
const OVER_HTTPS: &str = "over HTTPS, µs each";
const IDLE_KIB: &str = "KiB for an idle connection";

/// Queries and what they took of the server's processor.
struct Answers {
    found: Found,
    processor: Duration,
    /// How much of the server's processor others used.
    others: f64,
    stolen: f64,
}

/// Connections that are idle.
struct Idle {
    octets_each: f64,
    /// Processor time for a handshake and one query.
    handshake: Duration,
}

/// One round of one server.
struct Measurement {
    tls: Answers,
    https: Option<Answers>,
    idle: Idle,
}

type Server = contest::Server<Measurement>;

/// What a round needs.
struct Stage<'a> {
    client: &'a Client,
    certificates: &'a Certificates,
    zone_file: &'a Path,
    hosts: u32,
    duration: Duration,
    idle: usize,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let hosts = options.hosts(HOSTS, HOSTS_QUICK);
    let place = Place::new("phone")?;
    let conditions = Conditions::look();
    let einhorn = peers::EINHORN.find(options.einhorn.as_deref());
    let einhorn = einhorn.ok_or("einhorn is needed for its certificates: build it")?;
    let certificates = Certificates::make(&einhorn, place.folder().join("tls"))?;
    let client = Client::new(place.folder(), hosts)?;
    let zone_file = place.zone_file(hosts)?;
    let stage = Stage {
        client: &client,
        certificates: &certificates,
        zone_file: &zone_file,
        hosts,
        duration: options.duration(DURATION_QUICK),
        idle: options.changes(IDLE, IDLE_QUICK),
    };
    machine::pin_this_thread(GENERATOR_PROCESSOR);
    let mut servers: Vec<Server> = contest::choose(options, &peers::ENCRYPTED);
    contest::take_turns(&mut servers, options.rounds, &place, |server, program, folder| {
        stage.play(server, program, &folder)
    });
    Ok(sheet(&servers, &stage, options.rounds, command_line, conditions))
}

impl Stage<'_> {
    fn play(
        &self,
        server: &mut Server,
        program: &Path,
        folder: &PathBuf,
    ) -> Result<Measurement, String> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
        }
        let name = server.peer.name;
        let mut started = setup::start(name, program, folder, self.zone_file, self.certificates)?;
        server.command_line = started.server.command_line();
        server.configuration.clone_from(&started.configuration);
        let text = mix::host_name(self.hosts - 1);
        let last: Name = text.parse().map_err(|error| format!("{text}: {error}"))?;
        let right = mix::address4(self.hosts - 1);
        probe::wait_for_address(started.plain, &last, right, || started.server.check_running())?;
        process::wait_for_rest(started.server.process_id(), REST_SHARE, REST_PATIENCE);
        // Before anything else: what a busy server keeps would hide what a connection costs.
        let idle = self.idle(&started, &text)?;
        eprintln!("  {:.1} KiB for an idle connection", idle.octets_each / 1024.0);
        let tls = self.answers(Way::Tls, started.tls, &started)?;
        let https = started.https.map(|https| self.answers(Way::Https, https, &started));
        let https = https.transpose()?;
        started.server.check_running()?;
        Ok(Measurement { tls, https, idle })
    }

    fn answers(
        &self,
        way: Way,
        address: std::net::SocketAddr,
        started: &Started,
    ) -> Result<Answers, String> {
        // Once before, so that nothing is new to the server.
        self.client.ask(way, address, DURATION_QUICK)?;
        let process_id = started.server.process_id();
        let look = || (process::family_time(process_id), machine::busy_time(SERVER_PROCESSOR));
        let (before, stolen) = (look(), Stolen::now());
        let found = self.client.ask(way, address, self.duration)?;
        let after = look();
        let between = |before: Option<Duration>, after: Option<Duration>| {
            before.zip(after).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before))
        };
        let processor = between(before.0, after.0);
        let others = between(before.1, after.1).saturating_sub(processor);
        let others = others.as_secs_f64() / self.duration.as_secs_f64();
        let stolen = stolen.as_ref().and_then(machine::stolen_share).unwrap_or_default();
        let answers = Answers { found, processor, others, stolen };
        eprintln!(
            "  {way:?}: {:.0} queries/s, {:.1} µs each",
            answers.found.per_second,
            answers.microseconds_each()
        );
        Ok(answers)
    }

    /// Opens connections, asks a query on each, and leaves them alone.
    fn idle(&self, started: &Started, host: &str) -> Result<Idle, String> {
        let process_id = started.server.process_id();
        let look = || {
            let memory = process::family_memory(process_id).map(|memory| memory.proportional);
            memory.zip(process::family_time(process_id)).ok_or("cannot read the server's memory")
        };
        let client = TlsClient::new(&self.certificates.authority(), b"dot", None);
        let question =
            framed(&question_message(7, Opcode::QUERY, &[(host, RecordType::A, Class::IN)]));
        let open = || -> std::io::Result<TlsStream> {
            let mut stream = client.connect(started.tls, setup::NAME)?;
            stream.write_all(&question)?;
            read_message(&mut stream).map(|_| stream)
        };
        // The first connection brings what all share.
        let first = open().map_err(|error| format!("the first connection: {error}"))?;
        let (memory_before, time_before) = look()?;
        let mut streams = Vec::with_capacity(self.idle);
        for number in 1..=self.idle {
            let stream = open().map_err(|error| format!("idle connection {number}: {error}"))?;
            streams.push(stream);
        }
        let (_, time) = look()?;
        process::wait_for_rest(process_id, REST_SHARE, REST_PATIENCE);
        let (memory, _) = look()?;
        // All of them are still there: the first and the last one answer.
        for mut stream in [first, streams.swap_remove(0)] {
            let asked = stream.write_all(&question).and_then(|()| read_message(&mut stream));
            asked.map_err(|error| format!("an idle connection was closed: {error}"))?;
        }
        let octets = memory.saturating_sub(memory_before) as f64;
        let handshake = time.saturating_sub(time_before) / self.idle as u32;
        Ok(Idle { octets_each: octets / self.idle as f64, handshake })
    }
}

impl Answers {
    fn microseconds_each(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.found.completed as f64
    }
}

fn table(servers: &[Server], stage: &Stage<'_>) -> Table {
    let row = |server: &Server| {
        let cell = |get: &dyn Fn(&Measurement) -> Option<f64>| {
            Cell::of(&server.measurements.iter().filter_map(get).collect::<Vec<_>>())
        };
        let https = |m: &Measurement, get: fn(&Answers) -> f64| m.https.as_ref().map(get);
        Row {
            name: server.peer.name.to_owned(),
            cells: vec![
                cell(&|m| Some(m.tls.found.per_second)),
                cell(&|m| Some(m.tls.microseconds_each())),
                cell(&|m| https(m, |answers| answers.found.per_second)),
                cell(&|m| https(m, Answers::microseconds_each)),
                cell(&|m| Some(m.idle.octets_each / 1024.0)),
                cell(&|m| Some(m.idle.handshake.as_secs_f64() * 1e6)),
            ],
        }
    };
    Table {
        title: "Encrypted".to_owned(),
        note: format!(
            "µs are the server's processor time, with the kernel's for it. Memory is the server's own (PSS), without the kernel's for sockets; {} connections were opened one after the other, one query asked on each, and left alone.",
            stage.idle
        ),
        columns: vec![
            Column::plotted("over TLS, queries/s", 0),
            Column::plotted(OVER_TLS, 1),
            Column::plotted("over HTTPS, queries/s", 0),
            Column::plotted(OVER_HTTPS, 1),
            Column::plotted(IDLE_KIB, 1),
            Column::plotted("handshake and a query, µs", 0),
        ],
        rows: servers.iter().map(row).collect(),
        compares: true,
    }
}

fn targets(table: &Table, is_disturbed: bool) -> Vec<Target> {
    let unjudged = is_disturbed.then_some(DISTURBED);
    let against_bind = |column: &str| {
        ratio_target(
            format!("{column}: no more than BIND's"),
            table.value(peers::OURS, column),
            table.value(peers::BIND.name, column),
            |found| found <= 1.0,
            unjudged,
        )
    };
    vec![
        against_bind(OVER_TLS),
        against_bind(OVER_HTTPS),
        ratio_target(
            format!("an idle connection: at most {IDLE_KIB_MAX} KiB; as a part of that"),
            table.value(peers::OURS, IDLE_KIB),
            Some(IDLE_KIB_MAX),
            |found| found <= 1.0,
            None,
        ),
    ]
}

fn sheet(
    servers: &[Server],
    stage: &Stage<'_>,
    rounds: u32,
    command_line: String,
    conditions: Conditions,
) -> Sheet {
    let table = table(servers, stage);
    let mut warnings: Vec<String> = conditions.warning.into_iter().collect();
    let is_disturbed = |server: &&Server| {
        let answers = |m: &Measurement, get: fn(&Answers) -> f64| {
            m.https.as_ref().map_or(0.0, get).max(get(&m.tls))
        };
        let over = |get: fn(&Answers) -> f64, most: f64| {
            let values: Vec<f64> = server.measurements.iter().map(|m| answers(m, get)).collect();
            Cell::of(&values).is_some_and(|cell| cell.value > most)
        };
        over(|answers| answers.others, OTHERS_SHARE_MAX)
            || over(|answers| answers.stolen, STOLEN_SHARE_MAX)
    };
    let disturbed: Vec<&str> =
        servers.iter().filter(is_disturbed).map(|server| server.peer.name).collect();
    if !disturbed.is_empty() {
        let names = disturbed.join(", ");
        warnings.push(format!("other work used the processor while these answered: {names}"));
    }
    Sheet {
        benchmark: "phone".to_owned(),
        title: "Encrypted DNS".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: format!(
            "A zone of {} hosts; 50 % A, 40 % AAAA, 10 % names that do not exist. `dnsperf` (over TLS) and `h2load` (over HTTPS/2, with GET), which others wrote, ask for {} s over {CONNECTIONS} connections that stay open, with {IN_FLIGHT_EACH} queries on their way on each, after a warm-up; server on processor 0, client on processor 1. TLS 1.3, a certificate of P-256. Medians of {rounds} round(s), servers in turn. Knot 3.2 speaks neither.",
            stage.hosts,
            stage.duration.as_secs(),
        ),
        warnings,
        targets: targets(&table, !disturbed.is_empty()),
        tables: vec![table],
        checks: servers.iter().flat_map(check).collect(),
        servers: server_notes(servers.iter().map(|server| {
            (server.peer, &server.version, &server.command_line, &server.configuration)
        })),
        is_sound: servers.iter().all(|server| server.failures.is_empty()),
    }
}

/// What there is to say about one server.
fn check(server: &Server) -> Vec<String> {
    let name = server.peer.name;
    let rounds = server.measurements.len();
    let mut checks = vec![match &server.program {
        None => format!("{name}: not installed, not measured"),
        Some(_) => format!(
            "{name}: every query was answered, all connections stayed, in {rounds} round(s)"
        ),
    }];
    checks.extend(server.failures.iter().map(|failure| format!("{name}: **failed**: {failure}")));
    checks
}
