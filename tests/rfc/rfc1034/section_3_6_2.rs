//! §3.6.2, aliases and canonical names.

use crate::prelude::*;

cases![the_alias_comes_with_its_target, the_alias_itself_can_be_asked_for, chains_are_followed,
    the_chain_comes_in_order, loops_end, an_alias_of_a_name_that_is_not_served_stands_alone];

fn the_alias_comes_with_its_target(server: &Server) {
    server.ask("alias.main.test. A").answers(
        "alias.main.test. 300 CNAME host.main.test.
         host.main.test. 300 A 192.0.2.1",
    );
}

/// "A CNAME query ... should not restart".
fn the_alias_itself_can_be_asked_for(server: &Server) {
    server.ask("alias.main.test. CNAME").answers("alias.main.test. 300 CNAME host.main.test.");
}

fn chains_are_followed(server: &Server) {
    server.ask("chain1.main.test. AAAA").answers(
        "chain1.main.test. 300 CNAME chain2.main.test.
         chain2.main.test. 300 CNAME chain3.main.test.
         chain3.main.test. 300 CNAME host.main.test.
         host.main.test. 300 AAAA 2001:db8::1",
    );
}

fn the_chain_comes_in_order(server: &Server) {
    let reply = server.ask("chain1.main.test. A");
    let wanted = ["chain1", "chain2", "chain3"].map(|name| format!("{name}.main.test. CNAME"));
    assert_eq!(reply.answer_order()[..3], wanted, "{reply}");
    assert_eq!(reply.answer_order()[3], "host.main.test. A", "{reply}");
}

/// "CNAME chains should be followed and CNAME loops signalled as an error": by whom is left open,
/// but the aliases must be there.
fn loops_end(server: &Server) {
    for name in ["loop1", "self"] {
        let reply = server.ask(&format!("{name}.main.test. A"));
        reply.set(flag::AA);
        assert!([Rcode::NOERROR, Rcode::SERVFAIL].contains(&reply.rcode), "{reply}");
        let cname = |r: &einhorn_wire::Record| r.rtype == RecordType::CNAME;
        assert!(!reply.answer.is_empty() && reply.answer.iter().all(cname), "{reply}");
    }
}

fn an_alias_of_a_name_that_is_not_served_stands_alone(server: &Server) {
    server
        .ask("tooutside.main.test. A")
        .answers("tooutside.main.test. 300 CNAME www.elsewhere.invalid.");
}
