//! Every node accepts: a follower sends on what it is asked, and answers once its own zone shows
//! the change.

use super::support::{Cluster, EINHORN, add, send, signed, values};
use einhorn_harness::{Client, Reply, ZONE, address, record, run};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};
use std::fs;
use std::process::Command;

#[test]
fn every_node_accepts_and_shows_at_once_what_it_acknowledged() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    let said = cluster.nodes[1].site().stderr();
    assert!(said.contains("leads the site; changes are sent there"), "{said}");
    assert!(!said.contains("READ ONLY"), "{said}");
    let servers = cluster.servers();
    for round in 0..20 {
        for (number, server) in servers.iter().enumerate() {
            let (label, value) = (format!("n{number}-{round}"), 1000 * round + number as u32);
            assert_eq!(send(*server, &add(&label, value)), Some(Rcode::NOERROR), "{label}");
            assert_eq!(values(*server, &label), [value], "a node shows what it acknowledged");
        }
    }
    let (before, _) = cluster.await_equal();

    // By TCP, with prerequisites: the answer is the leader's.
    let owner = format!("once.{ZONE}");
    let absent = record(&owner, RecordType::ANY, Class::NONE, 0, &[]);
    let message = signed(&[absent], &[address(&owner, [192, 0, 2, 50])]);
    let rcode = |server, message: &[u8]| {
        let answers = Client::new(server).tcp(&[message.to_vec()]).expect("an answer");
        Reply::parse(answers.into_iter().next().expect("one")).rcode
    };
    assert_eq!(rcode(servers[1], &message), Rcode::NOERROR);
    // The same request again, at any node, is recognised; another one is refused.
    for server in &servers {
        assert_eq!(rcode(*server, &message), Rcode::NOERROR, "a retry");
    }
    let absent = record(&owner, RecordType::ANY, Class::NONE, 0, &[]);
    let other = signed(&[absent], &[address(&owner, [192, 0, 2, 51])]);
    assert_eq!(rcode(servers[2], &other), Rcode::YXDOMAIN);
    let (serial, records) = cluster.await_equal();
    assert_eq!(serial, before + 1, "done once: {records:?}");

    // An operator's changes too.
    let file = cluster.folder.path().join("other.zone");
    let text =
        "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.9\n";
    fs::write(&file, text).unwrap();
    let mut command = Command::new(EINHORN);
    command.args(["zone", "add", "other.example.", "--file"]).arg(file);
    run(command.arg("--data").arg(cluster.nodes[2].data())).good();
    let reply = Client::new(servers[2]).query("ns.other.example.", RecordType::A);
    assert_eq!(reply.answers.len(), 1, "{reply:?}");

    // An orderly stop hands over, and the node comes back as a follower.
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let leader = cluster.await_other_leader(0);
    let seen = cluster.nodes[0].start().stderr();
    assert!(seen.contains("leads the site"), "{leader}: {seen}");
    assert_eq!(send(servers[0], &add("last", 7)), Some(Rcode::NOERROR));
    assert_eq!(values(servers[0], "last"), [7]);
    cluster.await_equal();
}
