//! §4.1.1, header.

use crate::prelude::*;

cases![
    the_id_comes_back,
    responses_are_not_answered,
    rd_comes_back_and_ra_does_not,
    other_flags_do_not_come_back,
    z_is_zero,
    no_question_is_a_format_error,
    a_header_alone_is_a_format_error,
    less_than_a_header_is_ignored,
    counts_that_do_not_hold_are_format_errors,
    octets_after_the_message_are_format_errors [
        Bind May "NOERROR"
            "no text says what follows from octets after the last record; BIND ignores them in \
             queries",
        Nsd May "NOERROR"
            "no text says what follows from octets after the last record; NSD ignores them in \
             queries",
    ],
];

fn the_id_comes_back(server: &Server) {
    for id in [0, 1, 0x00FF, 0xFF00, 0xFFFF] {
        server.send(&Query::of("host.main.test. A").id(id)).answers("host.main.test. 300 A 192.0.2.1");
    }
}

/// An answer to a response could go back and forth for ever.
fn responses_are_not_answered(server: &Server) {
    assert!(server.is_silent(&Query::of("host.main.test. A").flags(flag::QR).octets()));
}

fn rd_comes_back_and_ra_does_not(server: &Server) {
    server.send(&Query::of("host.main.test. A").flags(flag::RD)).set(flag::RD).clear(flag::RA);
    server.ask("host.main.test. A").clear(flag::RD | flag::RA);
    server.send(&Query::of("nowhere.main.test. A").flags(flag::RD)).set(flag::RD).clear(flag::RA);
    server.send(&Query::of("elsewhere.invalid. A").flags(flag::RD)).set(flag::RD).clear(flag::RA);
}

fn other_flags_do_not_come_back(server: &Server) {
    let query = Query::of("deleg.main.test. A").flags(flag::AA | flag::TC | flag::RA);
    server.send(&query).refers(DELEG_NS, DELEG_GLUE).clear(flag::AA | flag::TC | flag::RA);
}

/// "Must be zero in all queries and responses".
fn z_is_zero(server: &Server) {
    let reply = server.send(&Query::of("host.main.test. A").flags(flag::Z));
    reply.answers("host.main.test. 300 A 192.0.2.1").clear(flag::Z);
}

fn no_question_is_a_format_error(server: &Server) {
    server.send(&Query::empty()).fails(Rcode::FORMERR);
}

fn a_header_alone_is_a_format_error(server: &Server) {
    let mut header = Query::empty().octets();
    header[5] = 1;
    assert!(server.is_silent(&header) || server.udp(&header).rcode == Rcode::FORMERR);
}

fn less_than_a_header_is_ignored(server: &Server) {
    for length in [0, 1, 2, 11] {
        assert!(server.is_silent(&Query::of("host.main.test. A").octets()[..length]), "{length}");
    }
}

/// Sections that are announced and not there.
fn counts_that_do_not_hold_are_format_errors(server: &Server) {
    let whole = Query::of("host.main.test. A").octets();
    for at in [7, 9, 11] {
        let mut octets = whole.clone();
        octets[at] = 1;
        server.udp(&octets).rcode(Rcode::FORMERR);
    }
}

/// "unable to interpret the query".
fn octets_after_the_message_are_format_errors(server: &Server) {
    let whole = Query::of("host.main.test. A").octets();
    server.udp(&[&whole[..], &[0; 5]].concat()).rcode(Rcode::FORMERR);
}
