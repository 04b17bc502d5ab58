//! Deleted names go back to their zone's home after a day, so that whoever registers them next finds
//! one judge.

use super::{Commit, decide};
use crate::agent::{Path, Rules};
use crate::model::entry::{Body, Cause, Change};
use crate::model::request::{Commitment, Identity, RequestId};
use crate::model::tree::Live;
use crate::model::{NameRecord, Origin};
use einhorn_wire::Name;
use sha2::{Digest, Sha256};

/// How long a deleted name stays where it was, in milliseconds: a device that comes back within a
/// day finds its home.
const TOMBSTONE_MS: u64 = 24 * 3_600_000;
/// How often names are looked at, in milliseconds: all of them are, so not often.
const SWEEP_INTERVAL_MS: u64 = 600_000;
/// Names in one entry.
const SWEEP_NAMES_MAX: usize = 500;

/// When names were last looked at.
#[derive(Default)]
pub(super) struct Tombstones {
    swept_ms: u64,
}

impl<R> Commit<R> {
    /// Gives names that have been deleted for a day back to the home of their zone.
    pub(super) fn return_tombstones(&mut self, now_ms: u64) {
        if now_ms < self.tombstones.swept_ms + SWEEP_INTERVAL_MS || !self.may_append() {
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
                    && history.changed_at_ms + TOMBSTONE_MS <= now_ms
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
            advice: Rules::operator(),
            path: Path::Move,
            cause: Cause::Move,
            names: records.iter().map(|record| decide::moved(&self.state, record, home)).collect(),
        })
    }
}
