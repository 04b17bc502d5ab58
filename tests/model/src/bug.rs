//! Faults put into the protocol, each of which the checker must find.

/// A protocol that is wrong in one place, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The protocol as it should be.
    None,
    /// The anchor commits before all participants have voted.
    EarlyCommit,
    /// A participant drops its intent at the deadline by itself.
    UnilateralAbort,
    /// Updates and intents pass over the intent of another transaction.
    IgnoredIntent,
    /// A name moves while an intent on it is open.
    MoveUnderIntent,
    /// A site that forgets a decision keeps no watermark: a late prepare brings the transaction
    /// back.
    ForgottenWatermark,
    /// A site endorses two successors for one log.
    TwoEndorsements,
    /// The anchor does not keep its own names as they were when it voted.
    AnchorWithoutIntent,
    /// A participant that is not the anchor decides against a transaction whose time is over.
    ForeignAbort,
    /// The successor ends the lost log where its own copy ends, though an endorser holds more.
    ShortPrefix,
    /// The successor goes to work before it has folded the lost log up to its end.
    EarlyCharge,
    /// An endorser goes on copying the lost log.
    EndorserCopiesOn,
    /// A finish frees names also where its decision is not folded yet.
    FreedAtFinish,
    /// Who went on for the anchor commits what the anchor left undecided, as far as it knows.
    SuccessorCommits,
    /// A participant logs an intent for a transaction that it has finished, where the decision
    /// turned out not to count.
    IntentAfterFinish,
    /// A takeover raises the epoch of a name by one, as a move does.
    EpochAsForMove,
    /// Entries are sent to other sites before they are durable.
    SentBeforeDurable,
}
