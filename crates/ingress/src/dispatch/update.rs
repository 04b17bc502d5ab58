//! From an UPDATE message (RFC 2136, RFC 9664) to a request.

use super::Arrival;
use crate::{Access, Ingress};
use einhorn_core::model::WriterTag;
use einhorn_core::model::edge::{EdgeRequest, EdgeTag, UNTIL_SETTLED};
use einhorn_core::model::request::{Action, Commitment, Identity, Operation, Request, RequestId};
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::update as rules;
use einhorn_core::rules::update::Refusal;
use einhorn_wire::edge::EdgeOption;
use einhorn_wire::edns::{Edns, UpdateLease};
use einhorn_wire::message::{Message, Rcode, Section};
use einhorn_wire::tsig::Signed;
use einhorn_wire::{Class, Name, RecordType};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

/// How long records stay that an update adds for a time, at least and at most, in seconds.
const LEASE_SECONDS: RangeInclusive<u32> = 30..=86_400;
/// The same for KEY records.
const KEY_LEASE_SECONDS: RangeInclusive<u32> = 30..=14 * 86_400;

/// Of an update that an edge took longer ago than this it is asked whether something newer stands, in
/// seconds: no device changes its way to the sites and back while it waits for one answer.
const AGE_SECONDS_MIN: u64 = 60;

/// What an update asks for is granted within bounds (RFC 9664 §5).
pub fn granted_lease(message: &Message<'_>) -> Option<UpdateLease> {
    let asked = Edns::of(message).ok().flatten()?.lease?;
    Some(asked.clamped(LEASE_SECONDS, KEY_LEASE_SECONDS))
}

/// How an update came.
#[derive(Clone, Copy)]
pub(super) struct Came<'i> {
    pub(super) ingress: &'i Ingress,
    pub(super) arrival: Arrival,
    pub(super) lease: Option<UpdateLease>,
}

/// Turns an UPDATE into a request, in the order of RFC 2136 §3: zone section, prerequisites,
/// permission, update section. What is wrong after the prerequisites only counts when they hold.
pub(super) fn update(
    came: Came<'_>,
    zones: &Zones,
    access: &Access,
    message: &Message<'_>,
    signed: Option<&Signed>,
) -> Result<Request, Refusal> {
    let format_error = |reason: String| Refusal::new(Rcode::FORMERR, reason);
    let section = message
        .question()
        .filter(|zone| message.header.counts[0] == 1 && zone.rtype == RecordType::SOA);
    let section = section
        .ok_or_else(|| format_error("the zone section must be one SOA question".to_owned()))?;
    let apex = section.name.to_name();
    let zone = zones.get(&apex).filter(|_| section.class == Class::IN);
    let zone = zone
        .ok_or_else(|| Refusal::new(Rcode::NOTAUTH, format!("zone {apex} is not served here")))?;
    rules::updatable(zone)?;
    let records =
        |section| message.records(section).map_err(|error| format_error(error.to_string()));
    let prerequisites = rules::prerequisites(&apex, records(Section::Answer)?)?;
    match operations(access, zone, message, signed, records(Section::Authority)) {
        Ok((asker, operations)) => {
            asker.is_newest(zone, &operations, came.arrival.now_seconds)?;
            let lease = came.lease;
            let action = Action::Update { prerequisites, operations, lease };
            Ok(request(came, zone, asker, action))
        }
        Err(refusal) => {
            rules::prerequisites_hold(zone, &prerequisites)?;
            Err(refusal)
        }
    }
}

/// Who asks, and by whom it was sent here.
struct Asker<'s> {
    signed: &'s Signed,
    /// What the edge said that sent it on for a device.
    edge: Option<EdgeOption>,
}

impl<'s> Asker<'s> {
    fn of(
        access: &Access,
        message: &Message<'_>,
        signed: Option<&'s Signed>,
    ) -> Result<Asker<'s>, Refusal> {
        let signed =
            signed.ok_or_else(|| Refusal::new(Rcode::REFUSED, "updates must be signed"))?;
        let key = signed.key().name();
        // Of any other key the option means nothing.
        if !access.policy.is_edge(key) {
            return Ok(Asker { signed, edge: None });
        }
        let edge = EdgeOption::of(message)
            .map_err(|error| Refusal::new(Rcode::FORMERR, error.to_string()))?;
        if let Some(edge) = &edge {
            access.policy.speaks_for(key, &edge.device)?;
        }
        Ok(Asker { signed, edge })
    }

    /// The key whose grants count.
    fn key(&self) -> &Name {
        self.edge.as_ref().map_or(self.signed.key().name(), |edge| &edge.device)
    }

    /// What waited long at an edge must not undo what its device has done since by another way.
    fn is_newest(
        &self,
        zone: &Zone,
        operations: &[Operation],
        now_seconds: u64,
    ) -> Result<(), Refusal> {
        let age_seconds = self.edge.as_ref().map_or(0, |edge| u64::from(edge.age_seconds));
        if age_seconds < AGE_SECONDS_MIN {
            return Ok(());
        }
        let taken_ms = now_seconds.saturating_sub(age_seconds).saturating_mul(1_000);
        let writer = Identity::Key(self.key().to_lowercase()).tag();
        if operations.iter().all(|one| has_changed_since(zone, one.owner(), writer, taken_ms)) {
            let reason = "this waited, and the device has changed these names since";
            return Err(Refusal::new(Rcode::REFUSED, reason));
        }
        Ok(())
    }
}

fn has_changed_since(zone: &Zone, owner: &Name, writer: WriterTag, taken_ms: u64) -> bool {
    let history = zone.name(owner).map(|record| record.history());
    history.is_some_and(|history| history.writer == writer && history.changed_at_ms > taken_ms)
}

fn operations<'s>(
    access: &Access,
    zone: &Zone,
    message: &Message<'_>,
    signed: Option<&'s Signed>,
    records: Result<Vec<einhorn_wire::Record>, Refusal>,
) -> Result<(Asker<'s>, Vec<Operation>), Refusal> {
    let asker = Asker::of(access, message, signed)?;
    access.policy.check(asker.key(), &zone.apex, &[])?;
    let operations = rules::operations(&zone.apex, records?)?;
    access.policy.check(asker.key(), &zone.apex, &operations)?;
    Ok((asker, operations))
}

fn request(came: Came<'_>, zone: &Zone, asker: Asker<'_>, action: Action) -> Request {
    let Came { ingress, arrival, .. } = came;
    let key = asker.signed.key().name();
    let (id, remember_until_seconds) = match &asker.edge {
        Some(EdgeOption { sequence, lowest, .. }) => {
            let (sequence, lowest) = (*sequence, (*lowest).min(*sequence));
            (EdgeRequest { edge: EdgeTag::of(key), sequence, lowest }.id(), UNTIL_SETTLED)
        }
        None => {
            let mut id = Sha256::new();
            id.update(b"einhorn tsig request\n");
            id.update(key.as_wire());
            id.update(asker.signed.full_mac());
            (RequestId(id.finalize().into()), asker.signed.acceptable_until())
        }
    };
    let protocol = arrival.transport.name();
    let (audit, audit_commitment) =
        audit(ingress, &id, format_args!("{protocol} {}", arrival.peer));
    Request {
        id,
        remember_until_seconds,
        who: Identity::Key(asker.key().to_lowercase()),
        zone: zone.apex.clone(),
        action,
        entered_site: ingress.site.load(Ordering::Relaxed),
        audit_commitment,
        decision: None,
        audit,
    }
}

/// Octets of the salt at the start of audit data.
pub const AUDIT_SALT_OCTETS: usize = 16;

/// The client's protocol and address behind a salt, and the commitment to both.
pub(crate) fn audit(
    ingress: &Ingress,
    id: &RequestId,
    from: fmt::Arguments<'_>,
) -> (Vec<u8>, Commitment) {
    let mut salt = Sha256::new();
    salt.update(ingress.audit_secret);
    salt.update(id.0);
    let mut audit = salt.finalize()[..AUDIT_SALT_OCTETS].to_vec();
    audit.extend_from_slice(from.to_string().as_bytes());
    let commitment = Commitment(Sha256::digest(&audit).into());
    (audit, commitment)
}
