//! §2.3, when a wildcard domain name is not special.

use crate::prelude::*;

cases![targets_below_a_wildcard_are_synthesised];

/// In data an asterisk is an ordinary label: nothing is expanded (`*` of an alias' target is
/// looked up as it stands).
fn targets_below_a_wildcard_are_synthesised(server: &Server) {
    server.ask("towild.main.test. A").answers(
        "towild.main.test. 300 CNAME any.wild.main.test.
         any.wild.main.test. 300 A 192.0.2.70",
    );
}
