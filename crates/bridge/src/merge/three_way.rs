//! The merge of two sides that were one.

use super::collide::Names;
use super::state::{Duplicate, Entry, Shared, State, order};
use super::{Conflict, InputKind, Policy, fields, rename};
use crate::record::Key;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is merged.
pub struct Sides<'s> {
    /// What the source said last.
    pub base: &'s State,
    /// The revision of the base, for changes that were made from one.
    pub base_revision: u64,
    /// What the cluster says.
    pub ours: &'s State,
    /// What the source says now.
    pub theirs: &'s State,
    /// Records of theirs that have the name of another.
    pub duplicates: &'s [Duplicate],
    /// Names of quarantined entries: they are present, and unchanged. `None` is an entry whose
    /// name could not be read: nothing counts as missing then.
    pub quarantined: &'s [Option<Key>],
    /// What absence means.
    pub kind: &'s InputKind,
    /// In how many generations in a row a record was missing already.
    pub missing: &'s BTreeMap<Key, u32>,
    /// The source's rules.
    pub policy: &'s Policy,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The source added it.
    Added,
    /// The source, or both sides, changed it.
    Updated,
    /// The source gave it another name; the old one.
    Renamed(Key),
    /// The source deleted it.
    Deleted,
    /// It is missing in the source, in so many generations in a row.
    Missing(u32),
    /// Its entry is quarantined; it counts as present and unchanged.
    Quarantined,
    /// It is frozen.
    Conflict(Conflict),
}

/// What becomes of a record for which the source says something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its name; after a rename the new one.
    pub key: Key,
    /// What becomes of it.
    pub what: What,
    /// What the source says.
    pub theirs: Option<Shared>,
    /// What the cluster says, and goes on saying if this is a conflict.
    pub ours: Option<Shared>,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merge {
    /// What the cluster says now.
    pub merged: State,
    /// What the source said last, but for frozen and missing records.
    pub base: State,
    /// All records for which something happens, in the order of names.
    pub outcomes: Vec<Outcome>,
    /// Records of theirs for which nothing happens.
    pub unchanged: usize,
    /// Records missing in the source, for the next merge.
    pub missing: BTreeMap<Key, u32>,
}

/// One name with what the three sides say of it.
#[derive(Default)]
struct Row {
    base: Option<Shared>,
    ours: Option<Shared>,
    theirs: Option<Shared>,
    merged: Option<Shared>,
    next_base: Option<Shared>,
    what: Option<What>,
    /// Whether this row's merge was moved here from a vanished name.
    was: Option<Shared>,
}

/// Merges.
pub fn merge(sides: &Sides<'_>) -> Merge {
    let mut rows = join(sides);
    let renames = renames(sides, &rows);
    let mut missing = BTreeMap::new();
    let quarantined: HashSet<&Key> = sides.quarantined.iter().flatten().collect();
    let duplicates: HashSet<&Key> = sides.duplicates.iter().map(|both| &both.kept).collect();
    let mut new_names: HashMap<usize, (Option<Shared>, Option<Shared>)> = HashMap::new();
    for (new, old) in &renames.renamed {
        new_names.insert(*new, (rows[*old].base.clone(), rows[*old].ours.clone()));
    }
    let moved: HashSet<usize> = renames.renamed.values().copied().collect();
    for (at, row) in rows.iter_mut().enumerate() {
        let Some(key) = row.key().cloned() else { continue };
        if let Some((base, ours)) = new_names.remove(&at) {
            row.renamed(base, ours, sides.policy);
        } else if moved.contains(&at) {
            row.vanish();
        } else if renames.doubtful.contains(&at) || renames.ambiguous.contains(&at) {
            row.freeze(Conflict::AmbiguousRename);
        } else if duplicates.contains(&key) {
            row.freeze(Conflict::Duplicate);
        } else if quarantined.contains(&key) {
            row.keep(Some(What::Quarantined));
        } else {
            row.merge(sides, &mut missing);
        }
    }
    drop(moved);
    undo_conflicting_renames(&mut rows, &renames.renamed);
    freeze_collisions(&mut rows, sides.policy);
    undo_conflicting_renames(&mut rows, &renames.renamed);
    collect(rows, missing)
}

/// The rows of all names, in order.
fn join(sides: &Sides<'_>) -> Vec<Row> {
    let mut cursors =
        [sides.base, sides.ours, sides.theirs].map(|side| side.entries().iter().peekable());
    let mut rows = Vec::with_capacity(sides.base.len().max(sides.theirs.len()));
    loop {
        let mut least: Option<&Key> = None;
        for cursor in &mut cursors {
            if let Some(entry) = cursor.peek()
                && least.is_none_or(|least| order(&entry.key, least) == Ordering::Less)
            {
                least = Some(&entry.key);
            }
        }
        let Some(key) = least else { return rows };
        let [base, ours, theirs] = &mut cursors;
        let take = |cursor: &mut std::iter::Peekable<std::slice::Iter<'_, Shared>>| {
            cursor.next_if(|entry| order(&entry.key, key) == Ordering::Equal).cloned()
        };
        let (base, ours, theirs) = (take(base), take(ours), take(theirs));
        rows.push(Row { base, ours, theirs, ..Row::default() });
    }
}

/// Renames, with indices of rows.
fn renames(sides: &Sides<'_>, rows: &[Row]) -> rename::Renames {
    if *sides.kind != InputKind::Full {
        return rename::Renames::default();
    }
    let quarantined: HashSet<&Key> = sides.quarantined.iter().flatten().collect();
    let is_vanished = |row: &&(usize, &Row)| {
        row.1.base.as_ref().is_some_and(|base| !quarantined.contains(&base.key))
            && row.1.theirs.is_none()
    };
    let numbered: Vec<_> = rows.iter().enumerate().collect();
    let vanished: Vec<_> = numbered.iter().filter(is_vanished).collect();
    let new: Vec<_> =
        numbered.iter().filter(|(_, row)| row.base.is_none() && row.theirs.is_some()).collect();
    let entries = |rows: &[&(usize, &Row)], theirs: bool| -> Vec<Shared> {
        let of = |row: &Row| if theirs { row.theirs.clone() } else { row.base.clone() };
        rows.iter().filter_map(|(_, row)| of(row)).collect()
    };
    let (old_entries, new_entries) = (entries(&vanished, false), entries(&new, true));
    let found = rename::find(
        &old_entries.iter().collect::<Vec<_>>(),
        &new_entries.iter().collect::<Vec<_>>(),
    );
    rename::Renames {
        renamed: found.renamed.iter().map(|(n, old)| (new[*n].0, vanished[*old].0)).collect(),
        ambiguous: found.ambiguous.iter().map(|n| new[*n].0).collect(),
        doubtful: found.doubtful.iter().map(|old| vanished[*old].0).collect(),
    }
}

impl Row {
    fn key(&self) -> Option<&Key> {
        let entry = self.theirs.as_ref().or(self.ours.as_ref()).or(self.base.as_ref());
        entry.map(|entry| &entry.key)
    }

    /// Nothing happens: the cluster goes on, and so does the base.
    fn keep(&mut self, what: Option<What>) {
        self.merged = self.ours.clone();
        self.next_base = self.base.clone();
        self.what = what;
    }

    fn freeze(&mut self, conflict: Conflict) {
        self.keep(Some(What::Conflict(conflict)));
    }

    /// The record goes on under another name.
    fn vanish(&mut self) {
        self.merged = None;
        self.next_base = None;
        self.what = None;
    }

    fn renamed(&mut self, base: Option<Shared>, ours: Option<Shared>, policy: &Policy) {
        let Some(theirs) = self.theirs.clone() else { return };
        if self.ours.is_some() {
            return self.freeze(Conflict::NameTaken(theirs.key.name.clone()));
        }
        let (Some(base), Some(ours)) = (base, ours) else {
            // The cluster deleted what the source renamed.
            return self.freeze(Conflict::DeleteAgainstEdit);
        };
        match fields::merge(Some(&base.fields), &ours.fields, &theirs.fields, policy) {
            Ok(fields) => {
                let key = theirs.key.clone();
                self.what = Some(What::Renamed(base.key.clone()));
                self.merged = Some(Shared::new(Entry { id: base.id, key, fields }));
                self.next_base = Some(with_id(&theirs, &base));
                self.was = Some(ours);
            }
            Err(conflict) => self.freeze(conflict),
        }
    }

    fn merge(&mut self, sides: &Sides<'_>, missing: &mut BTreeMap<Key, u32>) {
        let policy = sides.policy;
        if let Some(theirs) = &self.theirs {
            match sides.kind {
                InputKind::Partial(scope) if !scope.has(theirs) => {
                    return self.freeze(Conflict::OutOfScope);
                }
                InputKind::Delta { revision } if *revision != sides.base_revision => {
                    return self.freeze(Conflict::StaleRevision);
                }
                InputKind::Delta { .. } => {
                    let base = self.base.as_ref().map(|base| base.fields.clone());
                    let fields = fields::after_delta(&base.unwrap_or_default(), &theirs.fields);
                    let Entry { id, key, .. } = &**theirs;
                    let (id, key) = (*id, key.clone());
                    self.theirs = Some(Shared::new(Entry { id, key, fields }));
                }
                _ => {}
            }
        }
        match (self.base.clone(), self.ours.clone(), self.theirs.clone()) {
            (base, Some(ours), Some(theirs)) => {
                self.both_have(base.as_ref(), &ours, &theirs, policy)
            }
            (None, None, Some(theirs)) => {
                self.merged = Some(theirs.clone());
                self.next_base = Some(theirs);
                self.what = Some(What::Added);
            }
            (Some(base), None, Some(theirs)) => {
                if fields::unchanged(&base.fields, &theirs.fields, policy) {
                    // The cluster deleted it; the source will be told.
                    self.next_base = Some(theirs);
                } else {
                    self.freeze(Conflict::DeleteAgainstEdit);
                }
            }
            (Some(base), ours, None) => self.absent(&base, ours, sides, missing),
            (None, _, None) => self.keep(None),
        }
    }

    fn both_have(
        &mut self,
        base: Option<&Shared>,
        ours: &Shared,
        theirs: &Shared,
        policy: &Policy,
    ) {
        // Most records are as they were, and their states share them.
        if let Some(base) = base.filter(|base| Shared::ptr_eq(base, theirs)) {
            self.next_base = Some(base.clone());
            self.merged = Some(ours.clone());
            return;
        }
        let id = base.map_or(ours.id, |base| base.id);
        self.next_base = Some(base.map_or_else(|| theirs.clone(), |base| with_id(theirs, base)));
        if base.is_some_and(|base| {
            base.key == theirs.key && fields::unchanged(&base.fields, &theirs.fields, policy)
        }) {
            self.merged = Some(ours.clone());
            return;
        }
        // The same name in other letters: the cluster's, unless only the source changed them.
        let only_theirs = base.is_some_and(|base| base.key == ours.key);
        let key = if only_theirs { &theirs.key } else { &ours.key };
        match fields::merge(base.map(|base| &base.fields), &ours.fields, &theirs.fields, policy) {
            Err(conflict) => self.freeze(conflict),
            Ok(fields) if fields == ours.fields && *key == ours.key => {
                self.merged = Some(ours.clone());
            }
            Ok(fields) => {
                let key = key.clone();
                self.merged = Some(Shared::new(Entry { id, key, fields }));
                self.what = Some(What::Updated);
            }
        }
    }

    /// The source no longer has it, or does not mention it.
    fn absent(
        &mut self,
        base: &Shared,
        ours: Option<Shared>,
        sides: &Sides<'_>,
        missing: &mut BTreeMap<Key, u32>,
    ) {
        let is_evidence = *sides.kind == InputKind::Full && !sides.quarantined.contains(&None);
        if !is_evidence {
            if let Some(count) = sides.missing.get(&base.key) {
                missing.insert(base.key.clone(), *count);
            }
            return self.keep(None);
        }
        let Some(ours) = ours else {
            // Both sides deleted it.
            return;
        };
        if base.fields != ours.fields {
            return self.freeze(Conflict::DeleteAgainstEdit);
        }
        let count = 1 + sides.missing.get(&base.key).copied().unwrap_or(0);
        if count < sides.policy.missing_generations {
            missing.insert(base.key.clone(), count);
            self.keep(Some(What::Missing(count)));
        } else {
            self.what = Some(What::Deleted);
        }
    }
}

/// What the source says, under the id that the host has.
fn with_id(theirs: &Shared, base: &Shared) -> Shared {
    if theirs.id == base.id {
        // Most records do not change: both states share them then.
        return if theirs == base { base.clone() } else { theirs.clone() };
    }
    let Entry { key, fields, .. } = &**theirs;
    Shared::new(Entry { id: base.id, key: key.clone(), fields: fields.clone() })
}

/// A rename that is frozen leaves the record under its old name, frozen too.
fn undo_conflicting_renames(rows: &mut [Row], renamed: &HashMap<usize, usize>) {
    for (new, old) in renamed {
        if let Some(What::Conflict(conflict)) = rows[*new].what.clone() {
            rows[*new].was = None;
            rows[*old].freeze(conflict);
        }
    }
}

/// Freezes records whose new names another record has, until no such names are left.
fn freeze_collisions(rows: &mut [Row], policy: &Policy) {
    let is_changed =
        |row: &Row| matches!(row.what, Some(What::Added | What::Updated | What::Renamed(_)));
    for octets_max in [None, policy.name_octets_max] {
        while rows.iter().any(is_changed) {
            let names = Names::of(rows.iter().filter_map(|row| row.merged.as_ref()), octets_max);
            let mut found = false;
            for row in rows.iter_mut().filter(|row| is_changed(row)) {
                let Some(merged) = &row.merged else { continue };
                let before = row.was.as_ref().or(row.ours.as_ref());
                let Some(name) = names.taken(merged, before).cloned() else { continue };
                found = true;
                row.freeze(match octets_max {
                    None => Conflict::NameTaken(name),
                    Some(_) => Conflict::Truncation(name),
                });
            }
            if !found {
                break;
            }
        }
    }
}

fn collect(rows: Vec<Row>, missing: BTreeMap<Key, u32>) -> Merge {
    let mut merge = Merge { missing, ..Merge::default() };
    let (mut merged, mut base) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let key = row.key().cloned();
        match (row.what, key) {
            (Some(what), Some(key)) => {
                let (theirs, ours) = (row.theirs, row.was.or(row.ours));
                merge.outcomes.push(Outcome { key, what, theirs, ours });
            }
            _ => merge.unchanged += usize::from(row.theirs.is_some()),
        }
        merged.extend(row.merged);
        base.extend(row.next_base);
    }
    merge.merged = State::of_sorted(merged);
    merge.base = State::of_sorted(base);
    merge
}
