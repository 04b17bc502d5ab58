//! §2.2.2, empty non-terminals.

use crate::prelude::*;

cases![empty_non_terminals_exist, they_shadow_the_wildcard];

/// "host2.example. ... is an empty non-terminal": it exists, and no wildcard covers it.
fn empty_non_terminals_exist(server: &Server) {
    for name in ["host2.example.", "_tcp.host1.example.", "_tcp.host2.example."] {
        for rtype in ["A", "MX", "TXT"] {
            server.ask(&format!("{name} {rtype}")).no_data(EXAMPLE_SOA);
        }
    }
}

fn they_shadow_the_wildcard(server: &Server) {
    server.ask("sub.wild.main.test. A").no_data(MAIN_SOA);
    server.ask("x.sub.wild.main.test. A").name_error(MAIN_SOA);
}
