//! §3.1, glue for in-domain name servers.

use crate::prelude::*;

cases![
    glue_that_does_not_fit_is_truncated [
        Bind Must "flags that must be set"
            "\"MUST set TC=1\"; BIND 9.18 is content when some of the glue fits",
        Nsd Must "flags that must be set"
            "\"MUST set TC=1\"; NSD 4.6 is content when some of the glue fits",
    ],
    all_glue_comes_where_it_fits,
];

/// "the name server MUST set TC=1 if ... in-domain glue does not fit".
fn glue_that_does_not_fit_is_truncated(server: &Server) {
    let reply = server.ask("www.glued.big.test. A");
    reply.rcode(Rcode::NOERROR).clear(flag::AA).set(flag::TC);
    assert!(reply.octets.len() <= 512, "{reply}");
}

fn all_glue_comes_where_it_fits(server: &Server) {
    let query = Query::of("www.glued.big.test. A");
    for reply in [server.send(&query.clone().edns(1232)), server.tcp(&query)] {
        reply.rcode(Rcode::NOERROR).clear(flag::AA | flag::TC);
        assert_eq!((reply.authority.len(), reply.additional.len()), (13, 26), "{reply}");
    }
}
