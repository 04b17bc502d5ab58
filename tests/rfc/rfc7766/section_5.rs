//! §5, transport protocol selection.

use crate::prelude::*;

cases![
    a_half_closed_connection_is_answered,
    payload_sizes_mean_nothing,
    short_messages_harm_nobody,
    both_transports_say_the_same,
];

/// A client that sends no more may still read.
fn a_half_closed_connection_is_answered(server: &Server) {
    let query = Query::of("host.main.test. A");
    let mut stream = server.connect();
    stream.write_all(&framed(&query.octets())).expect("it takes the query");
    stream.shutdown(std::net::Shutdown::Write).expect("it is half closed");
    server.read(&mut stream).of(&query).answers("host.main.test. 300 A 192.0.2.1");
}

/// The limits of UDP are none here, with or without EDNS.
fn payload_sizes_mean_nothing(server: &Server) {
    for query in [Query::of("over1232.big.test. A"), Query::of("over1232.big.test. A").edns(512)] {
        let reply = server.tcp(&query);
        reply.clear(flag::TC);
        assert_eq!(reply.answer.len(), 95, "{reply}");
    }
}

/// A message too short for a header ends or is passed over; the server goes on.
fn short_messages_harm_nobody(server: &Server) {
    for short in [&[][..], &[0], &[0; 11]] {
        let mut stream = server.connect();
        stream.write_all(&framed(short)).expect("it takes it");
        drop(stream);
        server.tcp(&Query::of("host.main.test. A")).answers("host.main.test. 300 A 192.0.2.1");
    }
}

/// Requests and responses over UDP and TCP say the same.
fn both_transports_say_the_same(server: &Server) {
    for question in ["host.main.test. A", "nowhere.main.test. A", "x.deleg.main.test. A"] {
        let (udp, tcp) = (server.ask(question), server.tcp(&Query::of(question)));
        assert_eq!(normal(&udp.answer), normal(&tcp.answer));
        assert_eq!(normal(&udp.authority), normal(&tcp.authority));
        assert_eq!(udp.header.flags, tcp.header.flags, "{udp}{tcp}");
    }
}
