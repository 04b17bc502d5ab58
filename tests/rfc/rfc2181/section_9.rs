//! §9, the TC header bit.

use crate::prelude::*;

cases![
    tc_means_that_a_required_set_does_not_fit,
    tc_is_not_set_for_what_is_only_useful,
    no_part_of_a_set [
        Bind May "a part of the set"
            "\"the partial RRSet that would not completely fit may be left in the response\"",
    ],
];

fn tc_means_that_a_required_set_does_not_fit(server: &Server) {
    server.ask("over512.big.test. A").set(flag::TC);
    server.send(&Query::of("over1232.big.test. A").edns(1232)).set(flag::TC);
    server.send(&Query::of("over512.big.test. A").edns(1232)).clear(flag::TC);
}

/// "TC ... should not be set merely because some extra information could have been included".
fn tc_is_not_set_for_what_is_only_useful(server: &Server) {
    let reply = server.ask("many.big.test. MX");
    reply.rcode(Rcode::NOERROR).clear(flag::TC);
    assert_eq!(reply.answer.len(), 16, "{reply}");
}

/// A partial RRSet may be sent with TC, and then be ignored; not to send it is clearer.
fn no_part_of_a_set(server: &Server) {
    let reply = server.ask("over512.big.test. A");
    reply.set(flag::TC);
    assert!(reply.answer.is_empty(), "a part of the set: {reply}");
}
