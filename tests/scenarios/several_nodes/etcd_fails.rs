//! etcd's members die, etcd drops its history: changes go on with a majority of members.

use super::support::{Cluster, add, send};
use super::writers::Writers;
use einhorn_harness::await_that;
use einhorn_wire::message::Rcode;
use std::time::{Duration, Instant};

/// Clients at each node.
const CLIENTS: usize = 2;
/// Acknowledged updates between one fault and the next.
const BETWEEN: u64 = 60;
/// How soon changes go on after the death of etcd's leader.
const GOES_ON_MAX: Duration = Duration::from_secs(5);

#[test]
fn members_of_etcd_die_and_history_is_dropped_under_load() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    member_deaths(&mut cluster, 1);
}

#[test]
#[ignore = "takes minutes: many rounds of what the ordinary test does once"]
fn members_of_etcd_die_again_and_again() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    member_deaths(&mut cluster, 10);
}

fn member_deaths(cluster: &mut Cluster, rounds: usize) {
    let servers = cluster.servers();
    let mut slowest = Duration::ZERO;
    let writers = Writers::run(&servers, CLIENTS, |doing| {
        for _ in 0..rounds {
            doing.await_more(BETWEEN);
            let leader = cluster.etcd.leader();
            let other = (leader + 1) % 3;
            cluster.etcd.kill_member(other);
            doing.await_more(BETWEEN);
            cluster.etcd.start_member(other);
            cluster.etcd.await_member(other);
            cluster.etcd.compact();
            doing.await_more(BETWEEN);
            let leader = cluster.etcd.leader();
            let begin = Instant::now();
            cluster.etcd.kill_member(leader);
            // More than may have been under way.
            doing.await_more(2 * (CLIENTS * 3) as u64);
            slowest = slowest.max(begin.elapsed());
            eprintln!("changes went on {:?} after the death of etcd's leader", begin.elapsed());
            doing.await_more(BETWEEN);
            cluster.etcd.start_member(leader);
            cluster.etcd.await_member(leader);
        }
        doing.await_more(BETWEEN);
    });
    writers.check(cluster);
    assert!(slowest < GOES_ON_MAX, "{slowest:?}");
}

#[test]
fn without_a_majority_of_members_nothing_is_acknowledged_and_nothing_hangs() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    let (servers, leader) = (cluster.servers(), cluster.leader());
    for member in 1..3 {
        cluster.etcd.kill_member(member);
    }
    for (number, server) in servers.iter().enumerate() {
        let begin = Instant::now();
        let said = send(*server, &add(&format!("no{number}"), 1));
        assert_ne!(said, Some(Rcode::NOERROR));
        // A follower says so; the leader may still wait for etcd.
        assert!(number == leader || said == Some(Rcode::SERVFAIL), "{number}: {said:?}");
        eprintln!("node {number} said {said:?} after {:?}", begin.elapsed());
    }
    for member in 1..3 {
        cluster.etcd.start_member(member);
    }
    for (number, server) in servers.iter().enumerate() {
        await_that("an update, once there is a majority", || {
            match send(*server, &add(&format!("yes{number}"), 2)) {
                Some(Rcode::NOERROR) => Ok(()),
                said => Err(format!("{said:?}: {}", cluster.nodes[number].site().stderr())),
            }
        });
    }
    cluster.await_equal();
}
