//! §3.2, server algorithm.

use crate::prelude::*;

cases![
    from_dname_to_dname,
    from_cname_to_dname,
    from_dname_to_wildcard_and_to_nothing,
    from_dname_to_a_cut,
    loops_end,
    the_synthesised_cname_can_be_asked_for,
];

fn from_dname_to_dname(server: &Server) {
    server.ask("host.first.dname.test. A").answers(
        "first.dname.test. 300 DNAME second.dname.test.
         host.first.dname.test. 300 CNAME host.second.dname.test.
         second.dname.test. 300 DNAME real.dname.test.
         host.second.dname.test. 300 CNAME host.real.dname.test.
         host.real.dname.test. 300 A 192.0.2.123",
    );
}

fn from_cname_to_dname(server: &Server) {
    server.ask("todname.dname.test. A").answers(
        "todname.dname.test. 300 CNAME host.inside.dname.test.
         inside.dname.test. 300 DNAME real.dname.test.
         host.inside.dname.test. 300 CNAME host.real.dname.test.
         host.real.dname.test. 300 A 192.0.2.123",
    );
}

fn from_dname_to_wildcard_and_to_nothing(server: &Server) {
    server.ask("x.wild.inside.dname.test. A").answers(
        "inside.dname.test. 300 DNAME real.dname.test.
         x.wild.inside.dname.test. 300 CNAME x.wild.real.dname.test.
         x.wild.real.dname.test. 300 A 192.0.2.124",
    );
    let reply = server.ask("nowhere.inside.dname.test. A");
    reply.rcode(Rcode::NXDOMAIN).set(flag::AA).authority_section(DNAME_SOA);
    let reply = server.ask("host.inside.dname.test. MX");
    reply.rcode(Rcode::NOERROR).set(flag::AA).authority_section(DNAME_SOA);
}

fn from_dname_to_a_cut(server: &Server) {
    let reply = server.ask("x.tocut.dname.test. A");
    reply.rcode(Rcode::NOERROR).set(flag::AA);
    reply.authority_section("cut.dname.test. 300 NS ns.elsewhere.invalid.");
}

/// A DNAME that leads below itself, and one that leads to itself: both end.
fn loops_end(server: &Server) {
    for name in ["x.loop.dname.test.", "x.grow.dname.test."] {
        let reply = server.ask(&format!("{name} A"));
        assert_eq!(reply.answer_order()[0].split(' ').nth(1), Some("DNAME"), "{reply}");
        let codes = [Rcode::NOERROR, Rcode::SERVFAIL, Rcode::YXDOMAIN];
        assert!(codes.contains(&reply.rcode), "{reply}");
    }
}

/// A query for the CNAME itself is answered with the one that was made.
fn the_synthesised_cname_can_be_asked_for(server: &Server) {
    server.ask("host.inside.dname.test. CNAME").answers(
        "inside.dname.test. 300 DNAME real.dname.test.
         host.inside.dname.test. 300 CNAME host.real.dname.test.",
    );
}
