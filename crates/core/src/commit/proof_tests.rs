//! A site that starts asks the others how far they hold its log.

use super::*;
use crate::agent::Rules;
use crate::commit::Setup;
use crate::link::Message;
use crate::model::entry::{Body, Entry, SitesChange};
use crate::model::request::{Identity, RequestId};
use crate::model::{Effects, Registry, Site, State};

const OWN: Origin = Origin { site: 1, generation: 1 };
const BEGIN_MS: u64 = 1_000_000;

/// The first of so many sites, as it starts from its disk.
fn started(sites: u16) -> Commit<u8> {
    let site = |number: u16| Site {
        name: format!("s{number}"),
        addresses: Vec::new(),
        logs: [(1, String::new())].into(),
        mirror_keys: Vec::new(),
        certificates: Vec::new(),
        is_suspended: false,
    };
    let sites = (1..=sites).map(|number| (number, site(number))).collect();
    let registry = Registry { version: 1, home: Some(OWN), sites, ..Registry::default() };
    let registered = SitesChange {
        request: RequestId([1; 32]),
        remember_until_seconds: 5,
        who: Identity::Operator,
        registry,
    };
    let genesis = Body::Genesis { origin: OWN, name: "log".to_owned(), previous: None };
    let mut state = State::empty(OWN);
    for body in [genesis, Body::Sites(registered)] {
        let entry = Entry { time_ms: 1, body };
        state.fold(OWN, &entry, 1, &mut Effects::default()).expect("it folds");
    }
    let setup = Setup { must_prove: true, ..Setup::default() };
    let mut commit = Commit::with_sites(state, Box::new(Rules), setup);
    commit.tick(BEGIN_MS, &mut Vec::new());
    assert!(!commit.may_append());
    commit
}

/// A site says how many entries of the first one's log it holds.
fn says(commit: &mut Commit<u8>, now_ms: u64, site: u16, held: u64) {
    let origin = Origin { site, generation: 1 };
    let held = vec![(OWN, held)];
    let message = Message::State { origin, held, time_ms: now_ms, waiting: 0, oldest_ms: 0 };
    commit.peer_up(now_ms, site, &mut Vec::new());
    commit.message(now_ms, site, message, &mut Vec::new());
}

#[test]
fn it_goes_on_at_once_when_all_have_answered() {
    let mut commit = started(4);
    [2, 3, 4].into_iter().for_each(|site| {
        assert!(!commit.may_append(), "before s{site} has answered");
        says(&mut commit, BEGIN_MS + 7, site, 2);
    });
    assert!(commit.may_append());
}

#[test]
fn enough_do_after_a_while() {
    let mut commit = started(4);
    says(&mut commit, BEGIN_MS + 10, 2, 2);
    // One of three others may be one that no majority shares.
    commit.tick(BEGIN_MS + 10 * PROOF_WAIT_MS, &mut Vec::new());
    assert!(!commit.may_append(), "with one answer");
    let since = BEGIN_MS + 11 * PROOF_WAIT_MS;
    says(&mut commit, since, 3, 1);
    commit.tick(since + PROOF_WAIT_MS - 1, &mut Vec::new());
    assert!(!commit.may_append(), "before the wait is over");
    commit.tick(since + PROOF_WAIT_MS, &mut Vec::new());
    assert!(commit.may_append());
}

#[test]
fn nothing_is_added_while_somebody_holds_more() {
    let mut commit = started(4);
    says(&mut commit, BEGIN_MS, 2, 2);
    says(&mut commit, BEGIN_MS, 3, 2);
    says(&mut commit, BEGIN_MS, 4, 3);
    // Nor when it has gone again: what it holds is there for good.
    commit.peer_down(BEGIN_MS + 1, 4, &mut Vec::new());
    commit.tick(BEGIN_MS + 10 * PROOF_WAIT_MS, &mut Vec::new());
    assert!(!commit.may_append());
    commit.vouch(BEGIN_MS + 10 * PROOF_WAIT_MS, &mut Vec::new());
    assert!(commit.may_append());
}
