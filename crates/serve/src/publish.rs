//! The current zones, swapped in one piece.
//!
//! One writer, the commit's thread; any number of readers, none of which ever waits for it or
//! for each other. A reader keeps the snapshot it took for as long as it likes.

use arc_swap::ArcSwap;
use einhorn_core::model::Zones;
use std::sync::Arc;

/// The published zones.
#[derive(Clone, Default)]
pub struct Published(Arc<ArcSwap<Zones>>);

impl Published {
    /// Replaces what readers see.
    pub fn publish(&self, zones: Zones) {
        self.0.store(Arc::new(zones));
    }

    /// What readers see now.
    pub fn current(&self) -> arc_swap::Guard<Arc<Zones>> {
        self.0.load()
    }

    /// What readers see now, to keep for longer.
    pub fn snapshot(&self) -> Arc<Zones> {
        self.0.load_full()
    }
}
