//! Faults put into the protocol on purpose, each of which the simulated sites must find: a checker that
//! finds none of them proves nothing.
//!
//! Only the feature `deliberate-bugs` can switch one on, and nothing that is shipped has it: without
//! it [`has`] is a constant, and nothing of this is left in the program.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A change is acknowledged before the batch that it is in is durable.
    AcknowledgedEarly,
    /// A change is acknowledged before its level is reached.
    LevelNotReached,
    /// A change of several homes is acknowledged although its intents have not reached the level.
    LevelOfIntents,
    /// The anchor commits before all participants have voted.
    EarlyCommit,
    /// A participant that is not the anchor decides against a transaction whose time is over.
    UnilateralAbort,
    /// Updates and intents pass over the intent of another transaction.
    IgnoredIntent,
    /// Only changes that came from another site, with which names may move, pass over intents.
    MoveUnderIntent,
    /// A participant does not look whether the request was done meanwhile before it votes.
    DoneUnchecked,
    /// A decision is forgotten as soon as its time is over, by whichever clock.
    ForgottenEarly,
    /// Intents change their names at once, whatever is decided.
    IntentShown,
    /// A site endorses two successors for one log.
    TwoEndorsements,
    /// The successor ends the lost log where its own copy ends, though an endorser holds more.
    ShortPrefix,
    /// The successor needs nobody's endorsement but its own.
    LonelyTakeover,
    /// Who has endorsed a takeover goes on following the lost log and cosigning it.
    EndorserFollows,
    /// A site that was taken over drops what only it had.
    LeftoversDropped,
    /// A checkpoint is cosigned before the entries that it covers are durable.
    CosignedEarly,
    /// Entries are sent to other sites before they are durable.
    SentEarly,
    /// Requests that another log has done are not remembered.
    DoneElsewhereForgotten,
    /// Requests that were done before a snapshot are not remembered after a restart from it.
    DoneForgottenAtRestart,
    /// After-images are folded as they arrive, instead of by (epoch, version).
    FoldedByArrival,
    /// A restarted site appends without asking the others how far they hold its log.
    ProofSkipped,
    /// A publication point says nothing of how far the other logs are.
    PointWithoutVector,
    /// Of the names that a point covers one is published with the next point only.
    PublishedApart,
    /// Leases end a second before their time.
    ExpiredEarly,
    /// A lease ends though it was renewed meanwhile.
    RenewalOverlooked,
}

#[cfg(feature = "deliberate-bugs")]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    impl Bug {
        /// All of them.
        pub const ALL: [Bug; 25] = [
            Bug::AcknowledgedEarly,
            Bug::LevelNotReached,
            Bug::LevelOfIntents,
            Bug::EarlyCommit,
            Bug::UnilateralAbort,
            Bug::IgnoredIntent,
            Bug::MoveUnderIntent,
            Bug::DoneUnchecked,
            Bug::ForgottenEarly,
            Bug::IntentShown,
            Bug::TwoEndorsements,
            Bug::ShortPrefix,
            Bug::LonelyTakeover,
            Bug::EndorserFollows,
            Bug::LeftoversDropped,
            Bug::CosignedEarly,
            Bug::SentEarly,
            Bug::DoneElsewhereForgotten,
            Bug::DoneForgottenAtRestart,
            Bug::FoldedByArrival,
            Bug::ProofSkipped,
            Bug::PointWithoutVector,
            Bug::PublishedApart,
            Bug::ExpiredEarly,
            Bug::RenewalOverlooked,
        ];
    }

    thread_local! {
        // By thread, so that no place that asks needs to be handed anything.
        static PRESENT: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Puts a fault into everything that this thread runs from now on, instead of the one before.
    pub fn put(bug: Option<Bug>) {
        PRESENT.set(bug);
    }

    pub(crate) fn has(bug: Bug) -> bool {
        PRESENT.get() == Some(bug)
    }
}

#[cfg(feature = "deliberate-bugs")]
pub(crate) use switch::has;
#[cfg(feature = "deliberate-bugs")]
pub use switch::put;

/// Whether this fault is there: never.
#[cfg(not(feature = "deliberate-bugs"))]
#[inline(always)]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
