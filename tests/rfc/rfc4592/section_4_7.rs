//! §4.7, NSEC and RRSIG at a wildcard.

use crate::prelude::*;

cases![nsec_and_rrsig_of_an_unsigned_wildcard_are_no_data];

fn nsec_and_rrsig_of_an_unsigned_wildcard_are_no_data(server: &Server) {
    server.ask("any.wild.main.test. NSEC").no_data(MAIN_SOA);
    server.ask("any.wild.main.test. RRSIG").no_data(MAIN_SOA);
}
