//! §2.1, resolver behaviour.

use crate::prelude::*;

cases![nsid_is_not_given_unasked, data_in_the_query_is_ignored];

/// "MUST NOT ... unless the query contained it".
fn nsid_is_not_given_unasked(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").edns(1232));
    assert_eq!(reply.edns().option(option::NSID), None, "{reply}");
    let reply = server.ask("main.test. SOA");
    assert!(reply.opt.is_none(), "{reply}");
}

/// Data in the query's option means nothing: it is ignored.
fn data_in_the_query_is_ignored(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").option(option::NSID, b"data"));
    reply.rcode(Rcode::NOERROR);
}
