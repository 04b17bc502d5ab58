//! What a publication changed, for everything that follows zones: transfers of differences,
//! notifications, catalogs.

use super::entry::{Body, Cause, Entry, NameChange};
use super::{RrSet, Zones};
use einhorn_wire::{Name, RecordType};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Names in one step at most; a larger change is cheaper to take as a whole zone.
pub(super) const STEP_NAMES_MAX: usize = 65_536;

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

/// A name that differs from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Owner name.
    pub owner: Name,
    /// Each type that differs, with its RRset before.
    pub before: Vec<(RecordType, Option<RrSet>)>,
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
        /// The names that differ.
        changes: Vec<Changed>,
    },
    /// It is kept otherwise than before.
    Configured,
    /// It is gone.
    Removed,
}

/// Finds the steps that entries led to, where the state before them is not at hand.
#[derive(Default)]
pub struct Retrace {
    done: Vec<Step>,
    /// Zones changed since their last publication, in the order of their first change.
    open: Vec<Open>,
    // A fixed hasher: the same entries give the same steps everywhere.
    places: HashMap<Name, usize, BuildHasherDefault<DefaultHasher>>,
}

struct Open {
    /// None when nothing tells the difference.
    changes: Option<Vec<Changed>>,
}

impl Retrace {
    /// Takes the next entry. `serial_before` is the serial that its zone had before it; `None` if
    /// that is unknown, or the zone had no content. A decision is to be taken as its changes, one by
    /// one.
    pub fn take_entry(&mut self, entry: Entry, serial_before: Option<u32>) {
        match entry.body {
            Body::Change(change) => {
                let step = |kind| Step { zone: change.zone.clone(), kind };
                match change.cause {
                    Cause::Settings { .. } => self.done.push(step(StepKind::Configured)),
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
            Body::Publication { zone, serial, covers, .. } => {
                // Where other logs count too, this one does not tell everything.
                let is_whole = covers.len() == 1;
                let kind = match (self.close(&zone).flatten(), serial_before) {
                    (Some(changes), Some(from)) if is_whole => {
                        StepKind::Changed { from, to: serial, changes }
                    }
                    _ => StepKind::Began(serial),
                };
                self.done.push(Step { zone, kind });
            }
            _ => {}
        }
    }

    fn change(&mut self, zone: Name, names: Option<Vec<NameChange>>) {
        let changed = |name: NameChange| Changed { owner: name.owner, before: name.before };
        let names: Option<Vec<_>> = names.map(|names| names.into_iter().map(changed).collect());
        let place = *self.places.entry(zone).or_insert_with(|| {
            self.open.push(Open { changes: Some(Vec::new()) });
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
    fn close(&mut self, zone: &Name) -> Option<Option<Vec<Changed>>> {
        let place = self.places.remove(zone)?;
        Some(self.open[place].changes.take())
    }

    /// The steps that were found. Changes still without their publication are in none.
    pub fn into_steps(self) -> Vec<Step> {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Rules;
    use crate::model::entry::Change;
    use crate::model::request::{Commitment, Identity, RequestId};
    use crate::model::{Origin, Position};

    const ORIGIN: Origin = Origin { site: 1, generation: 1 };

    fn zone(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn change(apex: &str, cause: Cause, names: usize) -> Entry {
        let name = |_| NameChange {
            owner: zone(apex),
            home: ORIGIN,
            epoch: 1,
            version: 1,
            sequence: 1,
            previous: None,
            before: Vec::new(),
            after: Vec::new(),
            leases: Vec::new(),
        };
        let advice = Rules::operator();
        Entry {
            time_ms: 0,
            body: Body::Change(Change {
                zone: zone(apex),
                incarnation: 1,
                request: RequestId([0; 32]),
                remember_until_seconds: 1,
                who: Identity::Operator,
                entered_site: 1,
                audit_commitment: Commitment([0; 32]),
                decision: None,
                stands_for: Vec::new(),
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
            body: Body::Publication {
                zone: zone(apex),
                incarnation: 1,
                serial,
                covers: vec![Position { origin: ORIGIN, index: 0 }],
            },
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
        let mut steps = Retrace::default();
        steps.take_entry(change("b.", Cause::Update, 1), Some(7));
        steps.take_entry(change("a.", Cause::Update, 1), Some(2));
        steps.take_entry(change("B.", Cause::Update, 2), Some(7));
        steps.take_entry(change("c.", Cause::Update, 0), Some(4));
        steps.take_entry(publication("b.", 8), Some(7));
        steps.take_entry(publication("a.", 3), None);
        assert_eq!(kinds(steps.into_steps()), ["b. 7-8 3", "a. Began(3)"]);
    }

    #[test]
    fn what_cannot_be_told_as_a_difference_begins_anew() {
        let mut steps = Retrace::default();
        steps.take_entry(change("a.", Cause::ZoneLoad { source: [0; 32] }, 2), None);
        steps.take_entry(change("a.", Cause::Update, 1), Some(7));
        steps.take_entry(publication("a.", 8), Some(7));
        steps.take_entry(change("d.", Cause::Transfer { serial: 5 }, 1), None);
        steps.take_entry(publication("d.", 5), Some(0));
        steps.take_entry(change("b.", Cause::Update, STEP_NAMES_MAX + 1), Some(1));
        steps.take_entry(publication("b.", 2), Some(1));
        steps.take_entry(
            change("c.", Cause::Settings { version: 1, settings: Box::default() }, 0),
            None,
        );
        steps.take_entry(change("a.", Cause::Update, 1), Some(8));
        steps.take_entry(change("a.", Cause::ZoneRemoval { names: 1, root: [0; 32] }, 0), Some(8));
        let expected = ["a. Began(8)", "d. Began(5)", "b. Began(2)", "c. Configured", "a. Removed"];
        assert_eq!(kinds(steps.into_steps()), expected);
    }
}
