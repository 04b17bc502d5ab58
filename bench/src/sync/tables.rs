//! The figures of the benchmark as a sheet.

use super::group::SITES;
use super::{Closed, FAST, Found, Paced, Played, SLOW, Scene, targets};
use crate::place::Conditions;
use crate::sheet::{Cell, Column, Row, ServerNote, Sheet, Table, unix_seconds};

/// The sheet of all rounds.
pub(super) fn sheet(
    played: &[Played],
    method: String,
    command_line: String,
    conditions: Conditions,
) -> Sheet {
    let mut warnings: Vec<String> = conditions.warning.into_iter().collect();
    let disturbed = targets::disturbed(played);
    if !disturbed.is_empty() {
        let names = disturbed.join(", ");
        warnings.push(format!("other work used the processors while these were measured: {names}"));
    }
    let mut tables = vec![visible(played, SLOW), visible(played, FAST), levels(played)];
    tables.extend([throughput(played), one_at_a_time(played)]);
    let failed = |one: &Played| one.failures.clone().into_iter().chain(doubts(one));
    Sheet {
        benchmark: "sync".to_owned(),
        title: "Visible elsewhere".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method,
        warnings,
        targets: targets::judge(played, !disturbed.is_empty()),
        tables,
        checks: played.iter().flat_map(check).collect(),
        servers: notes(played),
        is_sound: played.iter().all(|one| failed(one).next().is_none()),
    }
}

/// The median of a figure over the rounds of a scene.
pub(super) fn cell(one: &Played, get: impl Fn(&Found) -> Option<f64>) -> Option<Cell> {
    Cell::of(&one.rounds.iter().filter_map(get).collect::<Vec<_>>())
}

pub(super) fn at_rate(found: &Found, rate: u32) -> Option<&Paced> {
    if rate == SLOW { found.slow.as_ref() } else { found.fast.as_ref() }
}

fn scenes<'a>(played: &'a [Played], wanted: &'a [Scene]) -> impl Iterator<Item = &'a Played> {
    played.iter().filter(|one| wanted.contains(&one.scene))
}

fn visible(played: &[Played], rate: u32) -> Table {
    let wanted =
        [Scene::Home, Scene::Forwarded, Scene::BindNotify, Scene::Knot, Scene::BindPolling];
    let row = |one: &Played| {
        let figure =
            |get: &dyn Fn(&Paced) -> Option<f64>| cell(one, |found| get(at_rate(found, rate)?));
        let total = |get: &dyn Fn(&Paced) -> u64| {
            let rounds = one.rounds.iter().filter_map(|found| at_rate(found, rate));
            Cell::of(&[rounds.map(get).sum::<u64>() as f64])
        };
        Row {
            name: one.scene.name().to_owned(),
            cells: vec![
                figure(&|paced| paced.shown.visible_ms(50)),
                figure(&|paced| paced.shown.visible_ms(90)),
                figure(&|paced| paced.shown.visible_ms(99)),
                total(&|paced| paced.shown.visible.len() as u64),
                total(&|paced| paced.shown.early),
                figure(&|paced| paced.shown.acknowledged_ms(50)),
                figure(&|paced| paced.shown.acknowledged_ms(99)),
                figure(&|paced| Some(paced.busy.iter().sum::<f64>() * 100.0)),
                figure(&|paced| Some(paced.others * 100.0)),
            ],
        }
    };
    Table {
        title: format!("At {rate} updates/s"),
        note: "Einhorn: three sites, `ack = local`; updates enter at berlin. Names at home there are watched at frankfurt; forwarded: names at home at frankfurt are watched at muenchen. Others: a primary and a secondary. Samples are those of all rounds together.".to_owned(),
        columns: vec![
            Column::plotted("visible p50 ms", 2),
            Column::plotted("p90 ms", 2),
            Column::plotted("p99 ms", 2),
            Column::plain("samples", 0),
            Column::plain("visible before", 0),
            Column::plain("acknowledged p50 ms", 2),
            Column::plain("acknowledged p99 ms", 2),
            Column::plain("servers CPU %", 0),
            Column::plain("others CPU %", 0),
        ],
        rows: scenes(played, &wanted).map(row).collect(),
        compares: true,
    }
}

fn levels(played: &[Played]) -> Table {
    let row = |(name, one): (&str, &Played)| {
        let figure =
            |get: &dyn Fn(&Paced) -> Option<f64>| cell(one, |found| get(found.fast.as_ref()?));
        let total = |get: &dyn Fn(&Paced) -> u64| {
            let rounds = one.rounds.iter().filter_map(|found| found.fast.as_ref());
            Cell::of(&[rounds.map(get).sum::<u64>() as f64])
        };
        let is_checked = one.scene == Scene::All;
        Row {
            name: name.to_owned(),
            cells: vec![
                figure(&|paced| paced.shown.acknowledged_ms(50)),
                figure(&|paced| paced.shown.acknowledged_ms(90)),
                figure(&|paced| paced.shown.acknowledged_ms(99)),
                total(&|paced| paced.shown.acknowledged.len() as u64),
                total(&|paced| paced.shown.checked).filter(|_| is_checked),
                total(&|paced| paced.shown.violations).filter(|_| is_checked),
                figure(&|paced| Some(paced.busy.iter().sum::<f64>() * 100.0)),
            ],
        }
    };
    let wanted = [("local", Scene::Home), ("majority", Scene::Majority), ("all", Scene::All)];
    let found = wanted
        .iter()
        .filter_map(|(name, scene)| Some((*name, played.iter().find(|one| one.scene == *scene)?)));
    Table {
        title: format!("Acknowledgement levels, three sites, {FAST} updates/s"),
        note: "From the sending of an update to its acknowledgement. With `all`, every site is asked for the name in the moment of the acknowledgement; an older address there is a violation.".to_owned(),
        columns: vec![
            Column::plotted("acknowledged p50 ms", 2),
            Column::plotted("p90 ms", 2),
            Column::plotted("p99 ms", 2),
            Column::plain("samples", 0),
            Column::plain("checks", 0),
            Column::plain("violations", 0),
            Column::plain("sites CPU %", 0),
        ],
        rows: found.map(row).collect(),
        compares: false,
    }
}

/// How closed loops are called in tables, with the scenes that run them.
const CLOSED: [(&str, Scene); 4] = [
    ("one site, local", Scene::OneSite),
    ("three, local", Scene::Home),
    ("three, majority", Scene::Majority),
    ("three, all", Scene::All),
];

fn closed_rows(
    played: &[Played],
    get: impl Fn(&Found) -> Option<&Closed>,
    with_sites: bool,
) -> Vec<Row> {
    let row = |(name, scene): &(&str, Scene)| {
        let one = played.iter().find(|one| one.scene == *scene)?;
        let figure =
            |figure: &dyn Fn(&Closed) -> Option<f64>| cell(one, |found| figure(get(found)?));
        let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
        let mut cells = vec![
            figure(&|closed| Some(closed.measurement.updates_per_second)),
            figure(&|closed| ms(closed.measurement.p50)),
            figure(&|closed| ms(closed.measurement.p90)),
            figure(&|closed| ms(closed.measurement.p99)),
        ];
        cells.first().copied().flatten()?;
        if with_sites {
            for at in 0..SITES.len() {
                cells.push(figure(&|closed| closed.busy.get(at).copied()));
            }
            cells.push(figure(&|closed| {
                let busy: f64 = closed.busy.iter().sum();
                Some(busy * 1e6 / closed.measurement.updates_per_second)
            }));
        }
        Some(Row { name: (*name).to_owned(), cells })
    };
    CLOSED.iter().filter_map(row).collect()
}

fn closed_columns() -> Vec<Column> {
    vec![
        Column::plotted("updates/s", 0),
        Column::plotted("p50 ms", 2),
        Column::plain("p90 ms", 2),
        Column::plotted("p99 ms", 2),
    ]
}

fn throughput(played: &[Played]) -> Table {
    let mut columns = closed_columns();
    columns.extend(SITES.map(|site| Column::plain(&format!("{site} CPU s/s"), 2)));
    columns.push(Column::plain("CPU µs/update, all sites", 1));
    Table {
        title: "256 updates in flight over UDP".to_owned(),
        note: "Closed loop into berlin. All sites and the generator share two processors: CPU seconds for each second say how much of them each site used.".to_owned(),
        columns,
        rows: closed_rows(played, |found| found.many.as_ref(), true),
        compares: false,
    }
}

fn one_at_a_time(played: &[Played]) -> Table {
    Table {
        title: "One update in flight".to_owned(),
        note: "Names at home where updates enter, `ack = local`: what the presence of other sites costs.".to_owned(),
        columns: closed_columns(),
        rows: closed_rows(played, |found| found.one.as_ref(), false),
        compares: false,
    }
}

/// What spoils the figures of a scene.
fn doubts(one: &Played) -> Vec<String> {
    let paced = || one.rounds.iter().flat_map(|found| found.slow.iter().chain(&found.fast));
    let mut doubts = Vec::new();
    let failed: u64 = paced().map(|paced| paced.shown.failed).sum();
    if failed > 0 {
        doubts.push(format!("{failed} updates were refused, not answered, or not shown in time"));
    }
    let violations: u64 = paced().map(|paced| paced.shown.violations).sum();
    if violations > 0 {
        doubts.push(format!("{violations} answers after the acknowledgement were older than it"));
    }
    let closed = one.rounds.iter().flat_map(|found| found.many.iter().chain(&found.one));
    for closed in closed {
        let tally = &closed.measurement.tally;
        if !tally.refused.is_empty() || tally.given_up > 0 || tally.forged > 0 {
            doubts.push(format!("closed loop: {tally:?}"));
        }
    }
    doubts
}

/// What there is to say about one scene.
fn check(one: &Played) -> Vec<String> {
    let name = one.scene.name();
    let Some(_) = one.program else { return vec![format!("{name}: not installed, not measured")] };
    let rounds = one.rounds.len();
    let mut checks = vec![format!("{name}: every acknowledgement was verified, {rounds} round(s)")];
    checks.extend(doubts(one).iter().map(|doubt| format!("{name}: **{doubt}**")));
    checks.extend(one.failures.iter().map(|failure| format!("{name}: **failed**: {failure}")));
    checks
}

fn notes(played: &[Played]) -> Vec<ServerNote> {
    let note = |one: &Played| ServerNote {
        name: one.scene.name().to_owned(),
        version: one.version.clone(),
        command_line: one.peer.program.to_owned(),
        configuration: one.configuration.clone(),
    };
    played.iter().map(note).collect()
}
