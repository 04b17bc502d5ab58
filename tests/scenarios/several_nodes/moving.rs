//! A site moves from the log in its folder to an etcd: queries are answered throughout, changes
//! pause for a moment, and the log stays the same.

use super::support::{Cluster, EINHORN, Node, add, send, values};
use super::writers::Writers;
use einhorn_harness::{Client, Etcd, ZONE, await_that, run, scratch, try_transfer};
use einhorn_wire::RecordType;
use einhorn_wire::message::Rcode;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long a client waits for an answer to a query before it asks the other node.
const QUERY_PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn a_site_moves_into_etcd_while_queries_and_changes_go_on() {
    let folder = scratch();
    let Some(etcd) = Etcd::start(folder.path(), 3, &[]) else { return };
    let mut old = Node::new(folder.path(), "old", &etcd);
    let new = Node::new(folder.path(), "new", &etcd);
    let alone = old.alone_config();
    old.start_as(&alone).expect("it starts");
    new.take_key_of(&old);
    let servers = [old.dns, new.dns];
    let mut cluster = Cluster { nodes: vec![old, new], etcd, folder };
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let writers = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(servers.iter().any(|server| is_answered(*server)), "nobody answers");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let writers = Writers::run(&servers, 2, |doing| {
            doing.await_more(200);
            move_it(&mut cluster, doing);
            doing.await_more(200);
        });
        over.store(true, Ordering::Relaxed);
        writers
    });
    assert!(asked.load(Ordering::Relaxed) > 100, "queries went on");
    writers.check(&cluster);
    // Pauses are what the slowest update saw of them.
    assert!(writers.slowest() < Duration::from_secs(15), "{:?}", writers.slowest());
    check_ledgers(&mut cluster);
}

fn is_answered(server: std::net::SocketAddr) -> bool {
    let mut octets = Vec::new();
    let name: einhorn_wire::Name = format!("host.{ZONE}").parse().expect("a name");
    let mut writer = einhorn_wire::writer::Writer::new(&mut octets, 3, 512);
    writer.question(name.as_wire(), RecordType::A, einhorn_wire::Class::IN).expect("room");
    let answer = Client::new(server).udp_within(&octets, QUERY_PATIENCE);
    answer.is_some_and(|answer| einhorn_harness::Reply::parse(answer).answers.len() == 1)
}

/// What the guide says, step by step.
fn move_it(cluster: &mut Cluster, doing: &Writers) {
    let mut command = Command::new(EINHORN);
    command.args(["site", "move-to-etcd", "--config"]).arg(cluster.nodes[0].config());
    let mut moving = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(moving.stdout.take().expect("a pipe")).lines();
    let caught_up = lines.next().expect("a line").expect("text");
    assert!(caught_up.contains("new ones follow; stop the node"), "{caught_up}");
    // The new node follows what is copied, and answers queries.
    cluster.nodes[1].start();
    let new = cluster.nodes[1].dns;
    await_that("all names at the new node", || match try_transfer(new) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    });
    doing.await_more(50);
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let moved = lines.next().expect("a line").expect("text");
    assert!(moved.contains("compared one by one"), "{moved}");
    assert!(moving.wait().expect("it ends").success());
    doing.await_more(50);
    cluster.nodes[0].start();
}

fn check_ledgers(cluster: &mut Cluster) {
    let servers = cluster.servers();
    assert_eq!(send(servers[0], &add("last", 9)), Some(Rcode::NOERROR));
    assert_eq!(values(servers[0], "last"), [9]);
    // Each of them leads once, and seals the same log with the same key.
    let mut roots = Vec::new();
    for number in [cluster.leader(), 1 - cluster.leader()] {
        await_that("this node leads", || match cluster.leader() {
            leader if leader == number => Ok(()),
            other => Err(format!("{other} leads")),
        });
        assert_eq!(cluster.nodes[number].stop(), Some(0));
        let mut command = Command::new(EINHORN);
        let data = cluster.nodes[number].data();
        command.args(["ledger", "verify", "--replay", "--data"]).arg(&data);
        let said = run(&mut command).good();
        assert!(said.contains("is sound"), "{said}");
        let note = fs::read_to_string(data.join("ledger/checkpoint")).expect("a checkpoint");
        roots.push(note.lines().take(3).collect::<Vec<_>>().join("\n"));
    }
    assert_eq!(roots[0], roots[1], "one log, one tree");
    // Nobody goes on with the old log.
    let alone = cluster.nodes[0].alone_config();
    let said = cluster.nodes[0].start_as(&alone).expect_err("the log lies in etcd");
    assert!(said.contains("the configuration has no [etcd]"), "{said}");
}
