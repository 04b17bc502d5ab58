//! What may happen in a run of the model: the bounds.

use crate::entry::{NAMES, Name, Site, TRANSACTIONS};

/// A site that may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failover {
    /// Its log.
    pub lost: Site,
    /// Who may want to go on for it.
    pub successors: &'static [Site],
    /// An operator vouches that the site has stopped, and the successor needs nobody else's word.
    /// Else the site may be alive behind a broken link, and go on until it hears of the takeover.
    pub is_attested: bool,
}

/// How much of everything may happen, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// For each transaction the site where it entered, which alone knows when the homes were
    /// looked up. `None`: there is no such transaction.
    pub gateways: [Option<Site>; TRANSACTIONS],
    /// Homes may be looked up at any time; else they are at the start.
    pub is_asked_late: bool,
    /// Ordinary updates of each name.
    pub updates: [u8; NAMES],
    /// A name may move to another home, once.
    pub moves: Option<(Name, Site)>,
    /// Which sites copy the logs of the others. A site that does not never learns anything.
    pub follows: [bool; 3],
    /// Decisions are forgotten.
    pub forgets: bool,
    /// A takeover.
    pub failover: Option<Failover>,
    /// Times that some site crashes and loses what it had not made durable. If 0, entries are
    /// durable at once.
    pub crashes: u8,
}

impl Scenario {
    /// One transaction of two names with different homes, and nothing else.
    pub const ONE: Scenario = Scenario {
        gateways: [Some(0), None],
        is_asked_late: false,
        updates: [0; NAMES],
        moves: None,
        follows: [true, true, false],
        forgets: false,
        failover: None,
        crashes: 0,
    };
}
