//! When the state must be folded anew: what says so is made durable first.

use super::{Append, Batch, Commit, InFlight, Output};
use crate::model::{Origin, Publication};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the state must be folded anew, and pieces of copies that say so: they are made durable
/// first, else the next start would know no more than this one.
pub(super) struct Rebuild {
    pub(super) reason: String,
    pub(super) copies: BTreeMap<Origin, Batch>,
    pub(super) is_appending: bool,
}

impl<R> Commit<R> {
    /// Appends what made it necessary to fold anew.
    pub(super) fn keep_before_rebuild(&mut self, out: &mut Vec<Output<R>>) {
        let Some(rebuild) = &mut self.rebuild else { return };
        rebuild.is_appending = true;
        let append = Arc::new(Append {
            origin: self.state.origin,
            copies: std::mem::take(&mut rebuild.copies).into_iter().collect(),
            ..Append::default()
        });
        out.push(Output::Append(Arc::clone(&append)));
        // Never published: it is not what counts.
        let publication = Publication { zones: self.state.zones.clone(), steps: Vec::new() };
        self.in_flight = Some(InFlight { append, publication, answers: Vec::new() });
    }
}
