//! §4.1, what does not change.

use crate::prelude::*;

cases![negative_answers_and_referrals_are_as_ever [
        Nsd May "tc opcode 0 octets 12"
            "with refuse-any NSD answers any UDP query for ANY with TC before it looks the name up",
    ], wildcards_are_expanded];

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
