//! §6.1.2, wire format.

use crate::prelude::*;

cases![
    opt_belongs_to_the_root [
        Knot Must "NOERROR"
            "\"NAME ... MUST be 0 (root domain)\"; Knot does not look at the owner of an OPT \
             record in a query",
    ],
    unknown_options_are_ignored,
    broken_options_are_format_errors,
];

/// "NAME ... MUST be 0 (root domain)".
fn opt_belongs_to_the_root(server: &Server) {
    let query = Query::of("host.main.test. A").edns(1232);
    let mut octets = query.octets();
    let at = octets.len() - query.opt_octets().len();
    octets.splice(at..=at, *b"\x01a\0");
    server.udp(&octets).rcode(Rcode::FORMERR);
}

/// "Any OPTION-CODE values not understood by a responder ... MUST be ignored".
fn unknown_options_are_ignored(server: &Server) {
    let query = Query::of("host.main.test. A").option(option::UNKNOWN, b"anything");
    let reply = server.send(&query);
    reply.answers("host.main.test. 300 A 192.0.2.1");
    assert_eq!(reply.edns().option(option::UNKNOWN), None, "{reply}");
}

/// An option longer than the record that holds it.
fn broken_options_are_format_errors(server: &Server) {
    let query = Query::of("host.main.test. A").raw_options(&[0xFD, 0xE9, 0, 9, 1]);
    server.udp(&query.octets()).rcode(Rcode::FORMERR);
    let query = Query::of("host.main.test. A").raw_options(&[0xFD]);
    server.udp(&query.octets()).rcode(Rcode::FORMERR);
}
