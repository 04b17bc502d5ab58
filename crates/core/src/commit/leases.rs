//! Leases that end (RFC 9664): the home of a name takes away the records that nobody has renewed, by an
//! ordinary change under the condition that the name is still as it was.
//!
//! Never early by the home's clock. After an outage, a step of the clock or a takeover, devices get a
//! time of grace to renew what they could not; and when very many leases end at once something else is
//! wrong: they are held, and a person must say that they may go.

use super::bug::{Bug, has};
use super::clock::back;
use super::forward::Asker;
use super::{Commit, Output};
use crate::model::entry::Entry;
use crate::model::lease::without_expired;
use crate::model::request::{
    Action, Commitment, Identity, PlannedName, ReplaceReason, Request, RequestId,
};
use crate::model::tree::Live;
use crate::model::{NameRecord, State};
use einhorn_wire::Name;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A time in which nothing was heard of, in milliseconds, makes an outage.
const OUTAGE_MS: u64 = 10_000;
/// How often it is looked at most, in milliseconds …
const LOOK_MS_MIN: u64 = 500;
/// … and at least, as long as there are leases: else every quiet time would be an outage.
const LOOK_MS_MAX: u64 = 5_000;
/// So many leases may end at once in any case …
const AT_ONCE_MIN: usize = 20;
/// … and this part of all of them.
const AT_ONCE_PART: usize = 10;

/// A name in its zone.
type Key = Arc<(Name, Name)>;

/// When leases end of names at home here.
#[derive(Default)]
pub(super) struct Leases {
    grace_ms: u64,
    by_name: BTreeMap<Key, u64>,
    by_time: BTreeSet<(u64, Key)>,
    /// When it was begun to look, and since when nothing was missed, in milliseconds since 1970.
    looked_ms: Option<u64>,
    complete_since_ms: u64,
    /// Names that end all at once, which a person must let go.
    held: usize,
    may_go: bool,
}

impl Leases {
    pub(super) fn new(grace_ms: u64, state: &State) -> Leases {
        let mut leases = Leases { grace_ms, ..Leases::default() };
        leases.look_at_all(state);
        leases
    }

    fn look_at_all(&mut self, state: &State) {
        self.by_name.clear();
        self.by_time.clear();
        for zone in state.zones.iter() {
            for record in zone.names.iter().filter(|record| record.is_live()) {
                self.note(state, &zone.apex, record.owner().to_name(), Some(record));
            }
        }
    }

    /// What is known of a name now.
    fn note(&mut self, state: &State, zone: &Name, owner: Name, record: Option<&NameRecord>) {
        let key = Arc::new((zone.clone(), owner));
        if let Some((key, until_ms)) = self.by_name.remove_entry(&key) {
            self.by_time.remove(&(until_ms, key));
        }
        let record = record.filter(|record| state.in_charge(record.history().home) == state.origin);
        let ends = record.and_then(|record| record.leases().iter().map(|of| of.until_ms).min());
        if let Some(until_ms) = ends {
            self.by_time.insert((until_ms, Arc::clone(&key)));
            self.by_name.insert(key, until_ms);
        }
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        self.looked_ms.iter_mut().for_each(|looked_ms| back(looked_ms, by_ms));
        back(&mut self.complete_since_ms, by_ms);
    }

    /// Requests may have been missed until now.
    pub(super) fn note_outage(&mut self, now_ms: u64) {
        self.complete_since_ms = now_ms;
    }

    /// When to look again, in milliseconds since 1970; `None` without leases.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        let (until_ms, _) = self.by_time.first()?;
        let looked_ms = self.looked_ms.unwrap_or(0);
        Some((*until_ms).clamp(looked_ms + LOOK_MS_MIN, looked_ms + LOOK_MS_MAX))
    }

    /// Names whose leases have ended all at once, and that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn count(&self) -> usize {
        self.by_name.len()
    }
}

impl<R> Commit<R> {
    /// An entry was folded.
    pub(super) fn note_leases(&mut self, entry: &Entry) {
        for change in entry.body.changes() {
            let zone = self.state.zones.get(&change.zone).cloned();
            for name in &change.names {
                let record = zone.as_ref().and_then(|zone| zone.name(&name.owner));
                self.leases.note(&self.state, &change.zone, name.owner.clone(), record);
            }
        }
    }

    /// What is at home here is not what it was.
    pub(super) fn look_at_all_leases(&mut self, now_ms: u64) {
        self.leases.look_at_all(&self.state);
        self.leases.note_outage(now_ms);
    }

    /// Lets leases end that are held since so many end at once.
    pub fn let_leases_end(&mut self) {
        self.leases.may_go = true;
    }

    /// Takes away what has not been renewed.
    pub(super) fn end_leases(&mut self, now_ms: u64, out: &mut Vec<Output<R>>) {
        if self.leases.looked_ms.is_none_or(|looked_ms| now_ms > looked_ms + OUTAGE_MS) {
            self.leases.note_outage(now_ms);
        }
        if self.leases.looked_ms.is_some_and(|at| now_ms < at + LOOK_MS_MIN) || !self.may_append() {
            return;
        }
        self.leases.looked_ms = Some(now_ms);
        let early_ms = if has(Bug::ExpiredEarly) { 1_000 } else { 0 };
        let is_due = |(until_ms, _): &&(u64, Key)| *until_ms <= now_ms + early_ms;
        let ended = self.leases.by_time.iter().take_while(is_due);
        let due: Vec<Request> =
            ended.filter_map(|(_, key)| self.expiry(now_ms + early_ms, key)).collect();
        let at_once_max = AT_ONCE_MIN.max(self.leases.count() / AT_ONCE_PART);
        let is_held = due.len() > at_once_max && !self.leases.may_go;
        self.leases.held = if is_held { due.len() } else { 0 };
        if is_held {
            return;
        }
        self.leases.may_go = false;
        for request in due {
            let deadline_ms = now_ms + self.deadline_ms;
            self.take(now_ms, request, Asker::Nobody { deadline_ms }, 0, out);
        }
    }

    /// What takes away the records of a name whose leases have ended; `None` while there is grace.
    fn expiry(&self, now_ms: u64, key: &Key) -> Option<Request> {
        let (apex, owner) = &**key;
        let zone = self.state.zones.get(apex)?;
        let record = zone.name(owner)?;
        let history = record.history();
        let Leases { grace_ms, complete_since_ms, .. } = self.leases;
        // What was renewed since then was not kept from it.
        let is_certain =
            history.changed_at_ms >= complete_since_ms || now_ms >= complete_since_ms + grace_ms;
        if !is_certain {
            return None;
        }
        let own = self.state.origin;
        let mut id = Sha256::new();
        id.update(b"einhorn lease\n");
        id.update(apex.as_wire());
        id.update(owner.canonical_key().as_ref());
        id.update(history.last.origin.site.to_be_bytes());
        id.update(history.last.origin.generation.to_be_bytes());
        id.update(history.last.index.to_be_bytes());
        let after = without_expired(&record.owned_rrsets(), &record.leases(), now_ms);
        let planned =
            PlannedName { owner: owner.clone(), version: history.version, epoch: None, after };
        Some(Request {
            id: RequestId(id.finalize().into()),
            remember_until_seconds: now_ms / 1000 + 600,
            who: Identity::Site(own.site),
            zone: apex.clone(),
            action: Action::Replace { reason: ReplaceReason::Expiry, names: vec![planned] },
            entered_site: own.site,
            audit_commitment: Commitment(Sha256::digest([]).into()),
            decision: None,
            audit: Vec::new(),
        })
    }
}
