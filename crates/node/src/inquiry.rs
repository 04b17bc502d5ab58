//! What an operator wants of the commit itself, beside requests.

use crossbeam_channel::Sender;
use einhorn_core::commit::{Report, ReviewReport, SourceReport};
use einhorn_core::ledger::SignerKey;
use einhorn_core::model::Origin;
use einhorn_core::model::request::RequestId;

/// What an operator wants of the commit itself.
pub(crate) enum Inquiry {
    /// How this site sees itself and the others.
    Report(Sender<Report>),
    /// The changes that wait for a person.
    Reviews(Sender<Vec<ReviewReport>>),
    /// What is known of a source of the legacy bridge.
    Source {
        /// Its name.
        name: String,
        /// Requests that may have been done.
        ids: Vec<RequestId>,
        /// Takes it.
        reply: Sender<SourceReport>,
    },
    /// Take over from a site.
    FailOver {
        /// The site.
        site: u16,
        /// Whether an operator vouches that it has stopped.
        is_attested: bool,
        /// Takes why not, if so.
        reply: Sender<Result<(), String>>,
    },
    /// Let leases end that are held since so many end at once.
    EndLeases,
    /// Other logs are cosigned with this key from now on.
    Mirror(Box<SignerKey>),
    /// An operator vouches that this data is the newest there is of it.
    Vouch,
    /// The map of the own log's first `at` entries.
    MapRoot {
        /// Entries.
        at: u64,
        /// Names that they touched.
        names: u64,
        /// The root.
        root: [u8; 32],
    },
    /// The map root that covers this log's first `at` entries is false.
    FalseMap {
        /// The log.
        origin: Origin,
        /// Entries.
        at: u64,
    },
}
