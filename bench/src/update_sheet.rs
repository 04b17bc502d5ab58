//! The figures of the update benchmark as a sheet; its report has more to say about them.

use crate::flight::Tally;
use crate::report::{Report, ServerReport, Summary};
use crate::sheet::{Cell, Column, Row, Sheet, Table, unix_seconds};
use crate::targets;
use crate::{mode::Mode, place};

/// The sheet of a report.
pub(crate) fn sheet(report: &Report, busy: Option<String>) -> Sheet {
    let failed =
        |server: &&ServerReport| !server.failures.is_empty() || server.verification.wrong > 0;
    let troubled: Vec<&ServerReport> = report.servers.iter().filter(failed).collect();
    let mut checks: Vec<String> = troubled
        .iter()
        .map(|server| {
            let wrong = server.verification.wrong;
            let failures = server.failures.join("; ");
            format!("{}: **{wrong} hosts answer wrongly**; {failures}", server.peer.name)
        })
        .collect();
    if let Some(Err(message)) = &report.ledger {
        checks.push(format!("the ledger by itself: **failed**: {message}"));
    }
    let is_sound = checks.is_empty();
    if is_sound {
        checks.push("all sampled hosts answer what was acknowledged".to_owned());
    }
    Sheet {
        benchmark: "update".to_owned(),
        title: "Durable signed updates".to_owned(),
        unix_seconds: unix_seconds(),
        command_line: report.command_line.clone(),
        machine: report.machine.clone(),
        method: format!(
            "Each update replaces the address of one of {} hosts (TSIG, hmac-sha256); every server syncs before it answers. Medians of {} round(s) of {} s, closed loop; server on processor 0, generator on processor 1. Appending 4 KiB and fdatasync takes {:.3} ms.",
            crate::workload::HOSTS,
            report.rounds,
            report.duration.as_secs(),
            report.sync_nanoseconds as f64 / 1e6,
        ),
        warnings: busy.into_iter().chain(targets::disturbance(report)).collect(),
        targets: targets::judge(report),
        tables: report.modes.iter().map(|mode| table(report, *mode)).collect(),
        checks,
        servers: place::server_notes(report.servers.iter().map(|server| {
            (server.peer, &server.version, &server.command_line, &server.configuration)
        })),
        is_sound,
    }
}

fn table(report: &Report, mode: Mode) -> Table {
    let at = report.modes.iter().position(|candidate| *candidate == mode);
    let row = |server: &ServerReport| {
        let rounds = at.and_then(|at| server.measurements.get(at)).map_or(&[][..], Vec::as_slice);
        let cell = |get: &dyn Fn(&crate::phase::Measurement) -> Option<f64>| {
            Cell::of(&rounds.iter().filter_map(get).collect::<Vec<_>>())
        };
        let milliseconds = |nanoseconds: Option<u64>| nanoseconds.map(|n| n as f64 / 1e6);
        let mut tally = Tally::default();
        rounds.iter().for_each(|measurement| tally.add(&measurement.tally));
        Row {
            name: server.peer.name.to_owned(),
            cells: vec![
                cell(&|m| Some(m.updates_per_second)),
                cell(&|m| milliseconds(m.p50)),
                cell(&|m| milliseconds(m.p99)),
                cell(&|m| m.server_microseconds_per_update),
                Summary::of(rounds).and_then(|_| Cell::of(&[tally.lost as f64])),
            ],
        }
    };
    Table {
        title: mode.title(),
        note: String::new(),
        columns: vec![
            Column::plotted("updates/s", 0),
            Column::plotted("p50 ms", 2),
            Column::plain("p99 ms", 2),
            Column::plain("server CPU µs/update", 1),
            Column::plain("lost and sent again", 0),
        ],
        rows: report.servers.iter().map(row).collect(),
        compares: true,
    }
}
