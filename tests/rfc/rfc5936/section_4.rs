//! §4, transport.

use crate::prelude::*;

cases![not_over_udp, the_connection_goes_on];

/// §4.2: AXFR over UDP "is not defined": some error, and never a record.
fn not_over_udp(server: &Server) {
    let mut octets = Query::of("main.test. AXFR").octets();
    sign(&mut octets);
    let reply = server.udp(&octets);
    reply.answer_section("");
    assert_ne!(reply.rcode, Rcode::NOERROR, "{reply}");
}

/// §4.1.1: the connection can be used again, for queries and transfers.
fn the_connection_goes_on(server: &Server) {
    let mut octets = Query::of("child.main.test. AXFR").octets();
    sign(&mut octets);
    let mut stream = server.connect();
    for _ in 0..2 {
        stream.write_all(&framed(&octets)).expect("it takes the query");
        let mut soas = 0;
        while soas < 2 {
            let message = server.read(&mut stream);
            soas += message.answer.iter().filter(|r| r.rtype == RecordType::SOA).count();
        }
    }
    let query = Query::of("host.main.test. A");
    stream.write_all(&framed(&query.octets())).expect("it takes the query");
    server.read(&mut stream).of(&query).answers("host.main.test. 300 A 192.0.2.1");
}
