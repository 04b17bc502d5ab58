//! §8.1, testing: basic DNS.

use crate::prelude::*;

cases![
    the_soa,
    unknown_types,
    cd,
    ad,
    reserved_bit,
    rd,
    unknown_opcodes,
    over_tcp,
    unknown_opcodes_in_a_bare_header_over_tcp [
        Nsd Should "no answer over TCP"
            "NSD closes a connection on which a message is too short to have a question; the same \
             header is NOTIMP over UDP",
    ],
    obsolete_opcodes,
    other_classes,
    two_questions [
        Knot Must "no answer"
            "RFC 9619 §4: more than one question \"MUST\" be FORMERR; Knot drops such a query",
    ],
    meta_types,
];

fn the_soa(server: &Server) {
    let reply = server.ask("main.test. SOA");
    reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::TC | flag::AD);
    assert_eq!(reply.answer.len(), 1, "{reply}");
    assert!(reply.opt.is_none(), "{reply}");
}

/// §8.1.2: an unknown type of a name that exists is no data.
fn unknown_types(server: &Server) {
    server.ask("main.test. TYPE1000").no_data(MAIN_SOA);
    server.send(&Query::of("main.test. TYPE1000").edns(1232)).no_data(MAIN_SOA);
}

/// §8.1.3.1: CD=1.
fn cd(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").flags(flag::CD));
    reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::AD);
    assert_eq!(reply.answer.len(), 1, "{reply}");
}

/// §8.1.3.2: AD=1.
fn ad(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").flags(flag::AD));
    reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::AD);
    assert_eq!(reply.answer.len(), 1, "{reply}");
}

/// §8.1.3.3: the reserved bit.
fn reserved_bit(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").flags(flag::Z));
    reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::Z);
    assert_eq!(reply.answer.len(), 1, "{reply}");
}

/// §8.1.3.4: RD=1.
fn rd(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").flags(flag::RD));
    reply.rcode(Rcode::NOERROR).set(flag::AA | flag::RD).clear(flag::RA);
    assert_eq!(reply.answer.len(), 1, "{reply}");
}

/// §8.1.4: opcodes that nobody knows: NOTIMP, without AA and without records.
fn unknown_opcodes(server: &Server) {
    for opcode in [3, 7, 15] {
        let header = Query::empty().opcode(opcode);
        server.send(&header).fails(Rcode::NOTIMP);
        let query = Query::of("main.test. SOA").opcode(opcode);
        server.send(&query).fails(Rcode::NOTIMP);
    }
}

/// §8.1.5: the same over TCP.
fn over_tcp(server: &Server) {
    let reply = server.tcp(&Query::of("main.test. SOA"));
    reply.rcode(Rcode::NOERROR).set(flag::AA);
    assert_eq!(reply.answer.len(), 1, "{reply}");
    server.tcp(&Query::of("main.test. SOA").opcode(15)).fails(Rcode::NOTIMP);
}

/// §8.1.4 over TCP: `dig +tcp +opcode=15 +header-only`.
fn unknown_opcodes_in_a_bare_header_over_tcp(server: &Server) {
    server.tcp(&Query::empty().opcode(15)).fails(Rcode::NOTIMP);
}

/// Opcodes that are known, and not served: IQUERY and STATUS.
fn obsolete_opcodes(server: &Server) {
    for opcode in [1, 2] {
        server.send(&Query::of("main.test. SOA").opcode(opcode)).fails(Rcode::NOTIMP);
    }
}

/// Classes that are not served are refused or unknown, never answered from IN.
fn other_classes(server: &Server) {
    for class in [Class::CH, Class(4), Class(65_280)] {
        let reply = server.send(&Query::of("main.test. SOA").class(class));
        reply.answer_section("");
        assert_ne!(reply.rcode, Rcode::NOERROR, "{reply}");
    }
}

/// Two questions have no answer that means anything (RFC 9619 §4: FORMERR).
fn two_questions(server: &Server) {
    let query = Query::of("main.test. SOA").and("main.test. NS");
    assert!(!server.is_silent(&query.octets()), "no answer");
    let reply = server.send(&query);
    reply.rcode(Rcode::FORMERR).answer_section("");
}

/// What needs no data: types of transfers and of messages in ordinary queries.
fn meta_types(server: &Server) {
    for rtype in ["OPT", "TSIG", "TKEY", "MAILA", "MAILB", "TYPE0"] {
        let reply = server.ask(&format!("main.test. {rtype}"));
        assert!(reply.answer.is_empty(), "{reply}");
    }
}
