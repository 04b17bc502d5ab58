//! What the desk wants done, in order.

use crate::record::{Record, Taken};
use einhorn_core::rules::update::Refusal;
use einhorn_wire::message::Rcode;

/// What clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// A clock that is never set, in milliseconds.
    pub(crate) mono_ms: u64,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: u64,
}

/// One sending of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Which update.
    pub(crate) sequence: u64,
    /// Which sending of it, from 1.
    pub(crate) number: u32,
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Output<R> {
    /// Append this to the file before going on.
    Write(Record),
    /// Tell when all that was written is on the disk.
    Sync(u64),
    /// Send an update to a site.
    Send { site: usize, attempt: Attempt },
    /// Tell a device.
    Answer { reply: R, rcode: Rcode, reason: Option<String> },
    /// An older value made room for others.
    Dropped { sequence: u64 },
    /// A site refused what a device was told is done.
    Lost { taken: Box<Taken>, refusal: Refusal },
}
