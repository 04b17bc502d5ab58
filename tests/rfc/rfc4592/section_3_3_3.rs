//! §3.3.3, type matching.

use crate::prelude::*;

cases![other_types_are_no_data, the_owner_is_the_name_asked_for];

/// "no data" when the source of synthesis lacks the type.
fn other_types_are_no_data(server: &Server) {
    server.ask("any.wild.main.test. MX").no_data(MAIN_SOA);
    server.ask("a.b.c.wild.main.test. TYPE65280").no_data(MAIN_SOA);
}

fn the_owner_is_the_name_asked_for(server: &Server) {
    let reply = server.ask("Any.Wild.main.test. A");
    reply.answers("any.wild.main.test. 300 A 192.0.2.70");
    assert!(!reply.answer[0].owner.is_wildcard(), "{reply}");
}
