//! §4.1, SOA at a wildcard.

use crate::prelude::*;

cases![the_apex_is_not_covered];

/// An asterisk directly below the apex covers what the apex does not have, not the apex.
fn the_apex_is_not_covered(server: &Server) {
    let soa = "wild-apex.test. 60 SOA ns.main.test. hostmaster.main.test. 6 3600 600 86400 60";
    server.ask("wild-apex.test. A").no_data(soa);
    server.ask("x.wild-apex.test. A").answers("x.wild-apex.test. 300 A 192.0.2.150");
    server.ask("x.wild-apex.test. SOA").no_data(soa);
}
