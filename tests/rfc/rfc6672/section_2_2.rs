//! §2.2, the substitution.

use crate::prelude::*;

cases![
    names_below_are_redirected,
    the_ttl_is_of_the_dname,
    many_labels_are_kept,
    the_owner_is_not_redirected,
    too_long_a_name [
        Knot Must "NXDOMAIN"
            "the algorithm of §3.2 sets YXDOMAIN where the name overflows; Knot gives the DNAME \
             without a CNAME, as it must, but with NXDOMAIN",
    ],
    just_short_enough,
];

/// The DNAME, the CNAME made from it, and what is there.
fn names_below_are_redirected(server: &Server) {
    let reply = server.ask("host.d.dname.test. A");
    reply.set(flag::AA).rcode(Rcode::NOERROR);
    assert_eq!(
        reply.answer_order()[..2],
        ["d.dname.test. DNAME", "host.d.dname.test. CNAME"],
        "{reply}"
    );
    let reply = server.ask("host.inside.dname.test. A");
    reply.answers(
        "inside.dname.test. 300 DNAME real.dname.test.
         host.inside.dname.test. 300 CNAME host.real.dname.test.
         host.real.dname.test. 300 A 192.0.2.123",
    );
}

/// "the CNAME ... TTL equal to that of the corresponding DNAME" (§3.1).
fn the_ttl_is_of_the_dname(server: &Server) {
    server.ask("host.zero.dname.test. A").answers(
        "zero.dname.test. 0 DNAME real.dname.test.
         host.zero.dname.test. 0 CNAME host.real.dname.test.
         host.real.dname.test. 300 A 192.0.2.123",
    );
}

fn many_labels_are_kept(server: &Server) {
    let reply = server.ask("a.b.c.outside.dname.test. A");
    reply.answers(
        "outside.dname.test. 300 DNAME elsewhere.invalid.
         a.b.c.outside.dname.test. 300 CNAME a.b.c.elsewhere.invalid.",
    );
    let reply = server.ask("a\\.b.outside.dname.test. A");
    reply.answers(
        "outside.dname.test. 300 DNAME elsewhere.invalid.
         a\\.b.outside.dname.test. 300 CNAME a\\.b.elsewhere.invalid.",
    );
    let reply = server.ask("www.toroot.dname.test. A");
    reply.rcode(Rcode::NOERROR).answer_section(
        "toroot.dname.test. 300 DNAME .
         www.toroot.dname.test. 300 CNAME www.",
    );
}

/// "a DNAME does not redirect its owner".
fn the_owner_is_not_redirected(server: &Server) {
    server.ask("d.dname.test. A").answers("d.dname.test. 300 A 192.0.2.122");
    server.ask("d.dname.test. TXT").answers("d.dname.test. 300 TXT \"beside the DNAME\"");
    server.ask("d.dname.test. MX").no_data(DNAME_SOA);
    server.ask("d.dname.test. DNAME").answers("d.dname.test. 300 DNAME target.test.");
}

/// §2.2: YXDOMAIN where the new name is longer than 255 octets.
fn too_long_a_name(server: &Server) {
    let long = "y".repeat(46);
    let reply = server.tcp(&Query::of(&format!("{long}.long.dname.test. A")));
    let target = format!("{0}.{0}.{0}.real.dname.test.", "x".repeat(63));
    reply.rcode(Rcode::YXDOMAIN).set(flag::AA);
    reply.answer_section(&format!("long.dname.test. 300 DNAME {target}"));
}

/// The longest that still fits: 255 octets.
fn just_short_enough(server: &Server) {
    let target = format!("{0}.{0}.{0}.real.dname.test.", "x".repeat(63));
    // 192 octets of long labels and 17 of real.dname.test. leave 46 for one label and its length.
    let label = "y".repeat(45);
    let reply = server.tcp(&Query::of(&format!("{label}.long.dname.test. A")));
    reply.rcode(Rcode::NXDOMAIN).answer_section(&format!(
        "long.dname.test. 300 DNAME {target}
         {label}.long.dname.test. 300 CNAME {label}.{target}"
    ));
}
