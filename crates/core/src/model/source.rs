//! What the sources of the legacy bridge said last, as far as that was acknowledged: the base of the
//! next three-way merge.
//!
//! A record of a source is opaque here: octets that the bridge wrote, under octets that are its key.
//! A source has one home, the log that advances it; each advance has a revision. A record takes only
//! what has a higher revision than it has, so that what comes out does not depend on the order in which
//! logs are folded. A decision of the review queue ranks as high as the review itself, and wins a tie.
//!
//! # Form
//! With the words of [`super::entry`]. Advance: text source; u64 revision; head; list of items. Item:
//! octets key; option of octets record; u32 generations for which it was missing; u8 `0` nothing was sent of
//! it | `1` the octets of a record were | `2` that it is gone was. Head: name zone; u64 files applied; option of the last one; option of the one under way: it and 32 octets of its plan's
//! hash; u32 last spool; option of the open batch: u32 spool, u64 time in milliseconds until which it
//! holds its names, list of names; text summary. Applied file: 32 octets id, u64 generation, 32 octets
//! SHA-256. Legacy record of a review: text source; octets key; u64 revision; option of octets record;
//! text conflict; text place; text record; octets as they were read.

use super::codec::{Malformed, Put, Take};
use super::review::{OpenReview, Reviews};
use super::tree::{Keyed, Live, Tree};
use super::{Origin, Position};
use einhorn_wire::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets of a source's name at most.
pub const SOURCE_NAME_OCTETS_MAX: usize = 63;

/// A file that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// SHA-256 of source, generation and the file's hash.
    pub id: [u8; 32],
    /// The file's generation.
    pub generation: u64,
    /// The file's SHA-256.
    pub file_sha256: [u8; 32],
}

/// A file that is being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// The file.
    pub file: Applied,
    /// Hash of the plan that was confirmed.
    pub plan: [u8; 32],
}

/// What was given to the other side and not confirmed by it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBatch {
    /// The spool's number.
    pub spool: u32,
    /// Until when it holds its names, in milliseconds since 1970.
    pub until_ms: u64,
    /// The names that it would change.
    pub names: Vec<Name>,
}

/// What is known of a source beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The zone that its hosts are in.
    pub zone: Name,
    /// Counts the files applied.
    pub applies: u64,
    /// The last of them.
    pub last: Option<Applied>,
    /// The one that is being applied.
    pub under_way: Option<UnderWay>,
    /// Number of the last spool given out; 0 for none.
    pub spool: u32,
    /// What was given out and not confirmed yet.
    pub batch: Option<OpenBatch>,
    /// How the last apply went, as JSON of the bridge.
    pub summary: String,
}

impl Head {
    /// Of a source that has said nothing yet.
    pub fn new(zone: Name) -> Head {
        let (last, under_way, batch) = (None, None, None);
        Head { zone, applies: 0, last, under_way, spool: 0, batch, summary: String::new() }
    }
}

/// What becomes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Box<[u8]>,
    /// What the source says; `None` when it no longer has it.
    pub record: Option<Box<[u8]>>,
    /// In how many generations in a row it was missing.
    pub missing: u32,
    /// What was given to the other side of it, and not confirmed yet.
    pub sent: Option<Sent>,
}

/// What the other side was told of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// That it is this.
    Record(Box<[u8]>),
    /// That it is gone.
    Gone,
}

/// The next state of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The source's name.
    pub source: String,
    /// Its revision from now on.
    pub revision: u64,
    /// What is known of it from now on.
    pub head: Head,
    /// Records that change.
    pub items: Vec<Item>,
}

/// A record of a source that waits for a person, with what a person needs to see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyRecord {
    /// The source's name.
    pub source: String,
    /// The record's key.
    pub key: Box<[u8]>,
    /// The source's revision when it was frozen.
    pub revision: u64,
    /// What the source says now, which is its base once a person has decided.
    pub record: Option<Box<[u8]>>,
    /// What the conflict is.
    pub conflict: String,
    /// Where the record stands: file, line and octet.
    pub place: String,
    /// The record in words.
    pub text: String,
    /// The record as it was read.
    pub raw: Vec<u8>,
}

/// A record of a source, as it said it last. Cloning costs a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRecord(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    key: Box<[u8]>,
    revision: u64,
    missing: u32,
    record: Option<Box<[u8]>>,
    sent: Option<Sent>,
}

impl BaseRecord {
    /// Its key.
    pub fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// The revision that brought it.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// In how many generations in a row it was missing.
    pub fn missing(&self) -> u32 {
        self.0.missing
    }

    /// As an advance has it.
    pub(crate) fn item(&self) -> Item {
        let Inner { key, missing, record, sent, .. } = &*self.0;
        Item { key: key.clone(), record: record.clone(), missing: *missing, sent: sent.clone() }
    }

    /// What the source said; `None` for one that it no longer has.
    pub fn record(&self) -> Option<&[u8]> {
        self.0.record.as_deref()
    }
}

impl Live for BaseRecord {
    fn is_live(&self) -> bool {
        self.0.record.is_some()
    }
}

impl Keyed for BaseRecord {
    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.0.key)
    }
}

/// What is known of a source. Cloning costs little.
#[derive(Clone)]
pub struct Source {
    /// The log that advances it.
    pub home: Origin,
    /// Counts its advances.
    pub revision: u64,
    /// What is known beside its records.
    pub head: Head,
    records: Tree<BaseRecord>,
}

impl Source {
    /// The record with this key, also one that the source no longer has.
    pub fn record(&self, key: &[u8]) -> Option<&BaseRecord> {
        self.records.get(key)
    }

    /// All records, those that the source no longer has included.
    pub fn records(&self) -> impl Iterator<Item = &BaseRecord> {
        self.records.iter()
    }

    /// Whether an item is there already.
    pub fn has(&self, item: &Item) -> bool {
        let known = self.record(&item.key).map(BaseRecord::item);
        known.unwrap_or_else(|| Item::new(item.key.clone(), None)) == *item
    }

    fn put_item(&mut self, item: &Item, revision: u64) {
        let Item { key, record, missing, sent } = item.clone();
        let inner = Inner { key, revision, missing, record, sent };
        self.records.insert(&item.key, BaseRecord(Arc::new(inner)));
    }
}

/// All sources, by name.
#[derive(Clone, Default)]
pub struct Sources(BTreeMap<String, Arc<Source>>);

impl Sources {
    /// The source with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Source>> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.0.iter().map(|(name, source)| (name.as_str(), &**source))
    }

    /// Whether an open batch holds this name.
    pub fn hold(&self, name: &Name, now_ms: u64) -> bool {
        let holds = |batch: &OpenBatch| now_ms < batch.until_ms && batch.names.contains(name);
        self.0.values().any(|source| source.head.batch.as_ref().is_some_and(holds))
    }

    fn source(&mut self, name: &str, zone: &Name) -> &mut Source {
        let source = self.0.entry(name.to_owned()).or_insert_with(|| {
            let (home, head) = (Origin::NONE, Head::new(zone.clone()));
            Arc::new(Source { home, revision: 0, head, records: Tree::default() })
        });
        Arc::make_mut(source)
    }

    /// Folds an advance at home in `origin`; the reviews of its records are over.
    pub(super) fn fold(&mut self, origin: Origin, advance: &Advance, reviews: &mut Reviews) {
        let source = self.source(&advance.source, &advance.head.zone);
        for item in &advance.items {
            if source.record(&item.key).is_none_or(|known| known.revision() < advance.revision) {
                source.put_item(item, advance.revision);
                reviews.close_record(&advance.source, &item.key, advance.revision);
            }
        }
        if source.revision < advance.revision {
            source.home = origin;
            source.revision = advance.revision;
            source.head = advance.head.clone();
        }
    }

    /// A person has decided on a record: what its source says is the base now.
    pub(super) fn settle(&mut self, decided: &OpenReview) {
        let Some(legacy) = &decided.review.legacy else { return };
        let source = self.source(&legacy.source, &decided.review.change.zone);
        let (key, record) = (legacy.key.clone(), legacy.record.clone());
        if source.record(&key).is_none_or(|known| known.revision() <= legacy.revision) {
            source.put_item(&Item::new(key, record), legacy.revision);
        }
    }

    /// Whether an advance has overtaken a review that is opened only now.
    pub(crate) fn is_over(&self, legacy: &LegacyRecord) -> bool {
        let known = self.get(&legacy.source).and_then(|source| source.record(&legacy.key));
        known.is_some_and(|known| known.revision() > legacy.revision)
    }

    /// Adds a source as a snapshot has it, without its records.
    pub(super) fn insert(&mut self, name: String, home: Origin, revision: u64, head: Head) {
        let source = Source { home, revision, head, records: Tree::default() };
        self.0.insert(name, Arc::new(source));
    }

    /// Adds a record as a snapshot has it.
    pub(super) fn insert_record(&mut self, name: &str, item: &Item, revision: u64) {
        if let Some(source) = self.0.get_mut(name) {
            Arc::make_mut(source).put_item(item, revision);
        }
    }
}

impl Applied {
    fn put(&self, put: &mut Put<'_>) {
        put.bytes(&self.id);
        put.u64(self.generation);
        put.bytes(&self.file_sha256);
    }

    fn take(take: &mut Take<'_>) -> Result<Applied, Malformed> {
        let (id, generation) = (take.array()?, take.u64()?);
        Ok(Applied { id, generation, file_sha256: take.array()? })
    }
}

impl Head {
    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.name(&self.zone);
        put.u64(self.applies);
        put.option(self.last, |put, last| last.put(put));
        put.option(self.under_way, |put, under_way| {
            under_way.file.put(put);
            put.bytes(&under_way.plan);
        });
        put.u32(self.spool);
        put.option(self.batch.as_ref(), |put, batch| {
            put.u32(batch.spool);
            put.u64(batch.until_ms);
            put.count(batch.names.len());
            batch.names.iter().for_each(|name| put.name(name));
        });
        put.text(&self.summary);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Head, Malformed> {
        Ok(Head {
            zone: take.name()?,
            applies: take.u64()?,
            last: take.option(Applied::take)?,
            under_way: take.option(|take| {
                let file = Applied::take(take)?;
                Ok(UnderWay { file, plan: take.array()? })
            })?,
            spool: take.u32()?,
            batch: take.option(|take| {
                let (spool, until_ms) = (take.u32()?, take.u64()?);
                Ok(OpenBatch { spool, until_ms, names: take.list(1, Take::name)? })
            })?,
            summary: take.text()?,
        })
    }
}

impl Item {
    /// A record as its source says it now.
    pub fn new(key: Box<[u8]>, record: Option<Box<[u8]>>) -> Item {
        Item { key, record, missing: 0, sent: None }
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.octets(&self.key);
        put.option(self.record.as_deref(), Put::octets);
        put.u32(self.missing);
        match &self.sent {
            None => put.u8(0),
            Some(Sent::Record(record)) => {
                put.u8(1);
                put.octets(record);
            }
            Some(Sent::Gone) => put.u8(2),
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Item, Malformed> {
        let key = take.octets()?.into();
        let record = take.option(|take| Ok(Box::from(take.octets()?)))?;
        let missing = take.u32()?;
        let sent = match take.u8()? {
            0 => None,
            1 => Some(Sent::Record(take.octets()?.into())),
            2 => Some(Sent::Gone),
            _ => return Err(Malformed("what was sent of a record")),
        };
        Ok(Item { key, record, missing, sent })
    }

    /// How many octets [`Item::put`] writes.
    pub(super) fn octets(&self) -> usize {
        const FIXED_OCTETS: usize = 18;
        let sent = match &self.sent {
            Some(Sent::Record(record)) => record.len(),
            _ => 0,
        };
        let record = self.record.as_ref().map_or(0, |record| record.len());
        FIXED_OCTETS + self.key.len() + record + sent
    }
}

impl Advance {
    /// About how many octets [`Advance::put`] writes.
    pub(super) fn octets_about(&self) -> usize {
        const HEAD_OCTETS: usize = 512;
        let names = self.head.batch.iter().flat_map(|batch| &batch.names);
        HEAD_OCTETS
            + self.head.summary.len()
            + names.map(|name| name.as_wire().len()).sum::<usize>()
            + self.items.iter().map(Item::octets).sum::<usize>()
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.text(&self.source);
        put.u64(self.revision);
        self.head.put(put);
        put.count(self.items.len());
        self.items.iter().for_each(|item| item.put(put));
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Advance, Malformed> {
        let (source, revision) = (take.text()?, take.u64()?);
        Ok(Advance { source, revision, head: Head::take(take)?, items: take.list(10, Item::take)? })
    }
}

impl LegacyRecord {
    /// About how many octets [`LegacyRecord::put`] writes.
    pub(super) fn octets_about(&self) -> usize {
        const FIXED_OCTETS: usize = 256;
        let record = self.record.as_ref().map_or(0, |record| record.len());
        FIXED_OCTETS + self.key.len() + record + self.text.len() + self.raw.len()
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.text(&self.source);
        put.octets(&self.key);
        put.u64(self.revision);
        put.option(self.record.as_deref(), Put::octets);
        put.text(&self.conflict);
        put.text(&self.place);
        put.text(&self.text);
        put.octets(&self.raw);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<LegacyRecord, Malformed> {
        Ok(LegacyRecord {
            source: take.text()?,
            key: take.octets()?.into(),
            revision: take.u64()?,
            record: take.option(|take| Ok(Box::from(take.octets()?)))?,
            conflict: take.text()?,
            place: take.text()?,
            text: take.text()?,
            raw: take.octets()?.to_vec(),
        })
    }
}

/// A review of a record of a source, as the bridge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenRecord {
    /// Where it was put into the queue.
    pub at: Position,
    /// The record's key.
    pub key: Box<[u8]>,
    /// What the source says.
    pub record: Option<Box<[u8]>>,
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
