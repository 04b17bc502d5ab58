//! What a commit says is to happen.

use super::Append;
use crate::agent::Advice;
use crate::ledger::SignedCheckpoint;
use crate::model::request::Outcome;
use crate::model::{Origin, Publication, Registry};
use std::sync::Arc;

/// What should happen next. `R` is whatever the caller needs to reach the one who asked.
pub enum Output<R> {
    /// Make this durable, then call [`super::Commit::appended`] or [`super::Commit::append_failed`].
    Append(Arc<Append>),
    /// Let every query see this.
    Publish(Publication),
    /// Tell the one who asked. The advice is there when the agent was asked.
    Answer(R, Outcome, Option<Advice>),
    /// Send this frame to that site, if it is connected.
    Send(u16, Vec<u8>),
    /// Send the durable entries of a log from there on to that site, some of them at least, then
    /// call [`super::Commit::streamed`].
    Stream {
        /// The site.
        to: u16,
        /// The log.
        origin: Origin,
        /// The first entry.
        from: u64,
    },
    /// A checkpoint of another site's log was found to be right: keep it beside the copy.
    Checkpoint(Origin, SignedCheckpoint),
    /// A cosignature was found to be right: keep it beside the log.
    Cosignature(Cosignature),
    /// The sites are these now.
    Sites(Arc<Registry>),
    /// The state must be folded anew from what is durable, for this reason. Nothing else happens
    /// until then.
    Rebuild(String),
}

/// A cosignature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The log.
    pub origin: Origin,
    /// The site that cosigned.
    pub site: u16,
    /// Entries in the checkpoint.
    pub size: u64,
    /// The checkpoint's text with the one signature line.
    pub note: String,
}
