//! A retry of a signed update is one update, whatever of it the network or a client changed:
//! across time, restarts and crashes.

use crate::support::{EINHORN, site};
use einhorn_harness::{
    Client, SignedRequest, Site, Start, ZONE, address, key, now_seconds, record, run, tsig_of,
    update_message, with_half_the_mac,
};
use einhorn_wire::message::{Message, Rcode};
use einhorn_wire::{Class, RecordType};
use std::process::Command;

const NAME: &str = "anna.fleet.example.";

/// Adds an A of [`NAME`]; the last octet tells one from another.
fn add(last: u8) -> Vec<u8> {
    let updates = [address(NAME, [192, 0, 2, last])];
    let message = update_message(21, ZONE, &[], &updates, None);
    SignedRequest::new(message, &key(), now_seconds()).octets
}

fn remove() -> Vec<u8> {
    let updates = [record(NAME, RecordType::ANY, Class::ANY, 0, &[])];
    let message = update_message(22, ZONE, &[], &updates, None);
    SignedRequest::new(message, &key(), now_seconds()).octets
}

/// Sends a signed request; the answer must be signed NOERROR with the request's id.
fn done(client: &Client, octets: &[u8], over_tcp: bool) {
    let answer = if over_tcp {
        client.tcp(&[octets.to_vec()]).expect("an answer").remove(0)
    } else {
        client.udp(octets).expect("an answer")
    };
    let message = Message::parse(&answer).expect("a message");
    assert_eq!(message.header.rcode(), Rcode::NOERROR, "{answer:02x?}");
    assert_eq!(answer[..2], octets[..2], "the id");
    let tsig = tsig_of(&answer).expect("a signature");
    assert_eq!((tsig.error, tsig.mac_octets), (Rcode::NOERROR, 32));
}

/// The changes of [`NAME`] that the ledger holds.
fn changes(site: &Site) -> usize {
    let mut command = Command::new(EINHORN);
    command.args(["ledger", "history", NAME, "--json", "--data"]).arg(&site.data);
    run(&mut command).good().lines().count()
}

/// All the forms in which the same signed request may come again.
fn copies(request: &[u8]) -> Vec<Vec<u8>> {
    let mut other_id = request.to_vec();
    other_id[..2].copy_from_slice(&[0xBE, 0xEF]);
    let cut = with_half_the_mac(request);
    let cut_other_id = with_half_the_mac(&other_id);
    vec![request.to_vec(), other_id, cut, cut_other_id]
}

/// The retries must not bring back what was removed since.
fn retry_all(site: &Site, request: &[u8]) {
    let client = site.client();
    for copy in copies(request) {
        for over_tcp in [false, true] {
            done(&client, &copy, over_tcp);
            let found = client.query(NAME, RecordType::A).answers;
            assert!(found.is_empty(), "a retry brought back {found:?}");
        }
    }
}

#[test]
fn a_retry_is_acknowledged_and_done_once() {
    let (_folder, site) = site();
    let request = add(7);
    done(&site.client(), &request, false);
    assert_eq!(site.client().query(NAME, RecordType::A).answers.len(), 1);
    done(&site.client(), &remove(), false);
    retry_all(&site, &request);
    assert_eq!(site.stop(), Some(0));
}

#[test]
fn a_retry_is_known_after_a_restart_and_after_a_crash() {
    let (folder, site) = site();
    let start = Start { program: EINHORN, folder: folder.path() };
    let request = add(7);
    done(&site.client(), &request, false);
    done(&site.client(), &remove(), false);
    assert_eq!(site.stop(), Some(0));

    let site = start.start().expect("ready again");
    retry_all(&site, &request);
    site.kill();

    let site = start.start().expect("ready after a crash");
    retry_all(&site, &request);
    assert_eq!(site.stop(), Some(0));

    // What is in the ledger, sealed by the stop: one addition and one removal.
    let site = start.start().expect("ready to be read");
    assert_eq!(changes(&site), 2);
}

#[test]
fn a_cut_mac_that_comes_first_is_the_same_request_too() {
    let (_folder, site) = site();
    let request = add(9);
    done(&site.client(), &with_half_the_mac(&request), false);
    done(&site.client(), &remove(), false);
    retry_all(&site, &request);
}

#[test]
fn the_response_to_a_cut_mac_is_bound_to_what_was_sent() {
    let (_folder, site) = site();
    let message = update_message(23, ZONE, &[], &[address(NAME, [192, 0, 2, 7])], None);
    let request = SignedRequest::new(message, &key(), now_seconds());
    let answer = site.client().udp(&request.octets).expect("an answer");
    assert_eq!(request.rcode(&answer), Rcode::NOERROR);
}

#[test]
fn copies_in_the_same_moment_are_done_once() {
    let (_folder, site) = site();
    let request = add(7);
    let many: Vec<Vec<u8>> = (0..200).flat_map(|_| copies(&request)).collect();
    let answers = site.client().tcp(&many).expect("answers");
    assert!(answers.iter().all(|answer| answer[3] & 15 == 0));
    done(&site.client(), &remove(), false);
    retry_all(&site, &request);
}

/// Two devices that send the same content are not one.
#[test]
fn the_same_content_signed_again_later_is_another_request() {
    let (_folder, site) = site();
    let message = |at| {
        let message = update_message(24, ZONE, &[], &[address(NAME, [192, 0, 2, 7])], None);
        SignedRequest::new(message, &key(), at).octets
    };
    let now = now_seconds();
    done(&site.client(), &message(now - 1), false);
    done(&site.client(), &remove(), false);
    done(&site.client(), &message(now), false);
    assert_eq!(site.client().query(NAME, RecordType::A).answers.len(), 1);
}
