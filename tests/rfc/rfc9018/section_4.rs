//! §4, constructing a server cookie.

use crate::prelude::*;

cases![
    the_format_is_that_of_all_servers,
    the_time_is_now,
    servers_with_one_secret_make_the_same_cookies,
];

const CLIENT: &[u8; 8] = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57";

/// What the server has put behind the client's cookie.
fn server_cookie(server: &Server) -> Vec<u8> {
    let reply = server.send(&Query::of("main.test. SOA").option(option::COOKIE, CLIENT));
    let cookie = reply.edns().option(option::COOKIE).unwrap_or_else(|| panic!("no cookie\n{reply}"));
    cookie[8..].to_vec()
}

/// Version 1, three octets of 0, the time, and eight octets of hash.
fn the_format_is_that_of_all_servers(server: &Server) {
    let cookie = server_cookie(server);
    assert_eq!((cookie.len(), &cookie[..4]), (16, &[1, 0, 0, 0][..]), "{cookie:02x?}");
}

/// §4.3: seconds since 1970 in 32 bits, within five minutes of ours.
fn the_time_is_now(server: &Server) {
    let cookie = server_cookie(server);
    let time = u32::from_be_bytes(cookie[4..8].try_into().expect("four octets"));
    let now = einhorn_harness::now_seconds() as u32;
    assert!(now.abs_diff(time) <= 300, "{time} at {now}");
}

/// §4.4: SipHash-2-4 of the client's cookie, the first eight octets and the client's address.
#[allow(deprecated)] // of all SipHashes of the standard library, the one that the text wants
fn servers_with_one_secret_make_the_same_cookies(server: &Server) {
    use std::hash::Hasher;
    let secret: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&COOKIE_SECRET[2 * at..2 * at + 2], 16).expect("a digit"))
        .collect();
    let word = |at: usize| u64::from_le_bytes(secret[at..at + 8].try_into().expect("eight octets"));
    let cookie = server_cookie(server);
    let mut hash = std::hash::SipHasher::new_with_keys(word(0), word(8));
    hash.write(&[&CLIENT[..], &cookie[..8], &[127, 0, 0, 1]].concat());
    assert_eq!(cookie[8..], hash.finish().to_le_bytes(), "the hash of {cookie:02x?}");
}
