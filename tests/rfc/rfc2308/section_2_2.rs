//! §2.2, no data.

use crate::prelude::*;

cases![the_soa_tells_it_from_a_referral, no_data_after_an_alias];

fn the_soa_tells_it_from_a_referral(server: &Server) {
    server.ask("host.main.test. MX").no_data(MAIN_SOA);
    server.ask("ent.main.test. A").no_data(MAIN_SOA);
}

fn no_data_after_an_alias(server: &Server) {
    let reply = server.ask("alias.main.test. LOC");
    reply.answers("alias.main.test. 300 CNAME host.main.test.").authority_section(MAIN_SOA);
}
