//! §3, the message.

use crate::prelude::*;

cases![a_primary_answers, a_zone_that_is_not_served];

/// NOTIFY of a zone.
fn notify(zone: &str) -> Query {
    Query::of(&format!("{zone} SOA")).opcode(4).flags(flag::AA)
}

/// §3.12 and RFC 8906 §3.1.4: some answer, with the opcode of the request; a primary has no use
/// for it.
fn a_primary_answers(server: &Server) {
    let reply = server.send(&notify("main.test."));
    reply.answer_section("");
}

/// A zone that is not there is an error.
fn a_zone_that_is_not_served(server: &Server) {
    let reply = server.send(&notify("elsewhere.invalid."));
    assert_ne!(reply.rcode, Rcode::NOERROR, "{reply}");
}
