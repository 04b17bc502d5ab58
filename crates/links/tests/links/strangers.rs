//! Those who must not get in, and those who speak otherwise.

use crate::support::{PATIENCE, Start, connect, identity, range, site};
use einhorn_links::identity::hex;
use einhorn_links::{Event, Peer};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Long enough for several attempts.
const A_WHILE: Duration = Duration::from_millis(700);

#[test]
fn a_certificate_on_no_card_does_not_get_in() {
    let (berlin, stranger) = (site(1, "berlin"), site(2, "tokyo"));
    // Berlin knows a tokyo, but with another certificate.
    let certificates = vec![identity("tokyo").fingerprint()];
    berlin.links.set_peers(vec![Peer { certificates, ..stranger.peer_undialled() }]);
    stranger.links.set_peers(vec![berlin.peer()]);
    stranger.problem("does not accept our certificate: has it been given our card?");
    stranger.quiet(A_WHILE);
    berlin.quiet(Duration::ZERO);
}

#[test]
fn a_listener_with_another_certificate_is_not_talked_to() {
    let (berlin, tokyo) = (site(1, "berlin"), site(2, "tokyo"));
    let certificates = vec![[7; 32]];
    berlin.links.set_peers(vec![Peer { certificates, ..tokyo.peer() }]);
    tokyo.links.set_peers(vec![berlin.peer_undialled()]);
    let problem = berlin.problem("not on the card of `tokyo`");
    assert!(problem.contains(&hex(&tokyo.identity.fingerprint())), "{problem}");
    assert!(problem.contains(&tokyo.address().to_string()), "{problem}");
    berlin.quiet(A_WHILE);
    tokyo.quiet(Duration::ZERO);
}

#[test]
fn a_site_must_have_the_name_on_its_card() {
    let (berlin, tokyo) = (site(1, "berlin"), site(2, "tokyo"));
    let kyoto = Peer { name: "kyoto".to_owned(), ..tokyo.peer_undialled() };
    berlin.links.set_peers(vec![kyoto]);
    tokyo.links.set_peers(vec![berlin.peer()]);
    berlin.problem("calls itself `tokyo`, but the certificate is on the card of `kyoto`");
    tokyo.problem("the other side refused: a site calls itself `tokyo`");
    berlin.quiet(Duration::ZERO);
}

#[test]
fn the_highest_common_version_is_spoken() {
    let old = site(1, "berlin");
    let new = Start { versions: range(1, 2), ..Start::default() }.site(2, identity("tokyo"));
    old.links.set_peers(vec![new.peer_undialled()]);
    new.links.set_peers(vec![old.peer()]);
    for site in [&old, &new] {
        assert!(matches!(site.event(), Event::Up { version: 1, .. }));
    }
}

#[test]
fn without_a_common_version_both_say_so() {
    let old = site(1, "berlin");
    let new = Start { versions: range(2, 2), ..Start::default() }.site(2, identity("tokyo"));
    old.links.set_peers(vec![new.peer_undialled()]);
    new.links.set_peers(vec![old.peer()]);
    let ranges = "`berlin` knows version 1 of the protocol, `tokyo` knows version 2";
    let said = old.problem(ranges);
    assert!(said.ends_with("update the older one"), "{said}");
    new.problem(ranges);
    new.quiet(A_WHILE);
    old.quiet(Duration::ZERO);
}

/// Sends octets and returns how long it takes until the other side hangs up.
fn knock(address: std::net::SocketAddr, octets: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    // It may hang up while this is still being sent.
    let _ = stream.write_all(octets);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    begun.elapsed()
}

#[test]
fn what_is_not_tls_is_hung_up_on_and_harms_nobody() {
    let (berlin, tokyo) = (site(1, "berlin"), site(2, "tokyo"));
    let (_, connection) = connect(&tokyo, &berlin);
    let noise: Vec<u8> = (0..100_000u32).map(|at| (at.wrapping_mul(at) >> 5) as u8).collect();
    // The beginning of a TLS record that promises more than comes.
    let half = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for octets in [&b"GET / HTTP/1.1\r\n\r\n"[..], &noise, &[0; 5], &[22, 3, 1, 0, 0]] {
        let took = knock(berlin.address(), octets);
        assert!(took < Duration::from_secs(2), "{took:?} for {:?}", &octets[..5]);
    }
    // Many that say nothing at all, or only begin.
    let silent: Vec<TcpStream> =
        (0..10).map(|_| TcpStream::connect(berlin.address()).expect("it listens")).collect();
    let took = knock(berlin.address(), &half);
    let limit = Duration::from_secs(2)..Duration::from_secs(6);
    assert!(limit.contains(&took), "the time limit of handshakes: {took:?}");
    drop(silent);
    berlin.links.send(2, connection, b"still here".to_vec()).expect("taken");
    assert_eq!(tokyo.frame(), b"still here");
    berlin.quiet(Duration::ZERO);
}
