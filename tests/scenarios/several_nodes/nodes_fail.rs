//! Nodes die, or are cut off from etcd: nothing acknowledged is lost, nothing is done twice, and
//! another node leads soon.

use super::support::{ANSWER_TIME_MAX, Cluster, add, send, values};
use super::writers::Writers;
use einhorn_harness::await_that;
use einhorn_wire::message::Rcode;
use std::time::Instant;

/// Clients at each node.
const CLIENTS: usize = 2;
/// Acknowledged updates between one fault and the next.
const BETWEEN: u64 = 60;

#[test]
fn each_node_dies_under_load() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    node_deaths(&mut cluster, 1);
}

#[test]
#[ignore = "takes minutes: many rounds of what the ordinary test does once"]
fn nodes_die_again_and_again() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    node_deaths(&mut cluster, 10);
}

fn node_deaths(cluster: &mut Cluster, rounds: usize) {
    let servers = cluster.servers();
    let writers = Writers::run(&servers, CLIENTS, |doing| {
        for _ in 0..rounds {
            doing.await_more(BETWEEN);
            let leader = cluster.leader();
            let begin = Instant::now();
            cluster.nodes[leader].kill();
            doing.await_more(1);
            let other = cluster.await_other_leader(leader);
            eprintln!(
                "another node leads, and took an update, {:?} after the death",
                begin.elapsed()
            );
            doing.await_more(BETWEEN);
            cluster.nodes[leader].start();
            doing.await_more(BETWEEN);
            // One that follows.
            let follower = (0..3).find(|node| *node != other && *node != leader).expect("one");
            cluster.nodes[follower].kill();
            doing.await_more(BETWEEN);
            cluster.nodes[follower].start();
        }
        doing.await_more(BETWEEN);
    });
    writers.check(cluster);
}

#[test]
fn a_leader_that_is_cut_off_from_etcd_acknowledges_nothing_and_comes_back() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let servers = cluster.servers();
    let writers = Writers::run(&servers, CLIENTS, |doing| {
        doing.await_more(BETWEEN);
        let leader = cluster.leader();
        let (new, elsewhere) = (add("new", 1), add("cut-off", 2));
        let begin = Instant::now();
        cluster.nodes[leader].cut_off(true);
        let other = cluster.await_other_leader(leader);
        eprintln!("another node leads {:?} after the cut", begin.elapsed());
        await_that("an update at the new leader", || match send(servers[other], &new) {
            Some(Rcode::NOERROR) => Ok(()),
            said => Err(format!("{said:?}")),
        });
        eprintln!("it takes updates {:?} after the cut", begin.elapsed());
        doing.await_more(BETWEEN);
        // Who is cut off answers queries, acknowledges nothing, and says so in time.
        let asked = Instant::now();
        let said = send(servers[leader], &elsewhere);
        assert_ne!(said, Some(Rcode::NOERROR), "nothing can be done there");
        assert!(asked.elapsed() < ANSWER_TIME_MAX);
        assert_eq!(values(servers[leader], "host"), [0xc000_0201], "queries are answered");
        cluster.nodes[leader].cut_off(false);
        await_that("an update at the node that was cut off", || {
            match send(servers[leader], &elsewhere) {
                Some(Rcode::NOERROR) => Ok(()),
                said => Err(format!("{said:?}: {}", cluster.nodes[leader].site().stderr())),
            }
        });
        doing.await_more(BETWEEN);
    });
    writers.check(&cluster);
}

#[test]
fn a_follower_whose_watch_is_silent_catches_up() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let servers = cluster.servers();
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    cluster.nodes[follower].cut_off(true);
    for value in 1..=50 {
        let said = send(servers[leader], &add(&format!("v{value}"), value));
        assert_eq!(said, Some(Rcode::NOERROR));
    }
    cluster.etcd.compact();
    assert_eq!(values(servers[follower], "host"), [0xc000_0201], "it answers from what it has");
    cluster.nodes[follower].cut_off(false);
    cluster.await_equal();
    assert_eq!(values(servers[follower], "v50"), [50]);
    assert_eq!(send(servers[follower], &add("again", 5)), Some(Rcode::NOERROR));
}
