//! §10.1, CNAME records.

use crate::prelude::*;

cases![a_cname_is_the_only_type_of_its_name, every_name_has_one_answer];

fn a_cname_is_the_only_type_of_its_name(server: &Server) {
    for rtype in ["A", "MX", "SOA", "NS", "TYPE65280"] {
        let reply = server.ask(&format!("alias.main.test. {rtype}"));
        reply.set(flag::AA);
        assert_eq!(reply.answer_order()[0], "alias.main.test. CNAME", "{reply}");
    }
}

fn every_name_has_one_answer(server: &Server) {
    let reply = server.ask("alias.main.test. CNAME");
    assert_eq!(reply.answer.len(), 1, "{reply}");
}
