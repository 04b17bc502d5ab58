//! §2.1, name error.

use crate::prelude::*;

cases![the_soa_is_in_the_authority_section, aa_is_set, after_an_alias_the_code_is_of_its_end];

fn the_soa_is_in_the_authority_section(server: &Server) {
    server.ask("nowhere.main.test. A").name_error(MAIN_SOA);
}

fn aa_is_set(server: &Server) {
    server.ask("a.b.c.d.e.f.main.test. MX").rcode(Rcode::NXDOMAIN).set(flag::AA);
}

/// "NXDOMAIN ... the CNAME chain" ends at a name that does not exist.
fn after_an_alias_the_code_is_of_its_end(server: &Server) {
    let reply = server.ask("dangling.main.test. TXT");
    reply.rcode(Rcode::NXDOMAIN).set(flag::AA).authority_section(MAIN_SOA);
    reply.answer_section("dangling.main.test. 300 CNAME nowhere.main.test.");
}
