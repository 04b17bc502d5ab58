//! §6.1.1, basic elements.

use crate::prelude::*;

cases![opt_for_opt, two_opts_are_a_format_error];

/// "If an OPT record is present in a received request, compliant responders MUST include an OPT
/// record", and only then.
fn opt_for_opt(server: &Server) {
    for question in ["host.main.test. A", "nowhere.main.test. A", "elsewhere.invalid. A"] {
        let reply = server.send(&Query::of(question).edns(1232));
        assert_eq!((reply.edns().version, reply.edns().owner.is_root()), (0, true), "{reply}");
        let reply = server.ask(question);
        assert!(reply.opt.is_none(), "{reply}");
    }
}

/// "more than one OPT ... FORMERR MUST be returned".
fn two_opts_are_a_format_error(server: &Server) {
    let query = Query::of("host.main.test. A").edns(1232);
    let mut octets = query.octets();
    octets[11] = 2;
    octets.extend(query.opt_octets());
    server.udp(&octets).rcode(Rcode::FORMERR);
}
