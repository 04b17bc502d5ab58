//! Many messages at once: over one TCP connection, in pieces, and as a burst of datagrams.

use crate::support::site;
use einhorn_harness::{
    SignedRequest, ZONE, address, burst, framed, key, now_seconds, question_message, read_message,
    update_message,
};
use einhorn_wire::message::{Message, Opcode, Rcode, Section};
use einhorn_wire::{Class, Record, RecordType};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// What a device farm sends when the power comes back.
const BURST: u16 = 4_096;

fn name(id: u16) -> String {
    format!("n{id}.fleet.example.")
}

fn add(id: u16) -> SignedRequest {
    let [high, low] = id.to_be_bytes();
    let updates = [address(&name(id), [10, 0, high, low])];
    SignedRequest::new(update_message(id, ZONE, &[], &updates, None), &key(), now_seconds())
}

fn ask(id: u16, name: &str) -> Vec<u8> {
    question_message(id, Opcode::QUERY, &[(name, RecordType::A, Class::IN)])
}

fn id_of(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

#[test]
fn a_hundred_messages_share_a_connection() {
    let (_folder, site) = site();
    // Even ids update, odd ids ask.
    let mut updates: BTreeMap<u16, SignedRequest> =
        (0..100).filter(|id| id % 2 == 0).map(|id| (id, add(id))).collect();
    let messages: Vec<Vec<u8>> = (0..100)
        .map(|id| {
            updates.get(&id).map_or_else(|| ask(id, "host.fleet.example."), |u| u.octets.clone())
        })
        .collect();
    let answers = site.client().tcp(&messages).expect("a hundred answers");
    let ids: BTreeSet<u16> = answers.iter().map(|answer| id_of(answer)).collect();
    assert_eq!(ids.len(), 100, "each is answered once, in any order");
    for answer in &answers {
        match updates.remove(&id_of(answer)) {
            Some(request) => assert_eq!(request.rcode(answer), Rcode::NOERROR),
            None => {
                let message = Message::parse(answer).expect("a message");
                let records = message.records(Section::Answer).expect("records");
                assert_eq!(*records[0].rdata, [192, 0, 2, 1]);
            }
        }
    }
    let all: Vec<Vec<u8>> = (0..100).step_by(2).map(|id| ask(id, &name(id))).collect();
    for answer in site.client().tcp(&all).expect("answers") {
        assert_eq!(answer[7], 1, "n{} is there", id_of(&answer));
    }
}

#[test]
fn a_message_may_come_in_any_pieces() {
    let (_folder, site) = site();
    let mut stream = TcpStream::connect(site.dns).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    // Octet by octet.
    let request = add(1);
    for octet in framed(&request.octets) {
        stream.write_all(&[octet]).expect("sent");
    }
    let answer = read_message(&mut stream).expect("an answer");
    assert_eq!(request.rcode(&answer), Rcode::NOERROR);
    // Cut at every place, the rest together with the whole next message.
    let message = framed(&ask(2, &name(1)));
    for cut in 1..message.len() {
        stream.write_all(&message[..cut]).expect("sent");
        stream.write_all(&[&message[cut..], &message].concat()).expect("sent");
        for _ in 0..2 {
            let answer = read_message(&mut stream).expect("an answer");
            assert_eq!((id_of(&answer), answer[7]), (2, 1), "cut at {cut}");
        }
    }
}

/// A client that has nothing more to ask still wants its answers.
#[test]
fn a_connection_closed_for_writing_still_gets_its_answers() {
    let (_folder, site) = site();
    let mut stream = TcpStream::connect(site.dns).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let requests: Vec<SignedRequest> = (0..50).map(add).collect();
    let all: Vec<u8> = requests.iter().flat_map(|request| framed(&request.octets)).collect();
    stream.write_all(&all).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let ids: BTreeSet<u16> =
        (0..50).map(|_| id_of(&read_message(&mut stream).expect("an answer"))).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_burst_of_updates_over_udp_loses_none() {
    let (_folder, site) = site();
    let mut requests: BTreeMap<u16, SignedRequest> = (0..BURST).map(|id| (id, add(id))).collect();
    let messages: Vec<Vec<u8>> = requests.values().map(|request| request.octets.clone()).collect();
    let answers = burst(site.dns, &messages);
    assert_eq!(answers.len(), usize::from(BURST));
    for answer in &answers {
        let request = requests.remove(&id_of(answer)).expect("each is answered once");
        assert_eq!(request.rcode(answer), Rcode::NOERROR);
    }
    let all: Vec<Vec<u8>> = (0..BURST).map(|id| ask(id, &name(id))).collect();
    let there = site.client().tcp(&all).expect("answers");
    assert_eq!(there.iter().filter(|answer| answer[7] == 1).count(), usize::from(BURST));
}

#[test]
fn thousands_of_refusals_hold_nobody_up() {
    let (_folder, site) = site();
    let absent = Record {
        owner: "nobody.fleet.example.".parse().expect("a name"),
        rtype: RecordType::ANY,
        class: Class::ANY,
        ttl: 0,
        rdata: Box::default(),
    };
    let refused = |id| update_message(id, ZONE, std::slice::from_ref(&absent), &[], Some(&key()));
    // More than any queue or batch of the node holds.
    for _ in 0..20 {
        let messages: Vec<Vec<u8>> = (0..500).map(refused).collect();
        for answer in site.client().tcp(&messages).expect("500 answers") {
            let rcode = Message::parse(&answer).expect("a message").header.rcode();
            assert_eq!(rcode, Rcode::NXDOMAIN);
        }
    }
    let done = site.client().set_address(&key(), ZONE, "anna.fleet.example.", [192, 0, 2, 1]);
    assert_eq!(done, Rcode::NOERROR);
}
