//! `einhorn demo`: one site with a sample zone, and a device whose address changes; or three sites
//! and what happens between them.

mod fleet;
mod machines;
mod paths;
mod phone;
mod story;
mod watch;

use crate::client::{Client, Update};
use crate::{Failure, Outcome, describe, print, serve};
use einhorn_core::ledger::{TlogProof, VerifierKey};
use einhorn_core::model::entry::{Assembler, Body, Entry};
use einhorn_core::model::settings::Settings;
use einhorn_core::rules::policy::Grant;
use einhorn_ingress::control;
use einhorn_node::Node;
use einhorn_node::config::{AnswerConfig, Config, ZoneConfig};
use einhorn_store::ledger::{OsFiles, TileSource, prove_entry};
use einhorn_wire::tsig::{Algorithm, Key};
use einhorn_wire::{Name, Record, RecordType};
use phone::Phone;
use serde_json::json;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ZONE: &str = "fleet.example.";
const ZONE_FILE: &str = include_str!("demo.zone");
const SITE: &str = "berlin";
const KEY_NAME: &str = "demo.";
const DEVICE: &str = "annas-iphone.fleet.example.";
/// How long the ledger may take to cover an entry with a checkpoint.
const SEAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `einhorn demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of sites.
    #[arg(long, default_value = "1", value_parser = site_count)]
    sites: u8,
    /// Of three sites: walk through all paths that a change can take.
    #[arg(long, conflicts_with = "json")]
    show_paths: bool,
    /// Of three sites: each is a micro-VM (`einhorn unicorn`).
    #[arg(long, conflicts_with = "show_paths")]
    unicorn: bool,
    /// Print one line of JSON that says where everything is, and serve.
    #[arg(long)]
    json: bool,
    /// Keep the data in this folder, and go on from what is there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// First of the ports to use [default: any free ones].
    #[arg(long, value_name = "P")]
    port_base: Option<u16>,
}

fn site_count(text: &str) -> Result<u8, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("there are demonstrations of 1 site and of 3"),
    }
}

/// Runs the demonstration until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    serve::log_to_stderr();
    let temporary = tempfile::Builder::new().prefix("einhorn-demo-").tempdir();
    let temporary = temporary
        .map_err(|error| Failure::finding(format!("no folder for the demonstration: {error}")))?;
    let folder = arguments.dir.as_deref().unwrap_or(temporary.path());
    let what = match (arguments.json, arguments.show_paths) {
        (true, _) => story::What::Json,
        (false, true) => story::What::Paths,
        (false, false) => story::What::Story,
    };
    match arguments.sites {
        _ if arguments.unicorn => {
            return machines::run(folder, arguments.port_base, arguments.json);
        }
        1 if arguments.show_paths => {
            return Err(Failure::usage("--show-paths wants --sites 3"));
        }
        1 => {}
        _ => return story::run(folder, arguments.port_base, what),
    }
    let mut demo = Demo::start(folder, arguments.port_base)?;
    let mut signals = serve::Signals::listen()?;
    if arguments.json {
        print(demo.json())?;
    } else {
        demo.tell()?;
    }
    signals.until_ended(&demo.node);
    demo.node.stop();
    Ok(())
}

struct Demo {
    node: Node,
    key: Arc<Key>,
    key_file: PathBuf,
    data: PathBuf,
    zone: Name,
    dns: SocketAddr,
    http: SocketAddr,
    phone: Phone,
    /// Where the phone asks.
    doh: SocketAddr,
    step: u32,
}

impl Demo {
    fn start(folder: &Path, port_base: Option<u16>) -> Result<Demo, Failure> {
        let data = folder.join(SITE);
        let trouble = |error: std::io::Error| {
            Failure::finding(format!("cannot use {}: {error}", folder.display()))
        };
        fs::create_dir_all(&data).map_err(trouble)?;
        let folder = folder.canonicalize().map_err(trouble)?;
        let data = folder.join(SITE);
        let key_file = folder.join("demo.key");
        let key = demo_key(&key_file, KEY_NAME)?;
        let zone_file = folder.join("fleet.example.zone");
        fs::write(&zone_file, ZONE_FILE).map_err(trouble)?;
        let zone: Name = ZONE.parse().map_err(Failure::finding)?;
        let port = |offset| match port_base {
            Some(base) => base
                .checked_add(offset)
                .ok_or_else(|| Failure::usage("--port-base: the ports end at 65535")),
            None => Ok(0),
        };
        let (phone, tls, devices) = Phone::enrol(&folder, port(2)?)?;
        let config = Config {
            agent: true,
            site: SITE.to_owned(),
            ledger_name: format!("fleet.example/{SITE}"),
            data: data.clone(),
            listen: vec![(Ipv4Addr::LOCALHOST, port(0)?).into()],
            http: Some((Ipv4Addr::LOCALHOST, port(1)?).into()),
            tls: Some(tls),
            hostname_server: None,
            operator_token: None,
            zones: vec![ZoneConfig {
                name: zone.clone(),
                file: Some(zone_file),
                settings: Settings::default(),
            }],
            keys: vec![key.clone()],
            grants: vec![Grant::everything(key.name().clone(), zone.clone())],
            devices,
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
        };
        let node = Node::start(&config).map_err(Failure::finding)?;
        let addresses = (node.dns.first(), node.http, node.doh().first());
        let (Some(&dns), Some(http), Some(&doh)) = addresses else {
            return Err(Failure::finding("the node has no addresses"));
        };
        let key = Arc::new(key);
        let demo = Demo { node, key, key_file, data, zone, dns, http, phone, doh, step: 0 };
        demo.sealed_entries()?;
        Ok(demo)
    }

    fn ledger_url(&self) -> String {
        format!("http://{}/ledger/{SITE}/", self.http)
    }

    fn json(&self) -> String {
        json!({
            "zone": ZONE,
            "tsig": {
                "name": KEY_NAME,
                "algorithm": self.key.algorithm().to_string(),
                "secret": self.key.secret_base64(),
            },
            "sites": [{
                "name": SITE,
                "dns": self.dns.to_string(),
                "http": format!("http://{}", self.http),
                "ledger": self.ledger_url(),
                "vkey": self.node.verifier_key,
                "data": self.data.display().to_string(),
            }],
            "phone": self.phone.json(self.doh),
        })
        .to_string()
    }

    fn headline(&mut self, text: &str) -> Outcome {
        self.step += 1;
        print(format_args!("\n{}. {text}", self.step))
    }

    /// The story.
    fn tell(&mut self) -> Outcome {
        let client = Client::connect(self.dns)?;
        let device: Name = DEVICE.parse().map_err(Failure::finding)?;
        print(format_args!(
            "Site {SITE} serves {ZONE} at {} (data in {}).",
            self.dns,
            self.data.display()
        ))?;
        let before = client.query(&device, RecordType::A)?;
        self.headline(&format!("Before: A of {DEVICE}"))?;
        print(answers(before.rcode.to_string(), &before.answers))?;

        self.headline("The phone registers itself with a signed UPDATE")?;
        self.update(&client, &device, Ipv4Addr::new(192, 0, 2, 17))?;
        let registered = self.sealed_entries()?;
        let now = client.query(&device, RecordType::A)?;
        self.headline("The very next query sees it")?;
        print(answers(now.rcode.to_string(), &now.answers))?;

        self.headline("The ledger says who changed what, when, and why it was safe")?;
        let last = self.last_change(registered)?;
        self.show(last)?;
        self.headline("Anyone can check that entry offline, with the log's public key alone")?;
        self.prove(last)?;

        self.headline("It moves to another network …")?;
        let serial = client.query(&self.zone, RecordType::SOA)?.answers.first().and_then(serial_of);
        let serial = serial.ok_or_else(|| Failure::finding("the zone has no serial"))?;
        self.update(&client, &device, Ipv4Addr::new(198, 51, 100, 23))?;
        let moved = client.query(&device, RecordType::A)?;
        print(answers(moved.rcode.to_string(), &moved.answers))?;
        self.headline(&format!(
            "… and the operator rolls it back to serial {serial}; that too is an entry"
        ))?;
        let command = control::Command::Rollback {
            zone: ZONE.to_owned(),
            serial: Some(serial),
            time_ms: None,
            name: Some(DEVICE.to_owned()),
            dry_run: false,
        };
        print(indent(&crate::source::ask(&self.data, &command)?))?;
        let back = client.query(&device, RecordType::A)?;
        print(answers(back.rcode.to_string(), &back.answers))?;
        self.roam(&client)?;
        self.farewell()
    }

    fn update(&self, client: &Client, device: &Name, address: Ipv4Addr) -> Outcome {
        let started = Instant::now();
        let (key, zone, rdata) = (&self.key, &self.zone, &address.octets());
        let update = Update::replace(key, zone, device, RecordType::A, 60, rdata)?;
        let rcode = client.update(&update)?.rcode;
        let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
        print(format_args!(
            "   {DEVICE} 60 IN A {address} -> {rcode}, durable after {elapsed_ms:.2} ms"
        ))
    }

    fn ledger(&self) -> Result<(OsFiles, VerifierKey), Failure> {
        let files = OsFiles::open(self.data.join("ledger")).map_err(Failure::finding)?;
        let key = VerifierKey::parse(&self.node.verifier_key).map_err(Failure::finding)?;
        Ok((files, key))
    }

    /// Waits until every durable entry is under a checkpoint; gives their number.
    fn sealed_entries(&self) -> Result<u64, Failure> {
        let (files, key) = self.ledger()?;
        let deadline = Instant::now() + SEAL_TIMEOUT;
        let wanted = self.node.durable_entries().map_err(Failure::finding)?;
        loop {
            let note = files.read("checkpoint").map_err(Failure::finding)?;
            let checkpoint =
                note.and_then(|note| einhorn_core::ledger::checkpoint::verify(&note, &key).ok());
            match checkpoint {
                Some(checkpoint) if checkpoint.size >= wanted => return Ok(checkpoint.size),
                _ if Instant::now() > deadline => {
                    return Err(Failure::finding("the ledger is not sealed in time"));
                }
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn last_change(&self, entries: u64) -> Result<u64, Failure> {
        let is_change =
            |index: &u64| matches!(self.entry(*index), Ok(Entry { body: Body::Change(_), .. }));
        (0..entries)
            .rev()
            .find(is_change)
            .ok_or_else(|| Failure::finding("the ledger has no change"))
    }

    fn entry(&self, index: u64) -> Result<Entry, Failure> {
        let (files, key) = self.ledger()?;
        let (octets, _) = prove_entry(&files, &key, index).map_err(Failure::finding)?;
        let entry = Assembler::default().next(&octets).map_err(Failure::finding)?;
        entry.ok_or_else(|| Failure::finding("a part of an entry"))
    }

    fn show(&self, index: u64) -> Outcome {
        print(indent(&describe::text(index, &self.entry(index)?)))
    }

    fn prove(&self, index: u64) -> Outcome {
        let (files, key) = self.ledger()?;
        let (entry, mut proof) = prove_entry(&files, &key, index).map_err(Failure::finding)?;
        proof.extra = Some(entry);
        let path = self.data.join(format!("entry-{index}.tlog-proof"));
        fs::write(&path, proof.to_string()).map_err(Failure::finding)?;
        let text = fs::read(&path).map_err(Failure::finding)?;
        let proof = TlogProof::parse(&text).map_err(Failure::finding)?;
        let entry = proof.extra.as_deref().unwrap_or_default();
        let checkpoint = proof.verify(entry, &key).map_err(Failure::finding)?;
        print(format_args!(
            "   {} hashes prove entry {index} of {}, at size {}: {}",
            proof.hashes.len(),
            checkpoint.origin,
            checkpoint.size,
            path.display()
        ))
    }

    fn farewell(&self) -> Outcome {
        let (address, port) = (self.dns.ip(), self.dns.port());
        let (key, data, vkey) =
            (self.key_file.display(), self.data.display(), &self.node.verifier_key);
        print(format_args!(
            "\nStill running; Ctrl-C ends it. Try it by hand:\n\n\
             dig @{address} -p {port} annas-iphone.{ZONE} A\n\
             printf 'server {address} {port}\\nzone {ZONE}\\nupdate add bens-iphone.{ZONE} 60 A 192.0.2.99\\nsend\\n' | nsupdate -k {key}\n\
             dig @{address} -p {port} -k {key} {ZONE} AXFR\n\
             einhorn ledger history annas-iphone.{ZONE} --data {data}\n\
             einhorn ledger verify --url {} --vkey {vkey}\n\n\
             (einhorn is target/release/einhorn here.)",
            self.ledger_url(),
        ))
    }
}

/// The demonstration's key: from `path`, or a new one written there.
fn demo_key(path: &Path, name: &str) -> Result<Key, Failure> {
    if let Ok(text) = fs::read_to_string(path) {
        let keys = einhorn_wire::key_file::parse(&text);
        let keys =
            keys.map_err(|error| Failure::finding(format!("{}: {error}", path.display())))?;
        return keys.into_iter().next().ok_or_else(|| Failure::finding("an empty key file"));
    }
    let mut secret = [0; 32];
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
        .map_err(Failure::finding)?;
    let key_name = name.parse().map_err(Failure::finding)?;
    let key = Key::new(key_name, Algorithm::HmacSha256, &secret).map_err(Failure::finding)?;
    let clause = format!(
        "key \"{name}\" {{\n\talgorithm {};\n\tsecret \"{}\";\n}};\n",
        key.algorithm(),
        key.secret_base64()
    );
    fs::write(path, clause)
        .map_err(|error| Failure::finding(format!("{}: {error}", path.display())))?;
    Ok(key)
}

fn serial_of(soa: &Record) -> Option<u32> {
    einhorn_wire::rdata::soa_numbers(&soa.rdata).map(|numbers| numbers.serial)
}

fn answers(rcode: String, answers: &[Record]) -> String {
    if answers.is_empty() {
        return format!("   {rcode}");
    }
    let lines: Vec<_> = answers.iter().map(|record| format!("   {record}")).collect();
    lines.join("\n")
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(|line| format!("   {line}")).collect();
    lines.join("\n")
}
