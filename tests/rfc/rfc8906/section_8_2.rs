//! §8.2, testing: EDNS.

use crate::prelude::*;

cases![
    version_0,
    version_1,
    an_unknown_option,
    unknown_flags,
    version_1_with_unknown_flags,
    version_1_with_an_unknown_option,
    truncated,
    dnssec_ok,
    version_1_with_dnssec_ok,
    many_defined_options,
    over_tcp,
];

/// The SOA with AA and an OPT of version 0 without flags.
#[track_caller]
fn answered(reply: &Reply) {
    reply.rcode(Rcode::NOERROR).set(flag::AA);
    assert_eq!(reply.answer.len(), 1, "{reply}");
    let opt = reply.edns();
    assert_eq!((opt.version, opt.flags & 0x7FFF), (0, 0), "{reply}");
}

/// BADVERS without the SOA, and an OPT of version 0 without flags.
#[track_caller]
fn bad_version(reply: &Reply) {
    reply.rcode(Rcode::BADVERS).answer_section("");
    let opt = reply.edns();
    assert_eq!((opt.version, opt.flags & 0x7FFF), (0, 0), "{reply}");
}

fn soa() -> Query {
    Query::of("main.test. SOA").edns(4096)
}

/// §8.2.1.
fn version_0(server: &Server) {
    answered(&server.send(&soa()));
}

/// §8.2.2.
fn version_1(server: &Server) {
    bad_version(&server.send(&soa().edns_version(1)));
}

/// §8.2.3.
fn an_unknown_option(server: &Server) {
    let reply = server.send(&soa().option(100, b""));
    answered(&reply);
    assert_eq!(reply.edns().option(100), None, "{reply}");
}

/// §8.2.4.
fn unknown_flags(server: &Server) {
    answered(&server.send(&soa().edns_flags(0x0080)));
}

/// §8.2.5.
fn version_1_with_unknown_flags(server: &Server) {
    bad_version(&server.send(&soa().edns_version(1).edns_flags(0x0080)));
}

/// §8.2.6.
fn version_1_with_an_unknown_option(server: &Server) {
    let reply = server.send(&soa().edns_version(1).option(100, b""));
    bad_version(&reply);
    assert_eq!(reply.edns().option(100), None, "{reply}");
}

/// §8.2.7: a truncated answer has its OPT.
fn truncated(server: &Server) {
    let reply = server.send(&Query::of("huge.big.test. TXT").edns(512).edns_flags(0x8000));
    reply.rcode(Rcode::NOERROR).set(flag::TC);
    assert_eq!(reply.edns().version, 0, "{reply}");
}

/// §8.2.8.
fn dnssec_ok(server: &Server) {
    answered(&server.send(&soa().edns_flags(0x8000)));
}

/// §8.2.9.
fn version_1_with_dnssec_ok(server: &Server) {
    bad_version(&server.send(&soa().edns_version(1).edns_flags(0x8000)));
}

/// §8.2.10: NSID, a cookie, EXPIRE and a client subnet at once.
fn many_defined_options(server: &Server) {
    let query = soa()
        .option(option::NSID, b"")
        .option(option::COOKIE, b"\x24\x64\xc4\xab\xcf\x10\xc9\x57")
        .option(9, b"")
        .option(8, b"\0\x01\0\0");
    let reply = server.send(&query);
    assert!([0, 23].contains(&reply.rcode.0), "{reply}");
    assert_eq!(reply.edns().version, 0, "{reply}");
}

/// EDNS over TCP is the same.
fn over_tcp(server: &Server) {
    answered(&server.tcp(&soa()));
    bad_version(&server.tcp(&soa().edns_version(1)));
}
