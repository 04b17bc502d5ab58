//! §4, behaviour of responders.

use crate::prelude::*;

cases![not_everything_over_udp [
        Nsd May "tc opcode 0 octets 12"
            "with refuse-any NSD answers any UDP query for ANY with TC in a bare header, which sends the client to TCP (§4.4)",
    ], something_over_tcp, an_alias_is_not_followed];

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
