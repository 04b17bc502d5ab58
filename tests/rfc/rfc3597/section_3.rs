//! §3, transparency.

use crate::prelude::*;

cases![
    unknown_types_are_served,
    types_without_data,
    unknown_types_can_be_missing,
    every_type_comes_back_as_it_was_written [
        Nsd Should "SVCB 1 target.types.test."
            "case \"should be preserved whenever possible\" (RFC 1035 §2.3.3); NSD keeps names in \
             lower case, in SVCB too",
    ],
    more_types_come_back,
];

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

/// Each record of a zone can be asked for.
fn zone_is_served(server: &Server, file: &str) {
    let path = format!("{}/../../tests/rfc/zones/{file}.zone", env!("CARGO_MANIFEST_DIR"));
    let origin: einhorn_wire::Name = format!("{file}.test.").parse().expect("a name");
    let path = std::path::Path::new(&path);
    let zone = einhorn_wire::zonefile::load(path, &origin, &mut |path| std::fs::read(path));
    let zone = zone.unwrap_or_else(|error| panic!("{error}"));
    for record in &zone {
        let same = |r: &&einhorn_wire::Record| (&r.owner, r.rtype) == (&record.owner, record.rtype);
        let set: Vec<_> = zone.iter().filter(same).cloned().collect();
        let reply = server.ask(&format!("{} {}", record.owner, record.rtype));
        assert_eq!(normal(&reply.answer), normal(&set), "{reply}");
    }
}

fn every_type_comes_back_as_it_was_written(server: &Server) {
    zone_is_served(server, "types");
}

fn more_types_come_back(server: &Server) {
    for rtype in [
        "AFSDB", "RT", "KX", "LOC", "CERT", "APL", "SMIMEA", "DHCID", "URI", "EUI48", "EUI64", "NID",
        "L32", "L64", "LP", "CSYNC",
    ] {
        let reply = server.ask(&format!("{rtype}.more-types.test. {rtype}"));
        reply.rcode(Rcode::NOERROR).set(flag::AA);
        assert_eq!(reply.answer.len(), 1, "{rtype}: {reply}");
    }
}
