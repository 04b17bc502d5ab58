//! §7, transport considerations.

use crate::prelude::*;

cases![format_errors_have_opt_where_there_was_one, opt_outside_the_additional_section];

/// "FORMERR ... MUST also be returned" with an OPT where the query had one that could be read.
fn format_errors_have_opt_where_there_was_one(server: &Server) {
    let reply = server.udp(&Query::empty().edns(1232).option(option::NSID, b"").octets());
    assert!(reply.opt.is_some(), "{reply}");
}

/// An OPT in the answer or authority section of a query is no OPT.
fn opt_outside_the_additional_section(server: &Server) {
    let query = Query::of("host.main.test. A").edns(1232);
    let mut octets = query.octets();
    octets[11] = 0;
    octets[7] = 1;
    let reply = server.udp(&octets);
    assert!([Rcode::FORMERR, Rcode::NOERROR].contains(&reply.rcode), "{reply}");
}
