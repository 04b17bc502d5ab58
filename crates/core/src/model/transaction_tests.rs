//! Intents and decisions, folded in any mixture of logs; read and written.

use super::*;
use crate::agent::Rules;
use crate::model::entry::{Cause, NameChange};
use crate::model::request::{Commitment, Identity, RequestId};
use einhorn_wire::Name;
use proptest::prelude::*;

fn origin(site: u16) -> Origin {
    Origin { site, generation: 1 }
}

fn changes(name: &str) -> Vec<Change> {
    let owner: Name = name.parse().expect("a name");
    vec![Change {
        zone: "z.".parse().expect("a name"),
        incarnation: 1,
        request: RequestId([1; 32]),
        remember_until_seconds: 1,
        who: Identity::Operator,
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        stands_for: Vec::new(),
        advice: Rules::several_homes(),
        path: crate::agent::Path::MultiPhase,
        cause: Cause::Update,
        names: vec![NameChange {
            owner,
            home: origin(1),
            epoch: 1,
            version: 1,
            sequence: 1,
            previous: None,
            before: Vec::new(),
            after: Vec::new(),
            leases: Vec::new(),
        }],
    }]
}

fn transaction(number: u8, deadline_ms: u64) -> Transaction {
    let participants = vec![origin(1), origin(2)];
    let (id, coordinator) = (TransactionId([number; 16]), origin(3));
    Transaction { id, coordinator, participants, deadline_ms }
}

/// One thing that a log says of the transaction.
#[derive(Clone, Copy, Debug)]
enum Said {
    Intent,
    Decision,
    Finish(u16),
}

fn fold(all: &mut Transactions, site: u16, index: u64, said: Said) {
    let (transaction, at) = (transaction(7, 1_000), Position { origin: origin(site), index });
    match said {
        Said::Intent => all.fold_intent(at, 400, &transaction, &changes(&format!("n{site}.z."))),
        Said::Decision => {
            let intents = Vec::new();
            all.fold_decision(Decided { at, is_commit: true, transaction, intents });
        }
        Said::Finish(participant) => {
            all.fold_finish(transaction.id, origin(participant), true, 500)
        }
    }
}

/// What each site's log says; the third has taken over the second.
const LOGS: [&[Said]; 3] =
    [&[Said::Intent, Said::Decision, Said::Finish(1)], &[Said::Intent], &[Said::Finish(2)]];

proptest! {
    /// However logs are mixed, the same comes out.
    #[test]
    fn logs_fold_in_any_mixture(choices in proptest::collection::vec(0usize..3, 30)) {
        let mut all = Transactions::default();
        let mut next = [0; 3];
        for log in choices.into_iter().chain([0, 0, 0, 1, 2]) {
            if let Some(said) = LOGS[log].get(next[log]) {
                fold(&mut all, log as u16 + 1, next[log] as u64, *said);
                next[log] += 1;
            }
        }
        let id = TransactionId([7; 16]);
        prop_assert_eq!(all.intents().count(), 0);
        prop_assert!(!all.blocks("n1.z.".parse::<Name>().expect("a name").canonical_key().as_ref()));
        prop_assert!(all.decided(id).is_some());
        prop_assert!(!all.may_be_forgotten(&transaction(7, 1_000)));
        // Whoever waits for its level, or asks again, must still find what it rests on.
        all.fold_finish(TransactionId([8; 16]), origin(1), false, 1_001);
        prop_assert!(all.decided(id).is_some());
        // Once its time is over for long, anything that is finished has it forgotten.
        all.fold_finish(TransactionId([8; 16]), origin(1), false, 1_001 + KEPT_MS);
        prop_assert!(all.decided(id).is_none());
        prop_assert!(all.may_be_forgotten(&transaction(7, 1_000)));
        prop_assert!(all.closed_early.is_empty());
    }
}

#[test]
fn an_intent_blocks_its_names_until_its_log_says_that_it_is_over() {
    let mut all = Transactions::default();
    let blocks = |all: &Transactions, name: &str| {
        all.blocks(name.parse::<Name>().expect("a name").canonical_key().as_ref())
    };
    fold(&mut all, 2, 0, Said::Intent);
    fold(&mut all, 1, 0, Said::Decision);
    assert!(blocks(&all, "n2.z.") && blocks(&all, "N2.Z."));
    assert!(!blocks(&all, "n1.z.") && !blocks(&all, "z.") && !blocks(&all, "a.n2.z."));
    fold(&mut all, 1, 1, Said::Finish(1));
    assert!(blocks(&all, "n2.z."));
    fold(&mut all, 2, 1, Said::Finish(2));
    assert!(!blocks(&all, "n2.z."));
}

#[test]
fn names_stay_blocked_where_the_decision_is_not_known() {
    let key = "n2.z.".parse::<Name>().expect("a name").canonical_key().as_ref().to_vec();
    // The finish before the decision, in either order with the intent.
    for order in [[Said::Intent, Said::Finish(2)], [Said::Finish(2), Said::Intent]] {
        let mut all = Transactions::default();
        order.into_iter().for_each(|said| fold(&mut all, 2, 0, said));
        assert!(all.blocks(&key), "{order:?}");
        fold(&mut all, 1, 0, Said::Decision);
        assert!(!all.blocks(&key), "{order:?}");
        assert_eq!(all.intents().count(), 0);
    }
}

#[test]
fn snapshots_hold_all_of_it() {
    let mut all = Transactions::default();
    fold(&mut all, 2, 0, Said::Intent);
    fold(&mut all, 1, 0, Said::Decision);
    fold(&mut all, 3, 0, Said::Finish(1));
    all.fold_finish(TransactionId([9; 16]), origin(3), true, 2_000);
    let mut octets = Vec::new();
    all.put(&mut Put(&mut octets));
    let mut take = Take { rest: &octets };
    let read = Transactions::take(&mut take).expect("what was written");
    assert!(take.end().is_ok());
    assert_eq!(read, all);
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = TransactionId(*b"0123456789abcdef");
    assert_eq!(id.to_string().parse(), Ok(id));
    for wrong in ["", "12", &"g".repeat(32), &"é".repeat(16), &format!("{id}0")] {
        assert!(wrong.parse::<TransactionId>().is_err(), "{wrong}");
    }
}
