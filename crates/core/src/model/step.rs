//! What a publication changed, for everything that follows zones: transfers of differences,
//! notifications, catalogs.

use super::Zones;
use super::entry::{Body, Cause, Entry, NameChange};
use einhorn_wire::Name;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Names in one step at most; a larger change is cheaper to take as a whole zone.
const STEP_NAMES_MAX: usize = 65_536;

/// What readers may see from now on, and how it came about.
pub struct Publication {
    /// All zones.
    pub zones: Zones,
    /// What happened to them, in order.
    pub steps: Vec<Step>,
}

/// What happened to one zone from one serial to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Apex.
    pub zone: Name,
    /// What.
    pub kind: StepKind,
}

/// What happened to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// It has this serial, and nothing tells how it differs from before.
    Began(u32),
    /// It went from one serial to the next by these changes.
    Changed {
        /// Serial before.
        from: u32,
        /// Serial after.
        to: u32,
        /// The changes, in order.
        changes: Vec<NameChange>,
    },
    /// It is kept otherwise than before.
    Configured,
    /// It is gone.
    Removed,
}

/// Gathers entries into steps.
#[derive(Default)]
pub struct Steps {
    done: Vec<Step>,
    /// Zones changed since their last publication, in the order of their first change.
    open: Vec<Open>,
    // A fixed hasher: the same entries give the same steps everywhere.
    places: HashMap<Name, usize, BuildHasherDefault<DefaultHasher>>,
}

struct Open {
    zone: Name,
    /// None when nothing tells the difference.
    changes: Option<Vec<NameChange>>,
}

impl Steps {
    /// Takes the next entry. `serial_before` is the serial that its zone had before it; `None` if
    /// that is unknown, or the zone had no content.
    pub fn take_entry(&mut self, entry: Entry, serial_before: Option<u32>) {
        match entry.body {
            Body::Genesis { .. } | Body::MapRoot { .. } => {}
            Body::Change(change) => {
                let step = |kind| Step { zone: change.zone.clone(), kind };
                match change.cause {
                    Cause::Settings(_) => self.done.push(step(StepKind::Configured)),
                    Cause::ZoneRemoval { .. } => {
                        self.close(&change.zone);
                        self.done.push(step(StepKind::Removed));
                    }
                    _ if change.names.is_empty() => {}
                    Cause::ZoneLoad { .. } => self.change(change.zone, None),
                    _ if serial_before.is_none() => self.change(change.zone, None),
                    _ => self.change(change.zone, Some(change.names)),
                }
            }
            Body::Publication { zone, serial, .. } => {
                let kind = match (self.close(&zone).flatten(), serial_before) {
                    (Some(changes), Some(from)) => StepKind::Changed { from, to: serial, changes },
                    _ => StepKind::Began(serial),
                };
                self.done.push(Step { zone, kind });
            }
        }
    }

    fn change(&mut self, zone: Name, names: Option<Vec<NameChange>>) {
        let place = *self.places.entry(zone).or_insert_with_key(|zone| {
            self.open.push(Open { zone: zone.clone(), changes: Some(Vec::new()) });
            self.open.len() - 1
        });
        let changes = &mut self.open[place].changes;
        match (changes.as_mut(), names) {
            (Some(sofar), Some(names)) if sofar.len() + names.len() <= STEP_NAMES_MAX => {
                sofar.extend(names);
            }
            _ => *changes = None,
        }
    }

    /// The zone's open changes, no longer open; `None` if there are none.
    fn close(&mut self, zone: &Name) -> Option<Option<Vec<NameChange>>> {
        let place = self.places.remove(zone)?;
        Some(self.open[place].changes.take())
    }

    /// Zones with changes that await a publication, in the order of their first change.
    pub fn unpublished(&self) -> impl Iterator<Item = &Name> {
        self.open.iter().map(|open| &open.zone).filter(|zone| self.places.contains_key(*zone))
    }

    /// The steps so far. Between a change and its publication nothing can be taken.
    pub fn take_steps(&mut self) -> Vec<Step> {
        debug_assert!(self.places.is_empty(), "a change without its publication");
        self.open.clear();
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Rules;
    use crate::model::entry::Change;
    use crate::model::request::{Commitment, Identity, RequestId};

    fn zone(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn change(apex: &str, cause: Cause, names: usize) -> Entry {
        let name = |_| NameChange {
            owner: zone(apex),
            home: 1,
            epoch: 1,
            version: 1,
            sequence: 1,
            previous: None,
            before: Vec::new(),
            after: Vec::new(),
        };
        let advice = Rules::operator();
        Entry {
            time_ms: 0,
            body: Body::Change(Change {
                zone: zone(apex),
                request: RequestId([0; 32]),
                remember_until_seconds: 1,
                who: Identity::Operator,
                entered_site: 1,
                audit_commitment: Commitment([0; 32]),
                advice,
                path: advice.path,
                cause,
                names: (0..names).map(name).collect(),
            }),
        }
    }

    fn publication(apex: &str, serial: u32) -> Entry {
        Entry {
            time_ms: 0,
            body: Body::Publication { zone: zone(apex), serial, covers: Vec::new() },
        }
    }

    fn kinds(steps: Vec<Step>) -> Vec<String> {
        let text = |step: Step| match step.kind {
            StepKind::Changed { from, to, changes } => {
                format!("{} {from}-{to} {}", step.zone, changes.len())
            }
            other => format!("{} {other:?}", step.zone),
        };
        steps.into_iter().map(text).collect()
    }

    #[test]
    fn changes_of_a_zone_gather_until_its_publication() {
        let mut steps = Steps::default();
        steps.take_entry(change("b.", Cause::Update, 1), Some(7));
        steps.take_entry(change("a.", Cause::Update, 1), Some(2));
        steps.take_entry(change("B.", Cause::Update, 2), Some(7));
        steps.take_entry(change("c.", Cause::Update, 0), Some(4));
        assert_eq!(steps.unpublished().map(Name::to_string).collect::<Vec<_>>(), ["b.", "a."]);
        steps.take_entry(publication("b.", 8), Some(7));
        steps.take_entry(publication("a.", 3), None);
        assert_eq!(kinds(steps.take_steps()), ["b. 7-8 3", "a. Began(3)"]);
    }

    #[test]
    fn what_cannot_be_told_as_a_difference_begins_anew() {
        let mut steps = Steps::default();
        steps.take_entry(change("a.", Cause::ZoneLoad { source: [0; 32] }, 2), None);
        steps.take_entry(change("a.", Cause::Update, 1), Some(7));
        steps.take_entry(publication("a.", 8), Some(7));
        steps.take_entry(change("d.", Cause::Transfer { serial: 5 }, 1), None);
        steps.take_entry(publication("d.", 5), Some(0));
        steps.take_entry(change("b.", Cause::Update, STEP_NAMES_MAX + 1), Some(1));
        steps.take_entry(publication("b.", 2), Some(1));
        steps.take_entry(change("c.", Cause::Settings(Box::default()), 0), None);
        steps.take_entry(change("a.", Cause::Update, 1), Some(8));
        steps.take_entry(change("a.", Cause::ZoneRemoval { names: 1, root: [0; 32] }, 0), Some(8));
        assert_eq!(steps.unpublished().count(), 0);
        let expected = ["a. Began(8)", "d. Began(5)", "b. Began(2)", "c. Configured", "a. Removed"];
        assert_eq!(kinds(steps.take_steps()), expected);
    }
}
