//! From a plan to what the node is to do: names with their new content, each with the version that it
//! must still have, and records that wait for a person.
//!
//! Records whose names touch each other (a nickname that goes from one host to another, a rename) are one
//! unit, which is done as a whole.

use super::deck::Refused;
use super::file::Read;
use super::image::{Claims, Data, Image, Placing, images, same};
use super::lift::Content;
use super::plan::{Known, Planned};
use super::stored::{self, Sidecar};
use crate::merge::{Conflict, InputKind, Outcome, Shared, What};
use crate::record::Key;
use einhorn_core::model::request::{PlannedName, SourceUnit};
use einhorn_core::model::source::Item;
use einhorn_core::model::{RrSet, find};
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// What can be done, in the order of names.
    pub units: Vec<SourceUnit>,
    /// Records that wait for a person.
    pub frozen: Vec<Frozen>,
    /// Records that are missing, or no longer are, for the step that ends the apply.
    pub last: Vec<Item>,
}

/// A record that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Its name.
    pub key: Key,
    /// What the conflict is.
    pub conflict: String,
    /// What the source says.
    pub theirs: Option<Shared>,
    /// What its names would become.
    pub names: Vec<PlannedName>,
}

/// Why a name cannot have what a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    /// A CNAME stands alone (RFC 1034 §3.6.2).
    CnameBesideData,
    /// The name is in a zone of its own, or redirected.
    Delegated,
}

impl Blocked {
    fn code(self) -> &'static str {
        match self {
            Blocked::CnameBesideData => "cname-beside-data",
            Blocked::Delegated => "delegated",
        }
    }
}

/// What is to be done for a plan.
pub fn work(
    placing: &Placing,
    known: &Known,
    content: &Content<'_>,
    read: &Read,
    kind: &InputKind,
    planned: &Planned,
) -> Work {
    let maker = Maker { placing, known, content, planned };
    let items = maker.items(read, kind);
    let made: Vec<&Outcome> =
        planned.plan.merge.outcomes.iter().filter(|one| is_made(one)).collect();
    let (groups, images, claims) = maker.groups(&made);
    let mut work = Work { last: maker.missing(&items), ..Work::default() };
    let mut done: HashSet<Box<[u8]>> = HashSet::new();
    let mut units: BTreeMap<Box<[u8]>, SourceUnit> = BTreeMap::new();
    for group in groups {
        let keys: Vec<Box<[u8]>> =
            group.outcomes.iter().flat_map(|at| keys_of(made[*at])).collect();
        done.extend(keys.iter().cloned());
        let names: Result<Vec<_>, _> =
            group.names.iter().filter_map(|name| maker.name(name, &claims, &images)).collect();
        match names {
            Ok(names) => {
                let items: Vec<Item> =
                    keys.iter().filter_map(|key| items.get(key)).cloned().collect();
                let first = items.first().map(|item| item.key.clone());
                if let Some(first) = first {
                    units.insert(first, SourceUnit { items, names });
                }
            }
            Err(blocked) => {
                let outcomes = group.outcomes.iter().map(|at| made[*at]);
                let frozen =
                    outcomes.filter_map(|one| maker.freeze(one, blocked.code().to_owned()));
                work.frozen.extend(frozen);
            }
        }
    }
    // Records that only the base has to learn of.
    for (key, item) in items.into_iter().filter(|(key, _)| !done.contains(key)) {
        units.insert(key, SourceUnit { items: vec![item], names: Vec::new() });
    }
    work.units = units.into_values().collect();
    let conflicts = planned.plan.merge.outcomes.iter().filter_map(|outcome| {
        let What::Conflict(conflict) = &outcome.what else { return None };
        maker.freeze(outcome, words(conflict))
    });
    work.frozen.extend(conflicts);
    let refused = planned.refused.iter().filter_map(|refused| {
        let Refused { key, theirs, conflict } = refused.clone();
        let ours = planned.ours.get(&key).cloned();
        let text = words(&conflict);
        let what = What::Conflict(conflict);
        maker.freeze(&Outcome { key, what, theirs, ours }, text)
    });
    work.frozen.extend(refused);
    work
}

/// Whether names change for it.
fn is_made(outcome: &Outcome) -> bool {
    use What::{Added, Deleted, Renamed, Updated};
    matches!(outcome.what, Added | Updated | Renamed(_) | Deleted)
}

fn keys_of(outcome: &Outcome) -> Vec<Box<[u8]>> {
    let mut keys = vec![stored::key(&outcome.key)];
    if let What::Renamed(old) = &outcome.what {
        keys.push(stored::key(old));
    }
    keys
}

/// Outcomes that share names, and those names.
#[derive(Debug, Default)]
struct Group {
    outcomes: Vec<usize>,
    names: Vec<Name>,
}

struct Maker<'m> {
    placing: &'m Placing,
    known: &'m Known,
    content: &'m Content<'m>,
    planned: &'m Planned,
}

impl Maker<'_> {
    /// Records of the base that are no longer as the ledger has them.
    fn items(&self, read: &Read, kind: &InputKind) -> BTreeMap<Box<[u8]>, Item> {
        let merge = &self.planned.plan.merge;
        // A change does not say all that the source knows of a record.
        let is_delta = matches!(kind, InputKind::Delta { .. });
        let none = Sidecar::new();
        let held = self.held();
        let mut items = BTreeMap::new();
        let mut kept: HashSet<Box<[u8]>> = HashSet::with_capacity(merge.base.len());
        for entry in merge.base.entries() {
            let key = stored::key(&entry.key);
            if held.contains(&entry.key) {
                kept.insert(key);
                continue;
            }
            let before = self.known.sidecars.get(&key).unwrap_or(&none);
            let is_theirs = !is_delta && read.theirs.get(&entry.key).is_some();
            let now = read.sidecars.get(&key).filter(|_| is_theirs);
            let sidecar = if !is_theirs { before } else { now.unwrap_or(&none) };
            let known = self.known.state.base.get(&entry.key);
            let is_same = known.is_some_and(|known| Shared::ptr_eq(known, entry) || known == entry);
            if !is_same || sidecar != before {
                let record = Some(stored::encode(entry, sidecar));
                items.insert(key.clone(), Item::new(key.clone(), record));
            }
            kept.insert(key);
        }
        self.thaw(read, kind, &held, &mut items);
        for entry in self.known.state.base.entries() {
            let key = stored::key(&entry.key);
            if !kept.contains(&key) {
                items.insert(key.clone(), Item::new(key, None));
            }
        }
        items
    }

    /// Records that waited for a person and need not any more: their base is said anew.
    fn thaw(
        &self,
        read: &Read,
        kind: &InputKind,
        held: &HashSet<&Key>,
        items: &mut BTreeMap<Box<[u8]>, Item>,
    ) {
        if self.known.frozen.is_empty() {
            return;
        }
        let held: HashSet<Box<[u8]>> = held.iter().map(|key| stored::key(key)).collect();
        let said: HashSet<Box<[u8]>> =
            read.theirs.entries().iter().map(|entry| stored::key(&entry.key)).collect();
        // Only a full file says something of everything.
        let is_over =
            |key: &[u8]| !held.contains(key) && (*kind == InputKind::Full || said.contains(key));
        for frozen in self.known.frozen.iter().filter(|frozen| is_over(&frozen.key)) {
            let known = self.known.items.get(&frozen.key).cloned();
            let none = || Item::new(frozen.key.clone(), None);
            items.entry(frozen.key.clone()).or_insert_with(|| known.unwrap_or_else(none));
        }
    }

    /// Records whose base stays as it is.
    fn held(&self) -> HashSet<&Key> {
        use What::{Conflict, Missing, Quarantined};
        let is_held = |one: &&Outcome| matches!(one.what, Conflict(_) | Quarantined | Missing(_));
        let outcomes = self.planned.plan.merge.outcomes.iter().filter(is_held);
        let refused = self.planned.refused.iter().map(|refused| &refused.key);
        outcomes.map(|one| &one.key).chain(refused).collect()
    }

    /// Records whose count of generations in which they were missing changes.
    fn missing(&self, items: &BTreeMap<Box<[u8]>, Item>) -> Vec<Item> {
        let next = &self.planned.plan.merge.missing;
        let before = &self.known.state.missing;
        let count = |key: &Key| next.get(key).copied().unwrap_or(0);
        let mut keys: Vec<&Key> = next.keys().chain(before.keys()).collect();
        keys.sort();
        keys.dedup();
        let changed = keys.into_iter().filter(|key| {
            let is_kept = self.planned.plan.merge.base.get(key).is_some();
            is_kept && count(key) != before.get(*key).copied().unwrap_or(0)
        });
        let item = |name: &Key| {
            let key = stored::key(name);
            // A record that is there again with something new is counted anew with that.
            let known = self.known.items.get(&key).filter(|_| !items.contains_key(&key))?;
            Some(Item { missing: count(name), ..known.clone() })
        };
        changed.filter_map(item).collect()
    }

    /// Puts together what shares names; with what all records come to at these names.
    fn groups(&self, made: &[&Outcome]) -> (Vec<Group>, Vec<Image>, Claims) {
        if made.is_empty() {
            return Default::default();
        }
        let merged = &self.planned.plan.merge.merged;
        let mut by_name: HashMap<Name, Vec<usize>> = HashMap::new();
        for (at, outcome) in made.iter().enumerate() {
            let after = merged.get(&outcome.key).filter(|_| outcome.what != What::Deleted);
            let both = [outcome.ours.as_ref(), after].into_iter().flatten();
            for name in both.flat_map(|entry| names_of(self.placing.image(entry))) {
                let outcomes = by_name.entry(name).or_default();
                if outcomes.last() != Some(&at) {
                    outcomes.push(at);
                }
            }
        }
        let images = images(self.placing, merged.entries());
        let claims = Claims::of(&images, |name| by_name.contains_key(name));
        let mut joined = Joined::new(made.len());
        by_name.values().for_each(|all| all.iter().for_each(|at| joined.join(all[0], *at)));
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for at in 0..made.len() {
            groups.entry(joined.root(at)).or_default().outcomes.push(at);
        }
        for (name, outcomes) in by_name {
            if let Some(group) = groups.get_mut(&joined.root(outcomes[0])) {
                group.names.push(name);
            }
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.names.sort());
        (groups, images, claims)
    }

    /// A name as it is to be; `None` if it is so already.
    fn name(
        &self,
        name: &Name,
        claims: &Claims,
        images: &[Image],
    ) -> Option<Result<PlannedName, Blocked>> {
        let claim = claims.by_name.get(name).cloned().unwrap_or_default();
        self.planned_name(name, &claim.data(images)).transpose()
    }

    fn planned_name(&self, name: &Name, data: &[Data]) -> Result<Option<PlannedName>, Blocked> {
        let known = self.content.get(name);
        let before = known.map_or(&[][..], |known| &known.sets);
        let Some(after) = self.after(before, data) else { return Ok(None) };
        if self.is_delegated(name) {
            return Err(Blocked::Delegated);
        }
        let stands_alone =
            |set: &RrSet| !may_join_cname(set.rtype) && set.rtype != RecordType::CNAME;
        if find(&after, RecordType::CNAME).is_some() && after.iter().any(stands_alone) {
            return Err(Blocked::CnameBesideData);
        }
        let version = known.map_or(0, |known| known.version);
        let epoch = Some(known.map_or(0, |known| known.epoch));
        Ok(Some(PlannedName { owner: name.clone(), version, epoch, after }))
    }

    /// A name's RRsets with this data in place of the source's; `None` if nothing changes.
    fn after(&self, before: &[RrSet], data: &[Data]) -> Option<Vec<RrSet>> {
        let mut types: Vec<RecordType> = before.iter().map(|set| set.rtype).collect();
        types.extend(data.iter().map(|data| data.rtype));
        types.sort_unstable();
        types.dedup();
        let (mut after, mut is_changed) = (Vec::with_capacity(types.len()), false);
        for rtype in types {
            let old = find(before, rtype);
            let is_own = |rdata: &&[u8]| self.placing.is_managed(rtype, rdata);
            let others = old.into_iter().flat_map(|set| set.rdatas().filter(|one| !is_own(one)));
            let new: Vec<&Data> = data.iter().filter(|data| data.rtype == rtype).collect();
            let ttl = new.iter().find_map(|data| data.ttl).or(old.map(|old| old.ttl));
            let ttl = ttl.unwrap_or(self.placing.ttl_seconds);
            let set = RrSet::new(rtype, ttl, others.chain(new.iter().map(|data| &*data.rdata)));
            match (old, set) {
                (Some(old), Some(set)) if old.ttl == set.ttl && old.same_records(&set) => {
                    after.push(old.clone());
                }
                (None, None) => {}
                (_, set) => {
                    is_changed = true;
                    after.extend(set);
                }
            }
        }
        is_changed.then_some(after)
    }

    fn is_delegated(&self, name: &Name) -> bool {
        let mut at = Some(name.clone());
        let mut is_below = false;
        while let Some(name) = at.filter(|name| *name != self.placing.zone && !name.is_root()) {
            let sets = self.content.get(&name).map_or(&[][..], |known| &known.sets);
            let redirects = is_below && find(sets, RecordType::DNAME).is_some();
            if redirects || find(sets, RecordType::NS).is_some() {
                return true;
            }
            is_below = true;
            at = name.parent();
        }
        false
    }

    /// A conflict for a person; `None` if a person sees it already, or the source says nothing new.
    fn freeze(&self, outcome: &Outcome, conflict: String) -> Option<Frozen> {
        let key = stored::key(&outcome.key);
        let base = self.known.state.base.get(&outcome.key);
        let theirs = outcome.theirs.as_ref();
        if base.map(|base| &base.fields) == theirs.map(|theirs| &theirs.fields) {
            return None;
        }
        let same = |record: &Option<Box<[u8]>>| {
            let decoded = record.as_ref().and_then(|octets| stored::decode(octets).ok());
            decoded.map(|(entry, _)| entry.fields.clone()) == theirs.map(|one| one.fields.clone())
        };
        if self.known.frozen.iter().any(|frozen| frozen.key == key && same(&frozen.record)) {
            return None;
        }
        let names = self.proposed(outcome);
        let (key, theirs) = (outcome.key.clone(), theirs.cloned());
        Some(Frozen { key, conflict, theirs, names })
    }

    /// What the names of a record would become if the source had its way, as far as they can.
    fn proposed(&self, outcome: &Outcome) -> Vec<PlannedName> {
        let image = outcome.theirs.as_ref().map(|theirs| self.placing.image(theirs));
        let image = image.unwrap_or_default();
        let before = outcome.ours.as_ref().map(|ours| self.placing.image(ours)).unwrap_or_default();
        let mut wanted: BTreeMap<Name, Vec<Data>> = BTreeMap::new();
        for name in names_of(before) {
            wanted.insert(name, Vec::new());
        }
        if let Some(owner) = &image.owner {
            let alias = Data { rtype: RecordType::CNAME, rdata: owner.as_wire().into(), ttl: None };
            for name in &image.aliases {
                let known = self.content.get(name).map_or(&[][..], |known| &known.sets);
                let current = self.placing.managed(known);
                // The name of another host stays that.
                if current.iter().all(|data| same(data, &alias)) {
                    wanted.insert(name.clone(), vec![alias.clone()]);
                }
            }
            wanted.insert(owner.clone(), image.data.clone());
        }
        let planned = |(name, data): (Name, Vec<Data>)| self.planned_name(&name, &data).ok()?;
        wanted.into_iter().filter_map(planned).collect()
    }
}

/// A conflict as people read it.
fn words(conflict: &Conflict) -> String {
    let code = conflict.code();
    match conflict {
        Conflict::BothChanged(field) | Conflict::NotOwner(field) | Conflict::AddedTwice(field) => {
            format!("{code}: {}", field.name())
        }
        Conflict::NameTaken(name) | Conflict::Truncation(name) => format!("{code}: {name}"),
        _ => code.to_owned(),
    }
}

fn names_of(image: Image) -> Vec<Name> {
    image.owner.into_iter().chain(image.aliases).collect()
}

/// Types that may stand beside a CNAME (RFC 4034 §2.5).
fn may_join_cname(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::RRSIG | RecordType::NSEC)
}

/// Which of several things belong together.
struct Joined(Vec<usize>);

impl Joined {
    fn new(count: usize) -> Joined {
        Joined((0..count).collect())
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (least, most) = (one.min(other), one.max(other));
        self.0[most] = least;
    }
}
