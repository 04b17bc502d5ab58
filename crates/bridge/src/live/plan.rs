//! The plan for a file: what the node knows of its source, merged with what the file says.

use super::confirmed;
use super::deck::{self, Refused};
use super::file::Read;
use super::image::Placing;
use super::lift::{Content, lift};
use super::stored::{self, BadRecord, Sidecar};
use crate::codec::Format;
use crate::merge::{self, Hold, Input, InputKind, PlanError, Policy, Shared, SourceState, State};
use einhorn_core::exchange::{KnownSource, View};
use einhorn_core::model::source::{Applied, FrozenRecord, Head, Item, Sent};
use einhorn_wire::rdata::serial_greater;
use std::collections::{BTreeMap, HashMap};

/// What the node knows of a source.
#[derive(Debug, Clone)]
pub struct Known {
    /// Counts its advances.
    pub revision: u64,
    /// What is known beside its records.
    pub head: Head,
    /// What it said last, for the merge.
    pub state: SourceState,
    /// What only its format knows of records, by key.
    pub sidecars: HashMap<Box<[u8]>, Sidecar>,
    /// Its records as the ledger has them, by key; without those that it no longer has.
    pub items: HashMap<Box<[u8]>, Item>,
    /// Its records that wait for a person.
    pub frozen: Vec<FrozenRecord>,
    /// What it was told and has not confirmed yet: by key, the record, or that it is gone.
    pub sent: Vec<(Box<[u8]>, Option<Shared>)>,
}

impl Known {
    /// What a view says.
    ///
    /// # Errors
    /// [`BadRecord`], when it has a record that cannot be read.
    pub fn new(view: &View, placing: &Placing) -> Result<Known, BadRecord> {
        let none = || KnownSource {
            revision: 0,
            head: Head::new(placing.zone.clone()),
            records: Vec::new(),
        };
        let KnownSource { revision, head, records } = view.source.clone().unwrap_or_else(none);
        let mut entries = Vec::with_capacity(records.len());
        let (mut sidecars, mut items) = (HashMap::new(), HashMap::new());
        let (mut missing, mut sent) = (BTreeMap::new(), Vec::new());
        for (_, item) in records {
            match &item.sent {
                Some(Sent::Record(octets)) => {
                    sent.push((item.key.clone(), Some(stored::decode(octets)?.0)));
                }
                Some(Sent::Gone) => sent.push((item.key.clone(), None)),
                None => {}
            }
            let Some(octets) = &item.record else { continue };
            let (entry, sidecar) = stored::decode(octets)?;
            if item.missing > 0 {
                missing.insert(entry.key.clone(), item.missing);
            }
            if !sidecar.is_empty() {
                sidecars.insert(item.key.clone(), sidecar);
            }
            entries.push(entry);
            items.insert(item.key.clone(), item);
        }
        let state = SourceState {
            base: State::new(entries).0,
            base_revision: head.applies,
            generation: head.last.map(|last| last.generation),
            file_sha256: head.last.map(|last| last.file_sha256),
            missing,
        };
        let frozen = view.frozen.clone();
        Ok(Known { revision, head, state, sidecars, items, frozen, sent })
    }

    /// The generation of a file that may not state one: a file that was seen before has the one that it
    /// had then.
    fn generation(&self, read: &Read) -> u64 {
        let is_same = |file: &Applied| file.file_sha256 == read.sha256;
        let under_way = self.head.under_way.map(|under_way| under_way.file);
        let seen = self.head.last.filter(is_same).or(under_way.filter(is_same));
        let next = self.head.last.map_or(1, |last| last.generation.saturating_add(1));
        read.generation.unwrap_or_else(|| seen.map_or(next, |seen| seen.generation))
    }

    /// Whether a zone with this serial is newer than the one that was applied last (RFC 1982). A serial
    /// says nothing of how many there were in between: none of them is missing.
    fn is_before(&self, serial: Option<u64>) -> bool {
        let number = |generation: u64| u32::try_from(generation).ok();
        let last = self.state.generation.and_then(number);
        let this = serial.and_then(number);
        this.zip(last).is_some_and(|(this, last)| serial_greater(this, last))
    }

    /// Whether this file was being applied, and the hash of the plan that was confirmed.
    pub fn resumes(&self, apply: [u8; 32]) -> Option<[u8; 32]> {
        let under_way = self.head.under_way.filter(|under_way| under_way.file.id == apply);
        under_way.map(|under_way| under_way.plan)
    }
}

/// A plan, with what it was made from.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What becomes of the records.
    pub plan: merge::Plan,
    /// What the cluster says.
    pub ours: State,
    /// The file.
    pub file: Applied,
    /// Cards of it that cannot be done.
    pub refused: Vec<Refused>,
}

/// Why a plan is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// A guard holds it.
    #[error("the plan is held: {}; look at it, then confirm it with --plan {hash}", .holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Held {
        /// Why.
        holds: Vec<Hold>,
        /// The plan's hash in hexadecimal digits.
        hash: String,
    },
    /// Another plan was confirmed.
    #[error(
        "the plan is not the one that was confirmed: the cluster or the file has changed since; its hash is {0} now"
    )]
    Other(String),
}

/// Merges a file into what the node knows.
///
/// # Errors
/// [`PlanError`], when there is nothing to merge.
pub fn plan(
    source: &str,
    placing: &Placing,
    policy: &Policy,
    kind: InputKind,
    known: &Known,
    content: &Content<'_>,
    read: &Read,
) -> Result<Planned, PlanError> {
    let generation = known.generation(read);
    let input = Input {
        source: source.to_owned(),
        generation,
        file_sha256: read.sha256,
        kind,
        theirs: read.theirs.clone(),
        duplicates: read.duplicates.clone(),
        quarantined: read.quarantined_keys.clone(),
    };
    if let Some(under_way) = known.head.under_way
        && under_way.file.generation == generation
        && under_way.file.file_sha256 != read.sha256
    {
        return Err(PlanError::OtherContent(generation));
    }
    let (mut input, mut policy, mut refused) = (input, policy.clone(), Vec::new());
    if placing.format == Format::Cards && matches!(input.kind, InputKind::Delta { .. }) {
        // After its changes, the deck says all there is: what it deletes is gone at once.
        let resumes = known.resumes(input.apply_id().0).is_some();
        (input.theirs, refused) = deck::after(known, read, resumes);
        input.kind = InputKind::Full;
        policy.missing_generations = 1;
    }
    let ours = lift(placing, &known.state.base, &input.theirs, content);
    let is_all = input.kind == InputKind::Full;
    let mut state = confirmed::state(known, &input.theirs, is_all);
    if placing.format == Format::Zone && known.is_before(read.generation) {
        let state = state.get_or_insert_with(|| known.state.clone());
        state.generation = generation.checked_sub(1);
    }
    let plan = merge::plan(state.as_ref().unwrap_or(&known.state), &ours, &input, &policy)?;
    let file = Applied { id: plan.apply_id.0, generation, file_sha256: read.sha256 };
    Ok(Planned { plan, ours, file, refused })
}

/// Whether a plan may be carried out: confirmed is the hash that an operator gave. Gives the hash to
/// remember. A plan that was under way already needs no second confirmation.
///
/// # Errors
/// [`NotConfirmed`].
pub fn confirm(
    known: &Known,
    planned: &Planned,
    confirmed: Option<[u8; 32]>,
) -> Result<[u8; 32], NotConfirmed> {
    let hash = planned.plan.hash;
    let hex = || hash.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    if let Some(first) = known.resumes(planned.file.id) {
        return match confirmed {
            Some(other) if other != first && other != hash => Err(NotConfirmed::Other(hex())),
            _ => Ok(first),
        };
    }
    match confirmed {
        Some(other) if other != hash => Err(NotConfirmed::Other(hex())),
        None if !planned.plan.holds.is_empty() => {
            Err(NotConfirmed::Held { holds: planned.plan.holds.clone(), hash: hex() })
        }
        _ => Ok(hash),
    }
}
