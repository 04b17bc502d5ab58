//! §6.2.3, requestor’s payload size.

use crate::prelude::*;

cases![less_than_512_is_512, the_payload_is_a_limit, the_servers_own_payload];

/// "Values lower than 512 MUST be treated as equal to 512".
fn less_than_512_is_512(server: &Server) {
    for payload in [0, 100, 511, 512] {
        let reply = server.send(&Query::of("fits512.big.test. A").edns(payload));
        reply.rcode(Rcode::NOERROR).clear(flag::TC);
        assert_eq!(reply.answer.len(), 28, "{reply}");
        let reply = server.send(&Query::of("over512.big.test. A").edns(payload));
        reply.set(flag::TC);
        assert!(reply.octets.len() <= 512, "{reply}");
    }
}

fn the_payload_is_a_limit(server: &Server) {
    for payload in [600, 676, 700, 1000, 1232] {
        let reply = server.send(&Query::of("over512.big.test. A").edns(payload));
        assert!(reply.octets.len() <= payload.into(), "{payload}: {reply}");
        let needed = 12 + 22 + 40 * 16 + 11;
        assert_eq!(reply.has(flag::TC), needed > payload.into(), "{payload}: {reply}");
    }
}

/// The advertised size is the server's own, whatever the client's, and at least 512.
fn the_servers_own_payload(server: &Server) {
    for payload in [512, 4096, 65_535] {
        let reply = server.send(&Query::of("host.main.test. A").edns(payload));
        assert!(reply.edns().payload >= 512, "{reply}");
    }
}
