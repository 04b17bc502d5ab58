//! §6.2.5, payload size selection.

use crate::prelude::*;

cases![the_responder_has_a_maximum, truncated_answers_keep_opt];

/// The responder's maximum keeps its datagrams below fragmentation (§6.2.5: SHOULD): never more
/// than 1452 or 1472 octets, whatever the client takes.
fn the_responder_has_a_maximum(server: &Server) {
    let reply = server.send(&Query::of("over1232.big.test. A").edns(65_535));
    assert!(reply.octets.len() <= 1472, "{reply}");
    reply.set(flag::TC);
}

/// OPT stays in answers that are truncated.
fn truncated_answers_keep_opt(server: &Server) {
    let reply = server.send(&Query::of("huge.big.test. TXT").edns(512));
    reply.set(flag::TC);
    assert!(reply.opt.is_some() && reply.octets.len() <= 512, "{reply}");
}
