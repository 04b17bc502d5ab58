//! §3, transparency.

use crate::prelude::*;

cases![unknown_types_are_served, types_without_data, unknown_types_can_be_missing];

fn unknown_types_are_served(server: &Server) {
    server.ask("unknown.types.test. TYPE65280").answers(
        r"unknown.types.test. 300 TYPE65280 \# 4 0A000001
          unknown.types.test. 300 TYPE65280 \# 2 ABCD",
    );
}

fn types_without_data(server: &Server) {
    server.ask("empty.types.test. TYPE65281").answers(r"empty.types.test. 300 TYPE65281 \# 0");
}

fn unknown_types_can_be_missing(server: &Server) {
    let soa = "types.test. 60 SOA ns.main.test. hostmaster.main.test. 6 3600 600 86400 60";
    for rtype in ["TYPE1234", "TYPE65534", "TYPE300"] {
        server.ask(&format!("unknown.types.test. {rtype}")).no_data(soa);
        server.ask(&format!("nowhere.types.test. {rtype}")).name_error(soa);
    }
}
