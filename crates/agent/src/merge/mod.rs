//! Three-way merge of records, by fixed rules; nothing here is learned or guessed.
//!
//! What both sides meant must stand in the result, else the case goes to a person. [`intent`]
//! checks that afterwards and knows nothing of these rules.

mod case;
pub mod intent;
mod name;
mod report;
mod rules;

pub use case::{Case, CaseError, read_cases};
pub use name::merge_case;
pub use report::{Totals, Verdict, judge};
pub use rules::merge_key;

use std::collections::BTreeSet;
use std::fmt;

/// The records of one name and type, in presentation form; empty if there are none.
pub type Values = BTreeSet<String>;

/// What one side of a merge wrote, and who.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// The records as this side left them.
    pub values: Values,
    /// Everybody who wrote on this side since the base.
    pub authors: BTreeSet<String>,
    /// Orders the changes of one identity; larger is later. Seconds since 1970 in histories,
    /// sequence numbers in a log.
    pub sequence: Option<i64>,
}

/// One name and type, as three versions have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// The owner name.
    pub name: String,
    /// The record type, in capitals.
    pub record_type: String,
    /// What both sides started from.
    pub base: Values,
    /// One side.
    pub ours: Side,
    /// The other.
    pub theirs: Side,
}

impl Key {
    /// Whether our side differs from the base.
    pub fn ours_changed(&self) -> bool {
        self.ours.values != self.base
    }

    /// Whether their side differs from the base.
    pub fn theirs_changed(&self) -> bool {
        self.theirs.values != self.base
    }

    /// Which side is later, if one identity alone wrote both, and one after the other.
    pub(crate) fn order_of_one_identity(&self) -> Option<Later> {
        let one = self.ours.authors.len() == 1 && self.ours.authors == self.theirs.authors;
        if !one {
            return None;
        }
        match self.ours.sequence?.cmp(&self.theirs.sequence?) {
            std::cmp::Ordering::Greater => Some(Later::Ours),
            std::cmp::Ordering::Less => Some(Later::Theirs),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// The later of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    Ours,
    Theirs,
}

impl Later {
    pub(crate) fn side(self, key: &Key) -> &Side {
        match self {
            Later::Ours => &key.ours,
            Later::Theirs => &key.theirs,
        }
    }
}

/// By which rule a key was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Only one side changed it.
    OneSide,
    /// Both sides did the same.
    Same,
    /// A set took the additions and removals of both sides.
    SetUnion,
    /// One identity wrote both sides: its later change stands.
    LaterOfOneIdentity,
}

/// Why a key needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// One side deleted what the other one edited.
    DeleteAgainstEdit,
    /// Two values for what can have only one.
    TwoValues,
    /// Both sides replaced the whole set, by different members.
    WholeSetReplaced,
    /// Both sides together remove the last record, which neither of them meant.
    NothingLeft,
    /// A CNAME of one side would stand beside other records of the other side.
    CnameBesideOthers,
    /// The case lists the key twice, with different contents.
    ListedTwice,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::OneSide => "one side changed it",
            Rule::Same => "both sides did the same",
            Rule::SetUnion => "both sides' additions and removals",
            Rule::LaterOfOneIdentity => "the later change of the same identity",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Conflict::DeleteAgainstEdit => "one side deleted what the other edited",
            Conflict::TwoValues => "two values where only one can stand",
            Conflict::WholeSetReplaced => "both sides replaced the whole set",
            Conflict::NothingLeft => "together they remove the last record, which neither meant",
            Conflict::CnameBesideOthers => "a CNAME would stand beside the other side's records",
            Conflict::ListedTwice => "the case lists this key twice with different contents",
        })
    }
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These records, by this rule.
    Resolved(Values, Rule),
    /// A person decides; both versions and the base stay.
    Escalated(Conflict),
}
