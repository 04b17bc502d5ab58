//! §4.3.2, the algorithm, step by step.

use crate::prelude::*;

cases![
    step_1_recursion_is_not_available,
    step_2_the_nearest_zone,
    step_2_no_zone,
    step_3a_the_whole_name_matches,
    step_3a_no_data,
    step_3a_all_records_of_the_type,
    step_3a_a_cname_changes_the_name,
    step_3b_a_referral,
    step_3b_after_an_alias,
    step_3c_name_error,
    step_3c_an_empty_non_terminal_exists,
    step_3c_a_wildcard,
    step_3c_name_error_after_an_alias,
    step_3c_no_data_after_an_alias,
    step_4_goes_on_in_another_zone_served_here [
        Einhorn Should "answer: toother.main.test. 300 IN CNAME host.target.test.\nno OPT"
            "step 3a says \"go back to step 1\", which looks for a zone again; resolvers believe no \
             zone's answer about another zone's names and ask again, so it would be wasted",
        Bind Should "answer: toother.main.test. 300 IN CNAME host.target.test.\nno OPT"
            "step 3a says \"go back to step 1\", which looks for a zone again; without recursion \
             BIND stays in the zone it began with, and a resolver asks for the target anyway",
        Knot Should "answer: toother.main.test. 300 IN CNAME host.target.test.\nno OPT"
            "step 3a says \"go back to step 1\", which looks for a zone again; Knot stays in the \
             zone it began with, and a resolver asks for the target anyway",
    ],
    step_6_additional_addresses,
];

/// "RA: recursive service is available".
fn step_1_recursion_is_not_available(server: &Server) {
    let reply = server.send(&Query::of("host.main.test. A").flags(flag::RD));
    reply.answers("host.main.test. 300 A 192.0.2.1").set(flag::RD).clear(flag::RA);
}

/// "the zone which is the nearest ancestor to QNAME".
fn step_2_the_nearest_zone(server: &Server) {
    let reply = server.ask("nowhere.child.main.test. A");
    reply.name_error(
        "child.main.test. 60 SOA ns.child.main.test. hostmaster.child.main.test. \
         3 3600 600 86400 60",
    );
}

fn step_2_no_zone(server: &Server) {
    for question in ["www.elsewhere.invalid. A", ". NS", "test. SOA", "xmain.test. A"] {
        server.ask(question).fails(Rcode::REFUSED);
    }
}

fn step_3a_the_whole_name_matches(server: &Server) {
    server.ask("host.main.test. A").answers("host.main.test. 300 A 192.0.2.1");
    server.ask("main.test. TXT").answers("main.test. 300 TXT \"apex\"");
}

fn step_3a_no_data(server: &Server) {
    server.ask("host.main.test. MX").no_data(MAIN_SOA);
    server.ask("main.test. AAAA").no_data(MAIN_SOA);
}

fn step_3a_all_records_of_the_type(server: &Server) {
    server.ask("multi.main.test. A").answers(
        "multi.main.test. 300 A 192.0.2.10
         multi.main.test. 300 A 192.0.2.11
         multi.main.test. 300 A 192.0.2.12",
    );
}

fn step_3a_a_cname_changes_the_name(server: &Server) {
    server.ask("alias.main.test. TXT").answers(
        "alias.main.test. 300 CNAME host.main.test.
         host.main.test. 300 TXT \"host\"",
    );
}

fn step_3b_a_referral(server: &Server) {
    server.ask("www.deleg.main.test. A").refers(DELEG_NS, DELEG_GLUE);
}

/// The alias is an authoritative answer; where it leads is referred to.
fn step_3b_after_an_alias(server: &Server) {
    let reply = server.ask("todelegation.main.test. A");
    reply.answers("todelegation.main.test. 300 CNAME www.deleg.main.test.");
    reply.authority_section(DELEG_NS).additional_section(DELEG_GLUE);
}

fn step_3c_name_error(server: &Server) {
    server.ask("nowhere.main.test. A").name_error(MAIN_SOA);
    server.ask("below.host.main.test. A").name_error(MAIN_SOA);
    server.ask("a.b.c.nowhere.main.test. TYPE65280").name_error(MAIN_SOA);
}

fn step_3c_an_empty_non_terminal_exists(server: &Server) {
    server.ask("b.ent.main.test. A").no_data(MAIN_SOA);
    server.ask("ent.main.test. A").no_data(MAIN_SOA);
    server.ask("c.ent.main.test. A").name_error(MAIN_SOA);
}

fn step_3c_a_wildcard(server: &Server) {
    server.ask("any.wild.main.test. A").answers("any.wild.main.test. 300 A 192.0.2.70");
}

/// "if the name is not the original, just exit": what NXDOMAIN means after an alias is settled
/// by RFC 2308 §2.1 and RFC 6604 §3.
fn step_3c_name_error_after_an_alias(server: &Server) {
    let reply = server.ask("dangling.main.test. A");
    reply.rcode(Rcode::NXDOMAIN).set(flag::AA).authority_section(MAIN_SOA);
    reply.answer_section("dangling.main.test. 300 CNAME nowhere.main.test.");
}

fn step_3c_no_data_after_an_alias(server: &Server) {
    let reply = server.ask("alias.main.test. MX");
    reply.answers("alias.main.test. 300 CNAME host.main.test.").authority_section(MAIN_SOA);
    let reply = server.ask("toent.main.test. A");
    reply.answers("toent.main.test. 300 CNAME b.ent.main.test.").authority_section(MAIN_SOA);
}

/// "change QNAME to the canonical name ..., and go back to step 1".
fn step_4_goes_on_in_another_zone_served_here(server: &Server) {
    server.ask("toother.main.test. A").answers(
        "toother.main.test. 300 CNAME host.target.test.
         host.target.test. 300 A 192.0.2.111",
    );
    server.ask("tochild.main.test. A").answers(
        "tochild.main.test. 300 CNAME www.child.main.test.
         www.child.main.test. 300 A 192.0.2.100",
    );
}

/// "attempt to add any other RRs which may be useful": none are wrong, others are.
fn step_6_additional_addresses(server: &Server) {
    let reply = server.ask("service.main.test. SRV");
    reply.answers("service.main.test. 300 SRV 1 2 443 host.main.test.");
    let useful = normal(&records(
        "host.main.test. 300 A 192.0.2.1
         host.main.test. 300 AAAA 2001:db8::1",
    ));
    let added = normal(&reply.additional);
    assert!(added.iter().all(|record| useful.contains(record)), "{reply}");
}
