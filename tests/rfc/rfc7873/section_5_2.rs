//! §5.2, server behaviour.

use crate::prelude::*;

cases![
    a_client_cookie_gets_a_server_cookie,
    a_valid_cookie_is_answered,
    wrong_lengths_are_format_errors,
    a_wrong_cookie_gets_a_new_one,
    no_cookie_unasked,
    over_tcp_any_cookie_is_answered,
];

const CLIENT: &[u8; 8] = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57";

fn cookie_of(reply: &Reply) -> Vec<u8> {
    reply.edns().option(option::COOKIE).unwrap_or_else(|| panic!("no cookie\n{reply}")).to_vec()
}

/// §5.2.3: a client cookie alone gets a server cookie behind it.
fn a_client_cookie_gets_a_server_cookie(server: &Server) {
    let cookie = cookie_of(&server.send(&Query::of("main.test. SOA").option(option::COOKIE, CLIENT)));
    assert_eq!(cookie[..8], CLIENT[..]);
    assert!((16..=40).contains(&cookie.len()), "{cookie:02x?}");
}

/// §5.2.5: with a cookie of the server's own the query is answered, and gets a cookie again.
fn a_valid_cookie_is_answered(server: &Server) {
    let cookie = cookie_of(&server.send(&Query::of("main.test. SOA").option(option::COOKIE, CLIENT)));
    let reply = server.send(&Query::of("host.main.test. A").option(option::COOKIE, &cookie));
    reply.answers("host.main.test. 300 A 192.0.2.1");
    assert_eq!(cookie_of(&reply)[..8], CLIENT[..]);
}

/// §5.2.2: "the server MUST return FORMERR".
fn wrong_lengths_are_format_errors(server: &Server) {
    for length in [0, 1, 7, 9, 15, 41, 60] {
        let query = Query::of("host.main.test. A").option(option::COOKIE, &vec![1; length]);
        server.send(&query).rcode(Rcode::FORMERR);
    }
}

/// §5.2.4: a wrong server cookie is treated as none: an answer or BADCOOKIE, with a good cookie.
fn a_wrong_cookie_gets_a_new_one(server: &Server) {
    let wrong = [&CLIENT[..], &[1, 0, 0, 0], &[0; 12]].concat();
    let reply = server.send(&Query::of("host.main.test. A").option(option::COOKIE, &wrong));
    assert!([0, 23].contains(&reply.rcode.0), "{reply}");
    let cookie = cookie_of(&reply);
    assert!(cookie[..8] == CLIENT[..] && cookie != wrong, "{reply}");
}

/// §5.2.1: without the option nothing is different.
fn no_cookie_unasked(server: &Server) {
    let reply = server.send(&Query::of("host.main.test. A").edns(1232));
    reply.answers("host.main.test. 300 A 192.0.2.1");
    assert_eq!(reply.edns().option(option::COOKIE), None, "{reply}");
}

/// Over TCP the address is known: any cookie is answered.
fn over_tcp_any_cookie_is_answered(server: &Server) {
    let wrong = [&CLIENT[..], &[1, 0, 0, 0], &[0; 12]].concat();
    let reply = server.tcp(&Query::of("host.main.test. A").option(option::COOKIE, &wrong));
    reply.answers("host.main.test. 300 A 192.0.2.1");
}
