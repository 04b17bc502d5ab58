//! What waits for the next append, and what is on its way to the disk.

use super::batch::{Append, Batch};
use super::forward::Asker;
use crate::agent::Advice;
use crate::model::request::Outcome;
use crate::model::settings::Level;
use crate::model::{Effects, Origin, Publication};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An answer that waits for a batch.
pub(super) struct Waiting<R> {
    pub(super) asker: Asker<R>,
    pub(super) outcome: Outcome,
    pub(super) advice: Option<Advice>,
    pub(super) level: Level,
}

/// What the next append will make durable.
pub(super) struct Open<R> {
    pub(super) batch: Batch,
    pub(super) copies: BTreeMap<Origin, Batch>,
    pub(super) effects: Effects,
    pub(super) answers: Vec<Waiting<R>>,
    pub(super) is_urgent: bool,
}

impl<R> Open<R> {
    pub(super) fn new(batch: Batch) -> Open<R> {
        Open {
            batch,
            copies: BTreeMap::new(),
            effects: Effects::default(),
            answers: Vec::new(),
            is_urgent: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.copies.is_empty()
    }
}

/// An append on its way to the disk.
pub(super) struct InFlight<R> {
    pub(super) append: Arc<Append>,
    /// What every query may see once it is durable.
    pub(super) publication: Publication,
    pub(super) answers: Vec<Waiting<R>>,
}
