//! The keys below a place's prefix: see the parent module.

use etcd_client::{DeleteOptions, TxnOp};

/// Keys that hold values of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Runs of entries.
    Log,
    /// Runs of audit values.
    Audit,
    /// Pieces of snapshots.
    Piece,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Log, Self::Audit, Self::Piece];

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Audit => "audit",
            Self::Piece => "piece",
        }
    }
}

/// Sorts behind every hexadecimal digit.
const BEHIND_DIGITS: char = 'g';

/// Makes keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys below `prefix`, which gets a slash at its end if it has none.
    pub(super) fn below(prefix: &str) -> Self {
        Self { prefix: format!("{}/", prefix.trim_end_matches('/')) }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn root(&self) -> String {
        format!("{}root", self.prefix)
    }

    pub(super) fn leader(&self) -> String {
        format!("{}leader", self.prefix)
    }

    /// What the nodes have agreed on about `name`.
    pub(super) fn settled(&self, name: &str) -> String {
        format!("{}settled/{name}", self.prefix)
    }

    /// The key of one value: a run by its last index, or a piece by its number.
    pub(super) fn value(&self, family: Family, id: u64, number: u64) -> String {
        format!("{}{}/{id:016x}/{number:016x}", self.prefix, family.name())
    }

    /// What lies behind all values of an id.
    pub(super) fn behind(&self, family: Family, id: u64) -> String {
        format!("{}{}/{id:016x}/{BEHIND_DIGITS}", self.prefix, family.name())
    }

    /// Deletes the values of an id from a number on.
    pub(super) fn delete_from(&self, family: Family, id: u64, number: u64) -> TxnOp {
        delete(self.value(family, id, number), self.behind(family, id))
    }

    /// Deletes all values of the ids from `id` on.
    pub(super) fn delete_ids_from(&self, family: Family, id: u64) -> TxnOp {
        let name = family.name();
        delete(
            format!("{}{name}/{id:016x}", self.prefix),
            format!("{}{name}/{BEHIND_DIGITS}", self.prefix),
        )
    }
}

/// Deletes the keys from `from` on that lie before `end`.
pub(super) fn delete(from: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> TxnOp {
    TxnOp::delete(from, Some(DeleteOptions::new().with_range(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_numbers_do() {
        let keys = Keys::below("einhorn/1/");
        assert_eq!(keys.root(), "einhorn/1/root");
        let value = |id, number| keys.value(Family::Log, id, number);
        assert!(value(1, 9) < value(1, 10) && value(1, 255) < value(1, 256));
        assert!(value(1, u64::MAX) < keys.behind(Family::Log, 1));
        assert!(keys.behind(Family::Log, 1) < value(2, 0));
    }
}
