//! §3, zone contents.

use crate::prelude::*;

cases![
    the_zone_and_nothing_else [
        Nsd Should "types.test."
            "§3.5 wants the case of names kept (SHOULD); NSD has them in lower case, here in \
             SVCB, where case counts when data is compared",
    ],
    big_zones_take_many_messages,
    the_parent_side_of_a_cut,
];

/// The records of a zone file without the SOA.
fn content(zone: &str, file: &str) -> Vec<String> {
    let path = format!("{}/../../tests/rfc/zones/{file}.zone", env!("CARGO_MANIFEST_DIR"));
    let origin: einhorn_wire::Name = zone.parse().expect("a name");
    let path = std::path::Path::new(&path);
    let mut all = einhorn_wire::zonefile::load(path, &origin, &mut |path| std::fs::read(path))
        .unwrap_or_else(|error| panic!("{error}"));
    all.retain(|record| record.rtype != RecordType::SOA);
    normal(&all)
}

fn transferred(server: &Server, zone: &str) -> Vec<String> {
    let mut all: Vec<_> = server.transfer(zone).into_iter().flat_map(|m| m.answer).collect();
    all.retain(|record| record.rtype != RecordType::SOA);
    normal(&all)
}

/// §2.2.1 and §3: "each resource record ... exactly once", glue and what lies below cuts too,
/// and nothing of a child that the server has too.
fn the_zone_and_nothing_else(server: &Server) {
    for (zone, file) in [
        ("example.", "example"),
        ("child.main.test.", "child"),
        ("dname.test.", "dname"),
        ("long.test.", "long"),
        ("types.test.", "types"),
    ] {
        assert_eq!(transferred(server, zone), content(zone, file), "{zone}");
    }
}

fn big_zones_take_many_messages(server: &Server) {
    assert_eq!(transferred(server, "big.test."), content("big.test.", "big"));
}

/// §3.2: the delegation of a child, not its apex.
fn the_parent_side_of_a_cut(server: &Server) {
    let all = transferred(server, "main.test.");
    let wanted = "www.deleg.main.test. 300 IN A 192.0.2.63".to_owned();
    assert!(all.contains(&wanted), "occluded names and glue: {all:#?}");
    assert!(!all.iter().any(|record| record.contains("child apex")), "{all:#?}");
}
