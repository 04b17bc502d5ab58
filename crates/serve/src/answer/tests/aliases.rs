//! CNAME (RFC 1034 §3.6.2) and DNAME (RFC 6672).

use super::*;

#[test]
fn cnames_are_followed_as_far_as_the_zone_goes() {
    assert_eq!(
        get("www.example.", "A").answer,
        ["www.example. 300 IN CNAME anna.example.", "anna.example. 300 IN A 192.0.2.1"]
    );
    assert_eq!(get("www.example.", "CNAME").answer.len(), 1);
    assert_eq!(get("out.example.", "A").status(), (Rcode::NOERROR, 1, 0, 0));
    assert_eq!(get("www.example.", "TXT").status(), (Rcode::NOERROR, 1, 1, 0));
    // The code is that of the last name (RFC 6604 §3).
    assert_eq!(get("gone.example.", "A").status(), (Rcode::NXDOMAIN, 1, 1, 0));
}

#[test]
fn loops_end_where_they_close() {
    assert_eq!(get("loop.example.", "A").status(), (Rcode::NOERROR, 1, 0, 0));
    let zones = example("a CNAME b\nb CNAME c\nc CNAME a\n*.w CNAME x.w\n");
    assert_eq!(get_in(&zones, "a.example.", "A").status(), (Rcode::NOERROR, 3, 0, 0));
    assert_eq!(get_in(&zones, "y.w.example.", "A").status(), (Rcode::NOERROR, 1, 0, 0));
}

#[test]
fn long_chains_are_cut() {
    let chain: String = (0..40).map(|i| format!("n{i} CNAME n{}\n", i + 1)).collect();
    let zones = example(&chain);
    let whole = get_in(&zones, &format!("n{}.example.", 40 - fill::CHAIN_MAX + 1), "A");
    assert_eq!(whole.status(), (Rcode::NXDOMAIN, fill::CHAIN_MAX - 1, 1, 0));
    assert_eq!(
        get_in(&zones, "n0.example.", "A").status(),
        (Rcode::NOERROR, fill::CHAIN_MAX, 0, 0)
    );
}

#[test]
fn an_alias_into_a_delegation_refers_there_with_authority_for_the_alias() {
    let zones = example("www CNAME host.sub\nsub NS ns.sub\nns.sub A 192.0.2.54\n");
    let reply = get_in(&zones, "www.example.", "A");
    assert!(reply.authoritative, "the first owner is ours (RFC 1035 §4.1.1)");
    assert_eq!(reply.status(), (Rcode::NOERROR, 1, 1, 1));
}

#[test]
fn chains_do_not_leave_the_zone() {
    let head = "$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\n";
    let zones = zones_of(vec![
        ("one.", names("one.", &format!("{head}www CNAME www.two.\n"))),
        ("two.", names("two.", &format!("{head}www A 192.0.2.1\n"))),
    ]);
    assert_eq!(get_in(&zones, "www.one.", "A").answer, ["www.one. 300 IN CNAME www.two."]);
}

#[test]
fn a_dname_renames_what_is_below_it() {
    let zones = example(
        "old 77 DNAME new\nold TXT here\nx.old A 192.0.2.1\nhost.new A 192.0.2.2\naway DNAME test.\n",
    );
    assert_eq!(
        get_in(&zones, "host.old.example.", "A").answer,
        [
            "old.example. 77 IN DNAME new.example.",
            "host.old.example. 77 IN CNAME host.new.example.",
            "host.new.example. 300 IN A 192.0.2.2",
        ]
    );
    // What is below the owner is hidden.
    let hidden = get_in(&zones, "x.old.example.", "A");
    assert_eq!(hidden.status(), (Rcode::NXDOMAIN, 2, 1, 0));
    assert_eq!(hidden.answer[1], "x.old.example. 77 IN CNAME x.new.example.");
    // The owner itself is not renamed.
    assert_eq!(get_in(&zones, "old.example.", "TXT").status(), (Rcode::NOERROR, 1, 0, 0));
    assert_eq!(get_in(&zones, "old.example.", "DNAME").status(), (Rcode::NOERROR, 1, 0, 0));
    assert_eq!(get_in(&zones, "old.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
    let any = get_in(&zones, "old.example.", "ANY");
    assert_eq!(any.answer, ["old.example. 300 IN TXT \"here\""]);
    // The CNAME that it makes is an answer to those who ask for one.
    for qtype in ["CNAME", "ANY"] {
        let made = get_in(&zones, "x.old.example.", qtype);
        assert_eq!(made.status(), (Rcode::NOERROR, 2, 0, 0), "{qtype}");
    }
    assert_eq!(get_in(&zones, "x.old.example.", "DNAME").status(), (Rcode::NXDOMAIN, 2, 1, 0));
    // Out of the zone.
    assert_eq!(
        get_in(&zones, "A.away.example.", "A").answer,
        ["away.example. 300 IN DNAME test.", "A.away.example. 300 IN CNAME A.test."]
    );
}

#[test]
fn a_name_that_becomes_too_long_is_yxdomain_with_the_dname() {
    let target = format!("{}.", vec!["z".repeat(49); 4].join("."));
    let zones = example(&format!("d DNAME {target}\n"));
    let qname = format!("{}.d.example.", "y".repeat(60));
    let reply = get_in(&zones, &qname, "A");
    assert_eq!(reply.status(), (Rcode::YXDOMAIN, 1, 0, 0));
    assert!(reply.authoritative);
    assert_eq!(reply.answer, [format!("d.example. 300 IN DNAME {target}")]);
    let fits = format!("{}.d.example.", "y".repeat(52));
    assert_eq!(get_in(&zones, &fits, "A").status(), (Rcode::NOERROR, 2, 0, 0));
}

#[test]
fn dname_chains_are_bounded_and_repeat_no_record() {
    let zones = example("grow DNAME x.grow\na DNAME b\nb DNAME a\ns.s.s DNAME s\ns A 192.0.2.1\n");
    let grow = get_in(&zones, "q.grow.example.", "A");
    let dnames = grow.answer.iter().filter(|record| record.contains("DNAME")).count();
    assert_eq!((grow.rcode, dnames, grow.answer.len()), (Rcode::NOERROR, 1, 1 + fill::CHAIN_MAX));
    let circle = get_in(&zones, "q.a.example.", "A");
    assert_eq!((circle.rcode, circle.answer.len()), (Rcode::NOERROR, 4), "back at the start");
    assert_eq!(get_in(&zones, "s.s.s.s.example.", "A").status(), (Rcode::NOERROR, 2, 1, 0));
}

#[test]
fn a_dname_at_the_apex_and_above_or_below_a_cut() {
    let zones = example("@ DNAME test.\nsub NS ns.sub\n");
    assert_eq!(get_in(&zones, "x.example.", "A").answer.len(), 2);
    assert_eq!(get_in(&zones, "x.sub.example.", "A").answer.len(), 2);
    assert_eq!(get_in(&zones, "example.", "NS").status(), (Rcode::NOERROR, 1, 0, 0));
    let zones = example("sub NS ns.sub\nd.sub DNAME test.\n");
    assert_eq!(get_in(&zones, "x.d.sub.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
}
