//! §4.4, DNAME at a wildcard.

use crate::prelude::*;

cases![dname_at_a_wildcard];

/// "forbidden" was not agreed on; the outcome is open, but the zone is served and answers.
fn dname_at_a_wildcard(server: &Server) {
    server.ask("host.wild-dname.test. A").answers("host.wild-dname.test. 300 A 192.0.2.140");
    server.ask("x.w.wild-dname.test. A").rcode(Rcode::NOERROR);
}
