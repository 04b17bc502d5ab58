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

/// Finds the old record of each new one. One is found only if none else is as likely, from both
/// sides.
pub(super) fn find(vanished: &[&Shared], new: &[&Shared]) -> Renames {
    let mut by_address: HashMap<(Kind, &Address), Vec<usize>> = HashMap::new();
    for (at, entry) in vanished.iter().enumerate() {
        for address in entry.fields.addresses.elements() {
            by_address.entry((entry.key.kind, address)).or_default().push(at);
        }
    }
    let mut wanted: Vec<Vec<usize>> = Vec::with_capacity(new.len());
    let mut claims: HashMap<usize, Vec<(Likeness, usize)>> = HashMap::new();
    for (at, entry) in new.iter().enumerate() {
        let mut old: Vec<usize> = entry
            .fields
            .addresses
            .elements()
            .iter()
            .filter_map(|address| by_address.get(&(entry.key.kind, address)))
            .flatten()
            .copied()
            .collect();
        old.sort_unstable();
        old.dedup();
        let scored: Vec<_> =
            old.iter().filter_map(|old| Some((likeness(vanished[*old], entry)?, *old))).collect();
        let best = scored.iter().map(|(likeness, _)| *likeness).max();
        let best: Vec<_> = scored.iter().filter(|(likeness, _)| Some(*likeness) == best).collect();
        for (likeness, old) in &best {
            claims.entry(*old).or_default().push((*likeness, at));
        }
        wanted.push(best.iter().map(|(_, old)| *old).collect());
    }
    let mut renames = Renames::default();
    for (at, old) in wanted.iter().enumerate() {
        let wins = |old: &usize| {
            let claims = &claims[old];
            let best = claims.iter().map(|(likeness, _)| *likeness).max();
            let mut winners = claims.iter().filter(|(likeness, _)| Some(*likeness) == best);
            let first = winners.next().map(|(_, new)| *new);
            (
                first == Some(at) || winners.clone().any(|(_, new)| *new == at),
                winners.next().is_some(),
            )
        };
        match old[..] {
            [] => {}
            [old] => match wins(&old) {
                (true, false) => drop(renames.renamed.insert(at, old)),
                (true, true) => {
                    renames.ambiguous.push(at);
                    renames.doubtful.push(old);
                }
                // Another new record is likelier to be that one: this one is new.
                (false, _) => {}
            },
            _ => {
                renames.ambiguous.push(at);
                renames.doubtful.extend(old);
            }
        }
    }
    renames.doubtful.sort_unstable();
    renames.doubtful.dedup();
    let doubtful = &renames.doubtful;
    let also_doubtful =
        |at: &usize, old: &usize| doubtful.binary_search(old).is_ok().then_some(*at);
    let lost: Vec<_> =
        renames.renamed.iter().filter_map(|(at, old)| also_doubtful(at, old)).collect();
    for at in lost {
        renames.renamed.remove(&at);
        renames.ambiguous.push(at);
    }
    renames.ambiguous.sort_unstable();
    renames
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
