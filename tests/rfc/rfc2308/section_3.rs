//! §3, negative answers from authoritative servers.

use crate::prelude::*;

cases![
    the_soa_must_be_there,
    its_ttl_is_the_minimum_where_that_is_less,
    its_ttl_is_its_own_where_that_is_less,
];

/// "Name servers authoritative for a zone MUST include the SOA record".
fn the_soa_must_be_there(server: &Server) {
    for question in ["nowhere.main.test. A", "host.main.test. SRV", "main.test. LOC"] {
        let reply = server.ask(question);
        assert_eq!(reply.authority.len(), 1, "{reply}");
        reply.authority_section(MAIN_SOA);
    }
}

/// "The TTL ... is set from the minimum of the MINIMUM field ... and the TTL of the SOA".
fn its_ttl_is_the_minimum_where_that_is_less(server: &Server) {
    server.ask("nowhere.main.test. A").name_error(MAIN_SOA);
    server.ask("host.main.test. MX").no_data(MAIN_SOA);
}

fn its_ttl_is_its_own_where_that_is_less(server: &Server) {
    server.ask("nowhere.target.test. A").name_error(TARGET_SOA);
    server.ask("host.target.test. MX").no_data(TARGET_SOA);
}
