//! The current zones, swapped in one piece, and how they became what they are.
//!
//! One writer, the commit's thread; any number of readers, none of which ever waits for it or
//! for each other. A reader keeps the snapshot it took for as long as it likes. The history of
//! differences is for transfers, not for queries: it has a lock of its own.

use crate::history::History;
use arc_swap::ArcSwap;
use einhorn_core::model::{Publication, Step, Zone, Zones};
use einhorn_wire::Name;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The published zones.
#[derive(Clone, Default)]
pub struct Published {
    zones: Arc<ArcSwap<Zones>>,
    /// Written before the zones are swapped: it reaches at least as far as they do.
    history: Arc<Mutex<History>>,
    /// Followed zones that were not refreshed for too long. Written by the keeper alone.
    expired: Arc<ArcSwap<HashSet<Name>>>,
}

impl Published {
    /// Replaces what readers see.
    pub fn publish(&self, publication: Publication) {
        {
            let mut history = self.history();
            publication.steps.into_iter().for_each(|step| history.record(step));
        }
        self.zones.store(Arc::new(publication.zones));
    }

    /// What readers see now.
    pub fn current(&self) -> arc_swap::Guard<Arc<Zones>> {
        self.zones.load()
    }

    /// What readers see now, to keep for longer.
    pub fn snapshot(&self) -> Arc<Zones> {
        self.zones.load_full()
    }

    /// Replaces the set of zones that are not served, since they have expired.
    pub fn set_expired(&self, zones: HashSet<Name>) {
        self.expired.store(Arc::new(zones));
    }

    /// Zones that are not served, since they have expired (RFC 1034 §4.3.5).
    pub fn expired(&self) -> arc_swap::Guard<Arc<HashSet<Name>>> {
        self.expired.load()
    }

    /// The steps by which `zone` came from serial `from` to where it is; `None` if they are not
    /// known any more.
    pub fn steps_since(&self, zone: &Zone, from: u32) -> Option<Vec<Arc<Step>>> {
        self.history().since(&zone.apex, from, zone.serial)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // A panic while recording leaves a shorter history, which is still a true one.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
