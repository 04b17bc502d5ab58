//! §6.1.4, flags.

use crate::prelude::*;

cases![unknown_flags_are_ignored, do_is_copied];

/// "set to zero by senders and ignored by receivers".
fn unknown_flags_are_ignored(server: &Server) {
    let reply = server.send(&Query::of("host.main.test. A").edns_flags(0x7FFF));
    reply.answers("host.main.test. 300 A 192.0.2.1");
    assert_eq!(reply.edns().flags & 0x7FFF, 0, "{reply}");
}

/// RFC 3225 §3: "The DO bit of the query MUST be copied in the response".
fn do_is_copied(server: &Server) {
    let reply = server.send(&Query::of("host.main.test. A").edns_flags(0x8000));
    assert_eq!(reply.edns().flags, 0x8000, "{reply}");
    let reply = server.send(&Query::of("host.main.test. A").edns(1232));
    assert_eq!(reply.edns().flags, 0, "{reply}");
}
