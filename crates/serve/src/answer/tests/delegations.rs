//! Delegations: referrals, glue, DS.

use super::*;

#[test]
fn delegations_are_referred_with_glue() {
    for (qname, qtype) in [
        ("sub.example.", "A"),
        ("sub.example.", "NS"),
        ("sub.example.", "ANY"),
        ("x.sub.example.", "A"),
        ("x.sub.example.", "DS"),
        ("ns.sub.example.", "A"),
    ] {
        let reply = get(qname, qtype);
        assert!(!reply.authoritative, "{qname} {qtype}");
        assert_eq!(reply.status(), (Rcode::NOERROR, 0, 2, 1), "{qname} {qtype}");
        assert_eq!(reply.additional, ["ns.sub.example. 300 IN A 192.0.2.54"]);
    }
    let ds = get("sub.example.", "DS");
    assert_eq!((ds.authoritative, ds.status()), (true, (Rcode::NOERROR, 1, 0, 0)));
}

#[test]
fn the_deepest_delegation_that_is_not_hidden_counts() {
    let zones = example("a NS ns.test.\nb.a NS ns.b.a\nns.b.a A 192.0.2.1\n");
    let reply = get_in(&zones, "x.b.a.example.", "A");
    assert_eq!(reply.authority, ["a.example. 300 IN NS ns.test."]);
    assert!(reply.additional.is_empty());
}

/// A delegation to `count` servers below it and as many in a sibling's zone.
fn many_servers(count: usize) -> Zones {
    let servers: String = (0..count)
        .map(|i| {
            format!(
                "sub NS ns{i}.sub\nns{i}.sub AAAA 2001:db8::{i}\nsub NS ns{i}.sib\nns{i}.sib AAAA 2001:db8::{i}\n"
            )
        })
        .collect();
    example(&format!("{servers}sib NS ns0.sib\n"))
}

#[test]
fn all_glue_below_the_cut_must_fit_and_other_glue_may_go() {
    let ask = |zones: &Zones, edns| {
        let query = query("x.sub.example.", "A", edns);
        ask_in(zones, &query, &context(&settings(), Transport::Udp))
    };
    let all = ask(&many_servers(3), None);
    assert_eq!((all.truncated, all.additional.len()), (false, 6));
    // Ten of each: those below the cut fit 800 octets, not all others do.
    let zones = many_servers(10);
    let some = ask(&zones, Some((800, 0, &[])));
    assert!(!some.truncated);
    assert!((10..20).contains(&some.additional.len()), "{:?}", some.additional);
    assert!(some.additional[..10].iter().all(|glue| glue.contains(".sub.")));
    let few = ask(&zones, None);
    assert!(few.truncated, "glue below the cut does not fit: {:?}", few.additional);
    assert!(few.octets.len() <= 512);
}

#[test]
fn ds_is_answered_by_the_parent_where_both_are_served() {
    let head = "$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\n";
    let ds = "child DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000\n";
    let parent =
        ("example.", names("example.", &format!("{head}child NS ns.child\n{ds}plain NS ns\n")));
    let child = ("child.example.", names("child.example.", head));
    let plain = ("plain.example.", names("plain.example.", head));
    let zones = zones_of(vec![parent, child.clone(), plain]);
    let reply = get_in(&zones, "child.example.", "DS");
    assert_eq!((reply.authoritative, reply.status()), (true, (Rcode::NOERROR, 1, 0, 0)));
    let none = get_in(&zones, "plain.example.", "DS");
    assert_eq!(none.status(), (Rcode::NOERROR, 0, 1, 0));
    assert!(none.authority[0].starts_with("example. "), "the parent's SOA: {:?}", none.authority);
    // Everything else is the child's.
    assert_eq!(
        get_in(&zones, "child.example.", "NS").answer,
        ["child.example. 300 IN NS ns.child.example."]
    );
    // A child alone says that it has none.
    let alone = get_in(&zones_of(vec![child]), "child.example.", "DS");
    assert_eq!((alone.authoritative, alone.status()), (true, (Rcode::NOERROR, 0, 1, 0)));
}
