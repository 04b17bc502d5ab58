//! `einhorn serve`.

use crate::{Failure, Outcome};
use einhorn_core::model::settings::Settings;
use einhorn_core::rules::policy::Grant;
use einhorn_node::Node;
use einhorn_node::config::{AnswerConfig, Config, DevicesConfig, ZoneConfig, ledger_name};
use einhorn_wire::Name;
use einhorn_wire::tsig::Key;
use rustix::process::Signal as Kill;
use std::collections::HashSet;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Names the log in checkpoints when there is no configuration file to do it.
const SITE_WITHOUT_CONFIG: &str = "site";

/// Arguments of `einhorn serve`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Configuration file. Without one, give --listen, --data, --key and zones.
    #[arg(long, conflicts_with_all = ["listen", "data", "key", "zone", "zones", "http"])]
    config: Option<PathBuf>,
    /// Address for DNS over UDP and TCP, such as 127.0.0.1:5300.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// Folder of everything durable; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Key that may update and transfer every zone named: ALGORITHM:NAME:BASE64.
    #[arg(long, value_name = "ALGORITHM:NAME:BASE64")]
    key: Vec<String>,
    /// Zone and the zone file it is created from.
    #[arg(long, value_name = "ZONE=FILE")]
    zone: Vec<String>,
    /// File with a line `ZONE FILE` for each zone.
    #[arg(long, value_name = "LIST")]
    zones: Option<PathBuf>,
    /// Address for HTTP, where the ledger is served.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// End when standard input does: whoever started this has gone.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

/// Runs the node of a machine of its own, until SIGTERM.
pub(crate) fn inside(config: PathBuf) -> Result<(), String> {
    let arguments = Arguments {
        config: Some(config),
        listen: Vec::new(),
        data: None,
        key: Vec::new(),
        zone: Vec::new(),
        zones: None,
        http: None,
        exit_with_stdin: false,
    };
    run(arguments).map_err(|failure| match failure {
        Failure::Finding(reason) | Failure::Usage(reason) | Failure::Unreachable(reason) => reason,
    })
}

/// Runs a node until it is told to stop.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    log_to_stderr();
    let exit_with_stdin = arguments.exit_with_stdin;
    let config = match &arguments.config {
        Some(path) => Config::load(path).map_err(Failure::usage)?,
        None => without_file(arguments)?,
    };
    let mut signals = Signals::listen()?;
    if exit_with_stdin {
        std::thread::spawn(stop_at_end_of_stdin);
    }
    let mut node = Node::start(&config).map_err(Failure::finding)?;
    loop {
        say_ready(&config, &node);
        if let Ended::Stopped = signals.until_ended(&node) {
            node.stop();
            return Ok(());
        }
        eprintln!("einhorn: starting again from what is on disk");
        node = node.restart(&config).map_err(Failure::finding)?;
    }
}

/// Stops this process in order once nobody holds the other end of its standard input.
fn stop_at_end_of_stdin() {
    // Whether it ends or fails, nobody is there any more.
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    let sent = rustix::process::kill_process(rustix::process::getpid(), Kill::TERM);
    if let Err(error) = sent {
        tracing::error!(%error, "cannot stop");
    }
}

fn say_ready(config: &Config, node: &Node) {
    let addresses: Vec<_> = node.dns.iter().map(SocketAddr::to_string).collect();
    let dot = encrypted("TLS", "", node.dot(), "");
    let doh = encrypted("HTTPS", "https://", node.doh(), einhorn_ingress::doh::PATH);
    let http = node.http.map(|http| format!(", ledger at http://{http}/ledger/{}/", config.site));
    let links = config.link.as_ref().map(|link| format!(", other sites at {}", link.listen));
    let hostname = node.hostname().map(|address| format!(", hostname server on {address}"));
    if let Some(reason) = &node.read_only {
        eprintln!("einhorn: READ ONLY, no update will be acknowledged: {reason}");
    }
    if let Some(leader) = &node.follows {
        eprintln!("einhorn: {leader}; changes are sent there");
    }
    eprintln!(
        "einhorn: ready, {} serves DNS on {}{}{}{}{}{}",
        config.site,
        addresses.join(" "),
        dot,
        doh,
        http.unwrap_or_default(),
        links.unwrap_or_default(),
        hostname.unwrap_or_default()
    );
}

/// Where DNS over `protocol` is served, for people.
fn encrypted(protocol: &str, before: &str, addresses: &[SocketAddr], behind: &str) -> String {
    let shown: Vec<String> =
        addresses.iter().map(|address| format!("{before}{address}{behind}")).collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!(", over {protocol} on {}", shown.join(" "))
    }
}

pub(crate) fn log_to_stderr() {
    let wanted = std::env::var("EINHORN_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(Level::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// How long it may take until a node that must be started again is.
const RESTART_LATENCY: Duration = Duration::from_millis(25);

/// Why a node is stopped.
pub(crate) enum Ended {
    /// Somebody wants that.
    Stopped,
    /// It must fold its state anew.
    MustRestart,
}

/// The signals that a running node heeds. Made before anybody is told that the node is ready:
/// whoever is told may send one at once.
pub(crate) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Signals, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::finding)?;
        let inside = runtime.enter();
        let listen =
            |kind| signal(kind).map_err(|error| Failure::finding(format!("signals: {error}")));
        let (terminate, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let hangup = listen(SignalKind::hangup())?;
        drop(inside);
        Ok(Signals { runtime, terminate, interrupt, hangup })
    }

    /// Waits for `other`; `None` if SIGTERM or SIGINT comes first.
    pub(crate) fn until<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => None,
                _ = self.interrupt.recv() => None,
                done = other => Some(done),
            }
        })
    }

    /// Waits for SIGTERM or SIGINT, or until the node must be started again; SIGHUP reloads.
    pub(crate) fn until_ended(&mut self, node: &Node) -> Ended {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return Ended::Stopped,
                    _ = self.interrupt.recv() => return Ended::Stopped,
                    () = tokio::time::sleep(RESTART_LATENCY) => if let Some(reason) = node.must_restart() {
                        eprintln!("einhorn: {reason}");
                        return Ended::MustRestart;
                    },
                    _ = self.hangup.recv() => match node.reload() {
                        Ok(()) => eprintln!("einhorn: reloaded"),
                        Err(reason) => eprintln!("einhorn: not reloaded: {reason}"),
                    },
                }
            }
        })
    }
}

fn without_file(arguments: Arguments) -> Result<Config, Failure> {
    let missing = |what: &str| {
        Failure::usage(format!("serve needs --config FILE, or {what}; see `einhorn serve --help`"))
    };
    if arguments.listen.is_empty() {
        return Err(missing("--listen ADDR:PORT"));
    }
    let data = arguments.data.ok_or_else(|| missing("--data DIR"))?;
    let mut zones = Vec::new();
    for zone in &arguments.zone {
        let (name, file) = zone
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--zone {zone}: write ZONE=FILE")))?;
        zones.push(zone_config(name, Path::new(file), &format!("--zone {zone}"))?);
    }
    if let Some(list) = &arguments.zones {
        zones.extend(zone_list(list)?);
    }
    let mut seen = HashSet::new();
    if let Some(zone) = zones.iter().find(|zone| !seen.insert(&zone.name)) {
        return Err(Failure::usage(format!("zone {} is given twice", zone.name)));
    }
    let keys: Vec<Key> = arguments
        .key
        .iter()
        .map(|text| text.parse().map_err(|error| Failure::usage(format!("--key: {error}"))))
        .collect::<Result<_, _>>()?;
    let grants = keys
        .iter()
        .flat_map(|key| {
            zones.iter().map(|zone| Grant::everything(key.name().clone(), zone.name.clone()))
        })
        .collect();
    Ok(Config {
        agent: true,
        site: SITE_WITHOUT_CONFIG.to_owned(),
        ledger_name: ledger_name(SITE_WITHOUT_CONFIG),
        data,
        listen: arguments.listen,
        http: arguments.http,
        tls: None,
        hostname_server: None,
        operator_token: None,
        zones,
        keys,
        grants,
        devices: DevicesConfig::default(),
        edges: Vec::new(),
        answer: AnswerConfig::default(),
        etcd: None,
        link: None,
        witnesses: Vec::new(),
        witnessed_logs: Vec::new(),
        disk_budget: None,
        sources: Vec::new(),
        map_interval: einhorn_node::config::MAP_INTERVAL,
        path: None,
    })
}

fn zone_config(name: &str, file: &Path, place: &str) -> Result<ZoneConfig, Failure> {
    let name: Name = name.parse().map_err(|error| Failure::usage(format!("{place}: {error}")))?;
    Ok(ZoneConfig { name, file: Some(file.to_owned()), settings: Settings::default() })
}

/// Lines of `ZONE FILE`; relative files start from the list's folder.
fn zone_list(list: &Path) -> Result<Vec<ZoneConfig>, Failure> {
    let text = std::fs::read_to_string(list)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", list.display())))?;
    let folder = list.parent().unwrap_or(Path::new("."));
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let place = format!("{}:{}", list.display(), number + 1);
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(name), Some(file), None) => zone_config(name, &folder.join(file), &place),
                _ => Err(Failure::usage(format!("{place}: write `ZONE FILE`"))),
            }
        })
        .collect()
}
