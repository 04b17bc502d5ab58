//! Names that more than one record has.

use super::state::Shared;
use crate::names::{ByHash, name_hash};
use crate::record::Kind;
use crate::text::Text;
use std::collections::HashMap;

/// How many records have a name, by the hash of the name. A name is counted once a record.
pub(super) struct Names {
    counts: HashMap<u64, u32, ByHash>,
    octets_max: usize,
}

impl Names {
    /// Counts the names of `entries`, cut to `octets_max`.
    pub(super) fn of<'e>(
        entries: impl Iterator<Item = &'e Shared>,
        octets_max: Option<usize>,
    ) -> Names {
        let counts = HashMap::with_capacity_and_hasher(entries.size_hint().0, Default::default());
        let mut names = Names { counts, octets_max: octets_max.unwrap_or(usize::MAX) };
        for entry in entries {
            let mut seen: Vec<u64> = Vec::new();
            for name in names_of(entry) {
                let hash = names.hash(entry.key.kind, name);
                if !seen.contains(&hash) {
                    seen.push(hash);
                    *names.counts.entry(hash).or_default() += 1;
                }
            }
        }
        names
    }

    fn hash(&self, kind: Kind, name: &Text) -> u64 {
        let octets = name.octets();
        name_hash(kind, &octets[..octets.len().min(self.octets_max)])
    }

    /// The first name of `entry` that another record has too, and that `before` did not have.
    pub(super) fn taken<'e>(&self, entry: &'e Shared, before: Option<&Shared>) -> Option<&'e Text> {
        names_of(entry).find(|name| {
            let is_new =
                before.is_none_or(|before| !names_of(before).any(|other| other.same_name(name)));
            is_new && self.counts.get(&self.hash(entry.key.kind, name)).is_some_and(|n| *n > 1)
        })
    }
}

fn names_of(entry: &Shared) -> impl Iterator<Item = &Text> {
    std::iter::once(&entry.key.name).chain(entry.fields.nicknames.elements())
}

/// Official names that are the same when they are cut to `octets_max`, without case: how many of
/// them have no room beside another.
pub fn truncation_collisions<'e>(
    entries: impl Iterator<Item = &'e Shared>,
    octets_max: usize,
) -> usize {
    let mut seen: HashMap<(Kind, Vec<u8>), ()> = HashMap::new();
    entries
        .filter(|entry| {
            let octets = entry.key.name.octets();
            let cut = octets[..octets.len().min(octets_max)].to_ascii_uppercase();
            seen.insert((entry.key.kind, cut), ()).is_some()
        })
        .count()
}
