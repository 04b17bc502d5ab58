//! §3.2, glue for sibling domain name servers.

use crate::prelude::*;

cases![
    sibling_glue_comes_where_it_fits,
    addresses_of_the_zone_itself [
        Bind Should "the additional section"
            "RFC 1034 §4.3.2 step 3b: \"Put whatever addresses are available\"; configured with \
             minimal-responses, BIND leaves out those that are no glue",
    ],
    a_delegation_that_does_not_fit,
];

/// "glue ... for sibling domains": it need not be there, but it helps; all have it when it fits.
fn sibling_glue_comes_where_it_fits(server: &Server) {
    server.ask("x.deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
}

/// Addresses of the zone itself are no glue, and as useful.
fn addresses_of_the_zone_itself(server: &Server) {
    server.ask("x.inzone.main.test. A").refers(
        "inzone.main.test. 300 NS ns1.main.test.",
        "ns1.main.test. 300 A 192.0.2.53
         ns1.main.test. 300 AAAA 2001:db8::53",
    );
}

/// A delegation that does not fit with its NS alone is truncated too (RFC 2181 §9).
fn a_delegation_that_does_not_fit(server: &Server) {
    let reply = server.ask("x.nsonly.big.test. A");
    reply.rcode(Rcode::NOERROR).clear(flag::AA).set(flag::TC);
    let reply = server.tcp(&Query::of("x.nsonly.big.test. A"));
    reply.clear(flag::AA | flag::TC);
    assert_eq!(reply.authority.len(), 40, "{reply}");
}
