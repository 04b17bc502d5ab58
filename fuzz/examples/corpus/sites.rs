//! Entries and transactions of several sites.

use super::{origin, site};
use einhorn_core::ledger::tile::append_entry;
use einhorn_core::model::entry::{Body, Entry, Previous, SitesChange};
use einhorn_core::model::registry::Failover;
use einhorn_core::model::request::{Identity, RequestId};
use einhorn_core::model::{Origin, Position, Registry, Transaction, TransactionId};
use std::error::Error;

pub(super) fn transaction() -> Transaction {
    let (id, participants) = (TransactionId([5; 16]), vec![origin(1), origin(2)]);
    Transaction { id, coordinator: origin(2), participants, deadline_ms: 1_700_000_003_000 }
}

/// A log with one entry of each kind that tells of other sites.
pub(super) fn of_sites() -> Result<Vec<u8>, Box<dyn Error>> {
    let at = Position { origin: origin(2), index: 4 };
    let sites = [1, 2].map(|number| (number, site(number))).into();
    let failover = Failover::Auto { after_ms: 30_000 };
    let registry = Registry { version: 3, home: Some(origin(1)), failover, sites };
    let root = [7; 32];
    let bodies = [
        Body::Genesis {
            origin: Origin { site: 1, generation: 2 },
            name: "einhorn/fuzz/2".to_owned(),
            previous: Some(Previous { origin: origin(1), entries: 9, root }),
        },
        Body::Sites(SitesChange {
            request: RequestId([3; 32]),
            remember_until_seconds: 1_700_000_600,
            who: Identity::Site(2),
            registry,
        }),
        Body::Endorsement { lost: origin(2), successor: origin(1), round: 1, held: 5 },
        Body::Withdrawal { lost: origin(3), round: 1 },
        Body::Takeover { lost: origin(2), end: 5, endorsers: vec![origin(1)], is_attested: true },
        Body::Leftover { position: at, octets: vec![3, 1, 4] },
        Body::MapRoot { at: 6, names: 0, root },
        Body::Intent { transaction: transaction(), changes: Vec::new() },
        Body::Decision {
            transaction: transaction(),
            is_commit: false,
            intents: vec![at],
            changes: Vec::new(),
        },
        Body::Finish { id: transaction().id, participant: origin(2), had_intent: true },
        super::live::source()?,
        super::live::review()?,
    ];
    let mut framed = Vec::new();
    for body in bodies {
        let mut written = Ok(());
        Entry { time_ms: 1, body }.encode(&mut Vec::new(), |part| {
            written = append_entry(&mut framed, part);
        });
        written?;
    }
    Ok(framed)
}
