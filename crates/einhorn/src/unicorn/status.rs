//! How the machines of a cluster are, and how the sites in them see each other.

use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{self, Answer as Said, Command as Ask, SiteStatus};
use einhorn_unicorn::acceleration::Chosen;
use einhorn_unicorn::cluster::Cluster;
use einhorn_unicorn::machine::Acceleration;
use einhorn_unicorn::supervisor::{self, Answer, Command as Order, MachineStatus};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long sites may take until each has everything of the others.
const TOGETHER_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What `--json` shows.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown {
    acceleration: Chosen,
    machines: Vec<Line>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    #[serde(flatten)]
    machine: MachineStatus,
    /// Entries of other sites that it knows of and does not have; none if it does not answer.
    lacks: Option<u64>,
}

/// Shows it.
pub(super) fn show(folder: &Path, is_json: bool) -> Outcome {
    let answer = supervisor::ask(folder, &Order::Status).map_err(super::failure)?;
    let Answer::Status { acceleration, machines } = answer else {
        return Err(Failure::finding(format!("the supervisor says something else: {answer:?}")));
    };
    let line = |machine: MachineStatus| {
        let runs = machine.pid.is_some() && !machine.is_paused;
        let node = if runs { node(&folder.join(&machine.name)) } else { None };
        let lacks = node.map(|node| lacks(&node));
        Line { machine, lacks }
    };
    let shown = Shown { acceleration, machines: machines.into_iter().map(line).collect() };
    if is_json {
        return print(serde_json::to_string(&shown).map_err(Failure::finding)?);
    }
    print(text(&shown))
}

/// Waits until every site sees all others and has all entries of each.
pub(super) fn await_together(folder: &Path, cluster: &Cluster) -> Outcome {
    let begun = Instant::now();
    let is_whole = |name: &str| {
        node(&folder.join(name)).is_some_and(|status| {
            status.problem.is_none()
                && status.sites.len() >= cluster.site.len()
                && status.sites.iter().all(|site| site.state != "away")
                && lacks(&status) == 0
        })
    };
    while !cluster.site.iter().all(|site| is_whole(&site.name)) {
        if begun.elapsed() > TOGETHER_MAX {
            return Err(Failure::finding(format!(
                "the machines run, but not all sites see each other after {} s: `einhorn status \
                 --data {}` and `einhorn unicorn logs` say more",
                TOGETHER_MAX.as_secs(),
                folder.join(&cluster.site[0].name).display()
            )));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// What a site says of itself.
fn node(data: &Path) -> Option<SiteStatus> {
    match control::ask(data, &Ask::Status) {
        Ok(Said::Status { status }) => Some(*status),
        _ => None,
    }
}

fn lacks(status: &SiteStatus) -> u64 {
    let of_others = status.lags.iter().filter(|lag| lag.at == status.site);
    of_others.map(|lag| lag.known.saturating_sub(lag.held)).sum()
}

fn text(shown: &Shown) -> String {
    let kind = match shown.acceleration.acceleration {
        Acceleration::Kvm => "with KVM",
        Acceleration::Tcg => "by translation (TCG)",
    };
    let mut lines = vec![format!("QEMU {kind}: {}", shown.acceleration.why)];
    lines.extend(shown.machines.iter().map(line));
    lines.join("\n")
}

fn line(Line { machine, lacks }: &Line) -> String {
    let state = match (machine.pid, machine.is_paused) {
        (None, _) => return format!("{:<16} gone", machine.name),
        (Some(_), true) => "paused",
        (Some(_), false) => "runs",
    };
    let mib = |kib: Option<u64>| kib.map_or("-".to_owned(), |kib| format!("{} MiB", kib >> 10));
    let unit = |value: Option<String>, unit| value.map_or("-".to_owned(), |value| value + unit);
    format!(
        "{:<16} {state:<7} ready after {}, memory {}, free inside {}, clock ahead {}, lacks {}",
        machine.name,
        unit(machine.boot_ms.map(|ms| ms.to_string()), " ms"),
        mib(machine.resident_kib),
        mib(machine.available_kib),
        unit(machine.clock_ahead_ms.map(|ms| ms.to_string()), " ms"),
        unit(lacks.map(|lacks| lacks.to_string()), " entries"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_gone_or_stands_still_says_no_more_than_it_can() {
        let machine = |pid, is_paused| MachineStatus {
            name: "berlin".to_owned(),
            pid,
            is_paused,
            boot_ms: Some(9000),
            resident_kib: Some(2048),
            available_kib: None,
            clock_ahead_ms: None,
        };
        let acceleration =
            Chosen { acceleration: Acceleration::Tcg, why: "no /dev/kvm".to_owned() };
        let machines = vec![
            Line { machine: machine(None, false), lacks: None },
            Line { machine: machine(Some(7), true), lacks: None },
        ];
        let text = text(&Shown { acceleration, machines });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "QEMU by translation (TCG): no /dev/kvm");
        assert_eq!(lines[1], "berlin           gone");
        assert!(lines[2].contains("paused  ready after 9000 ms, memory 2 MiB, free inside -"));
    }
}
