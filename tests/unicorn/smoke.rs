//! One cluster through all that can happen to it: nothing that was acknowledged is lost.

use crate::cluster::{Cluster, change, send, set, values};
use einhorn_harness::{Client, Reply, SITES, ZONE, await_that, question_message};
use einhorn_wire::message::{Opcode, Rcode};
use einhorn_wire::{Class, RecordType};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const BERLIN: usize = 0;
const FRANKFURT: usize = 1;
const MUENCHEN: usize = 2;
/// How long a resolver waits before it asks the next server.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(1);
/// Updates at each site between two faults.
const BETWEEN: u32 = 5;

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged(Vec<(String, u32)>);

impl Acknowledged {
    /// Changes names at these sites.
    fn more(&mut self, cluster: &Cluster, sites: &[usize]) {
        for _ in 0..BETWEEN {
            for site in sites {
                let number = self.0.len() as u32;
                let label = format!("name{number}");
                change(cluster.dns(*site), &set(&label, number));
                self.0.push((label, number));
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let wrong_clock = "clock = \"2001-01-01T00:00:00\"";
    let faults = ["", "", wrong_clock];
    let Some(cluster) = Cluster::describe("majority", &faults) else { return };
    cluster.up();
    // Signed updates prove that it is right from the begin.
    let logs = cluster.order(&["logs", SITES[MUENCHEN]]).good();
    assert!(logs.contains("the clock was wrong by "), "{logs}");
    questions(&cluster);
    let mut acknowledged = Acknowledged::default();
    acknowledged.more(&cluster, &[BERLIN, FRANKFURT, MUENCHEN]);
    kill_one(&cluster, &mut acknowledged);
    kill_all(&cluster, &mut acknowledged);
    partition(&cluster, &mut acknowledged);
    pause(&cluster);
    cluster.check(&acknowledged.0);
    upgrade(&cluster, &mut acknowledged);
    let ended = cluster.order(&["down"]).good();
    assert_eq!(ended.trim(), "3 of 3 ended in order");
    // Everything comes back from the disks.
    cluster.up();
    cluster.check(&acknowledged.0);
}

/// Over UDP and TCP, at every site.
fn questions(cluster: &Cluster) {
    for (site, name) in SITES.iter().enumerate() {
        assert_eq!(values(cluster.dns(site), "host"), [0xc000_0201], "{name}");
        let name = format!("host.{ZONE}");
        let question = question_message(1, Opcode::QUERY, &[(&name, RecordType::A, Class::IN)]);
        let answers = Client::new(cluster.dns(site)).tcp(&[question]).expect("an answer");
        assert_eq!(Reply::parse(answers[0].clone()).rcode, Rcode::NOERROR);
    }
    let machine = cluster.machine(BERLIN);
    assert!(machine["boot-ms"].as_u64() > Some(0), "{machine}");
    assert!(machine["clock-ahead-ms"].as_i64().is_some_and(|ms| ms.abs() < 2000), "{machine}");
}

fn kill_one(cluster: &Cluster, acknowledged: &mut Acknowledged) {
    cluster.order(&["kill", SITES[FRANKFURT]]).good();
    assert!(cluster.machine(FRANKFURT)["pid"].is_null());
    acknowledged.more(cluster, &[BERLIN, MUENCHEN]);
    cluster.order(&["restart", SITES[FRANKFURT]]).good();
    acknowledged.more(cluster, &[FRANKFURT]);
    cluster.check(&acknowledged.0);
}

/// As when the power fails: no machine has the time to end.
fn kill_all(cluster: &Cluster, acknowledged: &mut Acknowledged) {
    acknowledged.more(cluster, &[BERLIN, FRANKFURT, MUENCHEN]);
    for site in SITES {
        cluster.order(&["kill", site]).good();
    }
    std::thread::scope(|scope| {
        for site in SITES {
            scope.spawn(move || cluster.order(&["restart", site]).good());
        }
    });
    cluster.check(&acknowledged.0);
}

/// The side with the majority goes on; the other one refuses.
fn partition(cluster: &Cluster, acknowledged: &mut Acknowledged) {
    for other in [BERLIN, FRANKFURT] {
        cluster.order(&["partition", SITES[MUENCHEN], SITES[other]]).good();
    }
    acknowledged.more(cluster, &[BERLIN, FRANKFURT]);
    assert_eq!(send(cluster.dns(MUENCHEN), &set("alone", 1)), Some(Rcode::SERVFAIL));
    assert_eq!(values(cluster.dns(MUENCHEN), "host"), [0xc000_0201], "queries are answered");
    cluster.order(&["network", "--delay-ms", "20", "--lost-per-mille", "10"]).good();
    acknowledged.more(cluster, &[BERLIN]);
    cluster.order(&["heal"]).good();
    cluster.settle();
    acknowledged.more(cluster, &[MUENCHEN]);
}

/// A machine whose processor stands still answers nothing, and knows the time when it goes on.
fn pause(cluster: &Cluster) {
    cluster.order(&["pause", SITES[FRANKFURT]]).good();
    assert_eq!(cluster.machine(FRANKFURT)["is-paused"], true);
    await_that("a site that is away", || {
        let status = cluster.status(BERLIN)?;
        let is_away = status["sites"][FRANKFURT]["state"] == "away";
        if is_away { Ok(()) } else { Err(status.to_string()) }
    });
    cluster.order(&["resume", SITES[FRANKFURT]]).good();
    let machine = cluster.machine(FRANKFURT);
    assert!(machine["clock-ahead-ms"].as_i64().is_some_and(|ms| ms.abs() < 2000), "{machine}");
    let logs = cluster.order(&["logs", SITES[FRANKFURT]]).good();
    assert!(logs.contains("einhorn: ready, frankfurt serves DNS"), "{logs}");
}

/// One machine after the other gets another image, while clients ask and change names: who asks the
/// next site when one is silent is always answered, and nothing is lost.
fn upgrade(cluster: &Cluster, acknowledged: &mut Acknowledged) {
    let other = tempfile::tempdir().expect("a folder");
    for file in ["vmlinux", "image.cpio"] {
        std::fs::copy(cluster.image().join(file), other.path().join(file)).expect("a copy");
    }
    let missing = other.path().join("missing");
    let refused = cluster.order(&["upgrade", &missing.display().to_string()]);
    assert_ne!(refused.code, Some(0), "no image is there: {refused:?}");
    cluster.check(&acknowledged.0);
    let is_over = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut asked = 0;
            while !is_over.load(Ordering::Relaxed) {
                ask_somebody(cluster);
                asked += 1;
            }
            asked
        });
        let upgraded = cluster.order(&["upgrade", &other.path().display().to_string()]);
        is_over.store(true, Ordering::Relaxed);
        let said = upgraded.good();
        assert_eq!(said.matches("with the new image").count(), SITES.len(), "{said}");
        asker.join().expect("every question was answered")
    });
    eprintln!("{asked} questions during the upgrade, all answered");
    cluster.check(&acknowledged.0);
    acknowledged.more(cluster, &[FRANKFURT]);
}

/// As a resolver does it: who does not answer soon is followed by the next.
fn ask_somebody(cluster: &Cluster) {
    let name = format!("host.{ZONE}");
    let question = question_message(1, Opcode::QUERY, &[(&name, RecordType::A, Class::IN)]);
    let answer = (0..SITES.len())
        .find_map(|site| Client::new(cluster.dns(site)).udp_within(&question, RESOLVER_PATIENCE));
    assert_eq!(answer.map(|answer| Reply::parse(answer).rcode), Some(Rcode::NOERROR));
}
