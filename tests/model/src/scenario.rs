//! What may happen in a run of the model: the bounds.

use crate::entry::{NAMES, Name, SITES, Site, TRANSACTIONS};

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
    pub follows: [bool; SITES],
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
    const ONE: Scenario = Scenario {
        gateways: [Some(0), None],
        is_asked_late: false,
        updates: [0; NAMES],
        moves: None,
        follows: [true, true, false],
        forgets: false,
        failover: None,
        crashes: 0,
    };

    /// Two transactions that want the same names, from the homes of these, and an update of each.
    pub const CONFLICT: Scenario =
        Scenario { gateways: [Some(0), Some(1)], updates: [1, 1], ..Scenario::ONE };

    /// Two transactions through one gateway at a third site; what is over is forgotten.
    pub const FORGETTING: Scenario =
        Scenario { gateways: [Some(2), Some(2)], updates: [0, 1], forgets: true, ..Scenario::ONE };

    /// Two transactions and an update, with crashes that lose what is not durable.
    pub const CRASHES: Scenario =
        Scenario { gateways: [Some(0), Some(1)], updates: [0, 1], crashes: 2, ..Scenario::ONE };

    /// A third site is gateway, and a name moves to it meanwhile.
    pub const MOVE: Scenario = Scenario {
        gateways: [Some(2), None],
        is_asked_late: true,
        updates: [1, 2],
        moves: Some((1, 2)),
        follows: [true; SITES],
        ..Scenario::ONE
    };

    /// The anchor is taken over by the third site, while it may be alive behind a broken link.
    pub const LOST_ANCHOR: Scenario = Scenario {
        updates: [1, 1],
        follows: [true; SITES],
        failover: Some(Failover { lost: 0, successors: &[2], is_attested: false }),
        ..Scenario::ONE
    };

    /// The other participant is.
    pub const LOST_PARTICIPANT: Scenario = Scenario {
        updates: [0, 1],
        failover: Some(Failover { lost: 1, successors: &[2], is_attested: false }),
        ..Scenario::LOST_ANCHOR
    };

    /// The other participant is taken over by the anchor, and homes are looked up at any time.
    pub const LOST_TO_ANCHOR: Scenario = Scenario {
        gateways: [Some(2), None],
        is_asked_late: true,
        failover: Some(Failover { lost: 1, successors: &[0], is_attested: false }),
        ..Scenario::LOST_PARTICIPANT
    };

    /// Two sites want to go on for the anchor.
    pub const RIVALS: Scenario = Scenario {
        updates: [0; NAMES],
        failover: Some(Failover { lost: 0, successors: &[1, 2], is_attested: false }),
        ..Scenario::LOST_ANCHOR
    };

    /// The anchor has stopped, and the third site goes on for it without asking the other one.
    pub const ATTESTED_ANCHOR: Scenario = Scenario {
        updates: [1, 1],
        failover: Some(Failover { lost: 0, successors: &[2], is_attested: true }),
        ..Scenario::LOST_ANCHOR
    };

    /// So has the other participant.
    pub const ATTESTED_PARTICIPANT: Scenario = Scenario {
        failover: Some(Failover { lost: 1, successors: &[2], is_attested: true }),
        ..Scenario::ATTESTED_ANCHOR
    };

    /// The same, and before that a name may have moved from there to the anchor.
    pub const ATTESTED_MOVE: Scenario =
        Scenario { updates: [0, 2], moves: Some((1, 0)), ..Scenario::ATTESTED_PARTICIPANT };
}
