//! Checks what a site publishes: which content has which serial, and that the steps from one serial
//! to the next tell everything that differs.

use einhorn_core::model::{RrSet, Step, StepKind, Zone, Zones};
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, BTreeSet};

type Content = BTreeMap<(String, RecordType), RrSet>;

/// What one site last published.
#[derive(Default)]
pub(crate) struct Seen {
    /// Incarnation, serial and content by apex.
    zones: BTreeMap<String, (u32, u32, Content)>,
}

fn content(zone: &Zone) -> Content {
    let mut content = Content::new();
    for record in zone.at_serial().names.iter() {
        for set in record.rrsets().filter(|set| set.rtype != RecordType::SOA) {
            content.insert((lower(&record.owner().to_name()), set.rtype), set.to_owned());
        }
    }
    content
}

fn lower(name: &Name) -> String {
    name.to_string().to_ascii_lowercase()
}

impl Seen {
    /// A restart.
    pub(crate) fn start(&mut self, zones: &Zones) {
        let zones = zones.iter().filter(|zone| zone.soa().is_some());
        self.zones = zones
            .map(|zone| (lower(&zone.apex), (zone.incarnation, zone.serial, content(zone))))
            .collect();
    }

    /// A publication. Gives the zones that have another serial now.
    ///
    /// # Errors
    /// What the steps do not tell.
    pub(crate) fn publish<'z>(
        &mut self,
        zones: &'z Zones,
        steps: &[Step],
    ) -> Result<Vec<&'z Zone>, String> {
        let mut moved = Vec::new();
        // What has no SOA is not served: another log brought something of it first.
        let there = zones.iter().filter(|zone| zone.soa().is_some());
        let there: BTreeSet<String> = there.map(|zone| lower(&zone.apex)).collect();
        self.zones.retain(|apex, _| there.contains(apex));
        for zone in zones.iter().filter(|zone| zone.soa().is_some()) {
            let key = lower(&zone.apex);
            let of_zone: Vec<_> =
                steps.iter().filter(|step| lower(&step.zone) == key).map(|s| &s.kind).collect();
            let before = self.zones.get(&key);
            let of = (zone.incarnation, zone.serial);
            if before.is_some_and(|(incarnation, serial, _)| (*incarnation, *serial) == of) {
                continue;
            }
            let is_told = of_zone.iter().any(|step| matches!(step, StepKind::Removed));
            if before.is_some_and(|before| before.0 != zone.incarnation) && !is_told {
                return Err(format!(
                    "zone {key} was made anew, and no step tells that it had gone"
                ));
            }
            let after = content(zone);
            if let Some((_, serial, before)) = before {
                check(&key, (*serial, before), (zone.serial, &after), &of_zone)?;
            }
            self.zones.insert(key, (zone.incarnation, zone.serial, after));
            moved.push(&**zone);
        }
        Ok(moved)
    }
}

fn check(
    zone: &str,
    before: (u32, &Content),
    after: (u32, &Content),
    steps: &[&StepKind],
) -> Result<(), String> {
    let mut serial = before.0;
    let mut told: BTreeMap<(String, RecordType), Option<RrSet>> = BTreeMap::new();
    for step in steps {
        match step {
            StepKind::Changed { from, to, changes } => {
                if *from != serial {
                    return Err(format!("zone {zone}: a step from {from} follows serial {serial}"));
                }
                serial = *to;
                for changed in changes {
                    for (rtype, set) in &changed.before {
                        let key = (lower(&changed.owner), *rtype);
                        told.entry(key).or_insert_with(|| set.clone());
                    }
                }
            }
            // Nothing tells the difference, and nothing claims to.
            StepKind::Began(_) | StepKind::Removed => return Ok(()),
            StepKind::Configured => {}
        }
    }
    if serial != after.0 {
        return Err(format!("zone {zone}: steps lead to {serial}, published is {}", after.0));
    }
    for (key, was) in told.iter().filter(|((_, rtype), _)| *rtype != RecordType::SOA) {
        if before.1.get(key) != was.as_ref() {
            return Err(format!(
                "zone {zone}: the step from {} to {serial} says that {key:?} was {was:?}, it was {:?}",
                before.0,
                before.1.get(key)
            ));
        }
    }
    for key in before.1.keys().chain(after.1.keys()) {
        if before.1.get(key) != after.1.get(key) && !told.contains_key(key) {
            return Err(format!(
                "zone {zone}: {key:?} differs from {} to {serial}, and no step tells it",
                before.0
            ));
        }
    }
    Ok(())
}
