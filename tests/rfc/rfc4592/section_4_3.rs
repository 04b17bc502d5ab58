//! §4.3, CNAME at a wildcard.

use crate::prelude::*;

cases![
    cname_at_a_wildcard_is_followed,
    from_wildcard_to_wildcard,
    the_cname_itself,
    a_loop_through_a_wildcard_ends,
];

fn cname_at_a_wildcard_is_followed(server: &Server) {
    server.ask("any.cwild.main.test. A").answers(
        "any.cwild.main.test. 300 CNAME host.main.test.
         host.main.test. 300 A 192.0.2.1",
    );
}

fn from_wildcard_to_wildcard(server: &Server) {
    server.ask("x.cwildout.main.test. A").answers(
        "x.cwildout.main.test. 300 CNAME any.wild.main.test.
         any.wild.main.test. 300 A 192.0.2.70",
    );
}

fn the_cname_itself(server: &Server) {
    server.ask("any.cwild.main.test. CNAME").answers("any.cwild.main.test. 300 CNAME host.main.test.");
}

/// An alias that the wildcard gives for its own target ends.
fn a_loop_through_a_wildcard_ends(server: &Server) {
    let reply = server.ask("y.loop.wild-apex.test. A");
    assert!([Rcode::NOERROR, Rcode::SERVFAIL].contains(&reply.rcode), "{reply}");
    assert!(!reply.answer.is_empty(), "{reply}");
}
