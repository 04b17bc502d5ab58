//! From a file to a plan, and from a plan to the next state: once, or not at all.

use super::state::{Duplicate, State};
use super::three_way::{Merge, Sides, What, merge};
use super::{InputKind, Policy};
use crate::record::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Identifies the application of one file of one generation: SHA-256 of source, generation and
/// the file's hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApplyId(pub [u8; 32]);

impl fmt::Display for ApplyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for ApplyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of a source between its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// What it said last, as far as that was acknowledged.
    pub base: State,
    /// Counts the changes of the base.
    pub base_revision: u64,
    /// Generation of its last file.
    pub generation: Option<u64>,
    /// SHA-256 of that file.
    pub file_sha256: Option<[u8; 32]>,
    /// In how many generations in a row records were missing.
    pub missing: BTreeMap<Key, u32>,
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The source's name.
    pub source: String,
    /// The file's generation.
    pub generation: u64,
    /// SHA-256 of the file.
    pub file_sha256: [u8; 32],
    /// What absence means in it.
    pub kind: InputKind,
    /// Its records.
    pub theirs: State,
    /// Its records that have the name of another.
    pub duplicates: Vec<Duplicate>,
    /// Its quarantined entries, with their names as far as they could be read.
    pub quarantined: Vec<Option<Key>>,
}

impl Input {
    /// The id of its application.
    pub fn apply_id(&self) -> ApplyId {
        let mut hash = Sha256::new();
        hash.update((self.source.len() as u64).to_be_bytes());
        hash.update(self.source.as_bytes());
        hash.update(self.generation.to_be_bytes());
        hash.update(self.file_sha256);
        ApplyId(hash.finalize().into())
    }
}

/// Why a plan waits for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Too many deletes.
    Deletes {
        /// How many.
        count: usize,
        /// Of so many records.
        of: usize,
    },
    /// Too many updates, renames included.
    Updates {
        /// How many.
        count: usize,
        /// Of so many records.
        of: usize,
    },
    /// A full file without records.
    Empty,
    /// A generation that does not follow the last one.
    Generation {
        /// Of the last file.
        last: u64,
        /// Of this one.
        this: u64,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Deletes { count, of } => write!(f, "{count} of {of} records would be deleted"),
            Hold::Updates { count, of } => write!(f, "{count} of {of} records would be changed"),
            Hold::Empty => f.write_str("the file has no records"),
            Hold::Generation { last, this } => {
                write!(f, "generation {this} does not follow generation {last}")
            }
        }
    }
}

/// What a file would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The id of its application.
    pub apply_id: ApplyId,
    /// What becomes of the records.
    pub merge: Merge,
    /// Why it waits for an operator; empty if it does not.
    pub holds: Vec<Hold>,
    /// SHA-256 of the application's id and of everything that would happen: what an operator
    /// confirms.
    pub hash: [u8; 32],
    generation: u64,
    file_sha256: [u8; 32],
    before: [u8; 32],
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The same file was applied already; nothing is to be done.
    #[error("this file was applied already, as {0}")]
    AlreadyApplied(ApplyId),
    /// The generation was applied already, with other octets.
    #[error("generation {0} was applied already, with other content")]
    OtherContent(u64),
}

/// Makes a plan from a decoded file and what the cluster says.
///
/// # Errors
/// [`PlanError`].
pub fn plan(
    state: &SourceState,
    ours: &State,
    input: &Input,
    policy: &Policy,
) -> Result<Plan, PlanError> {
    let apply_id = input.apply_id();
    if state.generation == Some(input.generation) {
        return Err(if state.file_sha256 == Some(input.file_sha256) {
            PlanError::AlreadyApplied(apply_id)
        } else {
            PlanError::OtherContent(input.generation)
        });
    }
    let merge = merge(&Sides {
        base: &state.base,
        base_revision: state.base_revision,
        ours,
        theirs: &input.theirs,
        duplicates: &input.duplicates,
        quarantined: &input.quarantined,
        kind: &input.kind,
        missing: &state.missing,
        policy,
    });
    let holds = holds(state, input, &merge, policy);
    let hash = hash(apply_id, &merge);
    Ok(Plan {
        apply_id,
        merge,
        holds,
        hash,
        generation: input.generation,
        file_sha256: input.file_sha256,
        before: identity(state, ours),
    })
}

/// The guard.
fn holds(state: &SourceState, input: &Input, merge: &Merge, policy: &Policy) -> Vec<Hold> {
    let of = state.base.len();
    let count =
        |is: fn(&What) -> bool| merge.outcomes.iter().filter(|outcome| is(&outcome.what)).count();
    // What is missing will be deleted: the guard is for the file, so it counts now.
    let deletes = count(|what| matches!(what, What::Deleted | What::Missing(_)));
    let updates = count(|what| matches!(what, What::Updated | What::Renamed(_)));
    let above = |count: usize, percent: u32| count as u64 * 100 > of as u64 * u64::from(percent);
    let mut holds = Vec::new();
    if above(deletes, policy.deletes_percent_max) {
        holds.push(Hold::Deletes { count: deletes, of });
    }
    if above(updates, policy.updates_percent_max) {
        holds.push(Hold::Updates { count: updates, of });
    }
    if input.theirs.is_empty() && input.kind == InputKind::Full {
        holds.push(Hold::Empty);
    }
    if let Some(last) =
        state.generation.filter(|last| last.checked_add(1) != Some(input.generation))
    {
        holds.push(Hold::Generation { last, this: input.generation });
    }
    holds
}

/// Hashes what would happen: every outcome, and what the records would say.
fn hash(apply_id: ApplyId, merge: &Merge) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(apply_id.0);
    for outcome in &merge.outcomes {
        // Debug forms name every field, and differ when the values do.
        hash.update(format!("{:?} {:?}", outcome.key, outcome.what));
        let merged = merge.merged.get(&outcome.key).map(|entry| &entry.fields);
        hash.update(format!("{merged:?}\n"));
    }
    hash.finalize().into()
}

/// Hashes what a plan was made from.
fn identity(state: &SourceState, ours: &State) -> [u8; 32] {
    use std::hash::{Hash, Hasher};
    let mut hash = Sha256::new();
    hash.update(state.base_revision.to_be_bytes());
    hash.update(format!("{:?} {:?}", state.generation, state.file_sha256));
    for entry in ours.entries() {
        let mut each = siphasher::sip::SipHasher24::new();
        entry.key.hash(&mut each);
        entry.fields.hash(&mut each);
        hash.update(each.finish().to_be_bytes());
    }
    hash.finalize().into()
}

/// What both sides are after a plan. They belong into one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What the cluster says.
    pub ours: State,
    /// What is known of the source.
    pub state: SourceState,
}

/// Why a plan was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    /// An operator has to confirm it.
    #[error("the plan is held: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unconfirmed(Vec<Hold>),
    /// The hash that was confirmed is another plan's.
    #[error("the plan is not the one that was confirmed: make it again")]
    OtherPlan,
    /// The cluster or the source has changed since the plan was made.
    #[error("the cluster or the source has changed since the plan was made: make it again")]
    Stale,
}

/// Applies a plan to what it was made from. `confirmed` is the hash that an operator confirmed.
///
/// # Errors
/// [`Held`]; nothing has happened then.
pub fn apply(
    plan: &Plan,
    state: &SourceState,
    ours: &State,
    confirmed: Option<[u8; 32]>,
) -> Result<Applied, Held> {
    if confirmed.is_some_and(|hash| hash != plan.hash) {
        return Err(Held::OtherPlan);
    }
    if !plan.holds.is_empty() && confirmed.is_none() {
        return Err(Held::Unconfirmed(plan.holds.clone()));
    }
    if identity(state, ours) != plan.before {
        return Err(Held::Stale);
    }
    Ok(Applied {
        ours: plan.merge.merged.clone(),
        state: SourceState {
            base: plan.merge.base.clone(),
            base_revision: state.base_revision + 1,
            generation: Some(plan.generation),
            file_sha256: Some(plan.file_sha256),
            missing: plan.merge.missing.clone(),
        },
    })
}
