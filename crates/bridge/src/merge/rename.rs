//! Which new name is an old host's.

use super::state::Shared;
use crate::record::{Address, Kind};
use std::collections::HashMap;

/// What became of records that vanished and records that are new, as indices into them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Renames {
    /// New record, and the one that it was.
    pub(super) renamed: HashMap<usize, usize>,
    /// New records that could be more than one old one, or share one with another.
    pub(super) ambiguous: Vec<usize>,
    /// Old records that such a new one could be.
    pub(super) doubtful: Vec<usize>,
}

/// How much speaks for two records being one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// The same addresses.
    Addresses,
    /// The old name as a nickname, and an address in common.
    Nickname,
    /// The old name as a nickname, and the same addresses.
    Both,
}

/// A pair of an old and a new record that could be one host.
#[derive(Debug, Clone, Copy)]
struct Pair {
    old: usize,
    new: usize,
    likeness: Likeness,
}

/// Finds the old record of each new one. One is found only if none else is as likely, from both
/// sides.
pub(super) fn find(vanished: &[&Shared], new: &[&Shared]) -> Renames {
    let pairs = best(best(pairs(vanished, new), |pair| pair.new), |pair| pair.old);
    let count = |of: fn(&Pair) -> usize| {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for pair in &pairs {
            *counts.entry(of(pair)).or_default() += 1;
        }
        counts
    };
    let (by_old, by_new) = (count(|pair| pair.old), count(|pair| pair.new));
    let mut renames = Renames::default();
    for Pair { old, new, .. } in &pairs {
        if by_old[old] == 1 && by_new[new] == 1 {
            renames.renamed.insert(*new, *old);
        } else {
            renames.ambiguous.push(*new);
            renames.doubtful.push(*old);
        }
    }
    for doubts in [&mut renames.ambiguous, &mut renames.doubtful] {
        doubts.sort_unstable();
        doubts.dedup();
    }
    renames
}

/// All pairs for which something speaks.
fn pairs(vanished: &[&Shared], new: &[&Shared]) -> Vec<Pair> {
    let mut by_address: HashMap<(Kind, &Address), Vec<usize>> = HashMap::new();
    for (at, entry) in vanished.iter().enumerate() {
        for address in entry.fields.addresses.elements() {
            by_address.entry((entry.key.kind, address)).or_default().push(at);
        }
    }
    let mut pairs = Vec::new();
    for (at, entry) in new.iter().enumerate() {
        let addresses = entry.fields.addresses.elements().iter();
        let mut olds: Vec<usize> = addresses
            .filter_map(|address| by_address.get(&(entry.key.kind, address)))
            .flatten()
            .copied()
            .collect();
        olds.sort_unstable();
        olds.dedup();
        pairs.extend(olds.into_iter().filter_map(|old| {
            Some(Pair { old, new: at, likeness: likeness(vanished[old], entry)? })
        }));
    }
    pairs
}

/// The likeliest pairs of each record.
fn best(pairs: Vec<Pair>, of: impl Fn(&Pair) -> usize) -> Vec<Pair> {
    let mut best: HashMap<usize, Likeness> = HashMap::new();
    for pair in &pairs {
        let likeness = best.entry(of(pair)).or_insert(pair.likeness);
        *likeness = pair.likeness.max(*likeness);
    }
    pairs.into_iter().filter(|pair| best[&of(pair)] == pair.likeness).collect()
}

fn likeness(old: &Shared, new: &Shared) -> Option<Likeness> {
    let mut addresses: [Vec<&Address>; 2] =
        [old, new].map(|entry| entry.fields.addresses.elements().iter().collect());
    addresses.iter_mut().for_each(|addresses| addresses.sort_unstable());
    let same = addresses[0] == addresses[1];
    let nicknames = new.fields.nicknames.elements();
    match (same, nicknames.iter().any(|nickname| nickname.same_name(&old.key.name))) {
        (true, true) => Some(Likeness::Both),
        (false, true) => Some(Likeness::Nickname),
        (true, false) => Some(Likeness::Addresses),
        (false, false) => None,
    }
}
