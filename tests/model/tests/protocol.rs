//! The protocol without faults: no order of events in any scenario breaks a promise.

use einhorn_model::{Bug, Protocol, Scenario};
use stateright::{Checker, HasDiscoveries, Model};

/// Tries everything that may happen, and wants no promise broken and so many states seen: more or
/// fewer mean that the model has changed, and that what its documentation says is to be changed too.
fn holds(scenario: Scenario, states: usize) {
    let protocol = Protocol { scenario, bug: Bug::None };
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states);
}

#[test]
fn transactions_that_conflict() {
    holds(Scenario::CONFLICT, 0);
}

#[test]
fn transactions_that_are_forgotten() {
    holds(Scenario::FORGETTING, 0);
}

#[test]
fn transactions_and_crashes() {
    holds(Scenario::CRASHES, 0);
}

#[test]
fn a_transaction_and_a_move() {
    holds(Scenario::MOVE, 0);
}

#[test]
fn a_lost_anchor() {
    holds(Scenario::LOST_ANCHOR, 0);
}

#[test]
fn a_lost_participant() {
    holds(Scenario::LOST_PARTICIPANT, 0);
}

#[test]
fn a_participant_lost_to_the_anchor() {
    holds(Scenario::LOST_TO_ANCHOR, 0);
}

#[test]
fn rivals_for_a_lost_anchor() {
    holds(Scenario::RIVALS, 0);
}

#[test]
fn a_stopped_anchor() {
    holds(Scenario::ATTESTED_ANCHOR, 0);
}

#[test]
fn a_stopped_participant() {
    holds(Scenario::ATTESTED_PARTICIPANT, 0);
}

#[test]
fn a_stopped_participant_and_a_move() {
    holds(Scenario::ATTESTED_MOVE, 0);
}
