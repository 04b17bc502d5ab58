//! A deck of cards as what its source would say after it: the base with the changes made.

use super::file::Read;
use super::plan::Known;
use super::stored::{self, Sidecar};
use crate::cards::{Card, Conflict};
use crate::merge::{self, Entry, Shared, State};
use crate::record::{Key, Record};
use std::collections::{HashMap, HashSet};

/// A card that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The host's name.
    pub key: Key,
    /// What it would be after the card.
    pub theirs: Option<Shared>,
    /// Why.
    pub conflict: merge::Conflict,
}

/// What the source says after the cards, and cards that cannot be done. Of a deck that is applied again
/// after a crash, what was done is passed over.
pub(super) fn after(known: &Known, read: &Read, resumes: bool) -> (State, Vec<Refused>) {
    let mut changed: HashMap<Box<[u8]>, Shared> = HashMap::new();
    let mut gone: HashSet<Box<[u8]>> = HashSet::new();
    let mut refused = Vec::new();
    let none = Sidecar::new();
    for entry in read.theirs.entries() {
        let key = stored::key(&entry.key);
        let Some(card) = card(entry, read.sidecars.get(&key).unwrap_or(&none)) else { continue };
        let base = known.state.base.get(&entry.key);
        let sidecar = known.sidecars.get(&key).unwrap_or(&none);
        let record = base.map(|base| record(base, sidecar));
        match card.apply(record.as_ref()) {
            Ok(Some(fields)) => {
                let id = base.map_or(entry.id, |base| base.id);
                let name = base.map_or_else(|| entry.key.clone(), |base| base.key.clone());
                changed.insert(key, Shared::new(Entry { id, key: name, fields }));
            }
            Ok(None) => _ = gone.insert(key),
            Err(Conflict::Exists | Conflict::Missing) if resumes => {}
            Err(conflict) => refused.push(refusal(entry, card, record.as_ref(), conflict)),
        }
    }
    let kept = known.state.base.entries().iter().filter_map(|base| {
        let key = stored::key(&base.key);
        let is_gone = gone.contains(&key);
        changed.remove(&key).or_else(|| (!is_gone).then(|| base.clone()))
    });
    let mut all: Vec<Shared> = kept.collect();
    all.extend(changed.into_values());
    (State::new(all).0, refused)
}

fn record(entry: &Entry, sidecar: &Sidecar) -> Record {
    let mut record = Record::new(entry.id, entry.key.clone(), entry.fields.clone());
    record.sidecar.clone_from(sidecar);
    record
}

fn card(entry: &Entry, sidecar: &Sidecar) -> Option<Card> {
    Card::of(&record(entry, sidecar))
}

fn refusal(entry: &Entry, card: Card, base: Option<&Record>, conflict: Conflict) -> Refused {
    let conflict = match conflict {
        Conflict::Exists => merge::Conflict::NameTaken(entry.key.name.clone()),
        Conflict::Missing => merge::Conflict::DeleteAgainstEdit,
        Conflict::Stale { .. } => merge::Conflict::StaleRevision,
    };
    // As if it had been made from what there is.
    let fields =
        Card { base_revision: None, ..card.clone() }.apply(base).unwrap_or(Some(card.fields));
    let (id, key) = (entry.id, entry.key.clone());
    let theirs = fields.map(|fields| Shared::new(Entry { id, key: key.clone(), fields }));
    Refused { key, theirs, conflict }
}
