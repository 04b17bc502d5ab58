//! How the keeper hears what the commit has published, without ever holding the commit up.

use einhorn_core::model::settings::Role;
use einhorn_core::model::{Publication, StepKind};
use einhorn_wire::Name;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};

/// Names that may wait. When there are more the keeper looks at all zones instead.
const NAMES_WAITING_MAX: usize = 65_536;

/// The end that tells.
pub(crate) struct Changes {
    names: mpsc::Sender<Name>,
    overflow: Arc<Overflow>,
}

/// The end that is told.
pub(crate) struct Changed {
    names: mpsc::Receiver<Name>,
    overflow: Arc<Overflow>,
}

#[derive(Default)]
struct Overflow {
    is_set: AtomicBool,
    wake: Notify,
}

/// Both ends.
pub(crate) fn channel() -> (Changes, Changed) {
    let (tell, names) = mpsc::channel(NAMES_WAITING_MAX);
    let overflow = Arc::new(Overflow::default());
    (Changes { names: tell, overflow: Arc::clone(&overflow) }, Changed { names, overflow })
}

/// The zones of a publication that somebody may want to know of.
pub(crate) fn changed_zones(publication: &Publication) -> Vec<Name> {
    let matters = |zone: &Name| {
        publication.zones.get(zone).is_none_or(|zone| {
            !zone.settings.notify.is_empty() || zone.settings.role == Role::Consumer
        })
    };
    let steps = publication.steps.iter();
    let changed = steps.filter(|step| match step.kind {
        StepKind::Changed { .. } => matters(&step.zone),
        _ => true,
    });
    changed.map(|step| step.zone.clone()).collect()
}

impl Changes {
    /// Tells that these zones have changed. Never blocks.
    pub(crate) fn tell(&self, zones: Vec<Name>) {
        for zone in zones {
            if self.names.try_send(zone).is_err() {
                self.overflow.is_set.store(true, Ordering::Release);
                self.overflow.wake.notify_one();
                return;
            }
        }
    }
}

impl Changed {
    /// The next zone that has changed; `None` when all are to be looked at.
    pub(crate) async fn wait(&mut self) -> Option<Name> {
        loop {
            if self.overflow.is_set.swap(false, Ordering::Acquire) {
                return None;
            }
            tokio::select! {
                Some(name) = self.names.recv() => return Some(name),
                () = self.overflow.wake.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_means_everything() {
        let (changes, mut changed) = channel();
        let name: Name = "a.".parse().expect("a name");
        changes.tell(vec![name.clone()]);
        assert_eq!(changed.wait().await, Some(name.clone()));
        changes.tell(vec![name.clone(); NAMES_WAITING_MAX + 2]);
        assert_eq!(changed.wait().await, None);
        assert_eq!(changed.wait().await, Some(name));
    }
}
