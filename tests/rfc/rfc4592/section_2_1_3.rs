//! §2.1.3, non-terminal wildcard domain names.

use crate::prelude::*;

cases![non_terminal_wildcards, an_empty_wildcard_gives_no_data, a_wildcard_below_a_wildcard];

/// "sub.*.example." makes `*.example.` no less a wildcard, and is no wildcard itself.
fn non_terminal_wildcards(server: &Server) {
    server.ask("sub.*.example. TXT").answers("sub.*.example. 3600 TXT \"this is not a wildcard\"");
    server.ask("sub.*.example. MX").no_data(EXAMPLE_SOA);
    server.ask("inner.*.star.main.test. A").answers("inner.*.star.main.test. 300 A 192.0.2.74");
    server.ask("inner.x.star.main.test. A").no_data(MAIN_SOA);
}

/// `*.star` has no records of its own: a name that it covers exists without data.
fn an_empty_wildcard_gives_no_data(server: &Server) {
    server.ask("*.star.main.test. A").no_data(MAIN_SOA);
    server.ask("x.star.main.test. A").no_data(MAIN_SOA);
}

fn a_wildcard_below_a_wildcard(server: &Server) {
    server.ask("x.*.double.wild-apex.test. A").answers("x.*.double.wild-apex.test. 300 A 192.0.2.151");
    let soa = "wild-apex.test. 60 SOA ns.main.test. hostmaster.main.test. 6 3600 600 86400 60";
    server.ask("x.y.double.wild-apex.test. A").no_data(soa);
}
