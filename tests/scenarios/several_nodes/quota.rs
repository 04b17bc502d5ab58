//! etcd has no room: changes are refused, queries are answered, and once there is room again
//! changes go on by themselves.

use super::support::{ANSWER_TIME_MAX, Cluster, add, send, values};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use einhorn_harness::await_that;
use einhorn_wire::message::Rcode;
use serde_json::json;
use std::time::Instant;

/// A quota of 4 MiB.
const QUOTA: &[&str] = &["--quota-backend-bytes", "4194304"];

#[test]
fn a_full_quota_refuses_changes_until_there_is_room() {
    let Some(cluster) = Cluster::start(QUOTA) else { return };
    let servers = cluster.servers();
    assert_eq!(send(servers[1], &add("before", 1)), Some(Rcode::NOERROR));
    let junk = |number: usize| STANDARD.encode(format!("junk/{number:04}"));
    let value = STANDARD.encode(vec![7; 200_000]);
    let full = (0..100).find(|number| {
        let put = json!({ "key": junk(*number), "value": value });
        cluster.etcd.post(0, "/v3/kv/put", &put).is_err()
    });
    let full = full.expect("the quota is full");
    for (number, server) in servers.iter().enumerate() {
        let begin = Instant::now();
        let said = send(*server, &add("during", 2));
        assert_eq!(said, Some(Rcode::SERVFAIL), "node {number}");
        assert!(begin.elapsed() < ANSWER_TIME_MAX, "{:?}", begin.elapsed());
        assert_eq!(values(*server, "before"), [1], "queries are answered");
    }
    let range = json!({ "key": junk(0), "range_end": junk(full) });
    cluster.etcd.post(0, "/v3/kv/deleterange", &range).expect("junk is deleted");
    cluster.etcd.compact();
    cluster.etcd.make_room();
    for (number, server) in servers.iter().enumerate() {
        await_that("an update, now that there is room", || {
            match send(*server, &add(&format!("after{number}"), 3)) {
                Some(Rcode::NOERROR) => Ok(()),
                said => Err(format!("{said:?}: {}", cluster.nodes[number].site().stderr())),
            }
        });
    }
    cluster.await_equal();
}
