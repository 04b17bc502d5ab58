//! §6.1, zone authority.

use crate::prelude::*;

cases![
    the_parent_has_no_authority_below_the_cut,
    the_child_has_it_at_its_apex,
    ns_at_the_cut_are_not_authoritative,
];

fn the_parent_has_no_authority_below_the_cut(server: &Server) {
    server.ask("x.deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
}

fn the_child_has_it_at_its_apex(server: &Server) {
    server.ask("child.main.test. SOA").answers(
        "child.main.test. 300 SOA ns.child.main.test. hostmaster.child.main.test. \
         3 3600 600 86400 60",
    );
}

fn ns_at_the_cut_are_not_authoritative(server: &Server) {
    let reply = server.ask("sibling.main.test. NS");
    reply.refers(
        "sibling.main.test. 300 NS ns.sibling.main.test.",
        "ns.sibling.main.test. 300 A 192.0.2.61",
    );
}
