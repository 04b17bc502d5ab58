//! The state that ledger entries fold into: zones with their names, and the requests already
//! done. Folding is the only way state changes, for the leader, a follower and a restart alike.

use super::entry::{Body, Cause, Change, Entry, NameChange};
use super::request::RequestId;
use super::settings::Settings;
use super::tree::{Descent, Keyed, Live, Tree};
use super::{History, NameRecord, Origin, Position, RrSet, RrSetRef, WriterTag, borrowed, find};
use einhorn_wire::rdata::{self, serial_greater, soa_numbers};
use einhorn_wire::{Name, RecordType};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// One zone. Cloning is cheap and gives a snapshot.
#[derive(Clone)]
pub struct Zone {
    /// Its name.
    pub apex: Name,
    /// Its name as a canonical key.
    key: Box<[u8]>,
    /// Its names, by canonical key.
    pub names: Tree<NameRecord>,
    /// The serial last published.
    pub serial: u32,
    /// Whether something changed since.
    pub unpublished: bool,
    /// How it is kept.
    pub settings: Arc<Settings>,
}

impl Live for Arc<Zone> {
    fn is_live(&self) -> bool {
        true
    }
}

impl Keyed for Arc<Zone> {
    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.key)
    }
}

impl Zone {
    /// A zone without names.
    fn empty(apex: Name) -> Zone {
        Zone::restored(apex, 0, Arc::default())
    }

    /// A zone as a snapshot has it, still without names.
    pub(super) fn restored(apex: Name, serial: u32, settings: Arc<Settings>) -> Zone {
        let key = apex.canonical_key().as_ref().into();
        Zone { apex, key, names: Tree::default(), serial, unpublished: false, settings }
    }

    /// Makes the next publication take the serial of the SOA that `load` comes with.
    fn begin_at_serial_of(&mut self, load: &Change) {
        let apex = load.names.iter().find(|name| name.owner == load.zone);
        let soa = apex.and_then(|apex| find(&apex.after, RecordType::SOA)?.rdatas().next());
        self.serial = soa.and_then(soa_numbers).map_or(0, |soa| soa.serial.wrapping_sub(1));
    }

    /// The zone's SOA record; `None` for a zone that has no content yet.
    pub fn soa(&self) -> Option<RrSetRef<'_>> {
        self.rrset(&self.apex, RecordType::SOA)
    }

    /// Folds a change of this zone, made in the entry at `last`.
    ///
    /// # Errors
    /// [`FoldError::Sequence`].
    pub(crate) fn fold(
        &mut self,
        change: &Change,
        last: Position,
        time_ms: u64,
    ) -> Result<(), FoldError> {
        let writer = change.who.tag();
        self.unpublished |= !change.names.is_empty();
        change.names.iter().try_for_each(|name| fold_name(self, name, last, writer, time_ms))
    }

    /// The serial of the next publication: the SOA's own if an update raised it, else the next
    /// number; never 0, which some secondaries take for "none". A followed zone has its
    /// primary's.
    pub(crate) fn next_serial(&self) -> u32 {
        let soa = self.soa().and_then(|set| soa_numbers(set.rdatas().next()?));
        match soa {
            Some(soa) if self.settings.is_followed() => soa.serial,
            Some(soa) if serial_greater(soa.serial, self.serial) => soa.serial,
            _ => self.serial.wrapping_add(1).max(1),
        }
    }

    /// The record of a name, tombstones included.
    pub fn name(&self, name: &Name) -> Option<&NameRecord> {
        self.names.get(name.canonical_key().as_ref())
    }

    /// An RRset.
    pub fn rrset(&self, name: &Name, rtype: RecordType) -> Option<RrSetRef<'_>> {
        self.name(name)?.rrset(rtype)
    }

    /// SHA-256 over the zone's content in canonical order: per name and RRset the lower-case
    /// owner, type, TTL, number of records, and the canonical rdatas in order. The SOA serial
    /// counts as 0, since restoring content does not restore serials.
    pub fn state_root(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for record in self.names.iter() {
            let owner = record.owner().as_wire().to_ascii_lowercase();
            let mut sets: Vec<RrSetRef<'_>> = record.rrsets().collect();
            sets.sort_by_key(|set| set.rtype);
            for set in sets {
                hash.update(&owner);
                hash.update(set.rtype.0.to_be_bytes());
                hash.update(set.ttl.to_be_bytes());
                let mut datas: Vec<_> = set
                    .rdatas()
                    .map(|data| rdata::canonical(set.rtype, data).into_owned())
                    .collect();
                if set.rtype == RecordType::SOA {
                    datas
                        .iter_mut()
                        .for_each(|data| *data = rdata::with_serial(data, 0).into_vec());
                }
                datas.sort();
                hash.update((datas.len() as u32).to_be_bytes());
                for data in &datas {
                    hash.update((data.len() as u16).to_be_bytes());
                    hash.update(data);
                }
            }
        }
        hash.finalize().into()
    }

    /// Puts the published serial into the SOA record, so that every reader sees one number.
    fn set_serial(&mut self, serial: u32) {
        self.serial = serial;
        self.unpublished = false;
        self.names.modify(self.apex.canonical_key().as_ref(), |apex| {
            let Some(old) = apex.rrset(RecordType::SOA) else { return };
            let datas: Vec<_> = old.rdatas().map(|data| rdata::with_serial(data, serial)).collect();
            let new = RrSet::new(old.rtype, old.ttl, datas.iter().map(|data| &**data));
            let Some(new) = new else { return };
            let sets = apex.rrsets().map(|set| if set == old { new.borrowed() } else { set });
            *apex = NameRecord::new(apex.owner(), &apex.history(), sets);
        });
    }
}

/// All zones of a site. Cloning is cheap and gives a snapshot.
#[derive(Clone, Default)]
pub struct Zones(pub(super) Tree<Arc<Zone>>);

impl Zones {
    /// The zone with this apex.
    pub fn get(&self, apex: &Name) -> Option<&Arc<Zone>> {
        self.0.get(apex.canonical_key().as_ref())
    }

    /// The deepest zone that the name with this canonical key is in.
    pub fn containing(&self, key: &[u8]) -> Option<&Arc<Zone>> {
        let mut deepest = None;
        let Descent { value, .. } = self.0.descend(key, |zone| deepest = Some(zone));
        value.or(deepest)
    }

    /// All zones in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.0.iter()
    }
}

/// Request ids are hashes, so their first octets are a hash already.
#[derive(Default, Clone, Copy)]
struct FirstOctets(u64);

impl Hasher for FirstOctets {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets.iter().take(8) {
            self.0 = self.0 << 8 | u64::from(*octet);
        }
    }
}

/// The first 16 octets of a request id, enough to tell requests apart.
type ShortId = [u8; 16];

/// Requests done so recently that a copy of them could still arrive.
#[derive(Default, Clone)]
pub(super) struct Requests {
    /// Index of the entry that each was done in.
    done: HashMap<ShortId, u64, BuildHasherDefault<FirstOctets>>,
    /// Ids by the second in which they may be forgotten.
    until_seconds: BTreeMap<u64, Vec<ShortId>>,
    /// The latest such second of those that have been forgotten; 0 for none.
    pub(super) forgotten_until_seconds: u64,
}

impl Requests {
    fn short(id: &RequestId) -> ShortId {
        let mut short = [0; 16];
        short.copy_from_slice(&id.0[..16]);
        short
    }

    pub(super) fn insert(&mut self, id: ShortId, until_seconds: u64, index: u64) {
        if self.done.insert(id, index).is_none() {
            self.until_seconds.entry(until_seconds).or_default().push(id);
        }
    }

    fn forget_before(&mut self, now_seconds: u64) {
        while let Some(first) =
            self.until_seconds.first_entry().filter(|entry| *entry.key() < now_seconds)
        {
            self.forgotten_until_seconds = self.forgotten_until_seconds.max(*first.key());
            for id in first.remove() {
                self.done.remove(&id);
            }
        }
    }

    /// Id, until and index of each, in a fixed order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ShortId, u64, u64)> {
        self.until_seconds.iter().flat_map(|(until, ids)| {
            let mut ids: Vec<_> =
                ids.iter().filter_map(|id| Some((*id, *until, *self.done.get(id)?))).collect();
            ids.sort_unstable();
            ids
        })
    }
}

/// An entry that does not follow from the ones before it: the log is not what it was, or was
/// written by another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The log does not begin with its genesis entry, or has a second one.
    #[error("entry {index}: a log has one genesis entry, its first")]
    Genesis {
        /// Index of the entry.
        index: u64,
    },
    /// An entry about a zone that does not exist.
    #[error("entry {index}: zone {zone} does not exist")]
    NoZone {
        /// Index of the entry.
        index: u64,
        /// Apex it names.
        zone: Name,
    },
    /// A change of a name does not continue that name's history.
    #[error("entry {index}: {owner} has sequence {actual}, but its history wants {expected}")]
    Sequence {
        /// Index of the entry.
        index: u64,
        /// Owner name.
        owner: Name,
        /// Sequence the state wants next.
        expected: u64,
        /// Sequence in the entry.
        actual: u64,
    },
}

/// Everything a site knows, as of the entry before `next_index`.
#[derive(Clone)]
pub struct State {
    /// The log that entries are appended to.
    pub origin: Origin,
    /// The log's name in its checkpoints; empty until the genesis entry.
    pub origin_name: String,
    /// Index of the next entry, from 0, counting parts.
    pub next_index: u64,
    /// Time of the last entry, in milliseconds since 1970; entries never go back in time.
    pub last_time_ms: u64,
    /// The zones.
    pub zones: Zones,
    pub(super) requests: Requests,
}

impl State {
    /// The state before any entry.
    pub fn empty() -> State {
        State {
            origin: Origin { site: 0, generation: 0 },
            origin_name: String::new(),
            next_index: 0,
            last_time_ms: 0,
            zones: Zones::default(),
            requests: Requests::default(),
        }
    }

    /// The entry in which this request was done, if it is remembered.
    pub fn done(&self, id: &RequestId) -> Option<u64> {
        self.requests.done.get(&Requests::short(id)).copied()
    }

    /// Whether a request that could be repeated until then would still be remembered, had it been
    /// done. A copy that waited too long, or a clock set back, brings requests that would not.
    pub fn would_remember(&self, until_seconds: u64) -> bool {
        until_seconds > self.requests.forgotten_until_seconds
    }

    /// Number of requests remembered.
    pub fn remembered(&self) -> usize {
        self.requests.done.len()
    }

    /// Forgets requests whose copies would be refused by now anyway.
    pub fn forget_before(&mut self, now_seconds: u64) {
        self.requests.forget_before(now_seconds);
    }

    /// Folds the next entry, stored in `parts` parts.
    ///
    /// # Errors
    /// [`FoldError`]; the state is then not to be used any more.
    pub fn fold(&mut self, entry: &Entry, parts: u64) -> Result<(), FoldError> {
        let index = self.next_index + parts - 1;
        match &entry.body {
            Body::Genesis { origin, name } => {
                if self.next_index != 0 {
                    return Err(FoldError::Genesis { index });
                }
                self.origin = *origin;
                self.origin_name = name.clone();
            }
            _ if self.next_index == 0 => return Err(FoldError::Genesis { index }),
            Body::Change(change) => self.fold_change(change, entry.time_ms, index)?,
            Body::Publication { zone, serial, .. } => {
                self.zones
                    .0
                    .modify(zone.canonical_key().as_ref(), |zone| {
                        Arc::make_mut(zone).set_serial(*serial)
                    })
                    .ok_or_else(|| FoldError::NoZone { index, zone: zone.clone() })?;
            }
            Body::MapRoot { .. } => {}
        }
        self.next_index = index + 1;
        self.last_time_ms = entry.time_ms;
        Ok(())
    }

    fn fold_change(&mut self, change: &Change, time_ms: u64, index: u64) -> Result<(), FoldError> {
        let key = change.zone.canonical_key();
        let key = key.as_ref();
        if let Cause::ZoneLoad { .. } | Cause::Settings(_) = change.cause
            && self.zones.0.get(key).is_none()
        {
            self.zones.0.insert(key, Arc::new(Zone::empty(change.zone.clone())));
        }
        let last = Position { origin: self.origin, index };
        let folded = self.zones.0.modify(key, |zone| {
            let zone = Arc::make_mut(zone);
            match &change.cause {
                Cause::ZoneLoad { .. } => zone.begin_at_serial_of(change),
                Cause::Settings(settings) => zone.settings = Arc::new((**settings).clone()),
                _ => {}
            }
            zone.fold(change, last, time_ms)
        });
        folded.unwrap_or_else(|| Err(FoldError::NoZone { index, zone: change.zone.clone() }))?;
        if let Cause::ZoneRemoval { .. } = change.cause {
            self.zones.0.remove(key);
        }
        self.requests.insert(
            Requests::short(&change.request),
            change.remember_until_seconds,
            index,
        );
        Ok(())
    }
}

fn fold_name(
    zone: &mut Zone,
    change: &NameChange,
    last: Position,
    writer: WriterTag,
    time_ms: u64,
) -> Result<(), FoldError> {
    let key = change.owner.canonical_key();
    let old = zone.names.get(key.as_ref());
    let history = old.map(NameRecord::history);
    let expected = history.map_or(0, |old| old.sequence) + 1;
    if change.sequence != expected || change.previous != history.map(|old| old.last) {
        let (owner, actual) = (change.owner.clone(), change.sequence);
        return Err(FoldError::Sequence { index: last.index, owner, expected, actual });
    }
    let history = History {
        home: change.home,
        epoch: change.epoch,
        version: change.version,
        sequence: change.sequence,
        last,
        writer,
        changed_at_ms: time_ms,
    };
    let owner = old.map_or(change.owner.borrowed(), NameRecord::owner);
    let record = NameRecord::new(owner, &history, borrowed(&change.after));
    zone.names.insert(key.as_ref(), record);
    Ok(())
}
