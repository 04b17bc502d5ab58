//! §4.6, DS at a wildcard.

use crate::prelude::*;

cases![ds_of_a_covered_name_is_no_data];

/// DS of a name that only the wildcard covers is the wildcard's: it has none.
fn ds_of_a_covered_name_is_no_data(server: &Server) {
    server.ask("any.wild.main.test. DS").no_data(MAIN_SOA);
}
