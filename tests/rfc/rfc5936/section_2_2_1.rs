//! §2.2.1, header values.

use crate::prelude::*;

cases![
    header [
        Knot Must "flags that must be set"
            "\"AA ... MUST be 1 if the RCODE is NOERROR\"; Knot leaves it 0 in transfers, and no \
             secondary looks at it",
    ],
    a_zone_that_is_not_served,
    without_a_key_it_is_refused,
];

/// "MUST copy the Message ID", set QR and AA, and not TC.
fn header(server: &Server) {
    for message in server.transfer("big.test.") {
        message.set(flag::QR | flag::AA).clear(flag::TC | flag::RA);
        assert_eq!(message.header.id, 0x1234, "{message}");
    }
}

/// §2.2.1: "NotAuth" for a zone that is not there.
fn a_zone_that_is_not_served(server: &Server) {
    for zone in ["elsewhere.invalid.", "host.main.test."] {
        let mut octets = Query::of(&format!("{zone} AXFR")).octets();
        sign(&mut octets);
        let mut stream = server.connect();
        stream.write_all(&framed(&octets)).expect("it takes the query");
        let reply = server.read(&mut stream);
        reply.rcode(Rcode::NOTAUTH).answer_section("");
    }
}

fn without_a_key_it_is_refused(server: &Server) {
    let reply = server.tcp(&Query::of("main.test. AXFR"));
    reply.answer_section("");
    assert!([Rcode::REFUSED, Rcode::NOTAUTH].contains(&reply.rcode), "{reply}");
}
