//! That a change of several names is shown as a whole: where a publication has one of its names as the
//! change left it, every other one is at least that new.

use crate::disk::entry_at;
use crate::world::{Joint, World};
use einhorn_core::model::{Position, Zone};
use std::sync::Arc;

impl World {
    /// Checks what a site publishes of a zone, at its serial.
    pub(crate) fn check_joint(&mut self, number: u16, zone: &Zone) -> Result<(), String> {
        let shown = zone.at_serial();
        let records = shown.names.iter().map(|record| record.history().last);
        let mut entries: Vec<Position> = records.collect();
        entries.sort_unstable();
        entries.dedup();
        for at in entries {
            for (apex, incarnation, name, rank) in self.joint(number, at).iter() {
                if *apex != zone.apex || *incarnation != zone.incarnation {
                    continue;
                }
                let there = shown.name(name).map(|record| record.history().rank());
                if there.is_none_or(|there| there < *rank) && !self.has_lost_tails() {
                    return Err(format!(
                        "s{number} publishes {apex} {} with a part of entry {at}: {name} is at {there:?}, and not at {rank:?}",
                        zone.serial
                    ));
                }
            }
        }
        Ok(())
    }

    /// The names that an entry changed; none if it is one alone.
    fn joint(&mut self, number: u16, at: Position) -> Arc<[Joint]> {
        if let Some(known) = self.joint.get(&at) {
            return Arc::clone(known);
        }
        let log = self.site(number).disk.logs.get(&at.origin).map_or(&[][..], |log| &log[..]);
        let entry = entry_at(log, at.index);
        let mut names: Vec<Joint> = Vec::new();
        for change in entry.iter().flat_map(|entry| entry.body.changes()) {
            names.extend(change.names.iter().map(|name| {
                let rank = (name.epoch, name.version);
                (change.zone.clone(), change.incarnation, name.owner.clone(), rank)
            }));
        }
        if names.len() < 2 {
            names.clear();
        }
        let names: Arc<[Joint]> = names.into();
        // What is only in memory may still become another entry.
        if entry.is_some() {
            self.joint.insert(at, Arc::clone(&names));
        }
        names
    }
}
