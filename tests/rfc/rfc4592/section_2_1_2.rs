//! §2.1.2, asterisks and other characters.

use crate::prelude::*;

cases![asterisks_beside_other_characters_are_ordinary];

/// "an asterisk with other characters" in a label is no wildcard, and is matched by one.
fn asterisks_beside_other_characters_are_ordinary(server: &Server) {
    server.ask("**.example. TXT").answers("**.example. 3600 TXT \"this is a wildcard\"");
    server.ask("*x.wild.main.test. A").answers("*x.wild.main.test. 300 A 192.0.2.70");
}
