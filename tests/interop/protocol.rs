//! RFC 2136 and RFC 8945 by hand, where no client of others goes: each error, their order, and
//! what is no message at all.

use crate::support::{EINHORN, site};
use einhorn_harness::{
    Client, SignedRequest, Site, ZONE, address, framed, key, message_with_updates, now_seconds,
    question_message, read_message, record, run, tsig_of, update_message,
};
use einhorn_wire::message::{Message, Opcode, Rcode};
use einhorn_wire::{Class, Record, RecordType};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

const SOA: RecordType = RecordType::SOA;
const UPDATE: Opcode = Opcode::UPDATE;

/// Signs `message`, sends it over UDP and gives the RCODE of the answer, whose signature holds.
fn signed(client: &Client, message: Vec<u8>) -> Rcode {
    let request = SignedRequest::new(message, &key(), now_seconds());
    let answer = client.udp(&request.octets).expect("an answer");
    assert_eq!(answer[..2], request.octets[..2], "the id");
    request.rcode(&answer)
}

fn update(prerequisites: &[Record], updates: &[Record]) -> Vec<u8> {
    update_message(7, ZONE, prerequisites, updates, None)
}

/// An A record with three octets.
fn malformed_a(owner: &str, class: Class) -> Record {
    record(owner, RecordType::A, class, 0, &[192, 0, 2])
}

fn exists(client: &Client, name: &str) -> bool {
    !client.query(name, RecordType::A).answers.is_empty()
}

/// The SOA record, which changes with every publication.
fn soa(site: &Site) -> Vec<u8> {
    site.client().query(ZONE, SOA).answers[0].rdata.to_vec()
}

#[test]
fn the_zone_section_is_one_soa_of_a_zone_served_here() {
    let (_folder, site) = site();
    let client = site.client();
    let new = address("new.fleet.example.", [192, 0, 2, 7]);
    for (questions, wanted) in [
        (&[(ZONE, RecordType::A, Class::IN)][..], Rcode::FORMERR),
        (&[(ZONE, RecordType::ANY, Class::IN)], Rcode::FORMERR),
        (&[(ZONE, SOA, Class::IN), (ZONE, SOA, Class::IN)], Rcode::FORMERR),
        (&[], Rcode::FORMERR),
        (&[("example.net.", SOA, Class::IN)], Rcode::NOTAUTH),
        // A name in the zone is not the zone.
        (&[("host.fleet.example.", SOA, Class::IN)], Rcode::NOTAUTH),
        (&[(ZONE, SOA, Class::CH)], Rcode::NOTAUTH),
        (&[(ZONE, SOA, Class::ANY)], Rcode::NOTAUTH),
        (&[("FLEET.Example.", SOA, Class::IN)], Rcode::NOERROR),
    ] {
        let message = message_with_updates(7, UPDATE, questions, std::slice::from_ref(&new));
        assert!(!exists(&client, "new.fleet.example."), "before {questions:?}");
        assert_eq!(signed(&client, message), wanted, "{questions:?}");
    }
    assert!(exists(&client, "new.fleet.example."));
}

#[test]
fn names_outside_the_zone_are_notzone_in_both_sections() {
    let (_folder, site) = site();
    let client = site.client();
    let inside = address("new.fleet.example.", [192, 0, 2, 7]);
    for outside in ["example.", "a.example.net.", "xfleet.example.", "."] {
        let add = address(outside, [192, 0, 2, 7]);
        let delete = record(outside, RecordType::ANY, Class::ANY, 0, &[]);
        let none = record(outside, RecordType::ANY, Class::NONE, 0, &[]);
        for message in [
            update(&[], &[inside.clone(), add]),
            update(&[], &[inside.clone(), delete]),
            update(&[none], std::slice::from_ref(&inside)),
        ] {
            assert_eq!(signed(&client, message), Rcode::NOTZONE, "{outside}");
        }
    }
    assert!(!exists(&client, "new.fleet.example."));
}

#[test]
fn malformed_prerequisites_are_formerr() {
    let (_folder, site) = site();
    let client = site.client();
    let host = "host.fleet.example.";
    let a = RecordType::A;
    for bad in [
        record(host, a, Class::IN, 60, &[192, 0, 2, 1]),
        record(host, a, Class::ANY, 0, &[192, 0, 2, 1]),
        record(host, a, Class::NONE, 0, &[192, 0, 2, 1]),
        record(host, RecordType::ANY, Class::IN, 0, &[]),
        record(host, RecordType::AXFR, Class::ANY, 0, &[]),
        record(host, a, Class::CH, 0, &[]),
        malformed_a(host, Class::IN),
    ] {
        assert_eq!(
            signed(&client, update(std::slice::from_ref(&bad), &[])),
            Rcode::FORMERR,
            "{bad}"
        );
    }
}

#[test]
fn one_bad_update_record_undoes_all_the_others() {
    let (_folder, site) = site();
    let client = site.client();
    let before = soa(&site);
    let (host, a) = ("host.fleet.example.", RecordType::A);
    for bad in [
        malformed_a(host, Class::IN),
        record(host, a, Class::IN, 60, &[]),
        record(host, RecordType::ANY, Class::IN, 60, &[]),
        record(host, RecordType::AXFR, Class::IN, 60, &[1]),
        record(host, RecordType::MAILB, Class::ANY, 0, &[]),
        record(host, a, Class::ANY, 60, &[]),
        record(host, a, Class::ANY, 0, &[192, 0, 2, 1]),
        record(host, a, Class::NONE, 60, &[192, 0, 2, 1]),
        record(host, RecordType::ANY, Class::NONE, 0, &[]),
        record(host, a, Class::CH, 0, &[192, 0, 2, 1]),
        record(host, RecordType::TXT, Class::IN, 60, b"\x05no"),
        record(host, RecordType::SRV, Class::IN, 60, b"\0\0\0\0\0\0\x05no"),
    ] {
        let good = |name| address(name, [192, 0, 2, 7]);
        let delete = record(host, RecordType::ANY, Class::ANY, 0, &[]);
        let updates =
            [good("first.fleet.example."), delete, bad.clone(), good("last.fleet.example.")];
        assert_eq!(signed(&client, update(&[], &updates)), Rcode::FORMERR, "{bad}");
        assert!(!exists(&client, "first.fleet.example."), "{bad}");
        assert!(!exists(&client, "last.fleet.example."), "{bad}");
        assert!(exists(&client, host), "{bad}");
    }
    assert_eq!(soa(&site), before, "nothing was published");
}

/// RFC 2136 §3: zone, prerequisites, permission, updates.
#[test]
fn the_first_error_in_the_order_of_the_rfc_is_the_one_told() {
    let (_folder, site) = site();
    let client = site.client();
    let missing = record("new.fleet.example.", RecordType::ANY, Class::ANY, 0, &[]);
    let bad_prerequisite = record("host.fleet.example.", RecordType::A, Class::IN, 9, &[]);
    let bad_update = malformed_a("host.fleet.example.", Class::IN);
    let outside = address("example.net.", [192, 0, 2, 1]);
    let one = std::slice::from_ref::<Record>;
    for (message, wanted, why) in [
        (update(one(&missing), one(&bad_update)), Rcode::NXDOMAIN, "before a bad update"),
        (update(one(&missing), one(&outside)), Rcode::NXDOMAIN, "before one outside"),
        (update(&[missing.clone(), bad_prerequisite.clone()], &[]), Rcode::FORMERR, "form first"),
        (update(one(&bad_prerequisite), one(&outside)), Rcode::FORMERR, "in order"),
        (
            update_message(7, "example.net.", one(&bad_prerequisite), one(&bad_update), None),
            Rcode::NOTAUTH,
            "the zone comes first",
        ),
    ] {
        assert_eq!(signed(&client, message), wanted, "{why}");
    }
    // Prerequisites come before permission, and permission before the form of updates.
    let unsigned = |message: &[u8]| {
        Message::parse(&client.udp(message).expect("an answer")).expect("a message").header.rcode()
    };
    assert_eq!(unsigned(&update(one(&missing), one(&outside))), Rcode::NXDOMAIN);
    assert_eq!(unsigned(&update(&[], one(&bad_update))), Rcode::REFUSED);
}

#[test]
fn every_answer_to_a_signed_request_is_signed() {
    let (_folder, site) = site();
    let client = site.client();
    let question = |opcode: u8, name, rtype, class| {
        question_message(5, Opcode(opcode), &[(name, rtype, class)])
    };
    for (message, wanted) in [
        (question(0, "host.fleet.example.", RecordType::A, Class::IN), Rcode::NOERROR),
        (question(0, "nobody.fleet.example.", RecordType::A, Class::IN), Rcode::NXDOMAIN),
        (question(0, "example.net.", RecordType::A, Class::IN), Rcode::REFUSED),
        (question_message(5, Opcode(0), &[]), Rcode::FORMERR),
        (
            question_message(5, Opcode(0), &[(ZONE, SOA, Class::IN), (ZONE, SOA, Class::IN)]),
            Rcode::FORMERR,
        ),
        (question(0, ZONE, RecordType::AXFR, Class::IN), Rcode::FORMERR),
        (question(1, ZONE, RecordType::A, Class::IN), Rcode::NOTIMP),
        (question(2, ZONE, RecordType::A, Class::IN), Rcode::NOTIMP),
        (question(4, ZONE, SOA, Class::IN), Rcode::NOTAUTH),
        (question(6, ZONE, SOA, Class::IN), Rcode::NOTIMP),
        (question(15, ZONE, SOA, Class::IN), Rcode::NOTIMP),
        (update(&[], &[]), Rcode::NOERROR),
        (update(&[], &[malformed_a("host.fleet.example.", Class::IN)]), Rcode::FORMERR),
    ] {
        let opcode = message[2] >> 3 & 15;
        assert_eq!(signed(&client, message), wanted, "opcode {opcode}");
    }
}

#[test]
fn an_unsigned_answer_says_when_the_signature_was_not_believed() {
    let (_folder, site) = site();
    let mut octets = SignedRequest::new(update(&[], &[]), &key(), now_seconds()).octets;
    let mac_at = octets.len() - 12;
    octets[mac_at] ^= 1;
    let answer = site.client().udp(&octets).expect("an answer");
    assert_eq!(Message::parse(&answer).expect("a message").header.rcode(), Rcode::NOTAUTH);
    let tsig = tsig_of(&answer).expect("a TSIG record");
    assert_eq!((tsig.error, tsig.mac_octets), (Rcode::BADSIG, 0));
}

/// Octets that are no message, beyond a header.
fn garbage() -> Vec<Vec<u8>> {
    let good =
        question_message(3, Opcode::QUERY, &[("host.fleet.example.", RecordType::A, Class::IN)]);
    let mut out = Vec::new();
    // Cut anywhere behind the header, and with octets behind the end.
    out.extend((12..good.len()).map(|end| good[..end].to_vec()));
    out.push([&good[..], &[0]].concat());
    // Counts that promise too much.
    for at in [5, 7, 9, 11] {
        let mut octets = good.clone();
        octets[at] += 1;
        out.push(octets);
        let mut octets = good.clone();
        octets[at - 1] = 0xFF;
        out.push(octets);
    }
    // A name that points at itself, one that points forward, and a label type that is gone.
    for label in [[0xC0, 12], [0xC0, 0xFF], [0x80, 1]] {
        out.push([&good[..12], &label, &[0, 1, 0, 1]].concat());
    }
    // A signature that is not the last record.
    let mut two = SignedRequest::new(good.clone(), &key(), now_seconds()).octets;
    let tsig = two[good.len()..].to_vec();
    two.extend(tsig);
    two[11] = 2;
    out.push(two);
    out
}

#[test]
fn what_is_no_message_is_formerr_and_the_server_lives_on() {
    let (_folder, site) = site();
    let client = site.client();
    for octets in garbage() {
        let answer = client.udp(&octets).expect("an answer");
        assert_eq!(answer[3] & 15, 1, "{octets:02x?} -> {answer:02x?}");
        assert_eq!((&answer[..2], answer[2] & 0x80), (&octets[..2], 0x80));
        let answer = &client.tcp(&[octets]).expect("an answer over TCP")[0];
        assert_eq!(answer[3] & 15, 1, "{answer:02x?}");
    }
    assert!(exists(&client, "host.fleet.example."));
    assert_eq!(site.stop(), Some(0));
}

#[test]
fn random_octets_do_no_harm() {
    let (_folder, site) = site();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..5_000 {
        let length = next() as usize % 300;
        let mut octets: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        // Half of them with counts that are likely enough to be read on.
        if length >= 12 && next() % 2 == 0 {
            octets[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 1]);
            octets[2] &= 0x7F;
        }
        socket.send_to(&octets, site.dns).expect("sent");
    }
    assert!(exists(&site.client(), "host.fleet.example."));
    assert!(!site.stderr().contains("panicked"), "{}", site.stderr());
}

/// Two servers that answer each other's answers would never stop.
#[test]
fn responses_and_scraps_are_never_answered() {
    let (_folder, site) = site();
    let good = question_message(3, Opcode::QUERY, &[(ZONE, SOA, Class::IN)]);
    let mut response = good.clone();
    response[2] |= 0x80;
    let mut update_response = update(&[], &[]);
    update_response[2] |= 0x80;
    let silent = [&response[..], &update_response, &response[..12], &[0x80; 11], &[], &[1]];
    // The answer to the question behind them is the first that comes.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(site.dns).expect("an address");
    let mut answer = [0; 512];
    for octets in silent {
        socket.send(octets).expect("sent");
    }
    let mut marked = good.clone();
    marked[..2].copy_from_slice(&[0xAB, 0xCD]);
    socket.send(&marked).expect("sent");
    socket.recv(&mut answer).expect("an answer");
    assert_eq!(answer[..2], [0xAB, 0xCD]);
    // One socket of one client is served in order, so nothing can come after it.
    let mut stream = TcpStream::connect(site.dns).expect("a connection");
    for octets in silent.iter().chain([&&marked[..]]) {
        stream.write_all(&framed(octets)).expect("sent");
    }
    assert_eq!(read_message(&mut stream).expect("an answer")[..2], [0xAB, 0xCD]);
}

/// Those who can read extended errors (RFC 8914) are told why.
#[test]
fn a_refusal_says_why_where_edns_is_spoken() {
    let (_folder, site) = site();
    let plain = update(&[], &[address("new.fleet.example.", [192, 0, 2, 7])]);
    // Root, OPT, 1,232 octets, no flags, no options.
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let mut octets = [&plain[..], &opt].concat();
    octets[11] += 1;
    let answer = site.client().udp(&octets).expect("an answer");
    let text = b"updates must be signed";
    assert!(answer.windows(text.len()).any(|window| window == text), "{answer:02x?}");
    let answer = site.client().udp(&plain).expect("an answer");
    let message = Message::parse(&answer).expect("a message");
    assert!(message.opt.is_none(), "EDNS is only answered with EDNS (RFC 6891 §7)");
}

#[test]
fn a_zone_of_nobody_is_reported_by_the_command_too() {
    let (_folder, site) = site();
    let mut command = Command::new(EINHORN);
    command.args(["zone", "export", "example.net.", "--data"]).arg(&site.data);
    let said = run(&mut command).failed(1);
    assert!(said.contains("zone example.net. is not served here"), "{said}");
}
