//! Names that exist, names that do not, and names that are unusual.

use super::*;

#[test]
fn every_type_is_answered_with_authority_and_nothing_else() {
    for (qname, qtype, expected) in [
        ("anna.example.", "A", "anna.example. 300 IN A 192.0.2.1"),
        ("anna.example.", "AAAA", "anna.example. 300 IN AAAA 2001:db8::1"),
        ("mail.example.", "MX", "mail.example. 300 IN MX 10 anna.example."),
        ("example.", "NS", "example. 300 IN NS ns.example."),
        ("_ipp._tcp.example.", "SRV", "_ipp._tcp.example. 300 IN SRV 0 0 631 anna.example."),
        ("odd.example.", "TYPE65280", "odd.example. 300 IN TYPE65280 \\# 2 01AB"),
        ("a.deep.ent.example.", "TXT", "a.deep.ent.example. 300 IN TXT \"x\""),
        ("example.", "SOA", "example. 300 IN SOA ns.example. h.example. 1 3600 600 86400 60"),
    ] {
        let reply = get(qname, qtype);
        assert!(reply.authoritative, "{qname} {qtype}");
        assert_eq!(reply.status(), (Rcode::NOERROR, 1, 0, 0), "{qname} {qtype}");
        assert_eq!(reply.answer, [expected]);
    }
    assert_eq!(get("web.example.", "HTTPS").answer.len(), 1);
}

#[test]
fn the_case_of_the_question_comes_back() {
    let reply = get("ANNA.eXample.", "A");
    assert_eq!(reply.answer, ["ANNA.eXample. 300 IN A 192.0.2.1"]);
}

#[test]
fn negative_answers_carry_the_soa_with_its_minimum_as_ttl() {
    let soa = ["example. 60 IN SOA ns.example. h.example. 1 3600 600 86400 60"];
    for (qname, qtype, rcode) in [
        ("anna.example.", "TXT", Rcode::NOERROR),
        ("anna.example.", "RRSIG", Rcode::NOERROR),
        ("anna.example.", "SIG", Rcode::NOERROR),
        ("anna.example.", "TYPE1000", Rcode::NOERROR),
        ("anna.example.", "TYPE0", Rcode::NOERROR),
        ("deep.ent.example.", "A", Rcode::NOERROR),
        ("ent.example.", "A", Rcode::NOERROR),
        ("ent.example.", "ANY", Rcode::NOERROR),
        ("nobody.example.", "A", Rcode::NXDOMAIN),
        ("nobody.example.", "ANY", Rcode::NXDOMAIN),
        ("x.anna.example.", "A", Rcode::NXDOMAIN),
        ("ann.example.", "A", Rcode::NXDOMAIN),
        ("b.real.wild.example.", "TXT", Rcode::NXDOMAIN),
    ] {
        let reply = get(qname, qtype);
        assert_eq!(reply.status(), (rcode, 0, 1, 0), "{qname} {qtype}");
        assert!(reply.authoritative, "{qname} {qtype}");
        assert_eq!(reply.authority, soa, "{qname} {qtype}");
    }
}

#[test]
fn any_is_one_rrset_by_udp_and_all_by_tcp() {
    let any = query("anna.example.", "ANY", None);
    assert_eq!(ask(&any, Transport::Udp).answer, ["anna.example. 300 IN A 192.0.2.1"]);
    assert_eq!(ask(&any, Transport::Tcp).answer.len(), 2);
    assert_eq!(get("example.", "ANY").answer, ["example. 300 IN NS ns.example."]);
    assert_eq!(get("www.example.", "ANY").answer, ["www.example. 300 IN CNAME anna.example."]);
}

#[test]
fn unusual_labels_are_names_like_others() {
    let zones = example("a\\.b A 192.0.2.1\na.b A 192.0.2.2\n\\000\\001\\255 A 192.0.2.3\n");
    for (qname, expected) in [
        ("a\\.b.example.", "a\\.b.example. 300 IN A 192.0.2.1"),
        ("a.b.example.", "a.b.example. 300 IN A 192.0.2.2"),
        ("\\000\\001\\255.example.", "\\000\\001\\255.example. 300 IN A 192.0.2.3"),
    ] {
        assert_eq!(get_in(&zones, qname, "A").answer, [expected]);
    }
    assert_eq!(get_in(&zones, "\\000\\001.example.", "A").rcode, Rcode::NXDOMAIN);
}

#[test]
fn names_of_255_octets_are_answered() {
    let label = "x".repeat(63);
    // 3 * 64 + 54 + 9 = 255 octets in wire form.
    let long = format!("{label}.{label}.{label}.{}.example.", "y".repeat(53));
    assert_eq!(name(&long).as_wire().len(), 255);
    let zones = example(&format!("{long} A 192.0.2.1\n"));
    assert_eq!(get_in(&zones, &long, "A").answer, [format!("{long} 300 IN A 192.0.2.1")]);
    let parent = long.split_once('.').expect("labels").1;
    assert_eq!(get_in(&zones, parent, "A").status(), (Rcode::NOERROR, 0, 1, 0));
    let sibling = long.replace('y', "z");
    assert_eq!(get_in(&zones, &sibling, "A").rcode, Rcode::NXDOMAIN);
    // Escapes double the key's length.
    let zeros = format!("{}.example.", vec!["\\000".repeat(60); 4].join("."));
    assert_eq!(get_in(&zones, &zeros, "A").rcode, Rcode::NXDOMAIN);
}
