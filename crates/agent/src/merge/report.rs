//! Totals over many cases.

use super::{Case, Conflict, Outcome, Rule, Values, intent, merge_case};
use std::collections::BTreeMap;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One for each key, in the order of the case.
    pub outcomes: Vec<Outcome>,
    /// Keys whose result drops what a side meant. Always empty, or the rules are wrong.
    pub dropped: Vec<usize>,
}

impl Verdict {
    /// Whether a person has to look at the case.
    pub fn needs_person(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Escalated(_)))
    }

    /// The reasons why a person has to look, each once.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts: Vec<_> = self.outcomes.iter().filter_map(conflict).collect();
        conflicts.sort_unstable();
        conflicts.dedup();
        conflicts
    }

    /// The rules that settled keys, each once.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |outcome: &Outcome| match outcome {
            Outcome::Resolved(_, rule) => Some(*rule),
            Outcome::Escalated(_) => None,
        };
        let mut rules: Vec<_> = self.outcomes.iter().filter_map(rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

fn conflict(outcome: &Outcome) -> Option<Conflict> {
    match outcome {
        Outcome::Resolved(..) => None,
        Outcome::Escalated(conflict) => Some(*conflict),
    }
}

/// Merges a case and checks the result.
pub fn judge(case: &Case) -> Verdict {
    let outcomes = merge_case(&case.keys);
    let result = |outcome: &Outcome| -> Option<Values> {
        match outcome {
            Outcome::Resolved(values, _) => Some(values.clone()),
            Outcome::Escalated(_) => None,
        }
    };
    let results: Vec<_> = outcomes.iter().map(result).collect();
    let dropped = intent::dropped(&case.keys, &results);
    Verdict { outcomes, dropped }
}

/// Sums over cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cases, all of which textual merging leaves to a person.
    pub cases: usize,
    /// Cases that the rules leave to a person too.
    pub cases_needing_person: usize,
    /// Names and types in all cases.
    pub keys: usize,
    /// Those that the rules settled.
    pub keys_resolved: usize,
    /// Those among them whose result drops what a side meant.
    pub keys_intent_dropped: usize,
    /// Cases by the reason for which a person is needed; a case may have several.
    pub reasons: BTreeMap<Conflict, usize>,
}

impl Totals {
    /// Adds a case.
    pub fn add(&mut self, verdict: &Verdict) {
        self.cases += 1;
        self.cases_needing_person += usize::from(verdict.needs_person());
        self.keys += verdict.outcomes.len();
        let escalated = verdict.outcomes.iter().filter_map(conflict).count();
        self.keys_resolved += verdict.outcomes.len() - escalated;
        self.keys_intent_dropped += verdict.dropped.len();
        for conflict in verdict.conflicts() {
            *self.reasons.entry(conflict).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{Key, Side};
    use proptest::prelude::*;

    prop_compose! {
        fn any_side()(
            values in prop::collection::btree_set(
                prop::sample::select(vec!["a", "A.", "b", "c", "v=spf1 a", "v=spf1 b"]), 0..3),
            authors in prop::collection::btree_set(prop::sample::select(vec!["x", "y"]), 0..3),
            sequence in prop::option::of(0i64..3),
        ) -> Side {
            Side {
                values: values.into_iter().map(str::to_owned).collect(),
                authors: authors.into_iter().map(str::to_owned).collect(),
                sequence,
            }
        }
    }

    prop_compose! {
        fn any_key()(
            name in prop::sample::select(vec!["n", "N", "m"]),
            kind in prop::sample::select(vec!["A", "CNAME", "TXT", "MX", "URL"]),
            base in any_side(),
            ours in any_side(),
            theirs in any_side(),
            unchanged in 0..4,
        ) -> Key {
            let mut key = Key {
                name: name.into(), record_type: kind.into(), base: base.values, ours, theirs,
            };
            match unchanged {
                0 => key.ours.values = key.base.clone(),
                1 => key.theirs.values = key.base.clone(),
                _ => {}
            }
            key
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_intent_is_ever_dropped(keys in prop::collection::vec(any_key(), 0..5)) {
            let case = Case { id: "case".into(), keys };
            let verdict = judge(&case);
            prop_assert_eq!(&verdict.dropped, &Vec::<usize>::new(), "{:#?}", verdict);
        }

        #[test]
        fn which_side_is_ours_makes_no_difference(keys in prop::collection::vec(any_key(), 0..5)) {
            let exchanged = |key: &Key| {
                let key = key.clone();
                Key { ours: key.theirs, theirs: key.ours, ..key }
            };
            let other: Vec<_> = keys.iter().map(exchanged).collect();
            let needs = |keys: Vec<Key>| judge(&Case { id: "case".into(), keys }).needs_person();
            prop_assert_eq!(needs(keys), needs(other));
        }
    }
}
