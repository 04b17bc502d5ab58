//! The figures of the benchmark as a sheet.

use super::scenes::{ORPHAN_ROUND_TRIP, Orphan, Resolved, Times, Way};
use super::{Found, HOT_SCENES, Hot, ROUND_TRIPS_MS};
use crate::peers::EINHORN;
use crate::place::Conditions;
use crate::sheet::{Cell, Column, Row, ServerNote, Sheet, Table, Target, unix_seconds};

/// Round trips of the link that a change of two homes may take, asked at the anchor's site.
const ROUND_TRIPS_MAX: f64 = 2.0;
/// Local commits that come on top.
const COMMITS_MAX: f64 = 2.0;
/// Seconds after the deadline in which orphaned intents are to be gone.
const RESOLVED_SECONDS_MAX: f64 = 2.0;

/// The sheet of all rounds.
pub(super) fn sheet(
    found: &Found,
    method: String,
    command_line: String,
    conditions: Conditions,
    version: String,
) -> Sheet {
    let tables: Vec<Table> = (0..ROUND_TRIPS_MS.len())
        .map(|at| latencies(found, at))
        .chain([orphans(found), hot(found)])
        .collect();
    let failed: u64 = found.latencies.iter().flatten().flatten().map(|times| times.failed).sum();
    let mut checks: Vec<String> =
        found.failures.iter().map(|failure| format!("**failed**: {failure}")).collect();
    checks.push(format!("{failed} changes, one after the other, were not answered NOERROR"));
    Sheet {
        benchmark: "commit".to_owned(),
        title: "Changes of several homes".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method,
        warnings: conditions.warning.into_iter().collect(),
        targets: targets(found),
        tables,
        checks,
        servers: vec![ServerNote {
            name: EINHORN.name.to_owned(),
            version,
            command_line: EINHORN.program.to_owned(),
            configuration: String::new(),
        }],
        is_sound: found.failures.is_empty() && failed == 0,
    }
}

/// A figure of one way over links of one length.
fn figure(found: &Found, at: usize, way: Way, get: impl Fn(&Times) -> Option<f64>) -> Option<Cell> {
    let place = Way::EVERY.iter().position(|candidate| *candidate == way)?;
    let rounds = found.latencies[at].iter().filter_map(|ways| get(ways.get(place)?));
    Cell::of(&rounds.collect::<Vec<_>>())
}

fn latencies(found: &Found, at: usize) -> Table {
    let round_trip = ROUND_TRIPS_MS[at] as f64;
    let row = |way: Way| {
        let ms = |percent| figure(found, at, way, |times| times.milliseconds(percent));
        let trips = |percent| {
            figure(found, at, way, |times| Some(times.milliseconds(percent)? / round_trip))
        };
        let samples: usize = (found.latencies[at].iter())
            .map(|ways| ways.iter().zip(Way::EVERY).find(|(_, other)| *other == way))
            .map(|times| times.map_or(0, |(times, _)| times.nanoseconds.len()))
            .sum();
        Row {
            name: way.name().to_owned(),
            cells: vec![ms(50), ms(99), trips(50), trips(99), Cell::of(&[samples as f64])],
        }
    };
    Table {
        title: format!("Acknowledged, links of {round_trip} ms"),
        note: "From sending to the acknowledgement, in milliseconds and in round trips of the link. A change of two homes takes one round trip at either home (there and back: the other one's intent, or the anchor's decision) and one and a half at a third site (its question, an intent to the anchor, the decision back), and the syncs of an intent and of the decision.".to_owned(),
        columns: vec![
            Column::plotted("p50 ms", 1),
            Column::plotted("p99 ms", 1),
            Column::plain("p50 round trips", 2),
            Column::plain("p99 round trips", 2),
            Column::plain("samples", 0),
        ],
        rows: Way::EVERY.into_iter().map(row).collect(),
        compares: false,
    }
}

fn orphans(found: &Found) -> Table {
    let rows = Orphan::EVERY.iter().zip(&found.orphans).map(|(kind, rounds)| {
        let cell =
            |get: &dyn Fn(&Resolved) -> f64| Cell::of(&rounds.iter().map(get).collect::<Vec<_>>());
        Row {
            name: kind.name().to_owned(),
            cells: vec![
                cell(&|resolved| resolved.late.as_secs_f64()),
                cell(&|resolved| resolved.since_kill.as_secs_f64()),
            ],
        }
    });
    Table {
        title: "Orphaned intents".to_owned(),
        note: format!(
            "The coordinator is killed once a home shows an open intent; links of {} ms. Until no other site has an open intent any more: since the request's deadline, or since all others could be reached if that was later (0 if it was before both), and since the kill.",
            ORPHAN_ROUND_TRIP.as_millis()
        ),
        columns: vec![
            Column::plotted("s after the deadline", 2),
            Column::plain("s after the kill", 2),
        ],
        rows: rows.collect(),
        compares: false,
    }
}

fn hot(found: &Found) -> Table {
    let rows = HOT_SCENES.iter().zip(&found.hot).map(|(scene, rounds)| {
        let cell = |get: &dyn Fn(&Hot) -> Option<f64>| {
            Cell::of(&rounds.iter().filter_map(get).collect::<Vec<_>>())
        };
        Row {
            name: scene.name.to_owned(),
            cells: vec![
                cell(&|hot| Some(hot.per_second)),
                cell(&|hot| hot.p50_ms),
                cell(&|hot| hot.p99_ms),
                cell(&|hot| Some(hot.several_percent)),
                cell(&|hot| hot.aborts_per_change),
                cell(&|hot| Some(hot.servfail_percent)),
            ],
        }
    });
    Table {
        title: "Two names that everybody wants".to_owned(),
        note: "Clients at all three sites change both names as fast as they are answered. With one home, two of three sites forward. 64 keys take turns, since names that one device changes at one site three times in a row move there, and two homes would soon be one; the share of changes with several homes says whether they stayed two. Aborts are attempts that the anchor decided against, for each of these; they were made again.".to_owned(),
        columns: vec![
            Column::plotted("changes/s", 0),
            Column::plotted("p50 ms", 1),
            Column::plain("p99 ms", 1),
            Column::plain("of several homes %", 0),
            Column::plain("aborts/change", 2),
            Column::plain("SERVFAIL %", 1),
        ],
        rows: rows.collect(),
        compares: false,
    }
}

fn targets(found: &Found) -> Vec<Target> {
    let verdict = |is_reached: Option<bool>| match is_reached {
        None => "not measured",
        Some(true) => "reached",
        Some(false) => "**missed**",
    };
    let mut targets: Vec<Target> = Vec::new();
    for (at, ms) in ROUND_TRIPS_MS.into_iter().enumerate() {
        let p50 = |way| figure(found, at, way, |times| times.milliseconds(50));
        let both = p50(Way::AtAnchor).zip(p50(Way::OneHere));
        let most = |commit: f64| ROUND_TRIPS_MAX * ms as f64 + COMMITS_MAX * commit;
        targets.push(Target {
            title: format!("two homes, asked at the anchor's site, links of {ms} ms: p50 of at most {ROUND_TRIPS_MAX} round trips and {COMMITS_MAX} local commits"),
            found: both.map(|(two, one)| {
                format!("{:.1} of {:.1} ms", two.value, most(one.value))
            }),
            verdict: verdict(both.map(|(two, one)| two.value <= most(one.value))).to_owned(),
        });
    }
    let late = found.orphans.iter().flatten().map(|resolved| resolved.late.as_secs_f64());
    let worst = late.max_by(f64::total_cmp);
    targets.push(Target {
        title: format!("orphaned intents gone at most {RESOLVED_SECONDS_MAX} s after the deadline, once all others can be reached"),
        found: worst.map(|worst| format!("{worst:.2} s at worst")),
        verdict: verdict(worst.map(|worst| worst <= RESOLVED_SECONDS_MAX)).to_owned(),
    });
    targets
}
