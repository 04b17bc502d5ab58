//! The protocol without faults: no order of events in any scenario breaks a promise.

#![allow(clippy::print_stdout, reason = "the number of states stands in the documentation")]

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
    holds(Scenario::CONFLICT, 204_903);
}

#[test]
fn transactions_that_are_forgotten() {
    holds(Scenario::FORGETTING, 139_557);
}

#[test]
fn transactions_and_crashes() {
    holds(Scenario::CRASHES, 780_940);
}

#[test]
fn a_transaction_and_a_move() {
    holds(Scenario::MOVE, 196_520);
}

#[test]
fn a_lost_anchor() {
    holds(Scenario::LOST_ANCHOR, 1_489_795);
}

#[test]
fn a_lost_participant() {
    holds(Scenario::LOST_PARTICIPANT, 239_032);
}

#[test]
fn a_participant_lost_to_the_anchor() {
    holds(Scenario::LOST_TO_ANCHOR, 388_861);
}

#[test]
fn rivals_for_a_lost_anchor() {
    holds(Scenario::RIVALS, 168_111);
}

#[test]
fn a_stopped_anchor() {
    holds(Scenario::ATTESTED_ANCHOR, 251_853);
}

#[test]
fn a_stopped_participant() {
    holds(Scenario::ATTESTED_PARTICIPANT, 135_927);
}

#[test]
fn a_stopped_participant_and_a_move() {
    holds(Scenario::ATTESTED_MOVE, 485_100);
}
