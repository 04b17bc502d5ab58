//! §5.4, querying for a server cookie.

use crate::prelude::*;

cases![
    a_query_for_a_cookie_alone [
        Knot Must "FORMERR"
            "servers with cookies \"will send a reply\" to a query without a question that has a \
             cookie; Knot refuses every query without a question",
    ],
];

/// With a client's cookie alone "the response SHALL have the RCODE NOERROR".
fn a_query_for_a_cookie_alone(server: &Server) {
    let query = Query::empty().option(option::COOKIE, b"\x24\x64\xc4\xab\xcf\x10\xc9\x57");
    let reply = server.send(&query);
    reply.rcode(Rcode::NOERROR).answer_section("");
    assert!(reply.edns().option(option::COOKIE).is_some_and(|cookie| cookie.len() >= 16), "{reply}");
}
