//! Whether what clients saw can be explained by one order of all changes.
//!
//! A history is linearizable if each change can be given one moment between its sending and its
//! answer, such that changes made one by one at these moments come to what clients saw (Herlihy and
//! Wing, 1990). A change without an answer may have happened at any later moment, or never. Changes
//! of several names happen at one moment for all of them. The search goes through the orders that
//! are possible and remembers which situations lead nowhere (Wing and Gong, 1993; Lowe, 2017).

use std::collections::HashSet;

/// Situations that are looked at before the search is given up.
const SITUATIONS_MAX: usize = 200_000;

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its conditions held, and it was done.
    Done,
    /// One of its conditions did not hold.
    Refused,
    /// Nothing that says so.
    Unknown,
}

/// A change, or a look: a change that changes nothing. Names are numbers.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// When it was sent and answered, in any unit; without an answer the end is of no matter.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// What names must have had.
    pub(crate) expects: Vec<(usize, u32)>,
    /// What they had from then on.
    pub(crate) writes: Vec<(usize, u32)>,
    pub(crate) fate: Fate,
}

/// A part of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Situation {
    /// Which operations it has: one bit for each.
    has: Vec<u64>,
    /// What names have then.
    values: Vec<u32>,
}

/// A situation and the ways that are left to go on from it.
struct Step {
    situation: Situation,
    choices: Vec<usize>,
}

impl Situation {
    fn has(&self, at: usize) -> bool {
        self.has[at / 64] >> (at % 64) & 1 == 1
    }

    fn fits(&self, operation: &Operation) -> bool {
        let holds = operation.expects.iter().all(|(name, value)| self.values[*name] == *value);
        holds == (operation.fate != Fate::Refused)
    }

    fn take(&mut self, at: usize, operation: &Operation) {
        self.has[at / 64] |= 1 << (at % 64);
        if operation.fate != Fate::Refused {
            operation.writes.iter().for_each(|(name, value)| self.values[*name] = *value);
        }
    }
}

/// Finds an order that explains all of it; without one, the point that no order comes beyond.
/// `values` is what names have at first.
pub(crate) fn explain(values: &[u32], mut operations: Vec<Operation>) -> Result<(), String> {
    operations.sort_by_key(|operation| operation.began);
    let has = vec![0; operations.len().div_ceil(64)];
    let mut seen = HashSet::new();
    let mut furthest: (usize, String) = (0, "nothing fits the beginning".to_owned());
    let begin = Situation { has, values: values.to_vec() };
    let Some(first) = step(&operations, begin) else { return Ok(()) };
    let mut steps = vec![first];
    while let Some(last) = steps.last_mut() {
        let Some(at) = last.choices.pop() else {
            steps.pop();
            continue;
        };
        let mut situation = last.situation.clone();
        situation.take(at, &operations[at]);
        let Some(next) = step(&operations, situation) else { return Ok(()) };
        let count = next.situation.has.iter().map(|word| word.count_ones() as usize).sum();
        if count > furthest.0 {
            furthest = (count, describe(&operations, &next.situation));
        }
        if seen.len() >= SITUATIONS_MAX {
            return Err(format!("given up after {SITUATIONS_MAX} situations; {}", furthest.1));
        }
        if seen.insert(next.situation.clone()) {
            steps.push(next);
        }
    }
    Err(format!("no order explains more than {} operations; {}", furthest.0, furthest.1))
}

/// Those that can be next: none of the rest was answered before they were sent.
fn open<'o>(
    operations: &'o [Operation],
    situation: &'o Situation,
) -> impl Iterator<Item = (usize, &'o Operation)> {
    let rest = || operations.iter().enumerate().filter(|(at, _)| !situation.has(*at));
    let answered = rest().filter(|(_, operation)| operation.fate != Fate::Unknown);
    let horizon = answered.map(|(_, operation)| operation.ended).min().unwrap_or(0);
    rest().take_while(move |(_, operation)| operation.began <= horizon)
}

/// How to go on; `None` when nothing is left that has to be explained.
fn step(operations: &[Operation], mut situation: Situation) -> Option<Step> {
    // What changes nothing and can be next may as well be next at once.
    loop {
        let is_idle = |operation: &Operation| {
            operation.fate == Fate::Refused
                || (operation.fate == Fate::Done && operation.writes.is_empty())
        };
        let idle: Vec<usize> = open(operations, &situation)
            .filter(|(_, operation)| is_idle(operation) && situation.fits(operation))
            .map(|(at, _)| at)
            .collect();
        if idle.is_empty() {
            break;
        }
        idle.into_iter().for_each(|at| situation.take(at, &operations[at]));
    }
    let mut rest = operations.iter().enumerate().filter(|(at, _)| !situation.has(*at));
    if rest.all(|(_, operation)| operation.fate == Fate::Unknown) {
        return None;
    }
    let mut choices: Vec<usize> = open(operations, &situation)
        .filter(|(_, operation)| !operation.writes.is_empty() && situation.fits(operation))
        .map(|(at, _)| at)
        .collect();
    // The last is tried first: what was answered first, and what was not answered in the end.
    choices.sort_by_key(|at| {
        let operation = &operations[*at];
        let is_known = operation.fate != Fate::Unknown;
        (is_known, std::cmp::Reverse(operation.ended))
    });
    Some(Step { situation, choices })
}

fn describe(operations: &[Operation], situation: &Situation) -> String {
    let open: Vec<String> =
        open(operations, situation).map(|(_, operation)| format!("{operation:?}")).collect();
    format!("then names have {:?}, and next could be:\n{}", situation.values, open.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Fate, Operation, explain};

    fn operation(
        (began, ended): (u64, u64),
        expects: &[(usize, u32)],
        writes: &[(usize, u32)],
        fate: Fate,
    ) -> Operation {
        Operation { began, ended, expects: expects.to_vec(), writes: writes.to_vec(), fate }
    }

    fn done(time: (u64, u64), expects: &[(usize, u32)], writes: &[(usize, u32)]) -> Operation {
        operation(time, expects, writes, Fate::Done)
    }

    #[track_caller]
    fn must_fail(operations: Vec<Operation>) {
        let shown = format!("{operations:#?}");
        assert!(explain(&[0, 0], operations).is_err(), "an order was found for {shown}");
    }

    #[track_caller]
    fn must_pass(operations: Vec<Operation>) {
        explain(&[0, 0], operations).unwrap_or_else(|why| panic!("{why}"));
    }

    #[test]
    fn a_lost_change_is_found() {
        must_fail(vec![done((0, 1), &[], &[(0, 1)]), done((2, 3), &[(0, 0)], &[(0, 2)])]);
    }

    #[test]
    fn two_changes_from_the_same_value_are_found() {
        must_fail(vec![done((0, 9), &[(0, 0)], &[(0, 1)]), done((0, 9), &[(0, 0)], &[(0, 2)])]);
    }

    #[test]
    fn a_wrong_refusal_is_found() {
        must_fail(vec![operation((0, 1), &[(0, 0)], &[(0, 1)], Fate::Refused)]);
        must_fail(vec![
            done((0, 1), &[], &[(0, 1), (1, 1)]),
            operation((2, 3), &[(0, 1), (1, 1)], &[(0, 2)], Fate::Refused),
        ]);
    }

    #[test]
    fn a_half_of_a_change_is_found() {
        must_fail(vec![done((0, 9), &[], &[(0, 1), (1, 1)]), done((2, 3), &[(0, 1), (1, 0)], &[])]);
        must_fail(vec![
            done((0, 9), &[(0, 0), (1, 0)], &[(0, 1), (1, 1)]),
            done((0, 9), &[(0, 0), (1, 0)], &[(0, 2)]),
        ]);
    }

    #[test]
    fn an_effect_before_its_cause_is_found() {
        must_fail(vec![
            done((0, 1), &[(0, 5)], &[]),
            operation((2, 3), &[], &[(0, 5)], Fate::Unknown),
        ]);
    }

    #[test]
    fn a_value_that_comes_back_is_found() {
        must_fail(vec![
            operation((0, 1), &[], &[(0, 1)], Fate::Unknown),
            done((2, 3), &[(0, 1)], &[(0, 2)]),
            done((4, 5), &[(0, 1)], &[]),
        ]);
    }

    #[test]
    fn orders_of_two_names_must_agree() {
        // Each name by itself could be explained.
        must_fail(vec![done((0, 9), &[(1, 0)], &[(0, 1)]), done((0, 9), &[(0, 0)], &[(1, 1)])]);
    }

    #[test]
    fn what_was_not_answered_may_happen_later_or_never() {
        let late = || operation((0, 1), &[(0, 0)], &[(0, 7), (1, 7)], Fate::Unknown);
        must_pass(vec![late(), done((5, 6), &[(0, 0)], &[(0, 1)])]);
        must_pass(vec![late(), done((5, 6), &[(0, 0), (1, 0)], &[]), done((7, 8), &[(1, 7)], &[])]);
        must_pass(vec![late(), operation((5, 6), &[(0, 0)], &[(0, 1)], Fate::Refused)]);
    }

    #[test]
    fn what_overlaps_may_be_in_either_order() {
        for first in [1, 2] {
            must_pass(vec![
                done((0, 9), &[], &[(0, 1)]),
                done((0, 9), &[], &[(0, 2)]),
                done((10, 11), &[(0, first)], &[]),
            ]);
        }
    }

    /// Changes made one by one, each sent a while before its moment and answered a while after it.
    fn made(seed: u64, count: u64) -> Vec<Operation> {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        let mut values = [0; 2];
        (1..=count)
            .map(|number| {
                let names = [&[0][..], &[1], &[0, 1]][next(3) as usize];
                let is_right = next(3) > 0;
                let expects = names.iter().map(|name| match is_right {
                    true => (*name, values[*name]),
                    false => (*name, u32::MAX),
                });
                let expects: Vec<_> = expects.collect();
                let writes: Vec<_> = names.iter().map(|name| (*name, number as u32)).collect();
                let fate = match (is_right, next(8)) {
                    (_, 0) => Fate::Unknown,
                    (true, _) => Fate::Done,
                    (false, _) => Fate::Refused,
                };
                if is_right {
                    writes.iter().for_each(|(name, value)| values[*name] = *value);
                }
                let moment = 100 + number * 10;
                operation((moment - next(60), moment + next(60)), &expects, &writes, fate)
            })
            .collect()
    }

    #[test]
    fn whatever_was_made_one_by_one_is_explained_and_spoiled_it_is_not() {
        for seed in 0..20 {
            must_pass(made(seed, 300));
            let operations = made(seed, 30);
            must_pass(operations.clone());
            // A value that was never written.
            let mut spoiled = operations;
            spoiled.push(done((5_000, 5_001), &[(0, u32::MAX)], &[]));
            must_fail(spoiled);
        }
    }
}
