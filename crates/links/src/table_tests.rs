//! Which of two connections stays, in every order in which the two sides can come to decide.

use super::*;
use crossbeam_channel::unbounded;
use tokio::runtime::Builder;

struct Side {
    table: Arc<Table>,
    fingerprint: Fingerprint,
}

/// Two sites that know each other and dial nobody.
fn sides(runtime: &Handle) -> [Side; 2] {
    let range = VersionRange::new(1, 1).expect("a range");
    let sides = ["berlin", "tokyo"].map(|name| {
        let identity = Identity::generate(name).expect("an identity");
        let table = Table::new(&identity, range, 1, unbounded().0, runtime.clone());
        Side { table: Arc::new(table.expect("a table")), fingerprint: identity.fingerprint() }
    });
    for (at, other) in [(0, 1), (1, 0)] {
        let peer = Peer {
            site: other as u16,
            name: sides[other].table.name.clone(),
            addresses: Vec::new(),
            certificates: vec![sides[other].fingerprint],
        };
        Table::set_peers(&sides[at].table, vec![peer]);
    }
    sides
}

/// The side `at` decides about a connection that the side `dialler` dialled.
fn decide(sides: &[Side; 2], at: usize, dialler: usize) -> Option<Arc<Connection>> {
    let other = &sides[1 - at];
    let candidate = Candidate {
        site: 1 - at as u16,
        fingerprint: other.fingerprint,
        preface: other.table.preface(),
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        dialled_here: at == dialler,
    };
    sides[at].table.adopt(&candidate).ok().map(|(connection, _)| connection)
}

/// Which side dialled the connection that counts at `at`.
fn counts(sides: &[Side; 2], at: usize) -> Option<usize> {
    let status = sides[at].table.status().remove(0);
    status.connection.map(|it| if it.dialled_here { at } else { 1 - at })
}

#[test]
fn both_sides_keep_the_same_connection_in_every_order() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    // For each dialler its two decisions: first by the one that was dialled, then by itself.
    for order in
        [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]]
    {
        let sides = sides(runtime.handle());
        let mut accepted = [None, None];
        for dialler in order {
            accepted[dialler] = match accepted[dialler] {
                None => Some(decide(&sides, 1 - dialler, dialler).is_some()),
                Some(true) => Some(decide(&sides, dialler, dialler).is_some()),
                Some(false) => Some(false),
            };
        }
        // What one side has closed, the other sees end.
        let stay = [counts(&sides, 0), counts(&sides, 1)];
        assert_eq!(stay[0], stay[1], "{order:?}");
        // Unless the other was complete before, it is the one of the name that sorts first; and a
        // site does not dial once it is connected.
        assert_eq!(stay[0], Some(0), "{order:?}");
    }
}

#[test]
fn a_newer_one_of_the_same_side_and_another_life_replace() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let sides = sides(runtime.handle());
    let first = decide(&sides, 1, 0).expect("taken");
    let second = decide(&sides, 1, 0).expect("the dialler has given up the first");
    assert_ne!(first.id, second.id);
    assert!(first.queue.push(vec![1]).is_err(), "it is closed");
    assert!(decide(&sides, 1, 1).is_none(), "berlin sorts first");
    assert!(second.queue.push(vec![1]).is_ok());
    let mut preface = sides[0].table.preface();
    preface.instance += 1;
    let candidate = Candidate {
        site: 0,
        fingerprint: sides[0].fingerprint,
        preface,
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        dialled_here: true,
    };
    assert!(sides[1].table.adopt(&candidate).is_ok(), "berlin was started again");
    assert!(second.queue.push(vec![1]).is_err(), "of its former life");
}
