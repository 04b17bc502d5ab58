//! What a source confirms of what it was told.
//!
//! A file that says of a field what its source was told of it says nothing new: it is the base of that
//! field now, whatever the cluster says by then. So a device that changes a name while a batch with its
//! last value is on the way is no conflict.

use super::plan::Known;
use super::stored;
use crate::merge::{Entry, Shared, SourceState, State};
use crate::record::{Field, Fields};
use std::collections::HashMap;

/// What is known of the source, with what this file confirms in its base; `None` if that is nothing.
/// `is_all` says that a record which the file does not have is gone.
pub(super) fn state(known: &Known, theirs: &State, is_all: bool) -> Option<SourceState> {
    let mut confirmed: HashMap<Box<[u8]>, Option<Shared>> = HashMap::new();
    let said: HashMap<Box<[u8]>, &Shared> = match known.sent.is_empty() {
        true => return None,
        false => theirs.entries().iter().map(|entry| (stored::key(&entry.key), entry)).collect(),
    };
    let base = known.state.base.entries().iter();
    let base: HashMap<Box<[u8]>, &Shared> =
        base.map(|entry| (stored::key(&entry.key), entry)).collect();
    for (key, sent) in &known.sent {
        match (sent, said.get(key)) {
            (None, None) if is_all => _ = confirmed.insert(key.clone(), None),
            (Some(sent), Some(theirs)) => {
                let before = base.get(key).copied();
                let none = Fields::default();
                let old = before.map_or(&none, |before| &before.fields);
                let fields = fields(old, &sent.fields, &theirs.fields);
                let is_new = fields != *old;
                let (id, name) = before.map_or((theirs.id, &theirs.key), |one| (one.id, &one.key));
                let entry = Entry { id, key: name.clone(), fields };
                if is_new {
                    confirmed.insert(key.clone(), Some(Shared::new(entry)));
                }
            }
            _ => {}
        }
    }
    let kept = known.state.base.entries().iter().filter_map(|entry| {
        confirmed.remove(&stored::key(&entry.key)).unwrap_or_else(|| Some(entry.clone()))
    });
    let mut entries: Vec<Shared> = kept.collect();
    entries.extend(confirmed.into_values().flatten());
    Some(SourceState { base: State::new(entries).0, ..known.state.clone() })
}

/// The fields of the base, with those that were told and are said now.
fn fields(base: &Fields, sent: &Fields, theirs: &Fields) -> Fields {
    fn one<T: Clone + PartialEq>(base: &Field<T>, sent: &Field<T>, theirs: &Field<T>) -> Field<T> {
        if sent != base && sent == theirs { theirs.clone() } else { base.clone() }
    }
    macro_rules! each {
        ($($field:ident)*) => {
            Fields { $($field: one(&base.$field, &sent.$field, &theirs.$field)),* }
        };
    }
    each! {
        addresses nicknames protocols machine system status hardware ttl_seconds changed expires
        remark others
    }
}
