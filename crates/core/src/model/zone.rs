//! One zone, and all zones: names with their records, and what was published of them.

use super::entry::{Cause, Change, NameChange};
use super::points::Points;
use super::settings::Settings;
use super::tree::{Descent, Keyed, Live, Tree};
use super::{FoldError, History, NameRecord, Origin, Position, RrSet, RrSetRef, borrowed, find};
use crate::commit::bug::{Bug, has};
use einhorn_wire::rdata::{self, serial_greater, soa_numbers};
use einhorn_wire::{Name, RecordType};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// One zone. Cloning is cheap and gives a snapshot.
#[derive(Clone)]
pub struct Zone {
    /// Its name.
    pub apex: Name,
    /// Its name as a canonical key.
    pub(super) key: Box<[u8]>,
    /// Which of the zones that had this apex, from 1; 0 while nothing but a change of another site
    /// has been heard of it.
    pub incarnation: u32,
    /// The log that orders what belongs to the zone as a whole, unless another one took it over.
    pub home: Origin,
    /// Its names, by canonical key: the newest content, which answers come from.
    pub names: Tree<NameRecord>,
    /// The serial of the last publication point reached.
    pub serial: u32,
    /// How it is kept.
    pub settings: Arc<Settings>,
    /// Counts its settings.
    pub settings_version: u64,
    pub(super) points: Points,
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
    pub(super) fn empty(apex: Name) -> Zone {
        let key = apex.canonical_key().as_ref().into();
        Zone {
            apex,
            key,
            incarnation: 0,
            home: Origin::NONE,
            names: Tree::default(),
            serial: 0,
            settings: Arc::default(),
            settings_version: 0,
            points: Points::default(),
        }
    }

    /// Begins anew if this is a later one of the zones that had this apex.
    pub(super) fn begin_incarnation(&mut self, incarnation: u32) {
        if incarnation > self.incarnation {
            *self = Zone { incarnation, ..Zone::empty(self.apex.clone()) };
        }
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
        match &change.cause {
            Cause::ZoneLoad { .. } => {
                self.home = last.origin;
                self.begin_at_serial_of(change);
            }
            Cause::Settings { version, settings } if *version > self.settings_version => {
                // Only a zone's home changes its settings.
                self.home = last.origin;
                self.settings = Arc::new((**settings).clone());
                self.settings_version = *version;
            }
            _ => {}
        }
        change.names.iter().try_for_each(|name| self.fold_name(change, name, last, time_ms))
    }

    fn fold_name(
        &mut self,
        change: &Change,
        name: &NameChange,
        last: Position,
        time_ms: u64,
    ) -> Result<(), FoldError> {
        let key = name.owner.canonical_key();
        let old = self.names.get(key.as_ref());
        let before = old.map(NameRecord::history);
        if !continues(before.as_ref(), name, last.origin) {
            return Err(FoldError::Sequence {
                index: last.index,
                owner: name.owner.clone(),
                expected: before.map_or(0, |old| old.sequence) + 1,
                actual: name.sequence,
            });
        }
        let used_at = change.entered_site;
        let in_a_row = before.filter(|old| old.used_at == used_at).map_or(0, |old| old.used_times);
        let history = History {
            home: name.home,
            epoch: name.epoch,
            version: name.version,
            sequence: name.sequence,
            last,
            writer: change.writer(),
            changed_at_ms: time_ms,
            used_at,
            used_times: in_a_row.saturating_add(1),
        };
        let owner = old.map_or(name.owner.borrowed(), NameRecord::owner);
        let record = NameRecord::new(owner, &history, &name.leases, borrowed(&name.after));
        // Entries of other logs may come before what led to them. A point may still stand between
        // the two, and want the older one.
        let ranks_higher = |old: &History| (old.rank(), old.last) < (history.rank(), history.last);
        let is_newest = before.as_ref().is_none_or(ranks_higher) || has(Bug::FoldedByArrival);
        if is_newest || !self.points.has_passed(key.as_ref(), &history) {
            self.points.uncovered.push(record.clone());
        }
        if is_newest {
            self.names.insert(key.as_ref(), record);
        }
        Ok(())
    }

    /// The serial of the next publication: the SOA's own if an update raised it, else the next
    /// number; never 0, which some secondaries take for "none". A followed zone has its
    /// primary's.
    pub(crate) fn next_serial(&self) -> u32 {
        let soa = self.soa().and_then(|set| soa_numbers(set.rdatas().next()?));
        let last = self.points.last_serial().unwrap_or(self.serial);
        match soa {
            Some(soa) if self.settings.is_followed() => soa.serial,
            Some(soa) if serial_greater(soa.serial, last) => soa.serial,
            _ => last.wrapping_add(1).max(1),
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
}

/// Whether a change of a name may follow what is known of it. Within one log nothing may be
/// missing; between logs the order of arrival is open.
fn continues(before: Option<&History>, name: &NameChange, origin: Origin) -> bool {
    match (before, name.previous) {
        (Some(before), previous) if before.last.origin == origin => match previous {
            Some(previous) if previous.origin == origin => {
                previous == before.last && name.sequence == before.sequence + 1
            }
            Some(_) => name.sequence > before.sequence,
            None => false,
        },
        (None, Some(previous)) => previous.origin != origin,
        (None, None) => name.sequence == 1,
        (Some(_), _) => true,
    }
}

/// Puts the published serial into the SOA record, so that every reader sees one number.
pub(super) fn set_soa_serial(names: &mut Tree<NameRecord>, apex: &[u8], serial: u32) {
    names.modify(apex, |apex| {
        let Some(old) = apex.rrset(RecordType::SOA) else { return };
        let datas: Vec<_> = old.rdatas().map(|data| rdata::with_serial(data, serial)).collect();
        let new = RrSet::new(old.rtype, old.ttl, datas.iter().map(|data| &**data));
        let Some(new) = new else { return };
        let sets = apex.rrsets().map(|set| if set == old { new.borrowed() } else { set });
        *apex = NameRecord::new(apex.owner(), &apex.history(), &apex.leases(), sets);
    });
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
