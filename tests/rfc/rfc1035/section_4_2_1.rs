//! §4.2.1, UDP.

use crate::prelude::*;

cases![no_more_than_512_octets, exactly_what_fits_is_not_truncated];

fn no_more_than_512_octets(server: &Server) {
    for question in ["over512.big.test. A", "huge.big.test. TXT", "alias.big.test. A"] {
        let reply = server.ask(question);
        assert!(reply.octets.len() <= 512, "{reply}");
        reply.rcode(Rcode::NOERROR).set(flag::TC);
    }
}

/// 12 octets of header, 24 of question, 28 records of 16 octets: 484.
fn exactly_what_fits_is_not_truncated(server: &Server) {
    let reply = server.ask("fits512.big.test. A");
    reply.rcode(Rcode::NOERROR).clear(flag::TC).set(flag::AA);
    assert_eq!(reply.answer.len(), 28, "{reply}");
}
