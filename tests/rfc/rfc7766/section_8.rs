//! §8, TCP message length field.

use crate::prelude::*;

cases![a_message_may_come_in_pieces, a_segment_may_hold_many_messages];

/// One octet at a time, the two of the length apart as well.
fn a_message_may_come_in_pieces(server: &Server) {
    let query = Query::of("host.main.test. A");
    let mut stream = server.connect();
    for octet in framed(&query.octets()) {
        stream.write_all(&[octet]).expect("it takes an octet");
    }
    server.read(&mut stream).of(&query).answers("host.main.test. 300 A 192.0.2.1");
}

/// §8: several messages in one segment, and a piece of the next.
fn a_segment_may_hold_many_messages(server: &Server) {
    let query = |id| Query::of("host.main.test. A").id(id);
    let mut octets: Vec<u8> = (0..10).flat_map(|id| framed(&query(id).octets())).collect();
    let rest = octets.split_off(octets.len() - 7);
    let mut stream = server.connect();
    stream.write_all(&octets).expect("it takes the queries");
    for _ in 0..9 {
        server.read(&mut stream).rcode(Rcode::NOERROR);
    }
    stream.write_all(&rest).expect("it takes the rest");
    server.read(&mut stream).rcode(Rcode::NOERROR);
}
