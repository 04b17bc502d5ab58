//! §4.2.1, technical considerations: what a zone holds at and below its cuts.

use crate::prelude::*;

cases![the_parent_refers_to_the_child, glue_below_the_cut_is_no_answer,
    names_below_a_cut_are_referred, the_apex_is_authoritative_for_its_own_ns,
    a_child_that_is_served_answers_itself];

fn the_parent_refers_to_the_child(server: &Server) {
    server.ask("deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
    server.ask("deleg.main.test. NS").refers(DELEG_NS, DELEG_GLUE);
}

/// "Glue RRs ... are not part of the authoritative data".
fn glue_below_the_cut_is_no_answer(server: &Server) {
    server.ask("ns.deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
    server.ask("www.deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
}

fn names_below_a_cut_are_referred(server: &Server) {
    server.ask("nowhere.at.all.deleg.main.test. TXT").refers(DELEG_NS, DELEG_GLUE);
    server
        .ask("x.unsigned.main.test. A")
        .refers("unsigned.main.test. 300 NS ns.elsewhere.invalid.", "");
}

fn the_apex_is_authoritative_for_its_own_ns(server: &Server) {
    server.ask("main.test. NS").answers(
        "main.test. 300 NS ns1.main.test.
         main.test. 300 NS ns2.main.test.",
    );
}

fn a_child_that_is_served_answers_itself(server: &Server) {
    server.ask("www.child.main.test. A").answers("www.child.main.test. 300 A 192.0.2.100");
    server.ask("child.main.test. NS").answers("child.main.test. 300 NS ns.child.main.test.");
    server.ask("child.main.test. TXT").answers("child.main.test. 300 TXT \"child apex\"");
}
