//! §2, brief description of the protocol.

use crate::prelude::*;

cases![
    whoever_is_current_gets_the_soa,
    what_does_not_fit_a_datagram_is_the_soa [
        Nsd Must "records in all"
            "\"the query is responded to with a single SOA record\"; NSD without differences \
             sends as much of the zone as fits, without TC",
    ],
    without_history_the_zone_comes_whole,
];

/// A signed IXFR of main.test. from this serial.
fn ixfr(serial: u32) -> Vec<u8> {
    let mut octets = Query::of("main.test. IXFR").octets();
    octets[9] = 1;
    // The owner is a pointer at the question; MNAME and RNAME are the root.
    octets.extend(b"\xC0\x0C\0\x06\0\x01\0\0\0\0\0\x16\0\0");
    octets.extend(serial.to_be_bytes());
    octets.extend([0; 16]);
    sign(&mut octets);
    octets
}

/// "If an IXFR query with the same or newer version number ... replied to with a single SOA".
fn whoever_is_current_gets_the_soa(server: &Server) {
    let soa = "main.test. 300 SOA ns1.main.test. hostmaster.main.test. 7 3600 600 86400 60";
    let reply = server.udp(&ixfr(7));
    reply.rcode(Rcode::NOERROR).answer_section(soa);
    let mut stream = server.connect();
    stream.write_all(&framed(&ixfr(7))).expect("it takes the query");
    server.read(&mut stream).rcode(Rcode::NOERROR).answer_section(soa);
}

/// "If the UDP reply does not fit, the query is responded to with a single SOA record".
fn what_does_not_fit_a_datagram_is_the_soa(server: &Server) {
    let reply = server.udp(&ixfr(6));
    reply.rcode(Rcode::NOERROR);
    assert_eq!(reply.answer_order(), ["main.test. SOA"], "{reply}");
}

/// §4: without the differences, the whole zone.
fn without_history_the_zone_comes_whole(server: &Server) {
    let mut stream = server.connect();
    stream.write_all(&framed(&ixfr(6))).expect("it takes the query");
    let reply = server.read(&mut stream);
    reply.rcode(Rcode::NOERROR);
    assert!(reply.answer.len() > 2 && reply.answer[1].rtype != RecordType::SOA, "{reply}");
}
