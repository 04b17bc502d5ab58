//! All nodes of a site have one key: who has another one, or none, is told what to do.

use super::support::{Cluster, EINHORN, Node};
use einhorn_harness::run;
use std::fs;
use std::process::Command;

#[test]
fn a_node_without_the_sites_key_is_refused() {
    let Some(mut cluster) = Cluster::start(&[]) else { return };
    let mut stranger = Node::new(cluster.folder.path(), "stranger", &cluster.etcd);
    let config = stranger.config();
    let said = stranger.start_as(&config).expect_err("it has no key");
    assert!(said.contains("copy ledger.key and ledger.vkey from a node of this site"), "{said}");

    // The key of a log of the same name that is another one.
    let alone = stranger.alone_config();
    stranger.start_as(&alone).expect("a site of its own");
    assert_eq!(stranger.stop(), Some(0));
    let said = stranger.start_as(&config).expect_err("it has a log");
    assert!(said.contains("einhorn site move-to-etcd"), "{said}");
    let mut command = Command::new(EINHORN);
    command.args(["site", "move-to-etcd", "--config"]).arg(&config);
    let said = run(&mut command).failed(1);
    assert!(said.contains("leads a site at einhorn/berlin"), "{said}");
    for file in ["log.db", "log.db-wal", "log.db-shm"] {
        // Not all of them are there after a clean stop.
        let _ = fs::remove_file(stranger.data().join(file));
    }
    let said = stranger.start_as(&config).expect_err("it has another key");
    assert!(said.contains("is not the key of this site's log"), "{said}");
    assert!(said.contains("copy ledger.key and ledger.vkey from a node of this site"), "{said}");

    // With the right one it belongs to the site.
    stranger.take_key_of(&cluster.nodes[0]);
    fs::remove_dir_all(stranger.data().join("ledger")).unwrap();
    stranger.start();
    cluster.nodes.push(stranger);
    cluster.await_equal();

    // The log is verified where the node keeps its files, against what is in etcd.
    let mut command = Command::new(EINHORN);
    let data = cluster.nodes[cluster.leader()].data();
    command.args(["ledger", "verify", "--replay", "--data"]).arg(data);
    let said = run(&mut command).good();
    assert!(said.contains("is sound"), "{said}");
}
