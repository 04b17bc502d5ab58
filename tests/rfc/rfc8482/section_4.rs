//! §4, behaviour of responders.

use crate::prelude::*;

cases![
    not_everything_over_udp [
        Nsd May "tc opcode 0 octets 12"
            "with refuse-any NSD answers any UDP query for ANY with TC in a bare header, which \
             sends the client to TCP (§4.4)",
    ],
    something_over_tcp,
    an_alias_is_not_followed,
    negative_answers_and_referrals_are_as_ever [
        Nsd May "tc opcode 0 octets 12"
            "with refuse-any NSD answers any UDP query for ANY with TC before it looks the name \
             up",
    ],
    wildcards_are_expanded,
];

/// Which RRsets an answer has.
fn sets(reply: &Reply) -> Vec<String> {
    let mut all = reply.answer_order();
    all.sort();
    all.dedup();
    all
}

/// "a subset ... of the available RRsets", or TC: not all of them over UDP.
fn not_everything_over_udp(server: &Server) {
    let reply = server.ask("host.main.test. ANY");
    reply.rcode(Rcode::NOERROR).set(flag::AA);
    assert!(sets(&reply).len() <= 1, "{reply}");
    assert!(!reply.answer.is_empty() || reply.has(flag::TC), "{reply}");
}

fn something_over_tcp(server: &Server) {
    let reply = server.tcp(&Query::of("host.main.test. ANY"));
    reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::TC);
    assert!(!reply.answer.is_empty(), "{reply}");
}

/// "If the ANY query ... CNAME ... present ... the CNAME": one set.
fn an_alias_is_not_followed(server: &Server) {
    let reply = server.tcp(&Query::of("alias.main.test. ANY"));
    reply.answers("alias.main.test. 300 CNAME host.main.test.");
}

/// What is not there is said as for any type.
fn negative_answers_and_referrals_are_as_ever(server: &Server) {
    server.ask("nowhere.main.test. ANY").name_error(MAIN_SOA);
    server.ask("ent.main.test. ANY").no_data(MAIN_SOA);
    server.ask("x.deleg.main.test. ANY").refers(DELEG_NS, DELEG_GLUE);
    server.ask("deleg.main.test. ANY").refers(DELEG_NS, DELEG_GLUE);
}

fn wildcards_are_expanded(server: &Server) {
    let reply = server.tcp(&Query::of("x.wild.main.test. ANY"));
    reply.rcode(Rcode::NOERROR).set(flag::AA);
    let owner = |r: &einhorn_wire::Record| r.owner.to_string() == "x.wild.main.test.";
    assert!(!reply.answer.is_empty() && reply.answer.iter().all(owner), "{reply}");
}
