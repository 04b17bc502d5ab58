//! What the logs say, for people: at the end of the trace of a seed that fails.

use crate::disk::entries;
use crate::world::World;
use einhorn_core::model::Origin;
use einhorn_core::model::entry::{Body, Change, Entry, NameChange};
use std::collections::BTreeMap;

impl World {
    /// Puts the longest copy of each log at the end of the trace.
    pub(crate) fn tell_logs(&mut self) {
        let mut logs: BTreeMap<Origin, &Vec<_>> = BTreeMap::new();
        for (origin, log) in self.sites.iter().flat_map(|site| &site.disk.logs) {
            let longest = logs.entry(*origin).or_insert(log);
            if log.len() > longest.len() {
                *longest = log;
            }
        }
        let mut lines = Vec::new();
        for (origin, log) in logs {
            for (index, entry) in entries(log) {
                lines.extend(
                    tell(&entry).into_iter().map(|line| format!("{origin}:{index} {line}")),
                );
            }
        }
        self.trace.append(&mut lines);
    }
}

fn tell(entry: &Entry) -> Vec<String> {
    let (kind, changes): (String, &[Change]) = match &entry.body {
        Body::Change(change) => ("change".to_owned(), std::slice::from_ref(change)),
        Body::Changes(changes) => ("changes".to_owned(), changes),
        Body::Intent { transaction, changes } => (format!("intent {:?}", transaction.id), changes),
        Body::Decision { transaction, is_commit, changes, .. } => {
            (format!("decision {:?} {is_commit}", transaction.id), changes)
        }
        Body::Publication { zone, serial, covers, .. } => {
            let covers: Vec<_> = covers.iter().map(ToString::to_string).collect();
            return vec![format!("point {zone} {serial} covers {}", covers.join(" "))];
        }
        other => return vec![format!("{other:?}")],
    };
    let of_name = |change: &Change| {
        let names = change.names.iter();
        let text = |name: &NameChange| {
            let after: Vec<_> = name.after.iter().flat_map(|set| set.lines()).collect();
            let (owner, home, rank) = (&name.owner, name.home, (name.epoch, name.version));
            let previous = name.previous.map_or_else(String::new, |at| format!(" after {at}"));
            format!("{owner} {rank:?} home {home}{previous} {after:?}")
        };
        let words: Vec<_> = names.map(text).collect();
        format!("{:?} {:?} [{}]", change.request, change.cause, words.join("; "))
    };
    changes.iter().map(|change| format!("{kind} {}", of_name(change))).collect()
}
