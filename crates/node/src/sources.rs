//! Sources of the legacy bridge: shows its process what is known, and turns its steps into requests.
//!
//! What outside files say is decoded and merged in that process; here come only the names that are to
//! change, each with the version that it must still have.
//!
//! Requests have ids that follow from the apply and the record, so that a step which is sent again
//! after a crash is not done twice.

use crate::inquiry::Inquiry;
use crate::operate::{Operator, awaited, request_with, send};
use einhorn_core::commit::SourceReport;
use einhorn_core::exchange::{Frozen, decode_frozen, decode_step, encode_view};
use einhorn_core::model::request::{
    Action, Identity, Outcome, ReplaceReason, Request, RequestId, SourceStep, SourceUnit,
};
use einhorn_core::model::source::Item;
use einhorn_ingress::control::{BridgeCall, BridgeRefusal, BridgeReply};
use einhorn_wire::Name;
use sha2::{Digest, Sha256};

/// How long a part of an apply is remembered, so that it is not done again: in seconds. An apply that
/// was interrupted for longer is merged anew, which can only bring a review more.
const REMEMBERED_SECONDS: u64 = 86_400;
/// Requests under way at once.
const TOGETHER_MAX: usize = 512;

/// One source, while it is asked about.
struct Call<'o> {
    operator: &'o Operator,
    source: &'o str,
    zone: Name,
}

impl Operator {
    pub(crate) fn bridge(
        &self,
        source: &str,
        call: BridgeCall,
    ) -> Result<BridgeReply, BridgeRefusal> {
        let known = self.sources.iter().find(|(name, _)| name == source);
        let Some((_, zone)) = known else {
            return Err(BridgeRefusal::Unknown(source.to_owned()));
        };
        let on = Call { operator: self, source, zone: zone.clone() };
        let malformed = |error| BridgeRefusal::Malformed(format!("{error}"));
        match call {
            BridgeCall::Look => on.look(),
            BridgeCall::Advance(octets) => {
                let step = decode_step(&octets).map_err(malformed)?;
                on.advance(step)
            }
            BridgeCall::Freeze(octets) => {
                let frozen = decode_frozen(&octets).map_err(malformed)?;
                on.freeze(frozen)
            }
        }
    }
}

impl Call<'_> {
    fn report(&self, ids: Vec<RequestId>) -> Result<SourceReport, BridgeRefusal> {
        let name = self.source.to_owned();
        let asked = self.operator.inquire(|reply| Inquiry::Source { name, ids, reply });
        asked.map_err(BridgeRefusal::Failed)
    }

    fn look(&self) -> Result<BridgeReply, BridgeRefusal> {
        let report = self.report(Vec::new())?;
        let Some(zone) = report.zones.get(&self.zone) else {
            return Err(BridgeRefusal::Failed(format!("zone {} is not served here", self.zone)));
        };
        let octets = encode_view(report.source.as_deref(), &report.frozen, Some(zone));
        Ok(BridgeReply::View(octets))
    }

    fn request(&self, id: RequestId, action: Action) -> Request {
        let who = Identity::Source(self.source.to_owned());
        let ingress = &self.operator.ingress;
        request_with(ingress, id, REMEMBERED_SECONDS, who, self.zone.clone(), action)
    }

    /// Does a step: what is at home here in one entry, everything else by requests of its own, whose
    /// records advance after them.
    fn advance(&self, mut step: SourceStep) -> Result<BridgeReply, BridgeRefusal> {
        if step.source != self.source || step.head.zone != self.zone {
            let reason = "the step is for another source or zone than it was sent to";
            return Err(BridgeRefusal::Malformed(reason.to_owned()));
        }
        let ids: Vec<_> = step.units.iter().map(|unit| unit_id(&step.apply, unit)).collect();
        // What another site did before a crash is not done again: its records advance alone.
        let before = self.report(ids.clone())?;
        for (unit, is_done) in step.units.iter_mut().zip(&before.done) {
            if *is_done {
                unit.names.clear();
            }
        }
        let refused = self.step(&step)?;
        let report = self.report(Vec::new())?;
        if let Some(reason) = refused.filter(|_| revision_of(&report) != step.revision) {
            return Err(BridgeRefusal::Moved(reason));
        }
        let left = (0..ids.len()).filter(|at| is_left(&report, &step.units[*at]));
        let left: Vec<usize> = left.filter(|at| !step.units[*at].names.is_empty()).collect();
        let outcomes = self.send_units(&step, &ids, &left);
        let (mut done, mut reasons) = (Vec::new(), Vec::new());
        for (at, outcome) in left.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => done.push(at),
                Err(reason) => reasons.push((at, reason)),
            }
        }
        if done.is_empty() {
            return Ok(BridgeReply::Done { revision: revision_of(&report), left: reasons });
        }
        self.advance_behind(&SourceStep { revision: revision_of(&report), ..step }, &done, reasons)
    }

    /// Lets the records of units advance whose names were changed by requests of their own.
    fn advance_behind(
        &self,
        step: &SourceStep,
        done: &[usize],
        mut left: Vec<(usize, String)>,
    ) -> Result<BridgeReply, BridgeRefusal> {
        let items = done.iter().map(|at| step.units[*at].items.clone());
        let units = items.map(|items| SourceUnit { items, names: Vec::new() }).collect();
        let refused = self.step(&SourceStep { units, ..step.clone() })?.unwrap_or_default();
        let report = self.report(Vec::new())?;
        // Somebody else has moved the source on: what is known of these records is found anew.
        let lost = done.iter().filter(|at| is_left(&report, &step.units[**at]));
        left.extend(lost.map(|at| (*at, refused.clone())));
        Ok(BridgeReply::Done { revision: revision_of(&report), left })
    }

    /// Sends a step to the commit; gives why it was refused, if it was.
    fn step(&self, step: &SourceStep) -> Result<Option<String>, BridgeRefusal> {
        let id = step_id(step);
        let request = self.request(id, Action::Advance(Box::new(step.clone())));
        let sent = send(&self.operator.ingress, request).map_err(BridgeRefusal::Failed)?;
        match awaited(&sent).map_err(BridgeRefusal::Failed)? {
            Outcome::Done { .. } => Ok(None),
            Outcome::Refused { rcode, reason } if rcode == NXRRSET => Ok(Some(reason)),
            Outcome::Refused { rcode, reason } => {
                Err(BridgeRefusal::Failed(format!("{rcode}: {reason}")))
            }
        }
    }

    /// Sends units on their own, to wherever their names are at home.
    fn send_units(
        &self,
        step: &SourceStep,
        ids: &[RequestId],
        units: &[usize],
    ) -> Vec<Result<(), String>> {
        let mut outcomes = Vec::with_capacity(units.len());
        for together in units.chunks(TOGETHER_MAX) {
            let sent: Vec<_> = together
                .iter()
                .map(|at| {
                    let reason = ReplaceReason::Source { apply: step.apply };
                    let names = step.units[*at].names.clone();
                    let request = self.request(ids[*at], Action::Replace { reason, names });
                    send(&self.operator.ingress, request)
                })
                .collect();
            outcomes.extend(sent.into_iter().map(|sent| match awaited(&sent?)? {
                Outcome::Done { .. } => Ok(()),
                Outcome::Refused { reason, .. } => Err(reason),
            }));
        }
        outcomes
    }

    /// Puts records into the review queue, but for those whose change was made before a crash: their
    /// base advances.
    fn freeze(&self, frozen: Frozen) -> Result<BridgeReply, BridgeRefusal> {
        let Frozen { apply, records } = frozen;
        if records.iter().any(|(legacy, _)| legacy.source != self.source) {
            let reason = "a record is of another source than it was sent to";
            return Err(BridgeRefusal::Malformed(reason.to_owned()));
        }
        let ids = records.iter().map(|(legacy, _)| record_id(&apply, &legacy.key)).collect();
        let before = self.report(ids)?;
        let mut left = Vec::new();
        let mut advanced = Vec::new();
        let mut asked = Vec::new();
        for (at, (legacy, names)) in records.iter().enumerate() {
            if before.done.get(at) == Some(&true) {
                let (key, record) = (legacy.key.clone(), legacy.record.clone());
                advanced.push(Item::new(key, record));
                continue;
            }
            let id = hashed(&[b"freeze", &apply, &legacy.key, &legacy.revision.to_be_bytes()]);
            let action = Action::Freeze(Box::new(legacy.clone()), names.clone());
            asked.push((at, send(&self.operator.ingress, self.request(id, action))));
        }
        let mut refusals = Vec::new();
        for (at, sent) in asked {
            let outcome = sent.and_then(|sent| awaited(&sent)).map_err(BridgeRefusal::Failed)?;
            if let Outcome::Refused { reason, .. } = outcome {
                refusals.push((at, reason));
            }
        }
        if let (false, Some(source)) = (advanced.is_empty(), &before.source) {
            let units = vec![SourceUnit { items: advanced, names: Vec::new() }];
            let (name, head) = (self.source.to_owned(), source.head.clone());
            let revision = source.revision;
            self.step(&SourceStep { source: name, revision, apply, head, units })?;
        }
        let report = self.report(Vec::new())?;
        // A record that waits for a person is refused too, in words.
        for (at, reason) in refusals {
            let legacy = &records[at].0;
            let waits = |one: &einhorn_core::model::source::FrozenRecord| one.key == legacy.key;
            if !report.frozen.iter().any(waits) {
                left.push((at, reason));
            }
        }
        Ok(BridgeReply::Done { revision: revision_of(&report), left })
    }
}

const NXRRSET: einhorn_wire::message::Rcode = einhorn_wire::message::Rcode::NXRRSET;

/// Whether a unit was not done.
fn is_left(report: &SourceReport, unit: &SourceUnit) -> bool {
    let source = report.source.as_ref();
    !unit.items.iter().all(|item| source.is_some_and(|source| source.has(item)))
}

fn revision_of(report: &SourceReport) -> u64 {
    report.source.as_ref().map_or(0, |source| source.revision)
}

fn hashed(parts: &[&[u8]]) -> RequestId {
    let mut hash = Sha256::new();
    hash.update(b"einhorn source\n");
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    RequestId(hash.finalize().into())
}

/// The id of a record's own change in an apply.
fn record_id(apply: &[u8; 32], key: &[u8]) -> RequestId {
    hashed(&[b"record", apply, key])
}

/// The id of a unit: that of its first record.
fn unit_id(apply: &[u8; 32], unit: &SourceUnit) -> RequestId {
    record_id(apply, unit.items.first().map_or(&[][..], |item| &item.key))
}

/// The id of a step: it is the same only for the same units in the same revision.
fn step_id(step: &SourceStep) -> RequestId {
    let octets = einhorn_core::exchange::encode_step(step);
    hashed(&[b"step", &step.revision.to_be_bytes(), &octets])
}
