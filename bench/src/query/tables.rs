//! From measurements to tables and targets.
//!
//! A target is never called reached or missed on figures that other work has disturbed, nor on
//! wrong answers.

use super::scenes::Scene;
use super::updating::UPDATES_PER_SECOND;
use super::{Findings, Measurement, Server, mix};
use crate::peers;
use crate::place::{Conditions, server_notes};
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use crate::verdict::{DISTURBED, ratio_target};

/// Processor time for each query, against NSD's.
const NSD_FACTOR_MAX: f64 = 0.77;
/// Queries answered under updates, against those without.
const UPDATED_SHARE_MIN: f64 = 0.8;
/// Latency under updates at half load, against Knot's without.
const KNOT_LATENCY_MAX: f64 = 1.0;
/// What the generator must be able to do.
const CEILING_MIN: f64 = 170_000.0;
/// Part of the updates that must have been acknowledged for figures under updates to count.
const UPDATES_SHARE_MIN: f64 = 0.95;
/// Kernel threads take a few per cent for the server's network; more comes from elsewhere.
const OTHERS_SHARE_MAX: f64 = 0.2;
const STOLEN_SHARE_MAX: f64 = 0.05;
/// Part of the queries that may be lost at half load.
const LOSS_SHARE_MAX: f64 = 0.001;

const MICROSECONDS_EACH: &str = "server CPU µs/query";
const PER_SECOND: &str = "queries/s";
const P99: &str = "p99 µs";

/// A figure of a measurement.
type Get<'g> = &'g dyn Fn(&Measurement) -> Option<f64>;

impl Server {
    fn of(&self, scene: Scene) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter().filter(move |(of, _)| *of == scene).map(|(_, found)| found)
    }

    /// The median over the rounds.
    fn cell(&self, scene: Scene, get: Get<'_>) -> Option<Cell> {
        Cell::of(&self.of(scene).filter_map(get).collect::<Vec<_>>())
    }

    fn value(&self, scene: Scene, get: Get<'_>) -> Option<f64> {
        self.cell(scene, get).map(|cell| cell.value)
    }

    fn is_disturbed(&self, scene: Scene) -> bool {
        self.value(scene, &|m| m.others).is_some_and(|share| share > OTHERS_SHARE_MAX)
            || self.value(scene, &|m| m.stolen).is_some_and(|share| share > STOLEN_SHARE_MAX)
    }

    fn wrong(&self) -> u64 {
        self.measurements.iter().map(|(_, measurement)| measurement.counts.wrong).sum()
    }
}

fn per_second(measurement: &Measurement) -> Option<f64> {
    Some(measurement.per_second)
}

fn microseconds_each(measurement: &Measurement) -> Option<f64> {
    measurement.microseconds_each
}

fn p50(measurement: &Measurement) -> Option<f64> {
    measurement.p50.map(|nanoseconds| nanoseconds as f64 / 1000.0)
}

fn p99(measurement: &Measurement) -> Option<f64> {
    measurement.p99.map(|nanoseconds| nanoseconds as f64 / 1000.0)
}

fn percent(share: Option<f64>) -> Option<f64> {
    share.map(|share| share * 100.0)
}

fn lost(measurement: &Measurement) -> Option<f64> {
    let counts = measurement.counts;
    percent((counts.sent > 0).then(|| counts.lost as f64 / counts.sent as f64))
}

impl Findings {
    fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.peer.name == name)
    }

    fn rows(&self, cells: impl Fn(&Server) -> Vec<Option<Cell>>) -> Vec<Row> {
        let row = |server: &Server| Row { name: server.peer.name.to_owned(), cells: cells(server) };
        self.servers.iter().map(row).collect()
    }
}

/// The whole sheet.
pub(super) fn sheet(findings: &Findings, command_line: String, conditions: Conditions) -> Sheet {
    let failed = |server: &Server| !server.failures.is_empty() || server.wrong() > 0;
    Sheet {
        benchmark: "query".to_owned(),
        title: "Answers".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: method(findings),
        warnings: warnings(findings, conditions.warning),
        targets: targets(findings),
        tables: vec![
            one_processor(findings),
            half_load(findings),
            updates(findings),
            two(findings),
        ],
        checks: checks(findings),
        servers: server_notes(findings.servers.iter().map(|server| {
            (server.peer, &server.version, &server.command_line, &server.configuration)
        })),
        is_sound: !findings.servers.iter().any(failed),
    }
}

fn method(findings: &Findings) -> String {
    format!(
        "A zone of {} hosts ({} records); 50 % A, 40 % AAAA, 10 % names that do not exist, in a random order that is always the same; three quarters carry EDNS. Server on processor 0, generator on processor 1, both alone there unless said otherwise. Medians of {} round(s) of {:.1} s, servers in turn. Closed loop: {} queries under way over {} sockets. Open loop: queries due at even intervals, latency from when they were due. Processor time is utime and stime of the server and all processes it started. Every answer is compared with the zone. The generator by itself, against a responder that only turns messages round, reaches {:.0}/s.",
        findings.hosts,
        mix::records_of(findings.hosts),
        findings.rounds,
        findings.duration.as_secs_f64(),
        super::IN_FLIGHT,
        super::SOCKETS,
        findings.ceiling.per_second,
    )
}

fn warnings(findings: &Findings, busy: Option<String>) -> Vec<String> {
    let mut warnings: Vec<String> = busy.into_iter().collect();
    if !findings.is_pinned {
        warnings.push(
            "this machine has one processor: server and generator disturb each other".to_owned(),
        );
    }
    let ceiling = findings.ceiling.per_second;
    if ceiling < CEILING_MIN {
        warnings.push(format!(
            "the generator reached only {ceiling:.0}/s against an echo (expected at least {CEILING_MIN}): rates near that are its own"
        ));
    }
    let mut disturbed = Vec::new();
    for server in &findings.servers {
        for scene in [Scene::Most, Scene::Half, Scene::MostUpdated, Scene::HalfUpdated] {
            if server.is_disturbed(scene) {
                disturbed.push(format!(
                    "{} at {} ({:.0} % of its processor by others, {:.0} % of all taken by the host)",
                    server.peer.name,
                    scene.title(),
                    server.value(scene, &|m| percent(m.others)).unwrap_or_default(),
                    server.value(scene, &|m| percent(m.stolen)).unwrap_or_default(),
                ));
            }
        }
        if server.value(Scene::Half, &lost).is_some_and(|lost| lost > LOSS_SHARE_MAX * 100.0) {
            warnings.push(format!("{} lost queries at half load", server.peer.name));
        }
    }
    if !disturbed.is_empty() {
        warnings.push(format!("other work disturbed {}", disturbed.join("; ")));
    }
    warnings
}

fn one_processor(findings: &Findings) -> Table {
    Table {
        title: "One processor, as many queries as it answers".to_owned(),
        note: "Where the server is not busy the generator is the limit, so that processor time is what to compare.".to_owned(),
        columns: vec![
            Column::plotted(PER_SECOND, 0),
            Column::plotted(MICROSECONDS_EACH, 2),
            Column::plain("server busy %", 0),
            Column::plain("others on its processor %", 0),
            Column::plain("lost %", 3),
            Column::plotted("memory MB (PSS)", 0),
            Column::plain("memory MB (RSS)", 0),
        ],
        rows: findings.rows(|server| {
            let memory = |get: fn(&crate::process::Memory) -> u64| {
                Cell::of(&server.memory.iter().map(|m| get(m) as f64 / 1e6).collect::<Vec<_>>())
            };
            vec![
                server.cell(Scene::Most, &per_second),
                server.cell(Scene::Most, &microseconds_each),
                server.cell(Scene::Most, &|m| percent(m.busy)),
                server.cell(Scene::Most, &|m| percent(m.others)),
                server.cell(Scene::Most, &lost),
                memory(|memory| memory.proportional),
                memory(|memory| memory.resident),
            ]
        }),
        compares: true,
    }
}

fn half_load(findings: &Findings) -> Table {
    Table {
        title: "One processor, half of that".to_owned(),
        note: "Each server at half of what it answered in the same round.".to_owned(),
        columns: vec![
            Column::plain(PER_SECOND, 0),
            Column::plotted("p50 µs", 1),
            Column::plotted(P99, 1),
            Column::plain(MICROSECONDS_EACH, 2),
            Column::plain("lost %", 3),
        ],
        rows: findings.rows(|server| {
            [&per_second as Get<'_>, &p50, &p99, &microseconds_each, &lost]
                .map(|get| server.cell(Scene::Half, get))
                .to_vec()
        }),
        compares: true,
    }
}

fn updates(findings: &Findings) -> Table {
    let mut rows = Vec::new();
    if let Some(ours) = findings.server(peers::OURS) {
        for (name, most, half, updated) in [
            ("without updates", Scene::Most, Scene::Half, false),
            ("with updates", Scene::MostUpdated, Scene::HalfUpdated, true),
        ] {
            let updates = Cell::of(&ours.updates_per_second).filter(|_| updated);
            rows.push(Row {
                name: name.to_owned(),
                cells: vec![
                    ours.cell(most, &per_second),
                    ours.cell(half, &p50),
                    ours.cell(half, &p99),
                    updates,
                ],
            });
        }
    }
    Table {
        title: format!(
            "{} while {UPDATES_PER_SECOND} signed updates a second are applied",
            peers::OURS
        ),
        note: "Updates come from the same thread as the queries, one at a time at even intervals; each delays the generator by its signature, which counts as latency.".to_owned(),
        columns: vec![
            Column::plotted("most queries/s", 0),
            Column::plain("p50 µs at half load", 1),
            Column::plotted("p99 µs at half load", 1),
            Column::plain("updates/s acknowledged", 0),
        ],
        rows,
        compares: false,
    }
}

fn two(findings: &Findings) -> Table {
    Table {
        title: "Two processors".to_owned(),
        note: "With two processors for all there is, server and generators share them. By the clock: the rate with server and generators together on two processors, over that with server and generator together on one. By processor time: twice the time of an answer on one processor, over that on two.".to_owned(),
        columns: vec![
            Column::plain("queries/s, all on one", 0),
            Column::plain("queries/s, all on two", 0),
            Column::plotted("scaling by the clock", 2),
            Column::plain("CPU µs/query, all on one", 2),
            Column::plain("CPU µs/query, all on two", 2),
            Column::plotted("scaling by processor time", 2),
        ],
        rows: findings.rows(|server| {
            let pairs = |get: Get<'_>, ratio: fn(f64, f64) -> f64| {
                let both = server.of(Scene::AllOnOne).zip(server.of(Scene::AllOnTwo));
                let ratios = both.filter_map(|(one, two)| Some(ratio(get(one)?, get(two)?)));
                Cell::of(&ratios.collect::<Vec<_>>())
            };
            vec![
                server.cell(Scene::AllOnOne, &per_second),
                server.cell(Scene::AllOnTwo, &per_second),
                pairs(&per_second, |one, two| two / one),
                server.cell(Scene::AllOnOne, &microseconds_each),
                server.cell(Scene::AllOnTwo, &microseconds_each),
                pairs(&microseconds_each, |one, two| 2.0 * one / two),
            ]
        }),
        compares: true,
    }
}

fn targets(findings: &Findings) -> Vec<Target> {
    let value = |name: &str, scene: Scene, get: Get<'_>| findings.server(name)?.value(scene, get);
    let trouble = |needed: &[(&str, Scene)]| {
        let servers =
            || needed.iter().filter_map(|(name, scene)| Some((findings.server(name)?, *scene)));
        if servers().any(|(server, _)| server.wrong() > 0) {
            return Some("void: wrong answers");
        }
        servers().any(|(server, scene)| server.is_disturbed(scene)).then_some(DISTURBED)
    };
    let ours = peers::OURS;
    let too_few_updates = findings
        .server(ours)
        .and_then(|server| Cell::of(&server.updates_per_second))
        .is_some_and(|cell| cell.value < UPDATES_SHARE_MIN * f64::from(UPDATES_PER_SECOND))
        .then_some("too few updates were acknowledged");
    vec![
        ratio_target(
            format!("processor time for each query: at most {NSD_FACTOR_MAX} times NSD's"),
            value(ours, Scene::Most, &microseconds_each),
            value("NSD", Scene::Most, &microseconds_each),
            |found| found <= NSD_FACTOR_MAX,
            trouble(&[(ours, Scene::Most), ("NSD", Scene::Most)]),
        ),
        ratio_target(
            format!(
                "queries/s under {UPDATES_PER_SECOND} updates/s: at least {UPDATED_SHARE_MIN} times those without"
            ),
            value(ours, Scene::MostUpdated, &per_second),
            value(ours, Scene::Most, &per_second),
            |found| found >= UPDATED_SHARE_MIN,
            too_few_updates.or(trouble(&[(ours, Scene::Most), (ours, Scene::MostUpdated)])),
        ),
        ratio_target(
            format!(
                "p99 at half load under {UPDATES_PER_SECOND} updates/s: at most Knot's without updates"
            ),
            value(ours, Scene::HalfUpdated, &p99),
            value("Knot", Scene::Half, &p99),
            |found| found <= KNOT_LATENCY_MAX,
            too_few_updates.or(trouble(&[(ours, Scene::HalfUpdated), ("Knot", Scene::Half)])),
        ),
    ]
}

fn checks(findings: &Findings) -> Vec<String> {
    let mut checks = Vec::new();
    for server in &findings.servers {
        let name = server.peer.name;
        let right: u64 = server.measurements.iter().map(|(_, m)| m.counts.right).sum();
        checks.push(match (&server.program, server.wrong()) {
            (None, _) => format!("{name}: not installed, not measured"),
            (_, 0) => format!("{name}: all {right} answers are right"),
            (_, wrong) => format!(
                "{name}: **{wrong} WRONG ANSWERS** beside {right} right ones: its figures are void"
            ),
        });
        checks
            .extend(server.failures.iter().map(|failure| format!("{name}: **failed**: {failure}")));
    }
    checks
}
