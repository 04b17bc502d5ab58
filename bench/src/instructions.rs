//! Instructions for each query and each update: figures that other load does not move.
//!
//! A child of this very program does one kind of work so many times through the functions that
//! the server calls, under valgrind's callgrind. The difference between two counts, divided by
//! the difference in times, leaves out everything that is done once. What the kernel does is not
//! counted; valgrind offers fewer instruction sets than most processors, so that hashing counts
//! for more than it takes.

use crate::inference::{self, Step};
use crate::options::Options;
use crate::query::mix;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use crate::workload::{KEY_NAME, KEY_SECRET, Workload, ZONE};
use crate::{machine, process};
use arc_swap::ArcSwap;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, Request, RequestId};
use einhorn_core::model::{Origin, State};
use einhorn_core::rules::policy::{Grant, Policy};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_ingress::dispatch::{Arrival, Dispatch, Limiter, dispatch};
use einhorn_ingress::rate_limit::{LimitCounters, LimitSettings, RateLimit};
use einhorn_ingress::reply::Echo;
use einhorn_ingress::{Access, Ingress, Settings, Submission, cookie_secret};
use einhorn_serve::answer::{AnswerSettings, Transport};
use einhorn_serve::publish::Published;
use einhorn_wire::tsig::{Key, KeyRing};
use einhorn_wire::writer::Writer;
use einhorn_wire::{Class, Message, Name, Opcode, Rcode, RecordType, zonefile};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Hosts in the zone: enough for a tree of several levels, few enough to load under valgrind.
const HOSTS: u32 = 10_000;
const HOSTS_QUICK: u32 = 1_000;
/// The two counts of repetitions.
const FEW: u32 = 500;
const MANY: u32 = 2_500;
/// Messages made beforehand, whatever the count.
const MESSAGES: u32 = MANY;
/// Updates that are made durable together.
const BATCH: usize = 64;
/// Coprime to both: steps of this size visit every host before any host again.
const HOST_STRIDE: u32 = 7919;
/// The moment at which all of it happens; signatures need one.
const NOW_SECONDS: u64 = 1_800_000_000;
/// What the zone has beside its hosts.
const UNUSUAL_RECORDS: &str =
    "*.wild IN A 192.0.2.7\nsub IN NS ns.sub\nns.sub IN A 192.0.2.8\nalias IN CNAME n0000042\n";

/// What is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A server's answer.
    Served(Served),
    /// What the agent does for a change.
    Agent(Step),
}

impl Work {
    /// All kinds.
    pub(crate) fn all() -> impl Iterator<Item = Work> {
        Served::ALL.map(Work::Served).into_iter().chain(Step::ALL.map(Work::Agent))
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Served(served) => served.name(),
            Work::Agent(step) => step.name(),
        }
    }
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    A,
    AWithoutEdns,
    Aaaa,
    Nxdomain,
    Nodata,
    Wildcard,
    Referral,
    Cname,
    Update,
}

impl Served {
    const ALL: [Served; 9] = [
        Served::A,
        Served::AWithoutEdns,
        Served::Aaaa,
        Served::Nxdomain,
        Served::Nodata,
        Served::Wildcard,
        Served::Referral,
        Served::Cname,
        Served::Update,
    ];

    fn name(self) -> &'static str {
        match self {
            Served::A => "a",
            Served::AWithoutEdns => "a-without-edns",
            Served::Aaaa => "aaaa",
            Served::Nxdomain => "nxdomain",
            Served::Nodata => "nodata",
            Served::Wildcard => "wildcard",
            Served::Referral => "referral",
            Served::Cname => "cname",
            Served::Update => "update",
        }
    }

    fn question(self, at: u32, hosts: u32) -> (String, RecordType) {
        let host = at * HOST_STRIDE % hosts;
        match self {
            Served::A | Served::AWithoutEdns | Served::Update => {
                (mix::host_name(host), RecordType::A)
            }
            Served::Aaaa => (mix::host_name(host), RecordType::AAAA),
            Served::Nxdomain => (format!("n{host:07}x.{ZONE}"), RecordType::A),
            Served::Nodata => (mix::host_name(host), RecordType::MX),
            Served::Wildcard => (format!("n{host:07}.wild.{ZONE}"), RecordType::A),
            Served::Referral => (format!("n{host:07}.sub.{ZONE}"), RecordType::A),
            Served::Cname => (format!("alias.{ZONE}"), RecordType::A),
        }
    }

    /// Response code, and records in answer and authority.
    fn expected(self) -> (Rcode, [u16; 2]) {
        match self {
            Served::A | Served::AWithoutEdns | Served::Aaaa | Served::Wildcard => {
                (Rcode::NOERROR, [1, 0])
            }
            Served::Nxdomain => (Rcode::NXDOMAIN, [0, 1]),
            Served::Nodata | Served::Referral => (Rcode::NOERROR, [0, 1]),
            Served::Cname => (Rcode::NOERROR, [2, 0]),
            Served::Update => (Rcode::NOERROR, [0, 0]),
        }
    }
}

/// A server without sockets, disk and threads.
struct Bare {
    ingress: Ingress,
    limits: RateLimit,
    commit: Commit<Option<Box<Echo>>>,
    _submissions: crossbeam_channel::Receiver<Submission>,
}

fn key() -> Result<Key, String> {
    format!("hmac-sha256:{KEY_NAME}:{KEY_SECRET}")
        .parse()
        .map_err(|error| format!("the benchmark's own key is malformed: {error}"))
}

impl Bare {
    fn new(hosts: u32) -> Result<Bare, String> {
        let key = key()?;
        let apex: Name = ZONE.parse().map_err(|error| format!("{ZONE}: {error}"))?;
        let grant = Grant::everything(key.name().clone(), apex.clone());
        let mut keys = KeyRing::default();
        keys.insert(key);
        let (submissions, _submissions) = crossbeam_channel::bounded(1);
        let ingress = Ingress {
            zones: Published::default(),
            access: ArcSwap::from_pointee(Access {
                keys,
                policy: Policy::new([grant]),
                ..Access::default()
            }),
            settings: ArcSwap::from_pointee(Settings {
                answer: AnswerSettings {
                    cookie_secrets: vec![cookie_secret(&[7; 32])],
                    ..AnswerSettings::default()
                },
                limits: LimitSettings::default(),
            }),
            limited: LimitCounters::default(),
            crowd: Arc::default(),
            hostname_answers: Default::default(),
            submissions,
            notified: tokio::sync::mpsc::channel(1).0,
            site: 1.into(),
            audit_secret: [7; 32],
        };
        let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
        commit.begin_log(
            NOW_SECONDS * 1000,
            Origin { site: 1, generation: 1 },
            "einhorn/bench".to_owned(),
            None,
        );
        let limits = RateLimit::new(ingress.seed("rates"), 1);
        let mut bare = Bare { ingress, limits, commit, _submissions };
        bare.load(apex, hosts)?;
        Ok(bare)
    }

    fn load(&mut self, apex: Name, hosts: u32) -> Result<(), String> {
        let mut text = Vec::new();
        mix::write_zone(hosts, &mut text).map_err(|error| error.to_string())?;
        text.extend_from_slice(UNUSUAL_RECORDS.as_bytes());
        let records = zonefile::load(Path::new("zone"), &apex, &mut |_| Ok(text.clone()))
            .map_err(|error| error.to_string())?;
        let names = names_of_zone(&apex, records).map_err(|error| error.to_string())?;
        let request = Request {
            id: RequestId([0; 32]),
            remember_until_seconds: NOW_SECONDS + 60,
            who: Identity::Operator,
            zone: apex,
            action: Action::LoadZone { names, source: [0; 32] },
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        self.commit.request(NOW_SECONDS * 1000, request, None, &mut Vec::new());
        self.make_durable(&mut Vec::new());
        Ok(())
    }

    /// The batch counts as durable at once: the disk is not what is measured.
    fn make_durable(&mut self, reply: &mut Vec<u8>) {
        let mut out = Vec::new();
        self.commit.flush(NOW_SECONDS * 1000, &mut out);
        if self.commit.is_appending() {
            self.commit.appended(0, &mut out);
        }
        for output in out {
            match output {
                Output::Append(_) => {}
                Output::Publish(publication) => self.ingress.zones.publish(publication),
                Output::Answer(None, ..) => {}
                Output::Answer(Some(echo), ..) => {
                    reply.clear();
                    echo.write(Rcode::NOERROR, None, NOW_SECONDS, reply);
                }
                _ => {}
            }
        }
    }

    fn handle(&mut self, message: &[u8], reply: &mut Vec<u8>) {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 5353));
        let arrival = Arrival { peer, transport: Transport::Udp, now_seconds: NOW_SECONDS };
        reply.clear();
        let view = self.ingress.view();
        let limiter = Limiter::Own(&mut self.limits);
        let handled = dispatch(&self.ingress, &view, message, arrival, limiter, reply);
        drop(view);
        if let Dispatch::Submit(request, echo) = handled {
            self.commit.request(NOW_SECONDS * 1000, *request, Some(echo), &mut Vec::new());
            if self.commit.waiting() >= BATCH {
                self.make_durable(reply);
            }
        }
    }
}

fn queries(work: Served, hosts: u32) -> Result<Vec<Vec<u8>>, String> {
    let query = |at: u32| {
        let (name, rtype) = work.question(at, hosts);
        let name: Name = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, at as u16, 512);
        writer.set_request(Opcode::QUERY);
        writer
            .question(name.as_wire(), rtype, Class::IN)
            .map_err(|_| format!("a question for {name} does not fit a message"))?;
        if work != Served::AWithoutEdns {
            octets[11] = 1;
            octets.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        }
        Ok(octets)
    };
    (0..MESSAGES).map(query).collect()
}

fn updates() -> Result<Vec<Vec<u8>>, String> {
    let mut workload = Workload::new()?;
    let update = |_| {
        let mut octets = Vec::new();
        workload
            .next_update(&mut octets, NOW_SECONDS)
            .map(|_| octets)
            .map_err(|_| "an update of the workload does not fit its buffer".to_owned())
    };
    (0..MESSAGES).map(update).collect()
}

/// Does one kind of work so many times; fails where an answer is not what it must be.
pub(crate) fn repeat(work: Work, count: u32, hosts: u32) -> Result<(), String> {
    match work {
        Work::Served(served) => repeat_served(served, count, hosts),
        Work::Agent(step) => inference::repeat(step, count),
    }
}

fn repeat_served(work: Served, count: u32, hosts: u32) -> Result<(), String> {
    let messages = if work == Served::Update { updates()? } else { queries(work, hosts)? };
    let mut bare = Bare::new(hosts)?;
    let mut reply = Vec::with_capacity(4096);
    for message in messages.iter().cycle().take(count as usize) {
        bare.handle(message, &mut reply);
    }
    bare.make_durable(&mut reply);
    let message = Message::parse(&reply).map_err(|error| format!("the reply: {error}"))?;
    let counts = [message.header.counts[1], message.header.counts[2]];
    let found = (message.header.rcode(), counts);
    match found == work.expected() {
        true => Ok(()),
        false => Err(format!("{} got {found:?} instead of {:?}", work.name(), work.expected())),
    }
}

/// Instructions that valgrind counts in a child of this program.
fn count(valgrind: &Path, work: Work, repetitions: u32, hosts: u32) -> Result<u64, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot find the benchmark's own path: {error}"))?;
    let program = program.display().to_string();
    let (repetitions, hosts) = (repetitions.to_string(), hosts.to_string());
    let arguments = [
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        &program,
        "repeat",
        work.name(),
        &repetitions,
        &hosts,
    ];
    let (text, succeeded) = process::run(valgrind, &arguments)?;
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    match collected.and_then(|(_, number)| number.trim().parse().ok()) {
        Some(instructions) if succeeded => Ok(instructions),
        _ => Err(format!("counting {} under valgrind failed: {text}", work.name())),
    }
}

/// Counts all kinds of work.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let hosts = options.hosts(HOSTS, HOSTS_QUICK);
    let mut sheet = Sheet {
        benchmark: "instructions".to_owned(),
        title: "Instructions".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: machine::describe(),
        method: format!(
            "Einhorn's own functions, called in one process as the server calls them, under callgrind: {FEW} and {MANY} repetitions in a zone of {hosts} hosts; the difference, for each repetition. Updates are made durable in batches of {BATCH}, in memory. The kernel's work is not counted."
        ),
        warnings: Vec::new(),
        targets: Vec::<Target>::new(),
        tables: Vec::new(),
        checks: vec!["each kind of work checked its last reply".to_owned()],
        servers: Vec::new(),
        is_sound: true,
    };
    let valgrind = process::find_program("valgrind");
    if valgrind.is_none() {
        let warning =
            "VALGRIND IS NOT INSTALLED: no instructions were counted (Debian package `valgrind`)";
        eprintln!("{warning}");
        sheet.warnings.push(warning.to_owned());
    }
    let mut rows = Vec::new();
    for work in Work::all() {
        let mut cell = None;
        if let Some(valgrind) = &valgrind {
            let many = count(valgrind, work, MANY, hosts)?;
            let difference = many.saturating_sub(count(valgrind, work, FEW, hosts)?);
            cell = Cell::of(&[difference as f64 / f64::from(MANY - FEW)]);
            eprintln!("  {}: {:.0}", work.name(), cell.map_or(0.0, |cell| cell.value));
        }
        rows.push(Row { name: work.name().to_owned(), cells: vec![cell] });
    }
    sheet.tables.push(Table {
        title: "Instructions for each".to_owned(),
        note: "Queries carry EDNS but where it says otherwise. The last three are what the agent does for a change: its features, the prediction, and the prediction with the decision.".to_owned(),
        columns: vec![Column::plotted("instructions", 0)],
        rows,
        compares: false,
    });
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_work_gets_the_answer_it_must() {
        for work in Work::all() {
            repeat(work, 100, 100).unwrap_or_else(|message| panic!("{work:?}: {message}"));
        }
    }
}
