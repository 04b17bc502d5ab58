//! Deleted names go back to their zone's home after a day, so that whoever registers them next finds
//! one judge.

use super::clock::back;
use super::{Commit, Waits, decide};
use crate::agent::{Path, Rules};
use crate::model::entry::{Body, Cause, Change};
use crate::model::request::{Commitment, Identity, RequestId};
use crate::model::tree::Live;
use crate::model::{NameRecord, Origin};
use einhorn_wire::Name;
use sha2::{Digest, Sha256};

/// Names in one entry.
const SWEEP_NAMES_MAX: usize = 500;

/// When names were last looked at.
pub(super) struct Tombstones {
    waits: Waits,
    swept_ms: u64,
}

impl Tombstones {
    pub(super) fn new(waits: Waits) -> Tombstones {
        Tombstones { waits, swept_ms: 0 }
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        back(&mut self.swept_ms, by_ms);
    }
}

impl<R> Commit<R> {
    /// Gives names that have been deleted for a day back to the home of their zone.
    pub(super) fn return_tombstones(&mut self, now_ms: u64) {
        let Waits { tombstone_ms, sweep_ms, .. } = self.tombstones.waits;
        if now_ms < self.tombstones.swept_ms + sweep_ms || !self.may_append() {
            return;
        }
        self.tombstones.swept_ms = now_ms;
        let own = self.state.origin;
        let zones: Vec<_> = self.state.zones.iter().cloned().collect();
        for zone in zones {
            let home = self.state.home_of_zone(&zone);
            if home == own || home == Origin::NONE {
                continue;
            }
            let is_due = |record: &&NameRecord| {
                let history = record.history();
                !record.is_live()
                    && history.changed_at_ms + tombstone_ms <= now_ms
                    && self.state.in_charge(history.home) == own
                    && !self.state.transactions.blocks(record.owner().canonical_key().as_ref())
            };
            let due: Vec<_> = zone.names.iter().filter(is_due).cloned().collect();
            for records in due.chunks(SWEEP_NAMES_MAX) {
                let body = self.returned(&zone.apex, zone.incarnation, records, home);
                self.stage(now_ms, body, &[]);
            }
        }
    }

    fn returned(
        &self,
        zone: &Name,
        incarnation: u32,
        records: &[NameRecord],
        home: Origin,
    ) -> Body {
        let own = self.state.origin;
        // Nobody asked, so the id is made from where the entry stands.
        let mut id = Sha256::new();
        id.update(b"einhorn tombstones\n");
        id.update(own.site.to_be_bytes());
        id.update(own.generation.to_be_bytes());
        id.update(self.state.next_index().to_be_bytes());
        Body::Change(Change {
            zone: zone.clone(),
            incarnation,
            request: RequestId(id.finalize().into()),
            remember_until_seconds: 0,
            stands_for: Vec::new(),
            who: Identity::Site(own.site),
            entered_site: own.site,
            audit_commitment: Commitment(Sha256::digest([]).into()),
            decision: None,
            advice: Rules::operator(),
            path: Path::Move,
            cause: Cause::Move,
            names: records.iter().map(|record| decide::moved(&self.state, record, home)).collect(),
        })
    }
}
