//! The protocol with one fault put in: the checker must find each.

#![allow(
    clippy::print_stdout,
    reason = "how a promise was broken is what the tests are run to see"
)]

use einhorn_model::{Bug, Protocol, Scenario};
use stateright::{Checker, HasDiscoveries, Model};

/// Wants one of these promises broken, and prints how.
fn is_found(bug: Bug, scenario: Scenario, promises: &[&'static str]) {
    let protocol = Protocol { scenario, bug };
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = promises.iter().find_map(|promise| Some((*promise, checker.discovery(promise)?)));
    let (promise, path) = broken.unwrap_or_else(|| {
        let found: Vec<_> = checker.discoveries().into_keys().collect();
        panic!(
            "{bug:?} broke none of {promises:?} in {} states, but {found:?}",
            checker.unique_state_count()
        )
    });
    println!("{bug:?}: not so that {promise}");
    path.into_actions().iter().for_each(|action| println!("    {action:?}"));
}

#[test]
fn early_commit() {
    is_found(Bug::EarlyCommit, Scenario::CONFLICT, &["a transaction is made as a whole"]);
}

#[test]
fn unilateral_abort() {
    is_found(Bug::UnilateralAbort, Scenario::CONFLICT, &["no update is lost"]);
}

#[test]
fn ignored_intent() {
    is_found(Bug::IgnoredIntent, Scenario::CONFLICT, &["no update is lost"]);
}

#[test]
fn move_under_intent() {
    is_found(Bug::MoveUnderIntent, Scenario::MOVE, &["no update is lost"]);
}

#[test]
fn forgotten_watermark() {
    is_found(Bug::ForgottenWatermark, Scenario::FORGETTING, &["a transaction has one outcome"]);
}

#[test]
fn two_endorsements() {
    is_found(Bug::TwoEndorsements, Scenario::RIVALS, &["a lost log has one successor"]);
}

#[test]
fn anchor_without_intent() {
    is_found(Bug::AnchorWithoutIntent, Scenario::CONFLICT, &["no update is lost"]);
}

#[test]
fn foreign_abort() {
    is_found(Bug::ForeignAbort, Scenario::CONFLICT, &["a transaction has one outcome"]);
}

#[test]
fn short_prefix() {
    is_found(Bug::ShortPrefix, Scenario::LOST_ANCHOR, &["what others hold counts"]);
}

#[test]
fn early_charge() {
    is_found(Bug::EarlyCharge, Scenario::LOST_ANCHOR, &["a transaction has one outcome"]);
}

#[test]
fn endorser_copies_on() {
    is_found(Bug::EndorserCopiesOn, Scenario::LOST_ANCHOR, &["what others hold counts"]);
}

#[test]
fn freed_at_finish() {
    is_found(Bug::FreedAtFinish, Scenario::LOST_PARTICIPANT, &["no update is lost"]);
}

#[test]
fn successor_commits() {
    is_found(Bug::SuccessorCommits, Scenario::ATTESTED_ANCHOR, &["sites do not diverge"]);
}

#[test]
fn intent_after_finish() {
    is_found(Bug::IntentAfterFinish, Scenario::ATTESTED_ANCHOR, &["no name stays blocked"]);
}

#[test]
fn epoch_as_for_move() {
    // One update at the home that only the tail knows, two at the successor.
    let scenario = Scenario { updates: [0, 3], ..Scenario::ATTESTED_MOVE };
    is_found(Bug::EpochAsForMove, scenario, &["sites do not diverge"]);
}

#[test]
fn sent_before_durable() {
    is_found(Bug::SentBeforeDurable, Scenario::CRASHES, &["no update is lost"]);
}
