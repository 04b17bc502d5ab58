//! What logs hold, as far as the model tells entries apart.

/// Number of sites; each has one log, which has its number.
pub const SITES: usize = 3;
/// Number of names.
pub const NAMES: usize = 2;
/// Number of transactions at most.
pub const TRANSACTIONS: usize = 2;

/// A site or its log, from 0. The lowest that takes part in a transaction is its anchor.
pub type Site = usize;
/// A name, from 0.
pub type Name = usize;
/// A transaction, from 0. A later one has a later deadline.
pub type Transaction = usize;

/// Of two images of a name the one that ranks higher is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Counts the homes that the name has had.
    pub epoch: u8,
    /// Counts its changes.
    pub version: u8,
}

/// What becomes of a name. Its content is not modelled, but what it was made from is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image {
    /// The name.
    pub name: Name,
    /// The image that whoever made this one had before them.
    pub base: Rank,
    /// Its own rank.
    pub rank: Rank,
    /// The log that orders what comes after it, unless another one has taken that over.
    pub home: Site,
}

/// An entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// An ordinary update of one name, or its move to another home.
    Change(Image),
    /// The vote of the log's site for its part of a transaction.
    Intent(Transaction, Image),
    /// What the anchor, or its successor, decided.
    Decision {
        /// The transaction.
        transaction: Transaction,
        /// Whether the images are made.
        is_commit: bool,
        /// The images of all participants.
        images: [Option<Image>; NAMES],
    },
    /// A participant has heard of the decision.
    Finish {
        /// The transaction.
        transaction: Transaction,
        /// The participant, by its log.
        participant: Site,
        /// Whether it had an intent.
        had_intent: bool,
    },
    /// The log's site vouches that another one is lost.
    Endorsement {
        /// The log that is lost.
        lost: Site,
        /// Who may go on for it.
        successor: Site,
        /// Entries of the lost log held by who vouches.
        held: u8,
    },
    /// The log goes on for another one.
    Takeover {
        /// The log that is lost.
        lost: Site,
        /// Entries of it that count.
        end: u8,
    },
}
