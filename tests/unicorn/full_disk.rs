//! A machine whose disk is full says so, and goes on answering.

use crate::cluster::{Cluster, change, set, signed, values};
use einhorn_harness::{Client, Reply, SITES, ZONE, await_that, record};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};

/// What the machine has left for its data, in MiB: a new site takes about half of it.
const FAULT: &str = "free-mib = 16";
/// Updates that surely do not fit.
const UPDATES_MAX: u16 = 2000;
/// Texts of 255 octets in each.
const TEXTS: usize = 150;

#[test]
fn a_full_disk_is_an_error_and_no_end() {
    let Some(cluster) = Cluster::describe("local", &[FAULT]) else { return };
    cluster.up();
    let dns = cluster.dns(0);
    change(dns, &set("before", 1));
    let mut acknowledged = Vec::new();
    let refused = (0..UPDATES_MAX).find_map(|number| {
        let label = format!("text{number}");
        let message = signed(&[
            record(&format!("{label}.{ZONE}"), RecordType::TXT, Class::IN, 60, &texts()),
            record(&format!("{label}.{ZONE}"), RecordType::A, Class::IN, 60, &[10, 0, 0, 1]),
        ]);
        let answers = Client::new(dns).tcp(&[message]).expect("an answer");
        match Reply::parse(answers[0].clone()).rcode {
            Rcode::NOERROR => {
                acknowledged.push(label);
                None
            }
            refused => Some(refused),
        }
    });
    eprintln!("refused after {} updates", acknowledged.len());
    assert_eq!(refused, Some(Rcode::SERVFAIL));
    assert!(!acknowledged.is_empty());
    assert_eq!(values(dns, "before"), [1], "queries go on");
    let status = await_that("a site that says what is wrong", || {
        let status = cluster.status(0)?;
        if status["problem"].is_null() { Err(status.to_string()) } else { Ok(status) }
    });
    eprintln!("{}", status["problem"]);
    cluster.order(&["kill", SITES[0]]).good();
    // There is as much room again when it starts.
    cluster.order(&["restart", SITES[0]]).good();
    for label in acknowledged {
        assert_eq!(values(dns, &label), [0x0a00_0001], "{label}");
    }
    change(dns, &set("after", 2));
    assert_eq!((values(dns, "before"), values(dns, "after")), (vec![1], vec![2]));
}

fn texts() -> Vec<u8> {
    let mut text = vec![b'x'; 256];
    text[0] = 255;
    text.repeat(TEXTS)
}
