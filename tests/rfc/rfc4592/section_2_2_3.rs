//! §2.2.3, existence.

use crate::prelude::*;

cases![existing_names_are_not_covered];

/// "A domain name ... exists if it or any of its descendants owns a record".
fn existing_names_are_not_covered(server: &Server) {
    server.ask("real.wild.main.test. TXT").no_data(MAIN_SOA);
    server.ask("x.real.wild.main.test. A").name_error(MAIN_SOA);
}
