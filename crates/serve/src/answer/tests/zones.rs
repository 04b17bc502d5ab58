//! Which zone answers, and zones that cannot.

use super::*;

#[test]
fn outside_our_zones_we_refuse() {
    let reply = get_in(&ZONES, "elsewhere.test.", "A");
    assert_eq!((reply.authoritative, reply.status()), (false, (Rcode::REFUSED, 0, 0, 0)));
    assert_eq!(reply.extended_error(), Some(20));
}

#[test]
fn other_classes_are_refused() {
    for class in [Class(2), Class(4), Class::NONE, Class::ANY, Class(0), Class(999)] {
        let mut query = query("anna.example.", "A", None);
        set_class(&mut query, class);
        let reply = ask(&query, Transport::Udp);
        assert_eq!(
            (reply.authoritative, reply.status()),
            (false, (Rcode::REFUSED, 0, 0, 0)),
            "{class}"
        );
    }
}

#[test]
fn the_root_is_a_zone_like_others() {
    let text = "$TTL 300\n. SOA ns. h. 1 3600 600 86400 60\n. NS ns.\nns. A 192.0.2.53\n\
                test. NS ns.test.\nns.test. A 192.0.2.1\n* TXT any\n";
    let zones = zones_of(vec![(".", names(".", text)), ("example.", names("example.", ZONE))]);
    assert_eq!(get_in(&zones, ".", "NS").answer, [". 300 IN NS ns."]);
    assert_eq!(get_in(&zones, "nobody.", "TXT").answer.len(), 1);
    assert_eq!(get_in(&zones, "x.test.", "A").status(), (Rcode::NOERROR, 0, 1, 1));
    assert_eq!(get_in(&zones, ".", "DS").status(), (Rcode::NOERROR, 0, 1, 0));
    assert_eq!(get_in(&zones, "anna.example.", "A").answer.len(), 1);
    // DS of a zone that the root does not even delegate: the wildcard does not cover our zone's
    // name in the root, since nothing of it is there; so it answers as for any other name.
    assert_eq!(get_in(&zones, "example.", "DS").rcode, Rcode::NOERROR);
}

#[test]
fn a_zone_without_soa_is_not_ready() {
    let records = "host A 192.0.2.1\n";
    let mut names =
        names("example.", &format!("@ 1 SOA ns h 1 2 3 4 5\n@ 1 NS ns\n$TTL 1\n{records}"));
    names.retain(|(owner, _)| owner.label_count() == 2);
    let zones = zones_of(vec![("example.", names)]);
    for (qname, qtype) in
        [("host.example.", "A"), ("example.", "SOA"), ("x.example.", "A"), ("example.", "IXFR")]
    {
        let reply = get_in(&zones, qname, qtype);
        assert_eq!(
            (reply.authoritative, reply.status()),
            (false, (Rcode::SERVFAIL, 0, 0, 0)),
            "{qname}"
        );
        assert_eq!(reply.extended_error(), Some(14), "{qname}");
    }
}

#[test]
fn an_expired_zone_is_not_answered_from() {
    let (settings, expired) = (settings(), HashSet::from([name("EXAMPLE.")]));
    let context = Context { expired: &expired, ..context(&settings, Transport::Udp) };
    let reply = ask_in(&ZONES, &query("anna.example.", "A", Some((1232, 0, &[]))), &context);
    assert_eq!((reply.authoritative, reply.status()), (false, (Rcode::SERVFAIL, 0, 0, 0)));
    assert_eq!(reply.extended_error(), Some(24));
}
