//! What comes of advances, reviews and decisions does not depend on the order in which they come.

use super::*;
use crate::agent::{Path, Rules};
use crate::model::entry::{Cause, Change};
use crate::model::request::{Commitment, Identity, RequestId};
use crate::model::review::{Choice, Reason, Review};
use proptest::prelude::*;

fn zone() -> Name {
    "example.".parse().expect("a name")
}

fn advance(revision: u64, key: u8, record: u8) -> Advance {
    let record = (record > 0).then(|| Box::from([record]));
    let items = vec![Item::new(Box::from([key]), record)];
    Advance { source: "nic".to_owned(), revision, head: Head::new(zone()), items }
}

fn review(revision: u64, key: u8, record: u8) -> Review {
    let change = Change {
        zone: zone(),
        incarnation: 1,
        request: RequestId([revision as u8; 32]),
        remember_until_seconds: 0,
        stands_for: Vec::new(),
        who: Identity::Source("nic".to_owned()),
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        advice: Rules::operator(),
        path: Path::Review,
        cause: Cause::Source { apply: [0; 32] },
        names: Vec::new(),
    };
    let legacy = LegacyRecord {
        source: "nic".to_owned(),
        key: Box::from([key]),
        revision,
        record: Some(Box::from([record])),
        conflict: "both-changed".to_owned(),
        place: "HOSTS.TXT, line 1".to_owned(),
        text: "HOST A".to_owned(),
        raw: b"HOST : 1.2.3.4 : A :\n".to_vec(),
    };
    Review { reason: Reason::Legacy, change, replaces: None, legacy: Some(legacy) }
}

fn at(index: u64) -> Position {
    Position { origin: Origin { site: 1, generation: 1 }, index }
}

#[derive(Default)]
struct Known {
    sources: Sources,
    reviews: Reviews,
}

impl Known {
    fn advance(&mut self, advance: &Advance) {
        self.sources.fold(at(0).origin, advance, &mut self.reviews);
    }

    fn open(&mut self, index: u64, review: &Review) {
        if let Some(decided) = self.reviews.fold_opened(at(index), 0, review) {
            self.sources.settle(&decided);
        }
    }

    fn decide(&mut self, index: u64) {
        let asker = Identity::Source("nic".to_owned());
        let cause = Cause::Review { review: at(index), choice: Choice::Keep, asker };
        if let Some(decided) = self.reviews.fold_cause(&cause) {
            self.sources.settle(&decided);
        }
    }

    fn record(&self, key: u8) -> Option<Vec<u8>> {
        let record = self.sources.get("nic")?.record(&[key])?;
        record.record().map(<[u8]>::to_vec)
    }
}

#[test]
fn a_decision_makes_what_the_source_says_its_base_whenever_it_is_heard_of() {
    for decided_first in [false, true] {
        let mut known = Known::default();
        known.advance(&advance(3, 1, 1));
        if decided_first {
            known.decide(7);
        }
        known.open(7, &review(3, 1, 2));
        assert_eq!(known.reviews.of_record("nic", &[1]).is_none(), decided_first);
        if !decided_first {
            assert_eq!(known.record(1), Some(vec![1]), "the base does not advance");
            known.decide(7);
        }
        assert_eq!(known.record(1), Some(vec![2]));
        assert_eq!(known.reviews.count(), 0);
        // The next file says something else.
        known.advance(&advance(4, 1, 3));
        assert_eq!(known.record(1), Some(vec![3]));
    }
}

#[test]
fn a_record_that_advances_needs_no_review_any_more() {
    let mut known = Known::default();
    known.open(7, &review(3, 1, 2));
    known.advance(&advance(3, 2, 1));
    assert!(known.reviews.of_record("nic", &[1]).is_some());
    known.advance(&advance(4, 1, 1));
    assert_eq!(known.reviews.of_record("nic", &[1]), None);
    let late = review(3, 1, 2);
    assert!(known.sources.is_over(late.legacy.as_ref().expect("a record")));
}

#[test]
fn open_batches_hold_their_names_until_their_time() {
    let mut known = Known::default();
    let mut held = advance(1, 1, 1);
    let names = vec!["a.example.".parse().expect("a name")];
    held.head.batch = Some(OpenBatch { spool: 1, until_ms: 1_000, names });
    known.advance(&held);
    let name = |text: &str| text.parse::<Name>().expect("a name");
    assert!(known.sources.hold(&name("A.example."), 999));
    assert!(!known.sources.hold(&name("a.example."), 1_000));
    assert!(!known.sources.hold(&name("b.example."), 999));
}

proptest! {
    #[test]
    fn the_order_of_advances_does_not_matter(
        steps in proptest::collection::vec((0u8..4, 0u8..4), 1..8),
        swaps in proptest::collection::vec(any::<(u8, u8)>(), 0..8),
    ) {
        let steps: Vec<Advance> = (1..).zip(&steps).map(|(n, (k, r))| advance(n, *k, *r)).collect();
        let mut mixed = steps.clone();
        for (a, b) in swaps {
            let n = mixed.len();
            mixed.swap(usize::from(a) % n, usize::from(b) % n);
        }
        let (mut one, mut other) = (Known::default(), Known::default());
        steps.iter().for_each(|step| one.advance(step));
        mixed.iter().for_each(|step| other.advance(step));
        for key in 0..4 {
            prop_assert_eq!(one.record(key), other.record(key));
        }
        let revision = |known: &Known| known.sources.get("nic").map(|source| source.revision);
        prop_assert_eq!(revision(&one), revision(&other));
    }
}
