//! §4, case and output.

use crate::prelude::*;

cases![wildcards_and_cuts_compare_without_case, owners_are_as_asked_or_as_stored];

fn wildcards_and_cuts_compare_without_case(server: &Server) {
    server.ask("ANY.WILD.Main.Test. A").answers("any.wild.main.test. 300 A 192.0.2.70");
    server.ask("X.DELEG.main.test. A").refers(DELEG_NS, DELEG_GLUE);
    server.ask("NOWHERE.main.test. A").name_error(MAIN_SOA);
}

/// §4.1: "output case preservation" of the name asked for, or of the zone's; not a third.
fn owners_are_as_asked_or_as_stored(server: &Server) {
    let reply = server.ask("mIxEd.main.test. A");
    let owner = reply.answer[0].owner.to_string();
    assert!(["mIxEd.main.test.", "MiXeD.main.test."].contains(&&*owner), "{reply}");
}
