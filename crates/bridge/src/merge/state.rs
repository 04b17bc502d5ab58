//! What one side says: records in the order of their names.

use crate::record::{Fields, HostId, Key, Record};
use std::cmp::Ordering;

/// A record without the octets it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Stable id.
    pub id: HostId,
    /// Kind and name.
    pub key: Key,
    /// What it says.
    pub fields: Fields,
}

/// An entry that several states share.
pub type Shared = triomphe::Arc<Entry>;

/// All records of one side, one for each name of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// In the order of [`order`].
    entries: Vec<Shared>,
}

/// Entries of one file that have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The first of them, which is in the state.
    pub kept: Key,
    /// The others, which are not.
    pub others: Vec<Shared>,
}

/// Makes a state record by record. What is as in the base is shared with it, so that a file that
/// changes little takes little memory.
pub struct Builder<'b> {
    base: &'b State,
    entries: Vec<Shared>,
}

impl Builder<'_> {
    /// A builder.
    pub fn new(base: &State) -> Builder<'_> {
        Builder { base, entries: Vec::with_capacity(base.len()) }
    }

    /// Adds a record; its raw octets are not kept.
    pub fn push(&mut self, record: Record) {
        let id = record.id;
        let (key, fields) = record.into_parts();
        let known = self.base.get(&key).filter(|base| base.key == key && base.fields == fields);
        let entry = known.cloned().unwrap_or_else(|| Shared::new(Entry { id, key, fields }));
        self.entries.push(entry);
    }

    /// The state, and the records that have the name of another.
    pub fn finish(self) -> (State, Vec<Duplicate>) {
        State::new(self.entries)
    }
}

/// The order of keys: kinds, then names without case.
pub(super) fn order(a: &Key, b: &Key) -> Ordering {
    let upper =
        |key: &'_ Key| key.name.octets().iter().map(u8::to_ascii_uppercase).collect::<Vec<_>>();
    a.kind.cmp(&b.kind).then_with(|| {
        let (x, y) = (a.name.octets(), b.name.octets());
        // Names are mostly in one case.
        match x.iter().zip(y).position(|(p, q)| p != q) {
            None => x.len().cmp(&y.len()),
            Some(at) if !x[at].is_ascii_lowercase() && !y[at].is_ascii_lowercase() => {
                x[at].cmp(&y[at])
            }
            Some(_) => upper(a).cmp(&upper(b)),
        }
    })
}

impl State {
    /// The state of a file's records, and the records that have the name of another.
    pub fn of_records(records: impl IntoIterator<Item = Record>) -> (State, Vec<Duplicate>) {
        let none = State::default();
        let mut builder = Builder::new(&none);
        records.into_iter().for_each(|record| builder.push(record));
        builder.finish()
    }

    /// The state of entries in any order, and those that have the name of another.
    pub fn new(entries: impl IntoIterator<Item = Shared>) -> (State, Vec<Duplicate>) {
        let mut entries: Vec<_> = entries.into_iter().collect();
        // Stable: the first in the file stays the first.
        entries.sort_by(|a, b| order(&a.key, &b.key));
        let mut duplicates: Vec<Duplicate> = Vec::new();
        entries.dedup_by(|entry, kept| {
            let same = order(&entry.key, &kept.key) == Ordering::Equal;
            if same {
                match duplicates.last_mut().filter(|last| last.kept == kept.key) {
                    Some(last) => last.others.push(entry.clone()),
                    None => {
                        let others = vec![entry.clone()];
                        duplicates.push(Duplicate { kept: kept.key.clone(), others });
                    }
                }
            }
            same
        });
        (State { entries }, duplicates)
    }

    /// Of entries that are in order and have different names.
    pub(super) fn of_sorted(entries: Vec<Shared>) -> State {
        debug_assert!(entries.is_sorted_by(|a, b| order(&a.key, &b.key) == Ordering::Less));
        State { entries }
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Shared] {
        &self.entries
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry with this name, in any case.
    pub fn get(&self, key: &Key) -> Option<&Shared> {
        let at = self.entries.binary_search_by(|entry| order(&entry.key, key)).ok()?;
        self.entries.get(at)
    }
}
