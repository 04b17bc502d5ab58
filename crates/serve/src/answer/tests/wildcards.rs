//! Wildcards (RFC 4592).

use super::*;

/// The zone of RFC 4592 §2.2.1 and what it says of it.
#[test]
fn the_example_of_rfc_4592() {
    let zones = example(
        "*.example. 3600 TXT \"this is a wildcard\"\n*.example. 3600 MX 10 host1.example.\n\
         sub.*.example. 3600 TXT \"this is not a wildcard\"\nhost1.example. 3600 A 192.0.2.1\n\
         _ssh._tcp.host1.example. 3600 SRV 0 0 22 host1\n_ssh._tcp.host2.example. 3600 SRV 0 0 22 host1\n\
         subdel.example. 3600 NS ns.example.com.\nsubdel.example. 3600 NS ns.example.net.\n",
    );
    // Synthesized.
    for (qname, qtype) in
        [("host3.example.", "MX"), ("foo.bar.example.", "TXT"), ("ghost.*.other.example.", "TXT")]
    {
        assert_eq!(get_in(&zones, qname, qtype).status(), (Rcode::NOERROR, 1, 0, 0), "{qname}");
    }
    assert_eq!(get_in(&zones, "host3.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
    // Not synthesized.
    for (qname, qtype, rcode) in [
        ("host1.example.", "MX", Rcode::NOERROR),
        ("sub.*.example.", "MX", Rcode::NOERROR),
        ("_telnet._tcp.host1.example.", "SRV", Rcode::NXDOMAIN),
        ("ghost.*.example.", "MX", Rcode::NXDOMAIN),
    ] {
        assert_eq!(get_in(&zones, qname, qtype).status(), (rcode, 0, 1, 0), "{qname}");
    }
    let referral = get_in(&zones, "host.subdel.example.", "A");
    assert_eq!((referral.authoritative, referral.authority.len()), (false, 2));
}

#[test]
fn the_owner_is_the_name_asked_for() {
    assert_eq!(
        get("x.Y.wild.example.", "TXT").answer,
        ["x.Y.wild.example. 300 IN TXT \"wildcard\""]
    );
    assert_eq!(get("real.wild.example.", "TXT").status(), (Rcode::NOERROR, 0, 1, 0));
    // The asterisk itself is a name like others.
    assert_eq!(get("*.wild.example.", "TXT").answer, ["*.wild.example. 300 IN TXT \"wildcard\""]);
    assert_eq!(get("x.*.wild.example.", "TXT").rcode, Rcode::NXDOMAIN);
    // "wild" has no records of its own, but exists.
    assert_eq!(get("wild.example.", "TXT").status(), (Rcode::NOERROR, 0, 1, 0));
}

#[test]
fn a_wildcard_alias_is_followed() {
    let zones = example("*.w CNAME host\nhost A 192.0.2.1\nx.w TXT here\n");
    assert_eq!(
        get_in(&zones, "a.b.w.example.", "A").answer,
        ["a.b.w.example. 300 IN CNAME host.example.", "host.example. 300 IN A 192.0.2.1"]
    );
    assert_eq!(get_in(&zones, "a.w.example.", "CNAME").answer.len(), 1);
    assert_eq!(get_in(&zones, "x.w.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
}

#[test]
fn a_wildcard_without_records_still_makes_names_exist() {
    let zones = example("a.*.w TXT below\n");
    assert_eq!(get_in(&zones, "x.w.example.", "TXT").status(), (Rcode::NOERROR, 0, 1, 0));
    assert_eq!(get_in(&zones, "a.x.w.example.", "TXT").status(), (Rcode::NOERROR, 0, 1, 0));
    assert_eq!(get_in(&zones, "a.*.w.example.", "TXT").status(), (Rcode::NOERROR, 1, 0, 0));
}

#[test]
fn a_wildcard_at_a_name_without_records_covers_it() {
    let zones = example("*.e.n.t TXT star\nother.e.n.t A 192.0.2.1\n");
    assert_eq!(get_in(&zones, "x.e.n.t.example.", "TXT").answer.len(), 1);
    assert_eq!(get_in(&zones, "x.n.t.example.", "TXT").rcode, Rcode::NXDOMAIN);
}

#[test]
fn ns_and_dname_at_a_wildcard_are_ordinary_data() {
    let zones = example("*.n NS ns.elsewhere.test.\n*.d DNAME test.\n");
    let ns = get_in(&zones, "x.n.example.", "NS");
    assert_eq!((ns.authoritative, ns.status()), (true, (Rcode::NOERROR, 1, 0, 0)));
    assert_eq!(get_in(&zones, "x.n.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
    assert_eq!(get_in(&zones, "x.d.example.", "DNAME").status(), (Rcode::NOERROR, 1, 0, 0));
    assert_eq!(get_in(&zones, "y.x.d.example.", "A").status(), (Rcode::NOERROR, 0, 1, 0));
    // Asked for by its own name, a delegation is one.
    let literal = get_in(&zones, "x.*.n.example.", "A");
    assert_eq!((literal.authoritative, literal.status()), (false, (Rcode::NOERROR, 0, 1, 0)));
    assert_eq!(get_in(&zones, "x.*.d.example.", "A").answer.len(), 2);
}
