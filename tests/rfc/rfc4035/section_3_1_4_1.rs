//! §3.1.4.1, responding to queries for DS RRs.

use crate::prelude::*;

cases![
    ds_at_a_cut_is_the_parents,
    ds_of_a_child_that_is_served_is_the_parents,
    no_ds_at_a_cut_is_no_data_of_the_parent,
    ds_below_a_cut_is_referred,
    ds_at_an_apex_without_its_parent_is_no_data,
    ds_where_there_is_no_cut_is_no_data,
];

const CHILD_DS: &str = "child.main.test. 300 DS 54321 13 2 0000000000000000000000000000000000000000000000000000000000000002";

/// "the name server is authoritative for the parent": the DS is the parent's, with authority.
fn ds_at_a_cut_is_the_parents(server: &Server) {
    let reply = server.ask("deleg.main.test. DS");
    reply.answers("deleg.main.test. 300 DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000001");
}

/// Also where the child is served here too.
fn ds_of_a_child_that_is_served_is_the_parents(server: &Server) {
    server.ask("child.main.test. DS").answers(CHILD_DS);
}

fn no_ds_at_a_cut_is_no_data_of_the_parent(server: &Server) {
    server.ask("unsigned.main.test. DS").no_data(MAIN_SOA);
}

/// Below the cut there is nothing to say but the referral.
fn ds_below_a_cut_is_referred(server: &Server) {
    server.ask("www.deleg.main.test. DS").refers(DELEG_NS, DELEG_GLUE);
}

/// The parent is not served: the child answers that its apex has none.
fn ds_at_an_apex_without_its_parent_is_no_data(server: &Server) {
    server.ask("main.test. DS").no_data(MAIN_SOA);
}

fn ds_where_there_is_no_cut_is_no_data(server: &Server) {
    server.ask("host.main.test. DS").no_data(MAIN_SOA);
}
