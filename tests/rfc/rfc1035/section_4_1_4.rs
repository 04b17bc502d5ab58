//! §4.1.4, message compression.

use crate::prelude::*;

cases![
    the_question_is_what_answers_point_at,
    every_pointer_leads_back,
    pointers_in_questions_are_followed,
    pointers_that_lead_nowhere_are_format_errors,
];

/// "a pointer ... to a prior occurrence of the same name": an answer of one A is the question
/// and 16 octets.
fn the_question_is_what_answers_point_at(server: &Server) {
    let query = Query::of("host.main.test. A");
    let reply = server.send(&query);
    assert_eq!(reply.octets.len(), query.octets().len() + 16, "{reply}");
}

/// Reading refuses pointers that lead forwards; here the largest message must be readable.
fn every_pointer_leads_back(server: &Server) {
    let reply = server.tcp(&Query::of("huge.big.test. TXT"));
    assert_eq!(reply.answer.len(), 60, "{reply}");
    let reply = server.tcp(&Query::of("many.big.test. MX"));
    assert_eq!(reply.answer.len(), 16, "{reply}");
}

/// A query with this as its only name, which begins at octet 12.
fn query_of(wire: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], wire, &[0, 1, 0, 1]].concat()
}

/// It is read or refused as a whole: a pointer to the root label at the high octet of the flags, which is 0 in a query.
fn pointers_in_questions_are_followed(server: &Server) {
    let query = query_of(b"\x04host\x04main\x04test\xC0\x02");
    let rcode = (!server.is_silent(&query)).then(|| server.udp(&query).rcode);
    assert!(matches!(rcode, None | Some(Rcode::NOERROR | Rcode::FORMERR)), "{rcode:?}");
}

fn pointers_that_lead_nowhere_are_format_errors(server: &Server) {
    for wire in [&b"\xC0\x0C"[..], b"\x01a\xC0\x0C", b"\xC0\xFF", b"\xFF\xFF"] {
        let query = query_of(wire);
        assert!(server.is_silent(&query) || server.udp(&query).rcode == Rcode::FORMERR, "{wire:x?}");
    }
}
