//! §4.2.2, TCP.

use crate::prelude::*;

cases![two_octets_of_length, what_is_truncated_over_udp_is_whole_over_tcp];

fn two_octets_of_length(server: &Server) {
    let reply = server.tcp(&Query::of("host.main.test. A"));
    reply.answers("host.main.test. 300 A 192.0.2.1");
}

fn what_is_truncated_over_udp_is_whole_over_tcp(server: &Server) {
    for (question, count) in [("over512.big.test. A", 40), ("huge.big.test. TXT", 60)] {
        let reply = server.tcp(&Query::of(question));
        reply.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::TC);
        assert_eq!(reply.answer.len(), count, "{reply}");
    }
}
