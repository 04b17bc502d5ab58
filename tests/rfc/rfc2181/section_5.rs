//! §5, resource record sets.

use crate::prelude::*;

cases![
    all_records_of_a_set_or_none,
    one_ttl_for_a_set [
        Nsd Must "mixedttl.main.test. 200 IN A"
            "§5.2: \"the TTLs of all RRs in an RRSet must be the same\"; NSD serves the zone file \
             as it is written",
    ],
    ttls_of_31_bits,
];

/// "A query for a specific ... type, will always return all records in the associated RRSet".
fn all_records_of_a_set_or_none(server: &Server) {
    let reply = server.tcp(&Query::of("over1232.big.test. A"));
    assert_eq!(reply.answer.len(), 95, "{reply}");
}

/// "all TTLs in an RRSet to be the same".
fn one_ttl_for_a_set(server: &Server) {
    let reply = server.ask("mixedttl.main.test. A");
    reply.rcode(Rcode::NOERROR);
    assert_eq!(reply.answer.len(), 2, "{reply}");
    assert_eq!(reply.answer[0].ttl, reply.answer[1].ttl, "{reply}");
}

/// §8: from 0 to 2147483647.
fn ttls_of_31_bits(server: &Server) {
    server.ask("zero.main.test. A").answers("zero.main.test. 0 A 192.0.2.14");
    server.ask("ttlmax.main.test. A").answers("ttlmax.main.test. 2147483647 A 192.0.2.15");
}
