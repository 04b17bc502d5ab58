//! §11, name syntax.

use crate::prelude::*;

cases![any_octets_in_labels, a_dot_in_a_label_is_no_boundary, case_of_other_octets_counts];

fn any_octets_in_labels(server: &Server) {
    for (name, last) in [
        ("spa\\032ce", 81),
        ("n\\000l", 82),
        ("high\\255", 83),
        ("\\195\\156ber", 84),
        ("_under_score", 85),
        ("under\\@at", 86),
    ] {
        let reply = server.ask(&format!("{name}.main.test. A"));
        reply.answers(&format!("{name}.main.test. 300 A 192.0.2.{last}"));
    }
}

fn a_dot_in_a_label_is_no_boundary(server: &Server) {
    server.ask("dot\\.ted.main.test. A").answers("dot\\.ted.main.test. 300 A 192.0.2.80");
    server.ask("dot.ted.main.test. A").name_error(MAIN_SOA);
    server.ask("x\\.main.test. A").fails(Rcode::REFUSED);
}

/// Ü and ü in UTF-8 or Latin-1 are other octets, and no letters here.
fn case_of_other_octets_counts(server: &Server) {
    server.ask("\\195\\188ber.main.test. A").name_error(MAIN_SOA);
    server.ask("high\\223.main.test. A").name_error(MAIN_SOA);
    server.ask("HIGH\\255.main.test. A").answers("high\\255.main.test. 300 A 192.0.2.83");
}
