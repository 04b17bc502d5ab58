//! The changes that an entry makes, whatever its kind.

use super::*;

impl Body {
    /// The changes that are made here.
    pub fn changes(&self) -> &[Change] {
        match self {
            Body::Change(change) => std::slice::from_ref(change),
            Body::Changes(changes) | Body::Decision { changes, .. } => changes,
            Body::Source(source) => &source.changes,
            _ => &[],
        }
    }

    /// Takes out what it says of names other than these.
    pub fn keep_names(&mut self, keep: impl Fn(&Change, &NameChange) -> bool) {
        let changes = match self {
            Body::Change(change) => std::slice::from_mut(change),
            Body::Changes(changes) | Body::Decision { changes, .. } => changes,
            Body::Source(source) => &mut source.changes,
            _ => &mut [],
        };
        for change in changes {
            let names = std::mem::take(&mut change.names);
            change.names = names.into_iter().filter(|name| keep(change, name)).collect();
        }
    }

    /// Says that its change stands for earlier requests too, each with the time until when copies of
    /// it may arrive, in seconds since 1970.
    pub fn stand_for(&mut self, earlier: Vec<(RequestId, u64)>) {
        let first = match self {
            Body::Change(change) => Some(change),
            Body::Review(review) => Some(&mut review.change),
            Body::Changes(changes) => changes.first_mut(),
            _ => None,
        };
        if let Some(first) = first {
            first.path = Path::Coalesce;
            first.stands_for = earlier;
        }
    }

    /// The names that are changed here.
    pub fn names(&self) -> impl Iterator<Item = &NameChange> {
        self.changes().iter().flat_map(|change| &change.names)
    }

    /// The changes that are made here, or may be later.
    pub fn all_changes(&self) -> &[Change] {
        match self {
            Body::Intent { changes, .. } => changes,
            Body::Review(review) => std::slice::from_ref(&review.change),
            _ => self.changes(),
        }
    }
}

impl Change {
    /// Who counts as having made it: of what a person let through, whoever had asked for it.
    pub fn writer(&self) -> WriterTag {
        match &self.cause {
            Cause::Review { asker, .. } => asker.tag(),
            _ => self.who.tag(),
        }
    }
}
