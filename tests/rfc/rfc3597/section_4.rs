//! §4, domain name compression.

use crate::prelude::*;

cases![names_of_later_types_are_not_compressed, data_of_unknown_types_is_opaque];

/// "MUST NOT compress domain names embedded in the RDATA of types that are class-specific or not
/// well-known": those not of RFC 1035.
fn names_of_later_types_are_not_compressed(server: &Server) {
    for (question, length) in [
        ("srv.types.test. SRV", 6 + 19),
        ("svcb.types.test. SVCB", 2 + 19 + (4 + 6) + (4 + 2) + (4 + 4)),
        ("rp.types.test. RP", 17 + 16),
        ("naptr.types.test. NAPTR", 4 + 2 + 14 + 1 + 24),
    ] {
        let reply = server.ask(question);
        assert_eq!(reply.answer.len(), 1, "{reply}");
        let (name, _) = question.split_once(' ').expect("a question");
        // Header, question, owner as a pointer or in full, ten octets of fixed fields.
        let fixed = 12 + (name.len() + 1 + 4) + 10;
        let data = reply.octets.len() - fixed - reply.authority.len();
        assert!([length + 2, length + name.len() + 1].contains(&data), "{data} octets\n{reply}");
    }
}

/// What looks like a pointer or a name in capitals comes back as it is.
fn data_of_unknown_types_is_opaque(server: &Server) {
    server
        .ask("pointerlike.types.test. TYPE65284")
        .answers(r"pointerlike.types.test. 300 TYPE65284 \# 2 C00C");
    let reply = server.ask("namelike.types.test. TYPE65285");
    assert_eq!(reply.answer[0].rdata[..], *b"\x05Types\x04Test\0", "{reply}");
}
