//! Connections come and go: both sides dial, sites are removed, restarted, given new certificates,
//! or fall silent.

use crate::support::{PATIENCE, Relay, Site, Start, connect, identity, site};
use einhorn_links::{Event, Peer, PeerStatus, SILENCE_MAX, SendError};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Sends a frame over whatever connection there is, until one has come from the other side over
/// the connection that is up here, too. Returns that connection, and how many there were.
fn converse(site: &Site, to: u16, ready: &std::sync::Barrier) -> (u64, usize) {
    let begun = Instant::now();
    let (mut current, mut seen) = (None, HashSet::new());
    let mut settled = false;
    while begun.elapsed() < PATIENCE {
        match site.event() {
            Event::Up { connection, .. } => {
                assert_eq!(current, None, "two connections at one time");
                assert!(seen.insert(connection), "a connection comes twice");
                current = Some(connection);
                // It may have ended meanwhile, which its Down tells.
                let _ = site.links.send(to, connection, vec![1; 300]);
            }
            Event::Frame { connection, octets, .. } => {
                assert_eq!(current, Some(connection), "a frame of a connection that is not up");
                assert_eq!(octets, [1; 300]);
                settled = true;
            }
            Event::Down { connection, .. } => {
                assert_eq!(current.take(), Some(connection), "the end of what never began");
                settled = false;
            }
        }
        let direction = |status: &PeerStatus| status.connection.as_ref().map(|it| it.connection);
        if settled && site.links.status().first().and_then(direction) == current {
            // Later events would be a connection that did not stay.
            if site.events.recv_timeout(Duration::from_millis(300)).is_err() {
                ready.wait();
                return (current.expect("settled"), seen.len());
            }
            panic!("the connection did not stay");
        }
    }
    panic!("no connection")
}

#[test]
fn of_two_that_dial_at_once_one_connection_stays() {
    let mut replaced = 0;
    for seed in 0..12 {
        let start = |seed| Start { seed, ..Start::default() };
        let one = start(seed).site(1, identity("berlin"));
        let two = start(seed + 1000).site(2, identity("tokyo"));
        let ready = std::sync::Barrier::new(2);
        let (a, b) = std::thread::scope(|scope| {
            let (one, two, ready) = (&one, &two, &ready);
            let run = move |site: &Site, peer: Peer, to| {
                ready.wait();
                // The second never waits for the first: both dial at once.
                site.links.set_peers(vec![peer]);
                converse(site, to, ready)
            };
            let a = scope.spawn(move || run(one, two.peer(), 2));
            let b = scope.spawn(move || run(two, one.peer(), 1));
            (a.join().expect("berlin"), b.join().expect("tokyo"))
        });
        replaced += a.1 + b.1 - 2;
        let dialled = |site: &Site| {
            let status = site.links.status().remove(0);
            status.connection.expect("connected").dialled_here
        };
        assert_ne!(dialled(&one), dialled(&two), "seed {seed}: two different connections");
        assert!(one.links.send(2, a.0 + 1, vec![1]) == Err(SendError::Gone));
    }
    println!("replaced connections: {replaced}");
}

#[test]
fn a_removed_site_is_disconnected_and_comes_back_when_listed() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let (a, b) = connect(&one, &two);
    one.links.set_peers(Vec::new());
    assert_eq!(one.down(a), "the site was removed from the list");
    assert!(two.down(b).contains("the other side closed it: the site was removed from the list"));
    assert_eq!(one.links.send(2, a, vec![1]), Err(SendError::Gone));
    assert_eq!(one.links.status(), []);
    one.links.set_peers(vec![two.peer()]);
    let (c, d) = (one.up(), two.up());
    assert!(c != a && d != b);
    // The same list again changes nothing.
    one.links.set_peers(vec![two.peer()]);
    one.links.send(2, c, b"same".to_vec()).expect("taken");
    assert_eq!(two.frame(), b"same");
    // The one that was dialled removes the other.
    two.links.set_peers(Vec::new());
    assert_eq!(two.down(d), "the site was removed from the list");
    assert!(one.down(c).contains("removed"));
    one.problem("does not accept our certificate");
}

#[test]
fn another_name_is_another_site() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let (a, b) = connect(&one, &two);
    one.links.set_peers(vec![Peer { name: "kyoto".to_owned(), ..two.peer() }]);
    assert_eq!(one.down(a), "the site is another now");
    assert!(two.down(b).contains("another now"));
    one.problem("`tokyo`, but the certificate is on the card of `kyoto`");
}

#[test]
fn certificates_are_changed_without_losing_the_connection() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let (a, b) = connect(&one, &two);
    let next = identity("tokyo");
    let both = vec![two.identity.fingerprint(), next.fingerprint()];
    one.links.set_peers(vec![Peer { certificates: both, ..two.peer() }]);
    two.links.set_identity(&next).expect("a good one");
    one.links.send(2, a, b"after".to_vec()).expect("taken");
    assert_eq!(two.frame(), b"after");
    two.links.send(1, b, b"before".to_vec()).expect("taken");
    assert_eq!(one.frame(), b"before");
    // Once the old one is not accepted any more, a connection made with it ends, and the next
    // is made with the new one.
    one.links.set_peers(vec![Peer { certificates: vec![next.fingerprint()], ..two.peer() }]);
    assert_eq!(one.down(a), "its certificate is not accepted any more");
    assert!(two.down(b).contains("not accepted any more"));
    let (c, _) = (one.up(), two.up());
    one.links.send(2, c, b"new".to_vec()).expect("taken");
    assert_eq!(two.frame(), b"new");
}

#[test]
fn silence_is_noticed_on_both_sides_and_the_link_comes_back() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let relay = Relay::new(two.address());
    two.links.set_peers(vec![one.peer_undialled()]);
    one.links.set_peers(vec![Peer { addresses: vec![relay.address.to_string()], ..two.peer() }]);
    let (a, b) = (one.up(), two.up());
    // It lives without any traffic of the caller.
    one.quiet(SILENCE_MAX + Duration::from_millis(500));
    relay.fall_silent();
    let begun = Instant::now();
    for (site, connection) in [(&one, a), (&two, b)] {
        assert_eq!(site.down(connection), "nothing came for 2 s");
        let took = begun.elapsed();
        assert!(took < SILENCE_MAX + Duration::from_secs(1), "{took:?}");
    }
    one.problem("no greeting in time");
    relay.recover();
    one.up();
    two.up();
}

#[test]
fn a_restarted_site_is_connected_again_at_once() {
    let one = site(1, "berlin");
    let two = site(2, "tokyo");
    let (mut a, _) = connect(&one, &two);
    let (address, identity) = (two.address(), two.identity.clone());
    let mut two = Some(two);
    for round in 0..3 {
        drop(two.take());
        let reason = one.down(a);
        assert!(reason.contains("the site is stopping"), "{reason}");
        let begun = Instant::now();
        let again = Start { address, ..Start::default() }.site(2, identity.clone());
        again.links.set_peers(vec![one.peer_undialled()]);
        a = one.up();
        again.up();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "round {round}: {took:?}");
        two = Some(again);
    }
}

#[test]
fn the_next_address_is_tried_and_problems_are_told() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = nobody.local_addr().expect("an address").to_string();
    drop(nobody);
    two.links.set_peers(vec![one.peer_undialled()]);
    one.links.set_peers(vec![Peer { addresses: vec![gone.clone()], ..two.peer() }]);
    let problem = one.problem("refused");
    assert!(problem.starts_with(&gone), "{problem}");
    one.links
        .set_peers(vec![Peer { addresses: vec![gone, two.address().to_string()], ..two.peer() }]);
    one.up();
    two.up();
    let status = one.status(|status| status.connection.is_some());
    let connection = status.connection.expect("just seen");
    assert_eq!((connection.version, connection.dialled_here), (1, true));
    assert_eq!(connection.address, two.address());
}
