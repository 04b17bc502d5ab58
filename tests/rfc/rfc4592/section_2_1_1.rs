//! §2.1.1, wildcard domain name and asterisk label.

use crate::prelude::*;

cases![a_wildcard_can_be_asked_for_itself, an_escaped_asterisk_is_one];

/// An asterisk label and the zone's own name: it can be asked for like any other.
fn a_wildcard_can_be_asked_for_itself(server: &Server) {
    server.ask("*.example. TXT").answers("*.example. 3600 TXT \"this is a wildcard\"");
    server.ask("*.wild.main.test. A").answers("*.wild.main.test. 300 A 192.0.2.70");
}

/// `\042` is an asterisk however it is written.
fn an_escaped_asterisk_is_one(server: &Server) {
    server.ask("\\042.example. MX").answers("*.example. 3600 MX 10 host1.example.");
}
