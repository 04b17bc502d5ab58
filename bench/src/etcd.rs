//! The benchmark of a site with its log in an etcd of three local members: durable, signed updates
//! at the node that leads and at one that follows, beside etcd's own puts.
//!
//! Members, nodes and the generator share this machine's processors and its disk. Each round has its
//! own etcd; etcd's own puts are measured beside the updates, since the machine is not equally
//! fast all the time.

use crate::mode::{MANY_DATAGRAMS, Mode, ONE_AT_A_TIME};
use crate::options::Options;
use crate::peers::{self, EINHORN};
use crate::phase::{Measurement, Phase};
use crate::place::{Conditions, Place};
use crate::probe;
use crate::process::{self, Server};
use crate::sheet::{Cell, Column, Row, ServerNote, Sheet, Table, Target, unix_seconds};
use crate::statistics::percentile;
use crate::verdict::{DISTURBED, ratio_target};
use crate::workload::{self, KEY_NAME, KEY_SECRET, Workload, ZONE};
use etcd_client::Client;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MEMBERS: usize = 3;
const PROCESSORS: [usize; 2] = [0, 1];
const DURATION_QUICK: Duration = Duration::from_secs(1);
/// As many octets as an entry of one update has in the log.
const PUT_OCTETS: usize = 250;
/// How long etcd may take until it takes a first put.
const ETCD_PATIENCE: Duration = Duration::from_secs(30);
const ETCD_PAUSE: Duration = Duration::from_millis(100);
/// Updates a second that the whole server must do.
const UPDATES_PER_SECOND_MIN: f64 = 10_000.0;
/// One update at a time against etcd's own put.
const ONE_FACTOR_MAX: f64 = 2.0;
const LEADER: &str = "at the leader";
const FOLLOWER: &str = "at a follower";
const PUT: &str = "etcd's own put";
const RATE: &str = "updates/s, 256 in flight";
const ONE: &str = "p50 of one at a time, ms";

/// What one round found.
#[derive(Default)]
struct Found {
    put_p50_ms: Vec<f64>,
    leader: Vec<(Mode, Measurement)>,
    follower: Vec<(Mode, Measurement)>,
}

/// Runs the benchmark.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let place = Place::new("etcd")?;
    let conditions = Conditions::look();
    let etcd = process::find_program("etcd").ok_or("etcd is not installed")?;
    let (einhorn, version) = EINHORN.found(options.einhorn.as_deref());
    let einhorn = einhorn.ok_or("no einhorn beside this program: build it with --features etcd")?;
    let duration = options.duration(DURATION_QUICK);
    let (mut rounds, mut failures) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let folder = place.folder().join(round.to_string());
        let programs = Programs { etcd: &etcd, einhorn: &einhorn };
        match run_round(&programs, &folder, duration) {
            Ok(found) => rounds.push(found),
            Err(message) => {
                eprintln!("  failed: {message}");
                failures.push(message);
            }
        }
    }
    let etcd_version = process::run(&etcd, &["--version"]).map_or(String::new(), |(text, _)| text);
    let notes = [("Einhorn", version), ("etcd", etcd_version)];
    Ok(sheet(&rounds, &failures, notes, command_line, conditions, options, duration))
}

struct Programs<'a> {
    etcd: &'a Path,
    einhorn: &'a Path,
}

fn run_round(programs: &Programs<'_>, folder: &Path, duration: Duration) -> Result<Found, String> {
    let (members, endpoints) = start_etcd(programs.etcd, folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let mut puts = Puts { runtime, client: None, endpoint: endpoints[0].clone() };
    puts.wait_until_ready()?;
    let zone_file = folder.join("zone");
    write(&zone_file, &workload::zone_file())?;
    let mut workload = Workload::new()?;
    let (mut leader, leads) = start_node(programs.einhorn, folder, "leader", &endpoints, None)?;
    probe::wait_until_ready(leads, &workload, || leader.check_running())?;
    let (mut follower, follows) =
        start_node(programs.einhorn, folder, "follower", &endpoints, Some("leader"))?;
    probe::wait_until_ready(follows, &workload, || follower.check_running())?;
    let mut found = Found::default();
    found.put_p50_ms.push(puts.p50_ms(duration)?);
    for mode in [ONE_AT_A_TIME, MANY_DATAGRAMS] {
        for (server, into, place) in
            [(leads, &mut found.leader, LEADER), (follows, &mut found.follower, FOLLOWER)]
        {
            let usage = || None;
            let phase = Phase { mode, duration, server, check_signatures: true, usage: &usage };
            let measurement = phase.run(&mut workload)?;
            eprintln!(
                "  {place}, {}: {:.0} updates/s, p50 {:.2} ms, p99 {:.2} ms",
                mode.title(),
                measurement.updates_per_second,
                milliseconds(measurement.p50),
                milliseconds(measurement.p99),
            );
            into.push((mode, measurement));
        }
        found.put_p50_ms.push(puts.p50_ms(duration)?);
    }
    let verified = probe::verify(follows, &workload)?;
    if verified.wrong > 0 {
        return Err(format!("{} of {} hosts answer wrongly", verified.wrong, verified.asked));
    }
    leader.check_running()?;
    follower.check_running()?;
    drop((leader, follower, members));
    Ok(found)
}

fn milliseconds(nanoseconds: Option<u64>) -> f64 {
    nanoseconds.unwrap_or_default() as f64 / 1e6
}

/// Puts of the benchmark's own, one at a time, at the member that the leader uses.
struct Puts {
    runtime: tokio::runtime::Runtime,
    client: Option<Client>,
    endpoint: String,
}

impl Puts {
    fn put(&mut self) -> Result<(), String> {
        let (endpoint, client) = (&self.endpoint, &mut self.client);
        self.runtime.block_on(async {
            let client = match client {
                Some(client) => client,
                None => {
                    let connected = Client::connect([endpoint], None).await;
                    client.insert(connected.map_err(|error| error.to_string())?)
                }
            };
            let put = client.put("bench", vec![7; PUT_OCTETS], None).await;
            put.map(drop).map_err(|error| error.to_string())
        })
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            match self.put() {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > ETCD_PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(ETCD_PAUSE),
            }
        }
    }

    fn p50_ms(&mut self, duration: Duration) -> Result<f64, String> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < duration {
            let one = Instant::now();
            self.put()?;
            times.push(one.elapsed().as_nanos() as u64);
        }
        times.sort_unstable();
        let p50 = milliseconds(percentile(&times, 50));
        eprintln!("  {PUT}: p50 {p50:.2} ms");
        Ok(p50)
    }
}

fn start_etcd(program: &Path, folder: &Path) -> Result<(Vec<Server>, Vec<String>), String> {
    let mut ports = Vec::new();
    for _ in 0..MEMBERS {
        ports.push((peers::free_port()?, peers::free_port()?));
    }
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let all: Vec<String> =
        ports.iter().enumerate().map(|(at, (_, peer))| format!("m{at}={}", url(*peer))).collect();
    let mut members = Vec::new();
    for (at, (client, peer)) in ports.iter().enumerate() {
        let folder = folder.join(format!("m{at}"));
        create(&folder)?;
        let arguments = [
            ("--name", format!("m{at}")),
            ("--data-dir", folder.join("data").display().to_string()),
            ("--listen-client-urls", url(*client)),
            ("--advertise-client-urls", url(*client)),
            ("--listen-peer-urls", url(*peer)),
            ("--initial-advertise-peer-urls", url(*peer)),
            ("--initial-cluster", all.join(",")),
            ("--quota-backend-bytes", (4_u64 << 30).to_string()),
        ];
        let arguments: Vec<String> =
            arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        members.push(Server::start(&folder, program, &arguments, &PROCESSORS)?);
    }
    Ok((members, ports.iter().map(|(client, _)| url(*client)).collect()))
}

/// Starts a node; one that is not the first gets the key of the first.
fn start_node(
    program: &Path,
    above: &Path,
    name: &str,
    endpoints: &[String],
    first: Option<&str>,
) -> Result<(Server, SocketAddr), String> {
    let folder = above.join(name);
    create(&folder.join("data"))?;
    for file in ["ledger.key", "ledger.vkey"].iter().filter(|_| first.is_some()) {
        let from = above.join(first.unwrap_or_default()).join("data").join(file);
        fs::copy(&from, folder.join("data").join(file))
            .map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, peers::free_port()?));
    let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, peers::free_port()?));
    let configuration = format!(
        "site = \"berlin\"\ndata = \"data\"\nlisten = [\"{dns}\"]\n\
         [etcd]\nendpoints = {endpoints:?}\nlisten = \"{relay}\"\n\
         [[zone]]\nname = \"{ZONE}\"\nfile = \"{}\"\n\
         [[key]]\nname = \"{KEY_NAME}.\"\nsecret = \"{KEY_SECRET}\"\n\
         [[grant]]\nkey = \"{KEY_NAME}.\"\nzone = \"{ZONE}\"\nnames = [\"*\"]\ntransfer = true\n",
        above.join("zone").display()
    );
    let path = folder.join("einhorn.toml");
    write(&path, &configuration)?;
    let arguments = ["serve", "--config", &path.display().to_string()].map(str::to_owned);
    Ok((Server::start(&folder, program, &arguments, &PROCESSORS)?, dns))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn sheet(
    rounds: &[Found],
    failures: &[String],
    notes: [(&str, String); 2],
    command_line: String,
    conditions: Conditions,
    options: &Options,
    duration: Duration,
) -> Sheet {
    let measured = |get: fn(&Found) -> &[(Mode, Measurement)],
                    mode: Mode,
                    figure: &dyn Fn(&Measurement) -> f64| {
        let all = rounds.iter().flat_map(|found| get(found));
        let wanted = all.filter(|(in_mode, _)| *in_mode == mode);
        Cell::of(&wanted.map(|(_, one)| figure(one)).collect::<Vec<_>>())
    };
    let row = |name: &str, get: fn(&Found) -> &[(Mode, Measurement)]| Row {
        name: name.to_owned(),
        cells: vec![
            measured(get, MANY_DATAGRAMS, &|one| one.updates_per_second),
            measured(get, ONE_AT_A_TIME, &|one| milliseconds(one.p50)),
        ],
    };
    let put: Vec<f64> = rounds.iter().flat_map(|found| found.put_p50_ms.clone()).collect();
    let rows = vec![
        row(LEADER, |found| &found.leader),
        row(FOLLOWER, |found| &found.follower),
        Row { name: PUT.to_owned(), cells: vec![None, Cell::of(&put)] },
    ];
    let table = Table {
        title: "Updates".to_owned(),
        note: "Two nodes of one site, both under load in turn.".to_owned(),
        columns: vec![Column::plotted(RATE, 0), Column::plotted(ONE, 2)],
        rows,
        compares: false,
    };
    let servers = notes.map(|(name, version)| ServerNote {
        name: name.to_owned(),
        version,
        command_line: String::new(),
        configuration: String::new(),
    });
    Sheet {
        benchmark: "etcd".to_owned(),
        title: "Several nodes on one etcd".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: format!(
            "{MEMBERS} members of etcd, two nodes and the generator on this machine, with one disk. Medians of {} round(s), {} s for each phase; etcd's own puts have {PUT_OCTETS} octets, one at a time.",
            options.rounds,
            duration.as_secs()
        ),
        targets: judge(&table, conditions.warning.is_some()),
        warnings: conditions.warning.into_iter().collect(),
        tables: vec![table],
        checks: failures.to_vec(),
        servers: servers.to_vec(),
        is_sound: failures.is_empty() && !rounds.is_empty(),
    }
}

/// What is wanted, and whether it was found.
fn judge(table: &Table, is_disturbed: bool) -> Vec<Target> {
    let unjudged = is_disturbed.then_some(DISTURBED);
    vec![
        ratio_target(
            format!("updates/s, of {UPDATES_PER_SECOND_MIN}"),
            table.value(LEADER, RATE),
            Some(UPDATES_PER_SECOND_MIN),
            |found| found >= 1.0,
            unjudged,
        ),
        ratio_target(
            format!("one at a time: at most {ONE_FACTOR_MAX} times etcd's own put"),
            table.value(LEADER, ONE),
            table.value(PUT, ONE),
            |found| found <= ONE_FACTOR_MAX,
            unjudged,
        ),
    ]
}
