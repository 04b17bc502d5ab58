//! §4.2, NS at a wildcard.

use crate::prelude::*;

cases![
    a_delegation_beside_a_wildcard,
    ns_at_a_wildcard [
        Bind May "SERVFAIL"
            "the section leaves the outcome open and discourages the use; BIND takes it for an \
             error in the zone file and does not load the zone",
    ],
];

/// A delegation is no source of synthesis, and is found before one.
fn a_delegation_beside_a_wildcard(server: &Server) {
    let ns = "cut.wild.main.test. 300 NS ns.elsewhere.invalid.";
    server.ask("x.cut.wild.main.test. A").refers(ns, "");
}

/// "the synthesis of NS": undefined and discouraged, but the zone is served and nothing breaks.
fn ns_at_a_wildcard(server: &Server) {
    server.ask("host.wild-ns.test. A").answers("host.wild-ns.test. 300 A 192.0.2.130");
    let reply = server.ask("x.w.wild-ns.test. A");
    reply.rcode(Rcode::NOERROR).answer_section("");
}
