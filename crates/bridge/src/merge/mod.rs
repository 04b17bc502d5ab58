//! The three-way merge: what a source said last (base), what it says now (theirs), and what the
//! cluster says (ours).
//!
//! Fields are compared in projected space: what the source's format cannot hold is never changed
//! by it. A conflict freezes its record alone: the cluster's value stays, the base does not
//! advance, and both versions are in the outcome.

mod collide;
mod fields;
mod plan;
mod rename;
mod state;
mod three_way;

pub use collide::truncation_collisions;
pub use plan::{Applied, ApplyId, Held, Hold, Input, Plan, PlanError, SourceState, apply, plan};
pub use state::{Builder, Duplicate, Entry, Shared, State};
pub use three_way::{Merge, Outcome, Sides, What, merge};

use crate::codec::Format;
use crate::record::{FieldName, Kind};
use crate::text::Text;
use std::collections::BTreeSet;

/// What a file says about records that it does not mention. It is declared, never guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// The file has all records: absence is evidence.
    Full,
    /// The file has some of the records in the scope: absence says nothing, and a record outside
    /// is a conflict.
    Partial(Scope),
    /// The file has changes since the base of this revision: an unmentioned record is unchanged,
    /// an unset field too, and `-` clears a field.
    Delta {
        /// The revision of the base that the changes were made from.
        revision: u64,
    },
}

/// What a partial file is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Records of these kinds.
    Kinds(BTreeSet<Kind>),
    /// Names with this ending, compared without case.
    Suffix(Text),
}

impl Scope {
    /// Whether the record is in it.
    pub fn has(&self, entry: &Entry) -> bool {
        match self {
            Scope::Kinds(kinds) => kinds.contains(&entry.key.kind),
            Scope::Suffix(suffix) => {
                let (name, suffix) = (entry.key.name.octets(), suffix.octets());
                let begin = name.len().checked_sub(suffix.len());
                begin.is_some_and(|begin| name[begin..].eq_ignore_ascii_case(suffix))
            }
        }
    }
}

/// Who may change a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The source alone.
    Legacy,
    /// The cluster alone.
    Cluster,
    /// Both.
    Shared,
}

/// The rules of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The source's format, which says what fields it can hold.
    pub format: Format,
    /// Who owns a field that is not shared.
    pub owners: Vec<(FieldName, Owner)>,
    /// In how many generations in a row a record must be missing before it is deleted; at least 1.
    pub missing_generations: u32,
    /// Octets of a name that the source can hold, if it cuts longer ones.
    pub name_octets_max: Option<usize>,
    /// Deletes that hold a plan when there are more of them, in percent of the base.
    pub deletes_percent_max: u32,
    /// Updates that hold a plan when there are more of them, in percent of the base.
    pub updates_percent_max: u32,
}

impl Policy {
    /// The rules that hold unless others are configured.
    pub fn new(format: Format) -> Policy {
        Policy {
            format,
            owners: Vec::new(),
            missing_generations: 2,
            name_octets_max: None,
            deletes_percent_max: 10,
            updates_percent_max: 30,
        }
    }

    /// Who owns a field.
    pub fn owner(&self, field: FieldName) -> Owner {
        let own = self.owners.iter().find(|(owned, _)| *owned == field);
        own.map_or(Owner::Shared, |(_, owner)| *owner)
    }
}

/// Why a record is frozen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Both sides changed the field, to different values.
    BothChanged(FieldName),
    /// One side changed a field that the other side owns.
    NotOwner(FieldName),
    /// One side deleted what the other changed.
    DeleteAgainstEdit,
    /// Both sides added the record, with different content.
    AddedTwice(FieldName),
    /// The name, or nickname, is that of another record.
    NameTaken(Text),
    /// Cut to what the source can hold, the name is that of another record.
    Truncation(Text),
    /// More than one record could be the one that was renamed.
    AmbiguousRename,
    /// The file has the record twice.
    Duplicate,
    /// A record outside the scope of a partial file.
    OutOfScope,
    /// A change that was made from another revision than the base.
    StaleRevision,
}

impl Conflict {
    /// As reports write it.
    pub fn code(&self) -> &'static str {
        match self {
            Conflict::BothChanged(_) => "both-changed",
            Conflict::NotOwner(_) => "not-owner",
            Conflict::DeleteAgainstEdit => "delete-against-edit",
            Conflict::AddedTwice(_) => "added-twice",
            Conflict::NameTaken(_) => "name-taken",
            Conflict::Truncation(_) => "truncation",
            Conflict::AmbiguousRename => "ambiguous-rename",
            Conflict::Duplicate => "duplicate",
            Conflict::OutOfScope => "out-of-scope",
            Conflict::StaleRevision => "stale-revision",
        }
    }
}

#[cfg(test)]
mod tests;
