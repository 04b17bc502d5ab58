//! What the bridge's own process and a node say to each other about a source: octets for the bodies of
//! HTTP requests and replies.
//!
//! # Form
//! With the words of [`crate::model::entry`]; each begins with u8 `1`, its version.
//!
//! - View: option of the source: u64 revision, head, list of records (u64 revision, item); list of frozen
//!   records (position, octets key, option of octets record); list of names (name, u32 epoch, u64
//!   version, list of RRsets), those without records included; epoch and version are 0 for none.
//! - Step: as in a request between sites.
//! - Frozen: 32 octets id of the apply; list of records, each a legacy record and a list of planned names.

use crate::link::request::{put_planned, take_planned};
use crate::model::codec::{Malformed, Put, Take};
use crate::model::request::{PlannedName, SourceStep};
use crate::model::source::{FrozenRecord, Head, Item, LegacyRecord, Source};
use crate::model::{RrSet, Zone};
use einhorn_wire::Name;

const VERSION: u8 = 1;

/// What a node knows of a source and its zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The source; `None` for one that has said nothing yet.
    pub source: Option<KnownSource>,
    /// Its records that wait for a person.
    pub frozen: Vec<FrozenRecord>,
    /// The zone's names.
    pub names: Vec<KnownName>,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// Counts its advances.
    pub revision: u64,
    /// What is known beside its records.
    pub head: Head,
    /// Its records, with the revision that brought each.
    pub records: Vec<(u64, Item)>,
}

/// A name of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// Owner name.
    pub owner: Name,
    /// Counts the moves of its home.
    pub epoch: u32,
    /// Counts its changes.
    pub version: u64,
    /// Its RRsets; none for a name that lost its last.
    pub sets: Vec<RrSet>,
}

/// Writes a view.
pub fn encode_view(
    source: Option<&Source>,
    frozen: &[FrozenRecord],
    zone: Option<&Zone>,
) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut put = Put(&mut octets);
    put.u8(VERSION);
    put.option(source, |put, source| {
        put.u64(source.revision);
        source.head.put(put);
        put.count(source.records().count());
        for record in source.records() {
            put.u64(record.revision());
            record.item().put(put);
        }
    });
    put.count(frozen.len());
    for FrozenRecord { at, key, record } in frozen {
        put.position(*at);
        put.octets(key);
        put.option(record.as_deref(), Put::octets);
    }
    put.count(zone.map_or(0, |zone| zone.names.iter().count()));
    for record in zone.into_iter().flat_map(|zone| zone.names.iter()) {
        let history = record.history();
        put.name(&record.owner().to_name());
        put.u32(history.epoch);
        put.u64(history.version);
        put.rrsets(&record.owned_rrsets());
    }
    octets
}

/// Reads a view.
///
/// # Errors
/// [`Malformed`].
pub fn decode_view(octets: &[u8]) -> Result<View, Malformed> {
    let mut take = begin(octets)?;
    let source = take.option(|take| {
        let (revision, head) = (take.u64()?, Head::take(take)?);
        let records = take.list(17, |take| Ok((take.u64()?, Item::take(take)?)))?;
        Ok(KnownSource { revision, head, records })
    })?;
    let frozen = take.list(17, |take| {
        let (at, key) = (take.position()?, take.octets()?.into());
        let record = take.option(|take| Ok(Box::from(take.octets()?)))?;
        Ok(FrozenRecord { at, key, record })
    })?;
    let names = take.list(17, |take| {
        let (owner, epoch, version) = (take.name()?, take.u32()?, take.u64()?);
        Ok(KnownName { owner, epoch, version, sets: take.rrsets()? })
    })?;
    take.end()?;
    Ok(View { source, frozen, names })
}

/// Writes a step.
pub fn encode_step(step: &SourceStep) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut put = Put(&mut octets);
    put.u8(VERSION);
    step.put(&mut put);
    octets
}

/// Reads a step.
///
/// # Errors
/// [`Malformed`].
pub fn decode_step(octets: &[u8]) -> Result<SourceStep, Malformed> {
    let mut take = begin(octets)?;
    let step = SourceStep::take(&mut take)?;
    take.end()?;
    Ok(step)
}

/// Records that are to wait for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The id of the apply.
    pub apply: [u8; 32],
    /// The records, each with what its names would become.
    pub records: Vec<(LegacyRecord, Vec<PlannedName>)>,
}

/// Writes records that are to wait for a person.
pub fn encode_frozen(frozen: &Frozen) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut put = Put(&mut octets);
    put.u8(VERSION);
    put.bytes(&frozen.apply);
    put.count(frozen.records.len());
    for (legacy, names) in &frozen.records {
        legacy.put(&mut put);
        put_planned(&mut put, names, true);
    }
    octets
}

/// Reads records that are to wait for a person.
///
/// # Errors
/// [`Malformed`].
pub fn decode_frozen(octets: &[u8]) -> Result<Frozen, Malformed> {
    let mut take = begin(octets)?;
    let apply = take.array()?;
    let records =
        take.list(37, |take| Ok((LegacyRecord::take(take)?, take_planned(take, true)?)))?;
    take.end()?;
    Ok(Frozen { apply, records })
}

fn begin(octets: &[u8]) -> Result<Take<'_>, Malformed> {
    let mut take = Take { rest: octets };
    match take.u8()? {
        VERSION => Ok(take),
        _ => Err(Malformed("version: the node and the bridge are not of one version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source::Applied;
    use proptest::prelude::*;

    fn item() -> impl Strategy<Value = Item> {
        let octets = proptest::collection::vec(any::<u8>(), 0..9);
        (octets.clone(), proptest::option::of(octets), any::<u32>()).prop_map(
            |(key, record, missing)| Item {
                missing,
                ..Item::new(key.into(), record.map(Into::into))
            },
        )
    }

    fn planned() -> impl Strategy<Value = PlannedName> {
        ("[a-z]{1,9}", any::<u64>(), any::<Option<u32>>()).prop_map(|(name, version, epoch)| {
            let owner = format!("{name}.example.").parse().expect("a name");
            let set = RrSet::new(einhorn_wire::RecordType::A, 60, [&[1u8, 2, 3, 4][..]]);
            PlannedName { owner, version, epoch, after: set.into_iter().collect() }
        })
    }

    proptest! {
        #[test]
        fn steps_survive_their_form(
            units in proptest::collection::vec(
                (
                    proptest::collection::vec(item(), 0..3),
                    proptest::collection::vec(planned(), 0..3),
                ),
                0..4,
            ),
            revision in any::<u64>(),
            cut in any::<u16>(),
        ) {
            use crate::model::request::SourceUnit;
            let file = Applied { id: [1; 32], generation: revision, file_sha256: [2; 32] };
            let head = Head { last: Some(file), ..Head::new("example.".parse().expect("a name")) };
            let units =
                units.into_iter().map(|(items, names)| SourceUnit { items, names }).collect();
            let step =
                SourceStep { source: "nic".to_owned(), revision, apply: [3; 32], head, units };
            let octets = encode_step(&step);
            prop_assert_eq!(decode_step(&octets), Ok(step));
            let cut = usize::from(cut) % octets.len();
            prop_assert!(decode_step(&octets[..cut]).is_err());
        }

        #[test]
        fn octets_that_are_nothing_are_refused(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let octets = [&[VERSION][..], &octets].concat();
            // None panics, and what is read is written the same.
            if let Ok(step) = decode_step(&octets) {
                prop_assert_eq!(encode_step(&step), octets.clone());
            }
            if let Ok(frozen) = decode_frozen(&octets) {
                prop_assert_eq!(encode_frozen(&frozen), octets.clone());
            }
            _ = decode_view(&octets);
        }
    }
}
